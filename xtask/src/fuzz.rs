//! `cargo xtask fuzz`: lets a fuzzer look for inputs that break a decoder.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    paths::{Paths, TRIPLE},
    process::{Step, command, on_path, output, run_command},
};

/// `cargo xtask fuzz`
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Target; their names are printed without one.
    name: Option<String>,
    /// Ends after this many minutes; without it, at Ctrl-C or the first failure.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: Option<u32>,
}

/// The version that was tried: newer ones may have other options.
const CARGO_FUZZ: &str = "0.13.2";

/// Beyond this an input is taken for a leak of memory.
const MEMORY_MIB_MAX: u32 = 2048;

/// Longer than the slowest honest input by far, with neighbours on the machine.
const INPUT_SECONDS_MAX: u32 = 60;

pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let corpus = paths.repo.join("fuzz/corpus");
    let names = names(&corpus)?;
    let Some(name) = &options.name else {
        println!("{}", names.join("\n"));
        return Ok(());
    };
    if !names.contains(name) {
        bail!("there is no fuzz target `{name}`\nhint: take one of: {}", names.join(", "));
    }
    let toolchain = toolchain()?;
    let cargo_fuzz = cargo_fuzz(paths)?;
    let project = paths.repo.join("fuzz/libfuzzer");
    // The product's own versions; Cargo adds what only the fuzzer needs.
    fs::copy(paths.repo.join("Cargo.lock"), project.join("Cargo.lock"))
        .context("cannot copy `Cargo.lock` to `fuzz/libfuzzer`")?;
    let target_dir = paths.target.join("fuzz");
    let fuzz = |subcommand: &str| {
        let mut fuzz = command(&cargo_fuzz);
        fuzz.current_dir(&paths.repo);
        toolchain.apply(&mut fuzz);
        fuzz.args(["fuzz", subcommand, "--fuzz-dir", "fuzz/libfuzzer", "--target", TRIPLE]);
        fuzz.arg("--target-dir").arg(&target_dir);
        fuzz
    };
    let step = Step::start("building the fuzzer (minutes the first time)");
    run_command(fuzz("build").arg("any"), BUILD_HINT)?;
    step.done();

    let found = folder(paths.cache.join("fuzz/corpus").join(name))?;
    let failures = folder(paths.cache.join("fuzz/failures").join(name))?;
    let before = inputs(&failures)?;
    let step = Step::start(format!("fuzzing {name}"));
    let mut run = fuzz("run");
    run.env("CASEMATE_FUZZ_TARGET", name).arg("any");
    // New inputs go into the first folder; the repository's seeds are only read.
    run.arg(&found).arg(corpus.join(name)).arg("--");
    run.arg(prefix("-artifact_prefix=", &failures));
    run.args([
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        "-print_final_stats=1".to_owned(),
    ]);
    run.args(options.minutes.map(|minutes| format!("-max_total_time={}", u64::from(minutes) * 60)));
    let ended = run_command(&mut run, "the fuzzer's report is above");
    step.done();
    if ended.is_ok() {
        return Ok(());
    }
    let new: Vec<_> =
        inputs(&failures)?.into_iter().filter(|path| !before.contains(path)).collect();
    let Some(input) = new.first() else { return ended };
    bail!(
        "target `{name}` breaks on `{input}`\nhint: copy it to `fuzz/corpus/{name}/`, then \
         `cargo test -p casemate-fuzz` shows the failure until the code is corrected",
        input = input.display()
    );
}

/// Each target has a folder of seeds; a test of the crate sees to that.
fn names(corpus: &Path) -> Result<Vec<String>> {
    let unreadable = || format!("cannot read `{}`", corpus.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(corpus).with_context(unreadable)? {
        names.extend(entry.with_context(unreadable)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// How the compiler is told to build with the sanitizer, which stable refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Toolchain {
    /// rustup has a nightly toolchain.
    Nightly,
    /// Stable, with its unstable options switched on.
    Stable,
}

impl Toolchain {
    fn apply(self, command: &mut Command) {
        match self {
            Self::Nightly => command.env("RUSTUP_TOOLCHAIN", "nightly"),
            Self::Stable => command.env("RUSTC_BOOTSTRAP", "1"),
        };
    }
}

fn toolchain() -> Result<Toolchain> {
    if !on_path("cargo") {
        bail!("there is no `cargo` on the PATH\nhint: install Rust from https://rustup.rs");
    }
    let has_nightly = on_path("rustup")
        && output(command("rustup").args(["toolchain", "list"]), "see `rustup toolchain list`")?
            .lines()
            .any(|line| line.starts_with("nightly-"));
    if has_nightly {
        return Ok(Toolchain::Nightly);
    }
    eprintln!("note: there is no nightly toolchain; stable with RUSTC_BOOTSTRAP=1 does as well");
    Ok(Toolchain::Stable)
}

/// `cargo-fuzz`, installed into the cache where it is not there yet.
fn cargo_fuzz(paths: &Paths) -> Result<PathBuf> {
    let root = paths.cache.join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let program = root.join("bin/cargo-fuzz");
    if program.is_file() {
        return Ok(program);
    }
    let step = Step::start(format!("installing cargo-fuzz {CARGO_FUZZ}"));
    let mut install = command("cargo");
    install.current_dir(&paths.repo);
    install.args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root"]);
    install.arg(&root).env("CARGO_TARGET_DIR", paths.target.join("cargo-fuzz"));
    run_command(&mut install, "check the network and the disk, and run the same command again")?;
    step.done();
    Ok(program)
}

fn folder(path: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    Ok(path)
}

fn inputs(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read `{}`", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?;
    entries.map(|entry| Ok(entry.with_context(unreadable)?.path())).collect()
}

/// `-option=FOLDER/`
fn prefix(option: &str, folder: &Path) -> OsString {
    let mut text = OsString::from(option);
    text.push(folder);
    text.push("/");
    text
}

const BUILD_HINT: &str = "the compiler's first error above tells what is wrong; the sanitizer \
    needs a C++ compiler (Debian: `apt-get install g++`) and a toolchain that takes `-Z` options \
    (`rustup toolchain install nightly`)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_folders_of_the_corpus() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let names = names(&repo.join("fuzz/corpus")).unwrap();
        assert!(names.is_sorted() && names.contains(&"manifest_yaml".to_owned()), "{names:?}");
        let missing = names.iter().any(|name| name.contains('.'));
        assert!(!missing, "{names:?}");
    }

    #[test]
    fn an_unknown_target_is_refused_with_those_there_are() {
        let paths = Paths::find().unwrap();
        let options = Options { name: Some("nothing".to_owned()), minutes: None };
        let err = format!("{:#}", run(&paths, &options).unwrap_err());
        assert!(err.contains("nothing") && err.contains("manifest_yaml"), "{err}");
    }
}
