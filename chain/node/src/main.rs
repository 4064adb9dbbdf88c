//! `casemate-node`.
//!
//! - [`cli`]: commands and what they run.
//! - [`chain_spec`]: the presets of the runtime as chain specifications.
//! - [`service`]: wires a node; [`service::seal`] is block making on a development chain.
//! - [`rpc`]: what the node answers besides the SDK's own.

mod chain_spec;
mod cli;
mod rpc;
mod service;

fn main() -> sc_cli::Result<()> {
    cli::run()
}
