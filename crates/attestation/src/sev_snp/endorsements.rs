//! What AMD says about the key that signed a report, as it travels.

use super::{Error, Vek, vek::is_pem, verify_vek};
use crate::{
    TrustRoots, UnixSeconds,
    x509::{Certificate, X509Error, pem},
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Certificates and revocation list for one report, as they were fetched.
///
/// Each field holds DER or PEM. As JSON, each is a text: PEM, or DER in base64 (RFC 4648, 4); it is
/// written as it is held.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawEndorsements {
    /// Certificate of the key that signed: VCEK or VLEK.
    #[serde(with = "text")]
    pub vek: Vec<u8>,
    /// Certificate of AMD's signing key: ASK, for a VLEK ASVK.
    #[serde(with = "text")]
    pub ask: Vec<u8>,
    /// Certificate of AMD's root key: ARK.
    #[serde(with = "text")]
    pub ark: Vec<u8>,
    /// The root's revocation list, if it was fetched.
    #[serde(default, with = "optional_text")]
    pub crl: Option<Vec<u8>>,
}

impl RawEndorsements {
    /// From what AMD's key distribution service answers: the certificate of the key (DER) and the
    /// product's `cert_chain` (PEM: ASK, then ARK), and the list from `crl` (DER).
    ///
    /// # Errors
    /// [`X509Error`] if the chain is not PEM with two certificates.
    pub fn from_kds(vek: &[u8], chain_pem: &[u8], crl: Option<&[u8]>) -> Result<Self, X509Error> {
        match Certificate::chain_from_pem(chain_pem)?.as_slice() {
            [ask, ark] => Ok(Self {
                vek: vek.to_vec(),
                ask: ask.der().to_vec(),
                ark: ark.der().to_vec(),
                crl: crl.map(<[u8]>::to_vec),
            }),
            _ => Err(X509Error::ChainLength),
        }
    }

    /// From the certificate table that the host gives to the guest (GHCB specification 2.03, 4.1.8;
    /// the `auxblob` of Linux's configfs-tsm). `None` if it is damaged or lacks a certificate, as
    /// when the host has been given none: then ask AMD's key distribution service.
    pub fn from_certificate_table(table: &[u8]) -> Option<Self> {
        const VCEK: [u8; 16] = super::launch::guid(0x63da_758d_e664_4564_adc5_f4b9_3be8_accd);
        const VLEK: [u8; 16] = super::launch::guid(0xa807_4bc2_a25a_483e_aae6_39c0_45a0_b8a1);
        const ASK: [u8; 16] = super::launch::guid(0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782);
        const ARK: [u8; 16] = super::launch::guid(0xc0b4_06a4_a803_4952_9743_3fb6_014c_d0ae);
        const CRL: [u8; 16] = super::launch::guid(0x92f8_1bc3_5811_4d3d_97ff_d19f_88dc_67ea);
        let find = |wanted: &[u8; 16]| {
            for entry in table.chunks_exact(24) {
                let (id, place) = entry.split_first_chunk::<16>()?;
                if *id == [0; 16] {
                    return None;
                }
                if id == wanted {
                    let (from, length) = place.split_first_chunk::<4>()?;
                    let from = usize::try_from(u32::from_le_bytes(*from)).ok()?;
                    let length: [u8; 4] = length.try_into().ok()?;
                    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
                    return Some(table.get(from..from.checked_add(length)?)?.to_vec());
                }
            }
            None
        };
        Some(Self {
            vek: find(&VLEK).or_else(|| find(&VCEK))?,
            ask: find(&ASK)?,
            ark: find(&ARK)?,
            crl: find(&CRL),
        })
    }

    /// Verifies the chain: see [`verify_vek`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn verify(&self, roots: &TrustRoots, now: UnixSeconds) -> Result<Vek, Error> {
        verify_vek(&self.vek, &self.ask, &self.ark, self.crl.as_deref(), roots, now)
    }
}

fn decode<E: serde::de::Error>(text: &str) -> Result<Vec<u8>, E> {
    if is_pem(text.as_bytes()) {
        return Ok(text.as_bytes().to_vec());
    }
    pem::base64(text.as_bytes()).map_err(|_| E::custom("neither PEM nor base64"))
}

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            let known = digit <= group.len();
            out.push(DIGITS.get(value).filter(|_| known).map_or('=', |digit| char::from(*digit)));
        }
    }
    out
}

mod text {
    use super::{Deserialize, Deserializer, Serializer, String, Vec, decode, encode};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        match core::str::from_utf8(bytes) {
            Ok(text) if super::is_pem(bytes) => s.serialize_str(text),
            _ => s.serialize_str(&encode(bytes)),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        decode(&String::deserialize(d)?)
    }
}

mod optional_text {
    use super::{Deserialize, Deserializer, Serializer, String, Vec, decode, text};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => text::serialize(bytes, s),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<String>::deserialize(d)?.map(|text| decode(&text)).transpose()
    }
}
