#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
// FRAME's macros make public types without Debug.
#![allow(missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod impl_deployments;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
mod traits;
mod try_state;
mod types;
pub mod weights;

pub use pallet::*;
pub use traits::DeploymentRegistry;
pub use types::Deployment;
pub use weights::WeightInfo;

use frame_support::pallet_prelude::*;

#[frame_support::pallet]
pub mod pallet {
    use super::*;
    use casemate_primitives::{Balance, DeploymentId, DeploymentKind, ManifestRef};
    use frame_support::traits::fungible;
    use frame_system::pallet_prelude::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// Holds the deposit.
        type Currency: fungible::Inspect<Self::AccountId, Balance = Balance>
            + fungible::hold::Mutate<Self::AccountId, Reason = Self::RuntimeHoldReason>;
        /// The composite hold reason of the runtime.
        type RuntimeHoldReason: From<HoldReason>;
        /// Held for each deployment, so that the chain's storage costs something.
        #[pallet::constant]
        type Deposit: Get<Balance>;
        /// Weights of the calls.
        type WeightInfo: WeightInfo;
    }

    /// Why money is held.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The deposit of a deployment.
        Deployment,
    }

    /// The id that the next deployment gets.
    #[pallet::storage]
    pub type NextId<T: Config> = StorageValue<_, DeploymentId, ValueQuery>;

    /// All deployments that have not ended.
    #[pallet::storage]
    pub type Deployments<T: Config> =
        StorageMap<_, Twox64Concat, DeploymentId, Deployment<T::AccountId>, OptionQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A deployment was created.
        Created {
            /// Its id.
            deployment: DeploymentId,
            /// Its owner.
            publisher: T::AccountId,
            /// What is to run.
            manifest: ManifestRef,
        },
        /// A deployment has a new manifest.
        Updated {
            /// Which.
            deployment: DeploymentId,
            /// What is to run now.
            manifest: ManifestRef,
            /// Counted up from 1.
            version: u32,
        },
        /// A deployment takes no more leases and updates.
        Stopped {
            /// Which.
            deployment: DeploymentId,
        },
        /// A stopped deployment's last lease is settled: it is gone, its deposit free.
        Removed {
            /// Which.
            deployment: DeploymentId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no such deployment (any more).
        NotFound,
        /// The deployment belongs to another account.
        NotOwner,
        /// The deployment was stopped: create a new one.
        Stopped,
        /// The manifest's size is zero or above the chain's limit.
        ManifestSize,
        /// The new manifest is the current one.
        ManifestUnchanged,
        /// A counter has come to its end.
        Overflow,
    }

    #[pallet::call(weight(<T as Config>::WeightInfo))]
    impl<T: Config> Pallet<T> {
        /// Create a deployment, without a lease yet.
        ///
        /// - `origin`: Signed by the publisher, which pays the deposit.
        /// - `kind`: A service; a task's deployment is created with its schedule (`pallet-tasks`).
        /// - `manifest`: Hash and size; the content never comes on chain.
        #[pallet::call_index(0)]
        pub fn create(
            origin: OriginFor<T>,
            kind: DeploymentKind,
            manifest: ManifestRef,
        ) -> DispatchResult {
            Self::do_create(ensure_signed(origin)?, kind, manifest).map(|_| ())
        }

        /// Replace the manifest; the version counts up and the leases' providers roll it out.
        ///
        /// - `origin`: Signed by the owner.
        #[pallet::call_index(1)]
        pub fn update(
            origin: OriginFor<T>,
            deployment: DeploymentId,
            manifest: ManifestRef,
        ) -> DispatchResult {
            Self::do_update(ensure_signed(origin)?, deployment, manifest)
        }

        /// Take no more leases and updates. Leases that live are closed on their own; with the
        /// last of them the deployment is removed.
        ///
        /// - `origin`: Signed by the owner.
        #[pallet::call_index(2)]
        pub fn stop(origin: OriginFor<T>, deployment: DeploymentId) -> DispatchResult {
            Self::do_stop(ensure_signed(origin)?, deployment)
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
