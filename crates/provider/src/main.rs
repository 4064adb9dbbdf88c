//! `casemate-provider`: the provider daemon.

mod chain_client;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use casemate_provider::{
    App, Config,
    app::Deps,
    front::{Front, Rhythm},
    key, system_clock,
};
use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Runs the pods of leases, serves them and claims what they have used.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print a configuration file to begin with, and end.
    #[arg(long)]
    sample_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Remove every pod of this configuration's data directory, and all that belongs to them:
    /// volumes, networks, mounts and cgroups. Refused while the daemon runs.
    Purge,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.sample_config {
        std::io::stdout().write_all(Config::SAMPLE.as_bytes()).context("cannot write")?;
        return Ok(());
    }
    let Some(path) = options.config else {
        let message = "give the configuration: --config FILE (--sample-config prints one)";
        Options::command().error(ErrorKind::MissingRequiredArgument, message).exit();
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let config = read_config(&path)?;
    runtime.block_on(async {
        match options.command {
            None => run(config).await,
            Some(Command::Purge) => purge(&config).await,
        }
    })
}

fn read_config(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration `{}`", path.display()))?;
    Config::parse(&text)
        .with_context(|| format!("the configuration `{}` is not good", path.display()))
}

/// What was signed and not yet claimed stays in the spool.
async fn purge(config: &Config) -> anyhow::Result<()> {
    let backend = chain_client::open_backend(config).await?;
    if let Some(guest) = chain_client::software_guest(config)
        && let Err(err) = guest.end()
    {
        tracing::warn!(%err, "cannot end the control plane's guest in the software TEE");
    }
    backend.purge().await.context("not everything could be removed; run it again")
}

async fn run(config: Config) -> anyhow::Result<()> {
    let seed = std::env::var(key::SEED_VARIABLE).ok();
    let key = key::load(config.key_file.as_deref(), seed.as_deref())?;
    let (stop, shutdown) = watch::channel(false);
    tokio::spawn(async move {
        match stop_signal().await {
            Ok(()) => tracing::info!("stopping; pods go on running"),
            Err(err) => tracing::error!(%err, "cannot wait for signals, stopping"),
        }
        stop.send_replace(true);
    });
    if config.ingress.tls_listen.is_some() && config.tee.is_none() {
        tracing::warn!(
            "`ingress.tls_listen` leads nowhere: TLS ends in attested agents, and there is no `[tee]`"
        );
    }
    // What is wrong on this machine is said before a node is waited for.
    let front = Front::bind(&config).context("the provider does not start")?;
    let mut stopped = shutdown.clone();
    let backend = tokio::select! {
        opened = chain_client::open_backend(&config) => opened?,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    let connect = || chain_client::connect_chain(&config, &key);
    let chain =
        front.wait_for(&config.chain_url, Rhythm::default(), connect, shutdown.clone()).await?;
    let Some(chain) = chain else { return Ok(()) };
    let clock = system_clock();
    let attestor = Arc::new(chain_client::attestor(&config, &key, Arc::clone(&clock)));
    let carrier = Arc::new(chain_client::carrier(&config, &key, Arc::clone(&clock)));
    let control_plane = chain_client::control_plane(&config, Arc::clone(&clock));
    let deps = Deps { chain, backend, key, attestor, clock };
    let app =
        App::build_behind(front, config, deps).await.context("the provider does not start")?;
    let mut app = app.with_courier(carrier);
    if let Some(control_plane) = control_plane {
        app = app.with_cluster(Arc::new(control_plane));
    }
    let addresses = app.addresses();
    let tls = addresses.tls.map(tracing::field::display);
    tracing::info!(api = %addresses.api, ingress = %addresses.ingress, tls, "the provider runs");
    app.run(shutdown).await.context("the provider broke off")
}

async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
    Ok(())
}
