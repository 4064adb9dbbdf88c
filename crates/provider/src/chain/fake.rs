//! A scripted chain in memory, for tests and benches. It keeps the rules that the daemon relies on
//! (sequence, times, state) and counts every call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use casemate_client::chain::{AgentView, ChainSnapshot, LeaseState, LeaseView, ProviderView};
use casemate_primitives::{AccountBytes, AgentPublicKey, Hash256, LeaseId, ReplicaIndex};
use casemate_provider_core::SignedUsageRecord;
use tokio::sync::watch;

use super::{Chain, ChainError};

/// A call that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Call {
    /// [`Chain::activate`].
    Activate(LeaseId, ReplicaIndex, AgentPublicKey),
    /// [`Chain::claim`], with lease, replica and sequence.
    Claim(LeaseId, ReplicaIndex, u64),
    /// [`Chain::settle`].
    Settle(LeaseId),
    /// [`Chain::close`].
    Close(LeaseId),
}

#[derive(Debug)]
struct State {
    snapshot: ChainSnapshot,
    provider: Option<ProviderView>,
    reachable: bool,
    calls: Vec<(Call, Result<(), ChainError>)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct FakeChain {
    genesis_hash: Hash256,
    account: AccountBytes,
    state: Arc<Mutex<State>>,
    sender: Arc<watch::Sender<Arc<ChainSnapshot>>>,
}

impl FakeChain {
    /// A chain on which `provider` is registered and no block was read yet.
    pub fn new(genesis_hash: Hash256, provider: ProviderView) -> Self {
        let state = State {
            snapshot: ChainSnapshot::default(),
            provider: Some(provider.clone()),
            reachable: true,
            calls: Vec::new(),
        };
        Self {
            genesis_hash,
            account: provider.account,
            state: Arc::new(Mutex::new(state)),
            sender: Arc::new(watch::Sender::new(Arc::default())),
        }
    }

    /// Makes a finalised block after changing the state.
    pub fn block(&self, change: impl FnOnce(&mut ChainSnapshot)) {
        let mut state = self.lock();
        change(&mut state.snapshot);
        state.snapshot.block_number += 1;
        self.sender.send_replace(Arc::new(state.snapshot.clone()));
    }

    /// Opens or replaces a lease in a new block.
    pub fn put_lease(&self, lease: LeaseView) {
        self.block(|snapshot| {
            snapshot.leases.insert(lease.id, lease);
        });
    }

    /// Whether calls get through from now on.
    pub fn set_reachable(&self, reachable: bool) {
        self.lock().reachable = reachable;
    }

    /// Changes the provider's entry in the registry.
    pub fn set_provider(&self, provider: Option<ProviderView>) {
        self.lock().provider = provider;
    }

    /// All calls so far that took effect.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.iter().filter(|c| c.1.is_ok()).map(|c| c.0.clone()).collect()
    }

    /// All calls so far that were refused or got lost.
    pub fn failed_calls(&self) -> Vec<(Call, Result<(), ChainError>)> {
        self.lock().calls.iter().filter(|c| c.1.is_err()).cloned().collect()
    }

    /// A lease as it stands now.
    pub fn lease(&self, id: LeaseId) -> Option<LeaseView> {
        self.lock().snapshot.leases.get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(
        &self,
        call: Call,
        effect: impl FnOnce(&mut ChainSnapshot) -> Result<(), &'static str>,
    ) -> Result<(), ChainError> {
        let mut state = self.lock();
        let result = if state.reachable {
            effect(&mut state.snapshot).map_err(|name| ChainError::Refused {
                pallet: "leases".into(),
                name: name.into(),
                text: name.into(),
            })
        } else {
            Err(ChainError::Unreachable("the test says so".into()))
        };
        state.calls.push((call, result.clone()));
        drop(state);
        if result.is_ok() {
            self.block(|_| ());
        }
        result
    }
}

fn lease_mut(snapshot: &mut ChainSnapshot, id: LeaseId) -> Result<&mut LeaseView, &'static str> {
    snapshot.leases.get_mut(&id).ok_or("UnknownLease")
}

impl Chain for FakeChain {
    fn genesis_hash(&self) -> Hash256 {
        self.genesis_hash
    }

    fn account(&self) -> AccountBytes {
        self.account
    }

    fn snapshots(&self) -> watch::Receiver<Arc<ChainSnapshot>> {
        self.sender.subscribe()
    }

    async fn provider(&self) -> Result<Option<ProviderView>, ChainError> {
        let state = self.lock();
        if state.reachable {
            Ok(state.provider.clone())
        } else {
            Err(ChainError::Unreachable("the test says so".into()))
        }
    }

    async fn activate(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: AgentPublicKey,
    ) -> Result<(), ChainError> {
        self.call(Call::Activate(lease, replica, key), |snapshot| {
            let lease = lease_mut(snapshot, lease)?;
            if matches!(lease.state, LeaseState::Closing { .. }) {
                return Err("LeaseClosing");
            }
            lease.state = LeaseState::Active;
            let old = lease.agents.iter().position(|agent| agent.replica == replica);
            let claimed_to = old.map(|at| lease.agents.remove(at).claimed_to).unwrap_or_default();
            let agent =
                AgentView { replica, key, sequence: 0, claimed_to, claimed_total: <_>::default() };
            lease.agents.push(agent);
            lease.agents.sort_by_key(|agent| agent.replica);
            Ok(())
        })
    }

    async fn claim(&self, signed: SignedUsageRecord) -> Result<(), ChainError> {
        let record = signed.record;
        self.call(Call::Claim(record.lease, record.replica, record.sequence), |snapshot| {
            let lease = lease_mut(snapshot, record.lease)?;
            if let LeaseState::Closing { at, .. } = lease.state
                && record.to > at
            {
                return Err("RecordAfterClose");
            }
            let agent = lease
                .agents
                .iter_mut()
                .find(|agent| agent.replica == record.replica && agent.key == signed.key)
                .ok_or("UnknownAgent")?;
            if record.sequence <= agent.sequence {
                return Err("OldSequence");
            }
            agent.sequence = record.sequence;
            agent.claimed_to = agent.claimed_to.max(record.to);
            agent.claimed_total = record.total;
            Ok(())
        })
    }

    async fn settle(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.call(Call::Settle(lease), |snapshot| {
            let state = lease_mut(snapshot, lease)?.state;
            if !matches!(state, LeaseState::Closing { .. }) {
                return Err("NotClosing");
            }
            snapshot.leases.remove(&lease);
            Ok(())
        })
    }

    async fn close(&self, lease: LeaseId) -> Result<(), ChainError> {
        self.call(Call::Close(lease), |snapshot| {
            let now = snapshot.time;
            let lease = lease_mut(snapshot, lease)?;
            let until = now + u64::from(lease.terms.notice_seconds);
            lease.state = LeaseState::Closing { at: now, until };
            Ok(())
        })
    }
}
