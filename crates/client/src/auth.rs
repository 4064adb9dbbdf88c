//! How a request to a provider is signed, and how a provider checks it.
//!
//! A request is signed with the account's own sr25519 key, so no password and no token exists that
//! could leak. The signature covers the chain, the provider asked, the method, the path with its
//! query, the body, an expiry and a nonce: it means nothing at another provider, on another chain,
//! for another path, or a second time. Who asks must never choose the clock or the provider's
//! account: [`verify`] takes both from the side that checks.

use std::collections::{BTreeMap, HashSet};

use casemate_primitives::{AccountBytes, Hash256, UnixSeconds, blake2_256};
use codec::Encode;
use subxt_signer::sr25519::{Keypair, PublicKey, Signature};

/// Header with the account's public key, 64 hex digits.
pub const ACCOUNT_HEADER: &str = "casemate-account";
/// Header with the last second at which the request is good, decimal.
pub const EXPIRES_HEADER: &str = "casemate-expires";
/// Header with 16 random bytes, 32 hex digits.
pub const NONCE_HEADER: &str = "casemate-nonce";
/// Header with the signature, 128 hex digits.
pub const SIGNATURE_HEADER: &str = "casemate-signature";

/// Says what is signed, so that a signature is never taken for one over something else.
pub const SIGNING_CONTEXT: &[u8] = b"casemate/http-request/v1";

/// How far ahead a request may expire. It bounds how long a nonce has to be remembered, and leaves
/// room for clocks that are a minute or two apart.
pub const LIFETIME_SECONDS_MAX: u64 = 300;

/// What [`sign`] uses unless told otherwise: enough for a slow upload, little for a thief.
pub const LIFETIME_SECONDS_DEFAULT: u64 = 120;

/// 16 random bytes that make a request single-use.
pub type RequestNonce = [u8; 16];

/// What a signature covers, but for expiry and nonce.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// Chain that both sides are on.
    pub genesis_hash: &'a Hash256,
    /// Account of the provider that is asked.
    pub provider: &'a AccountBytes,
    /// HTTP method in capitals.
    pub method: &'a str,
    /// Path and query as the provider sees them, from `/v1` on.
    pub path_and_query: &'a str,
    /// Whole body; empty where there is none.
    pub body: &'a [u8],
}

impl RequestParts<'_> {
    fn signing_payload(&self, expires: UnixSeconds, nonce: &RequestNonce) -> Vec<u8> {
        // SCALE puts a length before each string, so no two requests have the same bytes.
        (
            SIGNING_CONTEXT,
            self.genesis_hash,
            self.provider,
            self.method,
            self.path_and_query,
            blake2_256(self.body),
            expires,
            nonce,
        )
            .encode()
    }
}

/// What the four headers carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestSignature {
    /// Who signed.
    pub account: AccountBytes,
    /// Last second at which the request is good.
    pub expires: UnixSeconds,
    /// Makes it single-use.
    pub nonce: RequestNonce,
    /// sr25519 over the payload.
    pub signature: [u8; 64],
}

impl RequestSignature {
    /// The headers to send.
    pub fn headers(&self) -> [(&'static str, String); 4] {
        [
            (ACCOUNT_HEADER, hex::encode(self.account)),
            (EXPIRES_HEADER, self.expires.to_string()),
            (NONCE_HEADER, hex::encode(self.nonce)),
            (SIGNATURE_HEADER, hex::encode(self.signature)),
        ]
    }

    /// Reads the headers back; `header` looks one up by its lower-case name.
    ///
    /// # Errors
    /// A header is missing or malformed. Nothing is verified yet.
    pub fn from_headers<'h>(
        header: impl Fn(&'static str) -> Option<&'h str>,
    ) -> Result<Self, AuthError> {
        let text = |name| header(name).ok_or(AuthError::MissingHeader { name });
        Ok(Self {
            account: bytes_from(ACCOUNT_HEADER, text(ACCOUNT_HEADER)?)?,
            expires: text(EXPIRES_HEADER)?
                .parse()
                .map_err(|_| AuthError::BadHeader { name: EXPIRES_HEADER })?,
            nonce: bytes_from(NONCE_HEADER, text(NONCE_HEADER)?)?,
            signature: bytes_from(SIGNATURE_HEADER, text(SIGNATURE_HEADER)?)?,
        })
    }
}

/// Signs a request.
pub fn sign(
    key: &Keypair,
    parts: &RequestParts<'_>,
    expires: UnixSeconds,
    nonce: RequestNonce,
) -> RequestSignature {
    let signature = key.sign(&parts.signing_payload(expires, &nonce)).0;
    RequestSignature { account: key.public_key().0, expires, nonce, signature }
}

/// Checks a signature over `parts` at `now` and says whose it is.
///
/// A nonce that was used before is not noticed here: ask [`ReplayCache::accept`] next.
///
/// # Errors
/// The request has expired, expires too far ahead, or the signature is not one over it.
pub fn verify(
    parts: &RequestParts<'_>,
    signed: &RequestSignature,
    now: UnixSeconds,
) -> Result<AccountBytes, AuthError> {
    if signed.expires < now {
        return Err(AuthError::Expired { expires: signed.expires, now });
    }
    if signed.expires > now.saturating_add(LIFETIME_SECONDS_MAX) {
        return Err(AuthError::TooFarAhead { expires: signed.expires, now });
    }
    let payload = parts.signing_payload(signed.expires, &signed.nonce);
    let good = subxt_signer::sr25519::verify(
        &Signature(signed.signature),
        payload,
        &PublicKey(signed.account),
    );
    if good { Ok(signed.account) } else { Err(AuthError::BadSignature) }
}

/// Nonces that were used and have not expired yet.
///
/// Bounded; when it is full it refuses rather than forgets. Anybody can make accounts, so those
/// that the provider does not know may fill only half of it: its customers get through a flood.
/// It lies in memory: what is asked for after a restart must be safe to do twice, and is.
#[derive(Debug)]
pub struct ReplayCache {
    entries_max: usize,
    /// Nonces that expired before this second are forgotten, so nothing older is accepted again,
    /// even if the clock is set back.
    forgotten_before: UnixSeconds,
    used: HashSet<(AccountBytes, RequestNonce)>,
    by_expiry: BTreeMap<UnixSeconds, Vec<(AccountBytes, RequestNonce)>>,
}

impl ReplayCache {
    /// A cache for `entries_max` nonces (about 200 bytes each).
    pub fn new(entries_max: usize) -> Self {
        Self { entries_max, forgotten_before: 0, used: HashSet::new(), by_expiry: BTreeMap::new() }
    }

    /// Remembers the nonce of a request that [`verify`] has accepted; `known` says whether the
    /// account is a customer (or the provider itself).
    ///
    /// # Errors
    /// The nonce was used before, may have been, or the cache is full.
    pub fn accept(
        &mut self,
        signed: &RequestSignature,
        known: bool,
        now: UnixSeconds,
    ) -> Result<(), AuthError> {
        self.forgotten_before = self.forgotten_before.max(now);
        if signed.expires < self.forgotten_before {
            return Err(AuthError::Expired { expires: signed.expires, now: self.forgotten_before });
        }
        let live = self.by_expiry.split_off(&self.forgotten_before);
        for entry in std::mem::replace(&mut self.by_expiry, live).into_values().flatten() {
            self.used.remove(&entry);
        }
        let entry = (signed.account, signed.nonce);
        if self.used.contains(&entry) {
            return Err(AuthError::Replayed);
        }
        let limit = if known { self.entries_max } else { self.entries_max / 2 };
        if self.used.len() >= limit {
            return Err(AuthError::Busy);
        }
        self.used.insert(entry);
        self.by_expiry.entry(signed.expires).or_default().push(entry);
        Ok(())
    }

    /// How many nonces are remembered.
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

/// Why a request is not believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Not signed at all, or only half.
    #[error("header `{name}` is missing")]
    MissingHeader {
        /// Which.
        name: &'static str,
    },
    /// A header does not parse.
    #[error("header `{name}` is malformed")]
    BadHeader {
        /// Which.
        name: &'static str,
    },
    /// Too late, or the sender's clock is slow.
    #[error("the request expired at {expires}, it is {now} now")]
    Expired {
        /// Last second at which it was good.
        expires: UnixSeconds,
        /// Clock of the side that checks.
        now: UnixSeconds,
    },
    /// The sender's clock is fast, or the request was made to live too long.
    #[error(
        "the request expires at {expires}, more than {LIFETIME_SECONDS_MAX} s after {now}, which \
         is now"
    )]
    TooFarAhead {
        /// Last second at which it would be good.
        expires: UnixSeconds,
        /// Clock of the side that checks.
        now: UnixSeconds,
    },
    /// Other key, chain, provider, method, path or body.
    #[error("the signature is not the account's over this request, provider and chain")]
    BadSignature,
    /// Sent before.
    #[error("the request was sent before")]
    Replayed,
    /// Too many requests to remember.
    #[error("too many signed requests are in flight")]
    Busy,
}

impl AuthError {
    /// What the sender can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::MissingHeader { .. } | Self::BadHeader { .. } => {
                "sign the request with the account's key, as the API's specification shows"
            }
            Self::Expired { .. } | Self::TooFarAhead { .. } => {
                "set this machine's clock (for instance with NTP) and try again"
            }
            Self::BadSignature => {
                "check that this is the provider and the chain you mean, and that no proxy changes \
                 the path or the body"
            }
            Self::Replayed => "sign the request again with a new nonce",
            Self::Busy => "try again in a few minutes",
        }
    }
}

fn bytes_from<const N: usize>(name: &'static str, text: &str) -> Result<[u8; N], AuthError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| AuthError::BadHeader { name })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
