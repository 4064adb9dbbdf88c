//! What a task's manifest must be.

use super::{Faults, limits::*};
use crate::{Kind, Manifest, RestartPolicy, ScheduleSpec, TaskSpec, path::Path};
use std::collections::BTreeSet;

const ARTEFACT_BYTES_MAX: usize = 1024;
/// As the chain has it: `casemate_primitives::task`.
const CRON_BYTES_MAX: usize = 128;
const TIME_ZONE_BYTES_MAX: usize = 64;

/// `at` is the spec.
pub(super) fn check(manifest: &Manifest, at: &Path, faults: &mut Faults) {
    let spec = &manifest.spec;
    let task = match (manifest.kind, &spec.task) {
        (Kind::Service, None) => return,
        (Kind::Service, Some(_)) => {
            faults.add(at.at("task"), "`task` in a Service", "`kind: Task`, or no `task`");
            return;
        }
        (Kind::Task, None) => {
            let allowed = "`task: {deadlineSeconds, runBudget}`, with a `schedule` where it runs more \
                           than once";
            faults.add(at.at("task"), "a Task without `task`", allowed);
            return;
        }
        (Kind::Task, Some(task)) => task,
    };
    if spec.restart_policy != RestartPolicy::Always {
        let allowed = "none of a Task: `task.retries` says how often its app is started again";
        faults.add(at.at("restartPolicy"), "a restart policy", allowed);
    }
    let at_containers = at.at("containers");
    if spec.containers.len() > 1 {
        let found = format!("{} containers", spec.containers.len());
        faults.add(at_containers.clone(), found, "one container in a Task: its end is the run's");
    }
    for (index, container) in spec.containers.iter().enumerate() {
        let at = at_containers.at(index);
        let is_probed = [
            ("readinessProbe", &container.readiness_probe),
            ("livenessProbe", &container.liveness_probe),
            ("startupProbe", &container.startup_probe),
        ];
        for (name, probe) in is_probed {
            if probe.is_some() {
                let allowed = "none in a Task: its exit code and `deadlineSeconds` tell its health";
                faults.add(at.at(name), "a probe", allowed);
            }
        }
        if !container.ports.is_empty() {
            faults.add(at.at("ports"), "ports", "none in a Task: nobody is routed to its runs");
        }
    }
    fields(task, &at.at("task"), faults);
}

fn fields(task: &TaskSpec, at: &Path, faults: &mut Faults) {
    faults.range(at.at("deadlineSeconds"), task.deadline_seconds, 1, TASK_SECONDS_MAX);
    faults.range(at.at("startSecondsMax"), task.start_seconds_max, 1, TASK_SECONDS_MAX);
    faults.range(at.at("retries"), task.retries, 0, TASK_RETRIES_MAX);
    faults.range(at.at("backoffSeconds"), task.backoff_seconds, 0, TASK_BACKOFF_SECONDS_MAX);
    let at_artefacts = at.at("artefacts");
    faults.count(at_artefacts.clone(), task.artefacts.len(), ARTEFACTS_MAX);
    let mut seen = BTreeSet::new();
    for (index, path) in task.artefacts.iter().enumerate() {
        let allowed = "an absolute path of a file, without `..`, at most 1024 bytes";
        faults.text(at_artefacts.at(index), path, is_artefact, allowed);
        faults.unique(at_artefacts.at(index), path.as_str(), "artefact", &mut seen);
    }
    if let Some(schedule) = &task.schedule {
        check_schedule(schedule, &at.at("schedule"), faults);
    }
}

fn check_schedule(schedule: &ScheduleSpec, at: &Path, faults: &mut Faults) {
    match (schedule.every, &schedule.cron) {
        (Some(seconds), None) => {
            faults.range(at.at("every"), seconds, TASK_PERIOD_SECONDS_MIN, u32::MAX);
            if schedule.time_zone.is_some() {
                faults.add(
                    at.at("timeZone"),
                    "a time zone",
                    "none with `every`: only `cron` has one",
                );
            }
        }
        (None, Some(expression)) => {
            let allowed = "five fields (minute, hour, day of month, month, day of week), at most 128 \
                           bytes";
            faults.text(at.at("cron"), expression, is_cron, allowed);
            if let Some(zone) = &schedule.time_zone {
                let allowed = "a name of the tz database, such as `Europe/Berlin`";
                faults.text(at.at("timeZone"), zone, is_zone, allowed);
            }
        }
        (every, _) => {
            let found = if every.is_some() { "both `every` and `cron`" } else { "neither" };
            let allowed = "exactly one of `every: SECONDS` and `cron: \"0 3 * * *\"`, or no schedule \
                           to run once";
            faults.add(at.clone(), found, allowed);
        }
    }
}

fn is_artefact(path: &str) -> bool {
    path.len() <= ARTEFACT_BYTES_MAX
        && path.len() > 1
        && path.starts_with('/')
        && !path.ends_with('/')
        && !path.chars().any(char::is_control)
        && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."))
}

/// What the chain takes. Whether it means something is for who evaluates it.
fn is_cron(expression: &str) -> bool {
    expression.len() <= CRON_BYTES_MAX
        && expression.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && expression.split(' ').filter(|field| !field.is_empty()).count() == 5
}

fn is_zone(zone: &str) -> bool {
    (1..=TIME_ZONE_BYTES_MAX).contains(&zone.len())
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
}
