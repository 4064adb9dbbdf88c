//! Commands of the node.

use crate::{chain_spec, service};
use clap::Parser;
use sc_cli::SubstrateCli;
use sc_network::config::NetworkBackendType;

/// The Casemate node.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    subcommand: Option<Subcommand>,

    #[clap(flatten)]
    run: sc_cli::RunCmd,

    /// Let a development chain's clock start at this second (Unix time) instead of now, to try
    /// evidence whose certificates have expired since.
    #[arg(long, value_name = "SECONDS")]
    development_clock: Option<u64>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Key management utilities.
    #[command(subcommand)]
    Key(sc_cli::KeySubcommand),

    /// Print a chain specification.
    ExportChainSpec(sc_cli::ExportChainSpecCmd),

    /// Validate blocks.
    CheckBlock(sc_cli::CheckBlockCmd),

    /// Export blocks.
    ExportBlocks(sc_cli::ExportBlocksCmd),

    /// Import blocks.
    ImportBlocks(sc_cli::ImportBlocksCmd),

    /// Remove the whole chain.
    PurgeChain(sc_cli::PurgeChainCmd),

    /// Revert the chain to a previous state.
    Revert(sc_cli::RevertCmd),
}

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Casemate node".into()
    }

    fn impl_version() -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        "The Casemate authors".into()
    }

    fn support_url() -> String {
        concat!(env!("CARGO_PKG_REPOSITORY"), "/issues").into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        Ok(Box::new(chain_spec::load(id)?))
    }
}

/// Parse the command line and do what it says.
pub(crate) fn run() -> sc_cli::Result<()> {
    let cli = Cli::parse();
    match &cli.subcommand {
        Some(Subcommand::Key(cmd)) => cmd.run(&cli),
        Some(Subcommand::ExportChainSpec(cmd)) => {
            let spec = cli.load_spec(&cmd.chain)?;
            cmd.run(spec)
        }
        Some(Subcommand::CheckBlock(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            Ok((cmd.run(parts.client, parts.import_queue), parts.task_manager))
        }),
        Some(Subcommand::ExportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            Ok((cmd.run(parts.client, config.database), parts.task_manager))
        }),
        Some(Subcommand::ImportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            Ok((cmd.run(parts.client, parts.import_queue), parts.task_manager))
        }),
        Some(Subcommand::PurgeChain(cmd)) => {
            cli.create_runner(cmd)?.sync_run(|config| cmd.run(config.database))
        }
        Some(Subcommand::Revert(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            let aux_revert = Box::new(|client, _, blocks| {
                sc_consensus_grandpa::revert(client, blocks)?;
                Ok(())
            });
            Ok((cmd.run(parts.client, parts.backend, Some(aux_revert)), parts.task_manager))
        }),
        None => cli.create_runner(&cli.run)?.run_node_until_exit(|config| async move {
            let clock = cli.development_clock.map(service::DevelopmentClock::starting_at);
            match config.network.network_backend {
                NetworkBackendType::Libp2p => {
                    service::new_full::<sc_network::NetworkWorker<_, _>>(config, clock)
                }
                NetworkBackendType::Litep2p => {
                    service::new_full::<sc_network::Litep2pNetworkBackend>(config, clock)
                }
            }
            .map_err(sc_cli::Error::Service)
        }),
    }
}
