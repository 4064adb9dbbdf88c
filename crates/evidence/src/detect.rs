//! Which source of evidence there is.

use std::{path::PathBuf, sync::Arc};

use crate::{Attester, ConfigfsTsm, EvidenceError, Gramine, SoftwareTee, gramine, tsm};

/// Where to look. The hardware's places are the kernel's and Gramine's, unless in tests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sources {
    /// Linux configfs-tsm.
    pub tsm: PathBuf,
    /// Gramine.
    pub gramine: PathBuf,
    /// Guest socket of the software TEE, asked only where there is no hardware.
    pub software_tee: Option<PathBuf>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { tsm: tsm::REPORT_DIR.into(), gramine: gramine::DIR.into(), software_tee: None }
    }
}

/// Finds the source of evidence: configfs-tsm, else Gramine, else the software TEE. What is there
/// but does not work is an error, not a reason to take the next one.
///
/// # Errors
/// Where there is none, or the first that is there does not work.
pub fn detect(sources: &Sources) -> Result<Arc<dyn Attester>, EvidenceError> {
    if let Some(tsm) = ConfigfsTsm::open(&sources.tsm)? {
        return Ok(Arc::new(tsm));
    }
    if let Some(gramine) = Gramine::open(&sources.gramine)? {
        return Ok(Arc::new(gramine));
    }
    if let Some(socket) = &sources.software_tee {
        return Ok(Arc::new(SoftwareTee::connect(socket)?));
    }
    Err(EvidenceError::NoTee { tsm: sources.tsm.clone(), gramine: sources.gramine.clone() })
}

#[cfg(test)]
mod tests {
    use casemate_primitives::TeeKind;

    use super::*;

    fn nothing() -> Sources {
        Sources { tsm: "/no/such".into(), gramine: "/no/such".into(), software_tee: None }
    }

    #[test]
    fn no_tee_is_told() {
        let err = detect(&nothing()).unwrap_err();
        assert!(matches!(err, EvidenceError::NoTee { .. }), "{err}");
    }

    #[test]
    fn hardware_goes_before_the_software_tee() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("attestation_type"), "dcap").unwrap();
        let gramine = dir.path().to_owned();
        let software_tee = Some("/no/such.sock".into());
        let found = detect(&Sources { gramine, software_tee, ..nothing() }).unwrap();
        assert_eq!(found.kind(), TeeKind::IntelSgx);
    }
}
