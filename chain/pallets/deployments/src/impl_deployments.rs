//! Create, update, stop, and the count of leases.

use crate::*;
use casemate_primitives::{DeploymentId, DeploymentKind, ManifestRef, MANIFEST_SIZE_MAX};
use frame_support::{
    defensive, ensure,
    traits::{fungible::hold::Mutate, tokens::Precision, Defensive},
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_create(
        publisher: T::AccountId,
        kind: DeploymentKind,
        manifest: ManifestRef,
    ) -> Result<DeploymentId, DispatchError> {
        Self::ensure_manifest(&manifest)?;
        let deposit = T::Deposit::get();
        T::Currency::hold(&HoldReason::Deployment.into(), &publisher, deposit)?;
        let id = NextId::<T>::get();
        NextId::<T>::put(DeploymentId(id.0.checked_add(1).ok_or(Error::<T>::Overflow)?));
        Deployments::<T>::insert(
            id,
            Deployment {
                publisher: publisher.clone(),
                kind,
                manifest,
                version: 1,
                stopped: false,
                live_leases: 0,
                deposit,
            },
        );
        Self::deposit_event(Event::Created { deployment: id, publisher, manifest });
        Ok(id)
    }

    pub(crate) fn do_update(
        who: T::AccountId,
        id: DeploymentId,
        manifest: ManifestRef,
    ) -> DispatchResult {
        Self::ensure_manifest(&manifest)?;
        let version = Self::try_mutate_owned(&who, id, |deployment| {
            ensure!(deployment.manifest.hash != manifest.hash, Error::<T>::ManifestUnchanged);
            deployment.manifest = manifest;
            deployment.version = deployment.version.checked_add(1).ok_or(Error::<T>::Overflow)?;
            Ok(deployment.version)
        })?;
        Self::deposit_event(Event::Updated { deployment: id, manifest, version });
        Ok(())
    }

    pub(crate) fn do_stop(who: T::AccountId, id: DeploymentId) -> DispatchResult {
        let live_leases = Self::try_mutate_owned(&who, id, |deployment| {
            deployment.stopped = true;
            Ok(deployment.live_leases)
        })?;
        Self::deposit_event(Event::Stopped { deployment: id });
        if live_leases == 0 {
            Self::remove(id);
        }
        Ok(())
    }

    /// Change a deployment that is `who`'s and was not stopped.
    fn try_mutate_owned<R>(
        who: &T::AccountId,
        id: DeploymentId,
        f: impl FnOnce(&mut Deployment<T::AccountId>) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Deployments::<T>::try_mutate(id, |slot| {
            let deployment = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            ensure!(deployment.publisher == *who, Error::<T>::NotOwner);
            ensure!(!deployment.stopped, Error::<T>::Stopped);
            f(deployment)
        })
    }

    fn ensure_manifest(manifest: &ManifestRef) -> DispatchResult {
        ensure!((1..=MANIFEST_SIZE_MAX).contains(&manifest.size), Error::<T>::ManifestSize);
        Ok(())
    }

    fn remove(id: DeploymentId) {
        let Some(deployment) = Deployments::<T>::take(id) else { return };
        let reason = HoldReason::Deployment.into();
        let Deployment { publisher, deposit, .. } = deployment;
        let _ = T::Currency::release(&reason, &publisher, deposit, Precision::Exact)
            .defensive_proof("the deposit is held while the deployment is there");
        Self::deposit_event(Event::Removed { deployment: id });
    }
}

impl<T: Config> DeploymentRegistry<T::AccountId> for Pallet<T> {
    fn create(
        publisher: &T::AccountId,
        kind: DeploymentKind,
        manifest: ManifestRef,
    ) -> Result<DeploymentId, DispatchError> {
        Self::do_create(publisher.clone(), kind, manifest)
    }

    fn manifest(publisher: &T::AccountId, id: DeploymentId) -> Result<ManifestRef, DispatchError> {
        let deployment = Deployments::<T>::get(id).ok_or(Error::<T>::NotFound)?;
        ensure!(deployment.publisher == *publisher, Error::<T>::NotOwner);
        Ok(deployment.manifest)
    }

    fn version(id: DeploymentId) -> Option<u32> {
        Deployments::<T>::get(id).map(|deployment| deployment.version)
    }

    fn kind(id: DeploymentId) -> Option<DeploymentKind> {
        Deployments::<T>::get(id).map(|deployment| deployment.kind)
    }

    fn lease_opened(id: DeploymentId) -> DispatchResult {
        Deployments::<T>::try_mutate(id, |slot| {
            let deployment = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            ensure!(!deployment.stopped, Error::<T>::Stopped);
            deployment.live_leases =
                deployment.live_leases.checked_add(1).ok_or(Error::<T>::Overflow)?;
            Ok(())
        })
    }

    fn lease_settled(id: DeploymentId) {
        let ended = Deployments::<T>::mutate(id, |slot| {
            let Some(deployment) = slot else {
                defensive!("a deployment with a live lease is there");
                return false;
            };
            deployment.live_leases = deployment.live_leases.saturating_sub(1);
            deployment.stopped && deployment.live_leases == 0
        });
        if ended {
            Self::remove(id);
        }
    }
}
