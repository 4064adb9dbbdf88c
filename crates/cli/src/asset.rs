//! Amounts in assets: only the chain knows their symbols and decimals.

use std::{fmt, str::FromStr};

use casemate_client::chain::AssetView;
use casemate_primitives::Balance;

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

#[cfg(test)]
mod tests;
