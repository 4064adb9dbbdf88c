//! Tasks and runs as they are shown.

use casemate_client::{
    chain::{OpenRunView, RunEntry, TaskView},
    sealed_logs::{LogReport, OpenedLine, Standing},
};
use casemate_primitives::{
    AgentPublicKey, Balance, DeploymentId, Hash256, LeaseId, RunId, RunOutcome, RunResult,
    Schedule, UnixSeconds,
};
use casemate_schedule::{Timetable, tzdb_edition};
use serde::Serialize;

use super::{
    checked::KeyStanding,
    gaps::{COUNT_MAX, Gap},
};
use crate::{
    amount::Amount,
    asset::Unit,
    commands::attest::rfc3339,
    printer::{fields, printable, table},
};

/// A task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskInfo {
    task: DeploymentId,
    name: Option<String>,
    schedule: ScheduleInfo,
    stopped: bool,
    runs: u64,
    open: u32,
    missed: u64,
    lease: Option<LeaseId>,
    /// In the smallest unit of what the lease is paid in.
    run_budget: Amount,
    deadline_seconds: u32,
    /// The next scheduled time, also where it has come already.
    next_at: Option<UnixSeconds>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum ScheduleInfo {
    Once {
        at: Option<UnixSeconds>,
    },
    Every {
        seconds: u32,
    },
    #[serde(rename_all = "camelCase")]
    Cron {
        expression: String,
        time_zone: String,
        /// Edition of the tz database that times are told by.
        tzdb: &'static str,
    },
}

impl ScheduleInfo {
    fn of(schedule: &Schedule) -> Self {
        match schedule {
            Schedule::Once { at } => Self::Once { at: *at },
            Schedule::Every { seconds } => Self::Every { seconds: *seconds },
            Schedule::Cron { expression, time_zone, .. } => Self::Cron {
                expression: printable(&String::from_utf8_lossy(expression)),
                time_zone: printable(&String::from_utf8_lossy(time_zone)),
                tzdb: tzdb_edition(),
            },
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Once { at: None } => "once".to_owned(),
            Self::Once { at: Some(at) } => format!("once at {}", rfc3339(*at)),
            Self::Every { seconds } => format!("every {seconds} s"),
            Self::Cron { expression, time_zone, .. } => format!("{expression} ({time_zone})"),
        }
    }
}

impl TaskInfo {
    pub(super) fn of(task: &TaskView, name: Option<String>, now: UnixSeconds) -> Self {
        let timetable = Timetable::new(task.schedule.clone(), task.since).ok();
        // What it is too late for will never run.
        let late = now.saturating_sub(task.terms.start_seconds_max.into());
        let next_at = timetable.filter(|_| task.stopped_at.is_none()).and_then(|timetable| {
            match task.schedule {
                Schedule::Cron { .. } => timetable.next(task.last),
                _ => timetable.next(task.last.max(late.checked_sub(1))),
            }
        });
        Self {
            task: task.id,
            name,
            schedule: ScheduleInfo::of(&task.schedule),
            stopped: task.stopped_at.is_some(),
            runs: task.runs,
            open: task.open,
            missed: task.missed,
            lease: task.lease,
            run_budget: Amount(task.terms.budget_per_run),
            deadline_seconds: task.terms.deadline_seconds,
            next_at,
        }
    }
}

/// A schedule for people.
pub(super) fn schedule_text(schedule: &Schedule) -> String {
    ScheduleInfo::of(schedule).text()
}

pub(super) fn tasks_table(tasks: &[TaskInfo]) -> String {
    if tasks.is_empty() {
        return String::new();
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|task| {
            vec![
                task.task.to_string(),
                or_dash(task.name.clone()),
                if task.stopped { "stopped".to_owned() } else { task.schedule.text() },
                task.runs.to_string(),
                task.open.to_string(),
                task.missed.to_string(),
                or_dash(task.next_at.map(rfc3339)),
                or_dash(task.lease.map(|lease| lease.to_string())),
            ]
        })
        .collect();
    table(&["TASK", "NAME", "SCHEDULE", "RUNS", "OPEN", "MISSED", "NEXT", "LEASE"], &rows)
}

/// An entry of a task's history, or an open run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunInfo {
    run: Option<RunId>,
    state: &'static str,
    lease: Option<LeaseId>,
    scheduled_at: UnixSeconds,
    started_at: Option<UnixSeconds>,
    ended_at: Option<UnixSeconds>,
    outcome: Option<RunOutcome>,
    tries: Option<u32>,
    paid: Option<Amount>,
    /// What it was paid in, if that is still known.
    asset: Option<String>,
    #[serde(skip)]
    paid_text: Option<String>,
    /// How many scheduled times were missed, the first of them at `scheduledAt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
    /// Of how many scheduled times the chain knows nothing, the first of them at `scheduledAt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    /// Whether the schedule has no such time.
    pub(super) off_schedule: bool,
}

impl RunInfo {
    fn new(run: Option<RunId>, state: &'static str, scheduled_at: UnixSeconds) -> Self {
        Self {
            run,
            state,
            lease: None,
            scheduled_at,
            started_at: None,
            ended_at: None,
            outcome: None,
            tries: None,
            paid: None,
            asset: None,
            paid_text: None,
            missed: None,
            skipped: None,
            off_schedule: false,
        }
    }

    pub(super) fn of_entry<'a>(
        entry: &RunEntry,
        is_off: &dyn Fn(UnixSeconds) -> bool,
        unit: &dyn Fn(LeaseId) -> Option<&'a Unit>,
    ) -> Self {
        match entry {
            RunEntry::Ended { result, paid, .. } => Self {
                lease: Some(result.lease),
                started_at: Some(result.started_at),
                ended_at: Some(result.ended_at),
                outcome: Some(result.outcome),
                tries: Some(result.tries),
                paid: Some(Amount(*paid)),
                asset: unit(result.lease).map(Unit::symbol),
                paid_text: Some(paid_text(*paid, unit(result.lease))),
                off_schedule: is_off(result.scheduled_at),
                ..Self::new(Some(result.run), "ended", result.scheduled_at)
            },
            RunEntry::Lost { run, lease, scheduled_at } => Self {
                lease: Some(*lease),
                off_schedule: is_off(*scheduled_at),
                ..Self::new(Some(*run), "lost", *scheduled_at)
            },
            RunEntry::Missed { count, first, last } => Self {
                missed: Some(*count),
                off_schedule: is_off(*first) || is_off(*last),
                ..Self::new(None, "missed", *first)
            },
        }
    }

    pub(super) fn of_gap(gap: Gap) -> Self {
        Self { skipped: Some(gap.count), ..Self::new(None, "skipped", gap.first) }
    }

    pub(super) fn is_skipped(&self) -> bool {
        self.skipped.is_some()
    }

    /// A key to sort by: time, then number.
    pub(super) fn order(&self) -> (UnixSeconds, Option<RunId>) {
        (self.scheduled_at, self.run)
    }

    pub(super) fn of_open(run: &OpenRunView, off_schedule: bool) -> Self {
        Self {
            lease: Some(run.lease),
            off_schedule,
            ..Self::new(Some(run.run), "open", run.scheduled_at)
        }
    }
}

/// Of a lease that the chain has forgotten nobody knows any more what it was paid in.
fn paid_text(paid: Balance, unit: Option<&Unit>) -> String {
    unit.map_or_else(|| format!("{paid} units"), |unit| unit.text(paid))
}

fn outcome_text(outcome: RunOutcome) -> String {
    match outcome {
        RunOutcome::Exited(code) => format!("exit code {code}"),
        RunOutcome::DeadlineExceeded => "deadline exceeded".to_owned(),
        RunOutcome::Stopped => "stopped".to_owned(),
    }
}

pub(super) fn runs_table(runs: &[RunInfo]) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let mut state = match (run.missed, run.skipped) {
                (Some(count), _) => format!("missed {count}"),
                (None, Some(COUNT_MAX)) => format!("skipped {COUNT_MAX} or more"),
                (None, Some(count)) => format!("skipped {count}"),
                (None, None) => run.state.to_owned(),
            };
            if run.off_schedule {
                state.push_str(", off schedule");
            }
            vec![
                or_dash(run.run.map(|run| run.to_string())),
                state,
                rfc3339(run.scheduled_at),
                or_dash(run.outcome.map(outcome_text)),
                or_dash(run.tries.map(|tries| tries.to_string())),
                or_dash(run.paid_text.clone()),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["RUN", "STATE", "SCHEDULED", "OUTCOME", "TRIES", "PAID"], &rows)
}

/// A result whose signature was checked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultInfo {
    task: DeploymentId,
    run: RunId,
    lease: LeaseId,
    replica: u16,
    scheduled_at: UnixSeconds,
    started_at: UnixSeconds,
    ended_at: UnixSeconds,
    tries: u32,
    outcome: RunOutcome,
    success: bool,
    output_hash: String,
    artefacts: Vec<ArtefactInfo>,
    log_root: String,
    log_chunks: u64,
    last_record: String,
    agent_key: String,
    checked: Checked,
    paid: Amount,
    /// What it was paid in, if that is still known.
    asset: Option<String>,
    #[serde(skip)]
    paid_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<LogsInfo>,
}

/// What was checked of a result, and by whose word.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    /// Always true: one that `agentKey` has not signed is not shown.
    signature: bool,
    /// What the node tells of that key.
    #[serde(flatten)]
    key: KeyStanding,
    /// The node.
    node: String,
    /// With `--logs`: whether the proved lines are what `outputHash` is the hash of; `null` where that
    /// could not be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Option<bool>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtefactInfo {
    /// BLAKE2b-256 of its path in the manifest.
    name: String,
    /// BLAKE2b-256 of its content.
    content: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogsInfo {
    complete: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    lines: Vec<String>,
}

fn hex_text(hash: &Hash256) -> String {
    format!("0x{}", hex::encode(hash))
}

impl ResultInfo {
    pub(super) fn of(
        task: DeploymentId,
        result: &RunResult,
        key: &AgentPublicKey,
        (standing, node): (KeyStanding, &str),
        (paid, unit): (Balance, Option<&Unit>),
    ) -> Self {
        let artefact = |artefact: &casemate_primitives::task::Artefact| ArtefactInfo {
            name: hex_text(&artefact.name),
            content: hex_text(&artefact.content),
        };
        Self {
            task,
            run: result.run,
            lease: result.lease,
            replica: result.replica,
            scheduled_at: result.scheduled_at,
            started_at: result.started_at,
            ended_at: result.ended_at,
            tries: result.tries,
            outcome: result.outcome,
            success: result.outcome.is_success(),
            output_hash: hex_text(&result.output_hash),
            artefacts: result.artefacts.iter().map(artefact).collect(),
            log_root: hex_text(&result.log.root),
            log_chunks: result.log.chunks,
            last_record: hex_text(&result.last_record),
            agent_key: hex_text(key),
            checked: Checked {
                signature: true,
                key: standing,
                node: printable(node),
                output: None,
            },
            paid: Amount(paid),
            asset: unit.map(Unit::symbol),
            paid_text: paid_text(paid, unit),
            logs: None,
        }
    }

    pub(super) fn add_logs(
        &mut self,
        report: &LogReport,
        lines: Vec<OpenedLine>,
        is_output: Option<bool>,
    ) {
        self.checked.output = Some(is_output);
        let problems: Vec<String> =
            report.problems.iter().map(|problem| printable(&problem.to_string())).collect();
        let lines = lines.into_iter().filter(|line| line.standing == Standing::Proved);
        let text = |line: OpenedLine| printable(&String::from_utf8_lossy(&line.line.text));
        let lines = lines.map(text).collect();
        self.logs = Some(LogsInfo { complete: problems.is_empty(), problems, lines });
    }

    pub(super) fn log_problem(&self) -> Option<&str> {
        self.logs.as_ref()?.problems.first().map(String::as_str)
    }

    fn output_text(&self) -> String {
        let hash = &self.output_hash;
        match self.checked.output {
            None => hash.clone(),
            Some(Some(true)) => format!("{hash} (what the lines below hash to)"),
            // The log keeps no carriage return at a line's end.
            Some(Some(false)) => format!("{hash} (NOT what the lines below hash to)"),
            Some(None) => format!("{hash} (not compared with the lines below)"),
        }
    }

    pub(super) fn text(&self) -> String {
        let node = &self.checked.node;
        let mut lines = vec![
            ("task", self.task.to_string()),
            ("run", self.run.to_string()),
            ("outcome", outcome_text(self.outcome)),
            ("tries", self.tries.to_string()),
            ("scheduled", rfc3339(self.scheduled_at)),
            ("started", rfc3339(self.started_at)),
            ("ended", rfc3339(self.ended_at)),
            ("output", self.output_text()),
            ("log", format!("{} ({} chunks)", self.log_root, self.log_chunks)),
            ("paid", self.paid_text.clone()),
            ("signed by", format!("agent {}", self.agent_key)),
            ("agent is", format!("{} (as the node at {} tells)", self.checked.key.text(), node)),
        ];
        for artefact in &self.artefacts {
            lines.push(("artefact", format!("{} {}", artefact.name, artefact.content)));
        }
        let logs = self.logs.iter().flat_map(|logs| &logs.lines);
        logs.fold(fields(&lines), |text, line| text + line + "\n")
    }
}
