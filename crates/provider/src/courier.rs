//! Brings secrets from vaults to pods that wait for them, while their publisher is away.
//!
//! Who must not choose what: the daemon carries a nonce, evidence and sealed secrets, reads none of
//! them and can change none of them. What it may do is stay away, so it tells the publisher what it
//! tried. The addresses of vaults are the publisher's words: by default they must not lead into the
//! provider's own network ([`Reach`]).
//!
//! Level-triggered: [`Errand`]s are made of what is seen, again and again; an errand that is still
//! there after it was done is done again, after a pause.

mod carry;
mod pace;
mod waiting;

pub use carry::{PodCarrier, Reach};
pub(crate) use waiting::follow;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use casemate_attestation::TrustRoots;
use casemate_client::chain::AttestedKeys;
use casemate_primitives::{Hash256, LeaseId};
use casemate_provider_core::PodId;
use futures::future::BoxFuture;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    Chain, Clock,
    spool::{NewEvent, Spool},
};
use pace::Pace;

/// A pod that waits for secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Errand {
    /// Where its agent serves.
    pub address: SocketAddr,
    /// Manifest that it runs.
    pub manifest_hash: Hash256,
    /// Its agent's keys: other keys are another start, which waits anew.
    pub keys: AttestedKeys,
    /// Addresses of vaults, in the order in which they are tried.
    pub vaults: Vec<String>,
}

/// All pods that wait.
pub type Errands = BTreeMap<PodId, Errand>;

/// One try: which pod, which vault, what the chain trusts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trip {
    /// Chain of the pod.
    pub genesis_hash: Hash256,
    /// The pod.
    pub pod: PodId,
    /// The errand.
    pub errand: Errand,
    /// The vault's address.
    pub vault: String,
    /// What the chain trusts.
    pub roots: TrustRoots,
}

/// Why a trip was for nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TripError {
    /// The vault's address is not used.
    #[error("{0}")]
    Address(String),
    /// The vault does not answer.
    #[error("the vault cannot be reached")]
    Unreachable,
    /// The vault says no.
    #[error("the vault refuses: {0}")]
    Refused(String),
    /// The pod's agent.
    #[error("{0}")]
    Pod(String),
    /// The thread that went has ended.
    #[error("the trip broke off")]
    BrokeOff,
}

/// Who goes. A trait, so that tests need neither vaults nor agents.
pub trait Carry: Send + Sync + 'static {
    /// Fetches from the vault what is sealed for the pod, and brings it to the pod's agent. Gives the
    /// number of the release.
    fn carry(&self, trip: Trip) -> BoxFuture<'_, Result<u64, TripError>>;
}

/// What the courier works with.
pub struct Parts<C> {
    /// Says what is trusted.
    pub chain: Arc<C>,
    /// Who goes.
    pub carrier: Arc<dyn Carry>,
    /// Which pods wait.
    pub errands: watch::Receiver<Arc<Errands>>,
    /// Keeps what publishers are told.
    pub spool: Spool,
    /// The wall clock.
    pub clock: Clock,
}

impl<C> std::fmt::Debug for Parts<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The loop.
#[derive(Debug)]
pub struct Courier<C> {
    parts: Parts<C>,
    paces: BTreeMap<PodId, Pace>,
    busy: BTreeSet<PodId>,
    trips: JoinSet<Outcome>,
}

#[derive(Debug)]
struct Outcome {
    pod: PodId,
    keys: AttestedKeys,
    /// The vault that was tried, unless the trip did not begin.
    vault: String,
    result: Result<u64, TripError>,
}

impl<C: Chain> Courier<C> {
    /// One that has done nothing yet.
    pub fn new(parts: Parts<C>) -> Self {
        let (paces, busy) = (BTreeMap::new(), BTreeSet::new());
        Self { parts, paces, busy, trips: JoinSet::new() }
    }

    /// Carries until `shutdown` turns true. Trips under way are given up: the next start makes them
    /// again.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        loop {
            let done = tokio::select! {
                changed = self.parts.errands.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    None
                }
                Some(done) = self.trips.join_next() => Some(done),
                () = tokio::time::sleep(TICK) => None,
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            match done {
                Some(Ok(outcome)) => self.finished(outcome).await,
                Some(Err(err)) => {
                    tracing::error!(%err, "a trip to a vault broke off");
                    self.busy.clear();
                }
                None => (),
            }
            let errands = Arc::clone(&self.parts.errands.borrow_and_update());
            self.look(&errands);
        }
    }

    fn look(&mut self, errands: &Errands) {
        self.paces.retain(|pod, _| errands.contains_key(pod));
        let now = Instant::now();
        for (pod, errand) in errands {
            if self.busy.contains(pod) || self.trips.len() >= TRIPS_MAX {
                continue;
            }
            let pace = self.paces.entry(*pod).or_default();
            pace.of(&errand.keys);
            let Some(vault) = pace.next(&errand.vaults, now) else { continue };
            self.busy.insert(*pod);
            let (chain, carrier) = (Arc::clone(&self.parts.chain), Arc::clone(&self.parts.carrier));
            let (pod, errand) = (*pod, errand.clone());
            self.trips.spawn(async move {
                let keys = errand.keys;
                let trip = async {
                    let roots = chain.trust_roots().await.map_err(|err| {
                        TripError::Pod(format!("the chain does not answer: {err}"))
                    })?;
                    let genesis_hash = chain.genesis_hash();
                    let vault = vault.clone();
                    carrier.carry(Trip { genesis_hash, pod, errand, vault, roots }).await
                };
                let result = tokio::time::timeout(TRIP_LIMIT, trip).await;
                let result = result.unwrap_or(Err(TripError::BrokeOff));
                Outcome { pod, keys, vault, result }
            });
        }
    }

    async fn finished(&mut self, outcome: Outcome) {
        let Outcome { pod, keys, vault, result } = outcome;
        self.busy.remove(&pod);
        let pace = self.paces.entry(pod).or_default();
        pace.of(&keys);
        let now = Instant::now();
        let (kind, message) = match result {
            Ok(sequence) => {
                pace.succeeded(now);
                let told = format!(
                    "the vault at {vault} has released the pod's secrets (release {sequence})"
                );
                ("released", told)
            }
            Err(err) => {
                tracing::debug!(%pod, vault, %err, "a vault has released nothing");
                let told = format!("no secrets from the vault at {vault}: {err}");
                // The same words again tell nothing new.
                if !pace.failed(now, &told) {
                    return;
                }
                ("unreleased", told)
            }
        };
        let message = format!("replica {}: {message}", pod.replica);
        let lease: LeaseId = pod.lease;
        tracing::info!(%lease, kind, "{message}");
        let time = (self.parts.clock)();
        let event = NewEvent { lease, time, kind, pod: Some(pod), message };
        if let Err(err) = self.parts.spool.add_events(vec![event]).await {
            tracing::error!(%err, "cannot keep an event");
        }
    }
}

/// Pauses end without a wake.
const TICK: Duration = Duration::from_millis(500);
/// Trips at a time: each has a thread, and hardware makes a few pieces of evidence a second.
const TRIPS_MAX: usize = 16;
/// A nonce is good for two minutes.
const TRIP_LIMIT: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests;
