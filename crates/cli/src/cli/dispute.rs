//! What can be done when a lease is not as agreed, or is to be changed.

use std::path::PathBuf;

use casemate_primitives::{Balance, Prices, reputation::ComplaintKind};
use clap::{Args, Subcommand, ValueEnum};

use crate::{
    address::Address,
    asset::{AnyAmount, Unit},
};

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

/// New prices, in what the lease is paid in; what is not named stays.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "PriceArgs", required = false, multiple = true)]
pub(crate) struct PriceArgs {
    /// Price of a thousandth of a core for a second
    #[arg(long, value_name = "AMOUNT")]
    price_cpu: Option<AnyAmount>,
    /// Price of a MiB of memory for a second
    #[arg(long, value_name = "AMOUNT")]
    price_memory: Option<AnyAmount>,
    /// Price of a MiB of disk for a second
    #[arg(long, value_name = "AMOUNT")]
    price_storage: Option<AnyAmount>,
    /// Price of a GPU for a second
    #[arg(long, value_name = "AMOUNT")]
    price_gpu: Option<AnyAmount>,
    /// Price of a MiB sent
    #[arg(long, value_name = "AMOUNT")]
    price_egress: Option<AnyAmount>,
    /// Price of a MiB received
    #[arg(long, value_name = "AMOUNT")]
    price_ingress: Option<AnyAmount>,
    /// Least that a second in which a replica runs costs
    #[arg(long, value_name = "AMOUNT")]
    second_min: Option<AnyAmount>,
}

impl PriceArgs {
    /// These prices in the place of those that a lease has, which is paid in `unit`.
    ///
    /// # Errors
    /// When one of them is in another unit: nothing is converted.
    pub(crate) fn over(
        &self,
        prices: Prices,
        second_min: Balance,
        unit: &Unit,
    ) -> anyhow::Result<(Prices, Balance)> {
        let or = |new: &Option<AnyAmount>, old: Balance| match new {
            Some(amount) => unit.read(amount),
            None => Ok(old),
        };
        let prices = Prices {
            cpu_millicore_second: or(&self.price_cpu, prices.cpu_millicore_second)?,
            memory_mib_second: or(&self.price_memory, prices.memory_mib_second)?,
            storage_mib_second: or(&self.price_storage, prices.storage_mib_second)?,
            gpu_second: or(&self.price_gpu, prices.gpu_second)?,
            egress_mib: or(&self.price_egress, prices.egress_mib)?,
            ingress_mib: or(&self.price_ingress, prices.ingress_mib)?,
        };
        Ok((prices, or(&self.second_min, second_min)?))
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
        let over = |args: &PriceArgs| args.over(old, 9, &Unit::Native).unwrap();
        assert_eq!(over(&PriceArgs::default()), (old, 9));
        let args = PriceArgs {
            price_cpu: Some("5".parse().unwrap()),
            second_min: Some("0".parse().unwrap()),
            ..PriceArgs::default()
        };
        assert_eq!(over(&args), (Prices { cpu_millicore_second: 5, ..old }, 0));
    }

    #[test]
    fn prices_are_in_what_the_lease_is_paid_in() {
        let old = Prices { egress_mib: 2, ..Prices::default() };
        let dollars = Unit::of_tests();
        let with = |text: &str| PriceArgs {
            price_egress: Some(text.parse().unwrap()),
            ..PriceArgs::default()
        };
        let new = with("0.000005 tUSD").over(old, 9, &dollars).unwrap();
        assert_eq!(new, (Prices { egress_mib: 5, ..old }, 9));
        for (text, unit) in [("5", &dollars), ("1 nCASE", &dollars), ("1 tUSD", &Unit::Native)] {
            let told = with(text).over(old, 9, unit).unwrap_err().to_string();
            assert!(told.contains("which this is paid in"), "{told}");
        }
    }
}
