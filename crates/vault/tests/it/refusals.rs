//! Who gets nothing. Each test has its twin in `release`, where the same is granted.

use std::sync::atomic::Ordering;

use casemate_attestation::{
    TrustRoots,
    sev_snp::{Product, TcbVersion},
};
use casemate_primitives::LeaseId;
use casemate_ra_tls::Purpose;
use casemate_software_tee::wire::Kind;
use casemate_vault::{
    Refused,
    audit::Event,
    entry::{Body, Entry, Given, Key, Source},
    wire::{Command, Reply},
};
use ed25519_dalek::SigningKey;

use crate::network::{Pod, World, identity, network, policy, publisher, release};

fn refused(err: Result<u64, String>) -> String {
    err.expect_err("it should be refused")
}

#[test]
fn machines_and_programs_that_the_policy_does_not_name() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    for how in ["debug", "old-tcb", "wrong-measurement", "bad-signature", "replay", "truncated"] {
        let pod = Pod::with(identity(5, 0), &world.keys, Kind::IntelTdx, &[how]);
        let code = refused(release(&vault, &pod));
        assert!(["refused", "evidence"].contains(&code.as_str()), "{how}: {code}");
        assert_eq!(pod.inbox.lock().unwrap().len(), 0);
    }
    // The reason names the check.
    let pod = Pod::with(identity(5, 0), &world.keys, Kind::IntelTdx, &["old-tcb"]);
    let err = vault.release(&pod.evidence(vault.nonce().unwrap()), &network().collateral);
    let Err(Refused::Appraisal { source, .. }) = err else { panic!("{err:?}") };
    assert!(source.to_string().contains("firmware"), "{source}");
}

#[test]
fn software_where_hardware_is_asked_for_and_other_roots() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(vec![world.secret("shop.db", b"hunter2")]).unwrap();
    let pod = Pod::start(identity(5, 0), &world.keys);
    let strict = policy().replace("software", "hardware");
    vault.put(vec![world.grant("shop", |grant| grant.policy = strict)]).unwrap();
    assert_eq!(refused(release(&vault, &pod)), "refused");
    vault.put(vec![world.grant("shop", |grant| grant.roots = TrustRoots::vendors())]).unwrap();
    assert_eq!(refused(release(&vault, &pod)), "refused");
    vault.put(vec![world.grant("shop", |_| ())]).unwrap();
    release(&vault, &pod).unwrap();
}

#[test]
fn an_amd_machine_without_its_revocation_list_or_below_the_least_firmware() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let pod = Pod::with(identity(5, 0), &world.keys, Kind::AmdSevSnp, &[]);
    let without_list: Vec<Vec<u8>> = network()
        .collateral
        .iter()
        .map(|piece| {
            let mut piece: serde_json::Value = serde_json::from_slice(piece).unwrap();
            piece.as_object_mut().unwrap().remove("crl");
            piece.to_string().into_bytes()
        })
        .collect();
    let reason = |collateral: &[Vec<u8>]| match vault
        .release(&pod.evidence(vault.nonce().unwrap()), collateral)
    {
        Err(Refused::Appraisal { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(reason(&without_list).contains("revocation list"), "{}", reason(&without_list));
    // The publisher may have given it: the carrier need not.
    let list = network().collateral[2].clone();
    vault
        .put(vec![world.entry(Key::Collateral("amd".into()), Some(Body::Collateral(list)))])
        .unwrap();
    vault.release(&pod.evidence(vault.nonce().unwrap()), &without_list).unwrap();

    let least = |microcode, product| {
        let least = TcbVersion { boot_loader: 0, tee: 0, snp: 0, microcode, fmc: None };
        vec![world.grant("shop", |grant| grant.minimum_tcb = vec![(product, least)])]
    };
    let product = Product::ALL.into_iter().find(|product| {
        vault.put(least(255, *product)).unwrap();
        vault.release(&pod.evidence(vault.nonce().unwrap()), &network().collateral).is_err()
    });
    let product = product.expect("one line's least firmware counts");
    assert!(reason(&network().collateral).contains("firmware"));
    vault.put(least(0, product)).unwrap();
    release(&vault, &pod).unwrap();
}

#[test]
fn another_manifest_chain_lease_or_replica() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(vec![world.secret("shop.db", b"hunter2")]).unwrap();
    let precise = world.grant("shop", |grant| {
        grant.lease = Some(LeaseId(5));
        grant.replica = Some(0);
    });
    vault.put(vec![precise]).unwrap();
    let mut manifest = identity(5, 0);
    manifest.manifest_hash = [7; 32];
    let mut chain = identity(5, 0);
    chain.genesis_hash = [7; 32];
    for identity in [manifest, chain, identity(6, 0), identity(5, 1)] {
        let pod = Pod::start(identity, &world.keys);
        assert_eq!(refused(release(&vault, &pod)), "noGrant", "{identity:?}");
    }
    release(&vault, &Pod::start(identity(5, 0), &world.keys)).unwrap();
}

#[test]
fn a_pod_that_says_it_is_another_one() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let mut other = identity(5, 0);
    other.manifest_hash = [7; 32];
    let pod = Pod::start(other, &world.keys);
    let nonce = vault.nonce().unwrap();
    let mut issued = pod.evidence_for(Purpose::Release, nonce);
    issued.binding.manifest_hash = crate::network::MANIFEST;
    let err = vault.release(&issued.to_cmw(), &network().collateral).unwrap_err();
    assert_eq!(err.code(), "refused");
    // The same with the key that secrets are sealed to.
    let pod = Pod::start(identity(5, 0), &world.keys);
    let mut issued = pod.evidence_for(Purpose::Release, nonce);
    issued.binding.hpke_key = [7; 32];
    let err = vault.release(&issued.to_cmw(), &network().collateral).unwrap_err();
    assert_eq!(err.code(), "refused");
    vault.release(&pod.evidence(nonce), &network().collateral).unwrap();
}

#[test]
fn evidence_for_another_purpose_even_over_the_vaults_nonce() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let pod = Pod::start(identity(5, 0), &world.keys);
    let nonce = vault.nonce().unwrap();
    for purpose in [Purpose::Session, Purpose::RaTls, Purpose::Registration, Purpose::Cluster] {
        let mut issued = pod.evidence_for(purpose, nonce);
        let err = vault.release(&issued.to_cmw(), &network().collateral).unwrap_err();
        assert_eq!(err.code(), "evidence", "{purpose:?}");
        // Called what it is not, it is not over what it says.
        issued.binding.purpose = Purpose::Release;
        let err = vault.release(&issued.to_cmw(), &network().collateral).unwrap_err();
        assert_eq!(err.code(), "refused", "{purpose:?}");
    }
    let mut bound = pod.evidence_for(Purpose::Release, nonce);
    bound.binding.channel = [1; 32];
    let err = vault.release(&bound.to_cmw(), &network().collateral).unwrap_err();
    assert_eq!(err.code(), "evidence");
}

#[test]
fn a_nonce_that_was_used_or_is_of_another_vault_or_of_before_a_restart() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let pod = Pod::start(identity(5, 0), &world.keys);
    let evidence = pod.evidence(vault.nonce().unwrap());
    vault.release(&evidence, &network().collateral).unwrap();
    let replayed = vault.release(&evidence, &network().collateral).unwrap_err();
    assert!(replayed.code() == "nonce" && replayed.to_string().contains("replay"), "{replayed}");
    let other = world.vault("b");
    let evidence = pod.evidence(other.nonce().unwrap());
    assert_eq!(vault.release(&evidence, &network().collateral).unwrap_err().code(), "nonce");
    assert_eq!(vault.release(&pod.evidence([0; 32]), &[]).unwrap_err().code(), "nonce");
    let evidence = pod.evidence(vault.nonce().unwrap());
    drop(vault);
    let vault = world.vault("a");
    assert_eq!(vault.release(&evidence, &network().collateral).unwrap_err().code(), "nonce");
}

#[test]
fn a_grant_that_was_revoked_or_has_ended_also_by_a_clock_that_was_set_back() {
    let world = World::new();
    let vault = world.vault("a");
    let start = world.now();
    vault.put(world.shop()).unwrap();
    let short = world.grant("short", |grant| {
        grant.lease = Some(LeaseId(6));
        grant.until = start + 10;
    });
    vault.put(vec![short]).unwrap();
    let (pod, short) =
        (Pod::start(identity(5, 0), &world.keys), Pod::start(identity(6, 0), &world.keys));
    release(&vault, &short).unwrap();
    world.clock.store(start + 11, Ordering::Relaxed);
    // The wider grant still covers that pod: it is revoked below.
    release(&vault, &pod).unwrap();
    vault.put(vec![world.entry(Key::Grant("shop".into()), None)]).unwrap();
    assert_eq!(refused(release(&vault, &pod)), "noGrant");
    assert_eq!(refused(release(&vault, &short)), "grantExpired");
    world.clock.store(start, Ordering::Relaxed);
    assert_eq!(refused(release(&vault, &short)), "grantExpired");
    drop(vault);
    let vault = world.vault("a");
    assert_eq!(refused(release(&vault, &short)), "grantExpired");
    assert_eq!(refused(release(&vault, &pod)), "noGrant");
}

#[test]
fn entries_that_are_old_forged_or_for_another_vault() {
    let world = World::new();
    let vault = world.vault("a");
    let old = world.grant("shop", |_| ());
    vault.put(world.shop()).unwrap();
    vault.put(vec![world.entry(Key::Grant("shop".into()), None)]).unwrap();
    let code = |entry| vault.put(vec![entry]).unwrap_err().code().to_owned();
    assert_eq!(code(old.clone()), "older");
    let mut unsigned = world.grant("shop", |_| ());
    unsigned.signature = [0; 64];
    assert_eq!(code(unsigned), "badSignature");
    let stranger = SigningKey::from_bytes(&[6; 32]);
    assert_eq!(code(world.grant("shop", |_| ()).entry.sign(&stranger)), "badSignature");
    let entry = Entry { vault: [1; 32], ..world.grant("shop", |_| ()).entry };
    assert_eq!(code(entry.sign(&publisher())), "wrongVault");
    let any = r#"{"grades": ["software"]}"#.to_owned();
    assert_eq!(code(world.grant("shop", |grant| grant.policy = any)), "unusable");
    // Nor does what was revoked come back with a snapshot.
    let snapshot = casemate_vault::wire::Snapshot { entries: vec![old] };
    assert_eq!(vault.merge(&snapshot.seal(&world.keys).unwrap()).unwrap(), 0);
    let pod = Pod::start(identity(5, 0), &world.keys);
    assert_eq!(refused(release(&vault, &pod)), "noGrant");
}

#[test]
fn a_grant_of_a_secret_that_is_not_there_gives_nothing_at_all() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let more = world.grant("shop", |grant| {
        grant.secrets.push(Given { name: "B".into(), from: Source::Secret("none".into()) });
    });
    vault.put(vec![more]).unwrap();
    let pod = Pod::start(identity(5, 0), &world.keys);
    assert_eq!(refused(release(&vault, &pod)), "secretMissing");
    vault.put(vec![world.entry(Key::Secret("shop.db".into()), None)]).unwrap();
    assert_eq!(refused(release(&vault, &pod)), "secretMissing");
}

#[test]
fn a_carrier_that_swaps_or_changes_answers_is_found_out_by_the_agents() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let pods = [identity(5, 0), identity(5, 1), identity(6, 0), identity(5, 0)]
        .map(|identity| Pod::start(identity, &world.keys));
    let answers: Vec<Vec<u8>> = pods
        .iter()
        .map(|pod| {
            let evidence = pod.evidence(vault.nonce().unwrap());
            vault.release(&evidence, &network().collateral).unwrap().sealed
        })
        .collect();
    let take = |pod: usize, answer: usize| {
        pods[pod].take(&answers[answer]).map_err(|err| err.code().to_owned())
    };
    assert_eq!(take(0, 1).unwrap_err(), "wrongReplica");
    assert_eq!(take(0, 2).unwrap_err(), "wrongLease");
    // Another start of the same pod: another key.
    assert_eq!(take(0, 3).unwrap_err(), "notOpened");
    let mut changed = answers[0].clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(pods[0].take(&changed).unwrap_err().code(), "badSignature");
    for n in 0..4 {
        take(n, n).unwrap();
        assert_eq!(take(n, n).unwrap_err(), "rolledBack");
    }
}

#[test]
fn a_release_that_another_vault_has_signed() {
    let (world, stranger) = (World::new(), World::new());
    let vault = stranger.vault("a");
    vault.put(stranger.shop()).unwrap();
    // Takes releases of the first one's vault.
    let pod = Pod::start(identity(5, 0), &world.keys);
    assert_eq!(refused(release(&vault, &pod)), "unknownSender");
}

#[test]
fn refusals_are_written_down_without_end_for_nobody() {
    let world = World::new();
    let vault = world.vault("a");
    vault.put(world.shop()).unwrap();
    let pod = Pod::with(identity(5, 0), &world.keys, Kind::IntelTdx, &["debug"]);
    for _ in 0..80 {
        assert_eq!(refused(release(&vault, &pod)), "refused");
    }
    let Reply::Audit(lines) = vault.command(Command::Audit { from: 0, count: 1000 }) else {
        panic!()
    };
    let refusals = lines.iter().filter(|line| matches!(line.event, Event::Refused { .. })).count();
    assert!((1..40).contains(&refusals), "{refusals}");
    casemate_vault::audit::verify(&lines, None).unwrap();
}
