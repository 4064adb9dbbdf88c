//! `casemate dev`: a node, a software TEE, a provider and a publisher's account on this machine.
//!
//! Everything lies in one folder, so that the next start goes on where this one ended. Secrets are
//! random and made here; the one well-known key (`//Alice`) only pays the others, and only after
//! the chain has said that it is a development chain.

mod files;
mod network;
mod process;
mod provider_config;
mod software_tee;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::DevArgs,
    commands::dev::{files::Files, network::Network},
    context::Context,
    printer::fields,
};

/// What `dev.json` tells those who use the network.
#[derive(Clone, Debug, Serialize)]
struct Addresses {
    /// WebSocket address of the node.
    rpc: String,
    /// Base address of the provider's API.
    provider_api: String,
    /// Base address of the ingress; apps answer to their host names there.
    ingress: String,
    /// `host:port` where TLS goes through to the apps' agents, by server name.
    tls: String,
    /// Prometheus metrics of the provider.
    metrics: String,
    /// Configuration of the publisher, for `casemate --config`.
    config: String,
    /// Configuration of the provider.
    provider_config: String,
    /// Control socket of the software TEE.
    software_tee: String,
    /// Process ids, for whoever looks after the network.
    pids: Pids,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Pids {
    dev: u32,
    node: u32,
    provider: u32,
    software_tee: u32,
}

pub(super) async fn run(context: &Context, args: &DevArgs) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let files = Files::open(&args.data_dir)?;
    let mut network = Network::new(context, args, files)?;
    let result = tokio::select! {
        result = serve(context, &mut network) => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    context.printer.note("Stopping");
    let stopped = tokio::select! {
        stopped = network.stop() => stopped,
        // Whoever asks twice does not want to wait.
        _ = interrupt.recv() => network.kill(),
        _ = terminate.recv() => network.kill(),
    };
    result.and(stopped)
}

/// Starts everything, says where it is, and returns when a part of it dies.
async fn serve(context: &Context, network: &mut Network<'_>) -> anyhow::Result<()> {
    let addresses = network.start().await?;
    network.files.write_addresses(&addresses)?;
    context.printer.data(&addresses, || {
        fields(&[
            ("node", addresses.rpc.clone()),
            ("provider", addresses.provider_api.clone()),
            ("apps", addresses.ingress.clone()),
            ("apps, TLS", addresses.tls.clone()),
            ("metrics", addresses.metrics.clone()),
            ("configuration", addresses.config.clone()),
        ])
    })?;
    context.printer.note(format!(
        "The network runs until Ctrl-C. Deploy to it: casemate --config {} deploy",
        addresses.config
    ));
    network.until_one_dies().await
}
