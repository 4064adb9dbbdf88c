//! AMD's collateral.

use crate::*;
use casemate_attestation::{
    sev_snp::{self, AmdCrl},
    x509::Certificate,
    Grade,
};
use frame_support::ensure;

impl<T: Config> Pallet<T> {
    /// What a root of AMD's has revoked, as far as it is known.
    pub fn amd_crl(grade: Grade, root: [u8; 32]) -> Option<AmdCrl> {
        AmdCrls::<T>::get(grade, root).and_then(|stored| stored.get())
    }

    pub(crate) fn do_submit_amd_crl(crl: &[u8], ark: &[u8]) -> DispatchResult {
        let new = sev_snp::verify_amd_crl(crl, ark, &Self::trust_roots(), Self::now())
            .map_err(|_| Error::<T>::NotVerified)?;
        let (grade, root) = (new.grade, new.root);
        let list = match Self::amd_crl(grade, root) {
            Some(mut known) => {
                ensure!(known.absorb(&new), Error::<T>::NotNewer);
                known
            }
            None => new,
        };
        AmdCrls::<T>::insert(grade, root, Stored::new(&list).ok_or(Error::<T>::TooLarge)?);
        Self::deposit_event(Event::AmdCrlUpdated { grade, root });
        Ok(())
    }

    pub(crate) fn do_submit_vek(vek: &[u8], ask: &[u8], ark: &[u8]) -> DispatchResult {
        let certificate = Certificate::from_der(vek).map_err(|_| Error::<T>::NotVerified)?;
        let digest = sp_io::hashing::sha2_256(certificate.der());
        let now = Self::now();
        let verified = sev_snp::verify_vek(vek, ask, ark, None, &Self::trust_roots(), now)
            .map_err(|_| Error::<T>::NotVerified)?;
        let grade = verified.grade;
        let crl = Self::amd_crl(grade, verified.root).ok_or(Error::<T>::AmdCrlMissing)?;
        verified.clone().under(&crl, now).map_err(|error| match error {
            sev_snp::Error::AskRevoked | sev_snp::Error::VekRevoked => Error::<T>::Revoked,
            _ => Error::<T>::AmdCrlMissing,
        })?;
        if let Some(old) = Veks::<T>::get(digest).and_then(|stored| stored.get()) {
            // AMD may certify the key that issued it anew.
            let better = verified.not_after > old.not_after || crl.revokes(&old);
            ensure!(better, Error::<T>::Known);
        }
        // What is kept is without the list: evidence is verified under the newest.
        Veks::<T>::insert(digest, Stored::new(&verified).ok_or(Error::<T>::TooLarge)?);
        Self::deposit_event(Event::CertificateAdded { digest, grade });
        Ok(())
    }
}
