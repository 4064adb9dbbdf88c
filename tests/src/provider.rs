//! Providers.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use casemate_client::{chain::ChainClient, provider::ProviderClient};
use casemate_primitives::{AccountBytes, Prices};

use crate::{
    binaries::Binaries,
    machine::Traces,
    poll::{Fatal, PATIENCE, until},
    ports::{free_port, free_ports},
    process::{Process, log_path, tail, without_settings},
    user::User,
};

/// What every provider here charges. Each number is another, so that none is taken for another.
pub const PRICES: Prices = Prices {
    cpu_millicore_second: 1_009,
    memory_mib_second: 503,
    storage_mib_second: 11,
    gpu_second: 0,
    egress_mib: 100_003,
    ingress_mib: 0,
};

/// What one provider does differently.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// Its name; unique in a cluster.
    pub name: String,
    /// How long its quotes hold.
    pub quote_ttl: String,
    /// How much time a claim covers.
    pub claim_interval: String,
    /// How long requests may go on in a pod that is being replaced.
    pub drain: String,
    /// Where its data lies; in the cluster's folder if absent.
    pub data_dir: Option<PathBuf>,
    /// `PATH` of the daemon.
    pub path: Option<String>,
    /// Another agent than the one that the chain has approved.
    pub agent: Option<PathBuf>,
    /// What its software TEE imitates, as the configuration has it.
    pub tee_kind: &'static str,
    /// Where it says that TLS to pods is reached, if not where it listens.
    pub tls_public: Option<SocketAddr>,
    /// Whether its control plane shows evidence of the software TEE.
    pub attests_cluster: bool,
}

impl ProviderOptions {
    /// The defaults.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            quote_ttl: "2m".to_owned(),
            claim_interval: "3s".to_owned(),
            drain: "2s".to_owned(),
            data_dir: None,
            path: None,
            agent: None,
            tee_kind: "intelTdx",
            tls_public: None,
            attests_cluster: true,
        }
    }
}

/// A `casemate-provider` that can be killed and started again.
#[derive(Debug)]
pub struct Provider {
    /// Its operator, with the provider's key.
    pub user: User,
    options: ProviderOptions,
    program: PathBuf,
    config: PathBuf,
    data_dir: PathBuf,
    api_port: u16,
    ingress_port: u16,
    tls_port: u16,
    tcp_ports: u16,
    log: PathBuf,
    process: Option<Process>,
}

/// What a provider needs to know of its surroundings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) binaries: &'a Binaries,
    pub(crate) folder: &'a Path,
    pub(crate) rpc: &'a str,
    pub(crate) registry: &'a str,
    /// Control socket of the software TEE.
    pub(crate) software_tee: &'a Path,
    /// Which provider of the cluster it is, from 0.
    pub(crate) index: u8,
}

impl Provider {
    /// Makes key and configuration. Nothing runs yet.
    pub(crate) fn new(options: ProviderOptions, at: Surroundings<'_>) -> Result<Self> {
        let Surroundings { binaries, folder, rpc, registry, .. } = at;
        let user = User::new(&binaries.cli, folder, &options.name, rpc, registry)?;
        let data_dir = options
            .data_dir
            .clone()
            .unwrap_or_else(|| folder.join(format!("{}-data", options.name)));
        let provider = Self {
            program: binaries.provider.clone(),
            config: user.path("provider.toml"),
            data_dir,
            api_port: free_port()?,
            ingress_port: free_port()?,
            tls_port: free_port()?,
            tcp_ports: free_ports(TCP_PORTS)?,
            log: log_path(folder, &options.name),
            process: None,
            user,
            options,
        };
        provider.write_config(at)?;
        Ok(provider)
    }

    fn write_config(&self, at: Surroundings<'_>) -> Result<()> {
        let Surroundings { binaries, rpc, registry, software_tee, index, .. } = at;
        let Self { api_port, ingress_port, tls_port, tcp_ports, .. } = self;
        let tls_public = self.options.tls_public.unwrap_or_else(|| self.tls());
        let ProviderOptions { quote_ttl, claim_interval, drain, tee_kind, .. } = &self.options;
        let Prices {
            cpu_millicore_second,
            memory_mib_second,
            storage_mib_second,
            gpu_second,
            egress_mib,
            ingress_mib,
        } = PRICES;
        let (key_file, data_dir) = (self.user.secret.display(), self.data_dir.display());
        let agent = self.options.agent.as_ref().unwrap_or(&binaries.agent).display();
        let (software_tee, tcp_last) = (software_tee.display(), tcp_ports + TCP_PORTS - 1);
        let cluster_tee = if self.options.attests_cluster {
            format!("[cluster_tee]\nsoftware = \"{software_tee}\"\n\n")
        } else {
            String::new()
        };
        // Other test programs of this machine have other subnets, mostly; the backend looks, too.
        let subnet = 128 + std::process::id() % 100;
        let text = format!(
            "chain_url = \"{rpc}\"\nkey_file = \"{key_file}\"\ndata_dir = \"{data_dir}\"\n\n\
             [api]\nlisten = \"127.0.0.1:{api_port}\"\n\n\
             [ingress]\nlisten = \"127.0.0.1:{ingress_port}\"\n\
             tls_listen = \"127.0.0.1:{tls_port}\"\ntls_public = \"{tls_public}\"\n\
             tcp_ports = [{tcp_ports}, {tcp_last}]\ndrain = \"{drain}\"\n\n\
             [tee]\nsoftware = \"{software_tee}\"\nkind = \"{tee_kind}\"\n\n{cluster_tee}\
             [backend]\nagent = \"{agent}\"\nsubnet = \"10.{subnet}.{index}.0/24\"\n\n\
             [pricing]\ncpu_millicore_second = {cpu_millicore_second}\n\
             memory_mib_second = {memory_mib_second}\n\
             storage_mib_second = {storage_mib_second}\ngpu_second = {gpu_second}\n\
             egress_mib = {egress_mib}\ningress_mib = {ingress_mib}\nnotice = \"1m\"\ngrace = \"1m\"\n\
             dispute = \"0s\"\nreclaim = \"0s\"\nsilence = \"0s\"\nretention = \"0s\"\n\
             quote_ttl = \"{quote_ttl}\"\n\n\
             [rules]\nprivate_vaults = true\n\n\
             [images]\ninsecure_registries = [\"{registry}\"]\n\n\
             [timing]\nrecord_interval = \"1s\"\nclaim_interval = \"{claim_interval}\"\npayout_interval = \"0s\"\n\
             update_max = \"1m\"\n"
        );
        fs::write(&self.config, text).context("cannot write a provider's configuration")
    }

    /// Puts it into the registry on chain, through the command line.
    ///
    /// # Errors
    /// The command line or the chain refuses.
    pub fn register(&self) -> Result<()> {
        let planck = |price: u128| format!("{price} planck");
        let (cpu, memory) = (planck(PRICES.cpu_millicore_second), planck(PRICES.memory_mib_second));
        let (storage, egress) = (planck(PRICES.storage_mib_second), planck(PRICES.egress_mib));
        let endpoint = self.endpoint();
        self.user.json(&[
            "provider",
            "register",
            "--name",
            &self.options.name,
            "--region",
            "test",
            "--endpoint",
            &endpoint,
            "--cpu",
            "4000",
            "--memory",
            "4096",
            "--storage",
            "16384",
            "--price-cpu",
            &cpu,
            "--price-memory",
            &memory,
            "--price-storage",
            &storage,
            "--price-egress",
            &egress,
            "--stake",
            "100 CASE",
        ])?;
        Ok(())
    }

    /// Starts the daemon, unless it runs.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_none() {
            let mut command = self.command();
            command.arg("--config").arg(&self.config);
            self.process = Some(Process::start(&self.options.name, &mut command, &self.log)?);
        }
        Ok(())
    }

    /// Starts it again where it has ended by itself, as a service manager does: a provider without
    /// a node at its start gives up.
    ///
    /// # Errors
    /// It can't be started.
    pub fn supervise(&mut self) -> Result<()> {
        if let Some(process) = &mut self.process
            && process.ended()?.is_some()
        {
            self.process = None;
            self.start()?;
        }
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// SIGTERM, and waits: pods go on running.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(PATIENCE)?;
        }
        Ok(())
    }

    /// Starts it and waits for its end, which is expected; gives its last words.
    ///
    /// # Errors
    /// It goes on, or ends well.
    pub fn start_in_vain(&mut self) -> Result<String> {
        self.start()?;
        let Some(process) = &mut self.process else { bail!("it was started") };
        let status = process.wait(PATIENCE)?;
        self.process = None;
        let words = tail(&self.log, 30);
        if status.success() || words.contains("panicked") {
            bail!("it should have failed, not panicked ({status}):\n{words}");
        }
        Ok(words)
    }

    /// Waits until it takes orders.
    ///
    /// # Errors
    /// It ends or does not get ready.
    pub async fn ready(&mut self) -> Result<()> {
        let endpoint = self.endpoint();
        until(&format!("{} is ready", self.options.name), async || {
            self.check()?;
            let info = ProviderClient::info_of(&endpoint).await?;
            info.block_number.context("it has not read the chain yet")
        })
        .await?;
        Ok(())
    }

    /// Removes all that it runs; the daemon must not run.
    ///
    /// # Errors
    /// It says no.
    pub fn purge(&self) -> Result<()> {
        let mut command = self.command();
        command.arg("purge").arg("--config").arg(&self.config);
        let mut process = Process::start("purge", &mut command, &self.log)?;
        let status = process.wait(PURGE_PATIENCE)?;
        if !status.success() {
            bail!("`casemate-provider purge` failed ({status}):\n{}", tail(&self.log, 20));
        }
        Ok(())
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
                let name = &self.options.name;
                Err(Fatal(format!("{name} ended by itself ({status}):\n{words}")).into())
            }
        }
    }

    /// The account.
    pub fn account(&self) -> AccountBytes {
        self.user.account
    }

    /// Base address of its API.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }

    /// Where apps are reached.
    pub fn ingress(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ingress_port))
    }

    /// Where TLS goes through to the apps' agents.
    pub fn tls(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.tls_port))
    }

    /// First of the TCP ports that it gives to pods.
    pub fn tcp_port(&self) -> u16 {
        self.tcp_ports
    }

    /// A client of its API in the name of `user`.
    ///
    /// # Errors
    /// None that is expected.
    pub fn client(&self, user: &User, chain: &ChainClient) -> Result<ProviderClient> {
        user.client(&self.endpoint(), self.account(), chain)
    }

    /// What it leaves on this machine.
    pub fn traces(&self) -> Traces {
        Traces::new(&self.data_dir)
    }

    /// Where its data lies.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// File with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its configuration, as a text that may be changed.
    ///
    /// # Errors
    /// The disk says no.
    pub fn edit_config(&self, edit: impl FnOnce(String) -> String) -> Result<()> {
        let text = fs::read_to_string(&self.config)?;
        Ok(fs::write(&self.config, edit(text))?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        without_settings(&mut command);
        if let Some(path) = &self.options.path {
            command.env("PATH", path);
        }
        command
    }
}

const TCP_PORTS: u16 = 5;
/// Each pod has its own time of grace.
const PURGE_PATIENCE: Duration = Duration::from_secs(180);
