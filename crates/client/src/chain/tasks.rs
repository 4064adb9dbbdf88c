//! Tasks, their open runs and their history.

use casemate_primitives::{
    AccountBytes, AgentPublicKey, AgentSignature, Balance, DeploymentId, Hash256, LeaseId,
    ReplicaIndex, RunId, RunResult, Schedule, TaskTerms, UnixSeconds,
};
use subxt::utils::{AccountId32, Static};

use super::{ChainClient, ChainError, ChainEvent, LeaseView, read::AtBlock, runtime};

/// A task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskView {
    /// Its deployment.
    pub id: DeploymentId,
    /// Who owns it.
    pub publisher: AccountBytes,
    /// When it runs.
    pub schedule: Schedule,
    /// When that was set.
    pub since: UnixSeconds,
    /// The last scheduled time that was begun or missed since then.
    pub last: Option<UnixSeconds>,
    /// The last one that was begun: the least distance of a cron counts from it.
    pub last_begun: Option<UnixSeconds>,
    /// What holds for runs that begin from now on.
    pub terms: TaskTerms,
    /// The lease that last began a run.
    pub lease: Option<LeaseId>,
    /// How many runs were begun; the number of the last one.
    pub runs: u64,
    /// How many of them have neither ended nor been lost.
    pub open: u32,
    /// How many scheduled times were missed.
    pub missed: u64,
    /// When it was stopped, if it was.
    pub stopped_at: Option<UnixSeconds>,
}

/// A run that has begun, in its slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenRunView {
    /// Under which lease.
    pub lease: LeaseId,
    /// In which slot.
    pub replica: ReplicaIndex,
    /// Its number.
    pub run: RunId,
    /// For when it was scheduled.
    pub scheduled_at: UnixSeconds,
    /// When it was begun.
    pub begun_at: UnixSeconds,
    /// Most that is paid for it.
    pub budget: Balance,
    /// Its result is taken up to this second.
    pub until: UnixSeconds,
    /// The manifest that it was begun with, which its agent's evidence is for.
    pub manifest_hash: Hash256,
}

/// The task of a lease, with the runs in its slots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaseTask {
    /// The task.
    pub task: TaskView,
    /// Its open runs under this lease, by slot.
    pub open: Vec<OpenRunView>,
}

impl LeaseTask {
    /// The run in a slot.
    pub fn run_in(&self, replica: ReplicaIndex) -> Option<&OpenRunView> {
        self.open.iter().find(|run| run.replica == replica)
    }
}

impl LeaseView {
    /// The manifest of a slot: an update of a task is for the runs that begin later.
    pub fn manifest_of(&self, replica: ReplicaIndex) -> Hash256 {
        let run = self.task.as_ref().and_then(|task| task.run_in(replica));
        run.map_or(self.manifest_hash, |run| run.manifest_hash)
    }
}

/// An entry of a task's history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RunEntry {
    /// A run has ended.
    Ended {
        /// What its agent says of it.
        result: Box<RunResult>,
        /// The agent's key.
        key: AgentPublicKey,
        /// Its signature over the result.
        signature: AgentSignature,
        /// When it was begun.
        begun_at: UnixSeconds,
        /// What it was paid.
        paid: Balance,
    },
    /// A run has no result.
    Lost {
        /// Which.
        run: RunId,
        /// Under which lease.
        lease: LeaseId,
        /// For when it was scheduled.
        scheduled_at: UnixSeconds,
    },
    /// Nothing was begun at scheduled times.
    Missed {
        /// How many.
        count: u64,
        /// The first.
        first: UnixSeconds,
        /// The last.
        last: UnixSeconds,
    },
}

impl ChainClient {
    /// A task, unless it is forgotten.
    ///
    /// # Errors
    /// When the node does not answer; so for all that follow.
    pub async fn task(&self, id: DeploymentId) -> Result<Option<TaskView>, ChainError> {
        task(&self.at_finalised().await?, id).await
    }

    /// All tasks of a publisher that are not forgotten, by number.
    pub async fn tasks_of(&self, publisher: &AccountBytes) -> Result<Vec<TaskView>, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().tasks().by_publisher();
        let mut entries = at
            .storage()
            .iter(address, (AccountId32(*publisher),))
            .await
            .map_err(ChainError::reading)?;
        let mut tasks = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (_, id) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            tasks.extend(task(&at, id.0).await?);
        }
        tasks.sort_by_key(|task| task.id);
        Ok(tasks)
    }

    /// The runs in the slots of a lease.
    pub async fn open_runs(&self, lease: LeaseId) -> Result<Vec<OpenRunView>, ChainError> {
        open_runs(&self.at_finalised().await?, lease).await
    }

    /// A task's open runs under all its leases, also under those that are settled.
    pub async fn open_runs_of(&self, task: &TaskView) -> Result<Vec<OpenRunView>, ChainError> {
        let at = self.at_finalised().await?;
        let newest = match task.lease {
            Some(lease) => open_runs(&at, lease).await?,
            None => Vec::new(),
        };
        // Which leases it had before is not kept: all open runs of the chain are read then.
        if newest.len() as u64 >= u64::from(task.open) {
            return Ok(newest);
        }
        let address = runtime::storage().tasks().open();
        let mut entries = at.storage().iter(address, ()).await.map_err(ChainError::reading)?;
        let mut open = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (lease, replica) =
                entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            let found = entry.value().decode().map_err(ChainError::reading)?;
            if found.deployment.0 == task.id {
                open.push(open_run(lease.0, replica, &found));
            }
        }
        open.sort_by_key(|run| run.run);
        Ok(open)
    }

    /// What is kept of a task's history, the oldest first.
    pub async fn task_history(&self, id: DeploymentId) -> Result<Vec<RunEntry>, ChainError> {
        use runtime::runtime_types::pallet_tasks::types::Entry;
        let at = self.at_finalised().await?;
        let address = runtime::storage().tasks().tasks();
        let value =
            at.storage().try_fetch(address, (Static(id),)).await.map_err(ChainError::reading)?;
        let Some(value) = value else { return Ok(Vec::new()) };
        let made = value.decode().map_err(ChainError::reading)?.entries;
        let address = runtime::storage().tasks().history();
        let mut entries =
            at.storage().iter(address, (Static(id),)).await.map_err(ChainError::reading)?;
        let mut history = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(ChainError::reading)?;
            let (_, place) =
                entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
            let entry = match entry.value().decode().map_err(ChainError::reading)? {
                Entry::Ended { result, key, signature, begun_at, paid } => {
                    let result = Box::new(result.0);
                    RunEntry::Ended { result, key, signature, begun_at, paid }
                }
                Entry::Lost { run, lease, scheduled_at } => {
                    RunEntry::Lost { run: run.0, lease: lease.0, scheduled_at }
                }
                Entry::Missed { count, first, last } => RunEntry::Missed { count, first, last },
            };
            history.push((place, entry));
        }
        // It is a ring: the next place to write has the oldest one.
        history.sort_by_key(|(place, _)| *place);
        let length = u64::try_from(history.len()).unwrap_or(u64::MAX);
        if made > length {
            let oldest = made.checked_rem(length).and_then(|at| usize::try_from(at).ok());
            history.rotate_left(oldest.unwrap_or_default());
        }
        Ok(history.into_iter().map(|(_, entry)| entry).collect())
    }
}

async fn task(at: &AtBlock, id: DeploymentId) -> Result<Option<TaskView>, ChainError> {
    let address = runtime::storage().tasks().tasks();
    let value =
        at.storage().try_fetch(address, (Static(id),)).await.map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    let found = value.decode().map_err(ChainError::reading)?;
    Ok(Some(TaskView {
        id,
        publisher: found.publisher.0,
        schedule: found.schedule.0,
        since: found.since,
        last: found.last,
        last_begun: found.last_begun,
        terms: found.terms.0,
        lease: found.lease.map(|lease| lease.0),
        runs: found.runs,
        open: found.open,
        missed: found.missed,
        stopped_at: found.stopped_at,
    }))
}

/// The task that a lease is for; `None` where its deployment has no schedule.
pub(super) async fn of_lease(
    at: &AtBlock,
    deployment: DeploymentId,
    lease: LeaseId,
) -> Result<Option<LeaseTask>, ChainError> {
    let Some(task) = task(at, deployment).await? else { return Ok(None) };
    Ok(Some(LeaseTask { task, open: open_runs(at, lease).await? }))
}

async fn open_runs(at: &AtBlock, lease: LeaseId) -> Result<Vec<OpenRunView>, ChainError> {
    let address = runtime::storage().tasks().open();
    let mut entries =
        at.storage().iter(address, (Static(lease),)).await.map_err(ChainError::reading)?;
    let mut open = Vec::new();
    while let Some(entry) = entries.next().await {
        let entry = entry.map_err(ChainError::reading)?;
        let (_, replica) = entry.key().and_then(|key| key.decode()).map_err(ChainError::reading)?;
        let found = entry.value().decode().map_err(ChainError::reading)?;
        open.push(open_run(lease, replica, &found));
    }
    open.sort_by_key(|run| run.replica);
    Ok(open)
}

fn open_run(
    lease: LeaseId,
    replica: ReplicaIndex,
    found: &runtime::runtime_types::pallet_tasks::types::OpenRun,
) -> OpenRunView {
    OpenRunView {
        lease,
        replica,
        run: found.run.0,
        scheduled_at: found.scheduled_at,
        begun_at: found.begun_at,
        budget: found.budget,
        until: found.until,
        manifest_hash: found.manifest_hash,
    }
}

pub(super) fn event(event: &runtime::runtime_types::pallet_tasks::pallet::Event) -> ChainEvent {
    use runtime::runtime_types::pallet_tasks::pallet::Event;
    match event {
        Event::Created { task, .. } => ChainEvent::TaskCreated { task: task.0 },
        Event::Begun { task, .. }
        | Event::Ended { task, .. }
        | Event::Lost { task, .. }
        | Event::Missed { task, .. }
        | Event::ScheduleSet { task }
        | Event::TermsSet { task, .. }
        | Event::Stopped { task }
        | Event::Forgotten { task } => ChainEvent::TaskChanged { task: task.0 },
    }
}
