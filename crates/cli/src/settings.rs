//! Settings: a flag wins over its `CASEMATE_*` variable, which wins over the configuration file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, OrFail as _};

/// Where a node of a development network listens.
const RPC_DEFAULT: &str = "ws://127.0.0.1:9944";

/// Form of the data on standard output.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Human,
    /// JSON; streams are one document on each line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Flags that every command takes. Each variable is declared here and nowhere else.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Configuration file [default: `$XDG_CONFIG_HOME/casemate/config.toml`]
    #[arg(long, global = true, env = "CASEMATE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// WebSocket address of a chain node [default: ws://127.0.0.1:9944]
    #[arg(long, global = true, env = "CASEMATE_RPC", value_name = "URL")]
    pub(crate) rpc: Option<String>,
    /// Name of the key that signs [default: the only key there is]
    #[arg(long, global = true, env = "CASEMATE_ACCOUNT", value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// Asset that fees are paid in, by its symbol [default: CASE]
    #[arg(long, global = true, env = "CASEMATE_FEES_IN", value_name = "SYMBOL")]
    pub(crate) fees_in: Option<String>,
    /// Folder with the encrypted keys [default: `$XDG_DATA_HOME/casemate/keys`]
    #[arg(long, global = true, env = "CASEMATE_KEYSTORE", value_name = "DIR")]
    pub(crate) keystore: Option<PathBuf>,
    /// Folder that remembers names and manifests of your leases
    /// [default: `$XDG_DATA_HOME/casemate/leases`]
    #[arg(long, global = true, env = "CASEMATE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// File with the passphrase of the key, readable by you alone [default: ask]
    #[arg(long, global = true, env = "CASEMATE_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Talk only to providers with one of these base addresses (may be repeated) [default: any]
    #[arg(
        long,
        global = true,
        env = "CASEMATE_PROVIDER_ENDPOINTS",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub(crate) provider_endpoint: Vec<String>,
    /// Registry that is spoken to without TLS (may be repeated)
    #[arg(
        long,
        global = true,
        env = "CASEMATE_INSECURE_REGISTRIES",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub(crate) insecure_registry: Vec<String>,
    /// Form of the data on standard output [default: human]
    #[arg(long, global = true, env = "CASEMATE_OUTPUT", value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
    /// When to use colours [default: auto]
    #[arg(long, global = true, env = "CASEMATE_COLOR", value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,
    /// Say nothing on standard error but warnings and errors
    #[arg(long, short, global = true, env = "CASEMATE_QUIET")]
    pub(crate) quiet: bool,
}

/// The configuration file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// See [`GlobalArgs::rpc`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpc: Option<String>,
    /// See [`GlobalArgs::account`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// See [`GlobalArgs::fees_in`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fees_in: Option<String>,
    /// See [`GlobalArgs::keystore`]; a relative path is taken from the file's folder, as all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keystore: Option<PathBuf>,
    /// See [`GlobalArgs::state_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_dir: Option<PathBuf>,
    /// See [`GlobalArgs::passphrase_file`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// See [`GlobalArgs::provider_endpoint`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_endpoints: Option<Vec<String>>,
    /// See [`GlobalArgs::insecure_registry`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) insecure_registries: Option<Vec<String>>,
    /// See [`GlobalArgs::output`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<OutputFormat>,
    /// See [`GlobalArgs::color`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) color: Option<ColorChoice>,
    /// See [`GlobalArgs::quiet`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quiet: Option<bool>,
}

/// What holds for this run.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// File that was read, if any.
    pub(crate) config: Option<PathBuf>,
    /// Address of the node.
    pub(crate) rpc: String,
    /// Name of the key that signs.
    pub(crate) account: Option<String>,
    /// Asset that fees are paid in; `None` for the native token.
    pub(crate) fees_in: Option<String>,
    /// Folder of the keys.
    pub(crate) keystore: PathBuf,
    /// Folder of names and manifests.
    pub(crate) state_dir: PathBuf,
    /// File with the passphrase.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Providers that may be spoken to; `None` for any.
    pub(crate) provider_endpoints: Option<Vec<String>>,
    /// Registries without TLS.
    pub(crate) insecure_registries: Vec<String>,
    /// Form of the data.
    pub(crate) output: OutputFormat,
    /// Colours.
    pub(crate) color: ColorChoice,
    /// No talk.
    pub(crate) quiet: bool,
}

/// Folders of the user, from the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserFolders {
    /// `$XDG_CONFIG_HOME`, or what stands in for it.
    pub(crate) config: Option<PathBuf>,
    /// `$XDG_DATA_HOME`, or what stands in for it.
    pub(crate) data: Option<PathBuf>,
}

impl UserFolders {
    /// By the XDG base directory specification: a relative path in a variable is ignored.
    pub(crate) fn from_environment() -> Self {
        let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home = path("HOME");
        let or_home = |name, rest| path(name).or_else(|| home.as_ref().map(|h| h.join(rest)));
        Self {
            config: or_home("XDG_CONFIG_HOME", ".config"),
            data: or_home("XDG_DATA_HOME", ".local/share"),
        }
    }
}

impl Settings {
    /// Puts flags (with the environment in them already) over the file.
    pub(crate) fn load(flags: &GlobalArgs, folders: &UserFolders) -> anyhow::Result<Self> {
        let (path, file) = match (&flags.config, &folders.config) {
            (Some(path), _) => (Some(path.clone()), read_config(path)?),
            (None, Some(folder)) => {
                let path = folder.join("casemate/config.toml");
                // Only the default place may be empty; a file that was named must be there.
                if path.try_exists().unwrap_or(true) {
                    let file = read_config(&path)?;
                    (Some(path), file)
                } else {
                    (None, ConfigFile::default())
                }
            }
            (None, None) => (None, ConfigFile::default()),
        };
        let data = |name: &str| {
            folders.data.as_ref().map(|d| d.join("casemate").join(name)).or_fail(|| {
                Failure::usage("neither HOME nor XDG_DATA_HOME names a folder for your keys")
                    .hint("set HOME, or give --keystore and --state-dir")
            })
        };
        let keystore = match flags.keystore.clone().or(file.keystore) {
            Some(path) => path,
            None => data("keys")?,
        };
        let state_dir = match flags.state_dir.clone().or(file.state_dir) {
            Some(path) => path,
            None => data("leases")?,
        };
        let list = |flag: &Vec<String>, file: Option<Vec<String>>| {
            if flag.is_empty() { file } else { Some(flag.clone()) }
        };
        let rpc = flags.rpc.clone().or(file.rpc).unwrap_or_else(|| RPC_DEFAULT.to_owned());
        if !(rpc.starts_with("ws://") || rpc.starts_with("wss://")) {
            return Err(Failure::usage(format!("`{rpc}` is not a WebSocket address"))
                .hint("give --rpc an address such as ws://127.0.0.1:9944 or wss://node.example")
                .into_error());
        }
        Ok(Self {
            config: path,
            rpc,
            account: flags.account.clone().or(file.account),
            fees_in: flags.fees_in.clone().or(file.fees_in),
            keystore,
            state_dir,
            passphrase_file: flags.passphrase_file.clone().or(file.passphrase_file),
            provider_endpoints: list(&flags.provider_endpoint, file.provider_endpoints),
            insecure_registries: list(&flags.insecure_registry, file.insecure_registries)
                .unwrap_or_default(),
            output: flags.output.or(file.output).unwrap_or_default(),
            color: flags.color.or(file.color).unwrap_or_default(),
            quiet: flags.quiet || file.quiet.unwrap_or_default(),
        })
    }

    /// Whether requests may go to this base address.
    pub(crate) fn allows_endpoint(&self, endpoint: &str) -> bool {
        let plain = |s: &str| s.trim_end_matches('/').to_ascii_lowercase();
        self.provider_endpoints
            .as_ref()
            .is_none_or(|allowed| allowed.iter().any(|a| plain(a) == plain(endpoint)))
    }
}

fn read_config(path: &Path) -> anyhow::Result<ConfigFile> {
    let text = fs::read_to_string(path).map_err(|e| {
        let failure = Failure::usage(format!("cannot read the configuration `{}`", path.display()));
        let failure = if e.kind() == io::ErrorKind::NotFound {
            failure.hint("create the file, or leave --config and CASEMATE_CONFIG out")
        } else {
            failure
        };
        anyhow::Error::new(e).context(failure)
    })?;
    let mut file: ConfigFile = toml::from_str(&text).or_fail(|| {
        Failure::usage(format!("the configuration `{}` is wrong", path.display()))
            .hint("correct the line, or leave it out: `casemate config show` prints what holds")
    })?;
    if let Some(folder) = path.parent() {
        let paths = [&mut file.keystore, &mut file.state_dir, &mut file.passphrase_file];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&path);
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
