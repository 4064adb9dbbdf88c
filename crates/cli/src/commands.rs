//! What the commands do, one module for each noun.

mod account;
mod arbiter;
mod attest;
mod challenge;
mod cluster;
mod dev;
mod image;
mod init;
mod key;
mod lease;
mod manifest;
mod offers;
mod provider;
mod reputation;
mod secret;
#[cfg(test)]
mod testing;
mod vault;

pub(crate) use image::{pinned_digest, root_fs_digest};

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Command, ConfigCommand, LeaseCommand},
    context::Context,
    printer::fields,
};

/// Does what was asked.
pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Deploy(args) => lease::deploy::run(context, &args).await,
        Command::Quotes(args) => lease::deploy::quotes(context, &args).await,
        Command::List => lease::list::run(context).await,
        Command::Status(args) => lease::status::run(context, &args).await,
        Command::Logs(args) => lease::logs::run(context, &args).await,
        Command::Events(args) => lease::logs::events(context, &args).await,
        Command::Lease(command) => run_lease(context, command).await,
        Command::Reputation(args) => reputation::run(context, &args).await,
        Command::Arbiter(command) => arbiter::run(context, &command).await,
        Command::Fund(args) => lease::change::fund(context, &args).await,
        Command::Update(args) => lease::change::update(context, &args).await,
        Command::Stop(args) => lease::change::stop(context, &args).await,
        Command::Task(command) => lease::task::run(context, command).await,
        Command::Attest(args) => attest::run(context, args).await,
        Command::Challenge(command) => challenge::run(context, command).await,
        Command::Secret(command) => secret::run(context, command).await,
        Command::Vault(command) => vault::run(context, command).await,
        Command::Manifest(command) => manifest::run(context, &command),
        Command::Image(command) => image::run(context, &command).await,
        Command::Key(command) => key::run(context, &command),
        Command::Account(command) => account::run(context, &command).await,
        Command::Provider(command) => provider::run(context, command).await,
        Command::Dev(args) => dev::run(context, &args).await,
        Command::Config(ConfigCommand::Show) => config_show(context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "casemate", &mut script);
            context.printer.raw(&String::from_utf8_lossy(&script))
        }
    }
}

async fn run_lease(context: &Context, command: LeaseCommand) -> anyhow::Result<()> {
    use lease::{amend, complain, dispute, records};
    match command {
        LeaseCommand::Records(args) => records::run(context, &args).await,
        LeaseCommand::Authorise(args) => lease::spenders::authorise(context, &args).await,
        LeaseCommand::Show(args) => dispute::show(context, &args).await,
        LeaseCommand::Contest(args) => dispute::contest(context, &args).await,
        LeaseCommand::ExpireContest(args) => dispute::expire_contest(context, &args).await,
        LeaseCommand::Misconduct(args) => dispute::misconduct(context, &args).await,
        LeaseCommand::Evict(args) => dispute::evict(context, &args).await,
        LeaseCommand::Amend(args) => amend::run(context, &args).await,
        LeaseCommand::Complain(args) => complain::complain(context, &args).await,
        LeaseCommand::Complaints(args) => complain::list(context, &args).await,
        LeaseCommand::WithdrawComplaint(args) => complain::withdraw(context, args).await,
        LeaseCommand::ExpireComplaint(args) => complain::expire(context, args).await,
    }
}

fn config_show(context: &Context) -> anyhow::Result<()> {
    let settings = &context.settings;
    context.printer.data(settings, || {
        let path = |path: &Option<std::path::PathBuf>, none: &str| {
            path.as_ref().map_or_else(|| none.to_owned(), |p| p.display().to_string())
        };
        fields(&[
            ("configuration", path(&settings.config, "none")),
            ("rpc", settings.rpc.clone()),
            ("account", settings.account.clone().unwrap_or_else(|| "the only key".into())),
            ("keystore", settings.keystore.display().to_string()),
            ("state", settings.state_dir.display().to_string()),
            ("passphrase", path(&settings.passphrase_file, "asked for")),
            (
                "providers",
                settings
                    .provider_endpoints
                    .as_ref()
                    .map_or_else(|| "any".into(), |list| list.join(", ")),
            ),
            ("insecure registries", settings.insecure_registries.join(", ")),
        ])
    })
}
