//! What the tests of DCAP share.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::cast_possible_truncation, reason = "the test chooses the values")]

pub(crate) mod der;
pub(crate) mod pki;
pub(crate) mod world;

use casemate_attestation::dcap::RawCollateral;
use std::path::Path;

pub(crate) struct Sample {
    pub(crate) quote: Vec<u8>,
    pub(crate) collateral: RawCollateral,
    pub(crate) collateral_json: String,
}

/// Reads a file of `tests/data/dcap`.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dcap").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Reads a quote and its collateral.
pub(crate) fn sample(name: &str) -> Sample {
    let collateral_json =
        String::from_utf8(read(&format!("{name}_collateral.json"))).expect("UTF-8");
    Sample {
        quote: read(name),
        collateral: serde_json::from_str(&collateral_json).expect("collateral"),
        collateral_json,
    }
}

/// Writes PEM.
pub(crate) fn pem<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for der in certificates {
        let mut text = String::new();
        for chunk in der.chunks(3) {
            let mut bytes = [0; 4];
            bytes[1..=chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes(bytes);
            for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
                let letter = char::from(ALPHABET[(bits >> shift) as usize & 63]);
                text.push(if index <= chunk.len() { letter } else { '=' });
            }
        }
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            out.push_str(std::str::from_utf8(line).expect("ASCII"));
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}
