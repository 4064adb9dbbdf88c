//! How it ends: the result of a run, and the records, the last one above all.

use std::time::{Duration, Instant};

use casemate_primitives::{AgentSignature, PodState, RunOutcome, UnixSeconds, UsageRecord};

use super::{DRAIN, Message, State, Supervisor};
use crate::{
    Observed,
    event::EventKind,
    meter::{Counts, SAMPLE},
    output::now_ms,
    task::{Found, Hashing, Run},
    tee::Tee,
};

/// How long the other containers' last output is waited for when the pod is stopped. Whoever stops it
/// waits five seconds for the last record after its second signal.
const RELAYED_WAIT: Duration = Duration::from_secs(2);

/// What a run's artefacts get in any case, however late its app has ended: hundreds of MiB can be hashed
/// in that. The chain waits an hour for a result that is late.
const HASHING_MIN: Duration = Duration::from_secs(10);

/// How long hashing goes on when the pod is stopped, as for [`RELAYED_WAIT`].
const HASHING_STOPPED: Duration = Duration::from_secs(2);

/// Pause before the next try to write what the host's disk had no room for.
const REWRITE: Duration = Duration::from_secs(1);

/// A run whose artefacts are being hashed.
#[derive(Debug)]
pub(super) struct Ending {
    hashing: Hashing,
    outcome: RunOutcome,
    ended_at: UnixSeconds,
    /// When the rest is given up.
    pub(super) until: Instant,
    is_hurried: bool,
}

impl Ending {
    /// The pod is being stopped; by the second call whoever does that waits no longer.
    pub(super) fn hurry(&mut self) {
        let patience = if self.is_hurried { Duration::ZERO } else { HASHING_STOPPED };
        self.is_hurried = true;
        self.until = self.until.min(Instant::now() + patience);
    }
}

impl Supervisor {
    /// The run's app has ended, or is started no more: what it has left is hashed.
    pub(super) fn end_run(&mut self, outcome: RunOutcome) -> State {
        self.set_ready(Err("the run has ended".into()));
        let ended_at = now_ms() / 1000;
        let paths = self.run.as_ref().map(Run::artefacts).unwrap_or_default().to_vec();
        let hashed = self.hashed.clone().filter(|_| !paths.is_empty());
        let Some(hashed) = hashed else {
            return self.sign_run(outcome, ended_at, Found::default());
        };
        let storage_mib = self.config.signer.as_ref().map_or(0, |s| s.quota.storage_mib);
        let done = move || {
            let _ = hashed.send(Message::Hashed);
        };
        match Hashing::start(paths, u64::from(storage_mib) << 20, done) {
            Ok(hashing) => {
                let now = Instant::now();
                let deadline = self.run.as_ref().and_then(Run::deadline).unwrap_or(now);
                let until = deadline.max(now + HASHING_MIN);
                let mut ending = Ending { hashing, outcome, ended_at, until, is_hurried: false };
                if self.stopping {
                    ending.hurry();
                }
                State::Hashing(ending)
            }
            Err(err) => {
                self.output.say(&format!("no thread to hash the run's artefacts: {err}"));
                self.sign_run(outcome, ended_at, Found::default())
            }
        }
    }

    /// Its artefacts are hashed, or the time for that is over.
    pub(super) fn end_hashed(&mut self, state: State) -> State {
        let State::Hashing(Ending { hashing, outcome, ended_at, .. }) = state else { return state };
        let found = hashing.take();
        // Whoever stops the pod must not choose which artefacts are missing from what is paid.
        let is_cut = self.stopping && !found.is_complete;
        let outcome = match outcome {
            RunOutcome::Exited(_) if is_cut => RunOutcome::Stopped,
            outcome => outcome,
        };
        self.sign_run(outcome, ended_at, found)
    }

    /// Signs how the run has ended, with its last record. Nothing is metered or signed after it: the key
    /// is wiped.
    fn sign_run(&mut self, outcome: RunOutcome, ended_at: UnixSeconds, found: Found) -> State {
        for why in &found.left_out {
            self.output.say(why);
        }
        self.output.report_dropped();
        self.output.drain(DRAIN);
        // A second that has begun is a whole one: else runs of less than one would cost nothing.
        let elapsed = self.start.elapsed().as_millis().div_ceil(1000);
        let elapsed = Duration::from_secs(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let signed = self.record_at(now_ms().div_ceil(1000), elapsed);
        if let (Some(run), Some(signer), Some((record, signature))) =
            (self.run.take(), &self.signer, signed)
        {
            let log = record.log;
            let result = run.result(signer, outcome, found.artefacts, &record, log, ended_at);
            let of_result = signer.sign_result(&result);
            self.emit_surely(EventKind::run_ended(&record, &signature, &result, &of_result));
        }
        self.forget_key();
        State::Ended
    }

    /// The last record; what is left of the container ends with the agent.
    pub(super) fn finish(mut self) -> i32 {
        if self.run.is_some() {
            self.sign_run(RunOutcome::Stopped, now_ms() / 1000, Found::default());
        } else {
            self.last_record();
        }
        self.code
    }

    /// Nothing is metered or signed after it: the key is wiped.
    pub(super) fn last_record(&mut self) {
        self.output.report_dropped();
        self.output.drain(DRAIN);
        if let Some(relayed) = self.relayed.as_ref().filter(|_| self.stopping) {
            // The other containers are stopped at the same time: the record covers their last words.
            relayed.wait(self.config.grace().min(RELAYED_WAIT));
        }
        if let Some((record, signature)) = self.make_record() {
            self.emit_surely(EventKind::record(&record, &signature));
        }
        self.forget_key();
    }

    fn forget_key(&mut self) {
        (self.signer, self.meter) = (None, None);
        (self.next_record, self.next_sample) = (None, None);
    }

    /// Writes what comes once: where there is no room now, it is tried again until there is some.
    pub(super) fn emit_surely(&mut self, kind: EventKind) {
        if !self.output.emit(kind.clone()) {
            self.unwritten = Some((kind, Instant::now() + REWRITE));
        }
    }

    /// Whether the pod is being stopped and all is written. Where it is not, whoever stops the pod kills
    /// the agent in the end.
    pub(super) fn is_done(&self) -> bool {
        self.stopping && self.unwritten.is_none()
    }

    pub(super) fn record(&mut self) {
        let Some((record, signature)) = self.make_record() else { return };
        // Where the disk is full: the next record says all that this one says, and more.
        self.output.emit(EventKind::record(&record, &signature));
        let interval = self.config.signer.as_ref().map_or(u64::MAX, |s| s.record_interval_ms);
        self.next_record = Instant::now().checked_add(Duration::from_millis(interval));
    }

    fn make_record(&mut self) -> Option<(UsageRecord, AgentSignature)> {
        self.record_at(now_ms() / 1000, self.start.elapsed())
    }

    fn record_at(
        &mut self,
        now: UnixSeconds,
        elapsed: Duration,
    ) -> Option<(UsageRecord, AgentSignature)> {
        self.sample(Instant::now());
        let signer = self.signer.as_mut()?;
        // Without evidence there is nobody who could be told apart from the host.
        let counts = self.tee.as_ref().map_or(Counts::Inside, |tee| Counts::of(tee.kind()));
        let observed = Observed {
            usage: self.meter.as_mut().map(|meter| meter.take(counts)).unwrap_or_default(),
            state: self.ended.map_or(PodState::Running, |code| PodState::Ended { code }),
            // All output so far, before the record that covers it.
            log: self.output.log_head(),
            evidence: self.tee.as_ref().and_then(Tee::evidence).unwrap_or_default(),
        };
        Some(signer.record(now, elapsed, &observed))
    }

    pub(super) fn sample(&mut self, now: Instant) {
        let Some(meter) = &mut self.meter else { return };
        meter.sample(now);
        self.next_sample = now.checked_add(SAMPLE);
    }
}
