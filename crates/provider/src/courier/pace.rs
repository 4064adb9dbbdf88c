//! When which vault is tried.

use std::{collections::HashSet, time::Duration};

use casemate_client::chain::AttestedKeys;
use tokio::time::Instant;

/// After all vaults of a pod have failed: the first pause, doubled each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The last one. A vault that comes back is found again within that time.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A pod that was served leaves the list when its agent has told so.
const AFTER_SUCCESS: Duration = Duration::from_secs(10);
/// Distinct failures that a publisher is told of for one start of a pod.
const TOLD_MAX: usize = 16;

/// One pod's tries.
#[derive(Debug, Default)]
pub(super) struct Pace {
    keys: Option<AttestedKeys>,
    /// Index of the vault that is next.
    next: usize,
    rounds: u32,
    /// Since when a try is due, or from when on.
    due: Option<Instant>,
    told: HashSet<String>,
    /// How many vaults the list had.
    vaults: usize,
}

impl Pace {
    /// Begins anew where the pod has.
    pub(super) fn of(&mut self, keys: &AttestedKeys, now: Instant) {
        if !self.is_of(keys) {
            *self = Self { keys: Some(*keys), due: Some(now), ..Self::default() };
        }
    }

    /// Whether it is of this start of the pod.
    pub(super) fn is_of(&self, keys: &AttestedKeys) -> bool {
        self.keys.as_ref() == Some(keys)
    }

    /// The vault to try now, and since when that is due.
    pub(super) fn next(&mut self, vaults: &[String], now: Instant) -> Option<(Instant, String)> {
        let due = self.due.filter(|due| *due <= now)?;
        self.vaults = vaults.len();
        Some((due, vaults.get(self.next % vaults.len().max(1))?.clone()))
    }

    pub(super) fn succeeded(&mut self, now: Instant) {
        self.rounds = 0;
        self.told.clear();
        self.due = Some(now + AFTER_SUCCESS);
    }

    /// Whether `told` is news.
    pub(super) fn failed(&mut self, now: Instant, told: &str) -> bool {
        self.next += 1;
        // At the end of the queue again.
        self.due = Some(now);
        if self.next >= self.vaults {
            self.next = 0;
            let pause = PAUSE_MIN.saturating_mul(1 << self.rounds.min(10)).min(PAUSE_MAX);
            self.rounds += 1;
            self.due = Some(now + pause);
        }
        self.told.len() < TOLD_MAX && self.told.insert(told.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(n: u8) -> AttestedKeys {
        AttestedKeys { agent: [n; 32], hpke: [n; 32], tls_spki_sha256: [n; 32] }
    }

    #[test]
    fn vaults_take_turns_and_pauses_grow_to_their_bound() {
        let vaults = ["a".to_owned(), "b".to_owned()];
        let mut now = Instant::now();
        let mut pace = Pace::default();
        pace.of(&keys(1), now);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert_eq!(pace.next(&vaults, now).unwrap().1, "a");
            pace.failed(now, "x");
            assert_eq!(pace.next(&vaults, now).unwrap().1, "b");
            pace.failed(now, "x");
            let start = now;
            while pace.next(&vaults, now).is_none() {
                now += Duration::from_millis(250);
            }
            pauses.push((now - start).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(pace.next(&[], now), None);
    }

    #[test]
    fn a_pod_that_started_anew_is_served_at_once_and_news_are_told_once() {
        let vaults = ["a".to_owned()];
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.of(&keys(1), now);
        pace.next(&vaults, now).unwrap();
        assert!(pace.failed(now, "no"));
        assert!(!pace.failed(now, "no"));
        assert!(pace.failed(now, "another reason"));
        pace.of(&keys(1), now);
        assert_eq!(pace.next(&vaults, now), None);
        pace.of(&keys(2), now);
        assert!(pace.next(&vaults, now).is_some());
        pace.succeeded(now);
        assert_eq!(pace.next(&vaults, now), None);
        assert!(pace.failed(now, "no"));
        let told = (0..1000).filter(|n| pace.failed(now, &n.to_string())).count();
        assert!(told < TOLD_MAX);
    }
}
