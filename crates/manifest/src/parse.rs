//! From bytes to a valid [`Manifest`].

use crate::{Manifest, ManifestError, Violation, tree, validate::Fault};

/// Longest manifest, as YAML and as JSON.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;

impl Manifest {
    /// Reads YAML strictly and validates it.
    ///
    /// # Errors
    /// Says all that is wrong with the values, or the first thing that is wrong with the shape.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        refuse_huge(text.len())?;
        Self::from_tree(&tree::from_yaml(text)?)
    }

    /// Reads JSON (such as [`Manifest::to_canonical_json`] gives) as strictly, and validates it.
    ///
    /// # Errors
    /// As [`Manifest::parse`]; faults in values have no line and column.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        refuse_huge(bytes.len())?;
        Self::from_tree(&tree::from_json(bytes)?)
    }

    /// Checks what must hold before it is hashed and deployed: all that [`Manifest::validate`] checks
    /// and, where secrets are asked for, that the image that gets them is pinned by digest and that
    /// [`ServiceSpec::released_by`](crate::ServiceSpec::released_by) names somebody. What
    /// [`Manifest::parse`] takes may still lack these: see [`Manifest::pin_images`] and
    /// [`Manifest::fill_released_by`].
    ///
    /// # Errors
    /// All that is wrong.
    pub fn validate_deployable(&self) -> Result<(), ManifestError> {
        refuse(crate::validate::deployable_faults(self), None)
    }

    /// Checks all that the types alone do not.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn validate(&self) -> Result<(), ManifestError> {
        self.validate_at(None)
    }

    fn from_tree(root: &tree::Node) -> Result<Self, ManifestError> {
        let manifest: Self = tree::from_node(root)?;
        manifest.validate_at(Some(root))?;
        Ok(manifest)
    }

    fn validate_at(&self, root: Option<&tree::Node>) -> Result<(), ManifestError> {
        refuse(crate::validate::faults(self), root)
    }
}

fn refuse(faults: Vec<Fault>, root: Option<&tree::Node>) -> Result<(), ManifestError> {
    if faults.is_empty() {
        return Ok(());
    }
    let violations = faults.into_iter().map(|fault| {
        let at = root.and_then(|root| root.position(&fault.path));
        Violation {
            path: fault.path.to_string(),
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            found: fault.found,
            allowed: fault.allowed,
        }
    });
    Err(ManifestError::new(violations))
}

fn refuse_huge(bytes: usize) -> Result<(), ManifestError> {
    if bytes <= MANIFEST_BYTES_MAX {
        return Ok(());
    }
    Err(Violation {
        path: String::new(),
        line: None,
        column: None,
        found: format!("the manifest is {bytes} bytes long"),
        allowed: format!("at most {MANIFEST_BYTES_MAX} bytes; large data belongs into the image"),
    }
    .into())
}

#[cfg(test)]
mod tests;
