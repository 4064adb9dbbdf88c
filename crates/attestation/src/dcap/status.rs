//! How judgements of several parts become one.

use crate::TcbStatus;
use alloc::{string::String, vec::Vec};

/// What a status says, one by one.
#[derive(Clone, Copy, Default)]
struct Needs {
    update: bool,
    configuration: bool,
    hardening: bool,
}

impl Needs {
    /// `None` for a revoked level.
    fn of(status: TcbStatus) -> Option<Self> {
        let (update, configuration, hardening) = match status {
            TcbStatus::UpToDate => (false, false, false),
            TcbStatus::SwHardeningNeeded => (false, false, true),
            TcbStatus::ConfigurationNeeded => (false, true, false),
            TcbStatus::ConfigurationAndSwHardeningNeeded => (false, true, true),
            TcbStatus::OutOfDate => (true, false, false),
            TcbStatus::OutOfDateConfigurationNeeded => (true, true, false),
            TcbStatus::Revoked => return None,
        };
        Some(Self { update, configuration, hardening })
    }

    fn status(self) -> TcbStatus {
        match (self.update, self.configuration, self.hardening) {
            (true, true, _) => TcbStatus::OutOfDateConfigurationNeeded,
            (true, false, _) => TcbStatus::OutOfDate,
            (false, true, true) => TcbStatus::ConfigurationAndSwHardeningNeeded,
            (false, true, false) => TcbStatus::ConfigurationNeeded,
            (false, false, true) => TcbStatus::SwHardeningNeeded,
            (false, false, false) => TcbStatus::UpToDate,
        }
    }
}

/// What is needed for one or the other.
///
/// For the statuses that Intel gives to quoting enclaves and TDX modules (up to date, out of date,
/// revoked) this is what its verifier's `convergeTcbStatuses` does. For others, which its verifier
/// would not count, and for the level that a TD has now against the one it was launched on
/// (`TDRelaunchAdvised`), it is stricter: what either part needs is needed.
pub(super) fn converge(a: TcbStatus, b: TcbStatus) -> TcbStatus {
    match (Needs::of(a), Needs::of(b)) {
        (Some(a), Some(b)) => Needs {
            update: a.update || b.update,
            configuration: a.configuration || b.configuration,
            hardening: a.hardening || b.hardening,
        }
        .status(),
        _ => TcbStatus::Revoked,
    }
}

/// Adds advisories that are not yet there.
pub(super) fn merge_advisories(all: &mut Vec<String>, more: &[String]) {
    for advisory in more {
        if !all.contains(advisory) {
            all.push(advisory.clone());
        }
    }
}
