//! The provider daemon as a library, so that tests and benches run it with any [`Chain`] and any
//! [`Backend`](casemate_provider_core::Backend).
//!
//! - [`reconciler`]: finalised leases and running pods in, backend calls and routes out.
//! - [`settlement`]: attests agents, claims, settles and closes on chain.
//! - [`attestation`]: asks the pods' agents for the evidence that they are paid for.
//! - [`challenges`]: answers who asks for evidence, logs and leaves of batches on chain.
//! - `cluster`: keeps the control plane itself attested.
//! - [`courier`]: brings secrets from vaults to pods that wait for them.
//! - [`ingress`]: HTTP by host name, TCP by port and TLS by server name, to the pods that the
//!   reconciler names.
//! - [`api`], [`quotes`] and [`amendments`]: what publishers ask for, checked and signed.
//! - [`funds`]: tells of leases whose money runs low.
//! - [`spool`] and [`manifests`]: what must outlive the process and is neither on chain nor in the
//!   backend.
//! - [`front`]: the addresses, and what is answered there while no node answers us.
//! - [`app`]: wires them. `Config -> App -> run(shutdown)`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod amendments;
pub mod api;
pub mod app;
pub mod attestation;
pub mod chain;
pub mod challenges;
mod cluster;
pub mod config;
pub mod courier;
pub mod facts;
pub mod front;
pub mod funds;
pub mod ingress;
pub mod key;
pub mod manifests;
pub mod metrics;
pub mod quotes;
pub mod reconciler;
pub mod settlement;
pub mod spool;
pub mod world;

pub use app::App;
pub use chain::{Chain, ChainError, RunCall};
pub use config::Config;

use std::sync::Arc;

use casemate_primitives::UnixSeconds;
pub(crate) use casemate_primitives::chain_of;

/// The wall clock, passed in so that tests own time.
pub type Clock = Arc<dyn Fn() -> UnixSeconds + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    })
}
