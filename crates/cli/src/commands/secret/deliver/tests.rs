//! Against agents on loopback, and a chain that says what the test has it say.

use std::{fs, time::Duration};

use casemate_attestation::{
    Grade, TcbStatus, TeeKind,
    bundle::Bundle,
    dcap::{self, PckCa, RawCollateral},
    policy::Policy,
    sev_snp::{AmdCrl, Product, RawEndorsements, TcbVersion, verify_amd_crl},
    x509::Certificate,
};
use casemate_client::chain::{AgentView, IntelCollateral, LeaseState, LeaseView, StandingView};
use casemate_primitives::{
    Asset, DeploymentId, LeaseId, LeaseTerms, Prices, Quantities, Resources,
};
use casemate_ra_tls::{Expected, SecretName};
use casemate_software_tee::{measure::Tree, wire::Kind};
use zeroize::Zeroizing;

use super::*;
use crate::{
    appraisal::{CollateralOnChain, Judge, Target, examine},
    test_agent::{AGENT_KEY, Agent, GENESIS, MANIFEST, PATIENCE, POD, Setup, network},
};

const CANARY: &str = "canary-8ab1-never-to-be-seen";

fn sender() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn secrets(value: &str) -> Arc<Secrets> {
    let mut secrets = Secrets::new();
    let value = Zeroizing::new(value.as_bytes().to_vec());
    secrets.insert(SecretName::new("DB").unwrap(), value).unwrap();
    Arc::new(secrets)
}

fn parcel(sequence: u64) -> Parcel {
    Parcel {
        pod: POD,
        secrets: secrets(CANARY),
        sender: sender(),
        sequence,
        policy: [8; 32],
        root_fs: None,
    }
}

fn agent() -> Agent {
    Agent::with(Setup { senders: vec![sender().verifying_key().to_bytes()], ..Setup::default() })
}

fn software() -> Policy {
    Policy { grades: vec![Grade::Hardware, Grade::Software], ..Policy::default() }
}

fn judge(policy: Policy) -> Arc<Judge> {
    let bundle = network().bundle(Kind::IntelTdx);
    Arc::new(Judge::new(policy, network().roots.clone(), bundle, None, None))
}

fn target(agent: &Agent) -> Target {
    Target {
        name: "r1.l5.agent.casemate.internal:443".into(),
        connect: Some(agent.address.to_string()),
        timeout: PATIENCE,
    }
}

/// As a release asks for it.
fn expected() -> Expected {
    Expected {
        genesis_hash: Some(GENESIS),
        lease: Some(POD.lease),
        replica: Some(POD.replica),
        manifest_hash: Some(MANIFEST),
        agent_key: Some(AGENT_KEY),
    }
}

fn look(agent: &Agent, policy: Policy) -> Examined {
    examine(&target(agent), &judge(policy), expected()).unwrap()
}

/// What an honest chain says of this agent after what was seen.
fn on_chain(agent: &Agent, seen: &Examined) -> OnChain {
    let workload =
        seen.claims.as_ref().map_or_else(Vec::new, |c| c.measurements.workload().to_vec());
    let prices = Prices {
        cpu_millicore_second: 1,
        memory_mib_second: 1,
        storage_mib_second: 1,
        gpu_second: 1,
        egress_mib: 1,
        ingress_mib: 0,
    };
    let standing = StandingView {
        kind: TeeKind::IntelTdx,
        grade: Grade::Software,
        tcb_status: TcbStatus::UpToDate,
        workload,
        manifest_hash: MANIFEST,
        hpke_key: agent.hpke_key,
        evidence_hash: [0; 32],
        verified_at: 1,
        expires_at: 1_000,
    };
    let view = AgentView {
        replica: POD.replica,
        key: AGENT_KEY,
        sequence: 0,
        claimed_to: 0,
        claimed_total: Quantities::default(),
        ended_version: None,
        log: casemate_primitives::LogHead::default(),
        standing: Some(standing),
    };
    let lease = LeaseView {
        id: POD.lease,
        deployment: DeploymentId(1),
        manifest_hash: MANIFEST,
        version: 1,
        publisher: [1; 32],
        provider: [2; 32],
        resources: Resources::default(),
        replicas: 2,
        terms: LeaseTerms {
            asset: Asset::Native,
            prices,
            notice_seconds: 1,
            grace_seconds: 1,
            deposit_min: 0,
            ..Default::default()
        },
        state: LeaseState::Active,
        escrow: 1,
        paid: 0,
        open: Vec::new(),
        contested: 0,
        final_due: 0,
        reclaim_at: None,
        amendments: 0,
        is_task: false,
        task: None,
        spend_rate_max: 1,
        opened_at: 1,
        agents: vec![view],
    };
    let approved = Some(Grade::Software);
    OnChain { genesis_hash: GENESIS, now: 100, lease: Some(lease), approved }
}

/// A trail in a folder that is gone after the test.
struct Trail {
    folder: tempfile::TempDir,
    audit: Audit,
}

impl Trail {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(&folder.path().join("releases.jsonl")).unwrap();
        Self { folder, audit }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("releases.jsonl")).unwrap()
    }

    fn events(&self) -> Vec<String> {
        let event = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["event"].as_str().unwrap().to_owned()
        };
        self.text().lines().map(event).collect()
    }

    fn deliver(&mut self, seen: Examined, chain: &OnChain, parcel: &Parcel) -> Delivered {
        deliver(seen, chain, parcel, &mut self.audit, &|| "2026-11-23T00:00:00Z".into()).unwrap()
    }
}

#[test]
fn an_accepted_pod_gets_the_secrets_and_the_trail_says_so_without_them() {
    let agent = agent();
    let mut trail = Trail::new();
    let seen = look(&agent, software());
    let chain = on_chain(&agent, &seen);
    let digest = hex::encode(seen.evidence.as_ref().unwrap().digest());
    let delivered = trail.deliver(seen, &chain, &parcel(7));
    assert_eq!(delivered.event, Event::Released, "{:#?}", delivered.verdict.reasons());
    assert_eq!(agent.inbox.values("DB"), [(7, Some(CANARY.as_bytes().to_vec()))]);
    assert_eq!(agent.inbox.senders(), [Some(sender().verifying_key().to_bytes())]);
    assert_eq!(trail.events(), ["sending", "released"]);
    let text = trail.text();
    assert!(text.contains(&digest) && text.contains("\"DB\""), "{text}");
    assert!(text.contains("TDX (software)"), "{text}");
    for form in [CANARY.to_owned(), hex::encode(CANARY)] {
        assert!(!text.contains(&form), "{text}");
        assert!(!format!("{delivered:?}").contains(&form));
    }
}

/// Nothing was sent, and that is written down with its reason.
fn refused(agent: &Agent, seen: Examined, chain: &OnChain) -> Vec<String> {
    let mut trail = Trail::new();
    let delivered = trail.deliver(seen, chain, &parcel(7));
    assert_eq!(delivered.event, Event::Refused);
    assert!(agent.inbox.values("DB").is_empty());
    assert_eq!(trail.events(), ["refused"]);
    let reasons = delivered.verdict.reasons();
    assert!(!reasons.is_empty());
    assert_eq!(delivered.entry.reasons, reasons);
    reasons
}

#[test]
fn a_software_tee_gets_nothing_unless_it_is_asked_for() {
    let agent = agent();
    let seen = look(&agent, Policy::default());
    let chain = on_chain(&agent, &seen);
    let reasons = refused(&agent, seen, &chain);
    assert!(reasons[0].starts_with("grade of the trust root"), "{reasons:?}");
}

#[test]
fn what_the_chain_does_not_confirm_gets_nothing() {
    type Change = fn(&mut OnChain);
    let changes: [(Change, &str); 7] = [
        (|chain| chain.lease = None, "the lease on chain"),
        (|chain| chain.genesis_hash = [0; 32], "the chain"),
        (|chain| chain.approved = None, "approval of the workload"),
        (|chain| chain.approved = Some(Grade::Hardware), "approval of the workload"),
        (|chain| chain.lease.as_mut().unwrap().agents.clear(), "the agent's key"),
        (
            |chain| chain.lease.as_mut().unwrap().manifest_hash = [0; 32],
            "the deployment's manifest",
        ),
        (|chain| chain.now = 1_000, "standing of that key"),
    ];
    let agent = agent();
    for (change, name) in changes {
        let seen = look(&agent, software());
        let mut chain = on_chain(&agent, &seen);
        change(&mut chain);
        let reasons = refused(&agent, seen, &chain);
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].starts_with(name), "{reasons:?}");
    }
}

#[test]
fn a_tampered_image_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app"), "the publisher's").unwrap();
    let measured = |path: &std::path::Path| Tree::read(path).unwrap().digest();
    let agent = Agent::with(Setup {
        root_fs: Some(folder.path()),
        senders: vec![sender().verifying_key().to_bytes()],
        ..Setup::default()
    });
    let good = measured(folder.path());
    fs::write(folder.path().join("app"), "the provider's").unwrap();
    for (root_fs, event) in [(measured(folder.path()), Event::Refused), (good, Event::Released)] {
        let seen = look(&agent, software());
        let chain = on_chain(&agent, &seen);
        let parcel = Parcel { root_fs: Some(root_fs), ..parcel(1) };
        let delivered = Trail::new().deliver(seen, &chain, &parcel);
        assert_eq!(delivered.event, event, "{:?}", delivered.verdict.reasons());
        let reasons = delivered.verdict.reasons();
        let named = |r: &String| r.starts_with("the root file system as the machine measured it");
        assert_eq!(reasons.iter().any(named), event == Event::Refused, "{reasons:?}");
    }
}

#[test]
fn another_pod_than_the_one_that_is_meant_gets_nothing() {
    let pods: [(PodIdentity, [u8; 32], &str); 4] = [
        (PodIdentity { lease: LeaseId(6), ..POD }, AGENT_KEY, "lease is 6"),
        (PodIdentity { replica: 0, ..POD }, AGENT_KEY, "replica is 0"),
        (PodIdentity { manifest_hash: [1; 32], ..POD }, AGENT_KEY, "manifest is 01"),
        (POD, [1; 32], "agent key is 01"),
    ];
    for (pod, agent_key, words) in pods {
        let agent = Agent::with(Setup { pod, agent_key, ..Setup::default() });
        let seen = look(&agent, software());
        assert!(seen.session.is_none());
        let chain = on_chain(&agent, &seen);
        let reasons = refused(&agent, seen, &chain);
        assert!(reasons[0].contains(words), "{reasons:?}");
    }
}

#[test]
fn a_pod_with_another_manifest_than_its_measured_one_gets_nothing() {
    // The machine measured one manifest, and the agent was told another.
    let agent = Agent::with(Setup { misbehave: &["wrong-measurement"], ..Setup::default() });
    let seen = look(&agent, software());
    let mut chain = on_chain(&agent, &seen);
    // The chain has attested the true workload.
    let standing = chain.lease.as_mut().unwrap().agents[0].standing.as_mut().unwrap();
    standing.workload = vec![0; 48];
    let reasons = refused(&agent, seen, &chain);
    assert!(reasons.iter().any(|r| r.starts_with("the workload that was attested")), "{reasons:?}");
}

#[test]
fn an_older_release_is_refused_by_the_agent_and_told() {
    let agent = agent();
    let mut trail = Trail::new();
    for (sequence, event) in [(8, Event::Released), (8, Event::Failed), (7, Event::Failed)] {
        let seen = look(&agent, software());
        let chain = on_chain(&agent, &seen);
        let delivered = trail.deliver(seen, &chain, &parcel(sequence));
        assert_eq!(delivered.event, event);
        if event == Event::Failed {
            let text = delivered.failure.unwrap().to_string();
            assert!(text.contains("rolledBack"), "{text}");
            assert!(delivered.entry.accepted);
        }
    }
    assert_eq!(agent.inbox.values("DB").len(), 1);
    let events = ["sending", "released", "sending", "failed", "sending", "failed"];
    assert_eq!(trail.events(), events);
}

#[test]
fn a_pod_that_takes_secrets_from_others_says_so() {
    let agent = Agent::with(Setup { senders: vec![[1; 32]], ..Setup::default() });
    let seen = look(&agent, software());
    let chain = on_chain(&agent, &seen);
    let delivered = Trail::new().deliver(seen, &chain, &parcel(1));
    assert_eq!(delivered.event, Event::Failed);
    assert!(delivered.failure.unwrap().to_string().contains("unknownSender"));
    assert!(agent.inbox.values("DB").is_empty());
}

#[test]
fn a_stolen_bundle_opens_nowhere_else_and_not_twice() {
    let (agent, thief) = (agent(), agent());
    let seen = look(&agent, software());
    let parcel = parcel(9);
    let release =
        Release { pod: POD, policy_id: [0; 32], sequence: 9, sender: Some(&parcel.sender) };
    let sealed = seen.session.unwrap().seal(&parcel.secrets, &release).unwrap().to_bytes();
    assert!(!sealed.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    let answer = thief.put(&sealed);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("notOpened"), "{answer}");
    assert!(thief.inbox.values("DB").is_empty());
    assert!(agent.put(&sealed).starts_with("HTTP/1.1 200"));
    let again = agent.put(&sealed);
    assert!(again.starts_with("HTTP/1.1 409") && again.contains("rolledBack"), "{again}");
    assert_eq!(agent.inbox.values("DB").len(), 1);
}

#[test]
fn what_can_not_be_written_down_is_not_sent() {
    let agent = agent();
    // A full disk.
    let mut audit = match Audit::open("/dev/full".as_ref()) {
        Ok(audit) => audit,
        Err(err) => panic!("/dev/full is needed: {err}"),
    };
    let seen = look(&agent, software());
    let chain = on_chain(&agent, &seen);
    let result = deliver(seen, &chain, &parcel(1), &mut audit, &String::new);
    assert!(result.is_err());
    assert!(agent.inbox.values("DB").is_empty());
}

/// A chain that has verified the network's collateral.
#[derive(Debug, Default)]
struct Verified {
    without: Option<&'static str>,
    /// Whether it has AMD's revocation list.
    has_amd_crl: bool,
}

impl CollateralOnChain for Verified {
    fn intel(
        &self,
        grade: Grade,
        kind: TeeKind,
        _ca: PckCa,
        fmspc: [u8; 6],
    ) -> Result<IntelCollateral, String> {
        let text = fs::read(network().collateral_file(Kind::IntelTdx)).unwrap();
        let raw: RawCollateral = serde_json::from_slice(&text).unwrap();
        let roots = &network().roots;
        let now = casemate_software_tee::daemon::now().unwrap();
        let chain = Certificate::chain_from_pem(raw.pck_crl_issuer_chain.as_bytes()).unwrap();
        let root_crl =
            dcap::verify_root_crl(&raw.root_ca_crl, chain.last().unwrap(), roots, now).unwrap();
        let pck_crl = dcap::verify_pck_crl(
            &raw.pck_crl,
            raw.pck_crl_issuer_chain.as_bytes(),
            &root_crl,
            roots,
            now,
        );
        let tcb_info = dcap::verify_tcb_info(
            &raw.tcb_info,
            &raw.tcb_info_signature.clone().try_into().unwrap(),
            raw.tcb_info_issuer_chain.as_bytes(),
            &root_crl,
            roots,
            now,
        )
        .unwrap();
        let qe_identity = dcap::verify_qe_identity(
            &raw.qe_identity,
            &raw.qe_identity_signature.clone().try_into().unwrap(),
            raw.qe_identity_issuer_chain.as_bytes(),
            &root_crl,
            roots,
            now,
        );
        assert_eq!((grade, kind, fmspc), (Grade::Software, TeeKind::IntelTdx, tcb_info.fmspc));
        let has = |name| self.without != Some(name);
        Ok(IntelCollateral {
            root_crl: Some(root_crl).filter(|_| has("revoked CAs")),
            pck_crl: pck_crl.ok().filter(|_| has("revoked machines")),
            tcb_info: Some(tcb_info).filter(|_| has("TCB info")),
            qe_identity: qe_identity.ok().filter(|_| has("QE identity")),
        })
    }

    fn amd_crl(&self, grade: Grade, root: [u8; 32]) -> Result<Option<AmdCrl>, String> {
        if !self.has_amd_crl {
            return Ok(None);
        }
        let file = fs::read(network().collateral_file(Kind::AmdSevSnp)).unwrap();
        let raw: RawEndorsements = serde_json::from_slice(&file).unwrap();
        let now = casemate_ra_tls::system_clock()();
        let crl = verify_amd_crl(&raw.crl.unwrap(), &raw.ark, &network().roots, now).unwrap();
        assert_eq!((crl.grade, crl.root), (grade, root));
        Ok(Some(crl))
    }

    fn amd_minimum(&self, _product: Product) -> Result<Option<TcbVersion>, String> {
        Ok(None)
    }
}

fn look_by_chain(agent: &Agent, chain: Verified) -> Examined {
    let roots = network().roots.clone();
    let judge = Judge::new(software(), roots, Bundle::default(), Some(Arc::new(chain)), None);
    examine(&target(agent), &Arc::new(judge), expected()).unwrap()
}

#[test]
fn the_chains_collateral_is_enough_and_named() {
    let agent = agent();
    let seen = look_by_chain(&agent, Verified::default());
    assert!(seen.session.is_some(), "{:#?}", seen.verdict.reasons());
    assert!(seen.verdict.to_string().contains("on the node's word"));
    for without in ["revoked CAs", "revoked machines", "TCB info", "QE identity"] {
        let seen =
            look_by_chain(&agent, Verified { without: Some(without), ..Verified::default() });
        assert!(seen.session.is_none());
        assert_eq!(seen.error.as_deref(), Some("Collateral"));
        let reasons = seen.verdict.reasons();
        assert!(reasons[0].contains(without), "{reasons:?}");
    }
}

#[test]
fn amds_list_on_chain_counts_for_who_brings_none() {
    let agent = |misbehave: &'static [&'static str]| {
        Agent::with(Setup { kind: Kind::AmdSevSnp, misbehave, ..Setup::default() })
    };
    let listed = || Verified { has_amd_crl: true, ..Verified::default() };
    let good = agent(&[]);
    let seen = look_by_chain(&good, listed());
    assert!(seen.session.is_some(), "{:#?}", seen.verdict.reasons());
    assert!(seen.verdict.to_string().contains("on the node's word"));
    // A machine of which nobody knows whether it is revoked is refused.
    let seen = look_by_chain(&good, Verified::default());
    assert!(seen.session.is_none());
    assert_eq!(seen.error.as_deref(), Some("Collateral"));
    let reasons = seen.verdict.reasons();
    assert!(reasons[0].contains("revocation list"), "{reasons:?}");
    let seen = look_by_chain(&agent(&["revoked"]), listed());
    assert!(seen.session.is_none());
    assert_eq!(seen.error.as_deref(), Some("AskRevoked"));
}

#[test]
fn a_silent_agent_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target {
        name: "agent:1".into(),
        connect: Some(listener.local_addr().unwrap().to_string()),
        timeout: Duration::from_millis(100),
    };
    let err = examine(&target, &judge(software()), expected()).unwrap_err();
    assert!(matches!(err, SessionError::Handshake { .. }), "{err}");
}
