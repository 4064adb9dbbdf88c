use casemate_primitives::{RunId, blake2_256};

use super::*;
use crate::config::RunLimits;

fn run(retries: u32, deadline_ms: u64) -> Run {
    let limits = RunLimits { deadline_ms, retries, backoff_ms: 500, artefacts: Vec::new() };
    Run::new(TaskConfig { run: RunId(3), scheduled_at: 100, limits })
}

#[test]
fn failures_are_tried_again_after_longer_and_longer_pauses() {
    let mut run = run(3, 60_000);
    let now = Instant::now();
    for pause in [500, 1000, 2000] {
        run.starts(100, now);
        assert_eq!(run.next(7, false), Next::Retry(Duration::from_millis(pause)));
    }
    run.starts(100, now);
    assert_eq!(run.next(7, false), Next::End(RunOutcome::Exited(7)));
    assert_eq!(run.next(0, false), Next::End(RunOutcome::Exited(0)));
}

#[test]
fn no_pause_is_endless() {
    let mut run = run(u32::MAX, u64::MAX);
    for _ in 0..100 {
        run.starts(100, Instant::now());
    }
    assert_eq!(run.next(1, false), Next::Retry(BACKOFF_MAX));
}

#[test]
fn the_deadline_counts_from_the_first_try_and_ends_all() {
    let mut run = run(3, 1_000);
    let first = Instant::now();
    assert!(!run.is_over(first));
    run.starts(100, first);
    run.starts(150, first + Duration::from_millis(900));
    assert!(!run.is_over(first + Duration::from_millis(999)));
    assert!(run.is_over(first + Duration::from_secs(1)));
    assert!(!run.is_over(first + Duration::from_secs(2)), "it is said once");
    assert_eq!(run.deadline(), None);
    assert_eq!(run.next(1, false), Next::End(RunOutcome::DeadlineExceeded));
    assert_eq!(run.next(0, true), Next::End(RunOutcome::DeadlineExceeded));
}

#[test]
fn whoever_stops_it_makes_no_success() {
    let mut run = run(3, 1_000);
    run.starts(100, Instant::now());
    assert_eq!(run.next(0, true), Next::End(RunOutcome::Stopped));
}

#[test]
fn each_try_has_its_own_output() {
    let mut run = run(3, 1_000);
    let text = |hashes: [StreamHash; 2], text: &[u8]| {
        let [stdout, _] = hashes;
        io::copy(&mut Hashed::new(text, Some(stdout)), &mut io::sink()).unwrap();
    };
    text(run.starts(100, Instant::now()), b"first");
    text(run.starts(100, Instant::now()), b"second");
    let [stdout, stderr] = &run.output;
    assert_eq!(stdout.get(), blake2_256(b"second"));
    assert_eq!(stderr.get(), blake2_256(b""));
}
