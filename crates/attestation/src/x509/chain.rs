//! Chains up to a pinned root.

use super::{CHAIN_LENGTH_MAX, Certificate, X509Error};
use crate::UnixSeconds;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// A chain that [`verify_chain`] has checked.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// Whose chain it is.
    pub leaf: &'a Certificate,
    /// Its last certificate, which signed itself. Whether its key is one to trust is asked by the
    /// caller, with [`Certificate::spki_sha256`].
    pub root: &'a Certificate,
    /// First second of which all certificates are valid.
    pub not_before: UnixSeconds,
    /// Last second of which all certificates are valid.
    pub not_after: UnixSeconds,
}

/// Checks a chain given from leaf to root: each certificate is issued by the next, the last by
/// itself, all are valid now, and none has more CAs below it than it allows. Revocation and the root's
/// key are the caller's.
///
/// # Errors
/// See [`X509Error`].
pub fn verify_chain(chain: &[Certificate], now: UnixSeconds) -> Result<Chain<'_>, X509Error> {
    verify_chain_with(chain, now, &mut Seen::default())
}

/// Signatures that were verified before, so that chains which share certificates cost no more than
/// their parts.
#[derive(Debug, Default)]
pub(crate) struct Seen(Vec<[u8; 32]>);

impl Seen {
    fn verify(&mut self, subject: &Certificate, issuer: &Certificate) -> Result<(), X509Error> {
        // Both parts are whole DER values, so no other pair gives the same input.
        let pair = Sha256::new().chain_update(subject.der()).chain_update(issuer.der()).finalize();
        if !self.0.iter().any(|seen| *seen == *pair) {
            subject.verify_issued_by(issuer)?;
            self.0.push(pair.into());
        }
        Ok(())
    }
}

/// Like [`verify_chain`], for several chains one after the other.
pub(crate) fn verify_chain_with<'a>(
    chain: &'a [Certificate],
    now: UnixSeconds,
    seen: &mut Seen,
) -> Result<Chain<'a>, X509Error> {
    let ([leaf, ..], [.., root]) = (chain, chain) else { return Err(X509Error::ChainLength) };
    if chain.len() > CHAIN_LENGTH_MAX {
        return Err(X509Error::ChainLength);
    }
    // Times first: that costs nothing and is what fails most often.
    for certificate in chain {
        certificate.check_validity(now)?;
    }
    let mut cas_below = 0;
    for pair in chain.windows(2) {
        let [subject, issuer] = pair else { continue };
        if issuer.is_ca() && !issuer.allows_path_length(cas_below) {
            return Err(X509Error::IssuerNotAllowed);
        }
        if !issuer.is_self_issued() {
            cas_below += 1;
        }
        seen.verify(subject, issuer)?;
    }
    seen.verify(root, root)?;
    Ok(Chain {
        leaf,
        root,
        not_before: chain.iter().map(Certificate::not_before).max().unwrap_or_default(),
        not_after: chain.iter().map(Certificate::not_after).min().unwrap_or_default(),
    })
}
