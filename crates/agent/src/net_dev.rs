//! How much the pod has sent, from `/proc/net/dev` of its own network namespace.

use std::collections::BTreeMap;

/// Sums sent bytes over all interfaces but loopback. Only ever grows, also where an interface is
/// made anew and counts from zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentBytes {
    last: BTreeMap<String, u64>,
    total: u64,
}

impl SentBytes {
    /// Takes the current counters as zero.
    pub(crate) fn starting_at(text: &str) -> Self {
        let mut sent = Self::default();
        sent.update(text);
        sent.total = 0;
        sent
    }

    /// Reads the file's text; returns the bytes sent since the start.
    pub(crate) fn update(&mut self, text: &str) -> u64 {
        for (name, bytes) in text.lines().filter_map(parse_line) {
            if name == "lo" {
                continue;
            }
            let last = self.last.entry(name.to_owned()).or_insert(0);
            let added = if bytes >= *last { bytes - *last } else { bytes };
            *last = bytes;
            self.total = self.total.saturating_add(added);
        }
        self.total
    }
}

/// `eth0: <8 fields received> <bytes sent> ...`
fn parse_line(line: &str) -> Option<(&str, u64)> {
    let (name, counters) = line.split_once(':')?;
    Some((name.trim(), counters.split_ascii_whitespace().nth(8)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lo: u64, eth0: u64) -> String {
        format!(
            "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes packets\n    \
             lo: 5 1 0 0 0 0 0 0 {lo} 1 0 0 0 0 0 0\n  eth0:7 1 0 0 0 0 0 0 {eth0} 1 0 0 0 0 0 0\n"
        )
    }

    #[test]
    fn counts_all_but_loopback_and_survives_a_reset() {
        let mut sent = SentBytes::starting_at(&text(10, 1000));
        assert_eq!(sent.update(&text(9999, 1500)), 500);
        assert_eq!(sent.update(&text(0, 200)), 700);
        assert_eq!(sent.update("garbage\n:\n x: 1 2"), 700);
        assert_eq!(sent.update(&text(0, 300)), 800);
    }
}
