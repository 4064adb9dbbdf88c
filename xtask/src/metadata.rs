//! The runtime's metadata, from which the client's types are generated.

use anyhow::Result;

use crate::{
    build::{BUILD_HINT, cargo},
    paths::Paths,
    process::{Step, run_command},
    setup,
};

/// What is compiled against the metadata: it can't be while the metadata is old.
const DEPENDANTS: &[&str] =
    &["casemate-cli", "casemate-client", "casemate-fuzz", "casemate-provider", "casemate-tests"];

/// The test that compares the file with the runtime, and writes it when told to.
const TEST: &str = "the_clients_metadata_is_this_runtimes";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only say whether the file is this runtime's.
    #[arg(long)]
    check: bool,
}

/// Writes `crates/client/metadata/casemate.scale` anew.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    let wasm = setup::run()?;
    let step = Step::start("taking the metadata from the runtime");
    let mut test = cargo(paths, wasm);
    test.args(["test", "--workspace", "--locked", "--lib"]);
    for package in DEPENDANTS {
        test.args(["--exclude", package]);
    }
    test.arg(TEST);
    if !options.check {
        test.env("CASEMATE_BLESS", "1");
    }
    run_command(&mut test, BUILD_HINT)?;
    step.done();
    Ok(())
}
