//! Publishing for the benches: without a word on standard output, which is for the result.

use std::path::Path;

use anyhow::Result;

use crate::{
    demo::network::Network,
    process::{Step, output},
};

/// Runs a command of the publisher; gives its data.
pub(super) fn casemate(network: &Network, args: &[&str]) -> Result<String> {
    let mut command = network.casemate(args);
    command.args(["--output", "json"]);
    output(&mut command, "the network's log may tell more")
}

/// Publishes a manifest.
pub(super) fn deploy(network: &Network, name: &str, manifest: &Path) -> Result<()> {
    let step = Step::start(format!("publishing {name}"));
    casemate(network, &["deploy", &manifest.display().to_string()])?;
    step.done();
    Ok(())
}
