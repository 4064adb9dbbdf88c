//! How much the pod has sent and received, from `/proc/net/dev` of its own network namespace.

use std::collections::BTreeMap;

/// Bytes both ways.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bytes {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// Sums bytes over all interfaces but loopback. Right also where an interface is made anew and counts
/// from zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    last: BTreeMap<String, Bytes>,
}

impl Traffic {
    /// Takes the current counters as zero.
    pub(crate) fn starting_at(text: &str) -> Self {
        let mut traffic = Self::default();
        traffic.update(text);
        traffic
    }

    /// Reads the file's text; returns the bytes since it was read last.
    pub(crate) fn update(&mut self, text: &str) -> Bytes {
        let mut added = Bytes::default();
        for (name, now) in text.lines().filter_map(parse_line).filter(|(name, _)| *name != "lo") {
            let last = std::mem::replace(self.last.entry(name.to_owned()).or_default(), now);
            added.sent = added.sent.saturating_add(since(last.sent, now.sent));
            added.received = added.received.saturating_add(since(last.received, now.received));
        }
        added
    }
}

/// What a counter has grown by, also where it was set to zero in between.
pub(crate) fn since(last: u64, now: u64) -> u64 {
    now.checked_sub(last).unwrap_or(now)
}

/// `eth0: <bytes received> <7 more fields> <bytes sent> ...`
fn parse_line(line: &str) -> Option<(&str, Bytes)> {
    let (name, counters) = line.split_once(':')?;
    let mut counters = counters.split_ascii_whitespace();
    let received = counters.next()?.parse().ok()?;
    let sent = counters.nth(7)?.parse().ok()?;
    Some((name.trim(), Bytes { sent, received }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lo: u64, eth0: u64, received: u64) -> String {
        format!(
            "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes packets\n    \
             lo: 5 1 0 0 0 0 0 0 {lo} 1 0 0 0 0 0 0\n  eth0:{received} 1 0 0 0 0 0 0 {eth0} 1 0 0 0 0 0 0\n"
        )
    }

    #[test]
    fn counts_all_but_loopback_and_survives_a_reset() {
        let bytes = |sent, received| Bytes { sent, received };
        let mut traffic = Traffic::starting_at(&text(10, 1000, 7));
        assert_eq!(traffic.update(&text(9999, 1500, 9)), bytes(500, 2));
        assert_eq!(traffic.update(&text(0, 200, 1)), bytes(200, 1));
        assert_eq!(traffic.update("garbage\n:\n x: 1 2"), bytes(0, 0));
        assert_eq!(traffic.update(&text(0, 300, 1)), bytes(100, 0));
    }
}
