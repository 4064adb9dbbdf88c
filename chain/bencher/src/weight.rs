//! `casemate-weight-bench`: what some calls cost inside the compiled runtime, turn by turn. Prints one
//! JSON object for `cargo xtask bench`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line for people")]

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use casemate_bencher::{machine::Machine, measure::Single};
use clap::Parser;
use frame_support::weights::constants::{RocksDbWeight, WEIGHT_REF_TIME_PER_MICROS};

/// Runs within one measurement, of which the fastest counts: what else the machine does only adds.
const REPEATS: u32 = 21;

#[derive(Debug, Parser)]
struct Cli {
    /// The runtime's Wasm, with its benchmarks.
    #[arg(long, value_name = "FILE")]
    runtime: PathBuf,
    /// Measurements of each.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Calls, such as `pallet_leases::claim`; their benchmarks have no parameters.
    #[arg(required = true)]
    calls: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A call with what its database accesses weigh, and its weights so far; all in microseconds.
struct Measured {
    benchmark: Single,
    database: f64,
    weights: Vec<f64>,
}

fn run(cli: &Cli) -> Result<()> {
    let machine = Machine::load(&cli.runtime, "local")?;
    let mut calls =
        cli.calls.iter().map(|call| find(&machine, call)).collect::<Result<Vec<_>>>()?;
    for round in 0..=cli.rounds {
        for call in &mut calls {
            let nanoseconds = call.benchmark.nanoseconds(&machine, REPEATS)?;
            let least = nanoseconds.into_iter().min().context("the benchmark returned no time")?;
            // The first is for the caches.
            if round > 0 {
                call.weights.push(least as f64 / 1e3 + call.database);
            }
        }
    }
    let weights =
        cli.calls.iter().zip(&calls).map(|(name, call)| (name.clone(), call.weights.clone()));
    println!("{}", serde_json::Value::from_iter(weights));
    Ok(())
}

fn find(machine: &Machine, call: &str) -> Result<Measured> {
    let (pallet, name) =
        call.split_once("::").with_context(|| format!("`{call}` is no `pallet::call`"))?;
    let benchmark = Single::find(machine, pallet, name)?;
    let (reads, writes) = benchmark.reads_and_writes(machine)?;
    let database = RocksDbWeight::get().reads_writes(reads.into(), writes.into()).ref_time();
    let database = database as f64 / WEIGHT_REF_TIME_PER_MICROS as f64;
    Ok(Measured { benchmark, database, weights: Vec::new() })
}
