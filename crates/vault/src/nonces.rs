//! Nonces that evidence for a release is made over: fresh, short-lived, good once.
//!
//! A nonce carries its own time and a tag by a key of this process, so that strangers who ask for
//! many fill no memory. Only those that a release was made for are remembered, until they are too
//! old anyway.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// How long a nonce is good. A quote from hardware takes seconds, slow links and a busy machine some
/// more.
pub const NONCE_SECONDS: u64 = 120;

/// Releases that can be made in that time. More are refused until older ones expire.
const USED_MAX: usize = 16 * 1024;

/// Why a nonce is not good.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NonceError {
    #[error("this vault has not given out that nonce since its start: ask for a new one")]
    Unknown,
    #[error("the nonce is older than {NONCE_SECONDS} s: ask for a new one")]
    Old,
    #[error("the nonce has been used: this is a replay")]
    Used,
    #[error("too many releases at once: try again in a minute")]
    Full,
}

pub(crate) struct Nonces {
    key: Hkdf<Sha256>,
    start: Instant,
    used: Mutex<HashMap<[u8; 32], Instant>>,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces")
    }
}

impl Nonces {
    pub(crate) fn new(now: Instant) -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self { key: Hkdf::new(None, key.as_slice()), start: now, used: Mutex::default() })
    }

    pub(crate) fn make(&self, now: Instant) -> Result<[u8; 32], getrandom::Error> {
        let mut nonce = [0; 32];
        let (head, tag) = nonce.split_at_mut(16);
        let (time, random) = head.split_at_mut(8);
        time.copy_from_slice(&self.age(now).to_be_bytes());
        getrandom::fill(random)?;
        tag.copy_from_slice(&self.tag(head));
        Ok(nonce)
    }

    /// Whether evidence over it may be looked at.
    pub(crate) fn check(&self, nonce: &[u8; 32], now: Instant) -> Result<(), NonceError> {
        self.live(nonce, now)?;
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.contains_key(nonce) { Err(NonceError::Used) } else { Ok(()) }
    }

    /// The same, and no second time.
    pub(crate) fn take(&self, nonce: &[u8; 32], now: Instant) -> Result<(), NonceError> {
        let left = self.live(nonce, now)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.contains_key(nonce) {
            return Err(NonceError::Used);
        }
        if used.len() >= USED_MAX {
            used.retain(|_, end| *end >= now);
            if used.len() >= USED_MAX {
                return Err(NonceError::Full);
            }
        }
        used.insert(*nonce, now + left);
        Ok(())
    }

    /// How long it is still good.
    fn live(&self, nonce: &[u8; 32], now: Instant) -> Result<Duration, NonceError> {
        let (head, tag) = nonce.split_at(16);
        let same = self.tag(head).iter().zip(tag).fold(0, |acc, (a, b)| acc | (a ^ b));
        let Some(made) = head.first_chunk().filter(|_| same == 0) else {
            return Err(NonceError::Unknown);
        };
        let age = self.age(now).saturating_sub(u64::from_be_bytes(*made));
        let life = NONCE_SECONDS * 1000;
        if age > life {
            return Err(NonceError::Old);
        }
        Ok(Duration::from_millis(life - age + 1))
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn tag(&self, head: &[u8]) -> [u8; 16] {
        let mut tag = [0; 16];
        // Fails for more than 8160 bytes alone.
        let _ = self.key.expand(head, &mut tag);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_for_its_time_and_only_where_it_was_made() {
        let start = Instant::now();
        let (nonces, others) = (Nonces::new(start).unwrap(), Nonces::new(start).unwrap());
        let nonce = nonces.make(start).unwrap();
        assert_ne!(nonce, nonces.make(start).unwrap());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(others.check(&nonce, start), Err(NonceError::Unknown));
        assert_eq!(nonces.check(&[0; 32], start), Err(NonceError::Unknown));
        for bit in 0..256 {
            let mut changed = nonce;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(nonces.check(&changed, start), Err(NonceError::Unknown), "bit {bit}");
        }
        assert_eq!(nonces.check(&nonce, at(NONCE_SECONDS + 1)), Err(NonceError::Old));
        assert_eq!(nonces.check(&nonce, at(NONCE_SECONDS)), Ok(()));
        assert_eq!(nonces.take(&nonce, at(1)), Ok(()));
        assert_eq!(nonces.take(&nonce, at(1)), Err(NonceError::Used));
        assert_eq!(nonces.check(&nonce, at(NONCE_SECONDS)), Err(NonceError::Used));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_makes_room_when_it_is_old() {
        let start = Instant::now();
        let nonces = Nonces::new(start).unwrap();
        for _ in 0..USED_MAX {
            nonces.take(&nonces.make(start).unwrap(), start).unwrap();
        }
        let full = nonces.make(start).unwrap();
        assert_eq!(nonces.take(&full, start), Err(NonceError::Full));
        let later = start + Duration::from_secs(NONCE_SECONDS + 1);
        nonces.take(&nonces.make(later).unwrap(), later).unwrap();
        assert_eq!(nonces.used.lock().unwrap().len(), 1);
    }
}
