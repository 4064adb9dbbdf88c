//! `casemate-software-tee`: see the README.

use anyhow::Context;
use casemate_software_tee::{
    Directory, Misbehaviour, Validity,
    daemon::{Daemon, Options, now},
    measure::{Content, expected},
    wire::{Kind, from_hex_array},
};
use clap::{Parser, Subcommand};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Makes TDX, SGX and SEV-SNP evidence in the vendors' formats under a root of its own. It protects
/// nothing: for development only.
#[derive(Parser)]
#[command(name = "casemate-software-tee", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the keys, certificates and collateral of a new software TEE.
    Init {
        /// Where; the folder is made.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// How many days certificates are valid.
        #[arg(long, value_name = "DAYS", default_value_t = Validity::default().certificate_days)]
        certificate_days: u32,
        /// How many days TCB info, identities and revocation lists are valid.
        #[arg(long, value_name = "DAYS", default_value_t = Validity::default().collateral_days)]
        collateral_days: u32,
    },
    /// Issue TCB info, identities and revocation lists anew.
    Refresh {
        /// The folder that `init` made.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print the trust roots, for the genesis of a development chain.
    Roots {
        /// The folder that `init` made.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Serve guests.
    Serve {
        /// The folder that `init` made.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Where to listen for the host.
        #[arg(long, value_name = "SOCKET")]
        control: PathBuf,
        /// Make all evidence and collateral wrong in this way, for tests of verifiers. May be
        /// given several times.
        #[arg(long, value_name = "HOW", value_parser = misbehaviours())]
        misbehave: Vec<String>,
    },
    /// Print the measurements that a guest will have.
    Measure {
        /// `intelSgx`, `intelTdx` or `amdSevSnp`.
        #[arg(long, value_parser = Kind::ALL.map(Kind::as_str))]
        kind: String,
        /// The agent's binary.
        #[arg(long, value_name = "FILE")]
        agent: PathBuf,
        /// The root file system's folder.
        #[arg(long, value_name = "DIR")]
        root_fs: Option<PathBuf>,
        /// BLAKE2b-256 of the manifest, in hex.
        #[arg(long, value_name = "HEX")]
        manifest_hash: String,
    },
}

fn misbehaviours() -> [&'static str; Misbehaviour::ALL.len()] {
    Misbehaviour::ALL.map(Misbehaviour::as_str)
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            // Nothing is left to do if standard error is closed.
            let _ = writeln!(io::stderr(), "error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match command {
        Command::Init { dir, certificate_days, collateral_days } => {
            let validity = Validity { certificate_days, collateral_days };
            let directory = Directory::init(&dir, now()?, validity)?;
            let _ = writeln!(
                io::stderr(),
                "warning: evidence under these roots protects nothing; never trust them outside \
                 this development network"
            );
            writeln!(out, "{:#}", directory.collateral(now()?, &[])?["roots"])?;
        }
        Command::Refresh { dir } => {
            Directory::open(&dir)?.refresh(now()?)?;
            writeln!(out, "{}", dir.join("collateral").display())?;
        }
        Command::Roots { dir } => {
            let directory = Directory::open(&dir)?;
            writeln!(out, "{:#}", directory.collateral(now()?, &[])?["roots"])?;
        }
        Command::Serve { dir, control, misbehave } => {
            // All that is made from here on is the owner's alone.
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
            let misbehave =
                misbehave.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
            let daemon = Daemon::start(&Options {
                directory: dir,
                control: control.clone(),
                misbehave: misbehave.clone(),
            })?;
            let mut err = io::stderr();
            let _ = writeln!(
                err,
                "warning: this is a software TEE: it protects nothing; for development only"
            );
            for one in misbehave {
                let _ = writeln!(err, "warning: misbehaves on purpose: {one}");
            }
            writeln!(out, "serving {} guests at {}", daemon.guests(), control.display())?;
            out.flush()?;
            daemon.wait();
        }
        Command::Measure { kind, agent, root_fs, manifest_hash } => {
            let kind = Kind::parse(&kind).context("no such kind")?;
            let manifest_hash = from_hex_array(&manifest_hash)
                .context("`--manifest-hash` must be 64 digits of hex")?;
            let content = Content::read(&agent, root_fs.as_deref(), manifest_hash)?;
            writeln!(out, "{:#}", expected(kind, &content).to_json())?;
        }
    }
    Ok(())
}
