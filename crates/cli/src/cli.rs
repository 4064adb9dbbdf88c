//! What can be asked on the command line.

mod attest;
mod challenge;
mod dev;
mod dispute;
mod image;
mod lease;
mod provider;
mod secret;
mod task;
mod vault;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use attest::{
    AppraisalArgs, AttestArgs, AttestCommand, AttestKeyArgs, AttestLeaseArgs, AttestResultArgs,
    AttestSubmitArgs, AttestUrlArgs, AttestVerifyArgs, EvidenceKind,
};
pub(crate) use challenge::{AskArgs, ChallengeCommand};
pub(crate) use dev::DevArgs;
#[cfg(test)]
pub(crate) use dispute::ComplaintKindArg;
pub(crate) use dispute::{
    AmendArgs, ArbiterCommand, ComplainArgs, ComplaintArgs, DecideArgs, MisconductArgs,
    OfLeaseArgs, PriceArgs, ProviderAmendArgs, ReputationArgs, VerdictArgs,
};
pub(crate) use image::{ImageCommand, PackArgs, PushArgs, ResolveArgs};
pub(crate) use lease::{
    AuthoriseArgs, DeployArgs, EventsArgs, FundArgs, LeaseCommand, LogsArgs, OfferArgs, QuotesArgs,
    RecordsArgs, ReleaseArgs, StatusArgs, StopArgs, UpdateArgs,
};
pub(crate) use provider::{ProfileArgs, ProviderCommand};
pub(crate) use secret::{SecretCommand, SecretReleaseArgs, SecretSetArgs};
pub(crate) use task::{SetScheduleArgs, TaskCommand, TaskResultArgs, TaskRunArgs};
pub(crate) use vault::{VaultCommand, VaultGrantArgs, VaultInitArgs};

use crate::{address::Address, asset::AnyAmount, settings::GlobalArgs};

/// Run containers on hardware that you need not trust.
#[derive(Debug, Parser)]
#[command(name = "casemate", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Everyday verbs stand alone, the rest is noun then verb.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a casemate.yaml to start from
    Init(InitArgs),
    /// Deploy a manifest: ask providers, take the best quote, open a lease
    Deploy(DeployArgs),
    /// Show who would take a manifest, and for how much
    Quotes(QuotesArgs),
    /// List your leases
    List,
    /// Show a lease: pods, addresses, money
    Status(StatusArgs),
    /// Show what a lease's containers write
    Logs(LogsArgs),
    /// Show what a provider did for a lease
    Events(EventsArgs),
    /// What a lease's pods have signed, its prices, and what to do when it is not as agreed
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Show what an account has earned by proved work and lost by faults
    Reputation(ReputationArgs),
    /// Decide contests and complaints, as a member of the technical committee
    #[command(subcommand)]
    Arbiter(ArbiterCommand),
    /// Put more money into a lease, or change how fast it may be spent
    Fund(FundArgs),
    /// Run another manifest under a lease
    Update(UpdateArgs),
    /// End a lease and get the unspent money back
    Stop(StopArgs),
    /// Tasks: run them, their schedules, runs and results
    #[command(subcommand)]
    Task(TaskCommand),
    /// Check what runs where: connect to an app and appraise its TEE, or evidence from files
    ///
    /// Exit status: 0 accepted, 1 refused, 2 not readable or not reached.
    Attest(AttestArgs),
    /// Have providers prove that they do what they are paid for, against a deposit
    #[command(subcommand)]
    Challenge(ChallengeCommand),
    /// Keep secrets for your apps, and release them to attested pods
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Vaults: attested pods of yours that release secrets while you are away
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Check manifests, print their schema
    #[command(subcommand)]
    Manifest(ManifestCommand),
    /// Pack, push and resolve images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Keys that sign for you
    #[command(subcommand)]
    Key(KeyCommand),
    /// Balances and transfers
    #[command(subcommand)]
    Account(AccountCommand),
    /// Offer a machine, look at those who do
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Run a whole network on this machine, for development
    Dev(DevArgs),
    /// Settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes commands in your shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// `casemate init`
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// File to write
    #[arg(default_value = "casemate.yaml")]
    pub(crate) file: PathBuf,
    /// Name of the service [default: name of the file's folder]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Image to run
    #[arg(long, default_value = "docker.io/library/nginx:stable")]
    pub(crate) image: String,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `casemate manifest`
#[derive(Debug, Subcommand)]
pub(crate) enum ManifestCommand {
    /// Print the JSON Schema for editors
    Schema,
    /// Check a manifest without deploying it
    Validate {
        /// Manifest to check, `-` for standard input
        #[arg(default_value = "casemate.yaml")]
        file: PathBuf,
    },
}

/// `casemate key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new key
    New {
        /// Name of the key
        #[arg(default_value = "default")]
        name: String,
    },
    /// List keys
    List,
    /// Add a key that exists: a mnemonic, a seed in hex or a secret URI
    Import {
        /// Name of the key
        name: String,
        /// File with the secret [default: standard input]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Add a key that everybody knows, such as `//Alice`: for development networks only
        #[arg(long, value_name = "URI", conflicts_with = "file")]
        dev_uri: Option<String>,
    },
    /// Show a key's address
    Show {
        /// Name of the key [default: the one that signs]
        name: Option<String>,
    },
    /// Print a key's secret, to write it down
    Export {
        /// Name of the key [default: the one that signs]
        name: Option<String>,
    },
}

/// `casemate account`
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Show how much money an account has
    Balance {
        /// Account [default: yours]
        address: Option<Address>,
    },
    /// Send money
    Transfer {
        /// To whom
        to: Address,
        /// How much, such as `1.5 CASE`, or `20 tUSD` in an asset that the chain lists
        amount: AnyAmount,
    },
    /// Open your account in an asset, so that payments of any size reach it
    Open {
        /// Symbol of the asset
        asset: String,
    },
    /// List the assets that leases may be paid in besides CASE
    Assets,
}

/// `casemate config`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the settings that hold
    Show,
}

#[cfg(test)]
mod tests;
