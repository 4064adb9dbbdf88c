//! How often strangers may ask.

use std::time::Instant;

/// A bucket of so many, filled at so many a second.
#[derive(Debug)]
pub(crate) struct Limiter {
    size: f64,
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(size: u16, per_second: f64, now: Instant) -> Self {
        let size = f64::from(size);
        Self { size, per_second, left: size, at: now }
    }

    /// Takes one, if one is left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * self.per_second).min(self.size);
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut limiter = Limiter::new(3, 2.0, start);
        let taken = |limiter: &mut Limiter, at| (0..10).filter(|_| limiter.take(at)).count();
        assert_eq!(taken(&mut limiter, start), 3);
        assert_eq!(taken(&mut limiter, start + Duration::from_secs(1)), 2);
        assert_eq!(taken(&mut limiter, start + Duration::from_secs(100)), 3);
        assert_eq!(taken(&mut limiter, start), 0);
    }
}
