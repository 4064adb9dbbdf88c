//! Somebody with a key who uses the command line.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr as _,
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow, bail};
use casemate_client::{chain::ChainClient, provider::ProviderClient};
use casemate_primitives::AccountBytes;
use serde_json::Value;
use subxt_signer::{SecretUri, sr25519::Keypair};

use crate::process::{Process, without_settings};

/// A user with a home, a key store and a configuration of their own.
#[derive(Debug)]
pub struct User {
    /// Name of the key.
    pub name: String,
    /// The account.
    pub account: AccountBytes,
    /// The key itself, for what the command line does not do.
    pub key: Arc<Keypair>,
    /// File with the secret, mode 0600.
    pub secret: PathBuf,
    home: PathBuf,
    cli: PathBuf,
}

/// What a run of the command line left.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its arguments.
    pub args: String,
    /// Exit code; -1 if it was killed.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl User {
    /// Makes a home with a new key, through the command line.
    ///
    /// # Errors
    /// The command line refuses.
    pub fn new(cli: &Path, folder: &Path, name: &str, rpc: &str, registry: &str) -> Result<Self> {
        let home = folder.join(name);
        fs::create_dir(&home).with_context(|| format!("cannot make `{}`", home.display()))?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|err| anyhow!("no random bytes: {err}"))?;
        let seed = format!("0x{}", hex::encode(random));
        let key = Keypair::from_uri(&SecretUri::from_str(&seed)?)?;
        let secret = home.join("secret");
        write_private(&secret, &seed)?;
        write_private(&home.join("passphrase"), "correct horse battery staple\n")?;
        let config = format!(
            "rpc = \"{rpc}\"\naccount = \"{name}\"\nkeystore = \"keys\"\nstate_dir = \"leases\"\n\
             passphrase_file = \"passphrase\"\ninsecure_registries = [\"{registry}\"]\n"
        );
        fs::write(home.join("config.toml"), config).context("cannot write a configuration")?;
        let user = Self {
            name: name.to_owned(),
            account: key.public_key().0,
            key: Arc::new(key),
            secret,
            home,
            cli: cli.to_owned(),
        };
        let file = user.secret.display().to_string();
        user.json(&["key", "import", name, "--file", &file])?;
        Ok(user)
    }

    /// The account as the command line takes it.
    pub fn address(&self) -> String {
        format!("0x{}", hex::encode(self.account))
    }

    /// A path in the user's home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Writes a file into the home and says where.
    ///
    /// # Errors
    /// The disk says no.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Runs `casemate` for people.
    ///
    /// # Errors
    /// It can't be started. A failure of its own is in the [`Run`].
    pub fn run(&self, args: &[&str]) -> Result<Run> {
        let config = self.path("config.toml").display().to_string();
        let mut all = vec!["--config", &config];
        all.extend(args);
        run_cli(&self.cli, &self.home, &all)
    }

    /// Runs `casemate --output json` and reads the answer.
    ///
    /// # Errors
    /// It fails; its own words are in the error.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let mut all = vec!["--output", "json"];
        all.extend(args);
        self.run(&all)?.json()
    }

    /// Starts `casemate` and leaves it running, with its output in a file.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn(&self, args: &[&str], log: &Path) -> Result<Process> {
        let mut command = command(&self.cli, &self.home);
        command.arg("--config").arg(self.path("config.toml")).args(args);
        Process::start("casemate", &mut command, log)
    }

    /// A client of a provider's API in this user's name.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub fn client(
        &self,
        endpoint: &str,
        provider: AccountBytes,
        chain: &ChainClient,
    ) -> Result<ProviderClient> {
        let key = Arc::clone(&self.key);
        Ok(ProviderClient::new(endpoint, provider, chain.genesis_hash(), key)?)
    }
}

impl Run {
    /// The data as JSON.
    ///
    /// # Errors
    /// The command failed, or wrote something else.
    pub fn json(&self) -> Result<Value> {
        if self.code != 0 {
            bail!("{}", self.text());
        }
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("the data is no JSON: {}", self.text()))
    }

    /// Checks that it failed as a user should see it: one error with these words, a hint, no data
    /// and no panic.
    ///
    /// # Errors
    /// Says what is not so.
    pub fn refuses(&self, words: &[&str]) -> Result<()> {
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        if self.code != 1 && self.code != 2 {
            bail!("it should have failed: {}", self.text());
        }
        if errors != 1 || self.stderr.contains("panicked") {
            bail!("it should say one error: {}", self.text());
        }
        for word in words.iter().chain(&["hint: "]) {
            if !self.stderr.contains(word) {
                bail!("`{word}` is missing: {}", self.text());
            }
        }
        Ok(())
    }

    /// All of it, for people.
    pub fn text(&self) -> String {
        let Self { args, code, stdout, stderr } = self;
        format!("`casemate {args}` ended with {code}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

pub(crate) fn run_cli(cli: &Path, home: &Path, args: &[&str]) -> Result<Run> {
    let output = command(cli, home)
        .args(args)
        .output()
        .with_context(|| format!("cannot start `{}`", cli.display()))?;
    Ok(Run {
        args: args.join(" "),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn command(cli: &Path, home: &Path) -> Command {
    let mut command = Command::new(cli);
    without_settings(&mut command);
    command.env("HOME", home).env("NO_COLOR", "1").current_dir(home).stdin(Stdio::null());
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    write_private_bytes(path, text.as_bytes())
}

pub(crate) fn write_private_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("cannot write `{}`", path.display()))
}
