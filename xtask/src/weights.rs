//! The weights of the runtime's calls, measured by their benchmarks.
//!
//! The runtime is built for Wasm with the feature `runtime-benchmarks`, in a folder of its own: the
//! feature changes all of the SDK's runtime crates, and such a runtime must never be mistaken for
//! the one of the chain. The runner is `chain/bencher`, of crates that the node has built already.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{
    build::{self, BUILD_HINT},
    paths::Paths,
    process::{Step, command, output, run_command},
    setup,
    wasm::{self, Wasm},
};

/// `cargo xtask weights`
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Options {
    /// Write nothing: run each benchmark once, and fail where the files have other calls, reads or
    /// writes than the runtime. (Times differ from run to run and are not compared.)
    #[arg(long)]
    check: bool,
    /// Values that each parameter of a benchmark takes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    steps: Option<u32>,
    /// Runs with each of the values.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    /// Only this pallet, such as `pallet_leases` (may be repeated).
    #[arg(long, value_name = "PALLET")]
    pallet: Vec<String>,
}

/// Packages that get new files.
const WRITTEN: &[&str] = &[
    "casemate-runtime",
    "pallet-attestation",
    "pallet-deployments",
    "pallet-endorsements",
    "pallet-leases",
    "pallet-money",
    "pallet-proofs",
    "pallet-providers",
    "pallet-reputation",
    "pallet-tasks",
];

/// Without it, the runner's package is empty. It changes no other package.
pub(crate) const RUNNER_FEATURE: &str = "casemate-bencher/run";

/// What `substrate-wasm-builder` gives the linker for the chain's own runtime.
const FLAGS: &str = "-C link-arg=--export-table -C link-arg=--export=__heap_base \
                     -C link-arg=--import-memory --cfg substrate_runtime";

/// Builds, measures, and writes the files.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    measure(paths, setup::run()?, options)
}

/// Runs each benchmark once, and says where the files are not this runtime's.
pub(crate) fn check(paths: &Paths, wasm: Wasm) -> Result<()> {
    measure(paths, wasm, &Options { check: true, ..Default::default() })
}

fn measure(paths: &Paths, wasm: Wasm, options: &Options) -> Result<()> {
    let runtime = runtime(paths, wasm)?;
    let runner = runner(paths, wasm, "casemate-bencher")?;
    let step = Step::start("running the benchmarks");
    // A few values and runs are enough to see that all is there.
    let (steps, repeat) = if options.check { (2, 1) } else { (STEPS, REPEATS) };
    let mut run = command(runner);
    run.arg("--runtime").arg(runtime).arg("--repository").arg(&paths.repo);
    run.args(["--steps", &options.steps.unwrap_or(steps).to_string()]);
    run.args(["--repeat", &options.repeat.unwrap_or(repeat).to_string()]);
    run.args(["--date", output(command("date").args(["-u", "+%F"]), "")?.trim()]);
    for pallet in &options.pallet {
        run.args(["--pallet", pallet]);
    }
    if options.check {
        run.arg("--check");
    }
    run_command(&mut run, "`cargo xtask weights` writes them anew; look at what changed")?;
    if !options.check {
        let mut format = command("cargo");
        format.arg("fmt").current_dir(&paths.repo);
        for package in WRITTEN {
            format.args(["-p", package]);
        }
        run_command(&mut format, "")?;
    }
    step.done();
    Ok(())
}

/// The runtime with its benchmarks.
pub(crate) fn runtime(paths: &Paths, wasm: Wasm) -> Result<PathBuf> {
    let step = Step::start("building the runtime with its benchmarks (the first time 5 minutes)");
    let target = paths.cache.join("weights");
    let mut build = cargo(paths, wasm, &target);
    build.args(["rustc", "--locked", "--release", "--lib", "-p", "casemate-runtime"]);
    build.args(["--no-default-features", "--features", "runtime-benchmarks"]);
    build.args(["--crate-type", "cdylib", "--target", wasm::TARGET]);
    run_command(&mut build, BUILD_HINT)?;
    let built = target.join(wasm::TARGET).join("release/casemate_runtime.wasm");
    ensure!(built.is_file(), "cargo built no `{}`", built.display());
    step.done();
    Ok(built)
}

/// Cargo as `substrate-wasm-builder` calls it, so that what is measured is what a chain runs.
pub(crate) fn cargo(paths: &Paths, wasm: Wasm, target: &Path) -> Command {
    let mut cargo = command("cargo");
    cargo.args(wasm.toolchain());
    wasm.apply(&mut cargo);
    cargo
        .current_dir(&paths.repo)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_LTO", "thin")
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

/// A program that runs them. The whole workspace is selected, as in every build, so that the
/// node's dependencies are not compiled again; and all of the programs are, for the same reason.
pub(crate) fn runner(paths: &Paths, wasm: Wasm, program: &str) -> Result<PathBuf> {
    let step = Step::start("building the runner of the benchmarks");
    let mut build = build::cargo(paths, wasm);
    build.args(["build", "--workspace", "--locked"]);
    build.args(["--bin", "casemate-bencher", "--bin", "casemate-attestation-bench"]);
    build.args(["--bin", "casemate-weight-bench"]);
    build.args(["--features", RUNNER_FEATURE]);
    run_command(&mut build, BUILD_HINT)?;
    step.done();
    Ok(paths.bin(program))
}

/// Enough for a line over a parameter; more made no difference beyond the noise.
const STEPS: u32 = 20;

/// Enough for a median that a busy moment does not move.
const REPEATS: u32 = 20;
