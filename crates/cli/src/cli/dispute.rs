//! What can be done when a lease is not as agreed, or is to be changed.

use std::path::PathBuf;

use casemate_primitives::{Prices, reputation::ComplaintKind};
use clap::{Args, Subcommand, ValueEnum};

use crate::{address::Address, amount::Amount};

/// A lease, your own or another's.
#[derive(Args, Debug)]
pub(crate) struct OfLeaseArgs {
    /// Lease by number, or your own by name
    pub(crate) lease: String,
}

/// `casemate lease misconduct`
#[derive(Args, Debug)]
pub(crate) struct MisconductArgs {
    /// Lease by number, or your own by name
    pub(crate) lease: String,
    /// File with two contradicting records, as `casemate lease records` writes it [default: the one
    /// that it has written for this lease]
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,
}

/// `casemate lease amend`
#[derive(Args, Debug)]
pub(crate) struct AmendArgs {
    /// Lease by number or name
    pub(crate) lease: String,
    #[command(flatten)]
    pub(crate) prices: PriceArgs,
    /// Take what the provider's operator has signed: a file of `casemate provider amend`
    #[arg(long, value_name = "FILE", conflicts_with = "PriceArgs")]
    pub(crate) signed: Option<PathBuf>,
    /// Only show what it would change
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `casemate provider amend`
#[derive(Args, Debug)]
pub(crate) struct ProviderAmendArgs {
    /// Lease by number
    pub(crate) lease: String,
    #[command(flatten)]
    pub(crate) prices: PriceArgs,
    /// Seconds that the publisher has to accept, at most an hour
    #[arg(long, value_name = "SECONDS", default_value_t = 3_300)]
    pub(crate) valid_for: u64,
    /// File to write [default: lease-NUMBER.amendment.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

/// New prices; what is not named stays.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(id = "PriceArgs", required = false, multiple = true)]
pub(crate) struct PriceArgs {
    /// Price of a thousandth of a core for a second
    #[arg(long, value_name = "AMOUNT")]
    price_cpu: Option<Amount>,
    /// Price of a MiB of memory for a second
    #[arg(long, value_name = "AMOUNT")]
    price_memory: Option<Amount>,
    /// Price of a MiB of disk for a second
    #[arg(long, value_name = "AMOUNT")]
    price_storage: Option<Amount>,
    /// Price of a GPU for a second
    #[arg(long, value_name = "AMOUNT")]
    price_gpu: Option<Amount>,
    /// Price of a MiB sent
    #[arg(long, value_name = "AMOUNT")]
    price_egress: Option<Amount>,
    /// Price of a MiB received
    #[arg(long, value_name = "AMOUNT")]
    price_ingress: Option<Amount>,
    /// Least that a second in which a replica runs costs
    #[arg(long, value_name = "AMOUNT")]
    second_min: Option<Amount>,
}

impl PriceArgs {
    /// These prices in the place of those that a lease has.
    pub(crate) fn over(&self, prices: Prices, second_min: u128) -> (Prices, u128) {
        let or = |new: Option<Amount>, old: u128| new.map_or(old, |amount| amount.0);
        let prices = Prices {
            cpu_millicore_second: or(self.price_cpu, prices.cpu_millicore_second),
            memory_mib_second: or(self.price_memory, prices.memory_mib_second),
            storage_mib_second: or(self.price_storage, prices.storage_mib_second),
            gpu_second: or(self.price_gpu, prices.gpu_second),
            egress_mib: or(self.price_egress, prices.egress_mib),
            ingress_mib: or(self.price_ingress, prices.ingress_mib),
        };
        (prices, or(self.second_min, second_min))
    }
}

/// `casemate lease complain`
#[derive(Args, Debug)]
pub(crate) struct ComplainArgs {
    /// Lease by number, or your own by name
    pub(crate) lease: String,
    /// What it is about
    #[arg(long, value_enum)]
    pub(crate) kind: ComplaintKindArg,
    /// What you have to say; only its hash goes on chain, and it is kept here for the arbiters
    #[arg(long, required_unless_present = "text_file", conflicts_with = "text_file")]
    pub(crate) text: Option<String>,
    /// File with what you have to say
    #[arg(long, value_name = "FILE")]
    pub(crate) text_file: Option<PathBuf>,
}

/// Kinds of complaint, as [`ComplaintKind`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ComplaintKindArg {
    /// It could not be reached, or did not run
    Unavailable,
    /// It was slower or smaller than agreed
    Underperforming,
    /// Data was lost
    DataLost,
    /// What was agreed was not kept in another way
    TermsBroken,
    /// What ran was used against others
    Abuse,
    /// Said in the text
    Other,
}

impl From<ComplaintKindArg> for ComplaintKind {
    fn from(kind: ComplaintKindArg) -> Self {
        match kind {
            ComplaintKindArg::Unavailable => Self::Unavailable,
            ComplaintKindArg::Underperforming => Self::Underperforming,
            ComplaintKindArg::DataLost => Self::DataLost,
            ComplaintKindArg::TermsBroken => Self::TermsBroken,
            ComplaintKindArg::Abuse => Self::Abuse,
            ComplaintKindArg::Other => Self::Other,
        }
    }
}

/// A complaint.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ComplaintArgs {
    /// The complaint's number
    pub(crate) complaint: u64,
}

/// `casemate reputation`
#[derive(Args, Debug)]
pub(crate) struct ReputationArgs {
    /// Account [default: yours]
    // Not by the name of the global `--account`, which has another type: clap would panic.
    #[arg(id = "whose", value_name = "ACCOUNT")]
    pub(crate) account: Option<Address>,
}

/// `casemate arbiter`
#[derive(Debug, Subcommand)]
pub(crate) enum ArbiterCommand {
    /// Decide what is contested in a lease
    ///
    /// In a committee of several members each one who agrees gives the same command; the one who
    /// completes two thirds has it carried out.
    Decide(DecideArgs),
    /// Decide a complaint
    Resolve(VerdictArgs),
}

/// `casemate arbiter decide`
#[derive(Args, Debug)]
pub(crate) struct DecideArgs {
    /// Lease by number
    pub(crate) lease: String,
    /// Part of what is contested that goes back, such as `100%`, `37.5%` or `0%`; from one half on the
    /// publisher was right
    #[arg(long, value_name = "PERCENT", value_parser = parts_of_million)]
    pub(crate) to_publisher: u32,
}

/// `casemate arbiter resolve`
#[derive(Args, Debug)]
pub(crate) struct VerdictArgs {
    /// The complaint's number
    pub(crate) complaint: u64,
    /// It is right: the accused's score falls
    #[arg(long, required_unless_present = "rejected", conflicts_with = "rejected")]
    pub(crate) upheld: bool,
    /// There is nothing in it: the deposit is the accused's
    #[arg(long)]
    pub(crate) rejected: bool,
}

/// A percentage in millionths, exactly.
pub(crate) fn parts_of_million(text: &str) -> Result<u32, String> {
    let bad = || format!("`{text}` is no part: write 0% to 100%, with at most four decimals");
    let digits = text.trim().strip_suffix('%').unwrap_or(text).trim();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 4 {
        return Err(bad());
    }
    let whole: u32 = whole.parse().map_err(|_| bad())?;
    let fraction: u32 = format!("{fraction:0<4}").parse().map_err(|_| bad())?;
    let parts = whole.checked_mul(10_000).and_then(|parts| parts.checked_add(fraction));
    parts.filter(|parts| *parts <= 1_000_000).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_exact() {
        for (text, parts) in [
            ("0%", 0),
            ("100%", 1_000_000),
            ("50", 500_000),
            ("37.5%", 375_000),
            ("0.0001 %", 1),
            ("99.9999%", 999_999),
        ] {
            assert_eq!(parts_of_million(text), Ok(parts), "{text}");
        }
        for text in [
            "",
            "%",
            "-1%",
            "100.0001%",
            "101%",
            "1.00001%",
            ".5%",
            "1.%",
            "+1%",
            "1e2",
            "4294967296%",
        ] {
            assert!(parts_of_million(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prices_that_are_not_named_stay() {
        let old = Prices { cpu_millicore_second: 1, memory_mib_second: 2, ..Prices::default() };
        assert_eq!(PriceArgs::default().over(old, 9), (old, 9));
        let args = PriceArgs {
            price_cpu: Some(Amount(5)),
            second_min: Some(Amount(0)),
            ..PriceArgs::default()
        };
        assert_eq!(args.over(old, 9), (Prices { cpu_millicore_second: 5, ..old }, 0));
    }
}
