//! Brings secrets from vaults to pods that wait for them, while their publisher is away.
//!
//! Who must not choose what: the daemon carries a nonce, evidence and sealed secrets, reads none of
//! them and can change none of them. What it may do is stay away, so it tells the publisher what it
//! tried. The addresses of vaults are the publisher's words: unless the operator says otherwise they
//! must not lead into the provider's own network ([`Reach`]).
//!
//! Fair: the pod that has waited longest goes first, and pods of one publisher leave slots to others.
//!
//! Level-triggered: [`Errand`]s are made of what is seen, again and again; an errand that is still
//! there after it was done is done again, after a pause.

mod carry;
mod pace;
mod waiting;

pub use carry::{PodCarrier, Reach};
pub(crate) use waiting::follow;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use casemate_attestation::TrustRoots;
use casemate_client::chain::AttestedKeys;
use casemate_primitives::{AccountBytes, Hash256, LeaseId};
use casemate_provider_core::PodId;
use futures::future::BoxFuture;
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

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
    /// Who pays for it.
    pub publisher: AccountBytes,
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
    /// number of the release. Comes to an end by itself within minutes: until then it is not given up,
    /// so that its slot is not used twice.
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
    busy: HashMap<Id, Going>,
    trips: JoinSet<Result<u64, TripError>>,
}

/// A trip under way.
#[derive(Debug)]
struct Going {
    pod: PodId,
    keys: AttestedKeys,
    publisher: AccountBytes,
    vault: String,
}

impl<C: Chain> Courier<C> {
    /// One that has done nothing yet.
    pub fn new(parts: Parts<C>) -> Self {
        Self { parts, paces: BTreeMap::new(), busy: HashMap::new(), trips: JoinSet::new() }
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
                Some(done) = self.trips.join_next_with_id() => Some(done),
                () = tokio::time::sleep(TICK) => None,
                _ = shutdown.wait_for(|stop| *stop) => return,
            };
            let now = Instant::now();
            if let Some(done) = done {
                self.finished(done, now).await;
            }
            let errands = Arc::clone(&self.parts.errands.borrow_and_update());
            self.look(&errands, now);
        }
    }

    fn look(&mut self, errands: &Errands, now: Instant) {
        self.paces.retain(|pod, _| errands.contains_key(pod));
        let mut due = Vec::new();
        for (pod, errand) in errands {
            let pace = self.paces.entry(*pod).or_default();
            pace.of(&errand.keys, now);
            let is_new = |going: &Going| going.pod != *pod || going.keys != errand.keys;
            if self.busy.values().all(is_new)
                && let Some((since, vault)) = pace.next(&errand.vaults, now)
            {
                due.push((since, *pod, errand, vault));
            }
        }
        due.sort_by_key(|(since, pod, ..)| (*since, *pod));
        for (_, pod, errand, vault) in due {
            if self.trips.len() >= TRIPS_MAX {
                return;
            }
            let publisher = errand.publisher;
            let of_publisher = self.busy.values().filter(|going| going.publisher == publisher);
            if of_publisher.count() < PUBLISHER_TRIPS_MAX {
                self.set_out(pod, errand.clone(), vault);
            }
        }
    }

    fn set_out(&mut self, pod: PodId, errand: Errand, vault: String) {
        let (keys, publisher) = (errand.keys, errand.publisher);
        let going = Going { pod, keys, publisher, vault: vault.clone() };
        let (chain, carrier) = (Arc::clone(&self.parts.chain), Arc::clone(&self.parts.carrier));
        let trip = self.trips.spawn(async move {
            let broken =
                |reason: String| TripError::Pod(format!("the chain does not answer{reason}"));
            let roots = tokio::time::timeout(CHAIN_LIMIT, chain.trust_roots())
                .await
                .map_err(|_| broken(" in time".to_owned()))?
                .map_err(|err| broken(format!(": {err}")))?;
            let genesis_hash = chain.genesis_hash();
            carrier.carry(Trip { genesis_hash, pod, errand, vault, roots }).await
        });
        self.busy.insert(trip.id(), going);
    }

    async fn finished(
        &mut self,
        done: Result<(Id, Result<u64, TripError>), JoinError>,
        now: Instant,
    ) {
        let (id, result) = match done {
            Ok(done) => done,
            Err(err) => {
                tracing::error!(%err, "a trip to a vault broke off");
                (err.id(), Err(TripError::BrokeOff))
            }
        };
        let Some(Going { pod, keys, vault, .. }) = self.busy.remove(&id) else { return };
        // Of a pod that waits no more, or has started anew since then, there is none.
        let pace = self.paces.get_mut(&pod).filter(|pace| pace.is_of(&keys));
        let (kind, message) = match result {
            Ok(sequence) => {
                if let Some(pace) = pace {
                    pace.succeeded(now);
                }
                let told = format!(
                    "the vault at {vault} has released the pod's secrets (release {sequence})"
                );
                ("released", told)
            }
            Err(err) => {
                tracing::debug!(%pod, vault, %err, "a vault has released nothing");
                let told = format!("no secrets from the vault at {vault}: {err}");
                // The same words again tell nothing new.
                if !pace.is_some_and(|pace| pace.failed(now, &told)) {
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
/// Of them for one publisher's pods: their vaults may all be slow.
const PUBLISHER_TRIPS_MAX: usize = 4;
/// Time for the chain's node to say what is trusted.
const CHAIN_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
