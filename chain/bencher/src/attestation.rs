//! `casemate-attestation-bench`: what a quote costs inside the compiled runtime, beside another
//! verifier that is compiled to Wasm. Prints one JSON object for `cargo xtask bench attestation`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line for people")]

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result, ensure};
use casemate_attestation::{UnixSeconds, dcap::RawCollateral};
use casemate_bencher::{
    machine::{Machine, Program},
    measure::Single,
};
use clap::Parser;
use codec::Encode as _;
use frame_support::weights::constants::{ExtrinsicBaseWeight, WEIGHT_REF_TIME_PER_SECOND};
use pallet_attestation::WeightInfo;

const PALLET: &str = "pallet_attestation";

/// Runs within one measurement, of which the fastest counts: what else the machine does only adds.
const REPEATS: u32 = 11;

#[derive(Debug, Parser)]
struct Cli {
    /// The runtime's Wasm, with its benchmarks.
    #[arg(long, value_name = "FILE")]
    runtime: PathBuf,
    /// The other verifier's Wasm: `naive` takes quote, collateral, time and whether to verify.
    #[arg(long, value_name = "FILE")]
    naive: PathBuf,
    /// A quote for it.
    #[arg(long, value_name = "FILE")]
    quote: PathBuf,
    /// The collateral for the quote, as JSON.
    #[arg(long, value_name = "FILE")]
    collateral: PathBuf,
    /// When the collateral is valid, in seconds since 1970.
    #[arg(long)]
    now: UnixSeconds,
    /// Measurements of each.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
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

fn run(cli: &Cli) -> Result<()> {
    let machine = Machine::load(&cli.runtime, "local")?;
    let naive = Naive::new(cli)?;
    let benchmarks: Vec<_> = ["attest_dcap", "appraise_dcap", "attest_snp"]
        .into_iter()
        .map(|name| Single::find(&machine, PALLET, name))
        .collect::<Result<_>>()?;
    let mut series: [Vec<f64>; 4] = Default::default();
    for round in 0..=cli.rounds {
        let mut times = Vec::new();
        for benchmark in &benchmarks {
            let nanoseconds = benchmark.nanoseconds(&machine, REPEATS)?;
            times.push(least(nanoseconds.into_iter().map(|ns| ns as f64 / 1e3)));
        }
        times.push(naive.microseconds()?);
        // The first is for the caches.
        if round > 0 {
            for (series, time) in series.iter_mut().zip(times) {
                series.push(time);
            }
        }
    }
    let [attest, appraise, attest_snp, naive] = series;
    // Those of the unit type have the database of the runtime.
    let [weight, weight_snp] =
        [<() as WeightInfo>::attest_dcap(), <() as WeightInfo>::attest_snp()];
    let out = serde_json::json!({
        "attest": attest,
        "appraise": appraise,
        "attestSnp": attest_snp,
        "naive": naive,
        "weight": weight.ref_time(),
        "weightSnp": weight_snp.ref_time(),
        "weightOfAnyCall": ExtrinsicBaseWeight::get().ref_time(),
        "weightOfSecond": WEIGHT_REF_TIME_PER_SECOND,
    });
    println!("{out}");
    Ok(())
}

/// The other verifier with its input.
struct Naive {
    program: Program,
    verify: Vec<u8>,
    nothing: Vec<u8>,
}

impl Naive {
    fn new(cli: &Cli) -> Result<Self> {
        let read = |path: &PathBuf| {
            fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))
        };
        let quote = read(&cli.quote)?;
        let collateral: RawCollateral = serde_json::from_slice(&read(&cli.collateral)?)
            .with_context(|| format!("`{}` is no collateral", cli.collateral.display()))?;
        let input = |verify: bool| (&quote, &collateral, cli.now, verify).encode();
        let naive = Self {
            program: Program::load(&cli.naive)?,
            verify: input(true),
            nothing: input(false),
        };
        ensure!(naive.program.call("naive", &naive.verify)? == [1], "the quote does not verify");
        // What answers "good" to anything would be compared with nothing.
        let forged = {
            let mut forged = quote.clone();
            // Within the signed body.
            let byte = forged.get_mut(300).context("the quote is too short")?;
            *byte ^= 1;
            (&forged, &collateral, cli.now, true).encode()
        };
        ensure!(naive.program.call("naive", &forged)? == [0], "a forged quote verifies");
        Ok(naive)
    }

    /// Of the verification alone: a runtime's call has an instance and its arguments already.
    fn microseconds(&self) -> Result<f64> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..REPEATS {
            for (input, times) in [(&self.verify, &mut with), (&self.nothing, &mut without)] {
                let from = Instant::now();
                self.program.call("naive", input)?;
                times.push(from.elapsed().as_secs_f64() * 1e6);
            }
        }
        Ok(least(with) - least(without))
    }
}

fn least(series: impl IntoIterator<Item = f64>) -> f64 {
    series.into_iter().fold(f64::INFINITY, f64::min)
}
