//! The invariants of the crate's documentation, by their numbers.

use crate::*;
use casemate_attestation::Grade;
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
    /// Check every invariant of the pallet.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        ensure!(
            T::SoftwareRootsAllowed::get()
                || Roots::<T>::get().iter().all(|root| root.grade == Grade::Hardware),
            "1: software roots are on development chains only"
        );
        for (grade, stored) in RootCrls::<T>::iter() {
            let crl = stored.get().ok_or("2: a root CRL decodes")?;
            ensure!(crl.grade == grade, "2: a root CRL is filed under its grade");
        }
        for (grade, ca, stored) in PckCrls::<T>::iter() {
            let crl = stored.get().ok_or("2: a PCK CRL decodes")?;
            ensure!((crl.grade, crl.ca) == (grade, ca), "2: a PCK CRL is filed under its CA");
        }
        for (grade, root, stored) in AmdCrls::<T>::iter() {
            let crl = stored.get().ok_or("2: a list of AMD's decodes")?;
            ensure!((crl.grade, crl.root) == (grade, root), "2: it is filed under its root");
        }
        for (key, stored) in TcbInfos::<T>::iter() {
            let info = stored.get().ok_or("2: TCB info decodes")?;
            ensure!((info.grade, info.kind, info.fmspc) == key, "2: TCB info is filed as it says");
        }
        for (grade, kind, stored) in QeIdentities::<T>::iter() {
            let identity = stored.get().ok_or("2: a QE identity decodes")?;
            ensure!(
                (identity.grade, identity.kind) == (grade, kind),
                "2: a QE identity is filed as it says"
            );
        }
        for stored in Pcks::<T>::iter_values() {
            ensure!(stored.get().is_some(), "2: a PCK decodes");
        }
        for stored in Veks::<T>::iter_values() {
            ensure!(stored.get().is_some(), "2: a VEK decodes");
        }
        Ok(())
    }
}
