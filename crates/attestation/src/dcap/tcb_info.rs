//! TCB info: which security versions of a processor family are up to date (PCS API v4).

use super::{
    Document, Error, RootCrl,
    intake::{Intake, check_time, read_chain},
    json::{Date, Hex},
};
use crate::{Grade, TcbStatus, TeeKind, UnixSeconds, roots::TrustRoots, x509::Certificate};
use alloc::{borrow::Cow, string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use serde::Deserialize;

/// Verified TCB info.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
#[non_exhaustive]
pub struct TcbInfo {
    /// SGX or TDX.
    pub kind: TeeKind,
    /// Of which processor family.
    pub fmspc: [u8; 6],
    /// Of which provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Number of the evaluation data; a higher one is newer.
    pub evaluation: u32,
    /// Levels, the highest first, ordered as Intel's verifier orders them.
    pub levels: Vec<TcbLevel>,
    /// For TDX: the module that has no version (`TEE_TCB_SVN[1]` is 0).
    pub base_module: Option<TdxModule>,
    /// For TDX: the modules by version.
    pub modules: Vec<TdxModule>,
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

/// One level: a platform is on the first whose versions are all at most its own.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct TcbLevel {
    /// Security versions of the 16 SGX components.
    pub sgx_svns: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// Security versions of the 16 TDX components; zeros for SGX.
    pub tdx_svns: [u8; 16],
    /// When the level was published.
    pub date: UnixSeconds,
    /// Intel's judgement.
    pub status: TcbStatus,
    /// Open advisories.
    pub advisories: Vec<String>,
}

/// A TDX module.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct TdxModule {
    /// Its version (`TEE_TCB_SVN[1]`).
    pub version: u8,
    /// MRSIGNERSEAM.
    pub signer: [u8; 48],
    /// SEAMATTRIBUTES.
    pub attributes: [u8; 8],
    /// Which of the attributes' bits may be set at all.
    pub attributes_mask: [u8; 8],
    /// Levels, the highest first; none for the base module.
    pub levels: Vec<TdxModuleLevel>,
}

/// One level of a TDX module.
#[derive(Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, PartialEq, TypeInfo)]
pub struct TdxModuleLevel {
    /// Lowest security version (`TEE_TCB_SVN[0]`).
    pub isv_svn: u8,
    /// When the level was published.
    pub date: UnixSeconds,
    /// Intel's judgement.
    pub status: TcbStatus,
    /// Open advisories.
    pub advisories: Vec<String>,
}

/// Verifies TCB info: `json` is the value of `tcbInfo` byte for byte as received, `signature` is
/// `r || s`, the chain (signer, root) is PEM.
///
/// # Errors
/// Those of the chain (see [`super::verify_pck_crl`]), [`Error::DocumentSignature`],
/// [`Error::MalformedDocument`], [`Error::UnsupportedDocument`], [`Error::NotYetValid`],
/// [`Error::Expired`].
pub fn verify_tcb_info(
    json: &str,
    signature: &[u8; 64],
    issuer_chain_pem: &[u8],
    root_crl: &RootCrl,
    roots: &TrustRoots,
    now: UnixSeconds,
) -> Result<TcbInfo, Error> {
    let chain = read_chain(Document::TcbInfoIssuer, issuer_chain_pem)?;
    Intake::new(roots, now).tcb_info(json, signature, &chain, root_crl)
}

impl Intake<'_> {
    pub(super) fn tcb_info(
        &mut self,
        text: &str,
        signature: &[u8; 64],
        chain: &[Certificate],
        root_crl: &RootCrl,
    ) -> Result<TcbInfo, Error> {
        let document = Document::TcbInfo;
        let signed =
            self.document(document, Document::TcbInfoIssuer, text, signature, chain, root_crl)?;
        let json: Json<'_> =
            serde_json::from_str(text).map_err(|_| Error::MalformedDocument(document))?;
        let kind = match json.id.as_ref() {
            "SGX" => TeeKind::IntelSgx,
            "TDX" => TeeKind::IntelTdx,
            _ => return Err(Error::MalformedDocument(document)),
        };
        // Type 0 is the only one that says how levels are compared.
        if json.version != 3 || json.tcb_type != 0 {
            return Err(Error::UnsupportedDocument { document, version: json.version });
        }
        let (issue_date, next_update) = (json.issue_date.0, json.next_update.0);
        check_time(document, issue_date, next_update, self.now)?;
        let is_tdx = kind == TeeKind::IntelTdx;
        let mut levels = json
            .tcb_levels
            .into_iter()
            .map(|level| level.read(is_tdx))
            .collect::<Option<Vec<_>>>()
            .ok_or(Error::MalformedDocument(document))?;
        // As Intel's verifier does: the highest first, by SGX components, PCESVN, TDX components.
        levels.sort_by(|a, b| {
            (&b.sgx_svns, b.pce_svn, &b.tdx_svns).cmp(&(&a.sgx_svns, a.pce_svn, &a.tdx_svns))
        });
        let modules = json
            .tdx_module_identities
            .into_iter()
            .map(Module::read)
            .collect::<Option<Vec<_>>>()
            .ok_or(Error::MalformedDocument(document))?;
        if is_tdx && json.tdx_module.is_none() {
            return Err(Error::MalformedDocument(document));
        }
        Ok(TcbInfo {
            kind,
            fmspc: json.fmspc.0,
            pce_id: json.pce_id.0,
            evaluation: json.tcb_evaluation_data_number,
            levels,
            base_module: json.tdx_module.map(|module| TdxModule {
                version: 0,
                signer: module.mrsigner.0,
                attributes: module.attributes.0,
                attributes_mask: module.attributes_mask.0,
                levels: Vec::new(),
            }),
            modules,
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
    fmspc: Hex<6>,
    pce_id: Hex<2>,
    tcb_type: u32,
    tcb_evaluation_data_number: u32,
    tcb_levels: Vec<Level>,
    tdx_module: Option<BaseModule>,
    #[serde(default)]
    tdx_module_identities: Vec<Module>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    tcb: Svns,
    tcb_date: Date,
    tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    advisories: Vec<String>,
}

#[derive(Deserialize)]
struct Svns {
    #[serde(rename = "sgxtcbcomponents")]
    sgx: [Component; 16],
    pcesvn: u16,
    #[serde(rename = "tdxtcbcomponents")]
    tdx: Option<[Component; 16]>,
}

#[derive(Clone, Copy, Deserialize)]
struct Component {
    svn: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BaseModule {
    mrsigner: Hex<48>,
    attributes: Hex<8>,
    attributes_mask: Hex<8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Module {
    id: String,
    mrsigner: Hex<48>,
    attributes: Hex<8>,
    attributes_mask: Hex<8>,
    tcb_levels: Vec<ModuleLevel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModuleLevel {
    tcb: ModuleSvn,
    tcb_date: Date,
    tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    advisories: Vec<String>,
}

#[derive(Deserialize)]
struct ModuleSvn {
    isvsvn: u8,
}

impl Level {
    /// `None` if a level for TDX has no TDX components.
    fn read(self, is_tdx: bool) -> Option<TcbLevel> {
        let tdx_svns = match self.tcb.tdx {
            Some(components) if is_tdx => components.map(|component| component.svn),
            None if is_tdx => return None,
            _ => [0; 16],
        };
        Some(TcbLevel {
            sgx_svns: self.tcb.sgx.map(|component| component.svn),
            pce_svn: self.tcb.pcesvn,
            tdx_svns,
            date: self.tcb_date.0,
            status: self.tcb_status,
            advisories: self.advisories,
        })
    }
}

impl Module {
    /// `None` if the name does not end in a version: `TDX_01`.
    fn read(self) -> Option<TdxModule> {
        let digits = self.id.strip_prefix("TDX_").filter(|digits| digits.len() == 2)?;
        let version = u8::from_str_radix(digits, 16).ok()?;
        let mut levels: Vec<_> = self
            .tcb_levels
            .into_iter()
            .map(|level| TdxModuleLevel {
                isv_svn: level.tcb.isvsvn,
                date: level.tcb_date.0,
                status: level.tcb_status,
                advisories: level.advisories,
            })
            .collect();
        levels.sort_by_key(|level| core::cmp::Reverse(level.isv_svn));
        Some(TdxModule {
            version,
            signer: self.mrsigner.0,
            attributes: self.attributes.0,
            attributes_mask: self.attributes_mask.0,
            levels,
        })
    }
}
