use casemate_attestation::{Grade, TcbStatus};
use casemate_client::chain::{AgentView, AttestedKeys, ProviderView, StandingView};
use casemate_primitives::{DeploymentId, LeaseTerms, TaskTerms, TeeKind};
use casemate_provider_core::AttestationEndpoint;

use super::*;
use crate::{chain::fake::FakeChain, manifests::ManifestStore};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const MANIFEST: [u8; 32] = [3; 32];
/// Before the half of the standings that agents have here.
const NOW: u64 = 2000;

pub(super) fn lease(state: LeaseState) -> LeaseView {
    LeaseView {
        id: LeaseId(1),
        deployment: DeploymentId(1),
        manifest_hash: MANIFEST,
        version: 1,
        amendments: 0,
        publisher: [0; 32],
        provider: [0; 32],
        resources: <_>::default(),
        replicas: 1,
        terms: LeaseTerms {
            asset: <_>::default(),
            prices: <_>::default(),
            notice_seconds: 10,
            grace_seconds: 10,
            deposit_min: 0,
            ..Default::default()
        },
        state,
        escrow: 1,
        paid: 0,
        open: Vec::new(),
        contested: 0,
        final_due: 0,
        reclaim_at: None,
        is_task: false,
        task: None,
        spend_rate_max: 0,
        opened_at: 1000,
        agents: Vec::new(),
    }
}

fn agent(key: [u8; 32], sequence: u64, claimed_to: u64) -> Option<AgentView> {
    attested(key, sequence, claimed_to, Some((1000, 10_000)))
}

fn attested(
    key: [u8; 32],
    sequence: u64,
    claimed_to: u64,
    standing: Option<(u64, u64)>,
) -> Option<AgentView> {
    let standing = standing.map(|(verified_at, expires_at)| StandingView {
        kind: TeeKind::IntelTdx,
        grade: Grade::Software,
        tcb_status: TcbStatus::UpToDate,
        workload: Vec::new(),
        manifest_hash: MANIFEST,
        hpke_key: [0; 32],
        evidence_hash: [0; 32],
        verified_at,
        expires_at,
    });
    let claimed_total = <_>::default();
    Some(AgentView {
        replica: 0,
        key,
        sequence,
        claimed_to,
        claimed_total,
        ended_version: None,
        log: <_>::default(),
        standing,
    })
}

fn step(
    state: LeaseState,
    agent: Option<AgentView>,
    pods: &[(u32, Option<[u8; 32]>)],
    newest: Option<(u64, u64)>,
) -> Option<Step> {
    let steps = steps_at(NOW, state, agent, pods, newest);
    assert!(steps.len() <= 1, "{steps:?}");
    steps.into_iter().next()
}

fn steps_at(
    now: u64,
    state: LeaseState,
    agent: Option<AgentView>,
    pods: &[(u32, Option<[u8; 32]>)],
    newest: Option<(u64, u64)>,
) -> Vec<Step> {
    let pods = pods.iter().map(|(version, key)| pod(*version, *key)).collect();
    next_steps(
        &lease(state),
        &ReplicaView { replica: 0, agent, pods, newest, ..Default::default() },
        60,
        now,
    )
}

pub(super) fn pod(version: u32, key: Option<[u8; 32]>) -> PodView {
    PodView {
        version,
        manifest_hash: Some(MANIFEST),
        key,
        evidence: key.map(|key| (address(), endpoint(key))),
        has_ended: false,
    }
}

fn address() -> SocketAddr {
    "10.0.0.1:8443".parse().unwrap()
}

fn endpoint([n, ..]: [u8; 32]) -> AttestationEndpoint {
    AttestationEndpoint {
        tee: TeeKind::IntelTdx,
        port: 8443,
        app_tls_port: None,
        hpke_key: [n + 10; 32],
        tls_spki_sha256: [n + 20; 32],
    }
}

fn claim(key: [u8; 32], after: u64, until: u64, is_last: bool) -> Option<Step> {
    Some(Step::Claim { key: (LeaseId(1), 0, key), after, until, is_last })
}

fn attest(key: [u8; 32], is_renewal: bool) -> Option<Step> {
    let AttestationEndpoint { hpke_key, tls_spki_sha256, .. } = endpoint(key);
    Some(Step::Attest {
        lease: LeaseId(1),
        replica: 0,
        manifest_hash: MANIFEST,
        address: address(),
        keys: AttestedKeys { agent: key, hpke: hpke_key, tls_spki_sha256 },
        is_renewal,
    })
}

fn activate(key: [u8; 32]) -> Option<Step> {
    attest(key, false)
}

#[test]
fn the_first_key_is_activated_as_soon_as_a_pod_shows_it() {
    assert_eq!(step(LeaseState::Pending, None, &[], None), None);
    assert_eq!(step(LeaseState::Pending, None, &[(1, None)], None), None);
    assert_eq!(step(LeaseState::Pending, None, &[(1, Some(OLD))], None), activate(OLD));
}

#[test]
fn a_claim_is_due_when_it_covers_an_interval() {
    let active = LeaseState::Active;
    let pods = [(1, Some(OLD))];
    assert_eq!(step(active, agent(OLD, 0, 0), &pods, None), None);
    assert_eq!(step(active, agent(OLD, 0, 0), &pods, Some((5, 1059))), None);
    let due = claim(OLD, 0, u64::MAX, false);
    assert_eq!(step(active, agent(OLD, 0, 0), &pods, Some((6, 1060))), due);
    // After it, or after a restart in between, it is not made twice.
    assert_eq!(step(active, agent(OLD, 6, 1060), &pods, Some((6, 1060))), None);
    assert_eq!(step(active, agent(OLD, 6, 1060), &pods, Some((11, 1119))), None);
    let next = claim(OLD, 6, u64::MAX, false);
    assert_eq!(step(active, agent(OLD, 6, 1060), &pods, Some((12, 1120))), next);
}

#[test]
fn an_updates_new_key_waits_for_the_old_ones_last_claim() {
    let active = LeaseState::Active;
    let both = [(1, Some(OLD)), (2, Some(NEW))];
    let new = [(2, Some(NEW))];
    assert_eq!(step(active, agent(OLD, 3, 1030), &both, Some((4, 1040))), None);
    let last = claim(OLD, 3, u64::MAX, true);
    assert_eq!(step(active, agent(OLD, 3, 1030), &new, Some((4, 1040))), last);
    assert_eq!(step(active, agent(OLD, 4, 1040), &new, Some((4, 1040))), activate(NEW));
    // An agent that was started again in the same pod is the same case.
    let restarted = [(1, Some(NEW))];
    assert_eq!(step(active, agent(OLD, 3, 1030), &restarted, Some((4, 1040))), last);
    assert_eq!(step(active, agent(OLD, 4, 1040), &restarted, None), activate(NEW));
}

#[test]
fn a_closing_lease_is_claimed_when_its_pods_are_gone_and_only_up_to_the_closing() {
    let closing = LeaseState::Closing {
        at: 1055,
        until: 1100,
        reason: casemate_primitives::EndReason::Stopped,
    };
    let newest = Some((9, 1090));
    assert_eq!(step(closing, agent(OLD, 3, 1030), &[(1, Some(OLD))], newest), None);
    assert_eq!(step(closing, agent(OLD, 3, 1030), &[], newest), claim(OLD, 3, 1055, true));
    assert_eq!(step(closing, agent(OLD, 9, 1030), &[], newest), None);
    assert_eq!(step(closing, None, &[(1, Some(OLD))], None), None);
}

#[test]
fn a_pod_is_attested_when_it_shows_evidence_of_what_the_chain_expects() {
    let steps = |pods: Vec<PodView>| {
        let view = ReplicaView { pods, ..Default::default() };
        next_steps(&lease(LeaseState::Pending), &view, 60, NOW)
    };
    let silent = PodView { evidence: None, ..pod(1, Some(OLD)) };
    assert_eq!(steps(vec![silent.clone()]), []);
    // An update that was rolled back: the chain would refuse the old manifest's evidence.
    let other = PodView { manifest_hash: Some([9; 32]), ..pod(2, Some(NEW)) };
    assert_eq!(steps(vec![other.clone()]), []);
    assert_eq!(steps(vec![silent, other, pod(3, Some(NEW))]), Vec::from_iter(activate(NEW)));
}

#[test]
fn a_standing_is_renewed_at_its_half_and_again_when_it_has_ended() {
    let active = LeaseState::Active;
    let pods = [(1, Some(OLD))];
    let agent = || attested(OLD, 0, 0, Some((1000, 2000)));
    let renewal = || Vec::from_iter(attest(OLD, true));
    assert_eq!(steps_at(1499, active, agent(), &pods, None), []);
    assert_eq!(steps_at(1500, active, agent(), &pods, None), renewal());
    assert_eq!(steps_at(2000, active, agent(), &pods, None), renewal());
    // One that anybody has ended by a recheck.
    assert_eq!(steps_at(1001, active, attested(OLD, 0, 0, None), &pods, None), renewal());
    let closing = LeaseState::Closing {
        at: 1600,
        until: 3000,
        reason: casemate_primitives::EndReason::Stopped,
    };
    assert_eq!(steps_at(1700, closing, agent(), &pods, None), []);
}

#[test]
fn claims_come_before_a_renewal_until_the_standing_ends() {
    let active = LeaseState::Active;
    let pods = [(1, Some(OLD))];
    let agent = || attested(OLD, 3, 1400, Some((1000, 2000)));
    let (renewal, newest) = (attest(OLD, true).unwrap(), Some((9, 1990)));
    let due = claim(OLD, 3, u64::MAX, false).unwrap();
    assert_eq!(steps_at(1990, active, agent(), &pods, newest), [due, renewal.clone()]);
    // After it: only what was used before its end is paid.
    let newest = Some((9, 2050));
    let until_then = claim(OLD, 3, 2000, false).unwrap();
    assert_eq!(steps_at(2060, active, agent(), &pods, newest), [renewal, until_then]);
    let last = claim(OLD, 3, 2000, true).unwrap();
    assert_eq!(steps_at(2060, active, agent(), &[(2, Some(NEW))], newest), [last]);
}

#[test]
fn the_end_of_an_app_is_claimed_at_once_and_then_nothing_is_due() {
    let ended = PodView { has_ended: true, ..pod(1, Some(OLD)) };
    let steps = |agent: Option<AgentView>, newest| {
        let pods = vec![ended.clone()];
        let view = ReplicaView { replica: 0, agent, pods, newest, ..ReplicaView::default() };
        next_steps(&lease(LeaseState::Active), &view, 60, 8_000)
    };
    // Long before a claim interval is over, and before its standing is renewed.
    let key = (LeaseId(1), 0, OLD);
    let last = Step::Claim { key, after: 3, until: u64::MAX, is_last: true };
    assert_eq!(steps(agent(OLD, 3, 7_999), Some((4, 8_000))), [last]);
    let claimed = agent(OLD, 4, 8_000).map(|a| AgentView { ended_version: Some(1), ..a });
    assert_eq!(steps(claimed, Some((4, 8_000))), []);
    // Quicker than its registration: that comes first.
    assert!(matches!(steps(None, None)[..], [Step::Attest { is_renewal: false, .. }]));
}

#[test]
fn a_lease_has_ended_when_all_replicas_have_under_the_newest_manifest() {
    let with = |agents: Vec<AgentView>| LeaseView {
        replicas: 2,
        version: 2,
        agents,
        ..lease(LeaseState::Active)
    };
    let of =
        |replica, ended_version| AgentView { replica, ended_version, ..agent(OLD, 1, 1).unwrap() };
    assert!(with(vec![of(0, Some(2)), of(1, Some(2))]).has_ended());
    for (first, second) in [(Some(2), None), (Some(2), Some(1)), (None, Some(2))] {
        assert!(!with(vec![of(0, first), of(1, second)]).has_ended());
    }
    assert!(!with(vec![of(0, Some(2))]).has_ended());
}

#[test]
fn what_never_started_is_given_up_before_it_is_a_fault() {
    let mut pending = lease(LeaseState::Pending);
    assert!(!is_hopeless(&pending, u64::MAX), "nobody is fined for silence here");
    pending.terms.silence_seconds = 400;
    assert!(!is_hopeless(&pending, 1_299));
    assert!(is_hopeless(&pending, 1_300));
    // A task may have to wait for its first time.
    let task = LeaseView { is_task: true, ..pending.clone() };
    assert!(!is_hopeless(&task, 1_300));
    pending.state = LeaseState::Active;
    assert!(!is_hopeless(&pending, 1_300));
}

fn refused(name: &str) -> StepError {
    let name = name.to_owned();
    StepError::Chain(ChainError::Refused { pallet: "tasks".into(), text: name.clone(), name })
}

/// A settler over `chain`, and what it reads.
pub(super) struct Rig {
    pub(super) settler: Settler<FakeChain>,
    pub(super) world: watch::Sender<Arc<World>>,
    pub(super) chain: FakeChain,
    pub(super) folder: tempfile::TempDir,
}

struct NoAttestor;

impl Attestor for NoAttestor {
    fn evidence(
        &self,
        _: Wanted,
    ) -> futures::future::BoxFuture<'_, Result<Evidence, EvidenceError>> {
        Box::pin(std::future::pending())
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = ProviderView {
            account: [0; 32],
            name: "p".into(),
            regions: vec![],
            endpoints: vec![],
            tee_kinds: vec![],
            capacity: <_>::default(),
            used: <_>::default(),
            price_lists: vec![],
            stake: 0,
            unbonding: vec![],
            live_leases: 0,
            cluster: None,
        };
        let chain = FakeChain::new([7; 32], provider);
        let world = watch::Sender::new(Arc::<World>::default());
        let settler = Settler::new(Parts {
            chain: Arc::new(chain.clone()),
            attestor: Arc::new(NoAttestor),
            world: world.subscribe(),
            spool: Spool::open(folder.path(), &[7; 32], &[0; 32]).unwrap(),
            facts: FactsCache::new(ManifestStore::open(folder.path()).unwrap()),
            run_budget_percent_min: 50,
            clock: Arc::new(|| NOW),
            metrics: Metrics::default(),
            wake: Arc::default(),
            claim_interval: Duration::from_secs(60),
            payout_interval: Duration::from_secs(60),
        });
        Self { settler, world, chain, folder }
    }

    /// What is on chain, as the settler is to see it.
    pub(super) fn world(&self) -> World {
        let snapshot = self.chain.snapshots().borrow().clone();
        World { snapshot, is_ready: true, ..World::default() }
    }

    async fn events(&self) -> Vec<String> {
        let events = self.settler.parts.spool.events(LeaseId(1), 0).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

/// After an outage the first refusal is the first: results are not given up for what the network did.
#[tokio::test]
async fn only_refusals_are_counted() {
    let mut rig = Rig::new();
    let key = (LeaseId(1), 0, OLD);
    let track = ((LeaseId(1), Some(0)), false);
    let step = Step::Submit { key };
    let fail = async |rig: &mut Rig, err: StepError| {
        let outcome = Outcome { step: step.clone(), block: 1, result: Err(err) };
        rig.settler.finished(outcome).await;
        rig.settler.progress[&track].given_up
    };
    for _ in 0..20 {
        let err = ChainError::Unreachable("an outage".into());
        assert_eq!(fail(&mut rig, StepError::Chain(err)).await, None);
    }
    for _ in 1..REFUSALS_MAX {
        assert_eq!(fail(&mut rig, refused("NotAttested")).await, None);
    }
    assert_eq!(fail(&mut rig, refused("NotAttested")).await, Some(key));
}

#[tokio::test]
async fn refused_missed_times_cost_no_second_fee() {
    let mut rig = Rig::new();
    let (lease, task) = (LeaseId(1), DeploymentId(1));
    let at = |at| Step::Missed { lease, task, scheduled_at: Some(at) };
    let result = Err(refused("NotPublisher"));
    rig.settler.finished(Outcome { step: at(1), block: 1, result }).await;
    let track = ((lease, None), false);
    rig.settler.progress.get_mut(&track).unwrap().not_before = None;
    let world = rig.world();
    assert!(!rig.settler.start(at(2), &world), "nor any later one");
    let terms = TaskTerms { budget_per_run: 1, deadline_seconds: 1, start_seconds_max: 1 };
    let begin = Step::Begin { lease, replica: 0, scheduled_at: 3, terms, manifest_hash: MANIFEST };
    let result = Ok(Claimed::Call);
    rig.settler.finished(Outcome { step: begin, block: 1, result }).await;
    assert!(rig.settler.start(at(4), &world), "a run has begun");
}

/// What a task reserves is free again when no run can begin for its grace.
#[tokio::test]
async fn a_task_without_money_for_a_run_is_given_up_after_its_grace() {
    let mut rig = Rig::new();
    let mut view = runs::tests::task_lease(99);
    let close = Some(Step::Close(view.id, CloseReason::Idle));
    assert_eq!(rig.settler.overdue(&view, NOW), None);
    assert_eq!(rig.settler.overdue(&view, NOW + 9), None);
    assert_eq!(rig.settler.overdue(&view, NOW + 10), close, "no notice was agreed");
    view.terms.reclaim_seconds = 60;
    assert_eq!(rig.settler.overdue(&view, NOW + 10), Some(Step::Notice(view.id)));
    view.reclaim_at = Some(NOW + 70);
    assert_eq!(rig.settler.overdue(&view, NOW + 10), None, "it was given");
    let pending = LeaseView { state: LeaseState::Pending, ..view.clone() };
    assert_eq!(rig.settler.overdue(&pending, NOW + 10), close, "nothing ever ran");
    view.escrow = 100;
    assert_eq!(rig.settler.overdue(&view, NOW + 11), None);
    view.escrow = 99;
    assert_eq!(rig.settler.overdue(&view, NOW + 12), None, "its grace begins anew");
}

#[tokio::test]
async fn why_no_run_begins_is_told_once() {
    let mut rig = Rig::new();
    rig.chain.put_lease(runs::tests::task_lease(1_000));
    let world = rig.world();
    for _ in 0..3 {
        rig.settler.look(&world);
        rig.settler.tell().await;
    }
    assert_eq!(rig.events().await, ["run-held"], "its manifest is not here");
    assert_eq!(rig.chain.calls(), []);
}
