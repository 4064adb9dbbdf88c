//! Rows from the series that `casemate-bench` prints.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{
    bench::{Goal, ROUNDS, Row},
    paths::Paths,
    process::{Step, command, run_interruptible},
};

/// As in the goal.
const LEASES: u32 = 10_000;

#[derive(Debug, Deserialize)]
struct Claims {
    claims: Vec<f64>,
    /// Records whose root came on chain.
    batched: Vec<f64>,
    transfers: Vec<f64>,
}

/// Claims a second beside transfers a second.
pub(super) fn claims(paths: &Paths) -> Result<Vec<Row>> {
    let node = paths.bin("casemate-node").display().to_string();
    let step = Step::start("measuring claims beside plain transfers");
    let Claims { claims, batched, transfers } =
        run(paths, &["claims", &node, &ROUNDS.to_string()])?;
    step.done();
    Ok(vec![
        Row::new("claims", "calls/s", &claims, &transfers, Goal::AtLeast(0.5))?,
        Row::new("claims.batched", "rec./s", &batched, &transfers, Goal::AtLeast(10.0))?,
    ])
}

#[derive(Debug, Deserialize)]
struct Leases {
    memory: Vec<f64>,
    seconds: Vec<f64>,
    idle_memory: Vec<f64>,
    idle_seconds: Vec<f64>,
}

/// A provider with many leases beside one with none.
pub(super) fn leases(paths: &Paths) -> Result<Vec<Row>> {
    let step = Step::start(format!("measuring a provider with {LEASES} leases"));
    let series: Leases = run(paths, &["leases", &LEASES.to_string(), &ROUNDS.to_string()])?;
    step.done();
    let Leases { memory, seconds, idle_memory, idle_seconds } = series;
    Ok(vec![
        Row::new("leases-memory", "MB", &memory, &idle_memory, Goal::OursAtMost(200.0))?,
        Row::new("leases-resync", "s", &seconds, &idle_seconds, Goal::OursAtMost(1.0))?,
    ])
}

fn run<T: serde::de::DeserializeOwned>(paths: &Paths, args: &[&str]) -> Result<T> {
    let mut bench = command(paths.bin("casemate-bench"));
    bench.args(args);
    let text = run_interruptible(bench, "its error is shown above")?;
    serde_json::from_str(&text).with_context(|| format!("`casemate-bench` printed `{text}`"))
}
