//! Counts what is open for each of something.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Where a client is: an IPv4 address, or an IPv6 network, of which every customer has at least one
/// to himself with more addresses than could be counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(in crate::ingress) enum ClientNet {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl ClientNet {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Self::V6(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

/// How many of each are in. Holds no more entries than there are [`Slot`]s.
#[derive(Debug)]
pub(in crate::ingress) struct Limiter<K>(Arc<Mutex<HashMap<K, usize>>>);

impl<K> Default for Limiter<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + Hash> Limiter<K> {
    /// `None` where there are `max` of this already.
    pub(super) fn enter(&self, key: K, max: usize) -> Option<Slot<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&key).copied().unwrap_or_default();
        if count >= max {
            return None;
        }
        counts.insert(key, count + 1);
        Some(Slot { counts: Arc::clone(&self.0), key })
    }
}

/// One that is in, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot<K: Copy + Eq + Hash> {
    counts: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
}

impl<K: Copy + Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_network() {
        let net = |text: &str| ClientNet::of(text.parse().unwrap());
        assert_eq!(net("192.0.2.1"), net("::ffff:192.0.2.1"));
        assert_ne!(net("192.0.2.1"), net("192.0.2.2"));
        assert_eq!(net("2001:db8:1:2::1"), net("2001:db8:1:2:ffff::"));
        assert_ne!(net("2001:db8:1:2::1"), net("2001:db8:1:3::1"));
    }

    #[test]
    fn places_come_free_and_nothing_is_kept() {
        let limiter = Limiter::default();
        let one = limiter.enter('a', 2).unwrap();
        let two = limiter.enter('a', 2).unwrap();
        assert!(limiter.enter('a', 2).is_none());
        let other = limiter.enter('b', 2).unwrap();
        drop(one);
        let again = limiter.enter('a', 2).unwrap();
        assert!(limiter.enter('a', 2).is_none());
        drop((two, other, again));
        assert!(limiter.0.lock().unwrap().is_empty());
    }
}
