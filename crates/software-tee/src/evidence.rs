//! Evidence for a guest's measurements.

use crate::{Error, Misbehaviour, measure::Measurements, misbehave, pki::Pki, wire::Kind};
use serde_json::Value;

/// The vendors' formats that can be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// SGX quote, version 3.
    SgxV3,
    /// TDX quote, version 4 (TDX 1.0).
    TdxV4,
    /// TDX quote, version 5 (TDX 1.5).
    TdxV5,
    /// SEV-SNP report, version 2.
    SnpV2,
    /// SEV-SNP report, version 3 (with the processor's family).
    SnpV3,
    /// SEV-SNP report, version 5 (with the mitigation vectors).
    SnpV5,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::SgxV3, Self::TdxV4, Self::TdxV5, Self::SnpV2, Self::SnpV3, Self::SnpV5];

    /// The format of a kind and version; without a version, the one that is most common.
    ///
    /// # Errors
    /// [`Error::Version`] if there is none.
    pub fn new(kind: Kind, version: Option<u16>) -> Result<Self, Error> {
        let (found, known) = match kind {
            Kind::IntelSgx => (matches!(version, None | Some(3)).then_some(Self::SgxV3), "3"),
            Kind::IntelTdx => (
                match version {
                    None | Some(4) => Some(Self::TdxV4),
                    Some(5) => Some(Self::TdxV5),
                    _ => None,
                },
                "4 and 5",
            ),
            Kind::AmdSevSnp => (
                match version {
                    Some(2) => Some(Self::SnpV2),
                    None | Some(3) => Some(Self::SnpV3),
                    Some(5) => Some(Self::SnpV5),
                    _ => None,
                },
                "2, 3 and 5",
            ),
        };
        let version = version.unwrap_or_default();
        found.ok_or(Error::Version { kind, version, known })
    }

    /// Which TEE it is of.
    pub fn kind(self) -> Kind {
        match self {
            Self::SgxV3 => Kind::IntelSgx,
            Self::TdxV4 | Self::TdxV5 => Kind::IntelTdx,
            Self::SnpV2 | Self::SnpV3 | Self::SnpV5 => Kind::AmdSevSnp,
        }
    }

    /// Its version, as the first field of the evidence says it.
    pub fn version(self) -> u16 {
        match self {
            Self::SnpV2 => 2,
            Self::SgxV3 | Self::SnpV3 => 3,
            Self::TdxV4 => 4,
            Self::TdxV5 | Self::SnpV5 => 5,
        }
    }
}

/// A quote or report.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// As hardware gives it.
    pub bytes: Vec<u8>,
    /// SEV-SNP: the certificates, which hardware gives beside it.
    pub endorsements: Option<Value>,
}

impl Pki {
    /// Makes evidence. `measurements` must be of the format's kind.
    ///
    /// # Errors
    /// If they are not, or a key does not sign.
    pub fn evidence(
        &self,
        format: Format,
        measurements: &Measurements,
        report_data: &[u8; 64],
        misbehave: &[Misbehaviour],
    ) -> Result<Evidence, Error> {
        let mut measurements = measurements.clone();
        if misbehave.contains(&Misbehaviour::WrongMeasurement) {
            match &mut measurements {
                Measurements::Sgx { mr_enclave, .. } => mr_enclave[0] ^= 1,
                Measurements::Tdx { mr_td, .. } => mr_td[0] ^= 1,
                Measurements::SevSnp { measurement, .. } => measurement[0] ^= 1,
            }
        }
        let mut report_data = *report_data;
        if misbehave.contains(&Misbehaviour::WrongReportData) {
            report_data[0] ^= 1;
        }
        let mut evidence = match format.kind() {
            Kind::IntelSgx | Kind::IntelTdx => {
                let bytes = self.intel.quote(format, &measurements, &report_data, misbehave)?;
                Evidence { bytes, endorsements: None }
            }
            Kind::AmdSevSnp => Evidence {
                bytes: self.amd.report(format, &measurements, &report_data, misbehave)?,
                endorsements: Some(self.amd.endorsements(misbehave::platform(misbehave))?),
            },
        };
        if misbehave.contains(&Misbehaviour::Truncated) {
            let length = evidence.bytes.len() / 2;
            evidence.bytes.truncate(length);
        }
        Ok(evidence)
    }
}
