//! The verification of quotes.

use super::{
    Document, Error, Pck, PckCrl, QeIdentity, Quote, RawCollateral, RootCrl, TcbInfo, TcbLevel,
    TdxModule, TdxModuleLevel,
    intake::{Intake, check_time, read_chain},
    quote::Body,
    report::TdReport,
    status::{converge, merge_advisories},
};
use crate::{
    Grade, TcbStatus, UnixSeconds, Verified,
    claims::{Claims, Measurements, Tcb},
    crypto::{PublicKey, SignatureAlgorithm},
    roots::TrustRoots,
    x509::Certificate,
};
use alloc::{string::String, vec::Vec};
use sha2::{Digest, Sha256};

/// What a quote is checked against, each verified before.
#[derive(Clone, Copy, Debug)]
pub struct Endorsements<'a> {
    /// The newest revocation list of the root: those below may have been verified under an older one.
    pub root_crl: &'a RootCrl,
    /// The platform's key.
    pub pck: &'a Pck,
    /// Revocation list of the CA that issued it.
    pub pck_crl: &'a PckCrl,
    /// TCB info of the platform's processor family.
    pub tcb_info: &'a TcbInfo,
    /// Identity of the quoting enclave.
    pub qe_identity: &'a QeIdentity,
}

/// Verifies a quote against collateral that was verified before: two P-256 verifications and table
/// look-ups.
///
/// A debug enclave or TD is not refused here but marked ([`Claims::debug`]), and so is what Intel
/// calls out of date ([`Claims::tcb`]): a policy decides on them. Refused always are revoked levels,
/// and TDs that can be migrated, that have a service TD bound, or that let the host inject #VE.
///
/// # Errors
/// See [`Error`].
pub fn verify(
    quote: Quote,
    endorsements: &Endorsements<'_>,
    now: UnixSeconds,
) -> Result<Verified<Quote>, Error> {
    let Endorsements { root_crl, pck, pck_crl, tcb_info, qe_identity } = *endorsements;
    check_endorsements(&quote, endorsements, now)?;

    check_qe_report(&quote, pck)?;
    let qe_level = qe_identity.judge(quote.qe_report())?;
    let key =
        PublicKey::from_p256_raw(quote.attestation_key()).map_err(|_| Error::AttestationKey)?;
    key.verify_raw(SignatureAlgorithm::EcdsaSha256, quote.signed_bytes(), quote.signature())
        .map_err(Error::QuoteSignature)?;

    let mut judgement = match quote.body() {
        Body::Sgx(report) => {
            if !report.is_initialised() {
                return Err(Error::NotInitialised);
            }
            Judgement::of(platform_level(tcb_info, pck, None)?)
        }
        Body::Tdx(report) => {
            report.check()?;
            judge_td(tcb_info, pck, report)?
        }
    };
    judgement.add("quoting enclave", qe_level.status, &qe_level.advisories, None);
    if let Some(part) = judgement.revoked {
        return Err(Error::TcbRevoked(part));
    }

    let (measurements, debug) = measurements(quote.body());
    let last_second = root_crl
        .not_after
        .min(pck.not_after)
        .min(pck_crl.not_after)
        .min(tcb_info.not_after)
        .min(qe_identity.not_after);
    let grades = [root_crl.grade, pck_crl.grade, tcb_info.grade, qe_identity.grade];
    let grade = grades.into_iter().fold(pck.grade, Grade::min);
    let claims = Claims {
        kind: quote.tee_kind(),
        grade,
        measurements,
        report_data: *quote.report_data(),
        debug,
        tcb: Tcb {
            status: judgement.status,
            advisories: judgement.advisories,
            date: Some(judgement.date),
            evaluation: Some(tcb_info.evaluation.min(qe_identity.evaluation)),
        },
        platform_id: pck.platform_id.to_vec(),
        product: hex::encode_upper(pck.fmspc),
        not_after: last_second.saturating_add(1),
    };
    Ok(Verified::new(quote, claims))
}

/// Verifies all of the collateral, then the quote.
///
/// # Errors
/// See [`Error`].
pub fn verify_with_collateral(
    quote: Quote,
    collateral: &RawCollateral,
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<Verified<Quote>, Error> {
    let mut intake = Intake::new(roots, now);
    let pck_crl_chain =
        read_chain(Document::PckCrlIssuer, collateral.pck_crl_issuer_chain.as_bytes())?;
    let tcb_chain =
        read_chain(Document::TcbInfoIssuer, collateral.tcb_info_issuer_chain.as_bytes())?;
    let qe_chain =
        read_chain(Document::QeIdentityIssuer, collateral.qe_identity_issuer_chain.as_bytes())?;
    let pck_chain = pck_chain(&quote, collateral)?;

    let root = pck_chain.last().ok_or(Error::ChainLength(Document::PckCertificate))?;
    let root_crl = intake.root_crl(&collateral.root_ca_crl, root)?;
    let pck_crl = intake.pck_crl(&collateral.pck_crl, &pck_crl_chain, &root_crl)?;
    let tcb_signature = signature(Document::TcbInfo, &collateral.tcb_info_signature)?;
    let tcb_info = intake.tcb_info(&collateral.tcb_info, tcb_signature, &tcb_chain, &root_crl)?;
    let qe_signature = signature(Document::QeIdentity, &collateral.qe_identity_signature)?;
    let qe_identity =
        intake.qe_identity(&collateral.qe_identity, qe_signature, &qe_chain, &root_crl)?;
    let pck = intake.pck(&pck_chain, &root_crl, &pck_crl)?;
    let endorsements = Endorsements {
        root_crl: &root_crl,
        pck: &pck,
        pck_crl: &pck_crl,
        tcb_info: &tcb_info,
        qe_identity: &qe_identity,
    };
    verify(quote, &endorsements, now)
}

/// Checks that the pieces belong together, to this quote's kind of TEE, and to now.
fn check_endorsements(
    quote: &Quote,
    endorsements: &Endorsements<'_>,
    now: UnixSeconds,
) -> Result<(), Error> {
    let Endorsements { root_crl, pck, pck_crl, tcb_info, qe_identity } = *endorsements;
    check_time(Document::PckCertificate, pck.not_before, pck.not_after, now)?;
    check_time(Document::PckCrl, pck_crl.not_before, pck_crl.not_after, now)?;
    check_time(Document::TcbInfo, tcb_info.issue_date, tcb_info.not_after, now)?;
    check_time(Document::QeIdentity, qe_identity.issue_date, qe_identity.not_after, now)?;
    check_time(Document::RootCrl, root_crl.not_before, root_crl.not_after, now)?;
    for (document, root_spki_sha256) in [
        (Document::RootCrl, root_crl.root_spki_sha256),
        (Document::PckCrlIssuer, pck_crl.root_spki_sha256),
        (Document::TcbInfoIssuer, tcb_info.root_spki_sha256),
        (Document::QeIdentityIssuer, qe_identity.root_spki_sha256),
    ] {
        if root_spki_sha256 != pck.root_spki_sha256 {
            return Err(Error::OtherRoot(document));
        }
    }
    if let Some(document) = revoked_since(endorsements) {
        return Err(Error::RevokedCertificate(document));
    }
    if pck_crl.ca_spki_sha256 != pck.ca_spki_sha256 {
        return Err(Error::PckCrlOfOtherCa);
    }
    if pck_crl.is_revoked(&pck.serial) {
        return Err(Error::RevokedCertificate(Document::PckCertificate));
    }
    if tcb_info.kind != quote.tee_kind() {
        return Err(Error::TcbInfoKind);
    }
    if qe_identity.kind != quote.tee_kind() {
        return Err(Error::QeIdentityKind);
    }
    if tcb_info.fmspc != pck.fmspc {
        return Err(Error::FmspcMismatch);
    }
    if tcb_info.pce_id != pck.pce_id {
        return Err(Error::PceIdMismatch);
    }
    Ok(())
}

/// Whose signer the root has revoked, by its newest list. (That list may be newer than the one under
/// which the rest was verified and kept.)
fn revoked_since(endorsements: &Endorsements<'_>) -> Option<Document> {
    let Endorsements { root_crl, pck, pck_crl, tcb_info, qe_identity } = *endorsements;
    let signers = [
        (Document::PckCertificate, &pck.ca_serial),
        (Document::PckCrlIssuer, &pck_crl.ca_serial),
        (Document::TcbInfoIssuer, &tcb_info.signer_serial),
        (Document::QeIdentityIssuer, &qe_identity.signer_serial),
    ];
    signers
        .into_iter()
        .find(|(_, serial)| root_crl.is_revoked(serial))
        .map(|(document, _)| document)
}

/// Checks that the platform's key vouches for the quoting enclave, and it for the attestation key.
fn check_qe_report(quote: &Quote, pck: &Pck) -> Result<(), Error> {
    PublicKey::from_p256_raw(&pck.public_key)
        .and_then(|key| {
            key.verify_raw(
                SignatureAlgorithm::EcdsaSha256,
                quote.qe_report_bytes(),
                quote.qe_report_signature(),
            )
        })
        .map_err(Error::QeReportSignature)?;
    let bound = Sha256::new()
        .chain_update(quote.attestation_key())
        .chain_update(quote.auth_data())
        .finalize();
    let (hash, rest) = quote.qe_report().report_data.split_at(32);
    if hash != bound.as_slice() || rest.iter().any(|&byte| byte != 0) {
        return Err(Error::QeReportData);
    }
    Ok(())
}

/// What the parts of a platform are judged to be, together.
struct Judgement {
    status: TcbStatus,
    advisories: Vec<String>,
    date: UnixSeconds,
    /// Which part is revoked.
    revoked: Option<&'static str>,
}

impl Judgement {
    fn of(level: &TcbLevel) -> Self {
        let mut judgement = Self {
            status: TcbStatus::UpToDate,
            advisories: Vec::new(),
            date: level.date,
            revoked: None,
        };
        judgement.add("platform", level.status, &level.advisories, None);
        judgement
    }

    /// Adds a part. Its date counts where Intel's verifier counts it: for the platform and its TDX
    /// module, the older of the two.
    fn add(
        &mut self,
        part: &'static str,
        status: TcbStatus,
        advisories: &[String],
        date: Option<UnixSeconds>,
    ) {
        self.status = converge(self.status, status);
        merge_advisories(&mut self.advisories, advisories);
        if let Some(date) = date {
            self.date = self.date.min(date);
        }
        if status == TcbStatus::Revoked {
            self.revoked.get_or_insert(part);
        }
    }
}

/// Finds the platform's level (PCS API v4, "TCB status determination").
fn platform_level<'a>(
    tcb_info: &'a TcbInfo,
    pck: &Pck,
    tee_tcb_svn: Option<&[u8; 16]>,
) -> Result<&'a TcbLevel, Error> {
    let reaches = |have: &[u8], needed: &[u8]| have.iter().zip(needed).all(|(a, b)| a >= b);
    tcb_info
        .levels
        .iter()
        .find(|level| {
            let tdx_reaches = tee_tcb_svn.is_none_or(|svns| {
                // With a versioned module the first two are judged by the module's own levels.
                let skip = if svns[1] > 0 { 2 } else { 0 };
                reaches(&svns[skip..], &level.tdx_svns[skip..])
            });
            tdx_reaches && reaches(&pck.cpu_svns, &level.sgx_svns) && pck.pce_svn >= level.pce_svn
        })
        .ok_or(Error::NoTcbLevel)
}

/// Judges a TD's platform and TDX module: as they were at its launch and, from TDX 1.5 on, as they
/// are now.
fn judge_td(tcb_info: &TcbInfo, pck: &Pck, report: &TdReport) -> Result<Judgement, Error> {
    let launch = &report.tee_tcb_svn;
    let mut judgement = Judgement::of(platform_level(tcb_info, pck, Some(launch))?);
    let module = tdx_module(tcb_info, launch)?;
    check_tdx_module(module, report)?;
    add_module(&mut judgement, module, launch)?;
    if let Some(tdx15) = &report.tdx15 {
        let now = &tdx15.tee_tcb_svn2;
        let level = platform_level(tcb_info, pck, Some(now))?;
        judgement.add("platform", level.status, &level.advisories, Some(level.date));
        add_module(&mut judgement, tdx_module(tcb_info, now)?, now)?;
    }
    Ok(judgement)
}

/// The module that the first two security versions name.
fn tdx_module<'a>(tcb_info: &'a TcbInfo, svns: &[u8; 16]) -> Result<&'a TdxModule, Error> {
    let version = svns[1];
    let module = if version == 0 {
        tcb_info.base_module.as_ref()
    } else {
        tcb_info.modules.iter().find(|module| module.version == version)
    };
    module.ok_or(Error::UnknownTdxModule(version))
}

fn check_tdx_module(module: &TdxModule, report: &TdReport) -> Result<(), Error> {
    if report.mr_signer_seam != module.signer {
        return Err(Error::TdxModuleSigner);
    }
    // Bits that are not compared have no meaning yet and must not be set.
    let as_expected = report
        .seam_attributes
        .iter()
        .zip(&module.attributes)
        .zip(&module.attributes_mask)
        .all(|((value, expected), mask)| value & mask == *expected && value & !mask == 0);
    if as_expected { Ok(()) } else { Err(Error::TdxModuleAttributes) }
}

/// The base module has no levels of its own: its versions are among the platform's.
fn add_module(judgement: &mut Judgement, module: &TdxModule, svns: &[u8; 16]) -> Result<(), Error> {
    if module.version == 0 {
        return Ok(());
    }
    let isv_svn = svns[0];
    let level: &TdxModuleLevel = module
        .levels
        .iter()
        .find(|level| level.isv_svn <= isv_svn)
        .ok_or(Error::NoTdxModuleLevel(isv_svn))?;
    judgement.add("TDX module", level.status, &level.advisories, Some(level.date));
    Ok(())
}

/// What runs, and whether it can be debugged.
fn measurements(body: &Body) -> (Measurements, bool) {
    match body {
        Body::Sgx(report) => (
            Measurements::Sgx {
                mr_enclave: report.mr_enclave,
                mr_signer: report.mr_signer,
                isv_prod_id: report.isv_prod_id,
                isv_svn: report.isv_svn,
                attributes: report.attributes,
            },
            report.is_debug(),
        ),
        Body::Tdx(report) => (
            Measurements::Tdx {
                mr_td: report.mr_td,
                rtmr: report.rtmr,
                mr_config_id: report.mr_config_id,
                mr_owner: report.mr_owner,
                mr_owner_config: report.mr_owner_config,
                mr_seam: report.mr_seam,
                td_attributes: report.td_attributes,
                xfam: report.xfam,
            },
            report.is_debug(),
        ),
    }
}

/// The chain of the collateral, or else of the quote.
fn pck_chain(quote: &Quote, collateral: &RawCollateral) -> Result<Vec<Certificate>, Error> {
    match &collateral.pck_certificate_chain {
        Some(pem) => read_chain(Document::PckCertificate, pem.as_bytes()),
        None => quote
            .pck_chain()
            .ok_or(Error::MissingPckChain)?
            .map_err(|source| Document::PckCertificate.failed(source)),
    }
}

fn signature(document: Document, bytes: &[u8]) -> Result<&[u8; 64], Error> {
    bytes.try_into().map_err(|_| Error::DocumentSignature {
        document,
        source: crate::crypto::CryptoError::MalformedSignature,
    })
}
