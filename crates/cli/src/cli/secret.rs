//! `casemate secret`

use std::path::PathBuf;

use casemate_primitives::ReplicaIndex;
use casemate_ra_tls::SecretName;
use clap::{Args, Subcommand};

use super::{AppraisalArgs, lease::TimeoutArgs};

/// `casemate secret`
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Keep a secret, or give one a new value: from standard input, the terminal or a file, never
    /// from the command line
    Set(SecretSetArgs),
    /// List secrets: names, sizes, times and versions, never values
    List {
        /// Only those of this app, and those for all apps
        #[arg(long, value_name = "APP", value_parser = app_name)]
        app: Option<String>,
    },
    /// Forget a secret. Pods that have it keep it until the next release or start
    Rm {
        /// Its name
        #[arg(value_parser = SecretName::new)]
        name: SecretName,
        /// The app whose own it is [default: the one for all apps]
        #[arg(long, value_name = "APP", value_parser = app_name)]
        app: Option<String>,
    },
    /// Print the key that signs your releases, for a manifest's `releasedBy`
    Key,
    /// Appraise the pods of a lease, and release secrets to those that are accepted
    Release(SecretReleaseArgs),
}

/// `casemate secret set`
#[derive(Args, Debug)]
pub(crate) struct SecretSetArgs {
    /// Its name, as the manifest asks for it: letters, digits, `.`, `_` and `-`
    #[arg(value_parser = SecretName::new)]
    pub(crate) name: SecretName,
    /// Only for the app that is deployed under this name [default: for all that ask for it]
    #[arg(long, value_name = "APP", value_parser = app_name)]
    pub(crate) app: Option<String>,
    /// Take the value from this file, byte for byte
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,
}

/// `casemate secret release`
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SecretReleaseArgs {
    /// Lease by number or name [default: the only one]
    pub(crate) lease: Option<String>,
    /// Release these (may be repeated) [default: what the manifest asks for]
    #[arg(long = "name", value_name = "NAME", value_parser = SecretName::new)]
    pub(crate) names: Vec<SecretName>,
    /// To this replica only
    #[arg(long, value_name = "N")]
    pub(crate) replica: Option<ReplicaIndex>,
    /// The manifest that you deployed, where this machine does not remember it
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) appraisal: AppraisalArgs,
    /// Do not fetch the image to compare its root file system with the one that a software TEE has
    /// measured
    #[arg(long)]
    pub(crate) no_image: bool,
    /// Wait until the chain has attested an agent for every replica
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

/// The name of an app, as manifests have it.
fn app_name(text: &str) -> Result<String, &'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("an app's name has 1 to 63 of a-z, 0-9 and `-`, as `metadata.name` of its manifest")
    }
}
