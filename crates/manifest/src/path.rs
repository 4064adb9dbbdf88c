//! Where in a manifest: `spec.containers[0].ports[1].host`.

use std::fmt;

/// One step down into a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Field(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(name: &str) -> Self {
        Self::Field(name.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Steps from the root of a document.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// This path and one step more.
    pub(crate) fn at(&self, step: impl Into<Step>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                // A label's key may have dots in it: quoted, so that it is not taken for steps.
                Step::Field(name) if !is_plain(name) => write!(f, "[{name:?}]")?,
                Step::Field(name) if depth == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
