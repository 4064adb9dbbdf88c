//! A schedule of any kind, evaluated.

use casemate_primitives::{Schedule, UnixSeconds};

use crate::{Calendar, CalendarError};

/// A task's schedule with the time at which it was set.
#[derive(Clone, Debug)]
pub struct Timetable {
    schedule: Schedule,
    since: UnixSeconds,
    calendar: Option<Calendar>,
}

impl Timetable {
    /// Makes what a chain holds ready to be evaluated.
    ///
    /// # Errors
    /// Where a cron expression or its zone is not taken, or is not UTF-8.
    pub fn new(schedule: Schedule, since: UnixSeconds) -> Result<Self, CalendarError> {
        let calendar = match &schedule {
            Schedule::Once { .. } | Schedule::Every { .. } => None,
            Schedule::Cron { expression, time_zone, .. } => {
                let expression = String::from_utf8_lossy(expression);
                let time_zone = String::from_utf8_lossy(time_zone);
                Some(Calendar::new(&expression, &time_zone)?)
            }
        };
        Ok(Self { schedule, since, calendar })
    }

    /// The first scheduled time after `last` (or of all where there was none).
    pub fn next(&self, last: Option<UnixSeconds>) -> Option<UnixSeconds> {
        let Some(calendar) = &self.calendar else { return self.schedule.next(self.since, last) };
        let before = self.since.saturating_sub(1);
        let mut next = calendar.next_after(last.map_or(before, |last| last.max(before)))?;
        // What the chain would refuse is not due. A schedule that says of itself less distance than
        // it keeps (it was set with another edition of the tz database) goes on this way.
        while !self.schedule.allows(self.since, last, next) {
            next = calendar.next_after(next)?;
        }
        Some(next)
    }

    /// The newest scheduled time that is not after `now`, and how many there are up to it after
    /// `last`; counts at most `count_max`.
    pub fn due(
        &self,
        last: Option<UnixSeconds>,
        now: UnixSeconds,
        count_max: u64,
    ) -> Option<(UnixSeconds, u64)> {
        if self.calendar.is_none() {
            let before = now.checked_add(1)?;
            let due = self.schedule.skipped(self.since, last, before)?;
            return Some((due.last, due.count));
        }
        let (mut newest, mut count) = (last, 0);
        while count < count_max {
            match self.next(newest).filter(|next| *next <= now) {
                Some(next) => (newest, count) = (Some(next), count + 1),
                None => break,
            }
        }
        newest.filter(|_| count > 0).map(|newest| (newest, count))
    }

    /// Whether `at` is a scheduled time at all: what a publisher asks of a run that a provider began.
    pub fn has(&self, at: UnixSeconds) -> bool {
        match &self.calendar {
            None => self.schedule.allows(self.since, None, at),
            Some(calendar) => {
                at >= self.since
                    && at.checked_sub(1).and_then(|b| calendar.next_after(b)) == Some(at)
            }
        }
    }
}

#[cfg(test)]
mod tests;
