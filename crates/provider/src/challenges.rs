//! Answers challenges: fresh evidence of an agent, a chunk of a log, a leaf of a batch.
//!
//! Who must not choose what: a challenger chooses what it asks for, and pays for it; what is answered
//! is only what the chain would check anyway, and it is checked here before a fee is paid for it.
//!
//! Level-triggered: all questions are on chain, and what they ask for is at the pods' agents and in
//! the spool. So at each finalised block the open challenges of this provider are read anew, and a
//! restart forgets nothing. A challenge that can't be answered is tried again until its window is
//! over: a pod that has died may be back by then.

mod answer;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use casemate_client::chain::{ChallengeTarget, ChallengeView, OpenChallenges};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

use crate::{
    Chain, Clock,
    attestation::{Attestor, Endorsed},
    chain_of,
    metrics::{Kind, Metrics},
    spool::{NewEvent, Spool},
    world::World,
};
use answer::{AnswerError, Answerer};

/// What the answers are made with.
pub struct Parts<C> {
    /// Who asks, and where answers go.
    pub chain: Arc<C>,
    /// Where evidence comes from.
    pub attestor: Arc<dyn Attestor>,
    /// What the reconciler sees.
    pub world: watch::Receiver<Arc<World>>,
    /// Logs and leaves.
    pub spool: Spool,
    /// The wall clock.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
}

impl<C> std::fmt::Debug for Parts<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The loop.
#[derive(Debug)]
pub struct Challenges<C> {
    parts: Parts<C>,
    endorsed: Arc<Endorsed>,
    /// As they were last read.
    open: OpenChallenges,
    asked: BTreeMap<u64, Asked>,
    busy: HashMap<Id, u64>,
    jobs: JoinSet<Result<(), AnswerError>>,
}

/// A challenge that was seen.
#[derive(Debug)]
struct Asked {
    target: ChallengeTarget,
    until: u32,
    failures: u32,
    not_before: Option<Instant>,
    /// What was told of the last failure.
    told: Option<String>,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Answered,
    Missed,
}

impl<C: Chain> Challenges<C> {
    /// One that has seen no challenge yet.
    pub fn new(parts: Parts<C>) -> Self {
        Self::with_endorsed(parts, Arc::default())
    }

    /// The same, sharing with others what is known of the collateral on chain.
    pub(crate) fn with_endorsed(parts: Parts<C>, endorsed: Arc<Endorsed>) -> Self {
        Self {
            parts,
            endorsed,
            open: OpenChallenges::default(),
            asked: BTreeMap::new(),
            busy: HashMap::new(),
            jobs: JoinSet::new(),
        }
    }

    /// Answers until `shutdown` turns true. Answers under way are left to the chain: the next start
    /// sees whether they took effect.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut snapshots = self.parts.chain.snapshots();
        let mut is_behind = true;
        loop {
            let done = tokio::select! {
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    is_behind = true;
                    None
                }
                Some(done) = self.jobs.join_next_with_id() => Some(done),
                () = tokio::time::sleep(TICK) => None,
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            if let Some(done) = done {
                self.finished(done).await;
            }
            let has_block = snapshots.borrow_and_update().block_number > 0;
            if has_block && is_behind {
                is_behind = !self.read().await;
            }
            self.look(Instant::now()).await;
        }
    }

    /// Reads what is asked; says whether that could be read.
    async fn read(&mut self) -> bool {
        match tokio::time::timeout(READ_LIMIT, self.parts.chain.challenges()).await {
            Ok(Ok(open)) => {
                self.open = open;
                true
            }
            Ok(Err(err)) => {
                tracing::debug!(%err, "challenges can't be read");
                self.parts.metrics.failed("challenges");
                false
            }
            Err(_) => {
                tracing::debug!(
                    "challenges can't be read: the chain's node does not answer in time"
                );
                self.parts.metrics.failed("challenges");
                false
            }
        }
    }

    async fn look(&mut self, now: Instant) {
        let OpenChallenges { block, mut challenges } = self.open.clone();
        let metrics = self.parts.metrics.clone();
        metrics.challenges_open.set(i64::try_from(challenges.len()).unwrap_or(i64::MAX));
        let count = |kind| metrics.challenges.get_or_create(&Kind { kind }).inc();
        for challenge in &challenges {
            self.asked.entry(challenge.id).or_insert_with(|| {
                count("asked");
                tracing::info!(
                    challenge = challenge.id,
                    until = challenge.until,
                    "challenged: {} is asked for",
                    challenge.target
                );
                Asked {
                    target: challenge.target,
                    until: challenge.until,
                    failures: 0,
                    not_before: None,
                    told: None,
                    end: None,
                }
            });
        }
        self.forget_ended(block, &challenges).await;
        // Whose time is over first is answered first.
        challenges.sort_by_key(|challenge| (challenge.until, challenge.id));
        let busy: BTreeSet<u64> = self.busy.values().copied().collect();
        for challenge in challenges {
            let Some(asked) = self.asked.get_mut(&challenge.id) else { continue };
            if block > challenge.until {
                if asked.end.is_none() {
                    asked.end = Some(End::Missed);
                    count("missed");
                    let message = format!(
                        "challenge {} for {} was not answered in time: whoever concludes it now takes \
                         a part of the stake",
                        challenge.id, challenge.target
                    );
                    self.tell(&challenge.target, "missed", message).await;
                }
                continue;
            }
            let is_paused = asked.not_before.is_some_and(|at| now < at);
            // An answer comes into a later block than the newest one.
            let is_late = block >= challenge.until;
            if is_paused || is_late || asked.end.is_some() || busy.contains(&challenge.id) {
                continue;
            }
            if self.jobs.len() >= ANSWERS_MAX {
                break;
            }
            self.begin(challenge);
        }
    }

    /// What is not on chain any more has ended; before its window's end only an answer ends it.
    async fn forget_ended(&mut self, block: u32, open: &[ChallengeView]) {
        let is_gone = |id: &u64| open.iter().all(|challenge| challenge.id != *id);
        let ended: Vec<u64> = self.asked.keys().copied().filter(is_gone).collect();
        for id in ended {
            if self.busy.values().any(|busy| *busy == id) {
                continue;
            }
            let Some(asked) = self.asked.remove(&id) else { continue };
            match asked.end {
                None if block <= asked.until => self.answered(id, &asked.target).await,
                None => {
                    tracing::warn!(challenge = id, "a challenge for {} has ended", asked.target)
                }
                Some(End::Missed) => {
                    tracing::warn!(
                        challenge = id,
                        "the challenge for {} that was not answered was concluded",
                        asked.target
                    );
                }
                Some(End::Answered) => (),
            }
        }
    }

    fn begin(&mut self, challenge: ChallengeView) {
        let id = challenge.id;
        let answerer = Answerer {
            chain: Arc::clone(&self.parts.chain),
            attestor: Arc::clone(&self.parts.attestor),
            endorsed: Arc::clone(&self.endorsed),
            spool: self.parts.spool.clone(),
            world: Arc::clone(&self.parts.world.borrow()),
        };
        let job = self.jobs.spawn(async move {
            let answered = tokio::time::timeout(ANSWER_LIMIT, answerer.answer(&challenge)).await;
            answered.unwrap_or(Err(AnswerError::TimedOut(ANSWER_LIMIT)))
        });
        self.busy.insert(job.id(), id);
    }

    async fn finished(&mut self, done: Result<(Id, Result<(), AnswerError>), JoinError>) {
        let (job, result) = match done {
            Ok(done) => done,
            Err(err) => {
                tracing::error!(%err, "an answer to a challenge broke off");
                (err.id(), Err(AnswerError::BrokeOff))
            }
        };
        let Some(id) = self.busy.remove(&job) else { return };
        let Some(asked) = self.asked.get_mut(&id) else { return };
        let target = asked.target;
        let Err(err) = result else {
            asked.end = Some(End::Answered);
            self.answered(id, &target).await;
            return;
        };
        asked.failures = asked.failures.saturating_add(1);
        let pause = PAUSE_MIN.saturating_mul(1 << asked.failures.min(8).saturating_sub(1));
        asked.not_before = Some(Instant::now() + pause.min(PAUSE_MAX));
        self.parts.metrics.challenges.get_or_create(&Kind { kind: "failed" }).inc();
        let why = chain_of(&err);
        // The same words again tell nothing new.
        if asked.told.as_ref() != Some(&why) {
            tracing::warn!(
                challenge = id,
                until = asked.until,
                "the challenge for {target} is not answered yet: {why}"
            );
            asked.told = Some(why);
        }
    }

    async fn answered(&self, id: u64, target: &ChallengeTarget) {
        self.parts.metrics.challenges.get_or_create(&Kind { kind: "answered" }).inc();
        let message = format!("challenge {id} for {target} was answered");
        self.tell(target, "answered", message).await;
    }

    async fn tell(&self, target: &ChallengeTarget, kind: &'static str, message: String) {
        match kind {
            "missed" => tracing::error!("{message}"),
            _ => tracing::info!("{message}"),
        }
        let Some(lease) = target.lease() else { return };
        let event = NewEvent { lease, time: (self.parts.clock)(), kind, pod: None, message };
        if let Err(err) = self.parts.spool.add_events(vec![event]).await {
            tracing::error!(%err, "cannot keep an event");
        }
    }
}

/// Pauses end without a wake.
const TICK: Duration = Duration::from_millis(500);
/// Answers at a time. More may be open, but each is in a block within seconds.
const ANSWERS_MAX: usize = 16;
/// Time for the chain's node to say what is asked.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Evidence from hardware, five pieces of collateral, two tries, and finality for each of them.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// A pod that is back is asked within this time, a small part of the window.
const PAUSE_MAX: Duration = Duration::from_secs(15);
