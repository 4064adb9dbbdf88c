//! Quotes: SGX version 3, TDX versions 4 and 5.

use super::{
    Intel, Tcb,
    collateral::{QE_SVN, qe_mr_signer},
};
use crate::{
    Error, Misbehaviour, evidence::Format, keys::p256_sign, measure::Measurements, misbehave,
};
use sha2::{Digest, Sha256, Sha384};

/// `939A7233-F79C-4CA9-940A-0DB3957F0607`: the vendor of Intel's quoting enclaves. Verifiers refuse
/// all others.
const QE_VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];

/// Attestation key type: ECDSA with P-256.
const ECDSA_P256: u16 = 2;

/// TEE type of TDX.
const TEE_TYPE_TDX: u32 = 0x81;

/// Certification data: a PEM chain; a quoting enclave's report with its own certification data.
const PCK_CHAIN: u16 = 5;
const QE_REPORT: u16 = 6;

/// Body of a version 5 quote: a TD report of TDX 1.5.
const BODY_TD_15: u16 = 3;

/// SGX attributes: initialised, 64 bit; debug.
const SGX_INIT: u8 = 1;
const SGX_DEBUG: u8 = 2;
const SGX_MODE_64: u8 = 4;
const SGX_PROVISION_KEY: u8 = 0x10;

/// XFRM of an enclave: x87, SSE, AVX, AVX-512.
const XFRM: [u8; 8] = [0xe7, 0, 0, 0, 0, 0, 0, 0];

/// XFAM of a trust domain, as real ones have it: XFRM with CET and AMX.
const XFAM: [u8; 8] = [0xe7, 0x1a, 0x06, 0, 0, 0, 0, 0];

impl Intel {
    /// A quote.
    pub(crate) fn quote(
        &self,
        format: Format,
        measurements: &Measurements,
        report_data: &[u8; 64],
        misbehave: &[Misbehaviour],
    ) -> Result<Vec<u8>, Error> {
        let platform = misbehave::platform(misbehave);
        let tcb = Tcb::of(platform);
        let debug = misbehave.contains(&Misbehaviour::Debug);
        let (version, tee_type) = match format {
            Format::SgxV3 => (3_u16, 0),
            Format::TdxV4 => (4, TEE_TYPE_TDX),
            Format::TdxV5 => (5, TEE_TYPE_TDX),
            Format::SnpV2 | Format::SnpV3 | Format::SnpV5 => {
                return Err(Error::Key("it does not sign reports of AMD's"));
            }
        };
        let body = match measurements {
            Measurements::Sgx { mr_enclave, mr_signer } => {
                let mut flags = SGX_INIT | SGX_MODE_64;
                if debug {
                    flags |= SGX_DEBUG;
                }
                enclave_report(&EnclaveReport {
                    tcb,
                    flags,
                    mr_enclave,
                    mr_signer,
                    product: 0,
                    svn: 1,
                    report_data,
                })
            }
            Measurements::Tdx { .. } => td_report(format, tcb, measurements, report_data, debug),
            Measurements::SevSnp { .. } => return Err(Error::Key("it is of another vendor")),
        };

        let mut quote = Vec::new();
        quote.extend(version.to_le_bytes());
        quote.extend(ECDSA_P256.to_le_bytes());
        quote.extend(u32::to_le_bytes(tee_type));
        // Versions of QE and PCE; reserved from version 4 on.
        if format == Format::SgxV3 {
            quote.extend(QE_SVN.to_le_bytes());
            quote.extend(tcb.pce_svn.to_le_bytes());
        } else {
            quote.extend([0; 4]);
        }
        quote.extend(QE_VENDOR);
        quote.extend([0; 20]);
        if format == Format::TdxV5 {
            quote.extend(BODY_TD_15.to_le_bytes());
            quote.extend(length_32(&body));
        }
        quote.extend(body);

        let mut signature = p256_sign(&self.attestation_key, &quote)?;
        if misbehave.contains(&Misbehaviour::BadSignature) {
            signature[63] ^= 1;
        }
        let mut authentication = signature.to_vec();
        authentication.extend(self.attestation_public_key());
        let certification = self.qe_certification(format, tcb, misbehave)?;
        if format == Format::SgxV3 {
            authentication.extend(certification);
        } else {
            authentication.extend(QE_REPORT.to_le_bytes());
            authentication.extend(length_32(&certification));
            authentication.extend(certification);
        }
        quote.extend(length_32(&authentication));
        quote.extend(authentication);
        Ok(quote)
    }

    /// x and y.
    fn attestation_public_key(&self) -> Vec<u8> {
        let point = self.attestation_key.verifying_key().to_encoded_point(false);
        point.as_bytes().iter().copied().skip(1).collect()
    }

    /// The quoting enclave's report over the attestation key, signed by the machine's key, with
    /// the machine's certificates.
    fn qe_certification(
        &self,
        format: Format,
        tcb: &Tcb,
        misbehave: &[Misbehaviour],
    ) -> Result<Vec<u8>, Error> {
        let platform = misbehave::platform(misbehave);
        let authentication_data: Vec<u8> = (0..32).collect();
        let mut report_data = [0; 64];
        let digest =
            Sha256::digest([self.attestation_public_key(), authentication_data.clone()].concat());
        let (first, _) = report_data.split_at_mut(32);
        first.copy_from_slice(&digest);
        let mut mr_signer = qe_mr_signer();
        if misbehave.contains(&Misbehaviour::WrongQe) {
            mr_signer[0] ^= 1;
        }
        let mr_enclave = Sha256::digest(b"casemate/software-tee/qe/v1").into();
        let report = enclave_report(&EnclaveReport {
            tcb,
            flags: SGX_INIT | SGX_PROVISION_KEY,
            mr_enclave: &mr_enclave,
            mr_signer: &mr_signer,
            product: if format == Format::SgxV3 { 1 } else { 2 },
            svn: QE_SVN,
            report_data: &report_data,
        });
        let mut out = report.clone();
        out.extend(self.pck(platform)?.key.sign_p256_raw(&report)?);
        out.extend((authentication_data.len() as u64).to_le_bytes().into_iter().take(2));
        out.extend(authentication_data);
        out.extend(PCK_CHAIN.to_le_bytes());
        // Real ones end in a zero byte.
        let mut chain = self.pck_chain(platform)?.into_bytes();
        chain.push(0);
        out.extend(length_32(&chain));
        out.extend(chain);
        Ok(out)
    }
}

/// Length in four bytes, little-endian. Nothing here is longer than some kilobytes.
fn length_32(bytes: &[u8]) -> impl Iterator<Item = u8> + use<> {
    (bytes.len() as u64).to_le_bytes().into_iter().take(4)
}

struct EnclaveReport<'a> {
    tcb: &'a Tcb,
    flags: u8,
    mr_enclave: &'a [u8; 32],
    mr_signer: &'a [u8; 32],
    product: u16,
    svn: u16,
    report_data: &'a [u8; 64],
}

/// SGX report body (SDM vol. 3D, table 38-21), 384 bytes.
fn enclave_report(report: &EnclaveReport<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(384);
    out.extend(report.tcb.sgx);
    // MISCSELECT and reserved.
    out.extend([0; 4 + 28]);
    out.extend([report.flags, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(XFRM);
    out.extend(report.mr_enclave);
    out.extend([0; 32]);
    out.extend(report.mr_signer);
    out.extend([0; 96]);
    out.extend(report.product.to_le_bytes());
    out.extend(report.svn.to_le_bytes());
    out.extend([0; 60]);
    out.extend(report.report_data);
    out
}

/// TD report body: 584 bytes for TDX 1.0 (version 4), 648 for TDX 1.5 (version 5).
fn td_report(
    format: Format,
    tcb: &Tcb,
    measurements: &Measurements,
    report_data: &[u8; 64],
    debug: bool,
) -> Vec<u8> {
    let Measurements::Tdx { mr_td, rtmr, mr_config_id } = measurements else { return Vec::new() };
    let mut out = Vec::with_capacity(648);
    out.extend(tcb.tdx);
    // MRSEAM: the module. MRSIGNERSEAM and SEAMATTRIBUTES are zeros for Intel's own.
    out.extend(Sha384::digest(b"casemate/software-tee/tdx-module/v1"));
    out.extend([0; 48 + 8]);
    // TD attributes: bit 28, SEPT_VE_DISABLE, as Linux demands; bit 0, debug.
    out.extend([u8::from(debug), 0, 0, 0x10, 0, 0, 0, 0]);
    out.extend(XFAM);
    out.extend(mr_td);
    out.extend(mr_config_id);
    // MROWNER, MROWNERCONFIG.
    out.extend([0; 48 + 48]);
    out.extend(rtmr.iter().flatten());
    out.extend(report_data);
    if format == Format::TdxV5 {
        // TEE_TCB_SVN_2: what the module would be after an update; MRSERVICETD: no service TD.
        out.extend(tcb.tdx);
        out.extend([0; 48]);
    }
    out
}
