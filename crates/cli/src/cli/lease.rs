//! The everyday verbs.

use std::{path::PathBuf, time::Duration};

use casemate_primitives::DeploymentId;
use clap::{Args, Subcommand};

use super::AppraisalArgs;
use crate::{address::Address, amount::Amount};

/// Whose offers are asked for.
#[derive(Args, Debug)]
pub(crate) struct OfferArgs {
    /// Ask this provider only
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) provider: Option<Address>,
    /// Leave out providers whose cluster is not attested, as `placement.attestedCluster` in a manifest
    #[arg(long)]
    pub(crate) attested_cluster: bool,
    /// Take the manifest's service under another name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Leave the output readable to the provider; nothing of it can be proved then
    #[arg(long)]
    pub(crate) plain_logs: bool,
}

/// What becomes of the secrets that a manifest asks for.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ReleaseArgs {
    /// Do not release secrets to the pods: they wait
    #[arg(long)]
    pub(crate) no_release: bool,
    /// Do not fetch the image to compare its root file system with the one that a software TEE has
    /// measured
    #[arg(long)]
    pub(crate) no_image: bool,
    #[command(flatten)]
    pub(crate) appraisal: AppraisalArgs,
}

/// `casemate deploy`
#[derive(Args, Debug)]
pub(crate) struct DeployArgs {
    /// Manifest, `-` for standard input
    #[arg(default_value = "casemate.yaml")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) offer: OfferArgs,
    /// Only show who would take it, for how much, and why others would not
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Money to open the lease with, such as `1.5 CASE` [default: enough for an hour]
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) deposit: Option<Amount>,
    /// Most that may be spent in a second [default: twice the price of the resources]
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) spend_rate: Option<Amount>,
    /// Open another lease for this task instead of a new one: it moves to the provider that takes it
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<DeploymentId>,
    #[command(flatten)]
    pub(crate) release: ReleaseArgs,
    /// Wait until every replica is ready
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

/// `casemate quotes`
#[derive(Args, Debug)]
pub(crate) struct QuotesArgs {
    /// Manifest, `-` for standard input
    #[arg(default_value = "casemate.yaml")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) offer: OfferArgs,
}

/// How long `--wait` waits.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct TimeoutArgs {
    /// Seconds that --wait waits at most, and the release of secrets for the pods
    #[arg(long = "wait-timeout", value_name = "SECONDS", default_value_t = 300)]
    seconds: u64,
}

impl TimeoutArgs {
    /// As a duration.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// `casemate status`
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Lease by number, or by the name it was deployed under [default: the only one]
    pub(crate) lease: Option<String>,
}

/// `casemate logs`
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// Lease by number or name [default: the only one]
    pub(crate) lease: Option<String>,
    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only this container
    #[arg(long, short)]
    pub(crate) container: Option<String>,
    /// Begin with the newest so many lines
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// Show only what is proved to be the pods' own output, and fail where anything is missing
    #[arg(long, conflicts_with_all = ["follow", "container"])]
    pub(crate) verify: bool,
    /// Who ran the lease, if it is over and this machine does not know
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) provider: Option<Address>,
}

/// `casemate lease`
#[derive(Debug, Subcommand)]
pub(crate) enum LeaseCommand {
    /// Fetch the usage records that the pods have signed, check them, and keep them
    ///
    /// Exit status: 0 good, 1 wrong or contradicting records.
    Records(RecordsArgs),
}

/// `casemate lease records`
#[derive(Args, Debug)]
pub(crate) struct RecordsArgs {
    /// Lease by number or name [default: the only one]
    pub(crate) lease: Option<String>,
    /// Keep them in this file [default: one for each lease, beside what else is remembered]
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Only check what was kept before; nothing is fetched
    #[arg(long)]
    pub(crate) check: bool,
    /// Who ran the lease, if it is over and this machine does not know
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) provider: Option<Address>,
}

/// `casemate events`
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Lease by number or name [default: the only one]
    pub(crate) lease: Option<String>,
    /// Only those after the event with this number
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<u64>,
}

/// `casemate fund`
#[derive(Args, Debug)]
pub(crate) struct FundArgs {
    /// Lease by number or name
    pub(crate) lease: String,
    /// How much, such as `1.5 CASE`
    #[arg(required_unless_present = "spend_rate")]
    pub(crate) amount: Option<Amount>,
    /// Most that may be spent in a second from now on
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) spend_rate: Option<Amount>,
}

/// `casemate update`
#[derive(Args, Debug)]
pub(crate) struct UpdateArgs {
    /// Lease by number or name
    pub(crate) lease: String,
    /// New manifest, `-` for standard input
    #[arg(default_value = "casemate.yaml")]
    pub(crate) file: PathBuf,
    /// Leave the output readable to the provider; nothing of it can be proved then
    #[arg(long)]
    pub(crate) plain_logs: bool,
    #[command(flatten)]
    pub(crate) release: ReleaseArgs,
    /// Wait until every replica of the new version is ready
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}

/// `casemate stop`
#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    /// Lease by number or name
    pub(crate) lease: String,
    /// Wait until the money is settled
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) timeout: TimeoutArgs,
}
