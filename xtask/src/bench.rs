//! `cargo xtask bench`: what we have beside a reference, measured in one run, turn by turn.

mod attestation;
mod ingress;
mod metering;
mod publish;
mod secret;
mod series;
mod start;
mod weight;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{build, paths::Paths, process::is_root, setup};

/// `cargo xtask bench`
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Rows whose name begins with this; all without it.
    name: Option<String>,
    /// A table, or one JSON object to a line.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    Table,
    Json,
}

/// Rounds of each side; a median of fewer says little on a busy machine.
pub(crate) const ROUNDS: usize = 5;

/// One line of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Median of ours.
    pub(crate) ours: f64,
    /// Median of the reference.
    pub(crate) reference: f64,
    /// `ours / reference`.
    pub(crate) ratio: f64,
    /// The bound that must be kept.
    pub(crate) goal: String,
    pub(crate) met: bool,
}

/// Which way a ratio must go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// `ours` is better when it is greater.
    AtLeast(f64),
    /// `ours` is at most `factor` times the reference, plus `plus`.
    AtMost { factor: f64, plus: f64 },
    /// `ours` itself is at most this, whatever the reference.
    OursAtMost(f64),
    /// `ours` itself is at least this, whatever the reference.
    OursAtLeast(f64),
    /// Shown for comparison; nothing is promised.
    None,
}

impl Row {
    /// Takes the medians of both series.
    pub(crate) fn new(
        name: impl Into<String>,
        unit: &'static str,
        ours: &[f64],
        reference: &[f64],
        goal: Goal,
    ) -> Result<Self> {
        let (ours, reference) = (median(ours)?, median(reference)?);
        let ratio = ours / reference;
        // A division by nothing is no success.
        let (goal, met) = match goal {
            Goal::AtLeast(bound) => {
                (format!("ratio >= {bound}"), ratio.is_finite() && ratio >= bound)
            }
            Goal::AtMost { factor, plus } => (
                format!("ours <= {factor} x reference + {plus}"),
                ours.is_finite() && ours <= factor * reference + plus,
            ),
            Goal::OursAtMost(bound) => {
                (format!("ours <= {bound}"), ours.is_finite() && ours <= bound)
            }
            Goal::OursAtLeast(bound) => {
                (format!("ours >= {bound}"), ours.is_finite() && ours >= bound)
            }
            Goal::None => ("none".to_owned(), true),
        };
        Ok(Self { name: name.into(), unit, ours, reference, ratio, goal, met })
    }
}

/// The middle of a series.
fn median(series: &[f64]) -> Result<f64> {
    if series.len() < ROUNDS {
        bail!("{} measurements are too few for a median", series.len());
    }
    let mut sorted = series.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    Ok(if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    })
}

/// A bench that makes some rows.
type Bench = fn(&Paths) -> Result<Vec<Row>>;

/// What a bench needs before it runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Needs {
    /// All programs, and root to start containers.
    Network,
    /// Nothing: it builds what it measures.
    Nothing,
}

/// All of them; later ones are added here.
const BENCHES: &[(&str, Needs, Bench)] = &[
    ("start", Needs::Network, start::run),
    ("ingress", Needs::Network, ingress::run),
    ("claims", Needs::Network, series::claims),
    ("leases", Needs::Network, series::leases),
    ("attestation.native", Needs::Nothing, attestation::native),
    ("attestation.runtime", Needs::Nothing, attestation::runtime),
    ("metering.cpu", Needs::Network, metering::cpu),
    ("secret.release", Needs::Network, secret::release),
    ("claim.weight", Needs::Nothing, weight::claim),
    ("batch.weight", Needs::Nothing, weight::batch),
];

pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let wanted: Vec<_> = BENCHES
        .iter()
        .filter(|(name, ..)| options.name.as_ref().is_none_or(|wanted| name.starts_with(wanted)))
        .collect();
    if wanted.is_empty() {
        let names: Vec<_> = BENCHES.iter().map(|(name, ..)| *name).collect();
        bail!(
            "there is no bench `{}`\nhint: there are: {}",
            options.name.as_deref().unwrap_or_default(),
            names.join(", ")
        );
    }
    if wanted.iter().any(|(_, needs, _)| *needs == Needs::Network) {
        if !is_root() {
            bail!("the benches start containers: run the same command as root");
        }
        let wasm = setup::run()?;
        build::all(paths, wasm)?;
    }
    let mut rows = Vec::new();
    for (.., bench) in wanted {
        rows.extend(bench(paths)?);
    }
    match options.output {
        Form::Json => {
            for row in &rows {
                println!("{}", serde_json::to_string(row)?);
            }
        }
        Form::Table => table(&rows),
    }
    Ok(())
}

fn table(rows: &[Row]) {
    println!(
        "{:<28} {:<8} {:>10} {:>10} {:>8}  {:<28} met",
        "name", "unit", "ours", "reference", "ratio", "goal"
    );
    for row in rows {
        println!(
            "{:<28} {:<8} {:>10.3} {:>10.3} {:>8.3}  {:<28} {}",
            row.name,
            row.unit,
            row.ours,
            row.reference,
            row.ratio,
            row.goal,
            if row.met { "yes" } else { "NO" }
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_compares_medians() {
        let ours = [90.0, 1.0, 95.0, 1000.0, 92.0];
        let row = Row::new("x", "1/s", &ours, &[100.0; 5], Goal::AtLeast(0.9)).expect("five");
        assert_eq!((row.ours, row.reference, row.met), (92.0, 100.0, true));
        let row = Row::new("x", "1/s", &[1.0; 6], &[0.0; 6], Goal::AtLeast(0.9)).expect("six");
        assert!(!row.met);
        assert!(Row::new("x", "1/s", &[1.0; 4], &[1.0; 4], Goal::AtLeast(0.9)).is_err());
    }

    #[test]
    fn times_and_sizes_have_upper_bounds() {
        let met = |ours: f64, reference: f64, goal| {
            Row::new("x", "s", &[ours; 5], &[reference; 5], goal).expect("five").met
        };
        let goal = Goal::AtMost { factor: 1.5, plus: 1.0 };
        assert!(met(4.0, 2.0, goal) && !met(4.1, 2.0, goal) && !met(f64::NAN, 2.0, goal));
        let goal = Goal::OursAtMost(1.0);
        assert!(met(1.0, 0.0, goal) && !met(1.1, 9.0, goal));
        let goal = Goal::OursAtLeast(100.0);
        assert!(met(100.0, 0.0, goal) && !met(99.0, 1.0, goal) && !met(f64::NAN, 1.0, goal));
    }
}
