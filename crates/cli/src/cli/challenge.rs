//! `casemate challenge`

use clap::{Args, Subcommand};

use crate::{address::Address, amount::Amount};

/// `casemate challenge`
#[derive(Debug, Subcommand)]
pub(crate) enum ChallengeCommand {
    /// Ask for fresh evidence that a lease's pod runs in its TEE, now
    Evidence(EvidenceChallengeArgs),
    /// Ask for a chunk of a lease's log: shows that the provider still has it
    Log(LogChallengeArgs),
    /// Ask for a record that a provider has put under a batch's root
    Leaf(LeafChallengeArgs),
    /// List open challenges
    List {
        /// Only those that this provider has to answer
        #[arg(long, value_name = "ACCOUNT")]
        provider: Option<Address>,
    },
    /// End a challenge that was not answered in time, whoever made it
    ///
    /// The deposit goes back, the provider loses a part of its stake, and what the lease's publisher
    /// owes for claims that are not final goes back into the lease.
    Conclude {
        /// Number of the challenge
        challenge: u64,
    },
}

/// What all challenges have.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct AskArgs {
    /// Most that may be held as the deposit, which goes to a provider that answers [default: what
    /// the chain asks for now]
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) deposit_max: Option<Amount>,
    /// Wait for the answer; exit status 1 if there is none in time
    #[arg(long)]
    pub(crate) wait: bool,
    /// Seconds that --wait waits at most; a provider has ten minutes on real chains
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) wait_timeout: u64,
}

/// `casemate challenge evidence`
#[derive(Args, Debug)]
pub(crate) struct EvidenceChallengeArgs {
    /// Lease by number, anybody's, or one of yours by name
    pub(crate) lease: String,
    /// Which of its pods, from 0
    #[arg(long, default_value_t = 0)]
    pub(crate) replica: u16,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// `casemate challenge log`
#[derive(Args, Debug)]
pub(crate) struct LogChallengeArgs {
    /// Lease by number, anybody's, or one of yours by name
    pub(crate) lease: String,
    /// Which of its pods, from 0
    #[arg(long, default_value_t = 0)]
    pub(crate) replica: u16,
    /// Which chunk, from 0; those under the pod's newest claimed record can be asked for
    #[arg(long, value_name = "INDEX")]
    pub(crate) chunk: u64,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

/// `casemate challenge leaf`
#[derive(Args, Debug)]
pub(crate) struct LeafChallengeArgs {
    /// Whose batch
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) provider: Address,
    /// Number of the batch
    #[arg(long, value_name = "NUMBER")]
    pub(crate) batch: u64,
    /// Which leaf, from 0
    #[arg(long, value_name = "INDEX")]
    pub(crate) leaf: u64,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}
