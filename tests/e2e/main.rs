//! End-to-end tests on the real binaries. Each starts a network of its own.
//!
//! They need root, and the programs that `cargo xtask test` builds. To see one alone:
//! `cargo xtask test -p casemate-tests --filter NAME`.

#![allow(clippy::unwrap_used)]

mod assets;
mod attacks;
mod attestation;
mod bad_input;
mod bad_quotes;
mod challenges;
mod clusters;
mod common;
mod crashes;
mod disputes;
mod full_disk;
mod kills;
mod long;
mod middle;
mod proved;
mod retire;
mod road;
mod rogue;
mod secrets;
mod tasks;
mod tenants;
mod update;
mod upgrade;
mod validators;
mod vault;
