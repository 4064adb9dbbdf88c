//! Gramine's `/dev/attestation` (SGX): pseudo-files of the enclave itself.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use casemate_primitives::TeeKind;

use crate::{Attester, EVIDENCE_BYTES_MAX, EvidenceError, RawEvidence, tsm::carries};

/// Where Gramine has it.
pub(crate) const DIR: &str = "/dev/attestation";

/// Evidence through Gramine.
#[derive(Debug)]
pub struct Gramine {
    dir: PathBuf,
    /// The files keep the report data for the whole process: one request at a time.
    one: Mutex<()>,
}

impl Gramine {
    /// Opens the interface at `dir`; `None` where there is none, or Gramine runs outside of an
    /// enclave.
    ///
    /// # Errors
    /// Where it makes another kind of evidence than DCAP quotes.
    pub fn open(dir: &Path) -> Result<Option<Self>, EvidenceError> {
        let path = dir.join("attestation_type");
        let kind = match read(&path) {
            Ok(kind) => String::from_utf8_lossy(&kind).trim().to_owned(),
            Err(EvidenceError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(err) => return Err(err),
        };
        match kind.as_str() {
            "dcap" => Ok(Some(Self { dir: dir.to_owned(), one: Mutex::new(()) })),
            // gramine-direct, without SGX.
            "none" => Ok(None),
            _ => Err(EvidenceError::AttestationType(kind.chars().take(100).collect())),
        }
    }
}

impl Attester for Gramine {
    fn kind(&self) -> TeeKind {
        TeeKind::IntelSgx
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dir.join("user_report_data");
        fs::write(&path, report_data).map_err(|source| EvidenceError::Io {
            action: "write",
            path,
            source,
        })?;
        let evidence = read(&self.dir.join("quote"))?;
        if !carries(&evidence, report_data) {
            return Err(EvidenceError::ReportData);
        }
        Ok(RawEvidence::new(TeeKind::IntelSgx, evidence))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EvidenceError> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(EVIDENCE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| EvidenceError::Io { action: "read", path: path.to_owned(), source })?;
    if bytes.len() > EVIDENCE_BYTES_MAX {
        return Err(EvidenceError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder whose `quote` is fixed; the real one follows `user_report_data`.
    fn folder(kind: &str, quote: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("attestation_type"), kind).unwrap();
        fs::write(dir.path().join("quote"), quote).unwrap();
        dir
    }

    #[test]
    fn a_quote_over_the_report_data_is_given() {
        let dir = folder("dcap\n", &[b"quote".as_slice(), &[3; 64]].concat());
        let gramine = Gramine::open(dir.path()).unwrap().unwrap();
        assert_eq!(gramine.evidence(&[3; 64]).unwrap().evidence.len(), 69);
        assert_eq!(fs::read(dir.path().join("user_report_data")).unwrap(), [3; 64]);
        let err = gramine.evidence(&[4; 64]).unwrap_err();
        assert!(matches!(err, EvidenceError::ReportData), "{err}");
    }

    #[test]
    fn only_dcap_is_taken() {
        let err = Gramine::open(folder("epid", b"").path()).unwrap_err();
        assert!(matches!(err, EvidenceError::AttestationType(kind) if kind == "epid"));
        assert!(Gramine::open(folder("none", b"").path()).unwrap().is_none());
        assert!(Gramine::open(Path::new("/no/such/dir")).unwrap().is_none());
    }

    #[test]
    fn an_endless_quote_is_cut_off() {
        let dir = folder("dcap", &vec![1; EVIDENCE_BYTES_MAX + 1]);
        let gramine = Gramine::open(dir.path()).unwrap().unwrap();
        let err = gramine.evidence(&[1; 64]).unwrap_err();
        assert!(matches!(err, EvidenceError::TooLong { .. }), "{err}");
    }
}
