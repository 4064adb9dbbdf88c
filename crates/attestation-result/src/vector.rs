//! AR4SI: tiers, trustworthiness claims, and how ours are found. The README has the table.

use casemate_attestation::{
    Claims, Grade, Measurements, TcbStatus, TeeKind,
    policy::{Condition, HexBytes},
};
use serde::{Deserialize, Serialize};

/// AR4SI, 2.3.2: equivalence classes of trustworthiness claims, the best first after `None`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Nothing is said.
    None,
    /// The verifier affirms.
    Affirming,
    /// The verifier has doubts; a relying party may put up with them.
    Warning,
    /// The verifier has refused.
    Contraindicated,
}

impl Tier {
    /// The tier of a claim's value.
    pub fn of(value: i8) -> Self {
        match value {
            -1..=1 => Self::None,
            -32..=31 => Self::Affirming,
            -96..=95 => Self::Warning,
            _ => Self::Contraindicated,
        }
    }

    /// As it is written in a result.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        }
    }
}

/// AR4SI, 2.3.4. `None` where nothing is said.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrustVector {
    /// Which machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_identity: Option<i8>,
    /// How it is set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<i8>,
    /// What runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executables: Option<i8>,
    /// Its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<i8>,
    /// Hardware and firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<i8>,
    /// Whether memory is hidden from the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_opaque: Option<i8>,
    /// Whether what is stored is hidden from the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_opaque: Option<i8>,
    /// Where its data come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sourced_data: Option<i8>,
}

impl TrustVector {
    /// Each claim with its name, in the order of the draft.
    pub fn claims(&self) -> impl Iterator<Item = (&'static str, i8)> {
        [
            ("instance-identity", self.instance_identity),
            ("configuration", self.configuration),
            ("executables", self.executables),
            ("file-system", self.file_system),
            ("hardware", self.hardware),
            ("runtime-opaque", self.runtime_opaque),
            ("storage-opaque", self.storage_opaque),
            ("sourced-data", self.sourced_data),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The tier of the worst claim, `None` where there is none.
    pub fn worst(&self) -> Tier {
        self.claims().map(|(_, value)| Tier::of(value)).max().unwrap_or(Tier::None)
    }

    /// Of evidence that is not genuine.
    pub(crate) fn not_genuine() -> Self {
        Self { hardware: Some(CRYPTO_FAILED), ..Self::default() }
    }

    /// Of genuine evidence; `require` is what the policy demands beyond the TEE, `accepted` whether
    /// all that it demands was found.
    pub(crate) fn of(claims: &Claims, require: Option<&Condition>, accepted: bool) -> Self {
        let of_vendor = claims.grade == Grade::Hardware;
        let listed = Listed::of(claims, require);
        Self {
            instance_identity: match listed.machine {
                // Where another machine is accepted for another reason, it is none that should be
                // known.
                Some(false) if !accepted => Some(UNRECOGNIZED_INSTANCE),
                _ => of_vendor.then_some(RECOGNIZED_INSTANCE),
            },
            configuration: configuration(claims, listed.configuration),
            executables: listed.workload.map(|is| if is { APPROVED_BOOT } else { UNRECOGNIZED }),
            hardware: of_vendor.then(|| hardware(claims)).flatten(),
            runtime_opaque: if claims.debug {
                Some(VISIBLE_MEMORY)
            } else {
                (of_vendor && claims.kind != TeeKind::NvidiaGpu).then_some(ENCRYPTED_MEMORY)
            },
            ..Self::default()
        }
    }
}

fn hardware(claims: &Claims) -> Option<i8> {
    // Nobody has judged a GPU's firmware without reference values.
    if let Measurements::NvidiaGpu { matches_rim: false, .. } = claims.measurements {
        return None;
    }
    Some(match claims.tcb.status {
        TcbStatus::UpToDate | TcbStatus::ConfigurationNeeded => GENUINE_HARDWARE,
        TcbStatus::SwHardeningNeeded
        | TcbStatus::ConfigurationAndSwHardeningNeeded
        | TcbStatus::OutOfDate
        | TcbStatus::OutOfDateConfigurationNeeded => UNSAFE_HARDWARE,
        TcbStatus::Revoked => CONTRAINDICATED_HARDWARE,
    })
}

fn configuration(claims: &Claims, listed: Option<bool>) -> Option<i8> {
    if claims.debug {
        return Some(UNSUPPORTABLE_CONFIGURATION);
    }
    match claims.tcb.status {
        TcbStatus::ConfigurationNeeded
        | TcbStatus::ConfigurationAndSwHardeningNeeded
        | TcbStatus::OutOfDateConfigurationNeeded => Some(UNAVAILABLE_CONFIGURATION),
        _ => (listed == Some(true)).then_some(APPROVED_CONFIGURATION),
    }
}

/// Whether the policy lists something, and whether the evidence has it.
#[derive(Debug, Default)]
struct Listed {
    machine: Option<bool>,
    configuration: Option<bool>,
    workload: Option<bool>,
}

impl Listed {
    fn of(claims: &Claims, require: Option<&Condition>) -> Self {
        let mut listed = Self::default();
        if let Some(require) = require {
            listed.add(claims, require, 0);
        }
        listed
    }

    fn add(&mut self, claims: &Claims, condition: &Condition, depth: usize) {
        let has = |place: &mut Option<bool>, is: bool| *place = Some(place.unwrap_or(false) || is);
        let among = |found: &[u8], values: &[HexBytes]| {
            !found.is_empty() && values.iter().any(|value| value.0 == found)
        };
        match condition {
            // Deeper ones are refused by the policy.
            Condition::All(of) | Condition::Any(of) if depth <= DEPTH_MAX => {
                of.iter().for_each(|part| self.add(claims, part, depth + 1));
            }
            Condition::Workload(values) => {
                has(&mut self.workload, among(&claims.measurements.workload(), values));
            }
            Condition::Signer(values) => {
                has(&mut self.workload, among(claims.measurements.signer(), values))
            }
            Condition::PlatformId(values) => {
                has(&mut self.machine, among(&claims.platform_id, values));
            }
            Condition::Configuration(values) => {
                let fits = |value: &HexBytes| claims.measurements.is_configured_as(&value.0);
                has(&mut self.configuration, values.iter().any(fits));
            }
            _ => {}
        }
    }
}

/// As deep as a policy is evaluated.
const DEPTH_MAX: usize = 16;

// AR4SI, 2.3.4.
const RECOGNIZED_INSTANCE: i8 = 2;
const UNRECOGNIZED_INSTANCE: i8 = 97;
const APPROVED_CONFIGURATION: i8 = 2;
const UNAVAILABLE_CONFIGURATION: i8 = 36;
const UNSUPPORTABLE_CONFIGURATION: i8 = 96;
const APPROVED_BOOT: i8 = 3;
const UNRECOGNIZED: i8 = 33;
const GENUINE_HARDWARE: i8 = 2;
const UNSAFE_HARDWARE: i8 = 32;
const CONTRAINDICATED_HARDWARE: i8 = 96;
const ENCRYPTED_MEMORY: i8 = 2;
const VISIBLE_MEMORY: i8 = 96;
const CRYPTO_FAILED: i8 = 99;
