//! Amounts in assets: only the chain knows their symbols and decimals.

use std::{fmt, str::FromStr};

use casemate_client::chain::AssetView;
use casemate_primitives::{Asset, Balance, TOKEN_DECIMALS};

use crate::{
    amount::{Amount, ParseAmountError, Unscaled, scaled},
    failure::{Failure, OrFail as _},
};

/// An amount as it is written, in the native token or in an asset.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AnyAmount {
    /// In a unit of the native token.
    Native(Amount),
    /// In what the chain may list.
    Named {
        /// Digits, and at most one point.
        number: String,
        /// The symbol as it was written.
        symbol: String,
    },
}

impl FromStr for AnyAmount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(amount) => Ok(Self::Native(amount)),
            // The number in front of it was looked at before.
            Err(ParseAmountError::UnknownUnit(symbol)) if is_symbol(&symbol) => {
                let number = text.trim().strip_suffix(&symbol).unwrap_or_default();
                Ok(Self::Named { number: number.trim_end().to_owned(), symbol })
            }
            Err(err) => Err(err),
        }
    }
}

/// Whether the chain may list an asset under this symbol.
fn is_symbol(text: &str) -> bool {
    (2..=12).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// An amount in an asset, written exactly, so that what is printed can be read again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AssetAmount<'a> {
    pub(crate) value: Balance,
    pub(crate) asset: &'a AssetView,
}

impl<'a> AssetAmount<'a> {
    /// Reads a number in the asset that the chain lists under `symbol`, whatever its case.
    pub(crate) fn read(number: &str, symbol: &str, list: &'a [AssetView]) -> anyhow::Result<Self> {
        let asset = find(symbol, list)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let value = scaled(whole, fraction, asset.decimals.into()).map_err(|err| {
            let text = match err {
                Unscaled::TooPrecise => {
                    format!("{} has at most {} decimals", asset.symbol, asset.decimals)
                }
                Unscaled::TooLarge => "it is more money than there can be".to_owned(),
            };
            Failure::usage(format!("`{number} {symbol}` is no amount: {text}")).into_error()
        })?;
        Ok(Self { value, asset })
    }
}

/// The asset that the chain lists under this symbol. Symbols are unique, case left aside.
pub(crate) fn find<'a>(symbol: &str, list: &'a [AssetView]) -> anyhow::Result<&'a AssetView> {
    list.iter().find(|asset| asset.symbol.eq_ignore_ascii_case(symbol)).or_fail(|| {
        Failure::usage(format!("the chain lists no asset `{symbol}`"))
            .hint("see which there are: casemate account assets")
    })
}

impl fmt::Display for AssetAmount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.asset.decimals);
        let text = format!("{:0>width$}", self.value, width = digits + 1);
        let (whole, fraction) = text.split_at(text.len() - digits);
        match fraction.trim_end_matches('0') {
            "" => f.pad(&format!("{whole} {}", self.asset.symbol)),
            fraction => f.pad(&format!("{whole}.{fraction} {}", self.asset.symbol)),
        }
    }
}

/// What amounts are in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Unit {
    /// The native token.
    #[default]
    Native,
    /// An asset on the chain's list.
    Listed(AssetView),
    /// One that is not: its amounts are shown in its smallest unit.
    Unlisted(u32),
}

/// For where nothing else is said.
pub(crate) static NATIVE: Unit = Unit::Native;

impl Unit {
    /// What amounts in `asset` are in, by the chain's list.
    pub(crate) fn of(asset: Asset, list: &[AssetView]) -> Self {
        let Asset::Registered(id) = asset else { return Self::Native };
        match list.iter().find(|asset| asset.id == id) {
            Some(asset) => Self::Listed(asset.clone()),
            None => Self::Unlisted(id),
        }
    }

    /// The asset in the protocol.
    pub(crate) fn asset(&self) -> Asset {
        match self {
            Self::Native => Asset::Native,
            Self::Listed(asset) => asset.asset(),
            Self::Unlisted(id) => Asset::Registered(*id),
        }
    }

    /// How many decimals its amounts have; `None` where nobody says.
    pub(crate) fn decimals(&self) -> Option<u8> {
        match self {
            Self::Native => Some(TOKEN_DECIMALS),
            Self::Listed(asset) => Some(asset.decimals),
            Self::Unlisted(_) => None,
        }
    }

    /// Least that the chain opens a lease with.
    pub(crate) fn deposit_min(&self) -> Balance {
        match self {
            Self::Listed(asset) => asset.deposit_min,
            Self::Native | Self::Unlisted(_) => 0,
        }
    }

    /// How it is called.
    pub(crate) fn symbol(&self) -> String {
        match self {
            Self::Native => "CASE".to_owned(),
            Self::Listed(asset) => asset.symbol.clone(),
            Self::Unlisted(id) => format!("asset {id}"),
        }
    }

    /// An amount for people.
    pub(crate) fn text(&self, value: Balance) -> String {
        match self {
            Self::Native => Amount(value).to_string(),
            Self::Listed(asset) => AssetAmount { value, asset }.to_string(),
            Self::Unlisted(id) => format!("{value} units of asset {id}"),
        }
    }

    /// Reads an amount, which must be in this unit: nothing is converted.
    pub(crate) fn read(&self, amount: &AnyAmount) -> anyhow::Result<Balance> {
        let (given, name) = match (self, amount) {
            (Self::Native, AnyAmount::Native(amount)) => return Ok(amount.0),
            (Self::Listed(asset), AnyAmount::Named { number, symbol })
                if asset.symbol.eq_ignore_ascii_case(symbol) =>
            {
                let list = std::slice::from_ref(asset);
                return Ok(AssetAmount::read(number, symbol, list)?.value);
            }
            (_, AnyAmount::Native(amount)) => (amount.to_string(), self.symbol()),
            (_, AnyAmount::Named { number, symbol }) => {
                (format!("{number} {symbol}"), self.symbol())
            }
        };
        let failure = Failure::usage(format!("`{given}` is not in {name}, which this is paid in"));
        Err(failure.hint(format!("write an amount such as `1.5 {name}`")).into_error())
    }
}

#[cfg(test)]
impl Unit {
    /// A listed asset with six decimals, `tUSD`.
    pub(crate) fn of_tests() -> Self {
        let symbol = "tUSD".to_owned();
        Self::Listed(AssetView { id: 1, symbol, decimals: 6, deposit_min: 1_000, open: true })
    }
}

#[cfg(test)]
mod tests;
