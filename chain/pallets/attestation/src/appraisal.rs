//! Verification of evidence against the chain's own collateral.

use crate::*;
use casemate_attestation::{dcap, sev_snp, Claims, TeeKind, Vendor, Verified};
use pallet_endorsements::{
    CertificateDigest, PckCrls, Pcks, QeIdentities, RootCrls, SnpMinimum, TcbInfos, Veks,
};

impl<T: Config> Pallet<T> {
    /// What the evidence says, if it is genuine now.
    pub(crate) fn verify(submission: &Submission) -> Result<Claims, Error<T>> {
        match submission.kind {
            TeeKind::IntelSgx | TeeKind::IntelTdx => Self::verify_dcap(submission),
            TeeKind::AmdSevSnp => Self::verify_snp(submission),
            TeeKind::NvidiaGpu => Err(Error::<T>::Unreadable),
        }
    }

    fn verify_dcap(submission: &Submission) -> Result<Claims, Error<T>> {
        let quote = dcap::Quote::parse(&submission.evidence).map_err(|_| Error::<T>::Unreadable)?;
        let kind = quote.tee_kind();
        if kind != submission.kind {
            return Err(Error::<T>::Unreadable);
        }
        let pck = Pcks::<T>::get(submission.certificate)
            .and_then(|stored| stored.get())
            .ok_or(Error::<T>::CertificateUnknown)?;
        Self::ensure_root(Vendor::Intel, &pck.root_spki_sha256)?;
        let root_crl = RootCrls::<T>::get(pck.grade)
            .and_then(|stored| stored.get())
            .ok_or(Error::<T>::CollateralMissing)?;
        let tcb_info = TcbInfos::<T>::get((pck.grade, kind, pck.fmspc))
            .and_then(|stored| stored.get())
            .ok_or(Error::<T>::CollateralMissing)?;
        let qe_identity = QeIdentities::<T>::get(pck.grade, kind)
            .and_then(|stored| stored.get())
            .ok_or(Error::<T>::CollateralMissing)?;
        let pck_crl = PckCrls::<T>::get(pck.grade, pck.ca)
            .and_then(|stored| stored.get())
            .ok_or(Error::<T>::CollateralMissing)?;
        let endorsements = dcap::Endorsements {
            root_crl: &root_crl,
            pck: &pck,
            pck_crl: &pck_crl,
            tcb_info: &tcb_info,
            qe_identity: &qe_identity,
        };
        dcap::verify(quote, &endorsements, Self::now())
            .map(Verified::into_claims)
            .map_err(|error| Self::dcap_error(&error))
    }

    fn verify_snp(submission: &Submission) -> Result<Claims, Error<T>> {
        let report =
            sev_snp::Report::parse(&submission.evidence).map_err(|_| Error::<T>::Unreadable)?;
        let vek = Veks::<T>::get(submission.certificate)
            .and_then(|stored| stored.get())
            .ok_or(Error::<T>::CertificateUnknown)?;
        Self::ensure_root(Vendor::Amd, &vek.root)?;
        let crl = pallet_endorsements::Pallet::<T>::amd_crl(vek.grade, vek.root)
            .ok_or(Error::<T>::CollateralMissing)?;
        let minimum = SnpMinimum::<T>::get(vek.product);
        let now = Self::now();
        vek.under(&crl, now)
            .and_then(|vek| sev_snp::verify(report, &vek, minimum, now))
            .map(Verified::into_claims)
            .map_err(|error| Self::snp_error(&error))
    }

    /// Whether the vendor's newest list names the machine's certificate, or the one that issued it. No
    /// evidence is needed to see that.
    pub(crate) fn is_revoked(kind: TeeKind, certificate: CertificateDigest) -> bool {
        match kind {
            TeeKind::IntelSgx | TeeKind::IntelTdx => {
                Pcks::<T>::get(certificate).and_then(|stored| stored.get()).is_some_and(|pck| {
                    let by_root = RootCrls::<T>::get(pck.grade)
                        .and_then(|stored| stored.get())
                        .is_some_and(|crl| {
                            crl.root_spki_sha256 == pck.root_spki_sha256
                                && crl.is_revoked(&pck.ca_serial)
                        });
                    let by_ca = || {
                        PckCrls::<T>::get(pck.grade, pck.ca)
                            .and_then(|stored| stored.get())
                            .is_some_and(|crl| {
                                crl.ca_spki_sha256 == pck.ca_spki_sha256
                                    && crl.is_revoked(&pck.serial)
                            })
                    };
                    by_root || by_ca()
                })
            }
            TeeKind::AmdSevSnp => {
                Veks::<T>::get(certificate).and_then(|stored| stored.get()).is_some_and(|vek| {
                    pallet_endorsements::Pallet::<T>::amd_crl(vek.grade, vek.root)
                        .is_some_and(|crl| crl.revokes(&vek))
                })
            }
            TeeKind::NvidiaGpu => false,
        }
    }

    /// A root that governance has removed since takes with it what rests on it.
    fn ensure_root(vendor: Vendor, spki_sha256: &[u8; 32]) -> Result<(), Error<T>> {
        let roots = pallet_endorsements::Pallet::<T>::trust_roots();
        roots.find(vendor, spki_sha256).map(|_| ()).ok_or(Error::<T>::NotVerified)
    }

    fn dcap_error(error: &dcap::Error) -> Error<T> {
        match error {
            dcap::Error::Expired(_) => Error::<T>::CollateralExpired,
            dcap::Error::TcbRevoked(_) => Error::<T>::TcbRevoked,
            dcap::Error::RevokedCertificate(_) => Error::<T>::CertificateRevoked,
            // Of each kind the chain keeps one for a grade. That it is of another root or CA says nothing
            // against the machine: its own has to be submitted.
            dcap::Error::OtherRoot(_) | dcap::Error::PckCrlOfOtherCa => {
                Error::<T>::CollateralMissing
            }
            _ => Error::<T>::NotVerified,
        }
    }

    fn snp_error(error: &sev_snp::Error) -> Error<T> {
        match error {
            sev_snp::Error::Expired { .. } => Error::<T>::CollateralExpired,
            sev_snp::Error::AskRevoked | sev_snp::Error::VekRevoked => {
                Error::<T>::CertificateRevoked
            }
            _ => Error::<T>::NotVerified,
        }
    }

    fn now() -> u64 {
        pallet_endorsements::Pallet::<T>::now()
    }
}
