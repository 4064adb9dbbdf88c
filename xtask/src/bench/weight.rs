//! What claims weigh beside a transfer: compiled to Wasm, and with their database accesses.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::{
    bench::{Goal, ROUNDS, Row},
    paths::Paths,
    process::{Step, command, output},
    setup, weights,
};

const TRANSFER: &str = "pallet_balances::transfer_keep_alive";

/// One record: at most three transfers.
pub(super) fn claim(paths: &Paths) -> Result<Vec<Row>> {
    beside_a_transfer(paths, "claim.weight", "pallet_leases::claim", 3.0)
}

/// The root of any number of records, a thousand leases' or more: at most ten transfers.
pub(super) fn batch(paths: &Paths) -> Result<Vec<Row>> {
    beside_a_transfer(paths, "batch.weight", "pallet_proofs::submit_batch", 10.0)
}

fn beside_a_transfer(paths: &Paths, row: &str, call: &str, factor: f64) -> Result<Vec<Row>> {
    let wasm = setup::run()?;
    let runtime = weights::runtime(paths, wasm)?;
    let program = weights::runner(paths, wasm, "casemate-weight-bench")?;
    let step = Step::start(format!("measuring `{call}` and a transfer inside Wasm"));
    let mut bench = command(program);
    bench.arg("--runtime").arg(runtime).args(["--rounds", &ROUNDS.to_string(), TRANSFER, call]);
    let text = output(&mut bench, "`cargo xtask weights --check` shows whether benchmarks run")?;
    step.done();
    let measured: BTreeMap<String, Vec<f64>> = serde_json::from_str(&text)
        .with_context(|| format!("`casemate-weight-bench` printed `{text}`"))?;
    let of = |call: &str| {
        measured
            .get(call)
            .with_context(|| format!("`casemate-weight-bench` told nothing of {call}"))
    };
    let goal = Goal::AtMost { factor, plus: 0.0 };
    Ok(vec![Row::new(row, "µs", of(call)?, of(TRANSFER)?, goal)?])
}
