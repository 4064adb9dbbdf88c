//! What vendors say about machines: where the provider has it from, and how the chain wants it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use casemate_attestation::{
    bundle::{Bundle, from_base64},
    dcap::{Quote, RawCollateral},
    sev_snp::{RawEndorsements, Report},
    x509::Certificate,
};
use casemate_client::collateral::{MachineCollateral, of_amd, of_intel};
use casemate_evidence::RawEvidence;
use casemate_primitives::TeeKind;
use casemate_ra_tls::{CollateralSource, own_endorsements};
use casemate_software_tee::client::Control;
use serde::Deserialize;

use super::EvidenceError;
use crate::chain_of;

/// Files beyond this are no collateral: the largest, Intel's CRLs and TCB infos, have some 100 kB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where collateral comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CollateralFrom {
    /// The software TEE at this control socket, for what it makes itself.
    Software(PathBuf),
    /// Files of any shape that `casemate_attestation::bundle` reads, in this folder. They are read
    /// each time, so that whoever fetches them may replace them at any time.
    Folder(PathBuf),
    /// Only what comes with the evidence.
    Evidence,
}

impl CollateralFrom {
    /// Reads all of it.
    ///
    /// # Errors
    /// With a sentence on what is missing and what to do.
    pub(crate) fn load(&self) -> Result<Arc<dyn CollateralSource>, String> {
        Ok(match self {
            Self::Software(control) => {
                let collateral =
                    Control::new(control).collateral().map_err(|err| chain_of(&err))?;
                let collateral: Software = serde_json::from_value(collateral)
                    .map_err(|err| format!("the software TEE's is not of the known form: {err}"))?;
                Arc::new(collateral)
            }
            Self::Folder(folder) => Arc::new(read_folder(folder)?),
            Self::Evidence => Arc::new(Bundle::default()),
        })
    }
}

/// As the software TEE gives it.
#[derive(Debug, Deserialize)]
struct Software {
    intel: SoftwareIntel,
    amd: SoftwareAmd,
}

#[derive(Debug, Deserialize)]
struct SoftwareIntel {
    sgx: RawCollateral,
    tdx: RawCollateral,
}

#[derive(Debug, Deserialize)]
struct SoftwareAmd {
    endorsements: RawEndorsements,
}

impl CollateralSource for Software {
    fn dcap(&self, quote: &Quote) -> Result<RawCollateral, String> {
        Ok(match quote.tee_kind() {
            TeeKind::IntelSgx => self.intel.sgx.clone(),
            _ => self.intel.tdx.clone(),
        })
    }

    fn sev_snp(
        &self,
        _report: &Report,
        own: Option<RawEndorsements>,
    ) -> Result<RawEndorsements, String> {
        let known = &self.amd.endorsements;
        // As with hardware, what comes with a report has no revocation list.
        Ok(match own {
            Some(own) => RawEndorsements { crl: own.crl.or_else(|| known.crl.clone()), ..own },
            None => known.clone(),
        })
    }
}

/// What lies in a folder.
fn read_folder(folder: &Path) -> Result<Bundle, String> {
    let io = |what: &Path, err| format!("cannot read `{}`: {err}", what.display());
    let mut bundle = Bundle::default();
    let mut is_empty = true;
    for entry in fs::read_dir(folder).map_err(|err| io(folder, err))? {
        let path = entry.map_err(|err| io(folder, err))?.path();
        let metadata = fs::metadata(&path).map_err(|err| io(&path, err))?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            continue;
        }
        let bytes = fs::read(&path).map_err(|err| io(&path, err))?;
        match bundle.add(&bytes) {
            Ok(()) => is_empty = false,
            // A README must not keep pods from being paid.
            Err(err) => tracing::debug!(path = %path.display(), %err, "not read as collateral"),
        }
    }
    if is_empty {
        return Err(format!(
            "no file in `{}` is collateral; put the vendor's certificates, revocation lists, TCB \
             info and QE identity there (`tee.collateral` and `cluster_tee.collateral` in the \
             configuration)",
            folder.display()
        ));
    }
    Ok(bundle)
}

/// What the chain needs to verify this evidence, and by what it finds the machine's certificate.
pub(super) fn for_chain(
    source: &dyn CollateralSource,
    evidence: &RawEvidence,
) -> Result<MachineCollateral, EvidenceError> {
    let unusable = EvidenceError::Unusable;
    match evidence.kind {
        TeeKind::IntelSgx | TeeKind::IntelTdx => {
            let quote = Quote::parse(&evidence.evidence)
                .map_err(|_| unusable("the quote does not parse"))?;
            let mut raw = source.dcap(&quote).map_err(EvidenceError::Collateral)?;
            if raw.pck_certificate_chain.is_none() {
                // Some quoting libraries end the text as C does.
                let text = String::from_utf8(quote.certification().data.to_vec())
                    .map_err(|_| unusable("the quote carries no PCK certificate chain"))?;
                raw.pck_certificate_chain = Some(text.trim_end_matches('\0').to_owned());
            }
            Ok(of_intel(raw)?)
        }
        TeeKind::AmdSevSnp => {
            let report = Report::parse(&evidence.evidence)
                .map_err(|_| unusable("the report does not parse"))?;
            let own = own_endorsements(evidence);
            let raw = source.sev_snp(&report, own).map_err(EvidenceError::Collateral)?;
            Ok(of_amd(to_der(&raw)?)?)
        }
        TeeKind::NvidiaGpu => Err(unusable("a GPU runs no agent")),
    }
}

fn to_der(raw: &RawEndorsements) -> Result<RawEndorsements, EvidenceError> {
    let unusable = EvidenceError::Unusable;
    let der = |bytes: &[u8]| {
        let found = Certificate::from_der(bytes).ok().or_else(|| {
            Certificate::chain_from_pem(bytes).ok().and_then(|chain| chain.into_iter().next())
        });
        found
            .map(|certificate| certificate.der().to_vec())
            .ok_or(unusable("a certificate of the AMD chain does not parse"))
    };
    let crl = raw.crl.as_deref().ok_or(unusable(
        "AMD's revocation list is missing (`crl` of the key distribution service); put it into the \
         folder `tee.collateral` (or `cluster_tee.collateral`)",
    ))?;
    Ok(RawEndorsements {
        vek: der(&raw.vek)?,
        ask: der(&raw.ask)?,
        ark: der(&raw.ark)?,
        crl: Some(crl_der(crl).ok_or(unusable("AMD's revocation list does not parse"))?),
    })
}

/// DER, also of PEM.
fn crl_der(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"-----BEGIN") {
        return Some(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    from_base64(&body).ok()
}
