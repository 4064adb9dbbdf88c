//! What transactions did.

use casemate_primitives::{AccountBytes, Balance, DeploymentId, LeaseId, UnixSeconds};
use subxt::{
    error::EventsError,
    events::{Event, Events},
};

use super::{
    ChainClient, ChainError,
    client::Config,
    error::refused,
    read::AtBlock,
    runtime::{
        self,
        runtime_types::{
            pallet_deployments::pallet::Event as Deployments,
            pallet_leases::pallet::Event as Leases, pallet_reputation::pallet::Event as Reputation,
        },
    },
};

/// Pallets whose events are told.
const OURS: [&str; 6] = ["Leases", "Tasks", "Attestation", "Proofs", "Deployments", "Reputation"];

/// An event of our pallets.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ChainEvent {
    /// A lease was opened.
    LeaseOpened {
        /// Which.
        lease: LeaseId,
        /// Of what.
        deployment: DeploymentId,
        /// By whom it is run.
        provider: AccountBytes,
    },
    /// Something else changed in a lease.
    LeaseChanged {
        /// Which.
        lease: LeaseId,
    },
    /// A record was paid.
    Claimed {
        /// Of which lease.
        lease: LeaseId,
        /// How much the provider got.
        paid: Balance,
    },
    /// A lease is over.
    LeaseSettled {
        /// Which.
        lease: LeaseId,
        /// All that the provider got.
        paid: Balance,
        /// What the publisher got back.
        refunded: Balance,
    },
    /// A provider's stake has paid for its silence.
    ProviderSlashed {
        /// In which lease.
        lease: LeaseId,
        /// What was taken.
        amount: Balance,
        /// What the publisher got of it.
        rewarded: Balance,
    },
    /// Claims went back to the publisher: by proof, or by a decision.
    ClaimsRefunded {
        /// Of which lease.
        lease: LeaseId,
        /// How much.
        amount: Balance,
    },
    /// Somebody complains.
    Complained {
        /// The complaint's number.
        complaint: u64,
    },
    /// The committee's call was made.
    CommitteeExecuted {
        /// Why it had no effect, if it had none.
        refused: Option<ChainError>,
    },
    /// Evidence was verified by the runtime.
    Appraised(super::Appraised),
    /// A provider's control plane counts.
    ClusterAttested {
        /// Whose.
        provider: AccountBytes,
        /// First second at which it counts no more.
        expires_at: UnixSeconds,
    },
    /// Something about challenges and batches.
    Proofs(super::ProofsEvent),
    /// A task was created.
    TaskCreated {
        /// Its deployment.
        task: DeploymentId,
    },
    /// Something changed in a task or its runs.
    TaskChanged {
        /// Its deployment.
        task: DeploymentId,
    },
    /// A deployment has a new manifest or was stopped.
    DeploymentChanged {
        /// Which.
        deployment: DeploymentId,
    },
}

impl ChainClient {
    /// Events of finalised blocks, from now on.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn events(&self) -> Result<EventStream, ChainError> {
        let blocks = self.api.stream_blocks().await.map_err(ChainError::reading)?;
        Ok(EventStream { blocks })
    }
}

/// Events of finalised blocks, in order.
pub struct EventStream {
    blocks: subxt::client::Blocks<Config>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl EventStream {
    /// Our events of the next finalised block.
    ///
    /// # Errors
    /// When the connection broke; make a new stream and look at the state again.
    pub async fn next(&mut self) -> Result<Vec<ChainEvent>, ChainError> {
        let block = self
            .blocks
            .next()
            .await
            .ok_or_else(|| ChainError::Unreachable("the node ended the subscription".into()))?
            .map_err(ChainError::reading)?;
        let at = block.at().await.map_err(ChainError::reading)?;
        events_at(&at).await
    }
}

/// All of our events of one block.
pub(super) async fn events_at(at: &AtBlock) -> Result<Vec<ChainEvent>, ChainError> {
    let events: Events<Config> = at.events().fetch().await.map_err(ChainError::reading)?;
    ours(events.iter(), &at.metadata())
}

/// Those of them that are ours.
pub(super) fn ours<'e>(
    events: impl Iterator<Item = Result<Event<'e, Config>, EventsError>>,
    metadata: &subxt::ArcMetadata,
) -> Result<Vec<ChainEvent>, ChainError> {
    let mut found = Vec::new();
    for event in events {
        let event = event.map_err(|err| ChainError::Decode(err.to_string()))?;
        found.extend(chain_event(&event, metadata)?);
    }
    Ok(found)
}

fn chain_event(
    event: &Event<'_, Config>,
    metadata: &subxt::ArcMetadata,
) -> Result<Option<ChainEvent>, ChainError> {
    if (event.pallet_name(), event.event_name()) == ("TechnicalCommittee", "Executed") {
        // Hash of the call, then what came of it.
        let refused = match event.field_bytes().get(32..) {
            Some([0]) => None,
            Some([1, error @ ..]) => Some(
                subxt::error::DispatchError::decode_from(error, metadata.clone())
                    .map_or_else(|err| ChainError::Decode(err.to_string()), |err| refused(&err)),
            ),
            _ => return Err(ChainError::Decode("a committee's event".into())),
        };
        return Ok(Some(ChainEvent::CommitteeExecuted { refused }));
    }
    // Others may have events that this program's metadata does not know.
    if !OURS.contains(&event.pallet_name()) {
        return Ok(None);
    }
    let event = event.decode_as().map_err(|err| ChainError::Decode(err.to_string()))?;
    Ok(match event {
        runtime::Event::Leases(event) => lease_event(event),
        runtime::Event::Tasks(event) => Some(super::tasks::event(&event)),
        runtime::Event::Attestation(event) => super::attestation::event(event),
        runtime::Event::Proofs(event) => super::proofs::event(event),
        runtime::Event::Deployments(
            Deployments::Updated { deployment, .. } | Deployments::Stopped { deployment },
        ) => Some(ChainEvent::DeploymentChanged { deployment: deployment.0 }),
        runtime::Event::Reputation(Reputation::Complained { complaint, .. }) => {
            Some(ChainEvent::Complained { complaint })
        }
        _ => None,
    })
}

fn lease_event(event: Leases) -> Option<ChainEvent> {
    Some(match event {
        Leases::Opened { lease, deployment, provider, .. } => ChainEvent::LeaseOpened {
            lease: lease.0,
            deployment: deployment.0,
            provider: provider.0,
        },
        Leases::Claimed { lease, paid, .. } => ChainEvent::Claimed { lease: lease.0, paid },
        Leases::Settled { lease, paid, refunded } => {
            ChainEvent::LeaseSettled { lease: lease.0, paid, refunded }
        }
        Leases::Funded { lease, .. }
        | Leases::AllowanceUsed { lease, .. }
        | Leases::Authorised { lease, .. }
        | Leases::GivenBack { lease, .. }
        | Leases::Refunded { lease, .. }
        | Leases::DepositKept { lease, .. }
        | Leases::SpendRateSet { lease, .. }
        | Leases::Activated { lease, .. }
        | Leases::AppEnded { lease, .. }
        | Leases::FundsExhausted { lease }
        | Leases::FundsLow { lease, .. }
        | Leases::PaidOut { lease, .. }
        | Leases::Forgotten { lease }
        | Leases::NoticeGiven { lease, .. }
        | Leases::Amended { lease, .. }
        | Leases::Contested { lease, .. }
        | Leases::Closed { lease, .. } => ChainEvent::LeaseChanged { lease: lease.0 },
        Leases::ProviderSlashed { lease, amount, rewarded } => {
            ChainEvent::ProviderSlashed { lease: lease.0, amount, rewarded }
        }
        Leases::ContestDecided { lease, refunded, .. }
        | Leases::Misconduct { lease, refunded, .. }
        | Leases::Penalised { lease, refunded } => {
            ChainEvent::ClaimsRefunded { lease: lease.0, amount: refunded }
        }
        Leases::TreasuryShareSet { .. } => return None,
    })
}
