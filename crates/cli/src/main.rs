//! `casemate`: the command line for publishers and providers.
//!
//! Types of the command line ([`cli`]), [`settings`], [`commands`] and the [`printer`] stand
//! apart; [`chain_ops`] is the one place that talks to the chain.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod amount;
mod appraisal;
mod asset;
mod chain_ops;
mod cli;
mod commands;
mod context;
mod failure;
mod kept_records;
mod keystore;
mod manifest_file;
mod printer;
mod secrets;
mod settings;
mod state;
#[cfg(test)]
#[path = "../tests/rig/mod.rs"]
mod test_agent;

use std::{io, process::ExitCode};

use clap::Parser as _;

use crate::{
    cli::Cli,
    context::Context,
    failure::Report,
    printer::{OutputClosed, Printer},
    settings::{ColorChoice, Settings, UserFolders},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("CASEMATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let output = cli.global.output.unwrap_or_default();
    let color = cli.global.color.unwrap_or(ColorChoice::Auto);
    let mut printer = Printer::new(output, color, cli.global.quiet);
    let result =
        Settings::load(&cli.global, &UserFolders::from_environment()).and_then(|settings| {
            printer = Printer::new(settings.output, settings.color, settings.quiet);
            let context = Context { settings, printer };
            // One thread: `dev` ties its children's lives to the thread that started them, and the
            // rest waits for the network.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let result = runtime.block_on(Box::pin(commands::run(&context, cli.command)));
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<OutputClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            let report = Report::of(&error);
            printer.error(&report);
            ExitCode::from(report.exit_code)
        }
    }
}
