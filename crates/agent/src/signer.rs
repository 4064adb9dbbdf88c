//! Makes and signs usage records. The key lives in this value only, and is wiped with it.

use std::time::Duration;

use casemate_primitives::{
    AgentPublicKey, AgentSignature, Hash256, HostMeasured, Quantities, UnixSeconds, UsageRecord,
};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::config::SignerConfig;

/// An agent's key and the newest link of its chain of records.
///
/// Clocks are arguments: the wall clock's second, and how long the agent has run by a clock that is
/// never set.
pub struct Signer {
    config: SignerConfig,
    key: SigningKey,
    start: UnixSeconds,
    last: Option<UsageRecord>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("lease", &self.config.lease).finish_non_exhaustive()
    }
}

impl Signer {
    /// Makes a new key from the kernel's random numbers; the first record begins at `now`.
    ///
    /// # Errors
    /// Where the kernel gives no random numbers.
    pub fn new(config: SignerConfig, now: UnixSeconds) -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let key = SigningKey::from_bytes(&seed);
        // Best effort against a copy that stays on the stack; the key itself is wiped on drop.
        seed.fill(0);
        std::hint::black_box(&seed);
        Ok(Self { config, key, start: now, last: None })
    }

    /// The public half of the key.
    pub fn public_key(&self) -> AgentPublicKey {
        self.key.verifying_key().to_bytes()
    }

    /// Chain that the records are for.
    pub fn genesis_hash(&self) -> &Hash256 {
        &self.config.genesis_hash
    }

    /// Makes the next record.
    ///
    /// Its end is `now`, but never before the last record's (the clock was set back) nor after the
    /// start plus `elapsed` (the clock was set forward: nobody pays for time that did not pass).
    /// `sent_bytes` is what the pod has sent since the start.
    pub fn record(
        &mut self,
        now: UnixSeconds,
        elapsed: Duration,
        sent_bytes: u64,
    ) -> (UsageRecord, AgentSignature) {
        let from = self.last.as_ref().map_or(self.start, |last| last.to);
        let to = now.min(self.start.saturating_add(elapsed.as_secs())).max(from);
        let last_total = self.last.as_ref().map(|last| last.total).unwrap_or_default();
        // Both overflow only after more seconds than a clock can count; the total stands still then.
        let mut total =
            Quantities::quota(&self.config.quota, to - self.start).unwrap_or(last_total);
        total.egress_mib = (sent_bytes >> 20).max(last_total.egress_mib);
        let record = UsageRecord {
            lease: self.config.lease,
            replica: self.config.replica,
            sequence: self.last.as_ref().map_or(1, |last| last.sequence.saturating_add(1)),
            previous: self.last.as_ref().map(UsageRecord::hash).unwrap_or_default(),
            from,
            to,
            running_seconds: to - self.start,
            total,
            actual: total,
            host_measured: HostMeasured::default(),
            ..UsageRecord::default()
        };
        let payload = record.signing_payload(&self.config.genesis_hash);
        let signature = self.key.sign(&payload).to_bytes();
        self.last = Some(record);
        (record, signature)
    }
}

#[cfg(test)]
mod tests {
    use casemate_primitives::{LeaseId, Resources};
    use proptest::prelude::*;

    use super::*;
    use crate::event::{EventKind, decode_record};

    fn signer(start: u64) -> Signer {
        let quota = Resources { cpu_millicores: 500, memory_mib: 64, storage_mib: 10, gpus: 0 };
        let config = SignerConfig {
            genesis_hash: [9; 32],
            lease: LeaseId(7),
            replica: 2,
            quota,
            record_interval_ms: 1000,
        };
        Signer::new(config, start).unwrap()
    }

    #[test]
    fn the_first_record_adds_nothing_and_the_next_the_quota() {
        let mut signer = signer(1000);
        let (first, _) = signer.record(1000, Duration::ZERO, 0);
        assert_eq!((first.sequence, first.from, first.to), (1, 1000, 1000));
        assert_eq!(first.total, Quantities::default());
        let (second, _) = signer.record(1010, Duration::from_secs(10), 5 << 20);
        assert_eq!((second.sequence, second.from, second.to), (2, 1000, 1010));
        assert_eq!(second.total.cpu_millicore_seconds, 5000);
        assert_eq!(second.total.memory_mib_seconds, 640);
        assert_eq!(second.total.egress_mib, 5);
        assert!(first.is_followed_by(&second));
    }

    #[test]
    fn a_clock_set_back_or_forward_neither_breaks_the_chain_nor_charges_more() {
        let mut signer = signer(1000);
        let (a, _) = signer.record(1005, Duration::from_secs(5), 0);
        let (b, _) = signer.record(10, Duration::from_secs(6), 0);
        assert_eq!((b.from, b.to), (1005, 1005));
        let (c, _) = signer.record(999_999, Duration::from_secs(7), 0);
        assert_eq!(c.to, 1007);
        assert!(a.is_followed_by(&b) && b.is_followed_by(&c));
    }

    #[test]
    fn two_signers_have_two_keys() {
        assert_ne!(signer(0).public_key(), signer(0).public_key());
    }

    proptest! {
        #[test]
        fn whatever_the_clocks_do_it_is_a_verifiable_chain_within_quota(
            steps in proptest::collection::vec((any::<u32>(), 0u64..100_000, any::<u32>()), 1..20),
        ) {
            let mut signer = signer(1_000_000);
            let key = signer.public_key();
            let mut elapsed = 0;
            let mut last: Option<UsageRecord> = None;
            for (now, passed, sent) in steps {
                elapsed += passed;
                let (record, signature) =
                    signer.record(now.into(), Duration::from_secs(elapsed), sent.into());
                let EventKind::Record { record: r, signature: s } =
                    EventKind::record(&record, &signature) else { unreachable!() };
                prop_assert_eq!(decode_record(&r, &s, &key, &[9; 32]).unwrap().0, record);
                prop_assert!(decode_record(&r, &s, &key, &[8; 32]).is_err());
                prop_assert!(record.to - 1_000_000 <= elapsed);
                if let Some(last) = last {
                    prop_assert!(last.is_followed_by(&record));
                }
                last = Some(record);
            }
        }
    }
}
