//! Vaults, and pods with the software TEE's evidence, judged by the real verifiers.

#![allow(clippy::unwrap_used)]

mod carry;
mod network;
mod process;
mod refusals;
mod release;
