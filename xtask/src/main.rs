//! `cargo xtask`: set-up, build, demo, tests, checks and benches of this repository.
//!
//! Everything that a person or the CI does more than once is a command here, so that README,
//! guides and `.ci/run` can be one line each.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line for people")]

mod bench;
mod build;
mod check;
mod demo;
mod elf;
mod fuzz;
mod http;
mod images;
mod leftovers;
mod load;
mod metadata;
mod packages;
mod paths;
mod process;
mod setup;
mod signals;
mod temp;
mod test;
mod wasm;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::paths::Paths;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what is missing on this machine: Debian packages and the Wasm target.
    Setup,
    /// Set up, then build all programs, the static ones too.
    Build,
    /// Build, then make the images (guestbook, Debian's nginx, the vault) as OCI layouts.
    Images,
    /// Run a one-machine network, publish two apps on it and show what they cost, until Ctrl-C.
    Demo(demo::Options),
    /// Run every test: unit, integration, documentation and end-to-end, then the cheap checks.
    Test(test::Options),
    /// Format, clippy, tidy and test vectors.
    Check(check::Options),
    /// Write the runtime's metadata down for the client (after a change of the runtime's calls).
    Metadata(metadata::Options),
    /// Measure the weights of the runtime's calls and write them down (after a change of a call).
    Weights(weights::Options),
    /// Measure against references, side by side.
    Bench(bench::Options),
    /// Let a fuzzer look for bytes that break a decoder.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let paths = Paths::find()?;
    match command {
        Command::Setup => setup::run().map(drop),
        Command::Build => {
            let wasm = setup::run()?;
            build::all(&paths, wasm)
        }
        Command::Images => {
            let wasm = setup::run()?;
            build::all(&paths, wasm)?;
            let images = images::all(&paths)?;
            for image in [&images.guestbook, &images.nginx, &images.vault] {
                println!("{}:{}", image.layout.display(), image.tag);
            }
            Ok(())
        }
        Command::Demo(options) => demo::run(&paths, &options),
        Command::Test(options) => test::run(&paths, &options),
        Command::Check(options) => check::run(&paths, &options),
        Command::Metadata(options) => metadata::run(&paths, &options),
        Command::Weights(options) => weights::run(&paths, &options),
        Command::Bench(options) => bench::run(&paths, &options),
        Command::Fuzz(options) => fuzz::run(&paths, &options),
    }
}
