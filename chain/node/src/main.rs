//! `casemate-node`.
//!
//! - [`cli`]: commands and what they run.
//! - [`chain_spec`]: the presets of the runtime as chain specifications.
//! - [`service`]: wires a node; `service/seal.rs` is block making on a development chain.
//! - [`rpc`]: what the node answers besides the SDK's own.

mod chain_spec;
mod cli;
mod rpc;
mod service;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the edge of the program")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
