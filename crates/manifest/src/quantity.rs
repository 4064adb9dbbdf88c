//! Kubernetes quantities, strictly: only the units that make sense for the resource.

use crate::error::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

const CPU_ALLOWED: &str =
    "cores such as `2` or `0.5`, or thousandths of a core such as `500m`, less than 4294968 cores";
const BYTES_ALLOWED: &str = "an amount with a unit such as `128Mi`, `1Gi`, `500M` or `1G` (Ki, Mi, \
     Gi, Ti are powers of 1024; k, M, G, T of 1000), or plain bytes, less than 4096Ti";

/// A text that is no quantity of its kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{found}` is not a {what} (allowed: {allowed})")]
pub struct InvalidQuantity {
    found: String,
    what: &'static str,
    allowed: &'static str,
}

/// Thousandths of a CPU core.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CpuMillicores(pub u32);

/// An amount of memory or disk in MiB. Other units are rounded up.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mebibytes(pub u32);

/// Digits before and after the point, as `integer / 10^decimals`. No sign and no exponent.
fn decimal(text: &str) -> Option<(u128, u32)> {
    // 18 digits: what times 2^40 stays far from u128's end.
    const DIGITS_MAX: usize = 18;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty()
        || (text.contains('.') && fraction.is_empty())
        || whole.len() + fraction.len() > DIGITS_MAX
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, u32::try_from(fraction.len()).ok()?))
}

impl FromStr for CpuMillicores {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (number, per_unit) = match text.strip_suffix('m') {
                Some(number) if !number.contains('.') => (number, 1),
                Some(_) => return None,
                None => (text, 1000),
            };
            let (digits, decimals) = decimal(number)?;
            let scale = 10u128.checked_pow(decimals)?;
            let millis = digits.checked_mul(per_unit)?;
            // Kubernetes refuses finer than a thousandth as well.
            (millis % scale == 0).then_some(())?;
            u32::try_from(millis / scale).ok().map(Self)
        };
        parse().ok_or_else(|| InvalidQuantity {
            found: shown(text),
            what: "CPU quantity",
            allowed: CPU_ALLOWED,
        })
    }
}

impl fmt::Display for CpuMillicores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl FromStr for Mebibytes {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const UNITS: [(&str, u128); 8] = [
            ("Ki", 1 << 10),
            ("Mi", 1 << 20),
            ("Gi", 1 << 30),
            ("Ti", 1 << 40),
            ("k", 1_000),
            ("M", 1_000_000),
            ("G", 1_000_000_000),
            ("T", 1_000_000_000_000),
        ];
        let parse = || {
            let (number, unit) = UNITS
                .iter()
                .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)))
                .unwrap_or((text, 1));
            let (digits, decimals) = decimal(number)?;
            let per_mib = 10u128.checked_pow(decimals)?.checked_mul(1 << 20)?;
            u32::try_from(digits.checked_mul(unit)?.div_ceil(per_mib)).ok().map(Self)
        };
        parse().ok_or_else(|| InvalidQuantity {
            found: shown(text),
            what: "quantity of bytes",
            allowed: BYTES_ALLOWED,
        })
    }
}

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 != 0 && self.0.is_multiple_of(1024) {
            write!(f, "{}Gi", self.0 / 1024)
        } else {
            write!(f, "{}Mi", self.0)
        }
    }
}

macro_rules! quantity_serde {
    ($name:ident, $what:literal, $allowed:expr, $pattern:literal, $integers:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($allowed)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse()
                            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        number
                            .to_string()
                            .parse()
                            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
                    }

                    // `cpu: 0.5` without quotes; Rust prints the shortest text that means it.
                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$name, E> {
                        number
                            .to_string()
                            .parse()
                            .map_err(|_| E::invalid_value(de::Unexpected::Float(number), &self))
                    }
                }

                deserializer.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": concat!($what, "."),
                    "anyOf": [
                        { "type": "string", "pattern": $pattern },
                        { "type": $integers, "minimum": 0 },
                    ],
                })
            }
        }
    };
}

quantity_serde!(
    CpuMillicores,
    "Cores (`2`, `0.5`) or thousandths of one (`500m`)",
    CPU_ALLOWED,
    r"^([0-9]+m|[0-9]+(\.[0-9]{1,3}0*)?)$",
    "number"
);
quantity_serde!(
    Mebibytes,
    "An amount of bytes with a unit (`128Mi`, `1Gi`, `1G`), rounded up to MiB",
    BYTES_ALLOWED,
    r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$",
    "integer"
);

#[cfg(test)]
mod tests;
