//! Signed tokens: JWS in compact form (RFC 7515) with ES256 (RFC 7518, 3.4), and nothing else.
//!
//! The header comes from whoever sent the token. It may say which algorithm and key were used; it
//! never chooses them.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{ResultError, ResultKey, SigningKey, TOKEN_BYTES_MAX, base64url, from_base64url};

const ALGORITHM: &str = "ES256";
const PARTS: ResultError = ResultError::NotCompact("it has not three parts with dots between");

#[derive(Serialize)]
struct Written<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// Signs `payload`.
pub fn sign(payload: &[u8], key: &SigningKey) -> String {
    let header = Written { alg: ALGORITHM, typ: "JWT", kid: key.public().id() };
    // Three texts: writing them cannot fail.
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let signed = format!("{}.{}", base64url(&header), base64url(payload));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", base64url(&signature))
}

/// The payload of a token that `key` has signed.
///
/// # Errors
/// [`ResultError::TooLarge`] and [`ResultError::NotCompact`] for what is no token,
/// [`ResultError::Algorithm`], [`ResultError::Critical`], [`ResultError::Type`],
/// [`ResultError::OtherKey`] and [`ResultError::Signature`] for one that is not believed.
pub fn verify(token: &[u8], key: &ResultKey) -> Result<Vec<u8>, ResultError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(ResultError::TooLarge);
    }
    let token =
        std::str::from_utf8(token).map_err(|_| ResultError::NotCompact("it is no text"))?.trim();
    let (signed, signature) = token.rsplit_once('.').ok_or(PARTS)?;
    let (header, payload) =
        signed.split_once('.').filter(|(_, payload)| !payload.contains('.')).ok_or(PARTS)?;
    let header =
        from_base64url(header).ok_or(ResultError::NotCompact("its header is no base64url"))?;
    let header: Header = serde_json::from_slice(&header)
        .map_err(|_| ResultError::NotCompact("its header is no JSON"))?;
    let payload =
        from_base64url(payload).ok_or(ResultError::NotCompact("its payload is no base64url"))?;
    if header.alg != ALGORITHM {
        return Err(ResultError::Algorithm(short(&header.alg)));
    }
    if header.crit.is_some() {
        return Err(ResultError::Critical);
    }
    if let Some(kind) = &header.typ
        && !["JWT", "EAT+JWT", "APPLICATION/EAT+JWT"].contains(&kind.to_ascii_uppercase().as_str())
    {
        return Err(ResultError::Type(short(kind)));
    }
    let signature = from_base64url(signature)
        .ok_or(ResultError::NotCompact("its signature is no base64url"))?;
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(match header.kid {
            Some(kid) if kid != key.id() => {
                ResultError::OtherKey { found: short(&kid), expected: key.id().to_owned() }
            }
            _ => ResultError::Signature,
        });
    }
    Ok(payload)
}

/// As much of a stranger's text as belongs into a message.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
