//! What is wrong with a manifest, for people.

use std::fmt;

/// One thing that is wrong: where, what was found, what is allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Where in the document, such as `spec.containers[0].ports[1].host`; empty for the whole.
    pub path: String,
    /// Line in the text, from 1; `None` where the manifest did not come from a text.
    pub line: Option<u64>,
    /// Column in the text, from 1.
    pub column: Option<u64>,
    /// What was found.
    pub found: String,
    /// What is allowed there.
    pub allowed: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.found)?;
        if !self.allowed.is_empty() {
            write!(f, " (allowed: {})", self.allowed)?;
        }
        Ok(())
    }
}

/// A manifest that is refused, with all that is known to be wrong with it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct ManifestError {
    violations: Vec<Violation>,
    /// Violations beyond [`VIOLATIONS_MAX`].
    more: usize,
}

/// Violations that are told: nobody reads more, and a hostile manifest could have thousands.
const VIOLATIONS_MAX: usize = 50;

impl ManifestError {
    /// `violations` must not be empty.
    pub(crate) fn new(violations: impl ExactSizeIterator<Item = Violation>) -> Self {
        let more = violations.len().saturating_sub(VIOLATIONS_MAX);
        Self { violations: violations.take(VIOLATIONS_MAX).collect(), more }
    }

    /// What is wrong: at least one thing, and the first 50 where there are more.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }
}

impl From<Violation> for ManifestError {
    fn from(violation: Violation) -> Self {
        Self::new(std::iter::once(violation))
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.violations.as_slice() {
            [one] => write!(f, "the manifest is refused: {one}"),
            several => {
                let count = several.len() + self.more;
                write!(f, "the manifest is refused, {count} things are wrong:")?;
                several.iter().try_for_each(|violation| write!(f, "\n  - {violation}"))?;
                if self.more > 0 {
                    write!(f, "\n  and {} more", self.more)?;
                }
                Ok(())
            }
        }
    }
}

/// The first 60 characters of a text from outside, escaped: safe to show in a terminal.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN_CHARS {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
