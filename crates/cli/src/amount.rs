//! Amounts of money as people write them.

use std::{fmt, str::FromStr};

use casemate_primitives::{Balance, CASE, TOKEN_DECIMALS};

/// An amount of the native token, read from `1.5 CASE`, `100 mCASE`, `20 uCASE` or a plain integer
/// in planck; written exactly, so that what is printed can be read again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Amount(pub(crate) Balance);

/// Units and the number of decimals that each has.
const UNITS: [(&str, u32); 5] =
    [("CASE", TOKEN_DECIMALS as u32), ("mCASE", 9), ("uCASE", 6), ("nCASE", 3), ("planck", 0)];

/// Below this an amount is easier to read in planck than with many zeros in front.
const PLANCK_BELOW: Balance = CASE / 1_000_000;

/// Why a text is no amount.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ParseAmountError {
    #[error("there is no amount in it")]
    Empty,
    #[error("`{0}` is not a number (digits, and at most one point)")]
    NotANumber(String),
    #[error("unknown unit `{0}` (use CASE, mCASE, uCASE, nCASE or planck)")]
    UnknownUnit(String),
    #[error("an amount without a unit is in planck and has no decimals; did you mean `{0} CASE`?")]
    UnitMissing(String),
    #[error("{0} has at most {1} decimals: 1 CASE is 1000000000000 planck")]
    TooPrecise(&'static str, u32),
    #[error("it is more money than there can be")]
    TooLarge,
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let s = s.trim();
        let split = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
        let (number, unit) = (&s[..split], s[split..].trim_start());
        if number.is_empty() {
            return Err(if unit.is_empty() {
                ParseAmountError::Empty
            } else {
                ParseAmountError::NotANumber(shorten(s))
            });
        }
        let (whole, fraction) = match number.split_once('.') {
            None => (number, ""),
            Some((whole, fraction)) => {
                if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
                    return Err(ParseAmountError::NotANumber(shorten(number)));
                }
                (whole, fraction)
            }
        };
        let (unit, decimals) = if unit.is_empty() {
            if !fraction.is_empty() {
                return Err(ParseAmountError::UnitMissing(shorten(number)));
            }
            ("planck", 0)
        } else {
            *UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| ParseAmountError::UnknownUnit(shorten(unit)))?
        };
        scaled(whole, fraction, decimals)
            .map_err(|err| match err {
                Unscaled::TooPrecise => ParseAmountError::TooPrecise(unit, decimals),
                Unscaled::TooLarge => ParseAmountError::TooLarge,
            })
            .map(Self)
    }
}

/// Why digits are no amount in a unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unscaled {
    /// More decimals than the unit has.
    TooPrecise,
    /// More than there can be.
    TooLarge,
}

/// `whole.fraction`, both of digits only, in a unit with so many decimals.
pub(crate) fn scaled(whole: &str, fraction: &str, decimals: u32) -> Result<Balance, Unscaled> {
    let fraction = fraction.trim_end_matches('0');
    let missing = u32::try_from(fraction.len())
        .ok()
        .and_then(|len| decimals.checked_sub(len))
        .ok_or(Unscaled::TooPrecise)?;
    let digits = |s: &str| match s {
        "" => Ok(0),
        s => s.parse::<Balance>().map_err(|_| Unscaled::TooLarge),
    };
    let times = |value: Balance, by: u32| {
        let factor = 10u128.checked_pow(by).ok_or(Unscaled::TooLarge)?;
        value.checked_mul(factor).ok_or(Unscaled::TooLarge)
    };
    times(digits(whole)?, decimals)?
        .checked_add(times(digits(fraction)?, missing)?)
        .ok_or(Unscaled::TooLarge)
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 != 0 && self.0 < PLANCK_BELOW {
            return f.pad(&format!("{} planck", self.0));
        }
        let fraction = format!("{:0width$}", self.0 % CASE, width = usize::from(TOKEN_DECIMALS));
        match fraction.trim_end_matches('0') {
            "" => f.pad(&format!("{} CASE", self.0 / CASE)),
            fraction => f.pad(&format!("{}.{fraction} CASE", self.0 / CASE)),
        }
    }
}

/// In JSON an amount is a decimal string in planck: numbers lose precision in many readers.
impl serde::Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// In files an amount is written as on the command line, or as an integer in planck.
impl<'de> serde::Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as \"1.5 CASE\", or an integer in planck")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, planck: u64) -> Result<Amount, E> {
                Ok(Amount(planck.into()))
            }

            fn visit_i64<E: serde::de::Error>(self, planck: i64) -> Result<Amount, E> {
                Balance::try_from(planck)
                    .map(Amount)
                    .map_err(|_| E::custom("an amount is not negative"))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

fn shorten(s: &str) -> String {
    s.chars().take(40).collect()
}

#[cfg(test)]
mod tests;
