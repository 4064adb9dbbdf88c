use super::*;

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

#[test]
fn texts_that_no_chain_should_hold_are_errors() {
    let schedule = Schedule::Cron {
        expression: vec![0xFF; 10].try_into().unwrap(),
        time_zone: vec![0xFF; 10].try_into().unwrap(),
        seconds_min: 60,
    };
    assert!(Timetable::new(schedule, SINCE).is_err());
}
