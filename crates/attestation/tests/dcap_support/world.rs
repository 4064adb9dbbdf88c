//! A whole platform with an Intel of its own, each part of which can be made wrong.

use super::{
    der::{integer, json_time, oid, sequence, tlv},
    pem,
    pki::{Cert, Key, List},
};
use casemate_attestation::{
    Claims, Grade, TrustRoot, TrustRoots, Vendor,
    dcap::{Error, Quote, RawCollateral, verify_with_collateral},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The time at which all of it is valid.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const DAY: u64 = 86_400;

const SGX_ARC: &str = "1.2.840.113741.1.13.1";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    SgxV3,
    SgxV4,
    TdxV4,
    Tdx10V5,
    Tdx15V5,
    Tdx15ExV5,
}

impl Form {
    pub(crate) const ALL: [Self; 6] =
        [Self::SgxV3, Self::SgxV4, Self::TdxV4, Self::Tdx10V5, Self::Tdx15V5, Self::Tdx15ExV5];

    pub(crate) fn is_sgx(self) -> bool {
        matches!(self, Self::SgxV3 | Self::SgxV4)
    }

    fn version(self) -> u16 {
        match self {
            Self::SgxV3 => 3,
            Self::SgxV4 | Self::TdxV4 => 4,
            _ => 5,
        }
    }

    fn body(self) -> (u16, usize) {
        match self {
            Self::SgxV3 | Self::SgxV4 => (1, 384),
            Self::TdxV4 | Self::Tdx10V5 => (2, 584),
            Self::Tdx15V5 => (3, 648),
            Self::Tdx15ExV5 => (4, 885),
        }
    }
}

/// What the SGX extension of the PCK certificate says.
#[derive(Clone)]
pub(crate) struct SgxExtension {
    pub(crate) ppid: Vec<u8>,
    pub(crate) svns: [u8; 16],
    pub(crate) pce_svn: u64,
    pub(crate) pce_id: Vec<u8>,
    pub(crate) fmspc: Vec<u8>,
}

impl SgxExtension {
    fn der(&self) -> Vec<u8> {
        let octets = |number: u8, value: &[u8]| {
            sequence(&[oid(&format!("{SGX_ARC}.{number}")), tlv(0x04, value)])
        };
        let mut tcb: Vec<_> = (1u8..)
            .zip(self.svns)
            .map(|(number, svn)| {
                sequence(&[oid(&format!("{SGX_ARC}.2.{number}")), integer(svn.into())])
            })
            .collect();
        tcb.push(sequence(&[oid(&format!("{SGX_ARC}.2.17")), integer(self.pce_svn)]));
        tcb.push(sequence(&[oid(&format!("{SGX_ARC}.2.18")), tlv(0x04, self.svns)]));
        sequence(&[
            octets(1, &self.ppid),
            sequence(&[oid(&format!("{SGX_ARC}.2")), sequence(&tcb)]),
            octets(3, &self.pce_id),
            octets(4, &self.fmspc),
            sequence(&[oid(&format!("{SGX_ARC}.5")), tlv(0x0a, [0])]),
        ])
    }
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) form: Form,
    pub(crate) trusted: Key,
    pub(crate) grade: Grade,
    pub(crate) now: u64,
    pub(crate) root: Cert,
    pub(crate) pck_ca: Cert,
    pub(crate) pck: Cert,
    pub(crate) tcb_signer: Cert,
    pub(crate) qe_signer: Cert,
    pub(crate) root_crl: List,
    pub(crate) pck_crl: List,
    pub(crate) pck_crl_issuer: Cert,
    pub(crate) sgx_extension: Option<SgxExtension>,
    pub(crate) tcb_info: Value,
    pub(crate) tcb_info_key: Key,
    pub(crate) qe_identity: Value,
    pub(crate) qe_identity_key: Key,
    /// The body of the quote.
    pub(crate) body: Vec<u8>,
    /// The key that signs the quoting enclave's report.
    pub(crate) platform_key: Key,
    /// The key that signs the quote.
    pub(crate) attestation_key: Key,
    /// The quoting enclave's report without its report data.
    pub(crate) qe_report: Vec<u8>,
    pub(crate) qe_report_data: Option<[u8; 64]>,
    pub(crate) auth_data: Vec<u8>,
    pub(crate) certification_kind: u16,
}

fn cert(serial: u64, subject: &'static str, key: u8, ca: Option<u64>) -> Cert {
    Cert {
        serial,
        issuer: "Intel SGX Root CA",
        subject,
        not_before: NOW - 100 * DAY,
        not_after: NOW + 100 * DAY,
        key: Key::new(key),
        signer: Key::new(1),
        ca,
        spki: None,
        extensions: vec![],
    }
}

fn components(svns: [u8; 16]) -> Value {
    svns.iter().map(|svn| json!({ "svn": svn })).collect()
}

/// A level as the JSON has it.
pub(crate) fn level(sgx: u8, pce: u16, tdx: u8, status: &str, advisories: &[&str]) -> Value {
    json!({
        "tcb": {
            "sgxtcbcomponents": components([sgx; 16]),
            "pcesvn": pce,
            "tdxtcbcomponents": components([tdx; 16]),
        },
        "tcbDate": json_time(NOW - 50 * DAY),
        "tcbStatus": status,
        "advisoryIDs": advisories,
    })
}

/// A level of a module or a quoting enclave.
pub(crate) fn part_level(svn: u16, status: &str, advisories: &[&str]) -> Value {
    json!({
        "tcb": { "isvsvn": svn },
        "tcbDate": json_time(NOW - 60 * DAY),
        "tcbStatus": status,
        "advisoryIDs": advisories,
    })
}

impl World {
    pub(crate) fn new(form: Form) -> Self {
        let pck_ca = cert(2, "Intel SGX PCK Platform CA", 2, Some(0));
        let mut pck = cert(3, "Intel SGX PCK Certificate", 3, None);
        pck.issuer = pck_ca.subject;
        pck.signer = pck_ca.key.clone();
        let tcb_signer = cert(4, "Intel SGX TCB Signing", 4, None);
        let list = |issuer, key| List {
            issuer,
            signer: Key::new(key),
            this_update: NOW - DAY,
            next_update: Some(NOW + 30 * DAY),
            revoked: vec![],
            // CRL number.
            extensions: vec![("2.5.29.20", false, integer(1))],
        };
        let kind = if form.is_sgx() { "SGX" } else { "TDX" };
        let module = json!({
            "mrsigner": "00".repeat(48),
            "attributes": "0000000000000000",
            "attributesMask": "FFFFFFFFFFFFFFFF",
        });
        let mut module_1 = module.clone();
        module_1["id"] = "TDX_01".into();
        module_1["tcbLevels"] = json!([
            part_level(4, "UpToDate", &[]),
            part_level(2, "OutOfDate", &["INTEL-SA-00004"]),
        ]);
        let mut tcb_info = json!({
            "id": kind,
            "version": 3,
            "issueDate": json_time(NOW - DAY),
            "nextUpdate": json_time(NOW + 20 * DAY),
            "fmspc": "00A067110000",
            "pceId": "0000",
            "tcbType": 0,
            "tcbEvaluationDataNumber": 20,
            "tcbLevels": [
                level(5, 10, 5, "UpToDate", &[]),
                level(3, 10, 3, "SWHardeningNeeded", &["INTEL-SA-00001"]),
                level(2, 5, 2, "OutOfDate", &["INTEL-SA-00001", "INTEL-SA-00002"]),
                level(1, 5, 1, "Revoked", &["INTEL-SA-00003"]),
            ],
        });
        if !form.is_sgx() {
            tcb_info["tdxModule"] = module;
            tcb_info["tdxModuleIdentities"] = json!([module_1]);
        }
        let qe_identity = json!({
            "id": if form.is_sgx() { "QE" } else { "TD_QE" },
            "version": 2,
            "issueDate": json_time(NOW - DAY),
            "nextUpdate": json_time(NOW + 25 * DAY),
            "tcbEvaluationDataNumber": 19,
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": "AB".repeat(32),
            "isvprodid": 2,
            "tcbLevels": [
                part_level(8, "UpToDate", &[]),
                part_level(6, "OutOfDate", &["INTEL-SA-00005"]),
                part_level(5, "Revoked", &["INTEL-SA-00006"]),
            ],
        });
        let mut qe_report = vec![0; 320];
        qe_report[48] = 0x11;
        qe_report[128..160].fill(0xab);
        qe_report[256] = 2;
        qe_report[258] = 8;
        let mut world = Self {
            form,
            trusted: Key::new(1),
            grade: Grade::Software,
            now: NOW,
            root: cert(1, "Intel SGX Root CA", 1, Some(1)),
            pck_crl_issuer: pck_ca.clone(),
            pck_ca,
            pck,
            qe_signer: tcb_signer.clone(),
            tcb_signer,
            root_crl: list("Intel SGX Root CA", 1),
            pck_crl: list("Intel SGX PCK Platform CA", 2),
            sgx_extension: Some(SgxExtension {
                ppid: vec![7; 16],
                svns: [5; 16],
                pce_svn: 11,
                pce_id: vec![0; 2],
                fmspc: vec![0x00, 0xa0, 0x67, 0x11, 0x00, 0x00],
            }),
            tcb_info,
            tcb_info_key: Key::new(4),
            qe_identity,
            qe_identity_key: Key::new(4),
            body: vec![0; form.body().1],
            platform_key: Key::new(3),
            attestation_key: Key::new(5),
            qe_report,
            qe_report_data: None,
            auth_data: (0..32).collect(),
            certification_kind: 5,
        };
        if form.is_sgx() {
            world.body[48] = 0x05;
            world.body[64..96].fill(0xee);
            world.body[320..384].fill(0xdd);
        } else {
            // Module 1 with ISVSVN 4, the rest of TEE_TCB_SVN as in the newest level.
            world.set_tee_tcb_svn(4, 1, 5);
            // SEPT_VE_DISABLE.
            world.body[123] = 0x10;
            world.body[136..184].fill(0xee);
            world.body[520..584].fill(0xdd);
        }
        world
    }

    /// Sets the TD's security versions, at launch and now.
    pub(crate) fn set_tee_tcb_svn(&mut self, isv_svn: u8, version: u8, rest: u8) {
        self.body[..16].fill(rest);
        self.body[..2].copy_from_slice(&[isv_svn, version]);
        if self.body.len() > 584 {
            let launch: [u8; 16] = self.body[..16].try_into().expect("16 bytes");
            self.body[584..600].copy_from_slice(&launch);
        }
    }

    pub(crate) fn roots(&self) -> TrustRoots {
        TrustRoots::new([TrustRoot {
            vendor: Vendor::Intel,
            grade: self.grade,
            spki_sha256: Sha256::digest(self.trusted.spki()).into(),
        }])
    }

    pub(crate) fn chain(&self, leaf: &Cert) -> String {
        pem([leaf.der().as_slice(), self.root.der().as_slice()])
    }

    pub(crate) fn pck_chain(&self) -> String {
        let mut pck = self.pck.clone();
        if let Some(extension) = &self.sgx_extension {
            pck.extensions.push((SGX_ARC, false, extension.der()));
        }
        pem([pck.der().as_slice(), self.pck_ca.der().as_slice(), self.root.der().as_slice()])
    }

    pub(crate) fn collateral(&self) -> RawCollateral {
        let tcb_info = self.tcb_info.to_string();
        let qe_identity = self.qe_identity.to_string();
        RawCollateral {
            pck_crl_issuer_chain: self.chain(&self.pck_crl_issuer),
            root_ca_crl: self.root_crl.der(),
            pck_crl: self.pck_crl.der(),
            tcb_info_issuer_chain: self.chain(&self.tcb_signer),
            tcb_info_signature: self.tcb_info_key.sign(tcb_info.as_bytes()).to_vec(),
            tcb_info,
            qe_identity_issuer_chain: self.chain(&self.qe_signer),
            qe_identity_signature: self.qe_identity_key.sign(qe_identity.as_bytes()).to_vec(),
            qe_identity,
            pck_certificate_chain: None,
        }
    }

    pub(crate) fn quote(&self) -> Vec<u8> {
        let mut quote = vec![];
        quote.extend(self.form.version().to_le_bytes());
        quote.extend(2u16.to_le_bytes());
        quote.extend(if self.form.is_sgx() { [0; 4] } else { [0x81, 0, 0, 0] });
        quote.extend([0; 4]);
        quote.extend(casemate_attestation::dcap::INTEL_QE_VENDOR_ID);
        quote.extend([9; 20]);
        if self.form.version() == 5 {
            let (kind, length) = self.form.body();
            quote.extend(kind.to_le_bytes());
            quote.extend((length as u32).to_le_bytes());
        }
        quote.extend(&self.body);

        let mut qe_report = self.qe_report.clone();
        let report_data = self.qe_report_data.unwrap_or_else(|| {
            let mut data = [0; 64];
            let hash = Sha256::new()
                .chain_update(self.attestation_key.raw())
                .chain_update(&self.auth_data)
                .finalize();
            data[..32].copy_from_slice(&hash);
            data
        });
        qe_report.extend(report_data);
        let mut certification = self.platform_key.sign(&qe_report).to_vec();
        certification.splice(0..0, qe_report);
        certification.extend((self.auth_data.len() as u16).to_le_bytes());
        certification.extend(&self.auth_data);
        let mut chain = self.pck_chain().into_bytes();
        chain.push(0);
        certification.extend(self.certification_kind.to_le_bytes());
        certification.extend((chain.len() as u32).to_le_bytes());
        certification.extend(chain);

        let mut signature = self.attestation_key.sign(&quote).to_vec();
        signature.extend(self.attestation_key.raw());
        if self.form.version() >= 4 {
            signature.extend(6u16.to_le_bytes());
            signature.extend((certification.len() as u32).to_le_bytes());
        }
        signature.extend(certification);
        quote.extend((signature.len() as u32).to_le_bytes());
        quote.extend(signature);
        quote
    }

    pub(crate) fn verify(&self) -> Result<Claims, Error> {
        self.verify_quote(&self.quote())
    }

    pub(crate) fn verify_quote(&self, quote: &[u8]) -> Result<Claims, Error> {
        let quote = Quote::parse(quote)?;
        verify_with_collateral(quote, &self.collateral(), &self.roots(), self.now)
            .map(|verified| verified.into_claims())
    }
}
