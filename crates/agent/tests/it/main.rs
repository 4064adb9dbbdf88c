//! The real agent as a process: what the app, the host and the publisher rely on.

#![allow(clippy::unwrap_used)]

mod harness;
mod pod;
mod refused;
mod relay;
mod software_tee;
mod task;
mod tee;
mod tee_fake;
mod vault;

use casemate_agent::{
    config::{Config, Probe, ProbeAction, Probes, RestartPolicy},
    event::{EventKind, Stream, decode_key, decode_record},
};
use casemate_primitives::PodState;
use harness::{Agent, GENESIS, config, require_root, shell};

/// The records, each checked to be the key's and to follow the one before.
fn checked_records(agent: &Agent) -> Vec<casemate_primitives::UsageRecord> {
    let events = agent.events();
    let key = events
        .iter()
        .find_map(|e| match &e.kind {
            EventKind::Started { key: Some(key) } => Some(decode_key(key).unwrap()),
            _ => None,
        })
        .expect("the agent has told its key");
    let mut records: Vec<casemate_primitives::UsageRecord> = Vec::new();
    for event in &events {
        if let EventKind::Record { record, signature, .. } = &event.kind {
            let (record, _) = decode_record(record, signature, &key, &GENESIS).unwrap();
            if let Some(last) = records.last() {
                assert!(last.is_followed_by(&record), "{last:?} {record:?}");
            }
            records.push(record);
        }
    }
    records
}

#[test]
fn the_apps_exit_code_is_the_agents() {
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
        let mut agent = Agent::start(&config(shell(script)));
        assert_eq!(agent.wait(), code, "{script}");
        agent.expect(|k| matches!(k, EventKind::AppExited { code: c, last: true } if *c == code));
    }
}

#[test]
fn a_program_that_is_not_there_is_told_and_ends_with_127() {
    let mut agent = Agent::start(&config(vec!["/no/such/program".into()]));
    assert_eq!(agent.wait(), 127);
    assert!(agent.log(Stream::Agent).contains("/no/such/program"));
}

#[test]
fn a_bad_configuration_ends_with_125_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    std::fs::write(&path, "{\"container\": 3}").unwrap();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_casemate-agent"))
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(125));
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(stderr.contains("config.json") && stderr.contains("line 1"), "{stderr}");
}

#[test]
fn lines_of_both_streams_are_captured() {
    let mut agent = Agent::start(&config(shell("echo out 1; echo err 1 >&2; printf 'no end'")));
    agent.wait();
    assert_eq!(agent.log(Stream::Stdout), "out 1\nno end\n");
    assert_eq!(agent.log(Stream::Stderr), "err 1\n");
}

#[test]
fn a_stop_reaches_the_app_and_the_last_record_is_signed() {
    let script = "trap 'echo got TERM; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let mut agent = Agent::start(&config(shell(script)));
    agent.expect_log(Stream::Stdout, "up");
    let before = checked_records(&agent).len();
    assert!(before >= 1, "the first record is there when the app runs");
    agent.signal("TERM");
    assert_eq!(agent.wait(), 7);
    assert!(agent.log(Stream::Stdout).contains("got TERM"));
    let events = agent.events();
    assert!(matches!(events.last().unwrap().kind, EventKind::Record { .. }), "{events:?}");
    assert!(checked_records(&agent).len() > before);
}

#[test]
fn an_app_that_ignores_the_stop_is_killed_after_the_grace() {
    let mut config = config(shell("trap '' TERM; echo up; while :; do sleep 0.05; done"));
    config.grace_ms = 300;
    let mut agent = Agent::start(&config);
    agent.expect_log(Stream::Stdout, "up");
    agent.signal("TERM");
    assert_eq!(agent.wait(), 137);
    checked_records(&agent);
}

#[test]
fn a_second_stop_does_not_wait_for_the_grace() {
    let mut config = config(shell("trap '' TERM; echo up; while :; do sleep 0.05; done"));
    config.grace_ms = 3_600_000;
    let mut agent = Agent::start(&config);
    agent.expect_log(Stream::Stdout, "up");
    agent.signal("TERM");
    agent.expect(|k| *k == EventKind::Stopping);
    agent.signal("TERM");
    assert_eq!(agent.wait(), 137);
    assert!(matches!(agent.events().last().unwrap().kind, EventKind::Record { .. }));
}

#[test]
fn other_signals_reach_the_app() {
    let script = "trap 'echo got HUP' HUP; trap 'echo got USR1; exit 3' USR1; echo up; \
                  while :; do sleep 0.05; done";
    let mut agent = Agent::start(&config(shell(script)));
    agent.expect_log(Stream::Stdout, "up");
    agent.signal("HUP");
    agent.expect_log(Stream::Stdout, "got HUP");
    agent.signal("USR1");
    assert_eq!(agent.wait(), 3);
}

#[test]
fn a_signal_that_the_agent_was_started_to_ignore_reaches_the_app() {
    let script = "trap 'echo got HUP; exit 4' HUP; echo up; while :; do sleep 0.05; done";
    let mut agent = Agent::start_under(&["nohup"], &config(shell(script)));
    agent.expect_log(Stream::Stdout, "up");
    agent.signal("HUP");
    assert_eq!(agent.wait(), 4);
}

#[test]
fn a_failed_app_is_started_again_and_a_clean_end_is_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("flag");
    let script = format!("test -e {0} && exit 0; touch {0}; exit 9", flag.display());
    let mut config = config(shell(&script));
    config.restart = RestartPolicy::OnFailure;
    let mut agent = Agent::start(&config);
    assert_eq!(agent.wait(), 0);
    agent.expect(|k| matches!(k, EventKind::BackOff { code: 9, delay_ms: 1000 }));
    agent.expect(|k| matches!(k, EventKind::AppStarted { restarts: 1 }));
    checked_records(&agent);
}

#[test]
fn records_grow_with_time() {
    let mut config = config(shell("sleep 1000"));
    config.signer.as_mut().unwrap().record_interval_ms = 200;
    let mut agent = Agent::start(&config);
    agent.expect(|k| matches!(k, EventKind::Started { .. }));
    agent.expect_when(|agent| {
        checked_records(agent).last().is_some_and(|r| r.total.cpu_millicore_seconds >= 2000)
    });
    agent.signal("TERM");
    assert_eq!(agent.wait(), 143);
    let records = checked_records(&agent);
    let (first, last) = (records.first().unwrap(), records.last().unwrap());
    let quota = config.signer.unwrap().quota;
    let most = casemate_primitives::Quantities::quota(&quota, last.to - first.from).unwrap();
    assert!(last.total.within_quota(&most));
}

#[test]
fn a_flood_is_limited_and_counted_and_records_go_on() {
    let mut config =
        config(shell("i=0; while [ $i -lt 200000 ]; do echo line $i; i=$((i+1)); done"));
    config.log.sustained_bytes = 1000;
    config.log.burst_bytes = 10_000;
    let mut agent = Agent::start(&config);
    assert_eq!(agent.wait(), 0);
    let events = agent.events();
    let lines = events.iter().filter(|e| matches!(e.kind, EventKind::Log { .. })).count() as u64;
    let dropped: u64 = events
        .iter()
        .map(|e| if let EventKind::Dropped { lines, .. } = e.kind { lines } else { 0 })
        .sum();
    assert_eq!(lines + dropped, 200_000);
    assert!(dropped > 100_000, "{dropped}");
    checked_records(&agent);
}

#[test]
fn a_long_line_of_control_characters_stays_readable() {
    let mut agent = Agent::start(&config(shell("head -c 40000 /dev/zero; echo; echo after")));
    agent.wait();
    let log = agent.log(Stream::Stdout);
    assert_eq!(log.len(), 40_000 + 1 + 6);
    assert!(log.ends_with("after\n"));
}

fn probe(action: ProbeAction) -> Probe {
    Probe {
        action,
        initial_delay_ms: 0,
        period_ms: 50,
        timeout_ms: 30_000,
        success_threshold: 1,
        failure_threshold: 1,
    }
}

#[test]
fn readiness_follows_the_probe() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("flag");
    let test = vec!["test".into(), "-e".into(), flag.display().to_string()];
    let mut config = config(shell("sleep 1000"));
    config.probes =
        Probes { readiness: Some(probe(ProbeAction::Exec { command: test })), ..Probes::default() };
    let mut agent = Agent::start(&config);
    agent.expect(|k| matches!(k, EventKind::AppStarted { .. }));
    assert!(!agent.events().iter().any(|e| e.kind == EventKind::Ready));
    std::fs::write(&flag, "").unwrap();
    agent.expect(|k| matches!(k, EventKind::Ready));
    std::fs::remove_file(&flag).unwrap();
    agent.expect(|k| matches!(k, EventKind::Unready { reason } if reason.contains("exit code 1")));
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn a_failed_liveness_probe_starts_the_app_again_after_the_startup_probe() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = config(shell("sleep 1000"));
    config.restart = RestartPolicy::Always;
    config.probes = Probes {
        startup: Some(probe(ProbeAction::Exec { command: vec!["true".into()] })),
        liveness: Some(probe(ProbeAction::Tcp { port })),
        ..Probes::default()
    };
    let mut agent = Agent::start(&config);
    agent.expect(|k| matches!(k, EventKind::BackOff { code: 143, .. }));
    agent.expect(|k| matches!(k, EventKind::AppStarted { restarts: 1 }));
    assert!(agent.log(Stream::Agent).contains(&port.to_string()));
    agent.signal("TERM");
    agent.wait();
}

#[test]
fn as_process_1_it_reaps_orphans_and_leaves_none_behind() {
    require_root();
    // The orphans are made by a shell that ends at once; their parent is then process 1.
    let script = "for i in 1 2 3 4 5; do sh -c 'sleep 0.05 & '; done; sleep 1000 & echo up; wait";
    let mut agent = Agent::start_as_init(&config(shell(script)));
    agent.expect_log(Stream::Stdout, "up");
    agent.expect_when(|agent| {
        let zombies = agent.processes().iter().filter(|(_, state)| *state == 'Z').count();
        let sleeps = agent.processes().iter().filter(|(name, _)| name == "sleep").count();
        zombies == 0 && sleeps == 1
    });
    agent.signal("TERM");
    assert_eq!(agent.wait(), 143);
    assert!(agent.processes().is_empty());
}

#[test]
fn an_app_of_the_same_user_cannot_look_into_the_agent() {
    require_root();
    let script = "id -u; cat /proc/$PPID/environ; ls -l /proc/$PPID/fd; cat /proc/$PPID/maps; \
                  cat /proc/$PPID/mem; echo end";
    let mut agent = Agent::start_as_user(&config(shell(script)), 65534);
    assert_eq!(agent.wait(), 0);
    let out = agent.log(Stream::Stdout);
    assert_eq!(out, "65534\ntotal 0\nend\n".replace("total 0\n", ""), "{out}");
    let refused = agent.log(Stream::Stderr).matches("ermission denied").count();
    assert_eq!(refused, 4, "{}", agent.log(Stream::Stderr));
}

#[test]
fn the_app_has_no_descriptor_of_the_agent_and_a_clean_signal_mask() {
    let script = "ls /proc/self/fd | wc -l; grep -E 'SigBlk|NoNewPrivs' /proc/self/status";
    let mut agent = Agent::start(&config(shell(script)));
    agent.wait();
    // 0, 1, 2, and the directory that `ls` has open.
    let out = agent.log(Stream::Stdout);
    assert_eq!(out, "4\nSigBlk:\t0000000000000000\nNoNewPrivs:\t1\n");
}

#[test]
fn the_app_runs_as_the_user_that_is_configured() {
    require_root();
    let mut config = config(shell("id -u; id -g; id -G; cat /proc/self/oom_score_adj"));
    config.app.user = Some(casemate_agent::config::User { uid: 1234, gid: 2345, groups: vec![77] });
    let mut agent = Agent::start(&config);
    assert_eq!(agent.wait(), 0);
    assert_eq!(agent.log(Stream::Stdout), "1234\n2345\n2345 77\n500\n");
}

#[test]
fn an_app_that_is_not_root_can_open_its_standard_output() {
    require_root();
    let mut config = config(shell("echo out > /dev/stdout; echo err > /dev/stderr"));
    config.app.user = Some(casemate_agent::config::User { uid: 1234, gid: 1234, groups: vec![] });
    let mut agent = Agent::start(&config);
    assert_eq!(agent.wait(), 0, "{}", agent.log(Stream::Stderr));
    assert_eq!(agent.log(Stream::Stdout), "out\n");
    assert_eq!(agent.log(Stream::Stderr), "err\n");
    let null = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/dev/null").unwrap());
    assert_eq!(null, 0);
}

/// What the agent's last record says of the app.
fn last_state(agent: &Agent) -> PodState {
    checked_records(agent).last().unwrap().state
}

#[test]
fn an_app_that_ends_by_itself_is_told_in_the_last_record() {
    let cases = [
        (RestartPolicy::Never, "exit 0", 0),
        (RestartPolicy::Never, "exit 255", 255),
        (RestartPolicy::OnFailure, "exit 0", 0),
        // Nobody but itself has had a part in it.
        (RestartPolicy::Never, "kill -HUP $PPID; exit 3", 3),
        (
            RestartPolicy::Never,
            "trap 'exit 4' TERM; kill -TERM $PPID; while :; do sleep 0.05; done",
            4,
        ),
    ];
    require_root();
    for (restart, script, code) in cases {
        let script = format!("trap '' HUP; {script}");
        let mut agent = Agent::start_as_init(&Config { restart, ..config(shell(&script)) });
        assert_eq!(agent.wait(), i32::from(code), "{script}");
        assert_eq!(last_state(&agent), PodState::Ended { code }, "{script}");
        let records = checked_records(&agent);
        let before = &records[..records.len() - 1];
        assert!(before.iter().all(|record| record.state == PodState::Running), "{script}");
    }
}

#[test]
fn nobody_but_the_app_makes_the_agent_say_that_it_has_ended() {
    require_root();
    let handlers = "trap 'exit 0' TERM HUP; echo up; while :; do sleep 0.05; done";
    // By the host: stopped, or ended by a signal that the agent passes on.
    for signal in ["TERM", "HUP"] {
        let mut agent = Agent::start_as_init(&config(shell(handlers)));
        agent.expect_log(Stream::Stdout, "up");
        agent.signal(signal);
        assert_eq!(agent.wait(), 0);
        assert_eq!(last_state(&agent), PodState::Running, "{signal}");
    }
    // By a signal to the app: nobody can tell whose; nor where a shell passes its code on.
    for script in ["kill -9 $$", "sh -c 'kill -9 $$'"] {
        let mut agent = Agent::start_as_init(&config(shell(script)));
        assert_eq!(agent.wait(), 137);
        assert_eq!(last_state(&agent), PodState::Running, "{script}");
    }
    // By a probe: whoever gives the app no time makes it fail.
    let action = ProbeAction::Exec { command: vec!["false".into()] };
    let mut failing = config(shell(handlers));
    failing.probes.liveness = Some(Probe { failure_threshold: 1, ..probe(action) });
    let mut agent = Agent::start_as_init(&failing);
    assert_eq!(agent.wait(), 0);
    assert_eq!(last_state(&agent), PodState::Running);
    // One that is started again has not ended.
    let again = Config { restart: RestartPolicy::Always, ..config(shell("exit 0")) };
    let mut agent = Agent::start_as_init(&again);
    agent.expect(|k| matches!(k, EventKind::BackOff { .. }));
    agent.signal("TERM");
    agent.wait();
    assert_eq!(last_state(&agent), PodState::Running);
}

#[test]
fn a_signal_that_may_be_anybodys_is_nobodys() {
    require_root();
    // `sigqueue` lets the sender choose what it says of himself.
    let script = "echo up; exec sleep 1000";
    let mut agent = Agent::start_as_init(&config(shell(script)));
    agent.expect_log(Stream::Stdout, "up");
    agent.queue_signal("TERM");
    agent.signal("HUP");
    assert_eq!(agent.wait(), 129, "HUP has ended it, and no stop before");
    assert!(agent.events().iter().all(|e| e.kind != EventKind::Stopping));
}
