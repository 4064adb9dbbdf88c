//! `cargo xtask check`: format, clippy, tidy and test vectors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

mod promises;

use crate::{
    build,
    check::promises::{FEATURES, Known, SPECIFICATION},
    paths::Paths,
    process::{Step, command, output, run_command},
    setup,
};

/// `cargo xtask check`
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Leave out clippy, which compiles all dependencies once more the first time.
    #[arg(long)]
    quick: bool,
}

/// A module is read in one sitting; beyond this it is split by subject.
const LINES_MAX: usize = 700;

/// Paths of the machines that this was written on. In two parts each, or this file would be found.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
    concat!("/ro", "ot/.cargo"),
    concat!("/ro", "ot/.cache"),
    concat!("/ro", "ot/.rustup"),
];

/// The page that names a test for each attack.
const ATTACKS: &str = "docs/book/attacks.md";

/// Written by a program, so of any length.
const GENERATED: &[&str] = &["weights.rs", "metadata.rs"];

pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let mut failed: Vec<_> =
        cheap(paths).into_iter().filter_map(|(_, _, failure)| failure).collect();
    if !options.quick {
        let wasm = setup::run()?;
        let step = Step::start("clippy");
        let mut clippy = build::cargo(paths, wasm);
        clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
        if run_command(&mut clippy, "").is_err() {
            failed.push("cargo clippy --workspace --all-targets".to_owned());
        }
        step.done();
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("checks failed; their output is above\nhint: to see one again: `{}`", failed.join("`, `"))
}

/// Those that compile nothing: name, time, and the command to see a failure again.
pub(crate) fn cheap(paths: &Paths) -> Vec<(&'static str, Duration, Option<String>)> {
    let mut outcomes = Vec::new();
    let mut check = |name, again: &str, result: Result<()>, from: Instant| {
        if let Err(error) = &result {
            eprintln!("{error:#}");
        }
        outcomes.push((name, from.elapsed(), result.err().map(|_| again.to_owned())));
    };
    let from = Instant::now();
    let mut fmt = command("cargo");
    fmt.args(["fmt", "--all", "--check"]).current_dir(&paths.repo);
    check(
        "format",
        "cargo fmt --all --check",
        run_command(&mut fmt, "run `cargo fmt --all`"),
        from,
    );
    let from = Instant::now();
    check("tidy", "cargo xtask check --quick", tidy(&paths.repo), from);
    let from = Instant::now();
    check("test vectors", "python3 -B tests/vectors/check.py", vectors(&paths.repo), from);
    outcomes
}

/// The test vectors in `docs/protocol/vectors`, by an implementation in another language.
fn vectors(repo: &Path) -> Result<()> {
    let mut python = command("python3");
    // It leaves no compiled files in the repository.
    python.args(["-B", "tests/vectors/check.py"]).current_dir(repo);
    run_command(
        &mut python,
        "where `python3` is missing, `cargo xtask setup` installs it; else see how the vectors are \
         written in `chain/primitives/tests/it/vectors.rs`",
    )
}

/// No overlong module, no path of one machine, no attack or promise whose test is gone.
fn tidy(repo: &Path) -> Result<()> {
    let mut list = command("git");
    // A clone of another user (a mounted one, or under sudo) is read all the same.
    list.args(["-c", "safe.directory=*"]);
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(repo);
    let files = output(&mut list, "run it inside a clone made by git")?;
    let mut findings = Vec::new();
    let mut known = Known::default();
    let mut pages = BTreeMap::new();
    for name in files.split('\0').filter(|name| !name.is_empty() && *name != "Cargo.lock") {
        // A file that was deleted and not yet committed is listed too; a binary one is no text.
        if let Ok(text) = fs::read_to_string(repo.join(name)) {
            findings.extend(findings_in(name, &text));
            known.add(name, &text);
            if [ATTACKS, SPECIFICATION, FEATURES].contains(&name) {
                pages.insert(name, text);
            }
        }
    }
    let page = |name| pages.get(name).with_context(|| format!("`{name}` is missing"));
    findings.extend(missing_tests(page(ATTACKS)?, &known.names()));
    findings.extend(known.missing(SPECIFICATION, page(SPECIFICATION)?, true));
    findings.extend(known.missing(FEATURES, page(FEATURES)?, false));
    if findings.is_empty() {
        return Ok(());
    }
    bail!("tidy found:\n{}", findings.join("\n"))
}

fn findings_in(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    let generated = GENERATED.iter().any(|suffix| name.ends_with(suffix))
        || text.lines().take(5).any(|line| line.contains("@generated"));
    if name.ends_with(".rs") && lines > LINES_MAX && !generated {
        findings.push(format!("{name}: {lines} lines, more than {LINES_MAX}: split it by subject"));
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(**path)) {
            findings.push(format!("{name}:{}: a path of one machine: {path}", number + 1));
        }
    }
    findings
}

/// Tests that a page of attacks names in the last column of its tables, and that are not there.
fn missing_tests(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in page.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let Some(last) = line.trim_end_matches(['|', ' ']).rsplit('|').next() else { continue };
        for name in last.split('`').skip(1).step_by(2).filter(|name| !tests.contains(*name)) {
            findings.push(format!("{ATTACKS}:{}: there is no test `{name}`", number + 1));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_attacks_whose_tests_are_gone() {
        let tests: BTreeSet<String> = ["kept", "inner"].map(str::to_owned).into();
        let page = "| attack | what | tests |\n|---|---|---|\n| `a` | b | `kept`, `inner` |\n\
                    text `none`\n| c | d | `gone`, `other` |\n";
        let gone = |name| format!("{ATTACKS}:5: there is no test `{name}`");
        assert_eq!(missing_tests(page, &tests), [gone("gone"), gone("other")]);
    }

    #[test]
    fn finds_long_modules_and_machine_paths() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(findings_in("a/b.rs", &long).len(), 1);
        assert!(findings_in("a/weights.rs", &long).is_empty());
        assert!(findings_in("a/b.json", &long).is_empty());
        let path = format!("ok\nsee {}/docs\n", MACHINE_PATHS[0]);
        assert_eq!(
            findings_in("a.md", &path),
            [format!("a.md:2: a path of one machine: {}", MACHINE_PATHS[0])]
        );
        assert!(findings_in("a.rs", "let upper = dir.join(\"work\");\n").is_empty());
    }
}
