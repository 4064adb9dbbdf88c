//! A run of a task: its tries, its time, and what is said of its end.
//!
//! The host says which run it is and nothing else: deadline, retries and artefacts are the manifest's,
//! which evidence covers. Time is counted by the clock that is never set.

mod artefacts;

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use blake2::{Blake2b, Digest as _, digest::consts::U32};
use casemate_primitives::{
    Hash256, LogHead, RunOutcome, RunResult, UnixSeconds, UsageRecord,
    task::{Artefact, output_hash},
};

use crate::{Signer, config::TaskConfig};

pub(crate) use artefacts::{Found, Hashing};

type Hasher = Blake2b<U32>;

/// The longest pause before a retry.
const BACKOFF_MAX: Duration = Duration::from_secs(3_600);

/// What one stream of the app has written so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamHash(Arc<Mutex<Hasher>>);

impl StreamHash {
    fn get(&self) -> Hash256 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize().into()
    }
}

/// Reads what is also hashed.
#[derive(Debug)]
pub(crate) struct Hashed<R> {
    input: R,
    hash: Option<StreamHash>,
}

impl<R> Hashed<R> {
    pub(crate) fn new(input: R, hash: Option<StreamHash>) -> Self {
        Self { input, hash }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        if let (Some(hash), Some(bytes)) = (&self.hash, buffer.get(..read)) {
            hash.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        }
        Ok(read)
    }
}

/// What follows when the app has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// It is started again after a pause.
    Retry(Duration),
    /// The run has ended.
    End(RunOutcome),
}

/// One run.
#[derive(Debug)]
pub(crate) struct Run {
    config: TaskConfig,
    tries: u32,
    started: Option<(UnixSeconds, Instant)>,
    is_late: bool,
    output: [StreamHash; 2],
}

impl Run {
    pub(crate) fn new(config: TaskConfig) -> Self {
        let output = Default::default();
        Self { config, tries: 0, started: None, is_late: false, output }
    }

    /// The app is started (again): its output is hashed anew, by what this gives for each stream.
    pub(crate) fn starts(&mut self, now: UnixSeconds, at: Instant) -> [StreamHash; 2] {
        self.tries = self.tries.saturating_add(1);
        self.started.get_or_insert((now, at));
        self.output = Default::default();
        self.output.clone()
    }

    /// When its time is over; `None` before its first try, and once that was said.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (_, at) = self.started.filter(|_| !self.is_late)?;
        at.checked_add(Duration::from_millis(self.config.limits.deadline_ms))
    }

    /// Whether its time is over now; says so once.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        let is_over = self.deadline().is_some_and(|deadline| deadline <= now);
        self.is_late |= is_over;
        is_over
    }

    /// What follows, where the app has ended with `code`.
    pub(crate) fn next(&self, code: i32, is_stopping: bool) -> Next {
        // What ends the app first is told, whatever came while it was ending.
        if self.is_late {
            return Next::End(RunOutcome::DeadlineExceeded);
        }
        if is_stopping {
            return Next::End(RunOutcome::Stopped);
        }
        if code == 0 || self.tries > self.config.limits.retries {
            return Next::End(RunOutcome::Exited(code));
        }
        let doublings = self.tries.saturating_sub(1).min(31);
        let first = Duration::from_millis(self.config.limits.backoff_ms);
        Next::Retry(first.saturating_mul(1 << doublings).min(BACKOFF_MAX))
    }

    /// The manifest's `artefacts`.
    pub(crate) fn artefacts(&self) -> &[String] {
        &self.config.limits.artefacts
    }

    /// What is said of its end; `record` is its last one.
    pub(crate) fn result(
        &self,
        signer: &Signer,
        outcome: RunOutcome,
        artefacts: Vec<Artefact>,
        record: &UsageRecord,
        log: LogHead,
        ended_at: UnixSeconds,
    ) -> RunResult {
        let (lease, replica) = signer.pod();
        let started_at = self.started.map_or(ended_at, |(at, _)| at);
        let [stdout, stderr] = &self.output;
        RunResult {
            lease,
            replica,
            run: self.config.run,
            scheduled_at: self.config.scheduled_at,
            started_at,
            // A clock that was set back must not make it end before it began.
            ended_at: ended_at.max(started_at),
            tries: self.tries,
            outcome,
            output_hash: output_hash(&stdout.get(), &stderr.get()),
            log,
            // Configurations with more than fit are refused.
            artefacts: artefacts.try_into().unwrap_or_default(),
            last_record: record.hash(),
        }
    }
}

#[cfg(test)]
mod tests;
