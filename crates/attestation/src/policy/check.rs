//! The list of checks that a verdict is made of.

use alloc::{string::String, vec::Vec};
use core::fmt;
use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// As demanded.
    Passed,
    /// Not as demanded, but put up with by a named grace.
    Graced,
    /// Not as demanded.
    Failed,
}

impl Outcome {
    /// `Passed` or `Failed`.
    pub(super) fn of(good: bool) -> Self {
        if good { Self::Passed } else { Self::Failed }
    }
}

/// One check: what was looked at, what was wanted, how it ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was checked, in words.
    pub name: String,
    /// What the evidence says.
    pub found: String,
    /// What the policy demands.
    pub wanted: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The parts of a combined condition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Check>,
}

impl Check {
    pub(super) fn new(
        name: impl Into<String>,
        found: impl Into<String>,
        wanted: impl Into<String>,
        outcome: Outcome,
    ) -> Self {
        Self {
            name: name.into(),
            found: found.into(),
            wanted: wanted.into(),
            outcome,
            parts: Vec::new(),
        }
    }

    pub(super) fn combined(name: &str, wanted: &str, outcome: Outcome, parts: Vec<Self>) -> Self {
        Self { parts, ..Self::new(name, "", wanted, outcome) }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let mark = match self.outcome {
            Outcome::Passed => "ok    ",
            Outcome::Graced => "grace ",
            Outcome::Failed => "FAILED",
        };
        write!(f, "{mark} {:indent$}{}", "", self.name, indent = depth * 2)?;
        if self.parts.is_empty() {
            writeln!(f, ": {}; wanted: {}", self.found, self.wanted)?;
        } else {
            writeln!(f, ": {}", self.wanted)?;
        }
        self.parts.iter().try_for_each(|part| part.write(f, depth + 1))
    }
}

/// All checks of one appraisal.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Verdict {
    checks: Vec<Check>,
}

impl Verdict {
    pub(super) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Whether there was a check and none failed.
    pub fn accepted(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.outcome != Outcome::Failed)
    }

    /// In the order in which they were made.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Failed)
    }
}

impl fmt::Display for Verdict {
    /// A line for each check, then the verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|check| check.write(f, 0))?;
        f.write_str(if self.accepted() { "accepted" } else { "REFUSED" })
    }
}
