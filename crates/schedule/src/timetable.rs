//! A schedule of any kind, evaluated.

use casemate_primitives::{Schedule, UnixSeconds};

use crate::{Calendar, CalendarError};

/// A task's schedule with the time at which it was set.
#[derive(Clone, Debug)]
pub struct Timetable {
    schedule: Schedule,
    since: UnixSeconds,
    /// Of a cron, with the shortest distance that the chain takes.
    calendar: Option<(Calendar, UnixSeconds)>,
}

impl Timetable {
    /// Makes what a chain holds ready to be evaluated.
    ///
    /// # Errors
    /// Where a cron expression or its zone is not taken, or is not UTF-8.
    pub fn new(schedule: Schedule, since: UnixSeconds) -> Result<Self, CalendarError> {
        let calendar = match &schedule {
            Schedule::Once { .. } | Schedule::Every { .. } => None,
            Schedule::Cron { expression, time_zone, seconds_min } => {
                let expression = String::from_utf8_lossy(expression);
                let time_zone = String::from_utf8_lossy(time_zone);
                let calendar = Calendar::new(&expression, &time_zone)?;
                Some((calendar, UnixSeconds::from(*seconds_min).max(1)))
            }
        };
        Ok(Self { schedule, since, calendar })
    }

    /// The first scheduled time after `last` (or of all where there was none).
    pub fn next(&self, last: Option<UnixSeconds>) -> Option<UnixSeconds> {
        self.next_from(last, 0)
    }

    /// The first scheduled time after `last` that is not before `earliest`.
    pub fn next_from(
        &self,
        last: Option<UnixSeconds>,
        earliest: UnixSeconds,
    ) -> Option<UnixSeconds> {
        let Some((calendar, distance)) = &self.calendar else {
            return self.schedule.next(self.since, last.max(earliest.checked_sub(1)));
        };
        // What the chain would refuse is not due. A schedule that says of itself less distance than
        // it keeps (it was set with another edition of the tz database) goes on this way. In one step:
        // whoever sets the schedule chooses the distance.
        let allowed = last.map_or(0, |last| last.saturating_add(*distance));
        calendar.next_after(allowed.max(self.since).max(earliest).saturating_sub(1))
    }

    /// The newest scheduled time after `last` and before `before`.
    pub fn newest(&self, last: Option<UnixSeconds>, before: UnixSeconds) -> Option<UnixSeconds> {
        let Some((calendar, _)) = &self.calendar else {
            return self.schedule.skipped(self.since, last, before).map(|skipped| skipped.last);
        };
        let mut newest = self.next(last).filter(|first| *first < before)?;
        // Nothing is scheduled from here to `before`. Each step halves what is left between the two.
        let mut end = before;
        while end - newest > 1 {
            let middle = newest + (end - newest - 1) / 2;
            match calendar.next_after(middle).filter(|next| *next < end) {
                Some(next) => newest = next,
                None => end = middle + 1,
            }
        }
        Some(newest)
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
            Some((calendar, _)) => {
                at >= self.since
                    && at.checked_sub(1).and_then(|b| calendar.next_after(b)) == Some(at)
            }
        }
    }
}

#[cfg(test)]
mod tests;
