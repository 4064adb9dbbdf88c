//! Collateral as it travels.

use super::{Document, Error};
use alloc::{string::String, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// All that is needed to verify a quote besides the quote, unverified.
///
/// The JSON is that of dcap-qvl's `QuoteCollateralV3`, so that its tools and services can be used:
/// byte strings are hex, chains are PEM, documents are JSON text inside a string.
#[derive(
    Clone,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    PartialEq,
    Serialize,
    TypeInfo,
)]
pub struct RawCollateral {
    /// Chain (PCK CA, root) of who issued `pck_crl`, in PEM.
    pub pck_crl_issuer_chain: String,
    /// Revocation list of the root, in DER.
    #[serde(with = "hex::serde")]
    pub root_ca_crl: Vec<u8>,
    /// Revocation list of the PCK CA, in DER.
    #[serde(with = "hex::serde")]
    pub pck_crl: Vec<u8>,
    /// Chain (signer, root) of who signed `tcb_info`, in PEM.
    pub tcb_info_issuer_chain: String,
    /// TCB info, byte for byte as signed.
    pub tcb_info: String,
    /// `r || s` over `tcb_info`.
    #[serde(with = "hex::serde")]
    pub tcb_info_signature: Vec<u8>,
    /// Chain (signer, root) of who signed `qe_identity`, in PEM.
    pub qe_identity_issuer_chain: String,
    /// Identity of the quoting enclave, byte for byte as signed.
    pub qe_identity: String,
    /// `r || s` over `qe_identity`.
    #[serde(with = "hex::serde")]
    pub qe_identity_signature: Vec<u8>,
    /// Chain (PCK certificate, PCK CA, root) in PEM; instead of the quote's own where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pck_certificate_chain: Option<String>,
}

/// What Intel's Provisioning Certification Service, or a cache of it, answered (API v4).
///
/// Chains are the values of the headers named, percent-encoded as they come, or PEM. Revocation
/// lists are DER, or hex of it as some caches have them.
#[derive(Clone, Copy, Debug)]
pub struct PcsResponses<'a> {
    /// Body of `/sgx/certification/v4/pckcrl?encoding=der`.
    pub pck_crl: &'a [u8],
    /// Its header `SGX-PCK-CRL-Issuer-Chain`.
    pub pck_crl_issuer_chain: &'a str,
    /// Body of `IntelSGXRootCA.der`.
    pub root_ca_crl: &'a [u8],
    /// Body of `/{sgx,tdx}/certification/v4/tcb`.
    pub tcb_info: &'a str,
    /// Its header `TCB-Info-Issuer-Chain`.
    pub tcb_info_issuer_chain: &'a str,
    /// Body of `/{sgx,tdx}/certification/v4/qe/identity`.
    pub qe_identity: &'a str,
    /// Its header `SGX-Enclave-Identity-Issuer-Chain`.
    pub qe_identity_issuer_chain: &'a str,
    /// PCK certificate and its chain (body and header `SGX-PCK-Certificate-Issuer-Chain` of
    /// `/sgx/certification/v4/pckcert`, one after the other), if the quote does not carry them.
    pub pck_certificate_chain: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TcbInfoResponse<'a> {
    #[serde(borrow)]
    tcb_info: &'a RawValue,
    signature: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QeIdentityResponse<'a> {
    #[serde(borrow)]
    enclave_identity: &'a RawValue,
    signature: String,
}

impl RawCollateral {
    /// Puts the answers together. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::MalformedDocument`] if an answer is not of the expected form.
    pub fn from_pcs(responses: &PcsResponses<'_>) -> Result<Self, Error> {
        let malformed = |document| move |_| Error::MalformedDocument(document);
        let tcb: TcbInfoResponse<'_> = serde_json::from_str(responses.tcb_info)
            .map_err(|_| Error::MalformedDocument(Document::TcbInfo))?;
        let qe: QeIdentityResponse<'_> = serde_json::from_str(responses.qe_identity)
            .map_err(|_| Error::MalformedDocument(Document::QeIdentity))?;
        Ok(Self {
            pck_crl_issuer_chain: chain(responses.pck_crl_issuer_chain, Document::PckCrlIssuer)?,
            root_ca_crl: crl(responses.root_ca_crl, Document::RootCrl)?,
            pck_crl: crl(responses.pck_crl, Document::PckCrl)?,
            tcb_info_issuer_chain: chain(responses.tcb_info_issuer_chain, Document::TcbInfoIssuer)?,
            tcb_info: tcb.tcb_info.get().into(),
            tcb_info_signature: hex::decode(&tcb.signature)
                .map_err(malformed(Document::TcbInfo))?,
            qe_identity_issuer_chain: chain(
                responses.qe_identity_issuer_chain,
                Document::QeIdentityIssuer,
            )?,
            qe_identity: qe.enclave_identity.get().into(),
            qe_identity_signature: hex::decode(&qe.signature)
                .map_err(malformed(Document::QeIdentity))?,
            pck_certificate_chain: responses
                .pck_certificate_chain
                .map(|text| chain(text, Document::PckCertificate))
                .transpose()?,
        })
    }
}

/// Undoes the percent-encoding (RFC 3986, 2.1) that the headers have.
fn chain(text: &str, document: Document) -> Result<String, Error> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (digits, tail) =
            rest.split_first_chunk::<2>().ok_or(Error::MalformedDocument(document))?;
        let mut decoded = [0];
        hex::decode_to_slice(digits, &mut decoded)
            .map_err(|_| Error::MalformedDocument(document))?;
        out.extend_from_slice(&decoded);
        rest = tail;
    }
    String::from_utf8(out).map_err(|_| Error::MalformedDocument(document))
}

/// Takes DER, or hex of it. DER starts with the byte 0x30 (SEQUENCE), hex of it with the character 3.
fn crl(bytes: &[u8], document: Document) -> Result<Vec<u8>, Error> {
    if bytes.first() == Some(&0x30) {
        return Ok(bytes.to_vec());
    }
    hex::decode(bytes.trim_ascii()).map_err(|_| Error::MalformedDocument(document))
}
