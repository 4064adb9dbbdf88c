//! What a verdict is made of.

use std::fmt;

use casemate_attestation::policy;
use serde::Serialize;

use crate::printer::printable;

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// As demanded.
    Passed,
    /// Not as demanded, but put up with.
    Graced,
    /// Not as demanded.
    Failed,
    /// Nobody has looked: what is needed for it was not there, or was not asked for.
    NotChecked,
}

impl Outcome {
    /// `Passed` or `Failed`.
    pub(crate) fn of(good: bool) -> Self {
        if good { Self::Passed } else { Self::Failed }
    }
}

/// One check: what was looked at, what was wanted, how it ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    /// What was checked, in words.
    pub(crate) name: String,
    /// What is the case.
    pub(crate) found: String,
    /// What is demanded.
    pub(crate) wanted: String,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The parts of a combined check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Self>,
}

impl Check {
    /// A check without parts.
    pub(crate) fn new(
        name: impl Into<String>,
        found: impl Into<String>,
        wanted: impl Into<String>,
        outcome: Outcome,
    ) -> Self {
        let (name, found, wanted) = (name.into(), found.into(), wanted.into());
        Self { name, found, wanted, outcome, parts: Vec::new() }
    }

    /// Equal or failed.
    pub(crate) fn equal(name: &str, found: impl ToString, wanted: impl ToString) -> Self {
        let (found, wanted) = (found.to_string(), wanted.to_string());
        let outcome = Outcome::of(found == wanted);
        Self::new(name, found, wanted, outcome)
    }

    /// Nobody has looked, and why.
    pub(crate) fn not_checked(
        name: &str,
        found: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new(name, found, why, Outcome::NotChecked)
    }

    /// Passed where no part has failed.
    pub(crate) fn combined(name: &str, wanted: &str, parts: Vec<Self>) -> Self {
        let good = parts.iter().all(|part| part.outcome != Outcome::Failed);
        let outcome = Outcome::of(good && !parts.is_empty());
        Self { parts, ..Self::new(name, "", wanted, outcome) }
    }

    fn reasons(&self, out: &mut Vec<String>) {
        if self.outcome != Outcome::Failed {
            return;
        }
        if self.parts.is_empty() {
            out.push(format!("{}: {}; wanted: {}", self.name, self.found, self.wanted));
        }
        self.parts.iter().for_each(|part| part.reasons(out));
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let mark = match self.outcome {
            Outcome::Passed => "ok     ",
            Outcome::Graced => "grace  ",
            Outcome::Failed => "FAILED ",
            Outcome::NotChecked => "not checked:",
        };
        write!(f, "{mark} {:indent$}{}", "", self.name, indent = depth * 2)?;
        let wanted = printable(&self.wanted);
        if !self.parts.is_empty() {
            writeln!(f, ": {wanted}")?;
        } else if self.outcome == Outcome::NotChecked {
            writeln!(f, ": {}; {wanted}", printable(&self.found))?;
        } else {
            writeln!(f, ": {}; wanted: {wanted}", printable(&self.found))?;
        }
        self.parts.iter().try_for_each(|part| part.write(f, depth + 1))
    }
}

impl From<&policy::Check> for Check {
    fn from(check: &policy::Check) -> Self {
        Self {
            name: check.name.clone(),
            found: check.found.clone(),
            wanted: check.wanted.clone(),
            outcome: match check.outcome {
                policy::Outcome::Passed => Outcome::Passed,
                policy::Outcome::Graced => Outcome::Graced,
                policy::Outcome::Failed => Outcome::Failed,
            },
            parts: check.parts.iter().map(Self::from).collect(),
        }
    }
}

/// All checks, in the order in which they were made.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Verdict {
    checks: Vec<Check>,
}

impl Verdict {
    /// Adds one.
    pub(crate) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Adds some.
    pub(crate) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.checks.extend(checks);
    }

    /// Whether there was a check and none failed.
    pub(crate) fn accepted(&self) -> bool {
        let failed = |check: &Check| check.outcome == Outcome::Failed;
        !self.checks.is_empty() && !self.checks.iter().any(failed)
    }

    /// What failed, a line each.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        self.checks.iter().for_each(|check| check.reasons(&mut reasons));
        reasons
    }
}

impl fmt::Display for Verdict {
    /// A line for each check, then the verdict.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|check| check.write(f, 0))?;
        f.write_str(if self.accepted() { "accepted" } else { "REFUSED" })
    }
}
