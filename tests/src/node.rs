//! Chain nodes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use casemate_attestation::TrustRoots;
use casemate_client::{chain::ChainClient, genesis};

use crate::{
    poll::{Fatal, until},
    ports::free_port,
    process::{Process, log_path, tail, without_settings},
    rpc::Rpc,
};

/// A `casemate-node` that can be killed and started again.
#[derive(Debug)]
pub struct Node {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    rpc_port: u16,
    log: PathBuf,
    process: Option<Process>,
}

/// What a validator of the `local` chain needs to know of itself and the others.
#[derive(Clone, Debug)]
pub struct Validator {
    /// `alice`, `bob`, `charlie` or `dave`.
    pub name: &'static str,
    /// Where the others reach it, with its peer id.
    pub address: String,
    key: PathBuf,
    port: u16,
}

impl Validator {
    /// Makes a node key.
    ///
    /// # Errors
    /// The node refuses.
    pub fn new(program: &Path, folder: &Path, name: &'static str) -> Result<Self> {
        let key = folder.join(format!("{name}.node-key"));
        let output = Command::new(program)
            .args(["key", "generate-node-key", "--file"])
            .arg(&key)
            .output()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let peer = words.split_whitespace().find(|word| word.starts_with("12D3"));
        let Some(peer) = peer.filter(|_| output.status.success()) else {
            bail!("`casemate-node key generate-node-key` names no peer id: {words}");
        };
        let port = free_port()?;
        let address = format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}");
        Ok(Self { name, address, key, port })
    }
}

/// Nobody joins such a chain: its network key is worth nothing.
const NEW_KEY: &str = "--unsafe-force-node-key-generation";

/// Writes the specification of a development chain that trusts these roots besides the vendors', and
/// accepts these workloads from a software TEE.
///
/// # Errors
/// The node or the disk refuses.
pub fn development_chain(
    program: &Path,
    file: &Path,
    roots: &TrustRoots,
    workloads: &[Vec<u8>],
) -> Result<()> {
    let mut command = Command::new(program);
    without_settings(&mut command);
    let output = command
        .args(["export-chain-spec", "--chain", "development"])
        .output()
        .with_context(|| format!("cannot start `{}`", program.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("`casemate-node export-chain-spec` failed ({}): {words}", output.status);
    }
    let exported = String::from_utf8(output.stdout)?;
    let made = genesis::with_software_tee(&exported, roots, workloads)?;
    fs::write(file, made).with_context(|| format!("cannot write `{}`", file.display()))
}

impl Node {
    /// A development chain of one node, with a genesis of its own (see [`development_chain`]).
    ///
    /// # Errors
    /// It can't be started.
    pub fn dev(program: &Path, folder: &Path, specification: &Path) -> Result<Self> {
        let specification = specification.display().to_string();
        let args =
            ["--chain", &specification, "--alice", "--force-authoring", NEW_KEY].map(str::to_owned);
        Self::lonely(program, folder, &args)
    }

    /// The development chain as the node has it, which trusts the vendors' roots alone: for tests in
    /// which no pod is paid. Its clock starts at a second, or now.
    ///
    /// # Errors
    /// It can't be started.
    pub fn vendors_dev(program: &Path, folder: &Path, clock: Option<u64>) -> Result<Self> {
        let mut args = vec!["--dev".to_owned()];
        if let Some(clock) = clock {
            args.extend(["--development-clock".to_owned(), clock.to_string()]);
        }
        Self::lonely(program, folder, &args)
    }

    fn lonely(program: &Path, folder: &Path, args: &[String]) -> Result<Self> {
        let listen = ["--listen-addr", "/ip4/127.0.0.1/tcp/0"].map(str::to_owned);
        Self::new("node", program, folder, free_port()?, &[args, &listen].concat())
    }

    /// A validator of the `local` chain.
    ///
    /// # Errors
    /// It can't be started.
    pub fn validator(
        program: &Path,
        folder: &Path,
        me: &Validator,
        all: &[Validator],
    ) -> Result<Self> {
        let rpc_port = free_port()?;
        let mut args: Vec<String> = vec!["--chain".into(), "local".into()];
        args.push(format!("--{}", me.name));
        args.extend(["--node-key-file".into(), me.key.display().to_string()]);
        args.extend(["--listen-addr".into(), format!("/ip4/127.0.0.1/tcp/{}", me.port)]);
        args.push("--allow-private-ip".into());
        args.push("--reserved-nodes".into());
        args.extend(all.iter().filter(|other| other.name != me.name).map(|o| o.address.clone()));
        Self::new(me.name, program, folder, rpc_port, &args)
    }

    fn new(
        name: &str,
        program: &Path,
        folder: &Path,
        rpc_port: u16,
        args: &[String],
    ) -> Result<Self> {
        let base = folder.join(format!("{name}-chain"));
        fs::create_dir_all(&base).context("cannot make the chain's folder")?;
        let mut all = args.to_vec();
        all.extend(["--base-path".into(), base.display().to_string()]);
        all.extend(["--rpc-port".into(), rpc_port.to_string()]);
        // The ledger reads the events of every block.
        all.extend(["--state-pruning".into(), "archive".into()]);
        all.extend(["--no-prometheus", "--no-telemetry", "--no-mdns"].map(str::to_owned));
        let mut node = Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: all,
            rpc_port,
            log: log_path(folder, name),
            process: None,
        };
        node.start()?;
        Ok(node)
    }

    /// Starts it, unless it runs.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_none() {
            let mut command = Command::new(&self.program);
            without_settings(&mut command);
            command.args(&self.args);
            self.process = Some(Process::start(&self.name, &mut command, &self.log)?);
        }
        Ok(())
    }

    /// Sets the clock of a development chain, from its next start on.
    pub fn set_clock(&mut self, seconds: u64) {
        const FLAG: &str = "--development-clock";
        if let Some(at) = self.args.iter().position(|arg| arg == FLAG) {
            self.args.drain(at..(at + 2).min(self.args.len()));
        }
        self.args.extend([FLAG.to_owned(), seconds.to_string()]);
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Where its RPC is.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.rpc_port)
    }

    /// File with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// It ends or does not answer.
    pub async fn rpc(&mut self) -> Result<Rpc> {
        let url = self.url();
        until(&format!("{} answers", self.name), async || {
            self.check()?;
            let rpc = Rpc::connect(&url).await?;
            rpc.finalised().await?;
            Ok(rpc)
        })
        .await
    }

    /// Waits until it answers; gives the product's own client.
    ///
    /// # Errors
    /// It ends or does not answer.
    pub async fn chain(&mut self) -> Result<ChainClient> {
        let url = self.url();
        until(&format!("{} answers", self.name), async || {
            self.check()?;
            Ok(ChainClient::connect(&url).await?)
        })
        .await
    }

    /// That it has not ended by itself.
    ///
    /// # Errors
    /// [`Fatal`], with its last words.
    pub fn check(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        match process.ended()? {
            None => Ok(()),
            Some(status) => {
                let words = tail(&self.log, 20);
                Err(Fatal(format!("{} ended by itself ({status}):\n{words}", self.name)).into())
            }
        }
    }
}
