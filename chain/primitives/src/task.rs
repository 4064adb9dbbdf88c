//! Tasks: when they run, and what the enclave says of a run.

// What `Encode` is derived to casts the index of a variant.
#![allow(clippy::cast_possible_truncation)]

use crate::{
    blake2_256, Balance, Hash256, LeaseId, LogHead, ReplicaIndex, RunId, UnixSeconds, UsageRecord,
};
use alloc::vec::Vec;
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// Most artefacts that a run's result names.
pub const ARTEFACTS_MAX: u32 = 16;

/// Longest cron expression, in bytes.
pub const CRON_BYTES_MAX: u32 = 128;

/// Longest name of a time zone, in bytes; the tz database's own are shorter than 40.
pub const TIME_ZONE_BYTES_MAX: u32 = 64;

/// Shortest time from one run to the next, in seconds: beginning, attesting and proving a run are
/// three transactions, each of which takes blocks to be final.
pub const PERIOD_SECONDS_MIN: u32 = 10;

/// When a task runs.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub enum Schedule {
    /// One time.
    Once {
        /// When; as soon as the schedule is set where `None`.
        at: Option<UnixSeconds>,
    },
    /// Again and again: when the schedule is set, and each so many seconds after.
    Every {
        /// How many, at least [`PERIOD_SECONDS_MIN`].
        seconds: u32,
    },
    /// By the calendar. The chain has no time zones: it takes scheduled times on the provider's word,
    /// as long as they grow by at least `seconds_min`.
    Cron {
        /// Five fields (minute, hour, day of month, month, day of week), UTF-8.
        expression: BoundedVec<u8, ConstU32<CRON_BYTES_MAX>>,
        /// Name in the tz database, such as `Europe/Berlin`.
        time_zone: BoundedVec<u8, ConstU32<TIME_ZONE_BYTES_MAX>>,
        /// Shortest time from one run to the next, at least [`PERIOD_SECONDS_MIN`].
        seconds_min: u32,
    },
}

/// What is due by the chain's own arithmetic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// How many scheduled times.
    pub count: u64,
    /// The first of them.
    pub first: UnixSeconds,
    /// The last of them.
    pub last: UnixSeconds,
}

impl Schedule {
    /// The first scheduled time after `last` (or of all, where there was none) of a schedule that was
    /// set at `since`; `None` where there is no more, or where only a calendar knows.
    pub fn next(&self, since: UnixSeconds, last: Option<UnixSeconds>) -> Option<UnixSeconds> {
        match self {
            Self::Once { at } => {
                let at = at.unwrap_or(since);
                last.is_none_or(|last| last < at).then_some(at)
            }
            Self::Every { seconds } => match last {
                Some(last) if last >= since => {
                    let period = u64::from(*seconds);
                    let count = last.checked_sub(since)?.checked_div(period)?.checked_add(1)?;
                    since.checked_add(count.checked_mul(period)?)
                }
                _ => Some(since),
            },
            Self::Cron { .. } => None,
        }
    }

    /// Whether `at` may be the next scheduled time after `last` of a schedule that was set at `since`.
    ///
    /// Exact for all but a cron, where it is necessary but not sufficient.
    pub fn allows(&self, since: UnixSeconds, last: Option<UnixSeconds>, at: UnixSeconds) -> bool {
        match self {
            Self::Once { .. } => self.next(since, last) == Some(at),
            Self::Every { seconds } => {
                let is_multiple = at
                    .checked_sub(since)
                    .and_then(|passed| passed.checked_rem(u64::from(*seconds)))
                    == Some(0);
                is_multiple && last.is_none_or(|last| at > last)
            }
            Self::Cron { seconds_min, .. } => {
                at >= since
                    && last.is_none_or(|last| at >= last.saturating_add(u64::from(*seconds_min)))
            }
        }
    }

    /// The scheduled times after `last` and before `before`, counted without a loop; `None` where
    /// there is none, or only a calendar knows.
    pub fn skipped(
        &self,
        since: UnixSeconds,
        last: Option<UnixSeconds>,
        before: UnixSeconds,
    ) -> Option<Skipped> {
        let first = self.next(since, last)?;
        let room = before.checked_sub(first)?.checked_sub(1)?;
        match self {
            Self::Once { .. } => Some(Skipped { count: 1, first, last: first }),
            Self::Every { seconds } => {
                let period = u64::from(*seconds);
                let more = room.checked_div(period)?;
                let last = first.checked_add(more.checked_mul(period)?)?;
                Some(Skipped { count: more.checked_add(1)?, first, last })
            }
            Self::Cron { .. } => None,
        }
    }
}

/// What holds for each run of a task.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct TaskTerms {
    /// Most that is paid for a run with all its tries, in the lease's asset.
    pub budget_per_run: Balance,
    /// How long a run's app may take, all tries and pauses together.
    pub deadline_seconds: u32,
    /// How long after its scheduled time a run may begin; later it is missed.
    pub start_seconds_max: u32,
}

/// How a run ended.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub enum RunOutcome {
    /// The app ended with this exit code (128 + signal number where a signal ended it).
    Exited(i32),
    /// It took longer than it may, and was ended.
    DeadlineExceeded,
    /// The agent was asked to stop before the app had ended.
    Stopped,
}

impl RunOutcome {
    /// Whether the app did what it was to do.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

/// A file that a run has left.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Artefact {
    /// BLAKE2b-256 of its path as the manifest has it.
    pub name: Hash256,
    /// BLAKE2b-256 of its content.
    pub content: Hash256,
}

/// The enclave's signed statement of how a run ended.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct RunResult {
    /// Which lease pays.
    pub lease: LeaseId,
    /// In which slot it ran.
    pub replica: ReplicaIndex,
    /// Which run, as the host has told the agent; the chain compares it with what was begun.
    pub run: RunId,
    /// For when it was scheduled, as the host has told the agent; compared as well.
    pub scheduled_at: UnixSeconds,
    /// When its app was first started.
    pub started_at: UnixSeconds,
    /// When its app ended for the last time.
    pub ended_at: UnixSeconds,
    /// How often the app was started.
    pub tries: u32,
    /// How it ended.
    pub outcome: RunOutcome,
    /// [`output_hash`] of all that the last try has written.
    pub output_hash: Hash256,
    /// The log's head at the end; no chunk where the manifest asks for no proved log.
    pub log: LogHead,
    /// What the manifest's `artefacts` were at the end, in its order; what was not there is left out.
    pub artefacts: BoundedVec<Artefact, ConstU32<ARTEFACTS_MAX>>,
    /// [`UsageRecord::hash`] of the run's last record, which is the one that is paid.
    pub last_record: Hash256,
}

impl RunResult {
    /// Says what is signed, so that a signature is never taken for one over something else.
    pub const SIGNING_CONTEXT: &'static [u8] = b"casemate/run-result/v1";

    /// The bytes that the agent signs.
    pub fn signing_payload(&self, genesis_hash: &Hash256) -> Vec<u8> {
        (Self::SIGNING_CONTEXT, genesis_hash, self).encode()
    }

    /// Whether `record` is the run's last one.
    pub fn closes_with(&self, record: &UsageRecord) -> bool {
        record.lease == self.lease
            && record.replica == self.replica
            && record.hash() == self.last_record
    }
}

/// What [`RunResult::output_hash`] is made of: the BLAKE2b-256 hashes of all bytes that were written
/// to standard output and to standard error. Each stream has an order; the two together have none.
pub fn output_hash(stdout: &Hash256, stderr: &Hash256) -> Hash256 {
    blake2_256(&(stdout, stderr).encode())
}

#[cfg(test)]
mod tests;
