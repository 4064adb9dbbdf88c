//! What the commands do, one module for each noun.

mod account;
mod attest;
mod cluster;
mod dev;
mod image;
mod init;
mod key;
mod lease;
mod manifest;
mod offers;
mod provider;
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
        Command::Lease(LeaseCommand::Records(args)) => lease::records::run(context, &args).await,
        Command::Fund(args) => lease::change::fund(context, &args).await,
        Command::Update(args) => lease::change::update(context, &args).await,
        Command::Stop(args) => lease::change::stop(context, &args).await,
        Command::Task(command) => lease::task::run(context, command).await,
        Command::Attest(args) => attest::run(context, args).await,
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
