//! When an app that ended is started again.

use std::time::Duration;

use crate::config::RestartPolicy;

/// The first pause. Doubled for each end in a row, as Kubernetes does from 10 s; apps here start in
/// a fraction of a second, and a short first pause hides a single crash.
const DELAY_MIN: Duration = Duration::from_secs(1);

/// The longest pause: an app whose database is back should not wait much longer than people do.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// An app that ran this long was well, and its next pause is the first again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

impl RestartPolicy {
    /// Whether an app that ended with `code` is started again.
    pub fn restarts(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// Exponential pauses between restarts.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after an app has run for `ran`.
    pub fn next(&mut self, ran: Duration) -> Duration {
        if ran >= HEALTHY_AFTER {
            self.failures = 0;
        }
        let delay = DELAY_MIN.saturating_mul(1 << self.failures.min(6)).min(DELAY_MAX);
        self.failures = self.failures.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy() {
        for (policy, zero, one) in [
            (RestartPolicy::Always, true, true),
            (RestartPolicy::OnFailure, false, true),
            (RestartPolicy::Never, false, false),
        ] {
            assert_eq!((policy.restarts(0), policy.restarts(1)), (zero, one), "{policy:?}");
            assert_eq!(policy.restarts(137), one);
        }
    }

    #[test]
    fn pauses_double_to_a_minute_and_begin_anew_after_a_healthy_minute() {
        let mut backoff = Backoff::default();
        let seconds: Vec<_> =
            (0..9).map(|_| backoff.next(Duration::from_secs(59)).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.next(Duration::from_secs(60)).as_secs(), 1);
        assert_eq!(backoff.next(Duration::ZERO).as_secs(), 2);
    }
}
