//! A whole network.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use casemate_attestation::TrustRoots;
use casemate_client::chain::{Call, ChainClient};
use casemate_primitives::{AccountBytes, Balance, CASE};
use subxt_signer::sr25519::dev;
use tempfile::TempDir;

use crate::{
    binaries::Binaries,
    ledger::Ledger,
    node::{Node, development_chain},
    process::tail,
    provider::{Provider, ProviderOptions, Surroundings},
    registry::{Image, Registry},
    software_tee::SoftwareTee,
    user::User,
};

/// What a cluster has.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its providers, all of them registered and running.
    pub providers: Vec<ProviderOptions>,
    /// Its publishers, each with [`MONEY`].
    pub publishers: Vec<&'static str>,
    /// Whether the chain's genesis does without the software TEE's roots.
    pub distrusts_software_tee: bool,
}

impl Options {
    /// With `providers` providers, `p0` and so on, and these publishers.
    pub fn new(providers: usize, publishers: &[&'static str]) -> Self {
        let providers = (0..providers).map(|i| ProviderOptions::new(&format!("p{i}"))).collect();
        Self { providers, publishers: publishers.to_vec(), distrusts_software_tee: false }
    }
}

/// A development chain, a software TEE that it trusts, a registry with two versions of the guest book, providers, publishers.
#[derive(Debug)]
pub struct Cluster {
    /// The chain.
    pub node: Node,
    /// Providers.
    pub providers: Vec<Provider>,
    /// Publishers.
    pub publishers: Vec<User>,
    /// The registry.
    pub registry: Registry,
    /// The software TEE in which all providers start their pods.
    pub software_tee: SoftwareTee,
    /// The guest book, which keeps its entries in `/data`.
    pub first: Image,
    /// The guest book again, which keeps its entries in `/book`.
    pub second: Image,
    /// Programs.
    pub binaries: Binaries,
    purged: bool,
    folder: TempDir,
}

/// What a publisher begins with.
const MONEY: Balance = 1_000 * CASE;
/// How much of each log is shown after a failure.
const TAIL_LINES: usize = 60;

/// Starts a cluster, runs `test` with it, and clears everything away: after a good test nothing
/// may be left on the machine.
///
/// # Panics
/// When the test fails, after the programs' last words were printed.
pub fn with_cluster(options: Options, test: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"));
    runtime.block_on(async {
        let mut cluster = match Cluster::bare(&options) {
            Ok(cluster) => cluster,
            Err(error) => panic!("the cluster does not start: {}", told(&error)),
        };
        let result = match Box::pin(cluster.fill(options)).await {
            Ok(()) => Box::pin(test(&mut cluster)).await,
            Err(error) => Err(error.context("the cluster does not start")),
        };
        if let Err(error) = result.and_then(|()| cluster.end()) {
            // The panic makes the cluster print its logs when it is dropped.
            panic!("{}", told(&error));
        }
    });
}

impl Cluster {
    /// Only the chain, the software TEE and the registry.
    fn bare(options: &Options) -> Result<Self> {
        if !nix::unistd::Uid::effective().is_root() {
            bail!("these tests start containers, which needs root\nhint: run them with sudo");
        }
        let binaries = Binaries::find()?;
        let folder = tempfile::Builder::new().prefix("casemate-e2e-").tempdir()?;
        let mut software_tee = SoftwareTee::new(&binaries.software_tee, folder.path())?;
        let roots = match options.distrusts_software_tee {
            true => TrustRoots::default(),
            false => software_tee.roots()?,
        };
        let specification = folder.path().join("chain.json");
        let workloads = [software_tee.workload(&binaries.agent)?];
        development_chain(&binaries.node, &specification, &roots, &workloads)?;
        software_tee.start()?;
        let node = Node::dev(&binaries.node, folder.path(), &specification)?;
        let registry = Registry::start(folder.path())?;
        let first = registry.push_guestbook(&binaries, folder.path(), "first", &[])?;
        let options = ["--env", "DATA_DIR=/book"];
        let second = registry.push_guestbook(&binaries, folder.path(), "second", &options)?;
        Ok(Self {
            node,
            providers: Vec::new(),
            publishers: Vec::new(),
            registry,
            software_tee,
            first,
            second,
            binaries,
            purged: false,
            folder,
        })
    }

    async fn fill(&mut self, options: Options) -> Result<()> {
        let chain = self.node.chain().await?;
        for name in options.publishers {
            self.add_publisher(&chain, name, MONEY).await?;
        }
        for options in options.providers {
            self.add_provider(&chain, options).await?;
        }
        for provider in &mut self.providers {
            provider.ready().await?;
        }
        Ok(())
    }

    /// Adds a publisher with so much money.
    ///
    /// # Errors
    /// Something refuses.
    pub async fn add_publisher(
        &mut self,
        chain: &ChainClient,
        name: &str,
        money: Balance,
    ) -> Result<()> {
        let user = self.new_user(name)?;
        give(chain, user.account, money).await?;
        self.publishers.push(user);
        Ok(())
    }

    /// Somebody with a key and without money.
    ///
    /// # Errors
    /// Something refuses.
    pub fn new_user(&self, name: &str) -> Result<User> {
        let (rpc, registry) = (self.node.url(), &self.registry.host);
        User::new(&self.binaries.cli, self.folder.path(), name, &rpc, registry)
    }

    /// Adds a provider: registered, and started.
    ///
    /// # Errors
    /// Something refuses.
    pub async fn add_provider(
        &mut self,
        chain: &ChainClient,
        options: ProviderOptions,
    ) -> Result<()> {
        let mut provider = self.new_provider(options)?;
        give(chain, provider.account(), MONEY).await?;
        provider.register()?;
        provider.start()?;
        self.providers.push(provider);
        Ok(())
    }

    /// A provider that is neither registered nor started nor purged in the end.
    ///
    /// # Errors
    /// The disk says no.
    pub fn new_provider(&self, options: ProviderOptions) -> Result<Provider> {
        let index = u8::try_from(self.providers.len()).context("too many providers")?;
        Provider::new(
            options,
            Surroundings {
                binaries: &self.binaries,
                folder: self.folder.path(),
                rpc: &self.node.url(),
                registry: &self.registry.host,
                software_tee: self.software_tee.control(),
                index,
            },
        )
    }

    /// A path in the cluster's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Reads the chain.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn ledger(&mut self) -> Result<Ledger> {
        self.node.rpc().await?;
        Ledger::connect(&self.node.url()).await
    }

    /// Stops all, removes all pods and checks that nothing is left and nothing has panicked.
    fn end(&mut self) -> Result<()> {
        self.purge()?;
        for log in self.logs() {
            let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
            if let Some(line) = text.lines().find(|line| line.contains("panicked at")) {
                bail!("`{}` tells of a panic: {line}", log.display());
            }
        }
        for provider in &self.providers {
            let leftovers = provider.traces().leftovers()?;
            if !leftovers.is_empty() {
                let name = &provider.user.name;
                bail!("provider {name} left after its purge: {}", leftovers.join(", "));
            }
        }
        Ok(())
    }

    fn purge(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.purged, true) {
            return Ok(());
        }
        let mut result = Ok(());
        for provider in &mut self.providers {
            // One that does not stop well does not keep the others running.
            let purged = provider.kill().and_then(|()| provider.purge());
            result = result.and(purged);
        }
        result
    }

    fn logs(&self) -> impl Iterator<Item = &Path> {
        [self.node.log(), self.software_tee.log()]
            .into_iter()
            .chain(self.providers.iter().map(Provider::log))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.logs().for_each(print_log);
        }
        if let Err(error) = self.purge() {
            say(&format!("pods may be left: {error:?}"));
        }
    }
}

/// An error and its causes, without a backtrace, which would say nothing of the network.
fn told(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join("\n  caused by: ")
}

/// Shows the end of a log to whoever reads the test's output.
pub fn print_log(log: &Path) {
    say(&format!("---- the end of {}:\n{}", log.display(), tail(log, TAIL_LINES)));
}

#[expect(clippy::print_stderr, reason = "this is the output of a test")]
fn say(text: &str) {
    eprintln!("{text}");
}

async fn give(chain: &ChainClient, to: AccountBytes, amount: Balance) -> Result<()> {
    chain.submit(&dev::alice(), Call::Transfer { to, amount }).await?;
    Ok(())
}
