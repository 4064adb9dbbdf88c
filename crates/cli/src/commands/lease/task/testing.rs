//! Tasks, runs and results for tests.

use casemate_client::chain::{OpenRunView, RunEntry, TaskView};
use casemate_primitives::{
    DeploymentId, LeaseId, LogHead, ReplicaIndex, RunId, RunOutcome, RunResult, Schedule,
    TaskTerms, UnixSeconds,
};

use crate::commands::lease::testing::PUBLISHER;

/// Task 1, with lease 7, of which every ten seconds from 1,000 on a run is due.
pub(super) fn task() -> TaskView {
    TaskView {
        id: DeploymentId(1),
        publisher: PUBLISHER,
        schedule: Schedule::Every { seconds: 10 },
        since: 1_000,
        last: None,
        last_begun: None,
        terms: TaskTerms { budget_per_run: 100, deadline_seconds: 60, start_seconds_max: 5 },
        lease: Some(LeaseId(7)),
        runs: 0,
        open: 0,
        missed: 0,
        stopped_at: None,
    }
}

pub(super) fn open_run(lease: u64, run: u64, scheduled_at: UnixSeconds) -> OpenRunView {
    OpenRunView {
        lease: LeaseId(lease),
        replica: 0,
        run: RunId(run),
        scheduled_at,
        begun_at: scheduled_at,
        budget: 100,
        until: scheduled_at + 100,
        manifest_hash: [0; 32],
    }
}

pub(super) fn result(run: u64, replica: ReplicaIndex, scheduled_at: UnixSeconds) -> RunResult {
    RunResult {
        lease: LeaseId(7),
        replica,
        run: RunId(run),
        scheduled_at,
        started_at: scheduled_at,
        ended_at: scheduled_at + 1,
        tries: 1,
        outcome: RunOutcome::Exited(0),
        output_hash: [0; 32],
        log: LogHead::default(),
        artefacts: Default::default(),
        last_record: [0; 32],
    }
}

pub(super) fn ended(run: u64, scheduled_at: UnixSeconds) -> RunEntry {
    RunEntry::Ended {
        result: Box::new(result(run, 0, scheduled_at)),
        key: [5; 32],
        signature: [0; 64],
        begun_at: scheduled_at,
        paid: 1,
    }
}
