//! AMD SEV-SNP attestation reports (AMD 56860, "SEV Secure Nested Paging Firmware ABI").
//!
//! The chip signs a report with a key that it derives from its own secret and from the versions of
//! its firmware (VCEK), or with one that AMD has given to the cloud provider (VLEK). AMD certifies
//! the key under a root for each product line. The host must never choose what is trusted here: it
//! may hand over certificates, but the root is pinned, and what the certificate says about chip and
//! firmware must be what the report says.
//!
//! ```text
//! root, revocation list         -> verify_amd_crl -> AmdCrl (kept)   RSA-4096 twice
//! certificates, revocation list -> verify_vek     -> Vek (kept)      RSA-4096 three or four times
//! report, Vek under an AmdCrl   -> verify         -> Verified        P-384 once
//! ```

mod crl;
mod endorsements;
mod error;
pub mod launch;
mod report;
mod tcb;
mod vek;

pub use crl::{AmdCrl, Serial, verify_amd_crl};
pub use endorsements::RawEndorsements;
pub use error::{Document, Error};
pub use report::Report;
pub use tcb::{Product, TcbVersion};
pub(crate) use vek::is_of_machine;
pub use vek::{KeyKind, Vek, verify_vek};

use crate::{
    Claims, Measurements, Tcb, TcbStatus, TeeKind, TrustRoots, UnixSeconds, Verified,
    crypto::{PublicKey, SignatureAlgorithm},
};
use alloc::{string::ToString, vec::Vec};

/// Verifies a report under a key that was verified before, with one P-384 verification. Whether the
/// key is revoked is asked before, with [`Vek::under`].
///
/// A debug policy is not an error: it is in the claims, for the appraisal policy to refuse.
/// Migration is one, for the claims have no place for it: a migration agent can read the guest's
/// memory.
///
/// The claims' TCB status is [`TcbStatus::UpToDate`] if each of the report's four TCB versions
/// (reported, current, committed, at launch) is at least `minimum`, else [`TcbStatus::OutOfDate`]:
/// a guest that old firmware has launched stays suspect, and firmware that may be rolled back is as
/// good as the oldest it may be rolled back to. Without a minimum the status is `UpToDate`.
///
/// # Errors
/// One for each check: see [`Error`].
pub fn verify(
    report: Report,
    vek: &Vek,
    minimum: Option<TcbVersion>,
    now: UnixSeconds,
) -> Result<Verified<Report>, Error> {
    if now >= vek.not_after {
        return Err(Error::Expired { document: Document::Vek });
    }
    check_signer(&report, vek)?;
    check_platform(&report, vek)?;
    check_guest(&report)?;
    PublicKey::from_p384_raw(&vek.public_key)
        .and_then(|key| {
            let (signed, signature) = (report.signed_bytes(), report.signature());
            key.verify_raw(SignatureAlgorithm::EcdsaSha384, signed, &signature)
        })
        .map_err(|_| Error::Signature)?;

    let meets = |tcbs: [TcbVersion; 4], minimum| tcbs.iter().all(|tcb| tcb.at_least(&minimum));
    let status = match minimum {
        Some(minimum) if !meets(report.tcbs(vek.product)?, minimum) => TcbStatus::OutOfDate,
        _ => TcbStatus::UpToDate,
    };
    let claims = Claims {
        kind: TeeKind::AmdSevSnp,
        grade: vek.grade,
        measurements: Measurements::SevSnp {
            measurement: report.measurement(),
            host_data: report.host_data(),
            id_key_digest: report.id_key_digest(),
            author_key_digest: report.author_key_digest(),
            guest_svn: report.guest_svn(),
            vmpl: report.vmpl(),
            policy: report.policy(),
        },
        report_data: report.report_data(),
        debug: report.allows_debug(),
        tcb: Tcb { status, advisories: Vec::new(), date: None, evaluation: None },
        platform_id: platform_id(&report),
        product: vek.product.to_string(),
        not_after: vek.not_after,
    };
    Ok(Verified::new(report, claims))
}

/// Verifies a report with all that belongs to it: [`verify_vek`], then [`verify`].
///
/// # Errors
/// One for each check: see [`Error`].
pub fn verify_with_endorsements(
    report: Report,
    endorsements: &RawEndorsements,
    roots: &TrustRoots,
    minimum: Option<TcbVersion>,
    now: UnixSeconds,
) -> Result<Verified<Report>, Error> {
    verify(report, &endorsements.verify(roots, now)?, minimum, now)
}

/// The key is of the kind that the report names, and the algorithm is the one there is.
fn check_signer(report: &Report, vek: &Vek) -> Result<(), Error> {
    if report.signature_algorithm() != 1 {
        return Err(Error::SignatureAlgorithm { found: report.signature_algorithm() });
    }
    let kind = report.signing_key()?;
    if kind != vek.kind {
        return Err(Error::SignerKind { report: kind, certificate: vek.kind });
    }
    if kind == KeyKind::Vcek && report.masks_chip_key() {
        return Err(Error::ChipKeyMasked);
    }
    Ok(())
}

/// Product, chip and firmware are those of the key's certificate.
fn check_platform(report: &Report, vek: &Vek) -> Result<(), Error> {
    if let Some(product) = report.product().filter(|product| *product != vek.product) {
        return Err(Error::Product { report: product, certificate: vek.product });
    }
    if let Some(chip_id) = vek.chip_id {
        match report.chip_id() {
            id if id == chip_id => {}
            id if id == [0; 64] => return Err(Error::ChipIdMasked),
            _ => return Err(Error::ChipId),
        }
    }
    let [reported, ..] = report.tcbs(vek.product)?;
    if reported != vek.tcb {
        return Err(Error::Tcb { report: reported, certificate: vek.tcb });
    }
    Ok(())
}

/// A guest asked, and nobody but it and a debugger may read its memory.
fn check_guest(report: &Report) -> Result<(), Error> {
    if report.vmpl() > 3 {
        return Err(Error::Vmpl { found: report.vmpl() });
    }
    if !report.policy_is_known() {
        return Err(Error::Policy { policy: report.policy() });
    }
    if report.allows_migration() {
        return Err(Error::MigrationAllowed);
    }
    if report.has_migration_agent() {
        return Err(Error::MigrationAgent);
    }
    Ok(())
}

/// The chip id; empty where the cloud provider hides it (with a VLEK).
fn platform_id(report: &Report) -> Vec<u8> {
    match report.chip_id() {
        id if id == [0; 64] => Vec::new(),
        id => id.to_vec(),
    }
}
