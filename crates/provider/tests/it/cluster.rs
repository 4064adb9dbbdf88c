//! The provider's own control plane: what makes its evidence, and how it is kept on chain.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use casemate_attestation::{
    Binding, Purpose, TrustRoots, dcap::Quote, sev_snp::Report, td_workload,
};
use casemate_client::chain::{Endorsement, Submission};
use casemate_evidence::Sources;
use casemate_primitives::{LeaseId, TeeKind};
use casemate_provider::{
    attestation::{
        ClusterAttestor, ClusterWanted, CollateralFrom, ControlPlane, Evidence, EvidenceError,
        Machine, SoftwareGuest,
    },
    chain::fake::{Call, FakeChain},
    system_clock,
};
use casemate_software_tee::{client::Launch, wire::Kind};
use futures::future::BoxFuture;
use subxt_signer::sr25519::dev;

use crate::{
    agent::network,
    world::{GENESIS, World, manifest, provider_key, until},
};

// What makes the evidence.

const ACCOUNT: [u8; 32] = [3; 32];
const BLOCK: [u8; 32] = [8; 32];

fn wanted() -> ClusterWanted {
    ClusterWanted {
        genesis_hash: GENESIS,
        account: ACCOUNT,
        block_hash: BLOCK,
        roots: network().roots.clone(),
    }
}

/// A guest whose program is a file of this test's.
fn guest(id: &str, kind: TeeKind) -> (tempfile::TempDir, SoftwareGuest) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("daemon");
    std::fs::write(&program, "first").unwrap();
    let control = network().socket.clone();
    (dir, SoftwareGuest { control, kind, id: id.into(), program })
}

fn software() -> CollateralFrom {
    CollateralFrom::Software(network().socket.clone())
}

fn control_plane(guest: &SoftwareGuest) -> ControlPlane {
    ControlPlane::new(Machine::Software(guest.clone()), software(), system_clock())
}

/// A machine whose TEE is this guest's socket, and no hardware.
fn machine(software_tee: Option<PathBuf>) -> Machine {
    Machine::Hardware(Sources { tsm: "/no/such".into(), gramine: "/no/such".into(), software_tee })
}

fn told(err: EvidenceError) -> String {
    casemate_primitives::chain_of(&err)
}

/// Report data and measurement.
fn content(submission: &Submission) -> ([u8; 64], Vec<u8>) {
    if submission.kind == TeeKind::AmdSevSnp {
        let report = Report::parse(&submission.evidence).unwrap();
        return (report.report_data(), report.measurement().to_vec());
    }
    let quote = Quote::parse(&submission.evidence).unwrap();
    let measurement = match (quote.td_report(), quote.sgx_report()) {
        (Some(td), _) => td_workload(&td.mr_td, &td.rtmr).to_vec(),
        (_, Some(sgx)) => sgx.mr_enclave.to_vec(),
        _ => panic!("no report"),
    };
    (*quote.report_data(), measurement)
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_over_what_the_chain_wants_of_a_cluster() {
    // Written out as the chain has it: `do_attest_cluster` of `pallet-attestation`.
    let binding = Binding {
        purpose: Purpose::Cluster,
        genesis_hash: GENESIS,
        lease: LeaseId(0),
        replica: 0,
        manifest_hash: ACCOUNT,
        nonce: BLOCK,
        agent_key: [0; 32],
        hpke_key: [0; 32],
        tls_spki_sha256: [0; 32],
        channel: [0; 32],
        gpu_evidence: [0; 32],
    };
    for (id, kind, pieces) in [
        ("cluster-tdx", TeeKind::IntelTdx, 5),
        ("cluster-sgx", TeeKind::IntelSgx, 5),
        ("cluster-snp", TeeKind::AmdSevSnp, 2),
    ] {
        let (_dir, guest) = guest(id, kind);
        let Evidence { submission, endorsements } =
            control_plane(&guest).evidence(wanted()).await.unwrap();
        assert_eq!(submission.kind, kind);
        assert_eq!(endorsements.len(), pieces, "{kind:?}");
        assert_eq!(content(&submission).0, binding.report_data(), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_is_measured_once_and_anew_by_the_next_process() {
    let (_dir, guest) = guest("cluster-measured", TeeKind::IntelTdx);
    let first = control_plane(&guest);
    let of =
        async |plane: &ControlPlane| content(&plane.evidence(wanted()).await.unwrap().submission).1;
    let measured = of(&first).await;
    // A file that is replaced under a process is not what runs.
    std::fs::write(&guest.program, "second").unwrap();
    assert_eq!(of(&first).await, measured);
    // The next process finds the guest of this one, and does not take it for its own.
    let second = control_plane(&guest);
    assert_ne!(of(&second).await, measured);
    // A guest that is gone comes back, at the second try at the latest.
    guest.end().unwrap();
    guest.end().unwrap();
    if second.evidence(wanted()).await.is_err() {
        second.evidence(wanted()).await.unwrap();
    }
    guest.end().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_the_chain_would_refuse_costs_no_fee() {
    for (misbehaviour, words) in [
        ("wrong-report-data", "report data"),
        ("debug", "debugger"),
        ("bad-signature", "signature"),
        ("truncated", ""),
        ("revoked-tcb", ""),
    ] {
        let launched = network()
            .control
            .launch(&Launch {
                id: &format!("bad-{misbehaviour}"),
                kind: Kind::IntelTdx,
                version: None,
                agent: &std::env::current_exe().unwrap(),
                root_fs: None,
                manifest_hash: &ACCOUNT,
                owner: None,
                misbehave: &[misbehaviour],
            })
            .unwrap();
        let plane = ControlPlane::new(machine(Some(launched.socket)), software(), system_clock());
        let err = plane.evidence(wanted()).await.unwrap_err();
        assert!(matches!(err, EvidenceError::Refused(_)), "{misbehaviour}: {err:?}");
        let refused = told(err);
        assert!(refused.contains(words), "{misbehaviour}: {refused}");
    }
    // Roots are the chain's alone to say.
    let (_dir, guest) = guest("cluster-untrusted", TeeKind::IntelTdx);
    let untrusted = ClusterWanted { roots: TrustRoots::vendors(), ..wanted() };
    let refused = told(control_plane(&guest).evidence(untrusted).await.unwrap_err());
    assert!(refused.contains("root"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_there_is_named() {
    let plane = ControlPlane::new(machine(None), CollateralFrom::Evidence, system_clock());
    let none = told(plane.evidence(wanted()).await.unwrap_err());
    assert!(none.contains("this machine has no TEE"), "{none}");
    let (_dir, mut guest) = guest("cluster-away", TeeKind::IntelTdx);
    guest.control = "/no/such/control.sock".into();
    let away = told(control_plane(&guest).evidence(wanted()).await.unwrap_err());
    assert!(away.contains("/no/such/control.sock"), "{away}");
    guest.control = network().socket.clone();
    guest.program = "/no/such/daemon".into();
    let no_program = told(control_plane(&guest).evidence(wanted()).await.unwrap_err());
    assert!(no_program.contains("/no/such/daemon"), "{no_program}");
    guest.kind = TeeKind::NvidiaGpu;
    let gpu = told(control_plane(&guest).evidence(wanted()).await.unwrap_err());
    assert!(gpu.contains("GPU"), "{gpu}");
}

// How it is kept on chain.

/// A machine that a test scripts.
#[derive(Clone, Default)]
struct Scripted {
    asked: Arc<Mutex<Vec<ClusterWanted>>>,
    failures: Arc<Mutex<Vec<EvidenceError>>>,
    is_broken: Arc<AtomicBool>,
}

impl Scripted {
    fn asked(&self) -> Vec<ClusterWanted> {
        self.asked.lock().unwrap().clone()
    }

    fn fail_next(&self, err: EvidenceError) {
        self.failures.lock().unwrap().push(err);
    }
}

impl ClusterAttestor for Scripted {
    fn evidence(&self, wanted: ClusterWanted) -> BoxFuture<'_, Result<Evidence, EvidenceError>> {
        let evidence = wanted.block_hash.to_vec();
        self.asked.lock().unwrap().push(wanted);
        let broken = self.is_broken.load(Ordering::SeqCst);
        let broken = broken.then_some(EvidenceError::Unusable("broken"));
        let answer = match broken.or_else(|| self.failures.lock().unwrap().pop()) {
            Some(err) => Err(err),
            None => Ok(Evidence {
                submission: Submission { kind: TeeKind::IntelTdx, evidence, certificate: [5; 32] },
                endorsements: vec![Endorsement::Pck { chain: "of this machine".into() }],
            }),
        };
        Box::pin(async { answer })
    }
}

/// A provider that runs, prepared by `prepare` before it shows evidence of itself.
async fn attesting(prepare: impl FnOnce(&World, &Scripted)) -> (World, Scripted) {
    let mut world = World::start().await;
    world.stop().await;
    let machine = Scripted::default();
    prepare(&world, &machine);
    world.cluster = Some(Arc::new(machine.clone()));
    world.run().await;
    (world, machine)
}

/// Numbers of the blocks over which evidence of the cluster was accepted, once there are so many.
async fn attested(world: &World, count: usize) -> Vec<u32> {
    until("the cluster's attestations", async || {
        let over = cluster_calls(world);
        (over.len() >= count).then_some(over)
    })
    .await
}

fn cluster_calls(world: &World) -> Vec<u32> {
    let over = |call| if let Call::AttestCluster(block) = call { Some(block) } else { None };
    world.chain.calls().into_iter().filter_map(over).collect()
}

async fn metric(world: &World, line: &str) {
    let line = format!("casemate_provider_{line}\n");
    until(&line, async || world.metrics().await.contains(&line).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_attested_at_the_start_and_renewed_when_half_is_over() {
    let (world, machine) = attesting(|world, _| world.chain.set_standing_seconds(1000)).await;
    let first = attested(&world, 1).await;
    let asked = machine.asked();
    let [wanted] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(wanted.block_hash, FakeChain::hash_of(first[0]));
    assert_eq!(wanted.genesis_hash, GENESIS);
    assert_eq!(wanted.account, provider_key().public_key().0);
    let (submission, ends) = world.chain.cluster().unwrap();
    assert_eq!(submission.evidence, wanted.block_hash);
    // The chain had all collateral, from somebody else.
    assert_eq!(world.chain.calls().len(), 1, "{:?}", world.chain.calls());

    world.chain.block(|snapshot| snapshot.time += 499);
    metric(&world, "cluster_standing_seconds_left 501").await;
    assert_eq!(machine.asked().len(), 1, "half is not over");
    world.chain.block(|snapshot| snapshot.time += 1);
    let second = attested(&world, 2).await;
    assert!(second[1] > second[0]);
    assert_eq!(machine.asked()[1].block_hash, FakeChain::hash_of(second[1]));
    assert_eq!(world.chain.cluster().unwrap().1, ends + 500);
    // Newer collateral came along, so that the new standing is a long one.
    assert!(world.chain.calls().contains(&Call::Endorse("PCK certificate")));
    metric(&world, "cluster_attestations_total{kind=\"ok\"} 2").await;
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_shows_evidence_of_itself() {
    let (mut world, machine) = attesting(|_, _| ()).await;
    attested(&world, 1).await;
    world.kill().await;
    world.run().await;
    attested(&world, 2).await;
    assert_eq!(machine.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_evidence_is_asked_again_and_holds_up_nothing() {
    let (world, machine) =
        attesting(|_, machine| machine.fail_next(EvidenceError::Unusable("none today"))).await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    until("the pod is attested", async || {
        let attests = |call: &Call| matches!(call, Call::Attest(of, ..) if *of == lease);
        world.chain.calls().iter().any(attests).then_some(())
    })
    .await;
    metric(&world, "cluster_attestations_total{kind=\"no-evidence\"} 1").await;
    attested(&world, 1).await;
    assert_eq!(machine.asked().len(), 2);
    // Nothing was paid for evidence that is none.
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_refuses_is_tried_again_over_a_newer_block() {
    let (world, machine) =
        attesting(|world, _| world.chain.refuse_next_cluster("BlockTooOld")).await;
    until("the refusal", async || (!world.chain.failed_calls().is_empty()).then_some(())).await;
    assert_eq!(world.chain.cluster(), None);
    world.chain.block(|_| ());
    let over = attested(&world, 1).await;
    let blocks: Vec<_> = machine.asked().iter().map(|wanted| wanted.block_hash).collect();
    assert_eq!(blocks.len(), 2);
    assert_ne!(blocks[0], blocks[1]);
    assert_eq!(blocks[1], FakeChain::hash_of(over[0]));
    metric(&world, "cluster_attestations_total{kind=\"refused\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_chain_is_waited_for() {
    let (world, _) = attesting(|world, _| world.chain.set_reachable(false)).await;
    metric(&world, "cluster_attestations_total{kind=\"failed\"} 1").await;
    world.chain.set_reachable(true);
    attested(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collateral_that_the_chain_lacks_is_brought() {
    let (world, _) = attesting(|world, _| world.chain.need_collateral()).await;
    attested(&world, 1).await;
    let refused = world.chain.failed_calls();
    assert!(matches!(refused[..], [(Call::AttestCluster(_), Err(_))]), "{refused:?}");
    let endorsed = Call::Endorse("PCK certificate");
    assert_eq!(world.chain.calls()[0], endorsed);
    assert_eq!(world.chain.calls().iter().filter(|call| **call == endorsed).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_fails_lets_the_last_one_end() {
    let (world, machine) = attesting(|world, _| world.chain.set_standing_seconds(1000)).await;
    attested(&world, 1).await;
    let (_, ends) = world.chain.cluster().unwrap();
    machine.is_broken.store(true, Ordering::SeqCst);
    world.chain.block(|snapshot| snapshot.time += 2000);
    metric(&world, "cluster_standing_seconds_left 0").await;
    assert_eq!(world.chain.cluster().unwrap().1, ends);
    // And comes back.
    machine.is_broken.store(false, Ordering::SeqCst);
    attested(&world, 2).await;
    metric(&world, "cluster_standing_seconds_left 1000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_standings_do_not_eat_up_the_account() {
    // Collateral that is about to expire.
    let (world, machine) = attesting(|world, _| world.chain.set_standing_seconds(10)).await;
    attested(&world, 1).await;
    world.chain.block(|snapshot| snapshot.time += 59);
    metric(&world, "cluster_standing_seconds_left 0").await;
    assert_eq!(machine.asked().len(), 1);
    world.chain.block(|snapshot| snapshot.time += 1);
    attested(&world, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_source_it_goes_on_unattested() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    until("the pod is attested", async || {
        let attests = |call: &Call| matches!(call, Call::Attest(of, ..) if *of == lease);
        world.chain.calls().iter().any(attests).then_some(())
    })
    .await;
    assert_eq!(cluster_calls(&world), [] as [u32; 0]);
    assert_eq!(world.chain.cluster(), None);
    assert!(world.metrics().await.contains("cluster_standing_seconds_left 0\n"));
}
