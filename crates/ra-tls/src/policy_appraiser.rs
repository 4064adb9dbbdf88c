//! The appraiser that most callers want: the verifiers and policies of `casemate-attestation`.

use std::sync::Arc;

use casemate_attestation::{
    Claims, TrustRoots, UnixSeconds, Verified,
    bundle::Bundle,
    dcap::{self, Quote, RawCollateral},
    policy::{Context, Policy},
    sev_snp::{self, Product, RawEndorsements, Report, TcbVersion},
};
use casemate_evidence::{Endorsements, RawEvidence, TeeKind};
use casemate_primitives::AccountBytes;

use crate::{Appraisal, Appraiser, Refusal};

/// Where collateral comes from: files, a cache, a chain, a vendor's service. All of it is verified;
/// a source that lies is refused, not believed.
pub trait CollateralSource: std::fmt::Debug + Send + Sync {
    /// For an SGX or TDX quote.
    ///
    /// # Errors
    /// With a sentence on what is missing and where it can be had.
    fn dcap(&self, quote: &Quote) -> Result<RawCollateral, String>;

    /// For an SEV-SNP report. `own` is what came with the evidence, if that is complete.
    ///
    /// # Errors
    /// With a sentence on what is missing and where it can be had.
    fn sev_snp(
        &self,
        report: &Report,
        own: Option<RawEndorsements>,
    ) -> Result<RawEndorsements, String>;

    /// The firmware versions that an SEV-SNP machine of this line must have at least, if the caller
    /// asks for any.
    fn minimum_tcb(&self, _product: Product) -> Option<TcbVersion> {
        None
    }
}

/// Collateral that somebody has put together from files.
impl CollateralSource for Bundle {
    fn dcap(&self, quote: &Quote) -> Result<RawCollateral, String> {
        self.for_dcap(quote).map_err(|err| err.to_string())
    }

    fn sev_snp(
        &self,
        report: &Report,
        own: Option<RawEndorsements>,
    ) -> Result<RawEndorsements, String> {
        let found = match &own {
            Some(own) => self.for_sev_snp_with(report, own),
            None => self.for_sev_snp(report),
        };
        found.map_err(|err| err.to_string())
    }
}

/// The certificates that came with an SEV-SNP report. Unverified.
pub fn own_endorsements(evidence: &RawEvidence) -> Option<RawEndorsements> {
    match &evidence.endorsements {
        Some(Endorsements::AmdTable(table)) => RawEndorsements::from_certificate_table(table),
        Some(Endorsements::Json(json)) => serde_json::from_slice(json).ok(),
        None => None,
    }
}

/// Verifies evidence up to the given roots, and decides by a policy.
#[derive(Debug)]
pub struct PolicyAppraiser {
    policy: Policy,
    roots: TrustRoots,
    collateral: Arc<dyn CollateralSource>,
    provider: Option<AccountBytes>,
}

impl PolicyAppraiser {
    /// Takes all that decides; nothing is read from elsewhere. `provider` is the account that holds
    /// the lease, for policies that name providers.
    pub fn new(
        policy: Policy,
        roots: TrustRoots,
        collateral: Arc<dyn CollateralSource>,
        provider: Option<AccountBytes>,
    ) -> Self {
        Self { policy, roots, collateral, provider }
    }

    fn decide<E>(
        &self,
        verified: &Verified<E>,
        report_data: &[u8; 64],
        now: UnixSeconds,
    ) -> Result<Appraisal, Refusal> {
        let context = Context { now, report_data: Some(report_data), provider: self.provider };
        let json = |verdict| serde_json::to_value(verdict).unwrap_or_default();
        match self.policy.appraise(verified, &context) {
            Ok(accepted) => {
                let claims: Claims = accepted.claims().clone();
                Ok(Appraisal { claims, verdict: json(accepted.verdict()) })
            }
            Err(verdict) => {
                let failed: Vec<String> = verdict
                    .failed()
                    .map(|check| {
                        format!("{}: {}; wanted: {}", check.name, check.found, check.wanted)
                    })
                    .collect();
                Err(Refusal { reason: failed.join(". "), verdict: json(&verdict) })
            }
        }
    }
}

impl Appraiser for PolicyAppraiser {
    fn appraise(
        &self,
        evidence: &RawEvidence,
        report_data: &[u8; 64],
        now: UnixSeconds,
    ) -> Result<Appraisal, Refusal> {
        let refuse = |err: &dyn std::fmt::Display| Refusal::new(err.to_string());
        match evidence.kind {
            TeeKind::IntelSgx | TeeKind::IntelTdx => {
                let quote = Quote::parse(&evidence.evidence).map_err(|err| refuse(&err))?;
                if quote.tee_kind() != evidence.kind {
                    return Err(Refusal::new("the quote is of another TEE than it is said to be"));
                }
                let collateral = self.collateral.dcap(&quote).map_err(|err| refuse(&err))?;
                let verified = dcap::verify_with_collateral(quote, &collateral, &self.roots, now)
                    .map_err(|err| refuse(&err))?;
                self.decide(&verified, report_data, now)
            }
            TeeKind::AmdSevSnp => {
                let report = Report::parse(&evidence.evidence).map_err(|err| refuse(&err))?;
                let endorsements = self
                    .collateral
                    .sev_snp(&report, own_endorsements(evidence))
                    .map_err(|err| refuse(&err))?;
                let vek = endorsements.verify(&self.roots, now).map_err(|err| refuse(&err))?;
                let minimum = self.collateral.minimum_tcb(vek.product);
                let verified =
                    sev_snp::verify(report, &vek, minimum, now).map_err(|err| refuse(&err))?;
                self.decide(&verified, report_data, now)
            }
            // A GPU runs no agent.
            TeeKind::NvidiaGpu => Err(Refusal::new("a GPU's evidence is no evidence of an agent")),
        }
    }
}
