//! The chain as Casemate's programs see it.
//!
//! [`ChainClient`] reads and submits, [`watch_leases`] follows finality. What comes out are views
//! ([`LeaseView`] …) that know nothing of the client underneath.

mod assets;
mod attestation;
mod call;
mod client;
mod cluster;
mod collateral;
mod committee;
mod config;
mod details;
mod error;
mod events;
mod funds;
mod proofs;
mod read;
mod reputation;
mod runtime;
mod submit;
mod tasks;
mod types;
mod watch;

pub use assets::{AssetView, LeaseMoney};
pub use attestation::{Appraised, AttestedKeys, Endorsement, StandingView, Submission};
pub use call::Call;
pub use client::ChainClient;
pub use cluster::ClusterView;
pub use collateral::IntelCollateral;
pub use committee::Motion;
pub use details::{ContestRules, ContestView, LeaseDetails, LeaseStage, PricesBefore};
pub use error::ChainError;
pub use events::{ChainEvent, EventStream};
pub use funds::LowFunds;
pub use proofs::{
    BatchView, ChallengeAnswer, ChallengeQuestion, ChallengeTarget, ChallengeTerms, ChallengeView,
    Challenged, Conclusion, OpenChallenges, ProofsEvent, batch_leaf,
};
pub use reputation::{ComplaintView, ReputationView};
pub use submit::Included;
pub use tasks::{LeaseTask, OpenRunView, RunEntry, TaskView};
pub use types::{
    AccountBalance, AgentView, ChainSnapshot, DeploymentView, Deposits, EndedLease, LeaseState,
    LeaseView, PeriodView, ProviderView, UnbondingView,
};
pub use watch::watch_leases;
