//! AMD's certificates.

use crate::*;
use casemate_attestation::{sev_snp, x509::Certificate};
use frame_support::ensure;

impl<T: Config> Pallet<T> {
    pub(crate) fn do_submit_vek(vek: &[u8], ask: &[u8], ark: &[u8], crl: &[u8]) -> DispatchResult {
        let certificate = Certificate::from_der(vek).map_err(|_| Error::<T>::NotVerified)?;
        let digest = sp_io::hashing::sha2_256(certificate.der());
        let verified =
            sev_snp::verify_vek(vek, ask, ark, Some(crl), &Self::trust_roots(), Self::now())
                .map_err(|_| Error::<T>::NotVerified)?;
        let grade = verified.grade;
        if let Some(old) = Veks::<T>::get(digest).and_then(|stored| stored.get()) {
            ensure!(verified.not_after > old.not_after, Error::<T>::Known);
        }
        Veks::<T>::insert(digest, Stored::new(&verified).ok_or(Error::<T>::TooLarge)?);
        Self::deposit_event(Event::CertificateAdded { digest, grade });
        Ok(())
    }
}
