//! The processes of a development network, and what they need to know of each other.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_client::{chain::ProviderView, provider::ProviderClient};
use casemate_primitives::{Asset, Balance, CASE, PriceList, Resources};
use nix::unistd::AccessFlags;
use subxt_signer::{SecretUri, sr25519::Keypair};

use super::{
    Addresses, Pids,
    files::{Files, Ports},
    process::{self, Process},
    provider_config::{PRICES, ProviderConfig, ProviderParts},
    software_tee::SoftwareTee,
};
use crate::{
    address::Address,
    amount::Amount,
    chain_ops::{Chain, provider_info},
    cli::DevArgs,
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    printer::Printer,
};

/// What a development chain's specification calls itself.
const CHAIN_TYPE: &str = "Development";
/// A cold start on a busy machine compiles the runtime first.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// A stopped node writes its database.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// Deleting pods takes each one's own grace period, 10 seconds unless its manifest says otherwise.
const PURGE_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);

/// Covers the largest capacity below (912 CASE by the chain's rates) twice.
const STAKE: Balance = 2_000 * CASE;
/// Stake, and fees for a very long time.
const PROVIDER_MONEY: Balance = STAKE + 1_000 * CASE;
const PUBLISHER_MONEY: Balance = 10_000 * CASE;

/// Programs and ports are settled; nothing runs until [`Network::start`].
#[derive(Debug)]
pub(super) struct Network<'a> {
    context: &'a Context,
    programs: Programs,
    ports: Ports,
    subnet: Option<String>,
    pub(super) files: Files,
    software_tee: Option<Process>,
    node: Option<Process>,
    provider: Option<Process>,
}

#[derive(Debug)]
struct Programs {
    node: PathBuf,
    provider: PathBuf,
    agent: PathBuf,
    software_tee: PathBuf,
}

impl<'a> Network<'a> {
    /// Finds programs and ports; what is wrong with them shows before anything runs.
    pub(super) fn new(context: &'a Context, args: &DevArgs, files: Files) -> anyhow::Result<Self> {
        let programs = Programs {
            node: program(args.node.as_deref(), "casemate-node", "--node")?,
            provider: program(args.provider.as_deref(), "casemate-provider", "--provider")?,
            agent: program(args.agent.as_deref(), "casemate-agent", "--agent")?,
            software_tee: program(
                args.software_tee.as_deref(),
                "casemate-software-tee",
                "--software-tee",
            )?,
        };
        // All are held until the last one is found, so that none is given out twice.
        let rpc = hold_port(args.rpc_port, "--rpc-port")?;
        let api = hold_port(args.api_port, "--api-port")?;
        let ingress = hold_port(args.ingress_port, "--ingress-port")?;
        let tls = hold_port(args.tls_port, "--tls-port")?;
        let metrics = hold_port(args.metrics_port, "--metrics-port")?;
        let number = |listener: &TcpListener| listener.local_addr().map(|at| at.port());
        let ports = Ports {
            rpc: number(&rpc)?,
            api: number(&api)?,
            ingress: number(&ingress)?,
            tls: number(&tls)?,
            metrics: number(&metrics)?,
        };
        let subnet = args.subnet.clone();
        Ok(Self {
            context,
            programs,
            ports,
            subnet,
            files,
            software_tee: None,
            node: None,
            provider: None,
        })
    }

    /// Starts all parts and waits until each one answers.
    pub(super) async fn start(&mut self) -> anyhow::Result<Addresses> {
        let printer = self.context.printer;
        printer.warn("software TEE: nothing here is protected from this machine's owner");
        let tee = SoftwareTee::new(&self.programs.software_tee, &self.files);
        tee.init(&printer).await?;
        let workload = tee.workload_of(&self.programs.agent).await?;
        let specification = tee.chain_specification(&self.programs.node, &workload).await?;

        printer.note("Starting the chain node");
        let rpc = format!("ws://127.0.0.1:{}", self.ports.rpc);
        let node = Process::start(
            "casemate-node",
            &self.programs.node,
            &self.node_args(&specification),
            &self.files.path("node.log"),
        )?;
        let node_pid = node.pid();
        self.node = Some(node);
        let chain = self.wait_for_chain(&rpc).await?;

        printer.note("Preparing accounts");
        let publisher = self.files.publisher()?;
        let (key_file, provider) = self.files.provider_key()?;
        let api = format!("http://127.0.0.1:{}", self.ports.api);
        fund(&chain, publisher, PUBLISHER_MONEY).await?;
        fund(&chain, provider.address, PROVIDER_MONEY).await?;
        register(&chain, &provider, &api).await?;
        approve(&chain, &workload, &printer).await?;

        printer.note("Starting the software TEE");
        let daemon = tee.serve()?;
        let software_tee_pid = daemon.pid();
        tee.wait_for(self.software_tee.insert(daemon)).await?;

        printer.note("Starting the provider");
        let insecure_registries = &self.context.settings.insecure_registries;
        let provider_config = self.files.path("provider.toml");
        self.files.write_toml(
            &provider_config,
            &ProviderConfig::new(ProviderParts {
                rpc: &rpc,
                key_file,
                data_dir: self.files.path("provider"),
                ports: self.ports,
                insecure_registries,
                agent: self.programs.agent.clone(),
                software_tee: tee.control(),
                subnet: self.subnet.clone(),
            }),
        )?;
        let daemon = Process::start(
            "casemate-provider",
            &self.programs.provider,
            &["--config".to_owned(), provider_config.display().to_string()],
            &self.files.path("provider.log"),
        )?;
        let provider_pid = daemon.pid();
        self.provider = Some(daemon);
        self.wait_for_provider(&chain, &provider, &api).await?;

        let config = self.files.write_publisher_config(&rpc, insecure_registries)?;
        Ok(Addresses {
            rpc,
            provider_api: api,
            ingress: format!("http://127.0.0.1:{}", self.ports.ingress),
            tls: format!("127.0.0.1:{}", self.ports.tls),
            metrics: format!("http://127.0.0.1:{}/metrics", self.ports.metrics),
            config: config.display().to_string(),
            provider_config: provider_config.display().to_string(),
            software_tee: tee.control().display().to_string(),
            pids: Pids {
                dev: std::process::id(),
                node: node_pid,
                provider: provider_pid,
                software_tee: software_tee_pid,
            },
        })
    }

    /// Returns the failure of the first part that ends.
    pub(super) async fn until_one_dies(&mut self) -> anyhow::Result<()> {
        let (Some(node), Some(provider), Some(software_tee)) =
            (&mut self.node, &mut self.provider, &mut self.software_tee)
        else {
            return fail(Failure::new("the network is not running"));
        };
        Err(tokio::select! {
            error = node.died() => error,
            error = provider.died() => error,
            error = software_tee.died() => error,
        })
    }

    /// Stops the provider, removes its pods, stops the node and the software TEE: in this order, so
    /// that the provider does not bring pods back, can still claim and end its guests.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let mut result = self.files.forget_addresses();
        if let Some(mut provider) = self.provider.take() {
            // One part that does not stop well does not keep the others running.
            result = result.and(provider.stop(STOP_GRACE).await);
            let args = [
                "purge".to_owned(),
                "--config".to_owned(),
                self.files.path("provider.toml").display().to_string(),
            ];
            let log = self.files.path("provider.log");
            let purged = process::run(
                "casemate-provider purge",
                &self.programs.provider,
                &args,
                &log,
                PURGE_TIMEOUT,
            );
            result = result.and(purged.await);
        }
        if let Some(mut node) = self.node.take() {
            result = result.and(node.stop(STOP_GRACE).await);
        }
        if let Some(mut software_tee) = self.software_tee.take() {
            result = result.and(software_tee.stop(STOP_GRACE).await);
        }
        result
    }

    /// Ends all processes at once; pods stay, which is said.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let processes = [&mut self.provider, &mut self.node, &mut self.software_tee];
        for process in processes.into_iter().flatten() {
            process.kill();
        }
        fail(Failure::new("stopped at once; containers may still run").hint(format!(
            "remove them: {} purge --config {}",
            self.programs.provider.display(),
            self.files.path("provider.toml").display()
        )))
    }

    fn node_args(&self, specification: &Path) -> Vec<String> {
        let specification = specification.display().to_string();
        let base = self.files.path("node").display().to_string();
        let port = self.ports.rpc.to_string();
        [
            // As `--dev`, with a genesis of its own.
            "--chain",
            specification.as_str(),
            "--alice",
            "--force-authoring",
            // Nobody joins a development chain: its network key is worth nothing.
            "--unsafe-force-node-key-generation",
            "--rpc-cors",
            "all",
            // The default pool is made for forks, which this chain has not: it can hold a
            // transaction back until the next second's block.
            "--pool-type",
            "single-state",
            "--base-path",
            base.as_str(),
            "--rpc-port",
            port.as_str(),
            "--no-prometheus",
            "--no-telemetry",
            "--no-mdns",
            // Nobody joins a development chain.
            "--listen-addr",
            "/ip4/127.0.0.1/tcp/0",
        ]
        .map(str::to_owned)
        .into()
    }

    async fn wait_for_chain(&mut self, rpc: &str) -> anyhow::Result<Chain> {
        let deadline = Instant::now() + START_TIMEOUT;
        let chain = loop {
            if let Some(node) = &mut self.node {
                node.check()?;
            }
            match Chain::connect_to(rpc).await {
                Ok(chain) => break chain,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        // Alice's key is known to all: it is never used where money could be real.
        let kind = chain.chain_type().await?;
        if kind != CHAIN_TYPE {
            return fail(
                Failure::new(format!("the node runs a chain of type `{kind}`"))
                    .hint("`casemate dev` works on a development chain only"),
            );
        }
        Ok(chain)
    }

    async fn wait_for_provider(
        &mut self,
        chain: &Chain,
        provider: &Signer,
        api: &str,
    ) -> anyhow::Result<()> {
        let key = Arc::new(provider.keypair.clone());
        let client = ProviderClient::new(api, provider.address.0, chain.genesis_hash(), key)?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(process) = &mut self.provider {
                process.check()?;
            }
            let reason = match client.info().await {
                // It has read a finalised block: from here on it takes orders.
                Ok(info) if info.block_number.is_some() => return Ok(()),
                Ok(_) => "it has not read the chain yet".to_owned(),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                let log = self.files.path("provider.log");
                return fail(
                    Failure::new(format!("the provider does not get ready: {reason}"))
                        .hint(format!("see what it wrote: {}", log.display())),
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Brings an account up to `amount`.
async fn fund(chain: &Chain, account: Address, amount: Balance) -> anyhow::Result<()> {
    let balance = chain.balance(account).await?;
    let missing = amount.saturating_sub(balance.free.saturating_add(balance.held));
    // Small sums went for fees: not worth a transaction at each start.
    if missing < amount / 10 {
        return Ok(());
    }
    chain.transfer(&alice()?, account, missing).await.or_fail(|| {
        Failure::new(format!("the development account could not pay {}", Amount(missing)))
            .hint("remove the data folder to begin with a new chain")
    })?;
    Ok(())
}

/// Lets agents of this measurement be paid: genesis names the agent that the network began with, a
/// newer one is approved here.
async fn approve(chain: &Chain, workload: &[u8], printer: &Printer) -> anyhow::Result<()> {
    if chain.approved_workload(workload).await?.is_some() {
        return Ok(());
    }
    printer.note("Approving the agent, which has changed");
    chain.approve_development_workload(&alice()?, workload).await?;
    if chain.approved_workload(workload).await?.is_none() {
        return fail(
            Failure::new("the development chain's committee has not approved the agent")
                .hint("remove the data folder to begin with a new chain"),
        );
    }
    Ok(())
}

/// The development chain's well-known account: its only committee member, and rich.
fn alice() -> anyhow::Result<Signer> {
    let keypair = Keypair::from_uri(&SecretUri::from_str("//Alice")?)?;
    let address = Address(keypair.public_key().0);
    Ok(Signer { keypair, address })
}

/// Puts the provider into the registry, or corrects what is there.
async fn register(chain: &Chain, provider: &Signer, api: &str) -> anyhow::Result<()> {
    let capacity = capacity();
    let endpoints = [api.to_owned()];
    let info = provider_info("local", &["local".to_owned()], &endpoints, Vec::new())?;
    let prices = vec![PriceList { asset: Asset::Native, prices: PRICES }];
    match chain.provider(provider.address).await? {
        None => {
            chain.register(provider, info, capacity, prices, STAKE).await?;
        }
        Some(ProviderView { endpoints: now, capacity: offered, .. })
            if now == endpoints && offered == capacity => {}
        Some(_) => {
            chain.update_provider(provider, info, capacity, prices).await?;
        }
    }
    Ok(())
}

/// Twice the machine's cores, half its memory and 64 GiB of disk: development pods mostly sleep.
/// Bounded by what [`STAKE`] covers.
fn capacity() -> Resources {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    let memory_kib = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .unwrap_or(2 * 1024 * 1024);
    Resources {
        cpu_millicores: cores.saturating_mul(2_000).min(64_000),
        memory_mib: u32::try_from(memory_kib / 2048).unwrap_or(u32::MAX).min(262_144),
        storage_mib: 65_536,
        gpus: 0,
    }
}

/// The program that was named, or the one beside this one.
fn program(named: Option<&Path>, name: &str, flag: &str) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => env::current_exe()?.with_file_name(name),
    };
    let usable = path.is_file() && nix::unistd::access(&path, AccessFlags::X_OK).is_ok();
    if !usable {
        return fail(Failure::usage(format!("`{}` is no program", path.display())).hint(format!(
            "build it: cargo build --package {name}; or say where it is: {flag} FILE"
        )));
    }
    // Children start in this folder, too, but what is written to files should say it all.
    Ok(fs::canonicalize(&path)?)
}

/// Takes a port, or any free one for 0. Whoever is to have it must be quick after it is let go.
fn hold_port(port: u16, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_fail(|| {
        Failure::new(format!("port {port} of this machine is in use"))
            .hint(format!("stop who uses it, or choose another: {flag} PORT (0 picks one)"))
    })
}

#[cfg(test)]
mod tests;
