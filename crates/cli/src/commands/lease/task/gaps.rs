//! Scheduled times of which the chain knows neither a run nor that they were missed.
//!
//! Of a calendar the chain knows no times, and nobody has to say that one has passed: a provider that
//! leaves out every second run is seen by this alone. What is not sure, because the chain has dropped
//! entries of the history, is left out.

use std::collections::BTreeSet;

use casemate_client::chain::{OpenRunView, RunEntry, TaskView};
use casemate_primitives::{Schedule, UnixSeconds};
use casemate_schedule::Timetable;

/// Most times that are counted of a calendar's gap: a week of one for each minute.
pub(super) const COUNT_MAX: u64 = 10_080;

/// Scheduled times in a row that nothing is known of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Gap {
    /// How many, up to [`COUNT_MAX`] of a calendar.
    pub(super) count: u64,
    /// The first.
    pub(super) first: UnixSeconds,
}

/// Times that something is known of, from the first to the last of them.
type Span = (UnixSeconds, UnixSeconds);

/// The gaps in a task's history at `now`. The task is to be read before its open runs, and these before
/// the history: what ends in between is seen twice then, and not never.
pub(super) fn gaps(
    task: &TaskView,
    open: &[OpenRunView],
    history: &[RunEntry],
    now: UnixSeconds,
) -> Vec<Gap> {
    // What this program can't read it can't find gaps in.
    let Ok(timetable) = Timetable::new(by_calendar(&task.schedule), task.since) else {
        return Vec::new();
    };
    let mut spans: Vec<Span> =
        open.iter().map(|run| (run.scheduled_at, run.scheduled_at)).collect();
    spans.extend(history.iter().map(span));
    // What was scheduled before the present schedule was set is another schedule's.
    spans.retain(|(first, _)| *first >= task.since);
    spans.sort_unstable();
    let mut known = known_from(task, open, history);
    let mut found = Vec::new();
    for (first, last) in spans {
        if known.is_none_or(|known| known < first) {
            found.extend(first.checked_sub(1).and_then(|until| gap(&timetable, known, until)));
        }
        known = known.max(Some(last));
    }
    // From here on a time may still be run.
    let end = task.stopped_at.map_or(now, |at| at.min(now));
    let until = end.checked_sub(u64::from(task.terms.start_seconds_max).saturating_add(1));
    found.extend(until.and_then(|until| gap(&timetable, known, until)));
    found.extend(history.iter().filter_map(|entry| untold(task, &timetable, entry)));
    found.sort_by_key(|gap| gap.first);
    found
}

/// The schedule, with all times of its calendar. By the least distance from what was said to be missed
/// the chain holds up nobody; here an invented time would hide the one after it.
fn by_calendar(schedule: &Schedule) -> Schedule {
    let mut schedule = schedule.clone();
    if let Schedule::Cron { seconds_min, .. } = &mut schedule {
        *seconds_min = 0;
    }
    schedule
}

/// Times within missed ones that are more than these are said to be: of a calendar's missed times, which
/// follow one another as one entry, a provider names those that it wants.
fn untold(task: &TaskView, timetable: &Timetable, entry: &RunEntry) -> Option<Gap> {
    let RunEntry::Missed { count, first, last } = entry else { return None };
    let before = first.checked_sub(1).filter(|_| *first >= task.since)?;
    let (_, due) = timetable.due(Some(before), *last, COUNT_MAX)?;
    let first = timetable.next(Some(*first))?;
    due.checked_sub(*count).filter(|count| *count > 0).map(|count| Gap { count, first })
}

/// The times after `last` up to `until`.
fn gap(timetable: &Timetable, last: Option<UnixSeconds>, until: UnixSeconds) -> Option<Gap> {
    let first = timetable.next(last).filter(|first| *first <= until)?;
    let (_, count) = timetable.due(last, until, COUNT_MAX)?;
    Some(Gap { count, first })
}

fn span(entry: &RunEntry) -> Span {
    match entry {
        RunEntry::Ended { result, .. } => (result.scheduled_at, result.scheduled_at),
        RunEntry::Lost { scheduled_at, .. } => (*scheduled_at, *scheduled_at),
        RunEntry::Missed { first, last, .. } => (*first, *last),
    }
}

/// Up to when the chain may have dropped entries; `None` where all are there. Runs are numbered without
/// a gap in the order of their times, and missed times are counted, so that it shows what is gone.
fn known_from(task: &TaskView, open: &[OpenRunView], history: &[RunEntry]) -> Option<UnixSeconds> {
    let mut runs: BTreeSet<(u64, UnixSeconds)> =
        open.iter().map(|run| (run.run.0, run.scheduled_at)).collect();
    let mut missed = 0_u64;
    for entry in history {
        match entry {
            RunEntry::Ended { result, .. } => {
                runs.insert((result.run.0, result.scheduled_at));
            }
            RunEntry::Lost { run, scheduled_at, .. } => {
                runs.insert((run.0, *scheduled_at));
            }
            RunEntry::Missed { count, .. } => missed = missed.saturating_add(*count),
        }
    }
    let newest = runs.last().map_or(0, |(run, _)| *run);
    // The runs that follow one another up to the newest; before them one is not there.
    let mut first = newest.saturating_add(1);
    let mut from = None;
    for (run, at) in runs.iter().rev().take_while(|_| newest >= task.runs) {
        if run.saturating_add(1) != first {
            break;
        }
        (first, from) = (*run, Some(*at));
    }
    let are_runs_there = newest >= task.runs && first <= 1;
    let runs_from = if are_runs_there { None } else { from.or(task.last) };
    let is_missed_there = missed >= task.missed;
    let missed_from = if is_missed_there {
        None
    } else {
        // A dropped one is older than all that are kept, and came before the oldest entry.
        let kept = history.iter().find(|entry| matches!(entry, RunEntry::Missed { .. }));
        kept.or(history.first()).map(|entry| match entry {
            RunEntry::Ended { result, .. } => result.ended_at,
            other => span(other).1,
        })
    };
    runs_from.max(missed_from)
}

#[cfg(test)]
mod tests;
