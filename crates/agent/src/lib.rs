//! The agent: process 1 of every container of a pod (`docs/decisions/0001`).
//!
//! It starts the app, reaps, forwards signals, starts the app again by the restart policy, runs the
//! probes, captures output, and (in the pod's first container) signs usage records; of a task it also
//! signs how its run has ended. It talks to the
//! host by one append-only stream of [`event`]s and reads one [`config`] file. Where the configuration
//! asks for it, it serves evidence about itself over attested TLS, takes secrets that are sealed to
//! its key and gives them to the app, and ends TLS for the app (`casemate-ra-tls`).
//!
//! Evidence covers the hash of the pod's manifest. So an agent that is to serve evidence [checks](check)
//! first that its configuration follows from that manifest, and refuses to run if it does not.
//!
//! # Trust
//! The app must never choose what a record says, and must not reach the key: the agent is not
//! dumpable, so an app of the same user can neither trace it nor open its descriptors. The host reads
//! the events and believes none of them but a record whose signature it has checked. Where the manifest
//! names whom output is sealed to, it reads nothing of what the apps print: the agents of the other
//! containers hand it to the first one's, which seals it.
//!
//! # Limits
//! Linked statically, so no name service: users are numbers, probes go to 127.0.0.1. A usage record
//! charges the pod's quota for as long as the agent runs, its pauses before restarts included: the
//! machine is held for the pod all that time.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod check;
pub mod config;
pub mod derive;
pub mod event;

mod children;
mod limiter;
mod lines;
mod meter;
mod net_dev;
mod output;
mod probe;
mod relay;
mod restart;
mod signer;
mod spawn;
mod supervisor;
mod task;
mod tee;

pub use restart::Backoff;
pub use signer::{Observed, Signer, Usage};
pub use supervisor::{AgentError, run};
pub use tee::TeeError;

/// Where the container finds the agent's binary.
pub const AGENT_PATH: &str = "/run/casemate/agent";

/// Where the first container finds its pod's cgroup, read-only, if the host shows it.
pub const CGROUP_PATH: &str = "/run/casemate/cgroup";

/// Where the agent finds its configuration when no other path is given.
pub const CONFIG_PATH: &str = "/run/casemate/config.json";
