//! Intel's collateral.

use crate::*;
use casemate_attestation::{
    dcap::{self, Pck, PckCa, RootCrl},
    x509::Certificate,
    Grade, TrustRoots, UnixSeconds, Vendor,
};
use frame_support::{ensure, traits::UnixTime};

impl<T: Config> Pallet<T> {
    /// The chain's time in seconds.
    pub fn now() -> UnixSeconds {
        T::Time::now().as_secs()
    }

    /// The roots, as verifiers take them.
    pub fn trust_roots() -> TrustRoots {
        TrustRoots::new(Roots::<T>::get())
    }

    /// The roots of one grade alone: what is verified with them is of that grade.
    fn roots_of(grade: Grade) -> TrustRoots {
        TrustRoots::new(Roots::<T>::get().into_iter().filter(|root| root.grade == grade))
    }

    /// Whether a root is trusted still. What was kept under one that was removed since is worth nothing,
    /// so it is neither newer nor older than what comes.
    fn is_trusted(spki_sha256: &[u8; 32]) -> bool {
        Self::trust_roots().find(Vendor::Intel, spki_sha256).is_some()
    }

    /// Try `verify` with the roots and the list of revoked CAs of each grade. Collateral of one
    /// grade is never checked with another's list.
    fn with_grades<V>(
        mut verify: impl FnMut(&TrustRoots, &RootCrl) -> Result<V, dcap::Error>,
    ) -> Result<V, DispatchError> {
        let mut error = Error::<T>::RootCrlMissing;
        for grade in [Grade::Hardware, Grade::Software] {
            let Some(crl) = RootCrls::<T>::get(grade).and_then(|stored| stored.get()) else {
                continue;
            };
            match verify(&Self::roots_of(grade), &crl) {
                Ok(value) => return Ok(value),
                Err(_) => error = Error::<T>::NotVerified,
            }
        }
        Err(error.into())
    }

    pub(crate) fn do_submit_root_crl(crl: &[u8], issuer_chain: &[u8]) -> DispatchResult {
        let chain =
            Certificate::chain_from_pem(issuer_chain).map_err(|_| Error::<T>::NotVerified)?;
        let root = chain.last().ok_or(Error::<T>::NotVerified)?;
        let new = dcap::verify_root_crl(crl, root, &Self::trust_roots(), Self::now())
            .map_err(|_| Error::<T>::NotVerified)?;
        let grade = new.grade;
        let old = RootCrls::<T>::get(grade).and_then(|stored| stored.get());
        if let Some(old) = old.filter(|old| Self::is_trusted(&old.root_spki_sha256)) {
            let newer = (new.not_before, new.not_after) > (old.not_before, old.not_after);
            ensure!(newer, Error::<T>::NotNewer);
        }
        RootCrls::<T>::insert(grade, Stored::new(&new).ok_or(Error::<T>::TooLarge)?);
        Self::deposit_event(Event::RootCrlUpdated { grade });
        Ok(())
    }

    pub(crate) fn do_submit_pck_crl(crl: &[u8], issuer_chain: &[u8]) -> DispatchResult {
        let now = Self::now();
        let new = Self::with_grades(|roots, root_crl| {
            dcap::verify_pck_crl(crl, issuer_chain, root_crl, roots, now)
        })?;
        let (grade, ca) = (new.grade, new.ca);
        let old = PckCrls::<T>::get(grade, ca).and_then(|stored| stored.get());
        if let Some(old) = old.filter(|old| Self::is_trusted(&old.root_spki_sha256)) {
            // The same list counts for longer once the root's own list is newer; so for all below.
            let newer = (new.not_before, new.not_after) > (old.not_before, old.not_after);
            ensure!(newer, Error::<T>::NotNewer);
        }
        PckCrls::<T>::insert(grade, ca, Stored::new(&new).ok_or(Error::<T>::TooLarge)?);
        Self::deposit_event(Event::PckCrlUpdated { grade, ca });
        Ok(())
    }

    pub(crate) fn do_submit_tcb_info(
        body: &[u8],
        signature: &[u8; 64],
        issuer_chain: &[u8],
    ) -> DispatchResult {
        let body = core::str::from_utf8(body).map_err(|_| Error::<T>::NotVerified)?;
        let now = Self::now();
        let new = Self::with_grades(|roots, root_crl| {
            dcap::verify_tcb_info(body, signature, issuer_chain, root_crl, roots, now)
        })?;
        let key = (new.grade, new.kind, new.fmspc);
        let old = TcbInfos::<T>::get(key).and_then(|stored| stored.get());
        if let Some(old) = old.filter(|old| Self::is_trusted(&old.root_spki_sha256)) {
            let newer = (new.evaluation, new.issue_date, new.not_after)
                > (old.evaluation, old.issue_date, old.not_after);
            ensure!(newer, Error::<T>::NotNewer);
        }
        TcbInfos::<T>::insert(key, Stored::new(&new).ok_or(Error::<T>::TooLarge)?);
        let (grade, kind, fmspc) = key;
        Self::deposit_event(Event::TcbInfoUpdated {
            grade,
            kind,
            fmspc,
            evaluation: new.evaluation,
        });
        Ok(())
    }

    pub(crate) fn do_submit_qe_identity(
        body: &[u8],
        signature: &[u8; 64],
        issuer_chain: &[u8],
    ) -> DispatchResult {
        let body = core::str::from_utf8(body).map_err(|_| Error::<T>::NotVerified)?;
        let now = Self::now();
        let new = Self::with_grades(|roots, root_crl| {
            dcap::verify_qe_identity(body, signature, issuer_chain, root_crl, roots, now)
        })?;
        let (grade, kind) = (new.grade, new.kind);
        let old = QeIdentities::<T>::get(grade, kind).and_then(|stored| stored.get());
        if let Some(old) = old.filter(|old| Self::is_trusted(&old.root_spki_sha256)) {
            let newer = (new.evaluation, new.issue_date, new.not_after)
                > (old.evaluation, old.issue_date, old.not_after);
            ensure!(newer, Error::<T>::NotNewer);
        }
        QeIdentities::<T>::insert(grade, kind, Stored::new(&new).ok_or(Error::<T>::TooLarge)?);
        Self::deposit_event(Event::QeIdentityUpdated { grade, kind, evaluation: new.evaluation });
        Ok(())
    }

    pub(crate) fn do_submit_pck(chain: &[u8]) -> DispatchResult {
        let certificates =
            Certificate::chain_from_pem(chain).map_err(|_| Error::<T>::NotVerified)?;
        let leaf = certificates.first().ok_or(Error::<T>::NotVerified)?;
        let digest = sp_io::hashing::sha2_256(leaf.der());
        let now = Self::now();
        let mut is_known = false;
        let pck: Pck = Self::with_grades(|roots, root_crl| {
            let mut last = dcap::Error::PckCrlOfOtherCa;
            for ca in [PckCa::Processor, PckCa::Platform] {
                let crl = PckCrls::<T>::get(root_crl.grade, ca).and_then(|stored| stored.get());
                let Some(crl) = crl else { continue };
                match dcap::verify_pck(chain, root_crl, &crl, roots, now) {
                    Ok(pck) => return Ok(pck),
                    Err(dcap::Error::PckCrlOfOtherCa) => {}
                    Err(error) => {
                        is_known = true;
                        last = error;
                    }
                }
            }
            Err(last)
        })
        .map_err(|error| {
            // All is well with the chain as far as it was looked at: its list is not there.
            if is_known || error == Error::<T>::RootCrlMissing.into() {
                error
            } else {
                Error::<T>::PckCrlMissing.into()
            }
        })?;
        let grade = pck.grade;
        let old = Pcks::<T>::get(digest).and_then(|stored| stored.get());
        if let Some(old) = old.filter(|old| Self::is_trusted(&old.root_spki_sha256)) {
            ensure!(pck.not_after > old.not_after, Error::<T>::Known);
        }
        Pcks::<T>::insert(digest, Stored::new(&pck).ok_or(Error::<T>::TooLarge)?);
        Self::deposit_event(Event::CertificateAdded { digest, grade });
        Ok(())
    }

    pub(crate) fn do_forget_certificate(digest: CertificateDigest) -> DispatchResult {
        // Of Intel's the last second is kept in which it is valid, of AMD's the first in which it is not.
        let pck = Pcks::<T>::get(digest)
            .map(|stored| stored.get().map(|pck| pck.not_after.saturating_add(1)));
        let vek = Veks::<T>::get(digest).map(|stored| stored.get().map(|vek| vek.not_after));
        let not_after = pck.or(vek).ok_or(Error::<T>::NotFound)?;
        // What no longer decodes is of no use either.
        ensure!(not_after.is_none_or(|end| end <= Self::now()), Error::<T>::NotExpired);
        Pcks::<T>::remove(digest);
        Veks::<T>::remove(digest);
        Self::deposit_event(Event::CertificateForgotten { digest });
        Ok(())
    }
}
