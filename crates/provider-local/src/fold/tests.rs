use casemate_agent::{Observed, Signer, config::SignerConfig};
use casemate_primitives::{LeaseId, Resources, RunId, RunOutcome, RunResult};

use super::*;

const GENESIS: [u8; 32] = [4; 32];

struct Pod {
    _dir: tempfile::TempDir,
    paths: PodPaths,
}

fn pod() -> Pod {
    let dir = tempfile::tempdir().unwrap();
    let paths = PodPaths { dir: dir.path().to_owned() };
    Pod { _dir: dir, paths }
}

impl Pod {
    fn log(&self) -> EventLog {
        EventLog::open(self.paths.clone(), GENESIS, "main".to_owned(), false).unwrap()
    }

    fn write(&self, container: &str, kind: EventKind) {
        let event = Event { container: container.to_owned(), time_ms: 1, kind };
        let mut line = serde_json::to_vec(&event).unwrap();
        line.push(b'\n');
        let path = self.paths.events();
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        io::Write::write_all(&mut file, &line).unwrap();
    }

    fn print(&self, text: &str) {
        let text = text.to_owned();
        self.write("main", EventKind::Log { stream: Stream::Stdout, text, partial: false });
    }
}

fn signer() -> Signer {
    let config = SignerConfig {
        genesis_hash: GENESIS,
        lease: LeaseId(1),
        replica: 0,
        quota: Resources { cpu_millicores: 1, ..Resources::default() },
        record_interval_ms: 1000,
        previous: None,
    };
    Signer::new(config, 100).unwrap()
}

fn record(signer: &mut Signer, now: u64) -> EventKind {
    let elapsed = std::time::Duration::from_secs(now);
    let (record, signature) = signer.record(now, elapsed, &Observed::default());
    EventKind::record(&record, &signature)
}

fn started(signer: &Signer) -> EventKind {
    EventKind::Started { key: Some(hex::encode(signer.public_key())) }
}

#[test]
fn states_follow_the_events() {
    let pod = pod();
    let mut log = pod.log();
    assert!(log.refresh().unwrap().containers.is_empty());
    pod.write("main", EventKind::AppStarted { restarts: 0 });
    pod.write("main", EventKind::Ready);
    let main = log.refresh().unwrap().containers["main"].clone();
    assert_eq!((main.app, main.ready), (App::Running, true));
    pod.write("main", EventKind::AppExited { code: 3, last: false });
    let main = log.refresh().unwrap().containers["main"].clone();
    assert_eq!((main.app, main.ready), (App::Ended(3), false));
    pod.write("main", EventKind::AppStarted { restarts: 1 });
    let main = log.refresh().unwrap().containers["main"].clone();
    assert_eq!((main.app, main.restarts), (App::Running, 1));
}

#[test]
fn only_records_that_the_signer_has_signed_count() {
    let pod = pod();
    let (mut first, mut second, mut stranger) = (signer(), signer(), signer());
    pod.write("main", started(&first));
    pod.write("main", record(&mut first, 101));
    pod.write("main", record(&mut stranger, 500));
    pod.write("sidecar", started(&stranger));
    pod.write("sidecar", record(&mut stranger, 600));
    let mut log = pod.log();
    let records = log.refresh().unwrap().records(&GENESIS);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].key, records[0].record.to), (first.public_key(), 101));
    // A new key does not push the last record of the old one away.
    pod.write("main", record(&mut first, 102));
    pod.write("main", started(&second));
    pod.write("main", record(&mut second, 103));
    let fold = log.refresh().unwrap();
    let ends: Vec<u64> = fold.records(&GENESIS).iter().map(|r| r.record.to).collect();
    assert_eq!(ends, [102, 103]);
    assert_eq!(fold.agent_key(), Some(second.public_key()));
    assert!(fold.records(&[5; 32]).is_empty(), "not on another chain");
}

#[test]
fn a_runs_signed_result_is_its_end() {
    let pod = pod();
    let mut log = pod.log();
    let mut signer = signer();
    pod.write("main", started(&signer));
    let elapsed = std::time::Duration::from_secs(1);
    let (record, signature) = signer.record(101, elapsed, &Observed::default());
    let result = RunResult {
        lease: record.lease,
        replica: record.replica,
        run: RunId(7),
        scheduled_at: 90,
        started_at: 100,
        ended_at: 101,
        tries: 1,
        outcome: RunOutcome::Exited(0),
        output_hash: [0; 32],
        log: record.log,
        artefacts: Default::default(),
        last_record: record.hash(),
    };
    pod.write("main", EventKind::run_ended(&record, &signature, &result, &[1; 64]));
    assert!(!log.refresh().unwrap().has_ended(&GENESIS), "nobody has signed it");
    let signed = signer.sign_result(&result);
    pod.write("main", EventKind::run_ended(&record, &signature, &result, &signed));
    assert!(log.refresh().unwrap().has_ended(&GENESIS));
    assert!(log.fold().records(&GENESIS)[0].run.is_some());
}

#[test]
fn cursors_and_tails() {
    let pod = pod();
    for n in 0..10_000 {
        pod.print(&format!("line {n}"));
    }
    let log = pod.log();
    let all = log.reader().lines(&LogQuery::default()).unwrap();
    assert_eq!(all.len(), 10_000);
    let tail = log.reader().lines(&LogQuery { tail: Some(3), ..LogQuery::default() }).unwrap();
    assert_eq!(tail, all[9997..]);
    let much = log.reader().lines(&LogQuery { tail: Some(9000), ..LogQuery::default() }).unwrap();
    assert_eq!(much, all[1000..]);
    let after = LogQuery { after: Some(all[9000].cursor), ..LogQuery::default() };
    assert_eq!(log.reader().lines(&after).unwrap(), all[9001..]);
    // A cursor that nobody was given.
    let odd = LogQuery { after: Some(all[9000].cursor - 5), ..LogQuery::default() };
    assert_eq!(log.reader().lines(&odd).unwrap(), all[9001..]);
    let far = LogQuery { after: Some(u64::MAX), ..LogQuery::default() };
    assert!(log.reader().lines(&far).unwrap().is_empty());
}

#[test]
fn a_trimmed_log_keeps_its_sum_its_newest_lines_and_its_cursors() {
    let pod = pod();
    let mut signer = signer();
    pod.write("main", started(&signer));
    pod.write("main", EventKind::AppStarted { restarts: 5 });
    pod.write("main", record(&mut signer, 101));
    let text = "x".repeat(1000);
    for _ in 0..2000 {
        pod.print(&text);
    }
    let mut log = pod.log();
    log.refresh().unwrap();
    let before = log.reader().lines(&LogQuery::default()).unwrap();
    log.trim(512 * 1024).unwrap();
    let blocks = std::fs::metadata(pod.paths.events()).unwrap().blocks() * 512;
    assert!(blocks < 400 * 1024, "{blocks}");
    pod.print("after");

    // Also for one who opens it anew, as a restarted provider does.
    for mut log in [log, pod.log()] {
        let fold = log.refresh().unwrap();
        assert_eq!(fold.containers["main"].restarts, 5);
        assert_eq!(fold.agent_key(), Some(signer.public_key()));
        assert_eq!(fold.records(&GENESIS).len(), 1);
        let lines = log.reader().lines(&LogQuery::default()).unwrap();
        assert_eq!(lines.last().unwrap().text, "after");
        let (newest, kept) = (before.last().unwrap(), &lines[lines.len() - 2]);
        assert_eq!(kept, newest);
        assert!(lines.len() > 200 && lines.len() < 500, "{}", lines.len());
    }
}

#[test]
fn evidence_is_the_signers_and_goes_with_its_key() {
    let pod = pod();
    let mut log = pod.log();
    let available = |port| EventKind::EvidenceAvailable {
        tee: TeeKind::IntelTdx,
        port,
        hpke_key: "05".repeat(32),
        tls_spki_sha256: "06".repeat(32),
    };
    pod.write("main", started(&signer()));
    assert_eq!(log.refresh().unwrap().attestation(), Attestation::Waiting { reason: None });
    pod.write("main", EventKind::EvidenceUnavailable { reason: "x".repeat(10_000) });
    let long = Attestation::Waiting { reason: Some("x".repeat(500)) };
    assert_eq!(log.refresh().unwrap().attestation(), long);
    pod.write("side", available(1));
    assert_eq!(log.refresh().unwrap().attestation(), long, "another container's is not the pod's");
    pod.write("main", available(8443));
    let endpoint = AttestationEndpoint {
        tee: TeeKind::IntelTdx,
        port: 8443,
        app_tls_port: None,
        hpke_key: [5; 32],
        tls_spki_sha256: [6; 32],
    };
    assert_eq!(log.refresh().unwrap().attestation(), Attestation::Available(endpoint));
    // A provider that was started again reads the same.
    assert_eq!(pod.log().refresh().unwrap().attestation(), Attestation::Available(endpoint));
    pod.write("main", available(0));
    assert!(matches!(
        log.refresh().unwrap().attestation(),
        Attestation::Waiting { reason: Some(_) }
    ));
    pod.write("main", available(8443));
    pod.write("main", started(&signer()));
    assert_eq!(log.refresh().unwrap().attestation(), Attestation::Waiting { reason: None });
}

#[test]
fn a_container_says_that_it_waits_for_secrets_until_its_app_starts() {
    let pod = pod();
    let mut log = pod.log();
    pod.write("main", started(&signer()));
    pod.write("main", EventKind::AwaitingSecrets { names: vec!["db".into(), "key".into()] });
    let awaits = |log: &mut EventLog| log.refresh().unwrap().containers["main"].awaits.clone();
    assert_eq!(awaits(&mut log), Some(vec!["db".into(), "key".into()]));
    let lines = log.reader().lines(&LogQuery::default()).unwrap();
    assert_eq!(lines[0].text, "Waiting: secrets (db, key)");
    pod.write("main", EventKind::SecretsReceived { names: vec!["db".into()], sequence: 1 });
    pod.write("main", EventKind::AppStarted { restarts: 0 });
    assert_eq!(awaits(&mut log), None);
}

#[test]
fn a_refusal_is_kept_and_told() {
    let pod = pod();
    let mut log = pod.log();
    let field = casemate_agent::check::Field::Env;
    let evidence = EventKind::EvidenceAvailable {
        tee: TeeKind::IntelTdx,
        port: 8443,
        hpke_key: "05".repeat(32),
        tls_spki_sha256: "06".repeat(32),
    };
    pod.write("main", started(&signer()));
    pod.write("main", evidence);
    // The next agent in its place.
    pod.write("main", EventKind::Started { key: None });
    pod.write("main", EventKind::Refused { field, reason: "LD_PRELOAD".repeat(100) });
    let fold = log.refresh().unwrap();
    assert_eq!(fold.containers["main"].refused.as_ref().map(String::len), Some(500));
    assert_eq!(fold.attestation(), Attestation::Waiting { reason: None });
    let lines = log.reader().lines(&LogQuery::default()).unwrap();
    assert!(lines[0].text.starts_with("nothing is started or attested"), "{lines:?}");
    // One that was started again with what it takes.
    pod.write("main", started(&signer()));
    assert_eq!(log.refresh().unwrap().containers["main"].refused, None);
}

#[test]
fn evidence_that_was_gone_is_there_again_when_the_signer_says_so() {
    let pod = pod();
    let mut log = pod.log();
    let available = || EventKind::EvidenceAvailable {
        tee: TeeKind::IntelTdx,
        port: 8443,
        hpke_key: "05".repeat(32),
        tls_spki_sha256: "06".repeat(32),
    };
    pod.write("main", started(&signer()));
    for _ in 0..2 {
        pod.write("main", available());
        assert!(matches!(log.refresh().unwrap().attestation(), Attestation::Available(_)));
        pod.write("main", EventKind::EvidenceUnavailable { reason: "busy".into() });
        let waiting = Attestation::Waiting { reason: Some("busy".into()) };
        assert_eq!(log.refresh().unwrap().attestation(), waiting);
    }
    pod.write("main", available());
    assert!(matches!(log.refresh().unwrap().attestation(), Attestation::Available(_)));
    let lines = log.reader().lines(&LogQuery::default()).unwrap();
    assert_eq!(lines[0].text, "no attestation evidence: busy");
}

/// What was not taken over yet is there after any number of trims.
#[test]
fn a_trim_leaves_sealed_output_that_nobody_has_taken() {
    let pod = pod();
    let open = || EventLog::open(pod.paths.clone(), GENESIS, "main".to_owned(), true).unwrap();
    let mut log = open();
    let text = "x".repeat(1000);
    for _ in 0..600 {
        pod.print(&text);
    }
    pod.write("main", EventKind::LogChunk { chunk: "AAAA".into() });
    for _ in 0..600 {
        pod.print(&text);
    }
    log.refresh().unwrap();
    let length = std::fs::metadata(pod.paths.events()).unwrap().len();
    let blocks = || std::fs::metadata(pod.paths.events()).unwrap().blocks() * 512;
    log.trim(256 * 1024).unwrap();
    assert!(blocks() >= length, "nothing was taken yet");
    let (number, at) = log.unread_chunks().unwrap();
    let id = "l1-r0-v1".parse().unwrap();
    let (found, to) = crate::chunks::read(&pod.paths.events(), id, "main", &at).unwrap();
    assert!(found.is_some());
    log.forget_chunks(number + 1, to.clone());
    assert_eq!(log.unread_chunks(), Some((number, at)), "of another file");
    log.forget_chunks(number, to.clone());
    log.trim(256 * 1024).unwrap();
    assert!(blocks() < length / 2);
    // After a restart it goes on from where it was.
    assert_eq!(open().unread_chunks().map(|(_, at)| at), Some(to).filter(|to| to.offset < length));
}
