use super::*;
use proptest::prelude::*;

thread_local! {
    /// How often the calendar library was asked.
    pub(crate) static SEARCHES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// How often `work` asks the calendar library.
pub(crate) fn searches(work: impl FnOnce()) -> u32 {
    let before = SEARCHES.get();
    work();
    SEARCHES.get() - before
}

/// Seconds of a wall-clock time in UTC.
fn utc(text: &str) -> UnixSeconds {
    let timestamp: Timestamp = format!("{text}:00Z").parse().unwrap();
    u64::try_from(timestamp.as_second()).unwrap()
}

/// The next `count` times, in UTC.
fn times(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let calendar = Calendar::new(expression, zone).unwrap();
    let mut time = utc(from);
    let mut times = Vec::new();
    while times.len() < count {
        time = calendar.next_after(time).unwrap();
        let shown = Timestamp::from_second(i64::try_from(time).unwrap()).unwrap();
        times.push(shown.strftime("%m-%d %H:%M").to_string());
    }
    times
}

#[test]
fn plain_expressions() {
    let next = |expression| times(expression, "UTC", "2026-11-23T09:41", 2);
    assert_eq!(next("*/15 * * * *"), ["11-23 09:45", "11-23 10:00"]);
    assert_eq!(next("0 2 * * *"), ["11-24 02:00", "11-25 02:00"]);
    assert_eq!(next("30 4 1,15 * *"), ["12-01 04:30", "12-15 04:30"]);
    assert_eq!(next("0 22 * * mon-fri"), ["11-23 22:00", "11-24 22:00"]);
    assert_eq!(next("0 0 29 FEB *"), ["02-29 00:00", "02-29 00:00"]);
    // Either day is enough, as in every cron.
    assert_eq!(next("0 0 25 * FRI"), ["11-25 00:00", "11-27 00:00"]);
}

#[test]
fn a_time_zone_moves_the_day() {
    let next = |zone| times("0 9 * * *", zone, "2026-01-10T00:00", 1);
    assert_eq!(next("UTC"), ["01-10 09:00"]);
    assert_eq!(next("Europe/Berlin"), ["01-10 08:00"]);
    assert_eq!(next("Asia/Kolkata"), ["01-10 03:30"]);
    assert_eq!(next("America/New_York"), ["01-10 14:00"]);
}

/// 29 March 2026: in Berlin 02:00 is followed by 03:00 (01:00 UTC).
#[test]
fn a_fixed_time_in_a_gap_is_due_once_right_after_it() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00", 3),
        ["03-28 01:30", "03-29 01:00", "03-30 00:30"]
    );
}

/// 25 October 2026: in Berlin 03:00 is followed by 02:00 (01:00 UTC).
#[test]
fn a_fixed_time_in_an_overlap_is_due_once_the_first_time() {
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2),
        ["10-25 00:30", "10-26 01:30"]
    );
}

#[test]
fn lists_and_steps_follow_real_time_through_both() {
    assert_eq!(times("30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", 1), ["03-29 01:30"]);
    assert_eq!(
        times("30 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00", 3),
        ["10-25 00:30", "10-25 01:30", "10-25 02:30"]
    );
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15", 3),
        ["03-29 00:30", "03-29 01:00", "03-29 01:30"]
    );
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15", 4),
        ["10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"]
    );
}

/// Lord Howe moves by half an hour: 02:00 is followed by 02:30 (15:30 UTC the day before).
#[test]
fn a_gap_of_half_an_hour() {
    assert_eq!(
        times("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00", 2),
        ["10-03 15:30", "10-04 15:15"]
    );
}

/// Samoa left out 30 December 2011 altogether: what was due on it is not, and the schedule goes on.
#[test]
fn a_day_that_never_was() {
    assert_eq!(
        times("0 12 * * *", "Pacific/Apia", "2011-12-28T00:00", 3),
        ["12-28 22:00", "12-29 22:00", "12-30 22:00"]
    );
    let calendar = Calendar::new("0 12 30 12 *", "Pacific/Apia").unwrap();
    assert_eq!(calendar.next_after(utc("2011-12-29T00:00")), Some(utc("2012-12-29T22:00")));
}

#[test]
fn what_is_not_taken_says_why() {
    let error = |expression: &str| Calendar::new(expression, "UTC").unwrap_err();
    assert_eq!(error(""), CalendarError::Fields(0));
    assert_eq!(error("0 2 * *"), CalendarError::Fields(4));
    assert_eq!(error("0 0 2 * * *"), CalendarError::Fields(6), "seconds");
    assert_eq!(error("@daily"), CalendarError::Fields(1));
    assert_eq!(error(&"*".repeat(129)), CalendarError::TooLong(129));
    for field in ["L", "15W", "?", "5#2", "*/", "/5", "1-", "1-2-3", "ä", "1,,2", "\u{1b}[2J"] {
        let error = error(&format!("0 0 {field} * *"));
        assert!(matches!(error, CalendarError::Field { .. }), "{field}: {error}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    for bad in ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *"] {
        assert!(matches!(error(bad), CalendarError::Expression(_)), "{bad}");
    }
    assert_eq!(error("0 0 30 2 *"), CalendarError::Never);
    for zone in ["", "Mars/Olympus", "../../etc/passwd", "Europe/Berlin\0", &"x".repeat(1000)] {
        let error = Calendar::new("0 0 * * *", zone).unwrap_err();
        assert!(matches!(error, CalendarError::TimeZone { .. }), "{zone}: {error}");
    }
}

/// Each search for it goes to the calendar's end.
#[test]
fn what_never_comes_is_looked_for_twice_at_most() {
    let count = searches(|| {
        let never = Calendar::new("0 0 30 2 *", "Pacific/Apia").unwrap_err();
        assert_eq!(never, CalendarError::Never);
    });
    assert!(count <= 2, "{count}");
}

#[test]
fn the_edition_is_known() {
    assert!(crate::tzdb_edition().starts_with("20"), "{}", crate::tzdb_edition());
}

#[test]
fn the_shortest_distance_is_found_or_a_minute() {
    let shortest = |expression, zone| {
        Calendar::new(expression, zone).unwrap().seconds_min(utc("2026-11-23T00:00"))
    };
    assert_eq!(shortest("* * * * *", "UTC"), 60);
    assert_eq!(shortest("0 2 * * *", "UTC"), 86_400);
    // The day on which an hour is missing.
    assert_eq!(shortest("0 12 * * *", "Europe/Berlin"), 82_800);
    assert_eq!(shortest("0 12,13 * * 1", "UTC"), 3_600);
    assert_eq!(shortest("30 2,3 * * *", "Europe/Berlin"), 3_600);
}

proptest! {
    /// Times grow by at least the distance that is said, whatever the zone and the day.
    #[test]
    fn times_grow_by_what_is_said(
        minute in 0u32..60,
        hour in 0u32..24,
        zone in 0usize..5,
        start in 1_700_000_000u64..1_900_000_000,
    ) {
        let zones =
            ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"];
        let calendar = Calendar::new(&format!("{minute} {hour} * * *"), zones[zone]).unwrap();
        let distance = u64::from(calendar.seconds_min(start));
        let mut time = calendar.next_after(start).unwrap();
        for _ in 0..400 {
            let next = calendar.next_after(time).unwrap();
            prop_assert!(next >= time + distance, "{time} {next} {distance}");
            time = next;
        }
    }

    #[test]
    fn no_text_panics(expression in ".{0,40}", zone in ".{0,20}", time in any::<u64>()) {
        if let Ok(calendar) = Calendar::new(&expression, &zone) {
            let _ = calendar.next_after(time);
        }
        let _ = check_expression(&expression);
    }
}
