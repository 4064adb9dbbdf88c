//! `casemate vault`

use std::path::PathBuf;

use casemate_ra_tls::SecretName;
use clap::{Args, Subcommand};

use super::AppraisalArgs;

/// `casemate vault`
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Make a vault: its master secret, kept with your secrets, and a manifest to deploy it with
    Init(VaultInitArgs),
    /// Say where a vault's replicas are
    At {
        /// Name of the vault
        #[arg(value_parser = SecretName::new)]
        vault: SecretName,
        /// Addresses, such as `http://vault.example.org`; replace those of before
        #[arg(required = true, value_name = "URL")]
        addresses: Vec<String>,
    },
    /// Let a vault release an app's secrets, and give it their newest values
    ///
    /// Each pod of the app whose evidence fulfils the policy gets them, on any provider, while you
    /// are away.
    Grant(VaultGrantArgs),
    /// End a grant
    Revoke {
        /// Name of the vault
        #[arg(value_parser = SecretName::new)]
        vault: SecretName,
        /// Name of the grant
        #[arg(value_parser = SecretName::new)]
        grant: SecretName,
        /// Also have the vault forget the secrets that it gave
        #[arg(long)]
        forget: bool,
    },
    /// Show a vault's replicas and what they hold
    Show {
        /// Name of the vault
        #[arg(value_parser = SecretName::new)]
        vault: SecretName,
    },
    /// Show what each replica released, to which pods, and whom it refused
    Audit {
        /// Name of the vault
        #[arg(value_parser = SecretName::new)]
        vault: SecretName,
        /// First entry to show
        #[arg(long, value_name = "N", default_value_t = 0)]
        from: u64,
    },
    /// Bring replicas that missed something up to date
    Sync {
        /// Name of the vault
        #[arg(value_parser = SecretName::new)]
        vault: SecretName,
    },
}

/// `casemate vault init`
#[derive(Args, Debug)]
pub(crate) struct VaultInitArgs {
    /// Name of the vault, and of its deployment: a-z, 0-9 and `-`
    #[arg(value_parser = SecretName::new)]
    pub(crate) vault: SecretName,
    /// Image with `casemate-vault`, pinned: `registry/casemate-vault@sha256:...`
    #[arg(long)]
    pub(crate) image: String,
    /// Host name at which providers reach it
    #[arg(long)]
    pub(crate) host: String,
    /// Manifest to write
    #[arg(long, value_name = "FILE", default_value = "vault.yaml")]
    pub(crate) file: PathBuf,
}

/// `casemate vault grant`
#[derive(Args, Debug)]
pub(crate) struct VaultGrantArgs {
    /// Name of the vault
    #[arg(value_parser = SecretName::new)]
    pub(crate) vault: SecretName,
    /// Lease of the app by number or name [default: the only one]
    pub(crate) lease: Option<String>,
    /// Grant these (may be repeated) [default: what its manifest asks for]
    #[arg(long = "name", value_name = "NAME", value_parser = SecretName::new)]
    pub(crate) names: Vec<SecretName>,
    /// To pods of that lease alone [default: wherever the manifest runs]
    #[arg(long)]
    pub(crate) only_lease: bool,
    /// Grant the vault's own master, and all that it holds: to its replicas
    #[arg(long, conflicts_with = "names")]
    pub(crate) replica: bool,
    /// End of the grant, in days from now
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) appraisal: AppraisalArgs,
}
