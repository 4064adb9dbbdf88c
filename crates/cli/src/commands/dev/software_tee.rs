//! The software TEE of a development network, and the chain that trusts it.
//!
//! Keys are made once for each data folder. The chain's genesis names their roots and the agent that
//! the network began with, so the specification is made once, too.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use casemate_attestation::TrustRoots;
use casemate_client::genesis;
use casemate_software_tee::client::Control;
use serde_json::Value;

use super::{
    files::Files,
    process::{self, Process},
};
use crate::{
    failure::{Failure, OrFail as _, fail},
    printer::Printer,
    state::replace,
};

const NAME: &str = "casemate-software-tee";
/// Two RSA keys are made; on a busy machine that takes a minute.
const INIT_TIMEOUT: Duration = Duration::from_secs(300);
/// Reading keys, hashing a program or printing a genesis takes moments.
const SHORT_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// The program and its folder.
#[derive(Debug)]
pub(super) struct SoftwareTee {
    program: PathBuf,
    dir: PathBuf,
    control: PathBuf,
    specification: PathBuf,
    node_data: PathBuf,
    log: PathBuf,
}

impl SoftwareTee {
    /// With its things in the network's folder.
    pub(super) fn new(program: &Path, files: &Files) -> Self {
        Self {
            program: program.to_owned(),
            dir: files.path("software-tee"),
            control: files.path("software-tee.sock"),
            specification: files.path("chain.json"),
            node_data: files.path("node"),
            log: files.path("software-tee.log"),
        }
    }

    /// Where the provider launches guests.
    pub(super) fn control(&self) -> PathBuf {
        self.control.clone()
    }

    /// Makes its keys at the first start.
    pub(super) async fn init(&self, printer: &Printer) -> anyhow::Result<()> {
        // Keys come under this name when all of them are there.
        if self.dir.join("pki").exists() {
            return Ok(());
        }
        printer.note("Making the software TEE's keys");
        let args = ["init".to_owned(), "--dir".to_owned(), text(&self.dir)];
        process::run("casemate-software-tee init", &self.program, &args, &self.log, INIT_TIMEOUT)
            .await
    }

    /// What a TDX guest with this agent is measured as.
    pub(super) async fn workload_of(&self, agent: &Path) -> anyhow::Result<Vec<u8>> {
        let mut args = vec!["measure".to_owned(), "--kind".to_owned(), "intelTdx".to_owned()];
        args.extend(["--agent".to_owned(), text(agent)]);
        // The workload covers the agent alone, whatever manifest it will run.
        args.extend(["--manifest-hash".to_owned(), "00".repeat(32)]);
        let measured: Value = self.ask("casemate-software-tee measure", &args).await?;
        let digits = measured.get("workload").and_then(Value::as_str);
        digits.and_then(|digits| hex::decode(digits).ok()).or_fail(|| {
            Failure::new(format!("`{}` measures no agent", self.program.display()))
                .hint("use the programs of one build")
        })
    }

    /// The chain's specification: made at the first start, kept from then on.
    pub(super) async fn chain_specification(
        &self,
        node: &Path,
        workload: &[u8],
    ) -> anyhow::Result<PathBuf> {
        if self.specification.exists() {
            return Ok(self.specification.clone());
        }
        if self.node_data.exists() {
            return fail(
                Failure::new(
                    "the chain in the data folder trusts no software TEE: it was made by \
                              an older version",
                )
                .hint("remove the folder, or give another: --data-dir DIR"),
            );
        }
        let args = ["roots".to_owned(), "--dir".to_owned(), text(&self.dir)];
        let roots: TrustRoots = self.ask("casemate-software-tee roots", &args).await?;
        let args = ["export-chain-spec", "--chain", "development"].map(str::to_owned);
        let log = self.log.with_file_name("node.log");
        let exported =
            process::output("casemate-node export-chain-spec", node, &args, &log, SHORT_TIMEOUT);
        let exported = String::from_utf8(exported.await?)?;
        let made =
            genesis::with_software_tee(&exported, &roots, &[workload.to_vec()]).or_fail(|| {
                Failure::new(format!("`{}` gives no chain to start with", node.display()))
                    .hint("use the programs of one build")
            })?;
        replace(&self.specification, made.as_bytes())
            .or_fail(|| Failure::new(format!("cannot write `{}`", self.specification.display())))?;
        Ok(self.specification.clone())
    }

    /// Starts the daemon.
    pub(super) fn serve(&self) -> anyhow::Result<Process> {
        let args = [
            "serve".to_owned(),
            "--dir".to_owned(),
            text(&self.dir),
            "--control".to_owned(),
            text(&self.control),
        ];
        // A socket of a daemon that was killed would look like one that answers late.
        if let Err(error) = fs::remove_file(&self.control)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(anyhow::Error::new(error)
                .context(Failure::new(format!("cannot remove `{}`", self.control.display()))));
        }
        Process::start(NAME, &self.program, &args, &self.log)
    }

    /// Waits until it answers.
    pub(super) async fn wait_for(&self, daemon: &mut Process) -> anyhow::Result<()> {
        let deadline = Instant::now() + SHORT_TIMEOUT;
        loop {
            daemon.check()?;
            match Control::new(&self.control).list() {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(anyhow::Error::new(error).context(
                        Failure::new("the software TEE does not answer")
                            .hint(format!("see what it wrote: {}", self.log.display())),
                    ));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        name: &'static str,
        args: &[String],
    ) -> anyhow::Result<T> {
        let bytes = process::output(name, &self.program, args, &self.log, SHORT_TIMEOUT).await?;
        serde_json::from_slice(&bytes).or_fail(|| {
            Failure::new(format!("{name} answers something else than expected"))
                .hint("use the programs of one build")
        })
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
