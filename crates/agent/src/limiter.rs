//! Bounds how much output becomes events.

use std::time::Instant;

/// A token bucket of bytes that counts what it refuses.
#[derive(Debug)]
pub(crate) struct Limiter {
    sustained_bytes: u64,
    burst_bytes: u64,
    /// After a refusal nothing passes before there is room for so much.
    resume_bytes: u64,
    refuses: bool,
    tokens: f64,
    last: Instant,
    dropped: Dropped,
}

/// What was refused since it was last asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Dropped {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

impl Limiter {
    pub(crate) fn new(sustained_bytes: u64, burst_bytes: u64, now: Instant) -> Self {
        Self {
            sustained_bytes,
            burst_bytes,
            resume_bytes: 0,
            refuses: false,
            tokens: burst_bytes as f64,
            last: now,
            dropped: Dropped::default(),
        }
    }

    /// Refuses in longer runs: each one ends a chunk of the log, and a flood would make one chunk for
    /// each line else. At most a second's worth, so that little output does not wait for long.
    pub(crate) fn refuse_in_runs(&mut self, resume_bytes: u64) {
        self.resume_bytes = resume_bytes.min(self.sustained_bytes).min(self.burst_bytes);
    }

    /// Whether a line of `bytes` may be written now. A refused one is counted.
    pub(crate) fn allow(&mut self, bytes: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.tokens =
            (self.tokens + passed * self.sustained_bytes as f64).min(self.burst_bytes as f64);
        let needed = if self.refuses { self.resume_bytes.max(bytes as u64) } else { bytes as u64 };
        let allowed = self.tokens >= needed as f64;
        self.refuses = !allowed;
        if allowed {
            self.tokens -= bytes as f64;
        } else {
            self.refuse(bytes);
        }
        allowed
    }

    /// Counts a line that was refused for another reason.
    pub(crate) fn refuse(&mut self, bytes: usize) {
        self.dropped.lines += 1;
        self.dropped.bytes += bytes as u64;
    }

    /// What was refused since the last call, if anything.
    pub(crate) fn take_dropped(&mut self) -> Option<Dropped> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped.lines > 0).then_some(dropped)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn burst_then_sustained_and_every_line_is_counted() {
        let start = Instant::now();
        let mut limiter = Limiter::new(100, 1000, start);
        let passed = (0..50).filter(|_| limiter.allow(100, start)).count();
        assert_eq!(passed, 10);
        assert_eq!(limiter.take_dropped(), Some(Dropped { lines: 40, bytes: 4000 }));
        assert_eq!(limiter.take_dropped(), None);
        let later = start + Duration::from_secs(3);
        assert_eq!((0..50).filter(|_| limiter.allow(100, later)).count(), 3);
        // Never more than the burst, however long it was quiet.
        let much_later = later + Duration::from_secs(1_000_000);
        assert_eq!((0..50).filter(|_| limiter.allow(100, much_later)).count(), 10);
    }

    #[test]
    fn a_flood_is_refused_in_runs_where_that_is_asked_for() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1000, 5000, start);
        limiter.refuse_in_runs(16_384);
        let (mut runs, mut passed, mut last) = (0, 0, true);
        // A line of 10 bytes each millisecond, ten times the limit, for twenty seconds.
        for ms in 0..20_000 {
            let allowed = limiter.allow(10, start + Duration::from_millis(ms));
            runs += u32::from(last && !allowed);
            passed += u32::from(allowed);
            last = allowed;
        }
        assert!(runs <= 20, "{runs} runs");
        // Nothing of what is allowed is lost by it, but for a run that has not ended.
        assert!((2200..=2500).contains(&passed), "{passed} lines");
    }
}
