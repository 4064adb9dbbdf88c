//! What evidence costs: our verifier beside dcap-qvl's, natively and inside Wasm.
//!
//! The same quote of Intel's hardware with its collateral everywhere. dcap-qvl knows no collateral
//! that was verified before: its figure is that of the whole road each time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::{
    bench::{Goal, ROUNDS, Row},
    build::{self, BUILD_HINT},
    paths::Paths,
    process::{Step, command, output, run_command},
    setup,
    wasm::{self, Wasm},
    weights,
};

/// The sample of Intel's (TDX 1.5 extended), and when its collateral is valid: 2026-10-15.
const QUOTE: &str = "crates/attestation/tests/data/dcap/tdx_quote_td15ex";
const NOW: u64 = 1_792_022_400;

/// Seconds of computation in a block that users' calls may fill: three quarters of the half of a slot
/// of two seconds (`chain/runtime/src/configs.rs`).
const BLOCK_SECONDS: f64 = 0.75;

/// From the program `tests/differential/examples/attestation.rs`, in microseconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Native {
    whole: Vec<f64>,
    quote: Vec<f64>,
    dcap_qvl_ring: Vec<f64>,
    dcap_qvl_rust_crypto: Vec<f64>,
    signatures_ring: Vec<f64>,
    signatures_rust_crypto: Vec<f64>,
}

/// Our verifier beside dcap-qvl and beside the signatures alone, each pair in one process.
pub(super) fn native(paths: &Paths) -> Result<Vec<Row>> {
    let wasm = setup::run()?;
    let step = Step::start("measuring verifiers (the first time builds dcap-qvl)");
    let ring = example(paths, wasm, &["--features", "ring"])?;
    let portable = example(paths, wasm, &[])?;
    step.done();
    let row = |what: &str, ours: &[f64], reference: &[f64], goal| {
        Row::new(format!("attestation.{what}"), "µs", ours, reference, goal)
    };
    let at_most_one = Goal::AtMost { factor: 1.0, plus: 0.0 };
    Ok(vec![
        // Both with ring, which is dcap-qvl's fastest.
        row("native", &ring.whole, &ring.dcap_qvl_ring, at_most_one)?,
        row("native.quote", &ring.quote, &ring.dcap_qvl_ring, at_most_one)?,
        // Nobody gets below the quote's two signatures.
        row("native.limit", &ring.quote, &ring.signatures_ring, Goal::None)?,
        row("portable", &portable.whole, &portable.dcap_qvl_rust_crypto, Goal::None)?,
        row("portable.quote", &portable.quote, &portable.dcap_qvl_rust_crypto, Goal::None)?,
        row("portable.limit", &portable.quote, &portable.signatures_rust_crypto, Goal::None)?,
    ])
}

fn differential(paths: &Paths) -> PathBuf {
    paths.repo.join("tests/differential")
}

fn example(paths: &Paths, wasm: Wasm, features: &[&str]) -> Result<Native> {
    let mut cargo = build::cargo(paths, wasm);
    cargo
        .args(["run", "--release", "--locked", "--quiet", "--example", "attestation"])
        .arg("--manifest-path")
        .arg(differential(paths).join("Cargo.toml"))
        .args(features)
        .args(["--", &ROUNDS.to_string()])
        .env("CARGO_TARGET_DIR", paths.target.join("differential"));
    let text = output(&mut cargo, "its error is shown above")?;
    serde_json::from_str(&text).with_context(|| format!("the comparison printed `{text}`"))
}

/// From the program `casemate-attestation-bench`: times in microseconds, weights in picoseconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Runtime {
    attest: Vec<f64>,
    appraise: Vec<f64>,
    attest_snp: Vec<f64>,
    naive: Vec<f64>,
    weight: f64,
    weight_snp: f64,
    weight_of_any_call: f64,
    weight_of_second: f64,
}

impl Runtime {
    /// How many calls of this weight the users' part of a block has room for.
    fn in_a_block(&self, weight: f64) -> f64 {
        let room = BLOCK_SECONDS * self.weight_of_second;
        (room / (weight + self.weight_of_any_call)).floor()
    }
}

/// The runtime's calls beside dcap-qvl, both compiled to Wasm and run by the node's executor.
pub(super) fn runtime(paths: &Paths) -> Result<Vec<Row>> {
    let wasm = setup::run()?;
    let runtime = weights::runtime(paths, wasm)?;
    let naive = naive(paths, wasm)?;
    let program = weights::runner(paths, wasm, "casemate-attestation-bench")?;
    let step = Step::start("measuring verifiers inside Wasm");
    let mut bench = command(program);
    bench.arg("--runtime").arg(runtime).arg("--naive").arg(naive);
    bench.arg("--quote").arg(paths.repo.join(QUOTE));
    bench.arg("--collateral").arg(paths.repo.join(format!("{QUOTE}_collateral.json")));
    bench.args(["--now", &NOW.to_string(), "--rounds", &ROUNDS.to_string()]);
    let text = output(&mut bench, "`cargo xtask weights --check` shows whether benchmarks run")?;
    step.done();
    let measured: Runtime = serde_json::from_str(&text)
        .with_context(|| format!("`casemate-attestation-bench` printed `{text}`"))?;
    runtime_rows(&measured)
}

fn runtime_rows(measured: &Runtime) -> Result<Vec<Row>> {
    let Runtime { attest, appraise, attest_snp, naive, .. } = measured;
    let row = |what: &str, ours: &[f64], goal| {
        Row::new(format!("attestation.{what}"), "µs", ours, naive, goal)
    };
    let blocks = |weight: f64| [measured.in_a_block(weight); ROUNDS];
    // As many as the other's time alone leaves room for.
    let naive_blocks: Vec<f64> =
        naive.iter().map(|time| BLOCK_SECONDS * 1e6 / time).map(f64::floor).collect();
    let block = |what: &str, weight: f64, goal| {
        let ours = blocks(weight);
        Row::new(format!("attestation.block.{what}"), "calls", &ours, &naive_blocks, goal)
    };
    let goal = Goal::AtMost { factor: 0.55, plus: 0.0 };
    Ok(vec![
        // The whole call, with leases and events.
        row("runtime", attest, goal)?,
        // The same quote as the other's.
        row("runtime.appraise", appraise, goal)?,
        row("runtime.snp", attest_snp, Goal::None)?,
        block("tdx", measured.weight, Goal::OursAtLeast(100.0))?,
        block("snp", measured.weight_snp, Goal::OursAtLeast(100.0))?,
    ])
}

/// dcap-qvl in Wasm, built as the runtime is.
///
/// Its manifest asks for a `cdylib` too, which has no panic handler without the standard library and
/// cannot be linked; so a copy of its sources is built, with that line changed and nothing else.
fn naive(paths: &Paths, wasm: Wasm) -> Result<PathBuf> {
    let step = Step::start("building dcap-qvl for Wasm");
    let (folder, source) = (paths.target.join("naive-verifier"), dcap_qvl(paths)?);
    let copy = folder.join("dcap-qvl");
    copy_folder(&source.join("src"), &copy.join("src"))?;
    let manifest = source.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("failed to read `{}`", manifest.display()))?;
    write(&copy.join("Cargo.toml"), library_only(&text)?.as_bytes())?;
    let ours = differential(paths).join("naive");
    copy_folder(&ours.join("src"), &folder.join("src"))?;
    for name in ["Cargo.toml", "Cargo.lock"] {
        copy_file(&ours.join(name), &folder.join(name))?;
    }
    let mut cargo = weights::cargo(paths, wasm, &folder.join("target"));
    cargo.args(["build", "--release", "--locked", "--target", wasm::TARGET, "--manifest-path"]);
    cargo.arg(folder.join("Cargo.toml"));
    run_command(&mut cargo, BUILD_HINT)?;
    let built = folder.join("target").join(wasm::TARGET);
    let built = built.join("release/casemate_naive_verifier.wasm");
    ensure!(built.is_file(), "cargo built no `{}`", built.display());
    step.done();
    Ok(built)
}

/// Where cargo keeps the sources of the version that the differential tests have.
fn dcap_qvl(paths: &Paths) -> Result<PathBuf> {
    let manifest = differential(paths).join("Cargo.toml");
    let mut cargo = command("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]).arg(&manifest);
    let text = output(&mut cargo, "on a download error run the same command again")?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).context("`cargo metadata` printed no JSON")?;
    metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "dcap-qvl"))
        .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .map(Path::to_owned)
        .with_context(|| format!("`{}` does not depend on dcap-qvl", manifest.display()))
}

/// A manifest with `rlib` as the only kind of library.
fn library_only(manifest: &str) -> Result<String> {
    let (before, after) = manifest
        .split_once("crate-type = [")
        .context("dcap-qvl's manifest names no crate types")?;
    let (_, after) = after.split_once(']').context("dcap-qvl's manifest ends too early")?;
    Ok(format!("{before}crate-type = [\"rlib\"]{after}"))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to make `{}`", to.display()))?;
    let entries =
        fs::read_dir(from).with_context(|| format!("failed to read `{}`", from.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to read `{}`", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("failed to read `{}`", from.display()))?;
    write(to, &bytes)
}

/// What has not changed keeps its time, so that cargo need not compile it again.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("failed to write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_alone_is_built() {
        let manifest = "[lib]\nname = \"x\"\ncrate-type = [\n    \"cdylib\",\n    \"rlib\",\n]\n";
        let changed = library_only(manifest).expect("it has a list");
        assert_eq!(changed, "[lib]\nname = \"x\"\ncrate-type = [\"rlib\"]\n");
        assert!(library_only("[lib]\n").is_err());
    }

    #[test]
    fn a_block_s_room_goes_by_weight() {
        let measured = Runtime {
            attest: vec![4_000.0; ROUNDS],
            appraise: vec![3_900.0; ROUNDS],
            attest_snp: vec![12_000.0; ROUNDS],
            naive: vec![10_000.0; ROUNDS],
            weight: 4.9e9,
            weight_snp: 19.9e9,
            weight_of_any_call: 0.1e9,
            weight_of_second: 1e12,
        };
        let rows = runtime_rows(&measured).expect("enough rounds");
        let of = |name: &str| {
            let row = rows.iter().find(|row| row.name == format!("attestation.{name}"));
            row.map(|row| (row.ours, row.met)).expect("the row")
        };
        assert_eq!(of("runtime"), (4_000.0, true));
        assert_eq!(of("block.tdx"), (150.0, true));
        // AMD's curve takes three times as long; as many are promised.
        assert_eq!(of("block.snp"), (37.0, false));
    }
}
