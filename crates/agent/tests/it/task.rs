//! A run of a task as a process: tries, deadline, stop, and the signed result.

use std::process::Command;

use casemate_agent::{
    config::{Config, RunLimits, TaskConfig},
    event::{EventKind, RunEnd, Stream, decode_key, decode_record, decode_result},
};
use casemate_primitives::{
    RunId, RunOutcome, RunResult, UsageRecord, blake2_256, task::output_hash,
};

use crate::harness::{Agent, GENESIS, config, shell};

fn run_of(script: &str, retries: u32, deadline_ms: u64, artefacts: &[&str]) -> Config {
    let artefacts = artefacts.iter().map(|path| (*path).to_owned()).collect();
    let limits = RunLimits { deadline_ms, retries, backoff_ms: 10, artefacts };
    let mut config = config(shell(script));
    config.task = Some(TaskConfig { run: RunId(7), scheduled_at: 1_000, limits });
    config
}

/// The record and the result that ended the run, both checked. There is one, and no record after it.
fn ended(agent: &Agent) -> (UsageRecord, RunResult) {
    agent.expect(|k| matches!(k, EventKind::Record { run: Some(_), .. }));
    let events = agent.events();
    let key = events.iter().find_map(|event| match &event.kind {
        EventKind::Started { key: Some(key) } => Some(decode_key(key).unwrap()),
        _ => None,
    });
    let key = key.expect("the agent has told its key");
    let records: Vec<(&String, &String, &Option<RunEnd>)> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Record { record, signature, run } => Some((record, signature, run)),
            _ => None,
        })
        .collect();
    assert_eq!(records.iter().filter(|(_, _, run)| run.is_some()).count(), 1);
    let (record, signature, run) = records.last().unwrap();
    let (record, _) = decode_record(record, signature, &key, &GENESIS).unwrap();
    let run = run.as_ref().expect("nothing is metered after the run's end");
    let (result, _) = decode_result(run, &record, &key, &GENESIS).unwrap();
    assert_eq!((result.run, result.scheduled_at), (RunId(7), 1_000));
    assert!(result.started_at <= result.ended_at);
    assert!(decode_result(run, &record, &key, &[9; 32]).is_err(), "it is for one chain");
    let other = UsageRecord { sequence: record.sequence + 1, ..record };
    assert!(decode_result(run, &other, &key, &GENESIS).is_err(), "it is for one record");
    (record, result)
}

#[test]
fn a_run_ends_with_its_exit_code_output_and_artefacts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report");
    let path = file.to_str().unwrap();
    let script = format!("printf 'a\\nb'; echo oops >&2; printf 42 > {path}; exit 3");
    let mut agent = Agent::start(&run_of(&script, 0, 60_000, &[path, "/no/such/file"]));
    let (record, result) = ended(&agent);
    assert_eq!((result.outcome, result.tries), (RunOutcome::Exited(3), 1));
    // Seconds that have begun are whole ones: nobody runs for nothing by being quick.
    assert!(record.running_seconds >= 1 && record.to > record.from, "{record:?}");
    assert_eq!(result.output_hash, output_hash(&blake2_256(b"a\nb"), &blake2_256(b"oops\n")));
    let [artefact] = result.artefacts.as_slice() else { panic!("{result:?}") };
    assert_eq!(artefact.name, blake2_256(path.as_bytes()));
    assert_eq!(artefact.content, blake2_256(b"42"));
    // It waits to be stopped, and then says nothing more.
    agent.signal("TERM");
    assert_eq!(agent.wait(), 3);
    ended(&agent);
}

#[test]
fn failures_are_tried_again_as_the_limits_say() {
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let count = count.to_str().unwrap();
    let script = format!("echo x >> {count}; echo try; test $(wc -l < {count}) -ge 3");
    let agent = Agent::start(&run_of(&script, 5, 60_000, &[]));
    let (_, result) = ended(&agent);
    assert_eq!((result.outcome, result.tries), (RunOutcome::Exited(0), 3));
    // Of the last try only.
    assert_eq!(result.output_hash, output_hash(&blake2_256(b"try\n"), &blake2_256(b"")));

    let agent = Agent::start(&run_of("exit 9", 2, 60_000, &[]));
    let (_, result) = ended(&agent);
    assert_eq!((result.outcome, result.tries), (RunOutcome::Exited(9), 3));
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let mut config = run_of("trap '' TERM; echo up; while :; do sleep 0.05; done", 3, 400, &[]);
    config.grace_ms = 100;
    let agent = Agent::start(&config);
    let (_, result) = ended(&agent);
    assert_eq!((result.outcome, result.tries), (RunOutcome::DeadlineExceeded, 1));
    // Also between two tries.
    let mut config = run_of("exit 1", 3, 300, &[]);
    config.task.as_mut().unwrap().limits.backoff_ms = 3_600_000;
    let agent = Agent::start(&config);
    let (_, result) = ended(&agent);
    assert_eq!(result.outcome, RunOutcome::DeadlineExceeded);
}

#[test]
fn a_run_that_is_stopped_says_so() {
    let script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let mut agent = Agent::start(&run_of(script, 3, 60_000, &[]));
    agent.expect_log(Stream::Stdout, "up");
    agent.signal("TERM");
    assert_eq!(agent.wait(), 0);
    let (_, result) = ended(&agent);
    assert_eq!((result.outcome, result.tries), (RunOutcome::Stopped, 1));
}

#[test]
fn a_run_that_the_host_has_signalled_is_not_taken_for_one_that_ended() {
    // The app makes an end of it: what a host can bring about is not paid as the app's own.
    let script = "trap 'exit 0' HUP; echo up; while :; do sleep 0.05; done";
    let agent = Agent::start(&run_of(script, 5, 60_000, &[]));
    agent.expect_log(Stream::Stdout, "up");
    agent.signal("HUP");
    let (_, result) = ended(&agent);
    assert_eq!(result.outcome, RunOutcome::Stopped);
}

#[test]
fn artefacts_that_are_vast_or_links_are_left_out_and_the_run_ends_all_the_same() {
    let made = tempfile::tempdir().unwrap();
    let dir = std::fs::canonicalize(made.path()).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (vast, link, report) = (path("vast"), path("link"), path("report"));
    let script = format!("truncate -s 1T {vast}; ln -s /etc/passwd {link}; printf 42 > {report}");
    let config = run_of(&script, 0, 3_600_000, &[&vast, &link, &report]);
    let agent = Agent::start(&config);
    let (_, result) = ended(&agent);
    assert_eq!(result.outcome, RunOutcome::Exited(0));
    let [artefact] = result.artefacts.as_slice() else { panic!("{result:?}") };
    assert_eq!(artefact.name, blake2_256(report.as_bytes()));
    assert_eq!(artefact.content, blake2_256(b"42"));
    let said = agent.log(Stream::Agent);
    let left_out = |path: &str| format!("the artefact `{path}` is left out");
    assert!(said.contains(&left_out(&vast)) && said.contains(&left_out(&link)), "{said}");
}

#[test]
fn a_run_whose_artefacts_take_long_can_be_stopped_and_is_not_paid_as_if_they_were_missing() {
    let dir = tempfile::tempdir().unwrap();
    let vast = dir.path().join("vast");
    let vast = vast.to_str().unwrap();
    let mut config = run_of(&format!("truncate -s 1T {vast}"), 0, 3_600_000, &[vast]);
    // Its pod holds as much, so nothing but time bounds it.
    config.signer.as_mut().unwrap().quota.storage_mib = u32::MAX;
    let mut agent = Agent::start(&config);
    agent.expect(|k| matches!(k, EventKind::AppExited { last: true, .. }));
    agent.signal("TERM");
    assert_eq!(agent.wait(), 0);
    let (_, result) = ended(&agent);
    assert_eq!(result.outcome, RunOutcome::Stopped);
    assert!(result.artefacts.is_empty());
}

/// Bounds the length of the files that a process writes; without an end where `None`.
fn limit_files(pid: u32, bytes: Option<usize>) {
    let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    // The soft limit only: the app has to be able to start programs, and this is to be undone.
    let args = ["--pid".to_owned(), pid.to_string(), format!("--fsize={bytes}:")];
    let status = Command::new("prlimit").args(args).status();
    assert!(status.expect("`prlimit` of util-linux is there").success());
}

#[test]
fn a_result_that_cannot_be_written_at_first_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let script = format!("while ! test -e {}; do sleep 0.05; done; exit 3", go.to_str().unwrap());
    let mut agent = Agent::start(&run_of(&script, 0, 3_600_000, &[]));
    // The last event before the app's end.
    agent.expect(|k| matches!(k, EventKind::Record { .. }));
    let written = agent.raw_events().len();
    limit_files(agent.pid(), Some(written));
    std::fs::write(&go, b"").unwrap();
    let app = format!("/proc/{0}/task/{0}/children", agent.pid());
    agent.expect_when(|_| std::fs::read_to_string(&app).unwrap().is_empty());
    // For the first try, which must fail. Where it comes later still, this test shows less.
    std::thread::sleep(std::time::Duration::from_millis(500));
    // Being stopped makes it lose nothing, either.
    agent.signal("TERM");
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(agent.raw_events().len(), written);
    limit_files(agent.pid(), None);
    assert_eq!(agent.wait(), 3);
    let (_, result) = ended(&agent);
    assert_eq!((result.outcome, result.tries), (RunOutcome::Exited(3), 1));
}
