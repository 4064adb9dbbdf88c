//! TCB info, quoting enclave identities and revocation lists, as Intel's PCS (API v4) gives them.

use super::{FMSPC, Intel, PCE_ID, Tcb};
use crate::{
    Error, Misbehaviour,
    calendar::{Civil, DAY},
    misbehave::Platform,
    wire::to_hex,
    x509::{self, Issuer, Period},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Number of the evaluation data. Intel counts it up with each event that changes TCB levels; ours
/// change by [`Misbehaviour::RevokedLevel`] only.
const EVALUATION: u32 = 20;

/// Security version of the quoting enclaves.
pub(super) const QE_SVN: u16 = 8;

/// Who signs the quoting enclaves.
pub(super) fn qe_mr_signer() -> [u8; 32] {
    Sha256::digest(b"casemate/software-tee/qe-signer/v1").into()
}

/// What verifiers need for one of SGX and TDX.
#[derive(Clone, Debug)]
pub struct IntelCollateral {
    /// DER.
    pub root_ca_crl: Vec<u8>,
    /// DER.
    pub pck_crl: Vec<u8>,
    /// PEM.
    pub pck_crl_issuer_chain: String,
    /// PEM, for TCB info and identity.
    pub tcb_issuer_chain: String,
    /// The bytes that are signed.
    pub tcb_info: String,
    /// r and s.
    pub tcb_info_signature: [u8; 64],
    /// The bytes that are signed.
    pub qe_identity: String,
    /// r and s.
    pub qe_identity_signature: [u8; 64],
}

impl IntelCollateral {
    /// In the shape of dcap-qvl's `QuoteCollateralV3`: revocation lists and signatures in hex. The
    /// machine's own certificates are left out, because quotes carry them.
    pub fn to_json(&self) -> Value {
        json!({
            "pck_crl_issuer_chain": self.pck_crl_issuer_chain,
            "root_ca_crl": to_hex(&self.root_ca_crl),
            "pck_crl": to_hex(&self.pck_crl),
            "tcb_info_issuer_chain": self.tcb_issuer_chain,
            "tcb_info": self.tcb_info,
            "tcb_info_signature": to_hex(&self.tcb_info_signature),
            "qe_identity_issuer_chain": self.tcb_issuer_chain,
            "qe_identity": self.qe_identity,
            "qe_identity_signature": to_hex(&self.qe_identity_signature),
        })
    }

    /// The body of PCS's answer to `/tcb`.
    pub fn tcb_info_body(&self) -> String {
        let signature = to_hex(&self.tcb_info_signature);
        format!(r#"{{"tcbInfo":{},"signature":"{signature}"}}"#, self.tcb_info)
    }

    /// The body of PCS's answer to `/qe/identity`.
    pub fn qe_identity_body(&self) -> String {
        let signature = to_hex(&self.qe_identity_signature);
        format!(r#"{{"enclaveIdentity":{},"signature":"{signature}"}}"#, self.qe_identity)
    }
}

impl Intel {
    /// For SGX and for TDX.
    pub(crate) fn collateral(
        &self,
        period: Period,
        misbehave: &[Misbehaviour],
    ) -> Result<[IntelCollateral; 2], Error> {
        let is = |one| misbehave.contains(&one);
        let mut machines = vec![&*self.pck(Platform::RevokedCertificate)?.serial];
        if is(Misbehaviour::RevokedMachine) {
            machines.push(&self.pck(Platform::Current)?.serial);
        }
        let pck_ca = Issuer { key: &self.pck_ca, name: &self.names.pck_ca };
        let pck_crl = x509::crl(&pck_ca, period, &machines)?;
        let mut signers = vec![&*self.revoked_tcb_signing_serial];
        if is(Misbehaviour::RevokedSigners) {
            for certificate in [&self.pck_ca_certificate, &self.tcb_signing_certificate] {
                let serial = x509::serial_of(certificate);
                signers.push(serial.ok_or(Error::Key("a certificate has no serial number"))?);
            }
        }
        let root = Issuer { key: &self.root, name: &self.names.root };
        let root_ca_crl = x509::crl(&root, period, &signers)?;
        let root_pem = x509::pem(&self.root_certificate);
        let signer = if is(Misbehaviour::RevokedTcbSigning) {
            &self.revoked_tcb_signing_certificate
        } else {
            &self.tcb_signing_certificate
        };
        let one = |tdx| {
            let tcb_info = tcb_info(tdx, period, is(Misbehaviour::RevokedLevel));
            let qe_identity = qe_identity(tdx, period);
            Ok(IntelCollateral {
                root_ca_crl: root_ca_crl.clone(),
                pck_crl: pck_crl.clone(),
                pck_crl_issuer_chain: x509::pem(&self.pck_ca_certificate) + &root_pem,
                tcb_issuer_chain: x509::pem(signer) + &root_pem,
                tcb_info_signature: self.tcb_signing.sign_p256_raw(tcb_info.as_bytes())?,
                tcb_info,
                qe_identity_signature: self.tcb_signing.sign_p256_raw(qe_identity.as_bytes())?,
                qe_identity,
            })
        };
        Ok([one(false)?, one(true)?])
    }
}

fn upper_hex(bytes: &[u8]) -> String {
    to_hex(bytes).to_uppercase()
}

fn dates(period: Period) -> String {
    let [from, to] = [period.from, period.to].map(|at| Civil::from_unix(at).rfc3339());
    format!(r#""issueDate":"{from}","nextUpdate":"{to}""#)
}

/// Status, advisories and age of the three levels that there are. The newest came out a month
/// before the collateral, the others a year before each other.
fn judgement(level: &Tcb, period: Period) -> String {
    let (age_days, status, advisories) = if level.pce_svn == Tcb::REVOKED.pce_svn {
        (760, "Revoked", r#","advisoryIDs":["SOFTWARE-SA-00002","SOFTWARE-SA-00001"]"#)
    } else if level.sgx == Tcb::OLD.sgx {
        (395, "OutOfDate", r#","advisoryIDs":["SOFTWARE-SA-00001"]"#)
    } else {
        (30, "UpToDate", "")
    };
    let day = period.from.saturating_sub(age_days * DAY) / DAY * DAY;
    let date = Civil::from_unix(day).rfc3339();
    format!(r#""tcbDate":"{date}","tcbStatus":"{status}"{advisories}"#)
}

fn tcb_info(tdx: bool, period: Period, all_revoked: bool) -> String {
    let judgement =
        |level: &Tcb| judgement(if all_revoked { &Tcb::REVOKED } else { level }, period);
    let levels = [&Tcb::CURRENT, &Tcb::OLD, &Tcb::REVOKED];
    let components = |svns: &[u8]| {
        let list: Vec<_> = svns.iter().map(|svn| format!(r#"{{"svn":{svn}}}"#)).collect();
        list.join(",")
    };
    let tcb_levels: Vec<_> = levels
        .iter()
        .map(|level| {
            let sgx = components(&level.sgx);
            // The module's version is judged by its identity, below; here its components are low
            // enough for all.
            let [_, _, rest @ ..] = level.tdx;
            let tdx_components = components(&[&[3, 0], &rest[..]].concat());
            let tdx_part = if tdx {
                format!(r#","tdxtcbcomponents":[{tdx_components}]"#)
            } else {
                String::new()
            };
            format!(
                r#"{{"tcb":{{"sgxtcbcomponents":[{sgx}],"pcesvn":{}{tdx_part}}},{}}}"#,
                level.pce_svn,
                judgement(level)
            )
        })
        .collect();
    let module = if tdx {
        let signer = to_hex(&[0; 48]);
        let identity = format!(
            r#""mrsigner":"{signer}","attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF""#
        );
        let module_levels: Vec<_> = levels
            .iter()
            .map(|level| {
                let [svn, ..] = level.tdx;
                format!(r#"{{"tcb":{{"isvsvn":{svn}}},{}}}"#, judgement(level))
            })
            .collect();
        format!(
            r#""tdxModule":{{{identity}}},"tdxModuleIdentities":[{{"id":"TDX_01",{identity},"tcbLevels":[{}]}}],"#,
            module_levels.join(",")
        )
    } else {
        String::new()
    };
    format!(
        r#"{{"id":"{}","version":3,{},"fmspc":"{}","pceId":"{}","tcbType":0,"tcbEvaluationDataNumber":{},{module}"tcbLevels":[{}]}}"#,
        if tdx { "TDX" } else { "SGX" },
        dates(period),
        upper_hex(&FMSPC),
        upper_hex(&PCE_ID),
        EVALUATION + u32::from(all_revoked),
        tcb_levels.join(",")
    )
}

fn qe_identity(tdx: bool, period: Period) -> String {
    let (id, product) = if tdx { ("TD_QE", 2) } else { ("QE", 1) };
    format!(
        concat!(
            r#"{{"id":"{}","version":2,{},"tcbEvaluationDataNumber":{},"#,
            r#""miscselect":"00000000","miscselectMask":"FFFFFFFF","#,
            r#""attributes":"11000000000000000000000000000000","#,
            r#""attributesMask":"FBFFFFFFFFFFFFFF0000000000000000","#,
            r#""mrsigner":"{}","isvprodid":{},"#,
            r#""tcbLevels":[{{"tcb":{{"isvsvn":{}}},{}}}]}}"#
        ),
        id,
        dates(period),
        EVALUATION,
        upper_hex(&qe_mr_signer()),
        product,
        QE_SVN,
        judgement(&Tcb::CURRENT, period)
    )
}
