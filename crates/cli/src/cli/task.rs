//! `casemate task`

use casemate_primitives::{DeploymentId, LeaseId};
use clap::{ArgGroup, Args, Subcommand};

use super::lease::TimeoutArgs;
use crate::asset::AnyAmount;

/// `casemate task`
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// List your tasks
    List,
    /// Run a task that has no schedule once more, now
    Run(TaskRunArgs),
    /// Show a task's runs: open, ended, lost and missed, and the times that nobody ran and nobody recorded
    Runs {
        /// The task's number
        task: DeploymentId,
    },
    /// Show how a run ended, checked against its agent's signature
    ///
    /// That the key is the attested agent's of the run's slot is compared with what the node says.
    /// Exit status: 0 when both hold (whatever the run's own exit code), 1 otherwise.
    Result(TaskResultArgs),
    /// Replace a task's schedule, from now on
    SetSchedule(SetScheduleArgs),
    /// Stop a task: its open runs are ended and paid, its lease is closed
    Stop {
        /// The task's number
        task: DeploymentId,
        /// Forget it and its history too, and get its deposit back, where no run is open
        #[arg(long)]
        forget: bool,
    },
    /// Put more money into the lease that pays a task's runs
    Recharge {
        /// The task's number
        task: DeploymentId,
        /// How much, such as `1.5 CASE`
        amount: AnyAmount,
        /// The lease [default: the one that runs it]
        #[arg(long, value_name = "LEASE")]
        lease: Option<LeaseId>,
    },
}

/// `casemate task run`
#[derive(Args, Debug)]
pub(crate) struct TaskRunArgs {
    /// The task's number
    pub(crate) task: DeploymentId,
    /// Wait until the run has ended, and show its result
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

/// `casemate task result`
#[derive(Args, Debug)]
pub(crate) struct TaskResultArgs {
    /// The task's number
    pub(crate) task: DeploymentId,
    /// The run's number [default: the last one that has ended]
    pub(crate) run: Option<u64>,
    /// Show the run's output too, each line proved under the log's head in the result
    #[arg(long)]
    pub(crate) logs: bool,
    /// Wait until the run has ended
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

/// `casemate task set-schedule`
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("when").required(true).args(["once", "every", "cron"])))]
pub(crate) struct SetScheduleArgs {
    /// The task's number
    pub(crate) task: DeploymentId,
    /// Once, now or at --at
    #[arg(long)]
    pub(crate) once: bool,
    /// When, in seconds since the Unix epoch
    #[arg(long, value_name = "SECONDS", requires = "once")]
    pub(crate) at: Option<u64>,
    /// Again and again, from now on: seconds from one run to the next
    #[arg(long, value_name = "SECONDS")]
    pub(crate) every: Option<u32>,
    /// By the calendar: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) cron: Option<String>,
    /// The calendar's time zone
    #[arg(long, value_name = "ZONE", requires = "cron", default_value = "UTC")]
    pub(crate) time_zone: String,
}
