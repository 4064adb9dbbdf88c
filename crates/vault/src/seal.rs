//! Authenticated encryption, with a random nonce in front (XChaCha20-Poly1305: 24 bytes, so that
//! random ones never meet).

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

use crate::master::Key;

const NONCE_BYTES: usize = 24;

/// What sealing adds.
pub(crate) const OVERHEAD: usize = NONCE_BYTES + 16;

/// What is sealed does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is not sealed under this vault's key, or was changed")]
pub struct OpenError;

/// Why nothing can be sealed.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub struct SealError(pub(crate) getrandom::Error);

impl From<getrandom::Error> for SealError {
    fn from(err: getrandom::Error) -> Self {
        Self(err)
    }
}

/// Seals `plain`; `context` must be the same to open it.
pub(crate) fn seal(key: &Key, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(SealError)?;
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    let payload = Payload { msg: plain, aad: context };
    // Fails beyond 256 GB alone.
    let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens what [`seal`] made.
pub(crate) fn open(
    key: &Key,
    context: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(OpenError)?;
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    let payload = Payload { msg: sealed, aad: context };
    let plain = cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| OpenError)?;
    Ok(Zeroizing::new(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Master;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_same_key_and_context_open_and_only_what_is_unchanged(
            plain: Vec<u8>, context: Vec<u8>, at: prop::sample::Index, bit in 0u8..8,
        ) {
            let keys = Master::generate().unwrap().keys();
            let sealed = seal(&keys.store, &context, &plain).unwrap();
            prop_assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            prop_assert_eq!(open(&keys.store, &context, &sealed).unwrap().to_vec(), plain.clone());
            prop_assert!(open(&keys.channel, &context, &sealed).is_err());
            let other = [context.as_slice(), b"x"].concat();
            prop_assert!(open(&keys.store, &other, &sealed).is_err());
            let mut changed = sealed.clone();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            prop_assert!(open(&keys.store, &context, &changed).is_err());
            prop_assert!(open(&keys.store, &context, &sealed[..at]).is_err());
        }
    }
}
