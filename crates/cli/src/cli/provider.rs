//! `casemate provider`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ProviderAmendArgs;
use crate::{address::Address, amount::Amount};

/// `casemate provider`
#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Register your account as a provider, with a stake
    Register(RegisterArgs),
    /// Show a provider
    Status {
        /// Account [default: yours]
        // Not by the name of the global `--account`, which has another type: clap would panic.
        #[arg(id = "provider_account", value_name = "ACCOUNT")]
        account: Option<Address>,
    },
    /// Change what you offer
    Update(ProfileArgs),
    /// Put more money at stake
    Bond {
        /// How much, such as `100 CASE`
        amount: Amount,
    },
    /// Take money out of the stake; it unlocks after a delay
    Unbond {
        /// How much, such as `100 CASE`
        amount: Amount,
    },
    /// Get unbonded money that has unlocked
    Withdraw,
    /// Stop offering; refused while a lease lives
    Retire,
    /// List all providers
    List,
    /// Say that you will take your machine back from a lease, after the time that was agreed
    ///
    /// The daemon closes the lease when that time is over.
    Notice {
        /// Lease by number
        lease: String,
    },
    /// Sign new prices for a lease, also below your list; its publisher accepts them with
    /// `casemate lease amend --signed FILE`
    Amend(ProviderAmendArgs),
}

/// `casemate provider register`
#[derive(Args, Debug)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Money at stake, such as `1000 CASE`; it bounds the capacity
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) stake: Option<Amount>,
}

/// What a provider says of itself. A flag wins over the file.
#[derive(Args, Debug, Default)]
pub(crate) struct ProfileArgs {
    /// TOML file with name, regions, endpoints, capacity, prices and stake
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name for people
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Region (may be repeated)
    #[arg(long = "region")]
    pub(crate) regions: Vec<String>,
    /// Base address of your provider's HTTP API (may be repeated)
    #[arg(long = "endpoint", value_name = "URL")]
    pub(crate) endpoints: Vec<String>,
    /// TEE kind on offer (may be repeated)
    #[arg(long = "tee-kind", value_name = "KIND")]
    pub(crate) tee_kinds: Vec<String>,
    /// Thousandths of a core on offer
    #[arg(long, value_name = "MILLICORES")]
    pub(crate) cpu: Option<u32>,
    /// Memory on offer
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u32>,
    /// Disk on offer
    #[arg(long, value_name = "MIB")]
    pub(crate) storage: Option<u32>,
    /// GPUs on offer
    #[arg(long, value_name = "COUNT")]
    pub(crate) gpus: Option<u32>,
    /// Price of a thousandth of a core for a second
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price_cpu: Option<Amount>,
    /// Price of a MiB of memory for a second
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price_memory: Option<Amount>,
    /// Price of a MiB of disk for a second
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price_storage: Option<Amount>,
    /// Price of a GPU for a second
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price_gpu: Option<Amount>,
    /// Price of a MiB sent
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price_egress: Option<Amount>,
    /// Price of a MiB received
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price_ingress: Option<Amount>,
}
