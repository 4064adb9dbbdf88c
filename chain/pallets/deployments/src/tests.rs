//! Tests enter by the calls; each ends in `try_state`.

use crate as pallet_deployments;
use crate::{mock::*, *};
use casemate_primitives::{DeploymentId, DeploymentKind, ManifestRef, CASE, MANIFEST_SIZE_MAX};
use frame_support::{assert_noop, assert_ok, traits::fungible::hold::Inspect as _};
use pallet_deployments::Error;

fn origin(who: u64) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn manifest(byte: u8) -> ManifestRef {
    ManifestRef { hash: [byte; 32], size: 100 }
}

fn held(who: u64) -> u128 {
    Balances::balance_on_hold(&HoldReason::Deployment.into(), &who)
}

const FIRST: DeploymentId = DeploymentId(0);

#[test]
fn the_deposit_is_held_until_the_end() {
    build_and_execute(|| {
        assert_ok!(Registry::create(origin(1), DeploymentKind::Service, manifest(1)));
        assert_eq!(held(1), CASE);
        assert_ok!(Registry::stop(origin(1), FIRST));
        assert_eq!(held(1), 0);
        assert!(Deployments::<Test>::get(FIRST).is_none());
        assert_noop!(Registry::stop(origin(1), FIRST), Error::<Test>::NotFound);
        assert_ok!(Registry::create(origin(1), DeploymentKind::Service, manifest(1)));
        assert!(Deployments::<Test>::get(FIRST).is_none(), "ids are not used again");
    });
}

#[test]
fn bad_manifests_are_refused() {
    build_and_execute(|| {
        for size in [0, MANIFEST_SIZE_MAX + 1] {
            let manifest = ManifestRef { hash: [1; 32], size };
            assert_noop!(
                Registry::create(origin(1), DeploymentKind::Service, manifest),
                Error::<Test>::ManifestSize
            );
        }
        assert_noop!(
            Registry::create(origin(99), DeploymentKind::Service, manifest(1)),
            sp_runtime::TokenError::FundsUnavailable
        );
    });
}

#[test]
fn each_has_its_kind() {
    build_and_execute(|| {
        assert_eq!(Registry::kind(FIRST), None);
        assert_ok!(Registry::create(origin(1), DeploymentKind::Task, manifest(1)));
        assert_ok!(Registry::create(origin(1), DeploymentKind::Service, manifest(1)));
        assert_eq!(Registry::kind(FIRST), Some(DeploymentKind::Task));
        assert_eq!(Registry::kind(DeploymentId(1)), Some(DeploymentKind::Service));
    });
}

#[test]
fn updates_count_and_belong_to_the_owner() {
    build_and_execute(|| {
        assert_ok!(Registry::create(origin(1), DeploymentKind::Service, manifest(1)));
        assert_noop!(Registry::update(origin(2), FIRST, manifest(2)), Error::<Test>::NotOwner);
        assert_noop!(Registry::stop(origin(2), FIRST), Error::<Test>::NotOwner);
        assert_noop!(
            Registry::update(origin(1), FIRST, manifest(1)),
            Error::<Test>::ManifestUnchanged
        );
        assert_noop!(
            Registry::update(origin(1), FIRST, ManifestRef { hash: [2; 32], size: 0 }),
            Error::<Test>::ManifestSize
        );
        assert_ok!(Registry::update(origin(1), FIRST, manifest(2)));
        assert_eq!(Deployments::<Test>::get(FIRST).unwrap().version, 2);
        assert_noop!(
            Registry::update(origin(1), DeploymentId(7), manifest(2)),
            Error::<Test>::NotFound
        );
    });
}

#[test]
fn a_stopped_deployment_stays_until_its_last_lease_is_settled() {
    build_and_execute(|| {
        assert_ok!(Registry::create(origin(1), DeploymentKind::Service, manifest(1)));
        assert_eq!(Registry::manifest(&1, FIRST), Ok(manifest(1)));
        assert_noop!(Registry::manifest(&2, FIRST), Error::<Test>::NotOwner);
        assert_ok!(Registry::lease_opened(FIRST));
        assert_ok!(Registry::stop(origin(1), FIRST));
        assert_eq!(held(1), CASE);
        // The lease that lives is proved until it is closed; no other is opened.
        assert_eq!(Registry::manifest(&1, FIRST), Ok(manifest(1)));
        assert_noop!(Registry::lease_opened(FIRST), Error::<Test>::Stopped);
        assert_noop!(Registry::update(origin(1), FIRST, manifest(2)), Error::<Test>::Stopped);
        Registry::lease_settled(FIRST);
        assert_eq!(held(1), 0);
        assert!(Deployments::<Test>::get(FIRST).is_none());
    });
}
