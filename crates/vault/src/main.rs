//! `casemate-vault`: an ordinary app in an attested pod.

use std::{
    fs,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use casemate_ra_tls::system_clock;
use casemate_vault::{Master, Options, Vault, server};
use clap::Parser;
use zeroize::Zeroizing;

/// How often a file that is not there yet is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Keeps a publisher's secrets and releases them to pods whose evidence his grants accept.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Its file, on a volume of the pod
    #[arg(long, value_name = "FILE", default_value = "/data/vault")]
    store: PathBuf,
    /// File with the master, as the agent writes it; the vault waits for it
    #[arg(long, value_name = "FILE", default_value = "/run/secrets/master")]
    master: PathBuf,
    /// File with entries that came with the master; may be empty
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// The publisher's Ed25519 key, 64 hexadecimal digits: whose entries are taken
    #[arg(long, value_name = "KEY", value_parser = key)]
    publisher: [u8; 32],
    /// Where it serves
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8200")]
    listen: SocketAddr,
}

fn key(text: &str) -> Result<[u8; 32], String> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).map_err(|_| "not 64 hexadecimal digits".to_owned())?;
    Ok(key)
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            say(&format!("error: {err:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // Nothing of it may be left in a core dump.
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0)
        .context("failed to forbid core dumps")?;
    nix::sys::prctl::set_dumpable(false).context("failed to shut debuggers out")?;
    let master = wait_for(&arguments.master)?;
    let keys =
        Master::read(&master).with_context(|| format!("`{}`", arguments.master.display()))?.keys();
    drop(master);
    let options = Options {
        store: arguments.store.clone(),
        publisher: arguments.publisher,
        clock: system_clock(),
    };
    let vault = Arc::new(Vault::open(keys, &options)?);
    if let Some(path) = &arguments.snapshot {
        let sealed = wait_for(path)?;
        if !sealed.is_empty() {
            let added = vault
                .merge(&sealed)
                .map_err(|err| anyhow!(err))
                .with_context(|| format!("failed to take over `{}`", path.display()))?;
            say(&format!("took over {added} newer entries that came with the master"));
        }
    }
    let listener = TcpListener::bind(arguments.listen)
        .with_context(|| format!("failed to listen on {}", arguments.listen))?;
    let status = vault.status();
    say(&format!(
        "vault {} serves on {} with {} entries",
        hex::encode(vault.keys().id()),
        listener.local_addr().unwrap_or(arguments.listen),
        status.entries,
    ));
    server::serve(&listener, &vault);
    Ok(())
}

/// The agent starts the vault once its secrets are there; elsewhere they may come later.
fn wait_for(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut is_told = false;
    loop {
        match fs::read(path) {
            Ok(content) => return Ok(Zeroizing::new(content)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                if !is_told {
                    say(&format!("waiting for `{}`", path.display()));
                    is_told = true;
                }
                thread::sleep(LOOK);
            }
            Err(err) => {
                return Err(err).with_context(|| format!("failed to read `{}`", path.display()));
            }
        }
    }
}

fn say(text: &str) {
    // Nobody may be there to read.
    let _ = writeln!(io::stderr(), "{text}");
}
