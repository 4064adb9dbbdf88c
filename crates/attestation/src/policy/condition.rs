//! Conditions on claims, joined by and/or.

use super::{Check, Context, Outcome};
use crate::{Claims, Measurements};
use alloc::{format, string::String, vec::Vec};
use casemate_primitives::TeeKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Bytes, in text as hex.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HexBytes(pub Vec<u8>);

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        hex::serde::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        match hex::decode(digits) {
            Ok(bytes) if !bytes.is_empty() => Ok(Self(bytes)),
            Ok(_) => Err(D::Error::custom("empty: a measurement in hex is needed")),
            Err(error) => Err(D::Error::custom(format!("`{text}` is not hex: {error}"))),
        }
    }
}

/// Deepest nesting of conditions that is evaluated; deeper ones fail.
const DEPTH_MAX: usize = 16;

/// Something that must hold of the claims. A list in a leaf means "one of these"; an empty list is
/// never fulfilled.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Condition {
    /// Each of these. An empty list is never fulfilled: it would accept anything.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
    /// The kind of TEE.
    Kind(Vec<TeeKind>),
    /// MRENCLAVE, what a TD was booted with ([`crate::td_workload`]), or the SNP launch digest.
    Workload(Vec<HexBytes>),
    /// MRSIGNER, MROWNER or the digest of the SNP id key.
    Signer(Vec<HexBytes>),
    /// A run-time register of TDX.
    Register {
        /// 0 to 3.
        index: u8,
        /// Accepted values.
        values: Vec<HexBytes>,
    },
    /// MRCONFIGID or HOST_DATA: what the host was told to launch. Shorter values are compared to
    /// the field's start, the rest of which must be zero.
    Configuration(Vec<HexBytes>),
    /// Least security version of the workload (SGX ISVSVN, SNP guest SVN).
    SvnAtLeast(u32),
    /// Product line, such as `Genoa`, or the FMSPC in hex.
    Product(Vec<String>),
    /// The machine.
    PlatformId(Vec<HexBytes>),
    /// Privilege level of SNP at most this.
    VmplAtMost(u32),
    /// Account of the provider, 32 bytes.
    Provider(Vec<HexBytes>),
    /// The GPU's measurements equal a signed RIM.
    GpuMatchesRim,
}

impl Condition {
    pub(super) fn check(&self, claims: &Claims, context: &Context<'_>) -> Check {
        self.check_at(claims, context, 0)
    }

    fn check_at(&self, claims: &Claims, context: &Context<'_>, depth: usize) -> Check {
        if depth > DEPTH_MAX {
            return Check::new(
                "nesting of the policy",
                "deeper",
                format!("at most {DEPTH_MAX} levels"),
                Outcome::Failed,
            );
        }
        let parts = |of: &[Self]| -> Vec<Check> {
            of.iter().map(|part| part.check_at(claims, context, depth + 1)).collect()
        };
        let good = |check: &Check| check.outcome != Outcome::Failed;
        match self {
            Self::All(of) => {
                let parts = parts(of);
                let outcome = Outcome::of(!parts.is_empty() && parts.iter().all(good));
                Check::combined("conditions", "each of these", outcome, parts)
            }
            Self::Any(of) => {
                let parts = parts(of);
                let outcome = Outcome::of(parts.iter().any(good));
                Check::combined("conditions", "at least one of these", outcome, parts)
            }
            Self::Kind(kinds) => Check::new(
                "kind of TEE",
                format!("{:?}", claims.kind),
                format!("one of {kinds:?}"),
                Outcome::of(kinds.contains(&claims.kind)),
            ),
            Self::Workload(values) => {
                one_of("measured workload", &claims.measurements.workload(), values)
            }
            Self::Signer(values) => one_of("signer", claims.measurements.signer(), values),
            Self::Register { index, values } => one_of(
                &format!("run-time register {index}"),
                register(claims, *index).unwrap_or_default(),
                values,
            ),
            Self::Configuration(values) => configuration(claims, values),
            Self::SvnAtLeast(least) => {
                let found = svn(claims);
                Check::new(
                    "security version of the workload",
                    found.map_or_else(|| "none".into(), |svn| format!("{svn}")),
                    format!("at least {least}"),
                    Outcome::of(found.is_some_and(|svn| svn >= *least)),
                )
            }
            Self::Product(names) => Check::new(
                "product line",
                claims.product.clone(),
                format!("one of {names:?}"),
                Outcome::of(names.contains(&claims.product)),
            ),
            Self::PlatformId(values) => one_of("machine", &claims.platform_id, values),
            Self::VmplAtMost(most) => {
                let found = match claims.measurements {
                    Measurements::SevSnp { vmpl, .. } => Some(vmpl),
                    _ => None,
                };
                Check::new(
                    "privilege level",
                    found.map_or_else(|| "none".into(), |vmpl| format!("{vmpl}")),
                    format!("at most {most}"),
                    Outcome::of(found.is_some_and(|vmpl| vmpl <= *most)),
                )
            }
            Self::Provider(values) => match &context.provider {
                Some(provider) => one_of("provider", provider, values),
                None => one_of("provider", &[], values),
            },
            Self::GpuMatchesRim => {
                let good = matches!(
                    claims.measurements,
                    Measurements::NvidiaGpu { matches_rim: true, .. }
                );
                Check::new(
                    "GPU firmware",
                    if good { "equals the signed RIM" } else { "not compared, or not equal" },
                    "equals the signed RIM",
                    Outcome::of(good),
                )
            }
        }
    }
}

/// Nothing equals an absent value: `found` empty always fails.
fn one_of(name: &str, found: &[u8], values: &[HexBytes]) -> Check {
    let wanted: Vec<String> = values.iter().map(|value| hex::encode(&value.0)).collect();
    Check::new(
        name,
        if found.is_empty() { "none".into() } else { hex::encode(found) },
        format!("one of {}", wanted.join(", ")),
        Outcome::of(!found.is_empty() && values.iter().any(|value| value.0 == found)),
    )
}

fn register(claims: &Claims, index: u8) -> Option<&[u8]> {
    match &claims.measurements {
        Measurements::Tdx { rtmr, .. } => rtmr.get(usize::from(index)).map(<[u8; 48]>::as_slice),
        _ => None,
    }
}

fn svn(claims: &Claims) -> Option<u32> {
    match claims.measurements {
        Measurements::Sgx { isv_svn, .. } => Some(u32::from(isv_svn)),
        Measurements::SevSnp { guest_svn, .. } => Some(guest_svn),
        Measurements::Tdx { .. } | Measurements::NvidiaGpu { .. } => None,
    }
}

fn configuration(claims: &Claims, values: &[HexBytes]) -> Check {
    let field = claims.measurements.configuration();
    let fits = |value: &HexBytes| claims.measurements.is_configured_as(&value.0);
    let wanted: Vec<String> = values.iter().map(|value| hex::encode(&value.0)).collect();
    Check::new(
        "configuration given at launch",
        if field.is_empty() { "none".into() } else { hex::encode(field) },
        format!("one of {}", wanted.join(", ")),
        Outcome::of(values.iter().any(fits)),
    )
}
