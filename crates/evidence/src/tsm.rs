//! Linux configfs-tsm: `/sys/kernel/config/tsm/report`, for TDX and SEV-SNP guests.
//!
//! The rules of the interface (`Documentation/ABI/testing/configfs-tsm-report`): a request is a
//! directory of one's own; writing `inblob` asks; reading `outblob` answers. Each write counts up
//! `generation`: when it is not what our own writes make it, somebody else has written to the
//! request, and the answer may be over his data.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use casemate_primitives::TeeKind;

use crate::{
    Attester, EVIDENCE_BYTES_MAX, EventLog, EvidenceError, RawEvidence, raw::Endorsements,
};

/// Where the kernel has it.
pub(crate) const REPORT_DIR: &str = "/sys/kernel/config/tsm/report";

/// Where TDX guests find the log of their firmware and boot loader (ACPI table CCEL).
const CCEL: &str = "/sys/firmware/acpi/tables/data/CCEL";

/// Keeps the requests of one process apart.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Evidence through configfs-tsm.
#[derive(Debug)]
pub struct ConfigfsTsm<F = Kernel> {
    dir: PathBuf,
    event_log: PathBuf,
    kind: TeeKind,
    files: F,
}

/// What is done to files. The kernel's answer itself, unless in a test.
pub trait Files: std::fmt::Debug + Send + Sync {
    /// Makes a directory.
    ///
    /// # Errors
    /// As the system says.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes a request's directory.
    ///
    /// # Errors
    /// As the system says.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Writes a file in one call.
    ///
    /// # Errors
    /// As the system says.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Reads at most one byte more than [`EVIDENCE_BYTES_MAX`].
    ///
    /// # Errors
    /// As the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The real files.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Files for Kernel {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = fs::File::options().write(true).open(path)?;
        // One call: the kernel takes an attribute as a whole.
        match io::Write::write(&mut file, bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(EVIDENCE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl ConfigfsTsm {
    /// Opens the interface at the kernel's place; `None` where there is none.
    ///
    /// # Errors
    /// Where it is there but no request can be made, or its provider is not known.
    pub fn open(dir: &Path) -> Result<Option<Self>, EvidenceError> {
        if !dir.is_dir() {
            return Ok(None);
        }
        Self::with_files(dir, Kernel).map(Some)
    }
}

impl<F: Files> ConfigfsTsm<F> {
    /// Opens the interface at `dir` through `files`.
    ///
    /// # Errors
    /// Where no request can be made there, or its provider is not known.
    pub fn with_files(dir: &Path, files: F) -> Result<Self, EvidenceError> {
        let mut tsm =
            Self { dir: dir.to_owned(), event_log: CCEL.into(), kind: TeeKind::IntelTdx, files };
        let provider = Request::new(&tsm)?.text("provider")?;
        tsm.kind = match provider.as_str() {
            "tdx_guest" => TeeKind::IntelTdx,
            "sev_guest" => TeeKind::AmdSevSnp,
            _ => return Err(EvidenceError::Provider(provider.chars().take(100).collect())),
        };
        Ok(tsm)
    }
}

impl<F: Files> Attester for ConfigfsTsm<F> {
    fn kind(&self) -> TeeKind {
        self.kind
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
        let request = Request::new(self)?;
        let mut generation = request.generation()?;
        let mut endorsements = None;
        if self.kind == TeeKind::AmdSevSnp {
            // The most privileged level that this guest may ask for: 0, unless it runs under a
            // paravisor. Policies judge the level; it is in the report.
            let level = request.text("privlevel_floor")?;
            if !matches!(level.as_str(), "0" | "1" | "2" | "3") {
                let path = request.attribute("privlevel_floor");
                return Err(EvidenceError::Content { path, expected: "a level from 0 to 3" });
            }
            request.write("privlevel", level.as_bytes())?;
            generation += 1;
        }
        request.write("inblob", report_data)?;
        generation += 1;
        let evidence = request.read("outblob")?;
        if self.kind == TeeKind::AmdSevSnp {
            // Not every host gives one; the certificates can be had from AMD.
            endorsements = request
                .read("auxblob")
                .ok()
                .filter(|table| !table.is_empty())
                .map(Endorsements::AmdTable);
        }
        let found = request.generation()?;
        if found != generation {
            return Err(EvidenceError::Interfered { expected: generation, found });
        }
        if !carries(&evidence, report_data) {
            return Err(EvidenceError::ReportData);
        }
        let event_log = match self.kind {
            TeeKind::IntelTdx => self.files.read(&self.event_log).ok(),
            _ => None,
        };
        Ok(RawEvidence {
            kind: self.kind,
            evidence,
            event_log: event_log
                .filter(|log| !log.is_empty() && log.len() <= EVIDENCE_BYTES_MAX)
                .map(EventLog::Tcg),
            endorsements,
        })
    }
}

/// Whether the bytes are in there at all. Where exactly is for the verifier, who also checks that
/// they are signed; this finds an interface that mixed up two requests.
pub(crate) fn carries(evidence: &[u8], report_data: &[u8; 64]) -> bool {
    evidence.windows(report_data.len()).any(|window| window == report_data)
}

/// One request's directory, removed in the end.
struct Request<'a, F: Files> {
    tsm: &'a ConfigfsTsm<F>,
    dir: PathBuf,
}

impl<'a, F: Files> Request<'a, F> {
    fn new(tsm: &'a ConfigfsTsm<F>) -> Result<Self, EvidenceError> {
        // All guests' containers share the folder, and may have the same process id.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let count = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let dir = tsm.dir.join(format!("casemate-{}-{nanos}-{count}", std::process::id()));
        tsm.files.make_dir(&dir).map_err(|source| EvidenceError::Io {
            action: "make a request for evidence in",
            path: tsm.dir.clone(),
            source,
        })?;
        Ok(Self { tsm, dir })
    }

    /// An attribute as errors name it: the same for each request, so that who tells people of errors
    /// can see which are new.
    fn attribute(&self, name: &str) -> PathBuf {
        self.tsm.dir.join("*").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), EvidenceError> {
        self.tsm.files.write(&self.dir.join(name), bytes).map_err(|source| EvidenceError::Io {
            action: "write",
            path: self.attribute(name),
            source,
        })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, EvidenceError> {
        let path = self.attribute(name);
        match self.tsm.files.read(&self.dir.join(name)) {
            Ok(bytes) if bytes.len() > EVIDENCE_BYTES_MAX => Err(EvidenceError::TooLong { path }),
            Ok(bytes) => Ok(bytes),
            Err(source) => Err(EvidenceError::Io { action: "read", path, source }),
        }
    }

    fn text(&self, name: &str) -> Result<String, EvidenceError> {
        Ok(String::from_utf8_lossy(&self.read(name)?).trim().to_owned())
    }

    fn generation(&self) -> Result<u64, EvidenceError> {
        self.text("generation")?.parse().map_err(|_| EvidenceError::Content {
            path: self.attribute("generation"),
            expected: "a number",
        })
    }
}

impl<F: Files> Drop for Request<'_, F> {
    fn drop(&mut self) {
        // What stays is a few bytes of kernel memory; the next request has another name.
        let _ = self.tsm.files.remove_dir(&self.dir);
    }
}

#[cfg(test)]
mod tests;
