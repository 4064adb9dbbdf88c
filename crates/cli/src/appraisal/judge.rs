//! Judges evidence, and keeps what it has seen for the verdict.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use casemate_attestation::{
    Claims, Grade, TrustRoots, UnixSeconds, Vendor, Verified,
    bundle::Bundle,
    dcap::{self, PckCa, PckHint, Quote},
    policy::{self, Policy},
    sev_snp::{self, AmdCrl, Product, RawEndorsements, Report, TcbVersion},
    x509::Certificate,
};
use casemate_client::chain::IntelCollateral;
use casemate_evidence::{Endorsements, RawEvidence};
use casemate_primitives::{AccountBytes, TeeKind};
use casemate_ra_tls::{Appraisal, Appraiser, Refusal};

use super::{Check, Outcome};

/// What the check is called by which evidence is found genuine.
const GENUINE: &str = "signatures, certificates and collateral";

/// Collateral that a chain has verified; errors are sentences.
pub(crate) trait CollateralOnChain: fmt::Debug + Send + Sync {
    /// For a machine of Intel's.
    fn intel(
        &self,
        grade: Grade,
        kind: TeeKind,
        ca: PckCa,
        fmspc: [u8; 6],
    ) -> Result<IntelCollateral, String>;

    /// What AMD has revoked under this root.
    fn amd_crl(&self, grade: Grade, root: [u8; 32]) -> Result<Option<AmdCrl>, String>;

    /// Least firmware of a product line.
    fn amd_minimum(&self, product: Product) -> Result<Option<TcbVersion>, String>;
}

/// The roots to go by: the vendors', as far as the chain trusts them still, and the chain's software
/// roots. A hardware root that this program does not know is left out: a node could have made it.
pub(crate) fn trusted(of_chain: &TrustRoots) -> TrustRoots {
    let vendors = TrustRoots::vendors();
    TrustRoots::new(of_chain.iter().copied().filter(|root| {
        root.grade == Grade::Software || vendors.find(root.vendor, &root.spki_sha256).is_some()
    }))
}

/// Judges by a policy, with collateral from files, from the evidence, or from a chain.
#[derive(Debug)]
pub(crate) struct Judge {
    policy: Policy,
    roots: TrustRoots,
    files: Bundle,
    chain: Option<Arc<dyn CollateralOnChain>>,
    provider: Option<AccountBytes>,
    seen: Mutex<Vec<Judged>>,
}

/// What was found about one piece of evidence.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// What it says, if it is genuine.
    pub(crate) claims: Option<Claims>,
    /// All checks.
    pub(crate) checks: Vec<Check>,
    /// Name of the verification's error, if it is not genuine.
    pub(crate) error: Option<String>,
}

/// Genuine evidence's claims with the policy's verdict, and where the collateral was from.
struct Genuine {
    claims: Claims,
    verdict: policy::Verdict,
    source: &'static str,
}

/// Evidence that can't be shown to be genuine.
struct NotGenuine {
    name: String,
    reason: String,
}

const FROM_FILES: &str = "collateral from files";
const FROM_EVIDENCE: &str = "certificates that came with the evidence";
const FROM_CHAIN: &str = "collateral as the chain has verified it, on the node's word";

impl NotGenuine {
    fn new(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), reason: reason.into() }
    }

    fn of(error: &(impl fmt::Debug + fmt::Display)) -> Self {
        let name = format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect();
        Self { name, reason: error.to_string() }
    }

    fn collateral(reason: impl Into<String>) -> Self {
        Self::new("Collateral", reason)
    }
}

impl Judge {
    /// Takes all that decides. `provider` is the account that holds the lease, for policies that
    /// name providers.
    pub(crate) fn new(
        policy: Policy,
        roots: TrustRoots,
        files: Bundle,
        chain: Option<Arc<dyn CollateralOnChain>>,
        provider: Option<AccountBytes>,
    ) -> Self {
        Self { policy, roots, files, chain, provider, seen: Mutex::default() }
    }

    /// What was judged so far, oldest first.
    pub(super) fn take_seen(&self) -> Vec<Judged> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn decide<E>(
        &self,
        verified: &Verified<E>,
        report_data: &[u8; 64],
        now: UnixSeconds,
        source: &'static str,
    ) -> Genuine {
        let report_data = Some(report_data);
        let context = policy::Context { now, report_data, provider: self.provider };
        let verdict = match self.policy.appraise(verified, &context) {
            Ok(accepted) => accepted.verdict().clone(),
            Err(verdict) => verdict,
        };
        Genuine { claims: verified.claims().clone(), verdict, source }
    }

    fn verify(
        &self,
        evidence: &RawEvidence,
        report_data: &[u8; 64],
        now: UnixSeconds,
    ) -> Result<Genuine, NotGenuine> {
        match evidence.kind {
            TeeKind::IntelSgx | TeeKind::IntelTdx => {
                let quote = Quote::parse(&evidence.evidence).map_err(|err| NotGenuine::of(&err))?;
                if quote.tee_kind() != evidence.kind {
                    let text = "the quote is of another TEE than it is said to be";
                    return Err(NotGenuine::new("Kind", text));
                }
                let (verified, source) = self.verify_quote(quote, now)?;
                Ok(self.decide(&verified, report_data, now, source))
            }
            TeeKind::AmdSevSnp => {
                let report =
                    Report::parse(&evidence.evidence).map_err(|err| NotGenuine::of(&err))?;
                let (verified, source) = self.verify_report(report, evidence, now)?;
                Ok(self.decide(&verified, report_data, now, source))
            }
            TeeKind::NvidiaGpu => {
                Err(NotGenuine::new("Kind", "a GPU's evidence is no evidence of an agent"))
            }
        }
    }

    /// By files if they are enough: what is verified here needs nobody's word. Then by the chain.
    fn verify_quote(
        &self,
        quote: Quote,
        now: UnixSeconds,
    ) -> Result<(Verified<Quote>, &'static str), NotGenuine> {
        let (missing, chain) = match (self.files.for_dcap(&quote), &self.chain) {
            (Ok(raw), _) => {
                return dcap::verify_with_collateral(quote, &raw, &self.roots, now)
                    .map(|verified| (verified, FROM_FILES))
                    .map_err(|err| NotGenuine::of(&err));
            }
            (Err(missing), Some(chain)) => (missing, chain),
            (Err(missing), None) => return Err(NotGenuine::collateral(missing.to_string())),
        };
        let lacks = |what: &str| {
            NotGenuine::collateral(format!("the chain has no {what} for it; {missing}"))
        };
        let pck_chain = quote
            .pck_chain()
            .and_then(Result::ok)
            .ok_or_else(|| lacks("certificate of the machine"))?;
        let hint =
            PckHint::of(&pck_chain).ok_or_else(|| lacks("certificate that is of Intel's form"))?;
        let root = pck_chain.last().map(Certificate::spki_sha256).unwrap_or_default();
        let Some(root) = self.roots.find(Vendor::Intel, &root) else {
            return Err(NotGenuine::of(&dcap::Error::UntrustedRoot(
                dcap::Document::PckCertificate,
            )));
        };
        let found = chain
            .intel(root.grade, quote.tee_kind(), hint.ca, hint.fmspc)
            .map_err(NotGenuine::collateral)?;
        let root_crl = found.root_crl.ok_or_else(|| lacks("list of revoked CAs"))?;
        let pck_crl = found.pck_crl.ok_or_else(|| lacks("list of revoked machines"))?;
        let tcb_info = found.tcb_info.ok_or_else(|| lacks("TCB info"))?;
        let qe_identity = found.qe_identity.ok_or_else(|| lacks("QE identity"))?;
        // The machine's own certificate needs nobody's word: it is verified here, up to the root.
        let data = quote.certification().data;
        let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let pem = data.get(..end).unwrap_or_default();
        let pck = dcap::verify_pck(pem, &root_crl, &pck_crl, &self.roots, now)
            .map_err(|err| NotGenuine::of(&err))?;
        let endorsements = dcap::Endorsements {
            root_crl: &root_crl,
            pck: &pck,
            pck_crl: &pck_crl,
            tcb_info: &tcb_info,
            qe_identity: &qe_identity,
        };
        dcap::verify(quote, &endorsements, now)
            .map(|verified| (verified, FROM_CHAIN))
            .map_err(|err| NotGenuine::of(&err))
    }

    fn verify_report(
        &self,
        report: Report,
        evidence: &RawEvidence,
        now: UnixSeconds,
    ) -> Result<(Verified<Report>, &'static str), NotGenuine> {
        let own = match &evidence.endorsements {
            Some(Endorsements::AmdTable(table)) => RawEndorsements::from_certificate_table(table),
            Some(Endorsements::Json(json)) => serde_json::from_slice(json).ok(),
            None => None,
        };
        let (raw, mut source) = match (self.files.for_sev_snp(&report), own) {
            // The machine's own certificates; files add what no machine has, the revocation list.
            (Ok(files), Some(mut own)) if files.crl.is_some() => {
                own.crl = files.crl;
                (own, FROM_FILES)
            }
            (_, Some(own)) => (own, FROM_EVIDENCE),
            (Ok(files), None) => (files, FROM_FILES),
            (Err(missing), None) => return Err(NotGenuine::collateral(missing.to_string())),
        };
        let mut vek = raw.verify(&self.roots, now).map_err(|err| NotGenuine::of(&err))?;
        let mut minimum = None;
        if let Some(chain) = &self.chain {
            minimum = chain.amd_minimum(vek.product).map_err(NotGenuine::collateral)?;
            if !vek.revocation_checked
                && let Some(crl) =
                    chain.amd_crl(vek.grade, vek.root).map_err(NotGenuine::collateral)?
            {
                vek = vek.under(&crl, now).map_err(|err| NotGenuine::of(&err))?;
                source = FROM_CHAIN;
            }
        }
        sev_snp::verify(report, &vek, minimum, now)
            .map(|verified| (verified, source))
            .map_err(|err| NotGenuine::of(&err))
    }
}

impl Appraiser for Judge {
    fn appraise(
        &self,
        evidence: &RawEvidence,
        report_data: &[u8; 64],
        now: UnixSeconds,
    ) -> Result<Appraisal, Refusal> {
        let (result, judged) = match self.verify(evidence, report_data, now) {
            Ok(Genuine { claims, verdict, source }) => {
                let mut checks: Vec<Check> = verdict.checks().iter().map(Check::from).collect();
                if let Some(genuine) = checks.iter_mut().find(|check| check.name == GENUINE) {
                    genuine.found = format!("{}; {source}", genuine.found);
                }
                let result = if verdict.accepted() {
                    let verdict = serde_json::to_value(&checks).unwrap_or_default();
                    Ok(Appraisal { claims: claims.clone(), verdict })
                } else {
                    Err(Refusal::new("the policy does not accept it"))
                };
                (result, Judged { claims: Some(claims), checks, error: None })
            }
            Err(NotGenuine { name, reason }) => {
                let wanted = "verified up to a pinned root";
                let check = Check::new(GENUINE, reason.clone(), wanted, Outcome::Failed);
                let judged = Judged { claims: None, checks: vec![check], error: Some(name) };
                (Err(Refusal::new(reason)), judged)
            }
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(judged);
        result
    }
}

#[cfg(test)]
mod tests {
    use casemate_attestation::TrustRoot;

    use super::*;

    #[test]
    fn a_chain_takes_roots_away_and_adds_none_of_hardware() {
        let root = |grade, spki_sha256| TrustRoot { vendor: Vendor::Intel, grade, spki_sha256 };
        let intel = casemate_attestation::roots::INTEL_SGX_ROOT;
        let kept = [root(Grade::Hardware, intel), root(Grade::Software, [2; 32])];
        let made_up = root(Grade::Hardware, [1; 32]);
        let of_chain = TrustRoots::new([kept[0], kept[1], made_up]);
        assert_eq!(trusted(&of_chain), TrustRoots::new(kept));
        assert_eq!(trusted(&TrustRoots::default()), TrustRoots::default());
        // The right key, of another vendor.
        let other = TrustRoot { vendor: Vendor::Amd, ..kept[0] };
        assert_eq!(trusted(&TrustRoots::new([other])), TrustRoots::default());
        // A software root that says it is Intel's stays one of software.
        let posing = root(Grade::Software, intel);
        let found = trusted(&TrustRoots::new([posing]));
        assert_eq!(found.find(Vendor::Intel, &intel).unwrap().grade, Grade::Software);
    }
}
