//! `cargo xtask test`: every test there is, each program built once.
//!
//! The tests are compiled in one go with the whole workspace selected, so that features unify
//! as in the build and no dependency is compiled a second time. The test programs are then run
//! one by one, the end-to-end ones last and each test alone, because they start real networks.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::{
    build::{self, BUILD_HINT},
    check,
    paths::Paths,
    process::{Seconds, Step, is_root, line, root_command, run_command, tie},
    setup,
    wasm::Wasm,
    weights,
};

/// `cargo xtask test`
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Run only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run only the test programs of these packages (may be repeated).
    #[arg(long, short, value_name = "PACKAGE")]
    package: Vec<String>,
}

/// Package of the end-to-end tests.
const E2E_PACKAGE: &str = "casemate-tests";

/// A compiled test program.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct TestProgram {
    /// False sorts first: unit and integration tests before end-to-end ones.
    e2e: bool,
    package: String,
    target: String,
    /// Where the package lies; tests expect to run there.
    dir: PathBuf,
    executable: PathBuf,
}

/// What became of a step.
#[derive(Clone, Debug)]
struct Outcome {
    name: String,
    elapsed: Duration,
    /// What to type to see it again.
    failure: Option<String>,
}

/// Runs everything and tells what failed.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let started = Instant::now();
    setup::need_root("some tests start containers, which")?;
    let mut outcomes = Vec::new();
    let mut timed = |name: &str, from: Instant| {
        outcomes.push(Outcome { name: name.to_owned(), elapsed: from.elapsed(), failure: None });
    };

    let from = Instant::now();
    let wasm = setup::run()?;
    timed("set-up", from);

    let from = Instant::now();
    build::all(paths, wasm)?;
    timed("build", from);

    let from = Instant::now();
    build::web_module(paths, wasm)?;
    timed("build for browsers", from);

    let from = Instant::now();
    let programs = compile(paths, wasm)?;
    timed("build of the tests", from);

    if let Some(unknown) =
        options.package.iter().find(|name| programs.iter().all(|p| p.package != **name))
    {
        bail!("no package `{unknown}` has tests\nhint: names are those in `Cargo.toml` files");
    }
    let wanted = |program: &&TestProgram| {
        options.package.is_empty() || options.package.contains(&program.package)
    };
    let long: Vec<_> = programs
        .iter()
        .filter(|program| program.e2e && options.filter.is_none())
        .filter(wanted)
        .map(|program| Beside::start(paths, program))
        .collect::<Result<_>>()?;
    for program in programs.iter().filter(wanted) {
        outcomes.push(run_program(paths, program, options)?);
    }
    for beside in long {
        outcomes.push(beside.end()?);
    }
    if options.package.is_empty() {
        outcomes.push(doc_tests(paths, wasm, options)?);
        if options.filter.is_none() {
            outcomes.push(other_verifiers(paths, wasm));
            outcomes.push(check_weights(paths, wasm));
            outcomes.extend(check::cheap(paths).into_iter().map(|(name, elapsed, failure)| {
                Outcome { name: name.to_owned(), elapsed, failure }
            }));
        }
    }
    summary(&outcomes, started.elapsed())
}

/// Compiles all tests of the workspace and finds the programs.
fn compile(paths: &Paths, wasm: Wasm) -> Result<Vec<TestProgram>> {
    let step = Step::start("building the tests");
    let mut cargo = build::cargo(paths, wasm);
    cargo
        .args(["test", "--workspace", "--locked", "--no-run"])
        // The runner of the benchmarks is needed later, and has tests.
        .args(["--features", weights::RUNNER_FEATURE])
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().with_context(|| format!("failed to start {}", line(&cargo)))?;
    let stdout = child.stdout.take().context("no pipe to cargo")?;
    let mut programs = Vec::new();
    for message in BufReader::new(stdout).lines() {
        let message = message.context("failed to read cargo's messages")?;
        programs.extend(test_program(&message)?);
    }
    let status = child.wait().context("failed to wait for cargo")?;
    if !status.success() {
        bail!("{} failed ({status})\nhint: {BUILD_HINT}", line(&cargo));
    }
    if programs.is_empty() {
        bail!("cargo built no test program at all: has its message format changed?");
    }
    programs.sort();
    step.done();
    Ok(programs)
}

/// Reads one of cargo's messages.
fn test_program(message: &str) -> Result<Option<TestProgram>> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        manifest_path: Option<PathBuf>,
        target: Option<Target>,
        profile: Option<Profile>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    // Procedural macros may print to the same stream.
    if !message.starts_with('{') {
        return Ok(None);
    }
    let message: Message = serde_json::from_str(message).context("a message of cargo is odd")?;
    let (Some(manifest), Some(target), Some(profile), Some(executable)) =
        (message.manifest_path, message.target, message.profile, message.executable)
    else {
        return Ok(None);
    };
    if message.reason != "compiler-artifact" || !profile.test {
        return Ok(None);
    }
    let dir = manifest.parent().context("a package lies in no folder")?.to_owned();
    let package = package_name(&manifest)?;
    let e2e = package == E2E_PACKAGE && target.kind.iter().any(|kind| kind == "test");
    Ok(Some(TestProgram { e2e, package, target: target.name, dir, executable }))
}

/// The `name` in a package's manifest: cargo's ids of packages have no stable form.
fn package_name(manifest: &std::path::Path) -> Result<String> {
    let text = fs::read_to_string(manifest)
        .with_context(|| format!("failed to read `{}`", manifest.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .with_context(|| format!("`{}` has no line `name = \"…\"`", manifest.display()))
}

/// A program's long tests, which mostly wait: they run while the others do.
struct Beside {
    name: String,
    child: Child,
    /// What it prints.
    printed: PathBuf,
    started: Instant,
    again: String,
}

impl Beside {
    fn start(paths: &Paths, program: &TestProgram) -> Result<Self> {
        let printed = paths.target.join(format!("{}-{}-long.log", program.package, program.target));
        let file = File::create(&printed)
            .with_context(|| format!("failed to write `{}`", printed.display()))?;
        let again = file.try_clone().context("failed to share a file")?;
        let mut test = test_command(paths, program)?;
        test.arg(LONG).stdin(Stdio::null()).stdout(file).stderr(again);
        let child =
            tie(&mut test).spawn().with_context(|| format!("failed to start {}", line(&test)))?;
        Ok(Self {
            name: format!("{} {} {LONG}", program.package, program.target),
            child,
            printed,
            started: Instant::now(),
            again: format!("cargo xtask test -p {} --filter {LONG}", program.package),
        })
    }

    fn end(mut self) -> Result<Outcome> {
        let step = Step::start(format!("waiting for {}", self.name));
        let status = self.child.wait().context("failed to wait for the long tests")?;
        let elapsed = self.started.elapsed();
        println!("{}", fs::read_to_string(&self.printed).unwrap_or_default());
        step.done();
        Ok(Outcome { name: self.name, elapsed, failure: (!status.success()).then_some(self.again) })
    }
}

/// Beginning of the names of tests that take many minutes.
const LONG: &str = "long::";

fn run_program(paths: &Paths, program: &TestProgram, options: &Options) -> Result<Outcome> {
    let name = format!("{} {}", program.package, program.target);
    let step = Step::start(format!("testing {name}"));
    let mut test = test_command(paths, program)?;
    match &options.filter {
        Some(filter) => test.arg(filter),
        None if program.e2e => test.args(["--skip", LONG]),
        None => &mut test,
    };
    let result = run_command(&mut test, "");
    let (_, elapsed) = step.done();
    let again = format!("cargo xtask test -p {}", program.package);
    Ok(Outcome { name, elapsed, failure: result.is_err().then_some(again) })
}

fn test_command(paths: &Paths, program: &TestProgram) -> Result<Command> {
    let mut test = root_command("env")?;
    // Through `env`, because sudo may drop variables.
    test.arg(format!("CASEMATE_BIN_DIR={}", paths.bin_dir().display()));
    test.arg(format!("CASEMATE_STATIC_DIR={}", paths.static_dir().display()));
    test.arg(format!("CASEMATE_WASM_DIR={}", paths.web_dir().display()));
    test.arg(format!("CARGO_MANIFEST_DIR={}", program.dir.display()));
    test.arg(&program.executable).current_dir(&program.dir);
    if program.e2e {
        test.arg("--test-threads=1");
    }
    Ok(test)
}

/// Examples in documentation.
fn doc_tests(paths: &Paths, wasm: Wasm, options: &Options) -> Result<Outcome> {
    let step = Step::start("testing the documentation");
    let mut cargo = build::cargo(paths, wasm);
    cargo.args(["test", "--workspace", "--locked", "--doc"]);
    if !is_root() {
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "sudo -E");
    }
    if let Some(filter) = &options.filter {
        cargo.args(["--", filter]);
    }
    let result = run_command(&mut cargo, "");
    let (_, elapsed) = step.done();
    let again = "cargo test --workspace --doc".to_owned();
    Ok(Outcome {
        name: "documentation".to_owned(),
        elapsed,
        failure: result.is_err().then_some(again),
    })
}

/// Compares our verifiers with others', which are kept out of the workspace: see
/// `tests/differential/Cargo.toml`.
fn other_verifiers(paths: &Paths, wasm: Wasm) -> Outcome {
    let step = Step::start("comparing with verifiers that are not ours");
    let from = Instant::now();
    let mut cargo = build::cargo(paths, wasm);
    cargo
        .args(["test", "--locked", "--manifest-path"])
        .arg(paths.repo.join("tests/differential/Cargo.toml"))
        .env("CARGO_TARGET_DIR", paths.target.join("differential"));
    let failure = run_command(&mut cargo, "the test's own words above tell what differs")
        .is_err()
        .then(|| line(&cargo));
    step.done();
    Outcome { name: "other verifiers".to_owned(), elapsed: from.elapsed(), failure }
}

/// Each benchmark once, with its own checks, and whether the weights that are checked in belong to this
/// runtime.
///
/// This stands for the benchmarks' test suites in the pallets (feature `runtime-benchmarks`), which run
/// the same checks in mocks: they would compile the SDK's runtime crates a third time, natively.
fn check_weights(paths: &Paths, wasm: Wasm) -> Outcome {
    let step = Step::start("checking the weights");
    let result = weights::check(paths, wasm);
    if let Err(error) = &result {
        eprintln!("{error:#}");
    }
    let (_, elapsed) = step.done();
    let again = "cargo xtask weights --check".to_owned();
    Outcome { name: "weights".to_owned(), elapsed, failure: result.err().map(|_| again) }
}

fn summary(outcomes: &[Outcome], elapsed: Duration) -> Result<()> {
    println!("\n{:<44} {:>12}  result", "step", "time");
    for outcome in outcomes {
        let result = if outcome.failure.is_some() { "FAILED" } else { "ok" };
        println!("{:<44} {:>12}  {result}", outcome.name, Seconds(outcome.elapsed).to_string());
    }
    println!("{:<44} {:>12}", "all", Seconds(elapsed).to_string());
    let failed: Vec<_> = outcomes.iter().filter_map(|o| o.failure.as_deref()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let mut again: Vec<_> = failed.iter().map(|command| format!("`{command}`")).collect();
    again.dedup();
    bail!(
        "{} of {} steps failed; their output is above\nhint: to see one again: {}",
        failed.len(),
        outcomes.len(),
        again.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_test_programs_in_cargos_messages() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let message = |test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"x","manifest_path":"{manifest}",
                "target":{{"kind":["bin"],"name":"xtask","test":true}},
                "profile":{{"opt_level":"0","test":{test}}},"executable":{executable}}}"#
            )
        };
        let found = test_program(&message(true, "\"/t/xtask-1\"")).expect("valid").expect("found");
        assert_eq!((found.package.as_str(), found.e2e), ("xtask", false));
        assert_eq!(found.executable, PathBuf::from("/t/xtask-1"));
        assert_eq!(test_program(&message(false, "\"/t/xtask\"")).expect("valid"), None);
        assert_eq!(test_program(&message(true, "null")).expect("valid"), None);
        let other = r#"{"reason":"build-finished","success":true}"#;
        assert_eq!(test_program(other).expect("valid"), None);
        assert_eq!(test_program("warning of a macro").expect("valid"), None);
        assert!(test_program("{broken").is_err());
    }
}
