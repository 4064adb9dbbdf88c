//! Identity of the quoting enclave (PCS API v4).

use super::{
    Document, Error, RootCrl, SgxReport,
    intake::{Intake, check_time, read_chain},
    json::{Date, Hex},
};
use crate::{Grade, TcbStatus, TeeKind, UnixSeconds, roots::TrustRoots, x509::Certificate};
use alloc::{borrow::Cow, string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use serde::Deserialize;

/// The verified identity of a quoting enclave.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
#[non_exhaustive]
pub struct QeIdentity {
    /// Whether it quotes enclaves or TDs.
    pub kind: TeeKind,
    /// Number of the evaluation data; a higher one is newer.
    pub evaluation: u32,
    /// MISCSELECT.
    pub misc_select: [u8; 4],
    /// Which bits of MISCSELECT are compared.
    pub misc_select_mask: [u8; 4],
    /// Attributes.
    pub attributes: [u8; 16],
    /// Which bits of the attributes are compared.
    pub attributes_mask: [u8; 16],
    /// MRSIGNER.
    pub mr_signer: [u8; 32],
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// Levels, the highest first.
    pub levels: Vec<QeTcbLevel>,
    /// Serial number of the certificate that signed it, by which the root may revoke it.
    pub signer_serial: Vec<u8>,
    /// SHA-256 of the root's SubjectPublicKeyInfo.
    pub root_spki_sha256: [u8; 32],
    /// What the root is worth.
    pub grade: Grade,
    /// When it was issued.
    pub issue_date: UnixSeconds,
    /// When the next is due.
    pub next_update: UnixSeconds,
    /// Last second of which it, its signer's chain and the root's revocation list are valid.
    pub not_after: UnixSeconds,
}

/// One level of a quoting enclave.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct QeTcbLevel {
    /// Lowest ISVSVN.
    pub isv_svn: u16,
    /// When the level was published.
    pub date: UnixSeconds,
    /// Intel's judgement.
    pub status: TcbStatus,
    /// Open advisories.
    pub advisories: Vec<String>,
}

impl QeIdentity {
    /// Finds the level of a quoting enclave, if it is the one that this identity is of.
    pub(super) fn judge(&self, report: &SgxReport) -> Result<&QeTcbLevel, Error> {
        if report.mr_signer != self.mr_signer {
            return Err(Error::QeSigner);
        }
        if report.isv_prod_id != self.isv_prod_id {
            return Err(Error::QeProduct);
        }
        if report.is_debug() {
            return Err(Error::QeDebug);
        }
        let misc_select = report.misc_select.to_le_bytes();
        if !equal_masked(&misc_select, &self.misc_select_mask, &self.misc_select) {
            return Err(Error::QeMiscSelect);
        }
        if !equal_masked(&report.attributes, &self.attributes_mask, &self.attributes) {
            return Err(Error::QeAttributes);
        }
        self.levels
            .iter()
            .find(|level| level.isv_svn <= report.isv_svn)
            .ok_or(Error::NoQeTcbLevel(report.isv_svn))
    }
}

/// As Intel's verifier compares: what is expected is not masked.
fn equal_masked(value: &[u8], mask: &[u8], expected: &[u8]) -> bool {
    value.iter().zip(mask).zip(expected).all(|((value, mask), expected)| value & mask == *expected)
}

/// Verifies a quoting enclave's identity: `json` is the value of `enclaveIdentity` byte for byte as
/// received, `signature` is `r || s`, the chain (signer, root) is PEM.
///
/// # Errors
/// Those of [`super::verify_tcb_info`].
pub fn verify_qe_identity(
    json: &str,
    signature: &[u8; 64],
    issuer_chain_pem: &[u8],
    root_crl: &RootCrl,
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<QeIdentity, Error> {
    let chain = read_chain(Document::QeIdentityIssuer, issuer_chain_pem)?;
    Intake::new(roots, now).qe_identity(json, signature, &chain, root_crl)
}

impl Intake<'_> {
    pub(super) fn qe_identity(
        &mut self,
        text: &str,
        signature: &[u8; 64],
        chain: &[Certificate],
        root_crl: &RootCrl,
    ) -> Result<QeIdentity, Error> {
        let document = Document::QeIdentity;
        let signed =
            self.document(document, Document::QeIdentityIssuer, text, signature, chain, root_crl)?;
        let json: Json<'_> =
            serde_json::from_str(text).map_err(|_| Error::MalformedDocument(document))?;
        // Intel announced version 3 for the TD quoting enclave; it has the same fields.
        let (kind, versions) = match json.id.as_ref() {
            "QE" => (TeeKind::IntelSgx, 2..=2),
            "TD_QE" => (TeeKind::IntelTdx, 2..=3),
            _ => return Err(Error::MalformedDocument(document)),
        };
        if !versions.contains(&json.version) {
            return Err(Error::UnsupportedDocument { document, version: json.version });
        }
        let (issue_date, next_update) = (json.issue_date.0, json.next_update.0);
        check_time(document, issue_date, next_update, self.now)?;
        let mut levels: Vec<_> = json
            .tcb_levels
            .into_iter()
            .map(|level| QeTcbLevel {
                isv_svn: level.tcb.isvsvn,
                date: level.tcb_date.0,
                status: level.tcb_status,
                advisories: level.advisories,
            })
            .collect();
        levels.sort_by_key(|level| core::cmp::Reverse(level.isv_svn));
        Ok(QeIdentity {
            kind,
            evaluation: json.tcb_evaluation_data_number,
            misc_select: json.miscselect.0,
            misc_select_mask: json.miscselect_mask.0,
            attributes: json.attributes.0,
            attributes_mask: json.attributes_mask.0,
            mr_signer: json.mrsigner.0,
            isv_prod_id: json.isvprodid,
            levels,
            signer_serial: signed.signer_serial,
            root_spki_sha256: signed.root_spki_sha256,
            grade: signed.grade,
            issue_date,
            next_update,
            not_after: next_update.min(signed.not_after),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    version: u32,
    issue_date: Date,
    next_update: Date,
    tcb_evaluation_data_number: u32,
    miscselect: Hex<4>,
    miscselect_mask: Hex<4>,
    attributes: Hex<16>,
    attributes_mask: Hex<16>,
    mrsigner: Hex<32>,
    isvprodid: u16,
    tcb_levels: Vec<Level>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    tcb: Svn,
    tcb_date: Date,
    tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    advisories: Vec<String>,
}

#[derive(Deserialize)]
struct Svn {
    isvsvn: u16,
}
