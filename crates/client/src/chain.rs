//! The chain as Casemate's programs see it.
//!
//! [`ChainClient`] reads and submits, [`watch_leases`] follows finality. What comes out are views
//! ([`LeaseView`] …) that know nothing of the client underneath.

mod attestation;
mod client;
mod cluster;
mod collateral;
mod error;
mod read;
mod runtime;
mod submit;
mod tasks;
mod types;
mod watch;

pub use attestation::{Appraised, AttestedKeys, Endorsement, StandingView, Submission};
pub use client::ChainClient;
pub use cluster::ClusterView;
pub use collateral::IntelCollateral;
pub use error::ChainError;
pub use submit::{Call, ChainEvent, EventStream, Included};
pub use tasks::{LeaseTask, OpenRunView, RunEntry, TaskView};
pub use types::{
    AccountBalance, AgentView, ChainSnapshot, DeploymentView, Deposits, EndedLease, LeaseState,
    LeaseView, PeriodView, ProviderView, UnbondingView,
};
pub use watch::watch_leases;
