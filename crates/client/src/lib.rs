//! Client of the chain and of providers. The CLI, the provider daemon and Rust programs use it.
//!
//! - [`chain`]: follows finality, reads state, submits extrinsics; typed errors.
//! - [`api`] and [`auth`]: what a provider's HTTP API speaks, and how a request is signed.
//! - [`collateral`]: what the chain has to know of a machine, in the pieces that it takes.
//! - [`genesis`]: a development chain's specification with its software TEE.
//! - [`provider`]: client of that API.
//! - [`records`] and [`sealed_logs`]: usage records and output that a provider hands out, checked.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
pub mod auth;
pub mod chain;
pub mod collateral;
pub mod genesis;
pub mod provider;
pub mod records;
pub mod sealed_logs;
