use super::*;
use proptest::prelude::*;

const SINCE: UnixSeconds = 1_000;

fn cron(seconds_min: u32) -> Schedule {
    Schedule::Cron {
        expression: b"0 2 * * *".to_vec().try_into().unwrap(),
        time_zone: b"Europe/Berlin".to_vec().try_into().unwrap(),
        seconds_min,
    }
}

fn result() -> RunResult {
    RunResult {
        lease: LeaseId(1),
        replica: 2,
        run: RunId(3),
        scheduled_at: 4,
        started_at: 5,
        ended_at: 6,
        tries: 1,
        outcome: RunOutcome::Exited(-1),
        output_hash: [7; 32],
        log: LogHead { root: [8; 32], chunks: 9 },
        artefacts: BoundedVec::default(),
        last_record: [10; 32],
    }
}

#[test]
fn once_is_once() {
    for (schedule, at) in
        [(Schedule::Once { at: None }, SINCE), (Schedule::Once { at: Some(5_000) }, 5_000)]
    {
        assert_eq!(schedule.next(SINCE, None), Some(at));
        assert_eq!(schedule.next(SINCE, Some(at)), None);
        assert!(schedule.allows(SINCE, None, at));
        assert!(!schedule.allows(SINCE, None, at + 1));
        assert!(!schedule.allows(SINCE, Some(at), at));
        assert_eq!(schedule.skipped(SINCE, None, at), None);
        let skipped = Skipped { count: 1, first: at, last: at };
        assert_eq!(schedule.skipped(SINCE, None, at + 9_999), Some(skipped));
        assert_eq!(schedule.skipped(SINCE, Some(at), u64::MAX), None);
    }
}

/// A time before the schedule was set belongs to the one before it.
#[test]
fn a_new_schedule_begins_anew() {
    let every = Schedule::Every { seconds: 60 };
    assert_eq!(every.next(SINCE, Some(999)), Some(SINCE));
    let once = Schedule::Once { at: None };
    assert_eq!(once.next(SINCE, Some(999)), Some(SINCE));
}

#[test]
fn every_counts_from_when_it_was_set() {
    let every = Schedule::Every { seconds: 60 };
    assert_eq!(every.next(SINCE, None), Some(1_000));
    assert_eq!(every.next(SINCE, Some(1_000)), Some(1_060));
    assert!(every.allows(SINCE, Some(1_000), 1_180), "some may be skipped");
    for at in [0, 940, 1_000, 1_059, 1_061, u64::MAX] {
        assert!(!every.allows(SINCE, Some(1_000), at), "{at}");
    }
    assert_eq!(
        every.skipped(SINCE, Some(1_000), 1_180),
        Some(Skipped { count: 2, first: 1_060, last: 1_120 })
    );
    assert_eq!(every.skipped(SINCE, Some(1_000), 1_060), None);
}

#[test]
fn a_cron_keeps_its_distance() {
    let cron = cron(3_600);
    assert!(cron.allows(SINCE, None, SINCE));
    assert!(!cron.allows(SINCE, None, SINCE - 1));
    assert!(!cron.allows(SINCE, Some(2_000), 5_599));
    assert!(cron.allows(SINCE, Some(2_000), 5_600));
    assert_eq!(cron.next(SINCE, None), None);
    assert_eq!(cron.skipped(SINCE, None, u64::MAX), None);
}

/// Foreign numbers never panic, not even a period that no pallet takes.
#[test]
fn extremes_do_not_panic() {
    for seconds in [0, 1, u32::MAX] {
        let every = Schedule::Every { seconds };
        for since in [0, u64::MAX] {
            for last in [None, Some(0), Some(u64::MAX)] {
                let _ = every.next(since, last);
                let _ = every.skipped(since, last, u64::MAX);
                let _ = every.allows(since, last, u64::MAX);
                let _ = cron(seconds).allows(since, last, u64::MAX);
            }
        }
    }
}

proptest! {
    /// What arithmetic counts is what a loop would.
    #[test]
    fn skipped_is_what_a_loop_finds(
        seconds in 10u32..1_000,
        since in 0u64..10_000,
        last in proptest::option::of(0u64..20_000),
        before in 0u64..30_000,
    ) {
        let every = Schedule::Every { seconds };
        let mut found = Vec::new();
        let mut at = every.next(since, last);
        while let Some(time) = at.filter(|time| *time < before) {
            prop_assert!(every.allows(since, last, time));
            found.push(time);
            at = every.next(since, Some(time));
        }
        let skipped = every.skipped(since, last, before);
        prop_assert_eq!(skipped.map_or(0, |skipped| skipped.count), found.len() as u64);
        prop_assert_eq!(skipped.map(|skipped| skipped.first), found.first().copied());
        prop_assert_eq!(skipped.map(|skipped| skipped.last), found.last().copied());
    }
}

/// The layout that every language has to sign and read.
#[test]
fn the_signed_bytes_are_as_documented() {
    let payload = result().signing_payload(&[0xAA; 32]);
    let mut expected = vec![22 << 2];
    expected.extend_from_slice(b"casemate/run-result/v1");
    expected.extend_from_slice(&[0xAA; 32]);
    expected.extend_from_slice(&1u64.to_le_bytes());
    expected.extend_from_slice(&2u16.to_le_bytes());
    for number in 3u64..=6 {
        expected.extend_from_slice(&number.to_le_bytes());
    }
    expected.extend_from_slice(&1u32.to_le_bytes());
    expected.push(0);
    expected.extend_from_slice(&(-1i32).to_le_bytes());
    expected.extend_from_slice(&[7; 32]);
    expected.extend_from_slice(&[8; 32]);
    expected.extend_from_slice(&9u64.to_le_bytes());
    expected.push(0);
    expected.extend_from_slice(&[10; 32]);
    assert_eq!(payload, expected);
}

#[test]
fn a_result_closes_with_its_own_last_record_only() {
    let record = UsageRecord { lease: LeaseId(1), replica: 2, ..UsageRecord::default() };
    let result = RunResult { last_record: record.hash(), ..result() };
    assert!(result.closes_with(&record));
    assert!(!result.closes_with(&UsageRecord { sequence: 1, ..record }));
    let other = UsageRecord { replica: 3, ..record };
    assert!(!RunResult { last_record: other.hash(), ..result.clone() }.closes_with(&other));
    let other = UsageRecord { lease: LeaseId(2), ..record };
    assert!(!RunResult { last_record: other.hash(), ..result }.closes_with(&other));
}

#[test]
fn the_output_hash_tells_the_streams_apart() {
    assert_ne!(output_hash(&[1; 32], &[2; 32]), output_hash(&[2; 32], &[1; 32]));
}
