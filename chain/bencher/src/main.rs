//! `casemate-bencher`: measures the runtime's weights and writes them into the repository.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line for people")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};
use casemate_bencher::{
    machine::Machine,
    measure::{self, Effort},
    model::CallWeight,
    render::{self, About},
};
use clap::Parser;

/// Measures the weights of a runtime that was built with the feature `runtime-benchmarks`.
#[derive(Debug, Parser)]
struct Cli {
    /// The runtime's Wasm.
    #[arg(long, value_name = "FILE")]
    runtime: PathBuf,
    /// Root of the repository, into which the files are written.
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,
    /// Genesis that benchmarks start from. Not `development`: its slots of 20 ms are no real
    /// chain's, and too short for the benchmark of the clock.
    #[arg(long, default_value = "local")]
    preset: String,
    /// Values that each parameter takes.
    #[arg(long, default_value_t = 20)]
    steps: u32,
    /// Runs with each of the values.
    #[arg(long, default_value_t = 10)]
    repeat: u32,
    /// The day, as `2026-01-31`, for the head of each file.
    #[arg(long)]
    date: String,
    /// Only this pallet, such as `pallet_leases` (may be repeated).
    #[arg(long)]
    pallet: Vec<String>,
    /// Write nothing: fail where the files have other calls, reads or writes than the runtime.
    #[arg(long)]
    check: bool,
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
    let machine = Machine::load(&cli.runtime, &cli.preset)?;
    let version = machine.version()?;
    let effort = Effort { steps: cli.steps, repeat: cli.repeat };
    let (pallets, items) =
        measure::run(&machine, effort, &cli.pallet, |line| eprintln!("  {line}"))?;
    let about = About {
        runtime: format!("runtime {} {}", version.spec_name, version.spec_version),
        date: cli.date.clone(),
        preset: cli.preset.clone(),
        effort,
    };
    let mut wrong = Vec::new();
    println!(
        "{:<28} {:<38} {:>14} {:>6} {:>6}",
        "pallet", "call, parameters at most", "ref_time (µs)", "reads", "writes"
    );
    for pallet in &pallets {
        let name = &pallet.pallet;
        let calls: Vec<_> = pallet
            .benchmarks
            .iter()
            .map(|measured| CallWeight::fit(measured, &items))
            .collect::<Result<_>>()
            .with_context(|| format!("pallet `{name}`"))?;
        for call in &calls {
            row(name, call);
        }
        let (place, form) = render::place(name);
        let path = cli.repository.join(&place);
        if cli.check {
            wrong.extend(differences(&path, &place, &calls));
        } else {
            write(&path, &render::file(name, form, &calls, &about))?;
        }
    }
    ensure!(!pallets.is_empty(), "the runtime has no benchmarks");
    if !wrong.is_empty() {
        bail!("weights are not those of this runtime:\n{}", wrong.join("\n"));
    }
    Ok(())
}

fn row(pallet: &str, call: &CallWeight) {
    let most = |line: &casemate_bencher::model::Line| {
        line.slopes.iter().fold(line.base, |sum, (name, slope, _)| {
            let high = call.components.iter().find(|(n, ..)| n == name).map_or(0, |c| c.2);
            sum.saturating_add(slope.saturating_mul(u128::from(high)))
        })
    };
    let microseconds = most(&call.time) / 1_000_000;
    let (reads, writes) = (most(&call.reads), most(&call.writes));
    println!("{pallet:<28} {:<38} {microseconds:>14} {reads:>6} {writes:>6}", call.name);
}

fn differences(path: &Path, place: &str, calls: &[CallWeight]) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    if !text.contains(render::MARK) {
        return vec![format!("{place}: no weights that were measured")];
    }
    let (there, now) = (render::fixed_in(&text), render::fixed(calls));
    let names = there.keys().chain(now.keys().filter(|name| !there.contains_key(*name)));
    names
        .filter(|name| there.get(*name) != now.get(*name))
        .map(|name| {
            let say = |found: Option<&(usize, Option<(u128, u128)>)>| match found {
                None => "missing".to_owned(),
                Some((_, Some((reads, writes)))) => format!("{reads} reads, {writes} writes"),
                Some((parameters, None)) => format!("{parameters} parameters"),
            };
            format!("{place}: `{name}`: {}; now {}", say(there.get(name)), say(now.get(name)))
        })
        .collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make `{}`", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))
}
