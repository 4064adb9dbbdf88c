use super::*;
use crate::calendar::tests::searches;

const SINCE: UnixSeconds = 1_764_000_000;

fn cron(expression: &str, seconds_min: u32) -> Timetable {
    let schedule = Schedule::Cron {
        expression: expression.as_bytes().to_vec().try_into().unwrap(),
        time_zone: b"UTC".to_vec().try_into().unwrap(),
        seconds_min,
    };
    Timetable::new(schedule, SINCE).unwrap()
}

#[test]
fn all_kinds_give_times_that_the_chain_takes() {
    let tables = [
        Timetable::new(Schedule::Once { at: Some(SINCE + 5) }, SINCE).unwrap(),
        Timetable::new(Schedule::Every { seconds: 60 }, SINCE).unwrap(),
        cron("*/5 * * * *", 300),
    ];
    for table in tables {
        let mut last = None;
        for _ in 0..50 {
            let Some(next) = table.next(last) else { break };
            assert!(table.schedule.allows(SINCE, last, next));
            assert!(table.has(next));
            assert!(!table.has(next + 1));
            last = Some(next);
        }
        assert!(last.is_some());
    }
}

#[test]
fn due_is_the_newest_and_counts_all() {
    let every = Timetable::new(Schedule::Every { seconds: 60 }, SINCE).unwrap();
    assert_eq!(every.due(None, SINCE - 1, 10), None);
    assert_eq!(every.due(None, SINCE, 10), Some((SINCE, 1)));
    assert_eq!(every.due(Some(SINCE), SINCE + 59, 10), None);
    assert_eq!(every.due(Some(SINCE), SINCE + 185, 10), Some((SINCE + 180, 3)));
    // 1_764_000_000 is a multiple of 300.
    let cron = cron("*/5 * * * *", 300);
    assert_eq!(cron.due(None, SINCE, 10), Some((SINCE, 1)));
    assert_eq!(cron.due(Some(SINCE), SINCE + 950, 10), Some((SINCE + 900, 3)));
    assert_eq!(cron.due(Some(SINCE), SINCE + 950, 2), Some((SINCE + 600, 2)), "bounded");
}

/// A time that comes sooner than the chain was told is left out rather than refused for ever.
#[test]
fn a_distance_that_is_too_long_thins_the_schedule_out() {
    let thin = cron("*/5 * * * *", 600);
    let first = thin.next(None).unwrap();
    assert_eq!(thin.next(Some(first)), Some(first + 600));
}

/// The publisher chooses the distance, and the provider evaluates it.
#[test]
fn a_distance_of_a_lifetime_takes_few_steps() {
    let table = cron("* * * * *", u32::MAX);
    let mut next = None;
    let count = searches(|| next = table.next(Some(SINCE)));
    assert!(count <= 3, "{count}");
    let next = next.unwrap();
    assert!(table.schedule.allows(SINCE, Some(SINCE), next));
    assert!(next < SINCE + u64::from(u32::MAX) + 60);
}

#[test]
fn the_newest_is_found_in_few_steps() {
    let every_minute = cron("* * * * *", 60);
    let before = SINCE + 3_600 * 24 * 365 * 10;
    let mut newest = None;
    let count = searches(|| newest = every_minute.newest(None, before + 1));
    assert_eq!(newest, Some(before));
    assert!(count <= 64, "{count}");
    for table in [cron("*/5 * * * *", 300), cron("7 2 * * *", 86_400), cron("0 0 1 1 *", 60)] {
        for before in (SINCE..SINCE + 86_400 * 3).step_by(1_777) {
            let (mut slow, mut next) = (None, table.next(None));
            while let Some(at) = next.filter(|at| *at < before) {
                (slow, next) = (Some(at), table.next(Some(at)));
            }
            assert_eq!(table.newest(None, before), slow);
            assert_eq!(table.newest(slow, before), None);
            assert_eq!(table.next_from(None, before), next, "{before}");
        }
    }
    assert_eq!(every_minute.newest(None, SINCE), None);
    let every = Timetable::new(Schedule::Every { seconds: 60 }, SINCE).unwrap();
    assert_eq!(every.newest(Some(SINCE), SINCE + 185), Some(SINCE + 180));
    assert_eq!(every.newest(Some(SINCE), SINCE + 60), None);
}

#[test]
fn texts_that_no_chain_should_hold_are_errors() {
    let schedule = Schedule::Cron {
        expression: vec![0xFF; 10].try_into().unwrap(),
        time_zone: vec![0xFF; 10].try_into().unwrap(),
        seconds_min: 60,
    };
    assert!(Timetable::new(schedule, SINCE).is_err());
}
