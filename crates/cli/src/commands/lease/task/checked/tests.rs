use casemate_attestation::{Grade, TcbStatus, TeeKind};
use casemate_client::{chain::StandingView, sealed_logs::LogProblem};
use casemate_logs::LogLine;
use casemate_primitives::{LeaseId, LogHead, Quantities, RunId};

use super::*;
use crate::commands::lease::{
    task::testing::{ended, open_run, result},
    testing::details,
};

const TASK: DeploymentId = DeploymentId(1);
const KEY: AgentPublicKey = [5; 32];

fn agent(key: AgentPublicKey) -> AgentView {
    AgentView {
        replica: 0,
        key,
        sequence: 0,
        claimed_to: 0,
        claimed_total: Quantities::default(),
        log: LogHead::default(),
        standing: Some(StandingView {
            kind: TeeKind::IntelTdx,
            grade: Grade::Software,
            tcb_status: TcbStatus::UpToDate,
            workload: vec![0xab; 4],
            manifest_hash: [0; 32],
            hpke_key: [0; 32],
            evidence_hash: [0xcd; 32],
            verified_at: 0,
            expires_at: 9,
        }),
        ended_version: None,
    }
}

fn of(
    agents: &[AgentView],
    open: &[OpenRunView],
    history: &[RunEntry],
) -> Result<KeyStanding, String> {
    standing((TASK, &result(1, 0, 1_000), &KEY), Some(&details()), agents, open, history)
}

#[test]
fn a_key_that_the_chain_has_not_attested_for_the_slot_is_refused() {
    let in_slot = of(&[agent(KEY)], &[], &[]).unwrap();
    let text = in_slot.text();
    assert!(text.contains("abababab") && text.contains("0xcdcdcd"), "{text}");
    // The node shows another agent, or none, and no run after this one.
    let other = of(&[agent([6; 32])], &[], &[ended(1, 1_000)]).unwrap_err();
    assert!(other.contains("another key, 0x0606"), "{other}");
    let none = of(&[], &[], &[ended(1, 1_000)]).unwrap_err();
    assert!(none.contains("no attested agent"), "{none}");
    // A slot of another number counts for nothing.
    let beside = AgentView { replica: 1, ..agent(KEY) };
    assert!(of(&[beside], &[], &[]).is_err());
}

#[test]
fn of_a_run_before_the_last_one_nothing_is_said() {
    let agents = [agent([6; 32])];
    assert_eq!(of(&agents, &[open_run(7, 2, 2_000)], &[]), Ok(KeyStanding::Superseded));
    assert_eq!(of(&agents, &[], &[ended(2, 2_000)]), Ok(KeyStanding::Superseded));
    let lost = RunEntry::Lost { run: RunId(2), lease: LeaseId(7), scheduled_at: 2_000 };
    assert_eq!(of(&agents, &[], &[lost]), Ok(KeyStanding::Superseded));
    // Another lease's runs are no reason.
    assert!(of(&agents, &[open_run(8, 2, 2_000)], &[]).is_err());
    let evidence = AgentView { standing: None, ..agent(KEY) };
    assert!(of(&[evidence], &[], &[]).unwrap().text().contains("run out"));
}

#[test]
fn a_lease_of_another_task_is_refused_and_a_forgotten_one_is_told() {
    let (result, agents) = (result(1, 0, 1_000), [agent(KEY)]);
    let other = (DeploymentId(2), &result, &KEY);
    let refused = standing(other, Some(&details()), &agents, &[], &[]).unwrap_err();
    assert!(refused.contains("another deployment"), "{refused}");
    let own = (TASK, &result, &KEY);
    assert_eq!(standing(own, None, &agents, &[], &[]), Ok(KeyStanding::Forgotten));
}

fn line(stream: Stream, text: &str, partial: bool) -> OpenedLine {
    let text = text.as_bytes().to_vec();
    let line = LogLine { number: 0, time_ms: 0, container: None, stream, text, partial };
    OpenedLine { line, standing: Standing::Proved }
}

fn hash_of(stdout: &str, stderr: &str) -> Hash256 {
    output_hash(&blake2_256(stdout.as_bytes()), &blake2_256(stderr.as_bytes()))
}

#[test]
fn the_output_is_compared_with_the_hash_in_the_result() {
    use Stream::{Agent, Stderr, Stdout};
    let lines = [
        line(Agent, "it starts", false),
        line(Stdout, "a", false),
        line(Stderr, "x", false),
        line(Stdout, "lo", true),
        line(Stdout, "ng", false),
    ];
    let report = LogReport::default();
    let mut result = result(1, 0, 1_000);
    for (stdout, stderr) in [("a\nlong\n", "x\n"), ("a\nlong", "x\n"), ("a\nlong\n", "x")] {
        result.output_hash = hash_of(stdout, stderr);
        assert_eq!(is_output(&result, &report, &lines), Some(true), "{stdout:?} {stderr:?}");
    }
    for (stdout, stderr) in [("a\nlong\n", "y\n"), ("along\n", "x\n"), ("long\n", "x\n")] {
        result.output_hash = hash_of(stdout, stderr);
        assert_eq!(is_output(&result, &report, &lines), Some(false), "{stdout:?} {stderr:?}");
    }
    // The last of several tries alone is hashed, also one that has written nothing.
    result.tries = 2;
    for (stdout, stderr) in [("long\n", "x\n"), ("long\n", ""), ("", "")] {
        result.output_hash = hash_of(stdout, stderr);
        assert_eq!(is_output(&result, &report, &lines), Some(true), "{stdout:?} {stderr:?}");
    }
    result.output_hash = hash_of("b\n", "");
    assert_eq!(is_output(&result, &report, &lines), Some(false));
    // Where something is missing nothing is said.
    let dropped = LogReport { dropped_lines: 1, ..LogReport::default() };
    assert_eq!(is_output(&result, &dropped, &lines), None);
    let problems = vec![LogProblem::Missing { first: 0, count: 1 }];
    assert_eq!(is_output(&result, &LogReport { problems, ..LogReport::default() }, &lines), None);
}
