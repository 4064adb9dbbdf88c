//! Finding out what a file is.

use super::{Bundle, BundleError, SignedBody, malformed};
use crate::{
    TeeKind,
    x509::{Certificate, Crl, pem::base64},
};
use alloc::{
    borrow::Cow,
    collections::BTreeMap,
    string::{String, ToString as _},
    vec::Vec,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Deepest nesting of JSON in JSON, PEM in hex, and so on.
const DEPTH_MAX: usize = 6;

/// Adds all that is found. Finding nothing is no error here.
pub(super) fn any(bundle: &mut Bundle, bytes: &[u8], depth: usize) -> Result<(), BundleError> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    if bytes.first() == Some(&0x30) {
        if let Some(()) = der(bundle, bytes)? {
            return Ok(());
        }
    }
    let Ok(text) = core::str::from_utf8(bytes) else { return Ok(()) };
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if text.starts_with('<') && text.contains("SoftwareIdentity") {
        bundle.check_room()?;
        bundle.rims.push(bytes.to_vec());
        return Ok(());
    }
    if text.contains("-----BEGIN") {
        return if text.starts_with(['{', '[']) {
            json(bundle, text, depth)
        } else {
            pem(bundle, text)
        };
    }
    if text.starts_with(['{', '[', '"']) {
        return json(bundle, text, depth);
    }
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let compact: String = digits.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if compact.len() >= 128 {
        if let Ok(bytes) = hex::decode(&compact) {
            return any(bundle, &bytes, depth + 1);
        }
        if let Ok(bytes) = base64(compact.as_bytes()) {
            return any(bundle, &bytes, depth + 1);
        }
    }
    Ok(())
}

fn der(bundle: &mut Bundle, bytes: &[u8]) -> Result<Option<()>, BundleError> {
    if let Ok(certificate) = Certificate::from_der(bytes) {
        add_certificate(bundle, certificate)?;
        return Ok(Some(()));
    }
    if let Ok(crl) = Crl::from_der(bytes) {
        bundle.check_room()?;
        bundle.crls.push(crl);
        return Ok(Some(()));
    }
    Ok(None)
}

fn add_certificate(bundle: &mut Bundle, certificate: Certificate) -> Result<(), BundleError> {
    // The same root comes with every chain.
    if bundle.certificates.iter().all(|known| known.der() != certificate.der()) {
        bundle.check_room()?;
        bundle.certificates.push(certificate);
    }
    Ok(())
}

/// All blocks of a text, whatever stands between them.
fn pem(bundle: &mut Bundle, text: &str) -> Result<(), BundleError> {
    let text = if text.contains("-----BEGIN%20") { percent_decoded(text)? } else { text.into() };
    let mut rest: &str = &text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let after = &rest[start + "-----BEGIN ".len()..];
        let (label, body) =
            after.split_once("-----").ok_or_else(|| malformed("PEM", "a line has no end"))?;
        let (body, tail) =
            body.split_once("-----END ").ok_or_else(|| malformed("PEM", "a block has no end"))?;
        rest = tail;
        let bytes = base64(body.as_bytes()).map_err(|error| malformed("PEM", error))?;
        match label {
            "CERTIFICATE" => {
                let certificate = Certificate::from_der(&bytes)
                    .map_err(|error| malformed("certificate", error))?;
                add_certificate(bundle, certificate)?;
            }
            "X509 CRL" => {
                let crl =
                    Crl::from_der(&bytes).map_err(|error| malformed("revocation list", error))?;
                bundle.check_room()?;
                bundle.crls.push(crl);
            }
            // Keys and parameters are not for us.
            _ => {}
        }
    }
    Ok(())
}

fn percent_decoded(text: &str) -> Result<Cow<'_, str>, BundleError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| {
            byte.and_then(|byte| char::from(byte).to_digit(16))
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or_else(|| malformed("URL-encoded PEM", "`%` without two hex digits"))
        };
        out.push(digit(bytes.next())? << 4 | digit(bytes.next())?);
    }
    String::from_utf8(out)
        .map(Cow::Owned)
        .map_err(|_| malformed("URL-encoded PEM", "it is not text"))
}

/// A PCS body: the signature is over the exact bytes of the inner object.
#[derive(Deserialize)]
struct PcsBody<'a> {
    #[serde(borrow, alias = "tcbInfo", alias = "enclaveIdentity")]
    inner: &'a RawValue,
    signature: &'a str,
}

fn json(bundle: &mut Bundle, text: &str, depth: usize) -> Result<(), BundleError> {
    let members: BTreeMap<String, &RawValue> = match serde_json::from_str(text) {
        Ok(members) => members,
        Err(_) => {
            // A list or a string: its strings may be something.
            if let Ok(parts) = serde_json::from_str::<Vec<&RawValue>>(text) {
                return parts.into_iter().try_for_each(|part| any_json(bundle, part, depth));
            }
            if let Ok(inner) = serde_json::from_str::<String>(text) {
                return any(bundle, inner.as_bytes(), depth + 1);
            }
            return Err(malformed("JSON", "it does not parse"));
        }
    };
    if members.contains_key("signature")
        && (members.contains_key("tcbInfo") || members.contains_key("enclaveIdentity"))
    {
        let body: PcsBody<'_> =
            serde_json::from_str(text).map_err(|error| malformed("PCS body", error))?;
        let is_tcb_info = members.contains_key("tcbInfo");
        return add_body(bundle, is_tcb_info, body.inner.get().to_string(), body.signature);
    }
    // `QuoteCollateralV3`: the bodies are strings, the signatures beside them.
    for (name, is_tcb_info) in [("tcb_info", true), ("qe_identity", false)] {
        let body = members.get(name).and_then(|raw| text_of(raw));
        let signature = members.get(&[name, "_signature"].concat()).and_then(|raw| text_of(raw));
        if let (Some(body), Some(signature)) = (body, signature) {
            add_body(bundle, is_tcb_info, body, &signature)?;
        }
    }
    members.into_values().try_for_each(|value| any_json(bundle, value, depth))
}

fn any_json(bundle: &mut Bundle, value: &RawValue, depth: usize) -> Result<(), BundleError> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') => match text_of(value) {
            Some(text) => any(bundle, text.as_bytes(), depth + 1),
            None => Ok(()),
        },
        Some(b'{' | b'[') => json(bundle, raw, depth + 1),
        _ => Ok(()),
    }
}

fn text_of(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn add_body(
    bundle: &mut Bundle,
    is_tcb_info: bool,
    body: String,
    signature: &str,
) -> Result<(), BundleError> {
    let signature = hex::decode(signature)
        .ok()
        .filter(|signature| signature.len() == 64)
        .ok_or_else(|| malformed("PCS body", "the signature is not 64 bytes of hex"))?;
    bundle.check_room()?;
    let of = if is_tcb_info { &mut bundle.tcb_infos } else { &mut bundle.qe_identities };
    of.push(SignedBody { body, signature });
    Ok(())
}

/// Whether TCB info names this kind and these processors.
pub(super) fn tcb_info_is_for(body: &str, kind: TeeKind, fmspc: &str) -> bool {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return false };
    let id = body.get("id").and_then(Value::as_str).unwrap_or("SGX");
    let wanted = if kind == TeeKind::IntelTdx { "TDX" } else { "SGX" };
    id == wanted
        && body
            .get("fmspc")
            .and_then(Value::as_str)
            .is_some_and(|found| found.eq_ignore_ascii_case(fmspc))
}

/// Whether a QE identity is of this kind's quoting enclave.
pub(super) fn qe_identity_is_for(body: &str, kind: TeeKind) -> bool {
    let Ok(body) = serde_json::from_str::<Value>(body) else { return false };
    let wanted = if kind == TeeKind::IntelTdx { "TD_QE" } else { "QE" };
    body.get("id").and_then(Value::as_str) == Some(wanted)
}

/// Certificates as PEM (RFC 7468).
pub(super) fn to_pem(certificates: &[&Certificate]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let symbol = |bits: u32| char::from(ALPHABET[(bits & 63) as usize]);
    let mut out = String::new();
    for certificate in certificates {
        out.push_str("-----BEGIN CERTIFICATE-----\n");
        // 48 bytes are the 64 characters of a line.
        for line in certificate.der().chunks(48) {
            for group in line.chunks(3) {
                let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
                let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
                out.push(symbol(bits >> 18));
                out.push(symbol(bits >> 12));
                out.push(if group.len() > 1 { symbol(bits >> 6) } else { '=' });
                out.push(if group.len() > 2 { symbol(bits) } else { '=' });
            }
            out.push('\n');
        }
        out.push_str("-----END CERTIFICATE-----\n");
    }
    out
}
