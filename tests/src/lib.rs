//! Runs real networks for the end-to-end tests: a chain node, a software TEE, providers, a registry and
//! publishers with the command line, all of them real binaries on loopback.
//!
//! [`with_cluster`] starts one, hands it to a test, and clears everything away. What all of its
//! programs wrote is shown when the test fails. [`Ledger`] reads the chain's blocks apart from the
//! product's own client, so that money is counted by somebody else than the one who moves it.
//!
//! The binaries are found through `CASEMATE_BIN_DIR` and `CASEMATE_STATIC_DIR`, which
//! `cargo xtask test` sets after it has built them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod binaries;
mod careless;
mod chance;
mod cluster;
mod http;
mod ledger;
mod machine;
mod node;
mod poll;
mod ports;
mod process;
mod provider;
mod registry;
mod rpc;
mod service;
mod software_tee;
mod user;
mod wasm;

pub use binaries::Binaries;
pub use careless::Careless;
pub use chance::Chance;
pub use cluster::{Cluster, Options, print_log, with_cluster};
pub use http::{Connection, Response, get};
pub use ledger::{Books, Claim, Ledger, Settlement};
pub use machine::Traces;
pub use node::{Node, Validator, development_chain};
pub use poll::{Fatal, PATIENCE, until};
pub use ports::{free_port, free_ports};
pub use process::{Process, tail};
pub use provider::{PRICES, Provider, ProviderOptions};
pub use registry::{Image, Registry};
pub use rpc::Rpc;
pub use service::Service;
pub use software_tee::SoftwareTee;
pub use user::{Run, User};
pub use wasm::{compress, decompress, with_spec_version};
