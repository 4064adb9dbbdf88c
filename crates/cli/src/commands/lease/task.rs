//! `casemate task`: schedules, runs, and their signed results.

mod checked;
mod gaps;
mod lost;
mod show;
pub(super) mod takeover;
#[cfg(test)]
mod testing;

use std::{collections::BTreeMap, time::Instant};

use casemate_client::{
    chain::{Call, LeaseState, LeaseView, RunEntry, TaskView},
    records::verify_result,
};
use casemate_manifest::{Manifest, TaskSpec};
use casemate_primitives::{
    AgentPublicKey, Balance, DeploymentId, LeaseId, RunId, RunResult, Schedule, TaskTerms,
    UnixSeconds,
};
use casemate_schedule::{Calendar, Timetable};

pub(super) use self::lost::record_lost;
use self::{
    checked::KeyStanding,
    show::{ResultInfo, RunInfo, TaskInfo},
};
use super::{POLL, logs::prove, notes, place::Place};
use crate::{
    amount::Amount,
    asset::{AnyAmount, Unit},
    chain_ops::Chain,
    cli::{SetScheduleArgs, TaskCommand, TaskResultArgs, TaskRunArgs},
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    kept_records::AnchoredHead,
    printer::{fields, printable},
};

/// Does what was asked.
pub(crate) async fn run(context: &Context, command: TaskCommand) -> anyhow::Result<()> {
    match command {
        TaskCommand::List => list(context).await,
        TaskCommand::Run(args) => run_once(context, &args).await,
        TaskCommand::Runs { task } => runs(context, task).await,
        TaskCommand::Result(args) => result(context, &args).await,
        TaskCommand::SetSchedule(args) => set_schedule(context, &args).await,
        TaskCommand::Stop { task, forget } => stop(context, task, forget).await,
        TaskCommand::Recharge { task, amount, lease } => {
            recharge(context, task, amount, lease).await
        }
    }
}

/// What a Task's manifest asks the chain for, where runs are paid in `unit`; `None` of a service's.
pub(super) fn wanted(
    manifest: &Manifest,
    unit: &Unit,
    now: UnixSeconds,
) -> anyhow::Result<Option<(Schedule, TaskTerms)>> {
    let Some(task) = &manifest.spec.task else { return Ok(None) };
    let schedule = match &task.schedule {
        None => Schedule::Once { at: None },
        Some(schedule) => match (schedule.every, &schedule.cron) {
            (Some(seconds), _) => Schedule::Every { seconds },
            (None, cron) => {
                let zone = schedule.time_zone.as_deref().unwrap_or("UTC");
                calendar(cron.as_deref().unwrap_or_default(), zone, now)?
            }
        },
    };
    Ok(Some((schedule, terms(task, unit)?)))
}

fn terms(task: &TaskSpec, unit: &Unit) -> anyhow::Result<TaskTerms> {
    let refused = || {
        Failure::usage(format!(
            "the budget `{}` of a run can't be counted in {}",
            task.run_budget,
            unit.symbol()
        ))
        .hint("correct `spec.task.runBudget` in the manifest")
    };
    let in_units = |decimals| task.run_budget.in_units(decimals);
    let budget_per_run = unit.decimals().and_then(in_units).or_fail(refused)?;
    Ok(TaskTerms {
        budget_per_run,
        deadline_seconds: task.deadline_seconds,
        start_seconds_max: task.start_seconds_max,
    })
}

fn calendar(expression: &str, time_zone: &str, now: UnixSeconds) -> anyhow::Result<Schedule> {
    let refused = || {
        Failure::usage(format!("`{}` is no schedule", printable(expression)))
            .hint("write minute, hour, day of month, month and day of week, such as `0 3 * * 1`")
    };
    let calendar = Calendar::new(expression, time_zone).or_fail(refused)?;
    Ok(Schedule::Cron {
        expression: expression.as_bytes().to_vec().try_into().ok().or_fail(refused)?,
        time_zone: time_zone.as_bytes().to_vec().try_into().ok().or_fail(refused)?,
        seconds_min: calendar.seconds_min(now),
    })
}

/// A task of this account.
pub(super) async fn own(
    chain: &Chain,
    signer: &Signer,
    task: DeploymentId,
) -> anyhow::Result<TaskView> {
    let found = find(chain, task).await?;
    if found.publisher != signer.address.0 {
        return fail(
            Failure::new(format!("task {task} belongs to another account"))
                .hint("choose its key with --account NAME"),
        );
    }
    Ok(found)
}

async fn find(chain: &Chain, task: DeploymentId) -> anyhow::Result<TaskView> {
    chain.client().task(task).await?.or_fail(|| {
        Failure::new(format!("there is no task {task}, or it was forgotten"))
            .hint("see which you have: casemate task list")
    })
}

/// What a lease is paid in; `None` once the chain has forgotten it.
async fn unit_of(chain: &Chain, lease: LeaseId) -> anyhow::Result<Option<Unit>> {
    let Some(details) = chain.client().lease_details(lease).await? else { return Ok(None) };
    Ok(Some(chain.unit(details.terms.asset).await?))
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let publisher = context.own_address()?;
    let chain = Chain::connect(context).await?;
    let (now, notes) = (chain.time().await?, notes(context, &chain));
    let tasks = chain.client().tasks_of(&publisher.0).await?;
    let name = |task: &TaskView| task.lease.and_then(|lease| notes.name(lease));
    let tasks: Vec<TaskInfo> =
        tasks.iter().map(|task| TaskInfo::of(task, name(task), now)).collect();
    if tasks.is_empty() {
        context
            .printer
            .note(format!("{publisher} has no task. Make one: casemate deploy, with `kind: Task`"));
    }
    context.printer.data(&tasks, || show::tasks_table(&tasks))
}

async fn runs(context: &Context, task: DeploymentId) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let runs = runs_of(&chain, &find(&chain, task).await?).await?;
    if runs.iter().any(|run| run.off_schedule) {
        context.printer.warn(
            "what is marked `off schedule` was begun, or called missed, at times that the schedule, \
             as this program reads it, does not have",
        );
    }
    if runs.iter().any(RunInfo::is_skipped) {
        context.printer.warn(
            "of times marked `skipped` the chain knows neither a run nor that they were missed: \
             nobody has run them",
        );
    }
    context.printer.data(&runs, || show::runs_table(&runs))
}

async fn runs_of(chain: &Chain, task: &TaskView) -> anyhow::Result<Vec<RunInfo>> {
    let timetable = Timetable::new(task.schedule.clone(), task.since).ok();
    // What was scheduled before the present schedule was set is not compared with it.
    let is_off = |at: UnixSeconds| {
        at >= task.since && timetable.as_ref().is_some_and(|timetable| !timetable.has(at))
    };
    // In this order: what ends in between is seen twice, and is not taken for skipped.
    let open = chain.client().open_runs_of(task).await?;
    let history = chain.client().task_history(task.id).await?;
    let skipped = gaps::gaps(task, &open, &history, chain.time().await?);
    let mut units = BTreeMap::new();
    for entry in &history {
        if let RunEntry::Ended { result, .. } = entry
            && !units.contains_key(&result.lease)
        {
            units.insert(result.lease, unit_of(chain, result.lease).await?);
        }
    }
    let unit = |lease| units.get(&lease).and_then(Option::as_ref);
    let mut runs: Vec<RunInfo> =
        history.iter().map(|entry| RunInfo::of_entry(entry, &is_off, &unit)).collect();
    let has_ended = |run| ended(&history, Some(run)).is_some();
    let open = open.iter().filter(|run| !has_ended(run.run));
    runs.extend(open.map(|run| RunInfo::of_open(run, is_off(run.scheduled_at))));
    runs.extend(skipped.into_iter().map(RunInfo::of_gap));
    runs.sort_by_key(RunInfo::order);
    Ok(runs)
}

/// The end of a run in the history; `None` while there is none.
fn ended(history: &[RunEntry], run: Option<RunId>) -> Option<&RunEntry> {
    history.iter().rev().find(|entry| match entry {
        RunEntry::Ended { result, .. } => run.is_none_or(|run| run == result.run),
        RunEntry::Lost { run: lost, .. } => run == Some(*lost),
        RunEntry::Missed { .. } => false,
    })
}

async fn result(context: &Context, args: &TaskResultArgs) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let entry =
        wait_ended(&chain, args.task, args.run.map(RunId), args.wait, || args.timeout.duration());
    show_result(context, &chain, args.task, entry.await?, args.logs).await
}

async fn wait_ended(
    chain: &Chain,
    task: DeploymentId,
    run: Option<RunId>,
    waits: bool,
    limit: impl Fn() -> std::time::Duration,
) -> anyhow::Result<RunEntry> {
    find(chain, task).await?;
    let start = Instant::now();
    loop {
        let history = chain.client().task_history(task).await?;
        if let Some(entry) = ended(&history, run) {
            return Ok(entry.clone());
        }
        if !waits || start.elapsed() >= limit() {
            let what = run.map_or_else(|| "no run".to_owned(), |run| format!("run {run}"));
            let text = match run {
                None => format!("{what} of task {task} has ended"),
                Some(_) => format!("{what} of task {task} has not ended, or is not kept any more"),
            };
            return fail(
                Failure::new(text)
                    .hint(format!("see its runs: casemate task runs {task}; or wait: --wait")),
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn show_result(
    context: &Context,
    chain: &Chain,
    task: DeploymentId,
    entry: RunEntry,
    with_logs: bool,
) -> anyhow::Result<()> {
    let RunEntry::Ended { result, key, signature, paid, .. } = entry else {
        return fail(
            Failure::new(format!(
                "the run of task {task} was lost: it has no result, and nothing was paid"
            ))
            .hint("its provider lost its machine or gave up; see: casemate task runs"),
        );
    };
    // The chain has checked it; this program believes its node no more than a provider.
    verify_result(&result, &signature, &key, &chain.genesis_hash()).or_fail(|| {
        Failure::new(format!(
            "the result of run {} of task {task} is not signed by its agent",
            result.run
        ))
        .hint("the node shows what is not on chain: use another one (--rpc)")
    })?;
    let standing = key_standing(chain, task, &result, &key).await?;
    let unit = unit_of(chain, result.lease).await?;
    let by_node = (standing, context.settings.rpc.as_str());
    let mut info = ResultInfo::of(task, &result, &key, by_node, (paid, unit.as_ref()));
    if with_logs {
        let (signer, _, log_seed) = context.signer_and_log_seed()?;
        let lease = result.lease.to_string();
        let place = Place::find(context, chain, &signer, Some(&lease), None).await?;
        let head = AnchoredHead {
            replica: result.replica,
            key,
            head: result.log,
            sequence: 0,
            to: result.ended_at,
        };
        let genesis_hash = chain.genesis_hash();
        let secret = log_seed.secret(&genesis_hash);
        let (report, lines) = prove(&place, &head, genesis_hash, &secret).await?;
        let is_output = checked::is_output(&result, &report, &lines);
        info.add_logs(&report, lines, is_output);
    }
    context.printer.data(&info, || info.text())?;
    if let Some(problem) = info.log_problem() {
        return fail(
            Failure::new(format!("the output of run {} is not all proved: {problem}", result.run))
                .hint("what is shown is proved; the provider owes the rest"),
        );
    }
    Ok(())
}

/// What the node tells of the key that has signed a result.
async fn key_standing(
    chain: &Chain,
    task: DeploymentId,
    result: &RunResult,
    key: &AgentPublicKey,
) -> anyhow::Result<KeyStanding> {
    let lease = chain.client().lease_details(result.lease).await?;
    // In this order: a run that comes after this one is in what is read after its agent.
    let agents = chain.agents(result.lease).await?;
    let open = chain.client().open_runs(result.lease).await?;
    let history = chain.client().task_history(task).await?;
    checked::standing((task, result, key), lease.as_ref(), &agents, &open, &history).map_err(|why| {
        Failure::new(format!(
            "the result of run {} of task {task} is not of an agent that was attested for it: {why}",
            result.run
        ))
        .hint("the node shows what can't be on chain: use another one (--rpc)")
        .into_error()
    })
}

async fn run_once(context: &Context, args: &TaskRunArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let task = own(&chain, &signer, args.task).await?;
    if !matches!(task.schedule, Schedule::Once { .. }) {
        return fail(Failure::usage(format!("task {} runs by its schedule", task.id)).hint(
            "deploy the manifest without a schedule to run it by hand, or replace it: casemate \
                 task set-schedule TASK --once",
        ));
    }
    let (task, _) = record_lost(context, &chain, &signer, task).await?;
    let leases = chain.leases_of(signer.address).await?;
    let lease = live(&leases, &task);
    let unit = match lease {
        Some(lease) => chain.unit(lease.terms.asset).await?,
        None => Unit::Native,
    };
    check_run(&task, lease, &unit, chain.time().await?)?;
    let call = Call::SetSchedule { task: task.id, schedule: Schedule::Once { at: None } };
    let block = chain.call(&signer, call).await?;
    let run = RunId(task.runs.saturating_add(1));
    context.printer.note(format!("Run {run} of task {} is due", task.id));
    if args.wait {
        let limit = || args.timeout.duration();
        let entry = wait_ended(&chain, task.id, Some(run), true, limit).await?;
        return show_result(context, &chain, task.id, entry, false).await;
    }
    let value = serde_json::json!({ "task": task.id, "run": run, "block": block });
    context
        .printer
        .data(&value, || fields(&[("task", task.id.to_string()), ("run", run.to_string())]))
}

/// Whether a run that is asked for now would begin.
fn check_run(
    task: &TaskView,
    lease: Option<&LeaseView>,
    unit: &Unit,
    now: UnixSeconds,
) -> anyhow::Result<()> {
    let id = task.id;
    if task.stopped_at.is_some() {
        return fail(
            Failure::new(format!("task {id} is stopped: it runs no more"))
                .hint("deploy its manifest again: casemate deploy"),
        );
    }
    if task.open > 0 {
        return fail(
            Failure::new(format!("a run of task {id} is open"))
                .hint(format!("wait for it: casemate task result {id} --wait")),
        );
    }
    let Some(lease) = lease else {
        return fail(
            Failure::new(format!("no lease runs task {id}"))
                .hint(format!("open one: casemate deploy FILE --task {id}")),
        );
    };
    let budget = task.terms.budget_per_run;
    if lease.escrow < budget {
        return fail(
            Failure::new(format!(
                "lease {} has {} left, and a run begins with its whole budget of {} only",
                lease.id,
                unit.text(lease.escrow),
                unit.text(budget)
            ))
            .hint(format!("put more in: casemate task recharge {id} AMOUNT")),
        );
    }
    let due = task.schedule.next(task.since, task.last);
    if due.is_some_and(|at| now <= at.saturating_add(task.terms.start_seconds_max.into())) {
        return fail(
            Failure::new(format!("a run of task {id} is about to begin"))
                .hint(format!("wait for it: casemate task result {id} --wait")),
        );
    }
    Ok(())
}

async fn set_schedule(context: &Context, args: &SetScheduleArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let task = own(&chain, &signer, args.task).await?;
    let schedule = match (args.every, &args.cron) {
        (Some(seconds), _) => Schedule::Every { seconds },
        (None, Some(expression)) => calendar(expression, &args.time_zone, chain.time().await?)?,
        (None, None) => Schedule::Once { at: args.at },
    };
    let block = chain.call(&signer, Call::SetSchedule { task: task.id, schedule }).await?;
    let (task, now) = (find(&chain, task.id).await?, chain.time().await?);
    let info = TaskInfo::of(&task, None, now);
    let value = serde_json::json!({ "task": info, "block": block });
    context.printer.data(&value, || show::tasks_table(std::slice::from_ref(&info)))
}

async fn stop(context: &Context, task: DeploymentId, forget: bool) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let mut found = own(&chain, &signer, task).await?;
    if found.stopped_at.is_none() {
        let lease = live_lease(&chain, &signer, &found).await?;
        chain.call(&signer, Call::StopTask { task, lease }).await?;
        let closed = lease.map_or_else(String::new, |lease| format!(", lease {lease} is closed"));
        context.printer.note(format!("Task {task} is stopped{closed}"));
        found = find(&chain, task).await?;
    } else {
        context.printer.note(format!("Task {task} is stopped already"));
    }
    let mut is_forgotten = false;
    let (found, open) = record_lost(context, &chain, &signer, found).await?;
    if forget {
        if found.open > 0 {
            let then = format!("casemate task stop {task} --forget");
            return Err(lost::waits(&found, &open, &then).into_error());
        }
        chain.call(&signer, Call::ForgetTask { task }).await?;
        is_forgotten = true;
    }
    let value =
        serde_json::json!({ "task": task, "openRuns": found.open, "forgotten": is_forgotten });
    context.printer.data(&value, || {
        fields(&[("task", task.to_string()), ("open runs", found.open.to_string())])
    })
}

/// The lease that runs a task, or is about to: the one that began its last run, if it is not closed,
/// else the only other one of its deployment.
pub(super) async fn live_lease(
    chain: &Chain,
    signer: &Signer,
    task: &TaskView,
) -> anyhow::Result<Option<LeaseId>> {
    Ok(live(&chain.leases_of(signer.address).await?, task).map(|lease| lease.id))
}

fn live<'a>(leases: &'a [LeaseView], task: &TaskView) -> Option<&'a LeaseView> {
    let mut live = leases.iter().filter(|lease| {
        lease.deployment == task.id && !matches!(lease.state, LeaseState::Closing { .. })
    });
    let current = live.clone().find(|lease| task.lease == Some(lease.id));
    current.or_else(|| live.next())
}

async fn recharge(
    context: &Context,
    task: DeploymentId,
    amount: AnyAmount,
    lease: Option<LeaseId>,
) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let found = own(&chain, &signer, task).await?;
    let lease = match lease {
        Some(lease) => lease,
        None => live_lease(&chain, &signer, &found).await?.or_fail(|| {
            Failure::new(format!("no lease runs task {task}"))
                .hint(format!("open one: casemate deploy FILE --task {task}"))
        })?,
    };
    let unit = unit_of(&chain, lease).await?.or_fail(|| {
        Failure::new(format!("there is no lease {lease} any more"))
            .hint(format!("open another one: casemate deploy FILE --task {task}"))
    })?;
    let amount = unit.read(&amount)?;
    let block = chain.recharge(&signer, task, lease, amount, &unit).await?;
    let escrow: Option<Balance> = chain.lease(lease).await?.map(|lease| lease.escrow);
    let value = serde_json::json!({
        "task": task, "lease": lease, "amount": Amount(amount), "asset": unit.symbol(),
        "escrow": escrow.map(Amount), "block": block,
    });
    context.printer.data(&value, || {
        let escrow = escrow.map_or_else(|| "-".to_owned(), |escrow| unit.text(escrow));
        fields(&[("task", task.to_string()), ("lease", lease.to_string()), ("escrow", escrow)])
    })
}

#[cfg(test)]
mod tests;
