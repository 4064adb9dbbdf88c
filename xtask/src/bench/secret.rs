//! What a release of secrets takes beyond its round trips.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{
    bench::{Goal, ROUNDS, Row},
    paths::Paths,
    process::{Step, command, run_interruptible},
};

/// Releases in a round: of so many one in a hundred is more than one.
const COUNT: usize = 200;
/// What a release may take beyond its round trips, in 99 of 100 cases.
const BEYOND_MILLISECONDS: f64 = 50.0;

/// From `casemate-bench release`, in milliseconds: a value for each round.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Releases {
    p50: Vec<f64>,
    p99: Vec<f64>,
    bare_p50: Vec<f64>,
    bare_p99: Vec<f64>,
}

/// Releases to a real agent beside the same round trips without appraisal and seal.
pub(super) fn release(paths: &Paths) -> Result<Vec<Row>> {
    let step = Step::start("measuring releases beside bare round trips");
    let mut bench = command(paths.bin("casemate-bench"));
    bench.args(["release", &ROUNDS.to_string(), &COUNT.to_string()]);
    bench.env("CASEMATE_BIN_DIR", paths.bin_dir()).env("CASEMATE_STATIC_DIR", paths.static_dir());
    let text = run_interruptible(bench, "its error is shown above")?;
    step.done();
    let measured = serde_json::from_str(&text)
        .with_context(|| format!("`casemate-bench` printed `{text}`"))?;
    rows(&measured)
}

fn rows(measured: &Releases) -> Result<Vec<Row>> {
    let Releases { p50, p99, bare_p50, bare_p99 } = measured;
    let row = |what: &str, ours: &[f64], reference: &[f64], goal| {
        Row::new(format!("secret.release.{what}"), "ms", ours, reference, goal)
    };
    let beyond: Vec<f64> = p99.iter().zip(bare_p99).map(|(ours, bare)| ours - bare).collect();
    Ok(vec![
        row("p50", p50, bare_p50, Goal::None)?,
        row("p99", p99, bare_p99, Goal::None)?,
        // The difference itself, beside the round trips.
        row("beyond", &beyond, bare_p99, Goal::OursAtMost(BEYOND_MILLISECONDS))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_is_for_what_is_beyond_the_round_trips() {
        let measured = |p99: f64| Releases {
            p50: vec![9.0; ROUNDS],
            p99: vec![p99; ROUNDS],
            bare_p50: vec![4.0; ROUNDS],
            bare_p99: vec![80.0; ROUNDS],
        };
        let beyond = |p99: f64| {
            let rows = rows(&measured(p99)).expect("enough rounds");
            let row = rows.into_iter().find(|row| row.name == "secret.release.beyond");
            row.map(|row| (row.ours, row.met)).expect("the row")
        };
        assert_eq!(beyond(130.0), (50.0, true));
        assert_eq!(beyond(131.0), (51.0, false));
        assert!(!beyond(f64::NAN).1);
    }
}
