//! What pods get, and what is written down about it.

use std::sync::atomic::Ordering;

use casemate_primitives::LeaseId;
use casemate_software_tee::wire::Kind;
use casemate_vault::{
    audit::{Event, verify},
    entry::{Body, Given, Key, Source},
    wire::{Command, Reply},
};

use crate::network::{Pod, World, identity, network, release};

fn trail(vault: &casemate_vault::Vault) -> Vec<casemate_vault::audit::AuditEntry> {
    match vault.command(Command::Audit { from: 0, count: 1000 }) {
        Reply::Audit(lines) => lines,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_of_each_kind_gets_what_its_grant_names_and_nothing_else() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    vault.put(vec![world.secret("other.key", b"not for the shop")]).unwrap();
    for kind in [Kind::IntelTdx, Kind::IntelSgx, Kind::AmdSevSnp] {
        let pod = Pod::with(identity(5, 0), &world.keys, kind, &[]);
        release(&vault, &pod).unwrap();
        assert_eq!(pod.secret("DB_PASSWORD").unwrap(), b"hunter2");
        assert_eq!(pod.inbox.lock().unwrap().len(), 1);
    }
}

#[test]
fn a_pod_that_starts_anew_and_a_vault_that_does_need_nobody_else() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    release(&vault, &Pod::start(identity(5, 0), &world.keys)).unwrap();
    drop(vault);
    // Nobody but the file and the master.
    let vault = world.vault("a");
    let pod = Pod::start(identity(5, 0), &world.keys);
    release(&vault, &pod).unwrap();
    assert_eq!(pod.secret("DB_PASSWORD").unwrap(), b"hunter2");
    let lines = trail(&vault);
    verify(&lines, None).unwrap();
    let releases: Vec<_> = lines
        .iter()
        .filter_map(|line| match &line.event {
            Event::Released(released) => Some(released),
            _ => None,
        })
        .collect();
    assert_eq!(releases.len(), 2);
    assert!(releases[0].sequence < releases[1].sequence);
    assert_ne!(releases[0].evidence, releases[1].evidence);
    assert_eq!((releases[1].grant.as_str(), releases[1].pod.lease), ("shop", LeaseId(5)));
    assert_eq!(releases[1].names, ["DB_PASSWORD"]);
    assert!(!format!("{lines:?}").contains("hunter2"));
}

#[test]
fn releases_never_go_back_from_one_replica_to_the_other() {
    let world = World::new();
    let (a, b) = (world.vault("a"), world.vault("b"));
    for vault in [&a, &b] {
        vault.put(world.shop()).unwrap();
    }
    let pod = Pod::start(identity(5, 0), &world.keys);
    let mut last = 0;
    for vault in [&a, &b, &a, &a, &b] {
        world.clock.fetch_add(1, Ordering::Relaxed);
        let sequence = release(vault, &pod).unwrap();
        assert!(sequence > last);
        last = sequence;
    }
}

#[test]
fn the_most_precise_grant_counts() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    vault.put(vec![world.secret("first", b"first")]).unwrap();
    let precise = world.grant("zz-precise", |grant| {
        grant.lease = Some(LeaseId(5));
        grant.replica = Some(1);
        grant.secrets = vec![Given { name: "X".into(), from: Source::Secret("first".into()) }];
    });
    vault.put(vec![precise]).unwrap();
    let (zero, one) =
        (Pod::start(identity(5, 0), &world.keys), Pod::start(identity(5, 1), &world.keys));
    release(&vault, &zero).unwrap();
    release(&vault, &one).unwrap();
    assert!(zero.secret("DB_PASSWORD").is_some() && zero.secret("X").is_none());
    assert!(one.secret("DB_PASSWORD").is_none() && one.secret("X").is_some());
}

#[test]
fn the_publishers_collateral_will_do_where_the_carrier_brings_none() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let pod = Pod::start(identity(5, 0), &world.keys);
    let nonce = vault.nonce().unwrap();
    let err = vault.release(&pod.evidence(nonce), &[]).unwrap_err();
    assert_eq!(err.code(), "refused");
    for (n, piece) in network().collateral.iter().enumerate() {
        let key = Key::Collateral(format!("intel-{n}"));
        vault.put(vec![world.entry(key, Some(Body::Collateral(piece.clone())))]).unwrap();
    }
    let released = vault.release(&pod.evidence(nonce), &[]).unwrap();
    pod.take(&released.sealed).unwrap();
}

#[test]
fn a_rotated_secret_reaches_a_pod_that_runs() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let pod = Pod::start(identity(5, 0), &world.keys);
    release(&vault, &pod).unwrap();
    vault.put(vec![world.secret("shop.db", b"correct horse")]).unwrap();
    release(&vault, &pod).unwrap();
    assert_eq!(pod.secret("DB_PASSWORD").unwrap(), b"correct horse");
}

#[test]
fn a_replica_that_lost_all_is_whole_again_from_another_one() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let own = world.grant("replicas", |grant| {
        grant.manifest_hash = [8; 32];
        grant.secrets = vec![
            Given { name: "master".into(), from: Source::Master },
            Given { name: "snapshot".into(), from: Source::Snapshot },
        ];
    });
    vault.put(vec![own]).unwrap();
    let mut pod = identity(7, 2);
    pod.manifest_hash = [8; 32];
    let new = Pod::start(pod, &world.keys);
    release(&vault, &new).unwrap();
    let master = casemate_vault::Master::read(&new.secret("master").unwrap()).unwrap();
    assert_eq!(master.keys().id(), world.keys.id());
    let replica = world.vault("b");
    assert_eq!(replica.merge(&new.secret("snapshot").unwrap()).unwrap(), 3);
    assert_eq!(replica.list(), vault.list());
    let shop = Pod::start(identity(5, 0), &world.keys);
    release(&replica, &shop).unwrap();
    // Nothing of it is for the shop.
    assert!(shop.secret("master").is_none());
}
