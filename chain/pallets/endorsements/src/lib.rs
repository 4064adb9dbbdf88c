#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
pub mod benchmarking;
mod impl_amd;
mod impl_intel;
#[cfg(test)]
mod mock;
mod stored;
#[cfg(test)]
mod tests;
mod try_state;
pub mod weights;

pub use pallet::*;
pub use stored::Stored;
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

/// Largest JSON body that is accepted, in bytes (Intel's largest TCB info has about 12 kB).
pub const BODY_BYTES_MAX: u32 = 64 * 1024;
/// Largest certificate chain that is accepted, in bytes of PEM or DER.
pub const CHAIN_BYTES_MAX: u32 = 16 * 1024;
/// Largest revocation list that is accepted, in bytes of DER.
pub const CRL_BYTES_MAX: u32 = 64 * 1024;
/// Most roots that a chain knows.
pub const ROOTS_MAX: u32 = 16;

/// A JSON body or a revocation list.
pub type Body = BoundedVec<u8, ConstU32<BODY_BYTES_MAX>>;
/// Certificates.
pub type Chain = BoundedVec<u8, ConstU32<CHAIN_BYTES_MAX>>;
/// SHA-256 of a certificate's DER.
pub type CertificateDigest = [u8; 32];

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_attestation::{
        dcap::{Pck, PckCa, PckCrl, QeIdentity, RootCrl, TcbInfo},
        sev_snp::{AmdCrl, Product, TcbVersion, Vek},
        Grade, TeeKind, TrustRoot, Vendor,
    };
    use frame_support::traits::UnixTime;
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The chain's clock.
        type Time: UnixTime;
        /// Who names roots and minimum versions: governance.
        type GovernanceOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// Whether the chain may have `Software` roots in its genesis: a development chain.
        type SoftwareRootsAllowed: Get<bool>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// What verification starts from.
    #[pallet::storage]
    pub type Roots<T: Config> =
        StorageValue<_, BoundedVec<TrustRoot, ConstU32<ROOTS_MAX>>, ValueQuery>;

    /// Intel's list of revoked CAs.
    #[pallet::storage]
    pub type RootCrls<T: Config> = StorageMap<_, Twox64Concat, Grade, Stored<RootCrl>, OptionQuery>;

    /// Intel's lists of revoked PCK certificates, by the CA that issues them.
    #[pallet::storage]
    pub type PckCrls<T: Config> =
        StorageDoubleMap<_, Twox64Concat, Grade, Twox64Concat, PckCa, Stored<PckCrl>, OptionQuery>;

    /// Intel's judgement of firmware levels, by kind and FMSPC.
    #[pallet::storage]
    pub type TcbInfos<T: Config> = StorageNMap<
        _,
        (
            NMapKey<Twox64Concat, Grade>,
            NMapKey<Twox64Concat, TeeKind>,
            NMapKey<Blake2_128Concat, [u8; 6]>,
        ),
        Stored<TcbInfo>,
        OptionQuery,
    >;

    /// What Intel's quoting enclaves are, by kind.
    #[pallet::storage]
    pub type QeIdentities<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        Grade,
        Twox64Concat,
        TeeKind,
        Stored<QeIdentity>,
        OptionQuery,
    >;

    /// Certificates of Intel machines.
    #[pallet::storage]
    pub type Pcks<T: Config> =
        StorageMap<_, Blake2_128Concat, CertificateDigest, Stored<Pck>, OptionQuery>;

    /// What AMD has revoked, by the root of the product line: its newest list, with all that lists
    /// before it have revoked.
    #[pallet::storage]
    pub type AmdCrls<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        Grade,
        Blake2_128Concat,
        [u8; 32],
        Stored<AmdCrl>,
        OptionQuery,
    >;

    /// Certificates of AMD machines. Whether they are revoked is asked of [`AmdCrls`] each time.
    #[pallet::storage]
    pub type Veks<T: Config> =
        StorageMap<_, Blake2_128Concat, CertificateDigest, Stored<Vek>, OptionQuery>;

    /// Least firmware versions of AMD machines that count as up to date, by product line.
    #[pallet::storage]
    pub type SnpMinimum<T: Config> = StorageMap<_, Twox64Concat, Product, TcbVersion, OptionQuery>;

    /// The roots that the chain starts with.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// Vendors' roots, and on a development chain its software TEE's.
        pub roots: alloc::vec::Vec<TrustRoot>,
        /// Nothing; names the type parameter.
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            let software = self.roots.iter().any(|root| root.grade == Grade::Software);
            assert!(
                !software || T::SoftwareRootsAllowed::get(),
                "a trust root of grade `software` is for development chains only: remove it from \
                 the genesis, or set the network's kind to development"
            );
            let roots = BoundedVec::try_from(self.roots.clone());
            Roots::<T>::put(roots.expect("genesis has at most 16 trust roots"));
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A root was added.
        RootAdded {
            /// Which.
            root: TrustRoot,
        },
        /// A root was removed: what rests on it is refused from now on.
        RootRemoved {
            /// Which.
            root: TrustRoot,
        },
        /// A newer list of revoked CAs is known.
        RootCrlUpdated {
            /// Of which grade.
            grade: Grade,
        },
        /// A newer list of revoked machine certificates is known.
        PckCrlUpdated {
            /// Of which grade.
            grade: Grade,
            /// Of which CA.
            ca: PckCa,
        },
        /// A newer list of AMD's, or one that revokes more, is known.
        AmdCrlUpdated {
            /// Of which grade.
            grade: Grade,
            /// SHA-256 of the key of the product line's root.
            root: [u8; 32],
        },
        /// A newer judgement of firmware levels is known.
        TcbInfoUpdated {
            /// Of which grade.
            grade: Grade,
            /// For which kind.
            kind: TeeKind,
            /// For which processors.
            fmspc: [u8; 6],
            /// Its number.
            evaluation: u32,
        },
        /// A newer identity of the quoting enclave is known.
        QeIdentityUpdated {
            /// Of which grade.
            grade: Grade,
            /// For which kind.
            kind: TeeKind,
            /// Its number.
            evaluation: u32,
        },
        /// The certificate of a machine is known.
        CertificateAdded {
            /// Its digest.
            digest: CertificateDigest,
            /// Of which grade.
            grade: Grade,
        },
        /// An expired certificate was forgotten.
        CertificateForgotten {
            /// Its digest.
            digest: CertificateDigest,
        },
        /// The least accepted firmware of an AMD product line changed.
        SnpMinimumSet {
            /// Which.
            product: Product,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// Bytes, signature, chain or validity are not good. `casemate attest verify` names the
        /// check that fails.
        NotVerified,
        /// The chain has something as new or newer of the same subject.
        NotNewer,
        /// The vendor's list of revoked CAs is not known yet: submit it first.
        RootCrlMissing,
        /// The CA's list of revoked certificates is not known yet: submit it first.
        PckCrlMissing,
        /// The revocation list of the product line is not known yet, or has expired: submit it first
        /// (`submit_amd_crl`).
        AmdCrlMissing,
        /// AMD has revoked the certificate, or the one that issued it.
        Revoked,
        /// The result is larger than the chain keeps.
        TooLarge,
        /// The chain knows this already, and it would not count for longer.
        Known,
        /// There is no such thing.
        NotFound,
        /// Only roots of grade `Hardware` can be added.
        SoftwareRoot,
        /// The chain knows as many roots as it may.
        TooManyRoots,
        /// The certificate has not expired.
        NotExpired,
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Submit Intel's list of revoked CAs.
        ///
        /// - `origin`: Signed by anyone; free when the list is new to the chain.
        /// - `crl`: DER. `issuer_chain`: PEM of the root certificate.
        #[pallet::call_index(0)]
        pub fn submit_root_crl(
            origin: OriginFor<T>,
            crl: Body,
            issuer_chain: Chain,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_submit_root_crl(&crl, &issuer_chain)?;
            Ok(Pays::No.into())
        }

        /// Submit a list of revoked PCK certificates.
        ///
        /// - `origin`: Signed by anyone; free when the list is new to the chain.
        /// - `crl`: DER. `issuer_chain`: PEM of the PCK CA and the root.
        #[pallet::call_index(1)]
        pub fn submit_pck_crl(
            origin: OriginFor<T>,
            crl: Body,
            issuer_chain: Chain,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_submit_pck_crl(&crl, &issuer_chain)?;
            Ok(Pays::No.into())
        }

        /// Submit TCB info.
        ///
        /// - `origin`: Signed by anyone; free when it is new to the chain.
        /// - `body`: The JSON of `tcbInfo` exactly as it was signed. `issuer_chain`: PEM of the TCB
        ///   signing certificate and the root.
        #[pallet::call_index(2)]
        pub fn submit_tcb_info(
            origin: OriginFor<T>,
            body: Body,
            signature: [u8; 64],
            issuer_chain: Chain,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_submit_tcb_info(&body, &signature, &issuer_chain)?;
            Ok(Pays::No.into())
        }

        /// Submit the identity of a quoting enclave.
        ///
        /// - `origin`: Signed by anyone; free when it is new to the chain.
        /// - `body`: The JSON of `enclaveIdentity` exactly as it was signed. `issuer_chain`: as for
        ///   TCB info.
        #[pallet::call_index(3)]
        pub fn submit_qe_identity(
            origin: OriginFor<T>,
            body: Body,
            signature: [u8; 64],
            issuer_chain: Chain,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_submit_qe_identity(&body, &signature, &issuer_chain)?;
            Ok(Pays::No.into())
        }

        /// Submit the PCK certificate of an Intel machine.
        ///
        /// - `origin`: Signed by anyone, who pays the fee.
        /// - `chain`: PEM of the certificate, its CA and the root.
        #[pallet::call_index(4)]
        pub fn submit_pck(origin: OriginFor<T>, chain: Chain) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_submit_pck(&chain)
        }

        /// Submit the VCEK or VLEK certificate of an AMD machine.
        ///
        /// - `origin`: Signed by anyone, who pays the fee.
        /// - `vek`, `ask`, `ark`: DER of the certificate, its CA (ASK or ASVK), and the root, whose
        ///   revocation list has to be known.
        #[pallet::call_index(5)]
        pub fn submit_vek(
            origin: OriginFor<T>,
            vek: Chain,
            ask: Chain,
            ark: Chain,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_submit_vek(&vek, &ask, &ark)
        }

        /// Forget a machine's certificate that has expired. For anyone, for the chain's tidiness.
        #[pallet::call_index(6)]
        pub fn forget_certificate(
            origin: OriginFor<T>,
            digest: CertificateDigest,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::do_forget_certificate(digest)
        }

        /// Trust a vendor's root.
        ///
        /// - `origin`: Governance.
        #[pallet::call_index(7)]
        pub fn add_root(
            origin: OriginFor<T>,
            vendor: Vendor,
            spki_sha256: [u8; 32],
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            // The grade is not an argument: software roots come from genesis alone.
            let root = TrustRoot { vendor, grade: Grade::Hardware, spki_sha256 };
            Roots::<T>::try_mutate(|roots| -> DispatchResult {
                let known = roots
                    .iter()
                    .any(|known| known.vendor == vendor && known.spki_sha256 == spki_sha256);
                ensure!(!known, Error::<T>::Known);
                roots.try_push(root).map_err(|_| Error::<T>::TooManyRoots)?;
                Ok(())
            })?;
            Self::deposit_event(Event::RootAdded { root });
            Ok(())
        }

        /// Trust a root no more.
        ///
        /// - `origin`: Governance.
        #[pallet::call_index(8)]
        pub fn remove_root(origin: OriginFor<T>, root: TrustRoot) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            Roots::<T>::try_mutate(|roots| -> DispatchResult {
                let at = roots.iter().position(|known| *known == root);
                roots.remove(at.ok_or(Error::<T>::NotFound)?);
                Ok(())
            })?;
            Self::deposit_event(Event::RootRemoved { root });
            Ok(())
        }

        /// Say which firmware of an AMD product line counts as up to date.
        ///
        /// - `origin`: Governance.
        #[pallet::call_index(9)]
        pub fn set_snp_minimum(
            origin: OriginFor<T>,
            product: Product,
            minimum: TcbVersion,
        ) -> DispatchResult {
            T::GovernanceOrigin::ensure_origin(origin)?;
            SnpMinimum::<T>::insert(product, minimum);
            Self::deposit_event(Event::SnpMinimumSet { product });
            Ok(())
        }

        /// Submit AMD's list of revoked certificates of a product line.
        ///
        /// - `origin`: Signed by anyone; free when the list is new to the chain: newer, or with a
        ///   certificate that was not known to be revoked.
        /// - `crl`: DER. `ark`: DER of the product line's root.
        #[pallet::call_index(10)]
        pub fn submit_amd_crl(
            origin: OriginFor<T>,
            crl: Body,
            ark: Chain,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_submit_amd_crl(&crl, &ark)?;
            Ok(Pays::No.into())
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::do_try_state()
        }
    }
}
