//! Measurements of `cargo xtask bench` that need the chain's client or the provider as a library.
//!
//! A binary of this package and no example or bench target: `cargo build --workspace` makes it with
//! the features that everything else is built with, so nothing is compiled twice for it.
//!
//! Each command prints one JSON object with its series; what they are compared with is xtask's.

mod claims;
mod evidence;
mod first_answer;
mod leases;
mod release;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};

const USAGE: &str = "usage: casemate-bench claims NODE_PROGRAM ROUNDS
       casemate-bench leases COUNT ROUNDS
       casemate-bench release ROUNDS COUNT
       casemate-bench first-answer RPC_URL INGRESS_ADDRESS HOST PATH";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = match args.as_slice() {
        ["claims", node, rounds] => {
            runtime.block_on(Box::pin(claims::run(Path::new(node), rounds.parse()?)))?
        }
        ["leases", count, rounds] => {
            runtime.block_on(Box::pin(leases::run(count.parse()?, rounds.parse()?)))?
        }
        // It makes a runtime of its own, with a network.
        ["release", rounds, count] => release::run(rounds.parse()?, count.parse()?)?,
        ["first-answer", rpc, ingress, host, path] => {
            runtime.block_on(Box::pin(first_answer::run(rpc, ingress.parse()?, host, path)))?
        }
        _ => bail!("{USAGE}"),
    };
    print(&result.to_string());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result is data")]
fn print(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "for the person who runs it")]
fn tell(line: &str) {
    eprintln!("{line}");
}
