//! Ports of loopback that nobody uses.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Result, bail};

/// Below the range that the kernel takes ports of outgoing connections from: a program that was
/// killed finds its port free when it comes back, and nobody connects to itself.
const FIRST: u16 = 20_000;
const LAST: u16 = 29_999;

/// One free port.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    free_ports(1)
}

/// The first of so many free ports in a row. None is given out twice by one process.
///
/// # Errors
/// There are not as many.
pub fn free_ports(count: u16) -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side begin at different places.
    let begin = u16::try_from(std::process::id() % 1_000).unwrap_or(0) * 10;
    let all = LAST - FIRST + 1;
    for _ in 0..all {
        let step = NEXT.fetch_add(count, Ordering::Relaxed);
        let first = FIRST + (begin.wrapping_add(step)) % all;
        let Some(last) = first.checked_add(count - 1).filter(|last| *last <= LAST) else {
            continue;
        };
        if (first..=last).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return Ok(first);
        }
    }
    bail!("there are no {count} free ports between {FIRST} and {LAST} on this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_out_once() {
        let (one, two, three) = (free_port(), free_ports(5), free_port());
        let (one, two, three) = (one.unwrap(), two.unwrap(), three.unwrap());
        assert!(!(two..two + 5).contains(&one));
        assert!(!(two..two + 5).contains(&three));
        assert_ne!(one, three);
    }
}
