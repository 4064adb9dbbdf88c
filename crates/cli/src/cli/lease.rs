//! The everyday verbs.

use std::{path::PathBuf, time::Duration};

use casemate_primitives::DeploymentId;
use clap::{Args, Subcommand};

use super::{AmendArgs, AppraisalArgs, ComplainArgs, ComplaintArgs, MisconductArgs, OfLeaseArgs};
use crate::{address::Address, asset::AnyAmount};

/// Whose offers are asked for.
#[derive(Args, Debug)]
pub(crate) struct OfferArgs {
    /// Ask this provider only
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) provider: Option<Address>,
    /// Leave out providers whose cluster is not attested, as `placement.attestedCluster` in a manifest
    #[arg(long)]
    pub(crate) attested_cluster: bool,
    /// Pay in this asset, by its symbol (see `casemate account assets`) [default: CASE]
    #[arg(long, value_name = "ASSET")]
    pub(crate) pay_in: Option<String>,
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
    pub(crate) deposit: Option<AnyAmount>,
    /// Most that may be spent in a second [default: twice the price of the resources]
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) spend_rate: Option<AnyAmount>,
    /// Open another lease for this task instead of a new one: it moves to the provider that takes it,
    /// with the manifest that it was deployed with
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
    /// Show what the chain knows of any lease: terms, money, times, contest, complaints
    Show(OfLeaseArgs),
    /// Contest all claims that are not final; arbiters decide
    ///
    /// You put down a part of the amount, and get it back unless the provider is right.
    Contest(OfLeaseArgs),
    /// Let contested claims stand, where the arbiters' time is over
    ExpireContest(OfLeaseArgs),
    /// Prove with two records of its agent that can't both be true that a lease was cheated on
    ///
    /// All that is not final goes back, and the lease ends. Anyone may bring the proof.
    Misconduct(MisconductArgs),
    /// End a lease whose provider has proved no work for longer than agreed; its stake pays for it
    Evict(OfLeaseArgs),
    /// Change a lease's prices: its provider signs them, you bring them on chain
    Amend(AmendArgs),
    /// Complain about the other side of a lease; arbiters decide
    ///
    /// The deposit comes back unless they find nothing in it. The chain keeps the hash of the text.
    Complain(ComplainArgs),
    /// Show the open complaints about a lease
    Complaints(OfLeaseArgs),
    /// Take a complaint of yours back
    WithdrawComplaint(ComplaintArgs),
    /// End a complaint that nobody decided in time
    ExpireComplaint(ComplaintArgs),
    /// Let another account put your money into a lease, up to a limit, and stop it
    Authorise(AuthoriseArgs),
}

/// `casemate lease authorise`
#[derive(Args, Debug)]
pub(crate) struct AuthoriseArgs {
    /// Lease by number or name
    pub(crate) lease: String,
    /// Which account
    pub(crate) spender: Address,
    /// How much it may put in from now on, all together, such as `1.5 CASE`; 0 lets it only stop the
    /// lease
    #[arg(required_unless_present = "remove")]
    pub(crate) allowance: Option<AnyAmount>,
    /// Take it off
    #[arg(long, conflicts_with = "allowance")]
    pub(crate) remove: bool,
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
    /// Lease by number or name; another account's by number
    pub(crate) lease: String,
    /// How much, such as `1.5 CASE`, in what the lease is paid in
    #[arg(required_unless_present = "spend_rate")]
    pub(crate) amount: Option<AnyAmount>,
    /// Most that may be spent in a second from now on
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) spend_rate: Option<AnyAmount>,
    /// Take it from the publisher's money, which has authorised you
    #[arg(long, conflicts_with = "spend_rate", requires = "amount")]
    pub(crate) from_publisher: bool,
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
