//! A vault: keeps a publisher's secrets, and releases them to pods whose evidence his grants accept,
//! so that pods restart and move while he is away. `docs/decisions/0006-vault.md` has the reasons.
//!
//! # Who must not choose what
//! - **Whoever carries messages** (a provider, an ingress) chooses nothing. What goes to a pod is
//!   sealed to a key that verified evidence covers; what the publisher and the replicas say to each
//!   other is sealed under keys derived from the [`Master`], which only attested vaults are given.
//! - **The host** chooses neither entries nor their order: entries carry the publisher's signature
//!   and a version, and the store's file is encrypted and chained. It can cut off the file's end, or
//!   put an old file back: [`Snapshot`](wire::Snapshot)s from the publisher and from other replicas,
//!   which come with each start, bring back what is newer.
//! - **A replica** that is lost takes nothing with it: each has all entries, and one identity, derived
//!   from the master.
//!
//! # Limits
//! The clock is the host's. It never counts behind the newest entry or release that the store holds,
//! nor do firmware verdicts: collateral with a lower evaluation number than one that was relied on
//! is refused.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

mod appraise;
pub mod audit;
mod catalogue;
pub mod client;
pub mod courier;
pub mod entry;
mod limiter;
mod master;
mod nonces;
mod seal;
pub mod server;
mod store;
mod vault;
pub mod wire;

pub use master::{Keys, Master, MasterError};
pub use nonces::NONCE_SECONDS;
pub use seal::{OpenError, SealError};
pub use store::StoreError;
pub use vault::{Options, Refused, StartError, Vault};
