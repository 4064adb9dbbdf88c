//! The real binary, for all that needs no chain: exit code and both streams.

#![allow(clippy::unwrap_used)]

mod attest;
mod attest_url;
mod basics;
mod dev;
mod images;
mod keys;
mod manifests;
mod registry;
mod results;
#[path = "../rig/mod.rs"]
mod rig;
mod run;
mod secrets;
mod vaults;
