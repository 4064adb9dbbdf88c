use std::{collections::BTreeMap, sync::Mutex};

use super::*;

/// What the kernel does, without a kernel.
#[derive(Debug)]
struct Fake {
    provider: &'static str,
    /// Somebody else writes to the request after us.
    intruder: bool,
    /// The answer is over other data.
    wrong_data: bool,
    floor: &'static str,
    requests: Mutex<BTreeMap<PathBuf, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    generation: u64,
    inblob: Vec<u8>,
    privlevel: Vec<u8>,
}

fn fake(provider: &'static str) -> Fake {
    let requests = Mutex::default();
    Fake { provider, intruder: false, wrong_data: false, floor: "0", requests }
}

impl Files for Fake {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let old = self.requests.lock().unwrap().insert(path.to_owned(), Entry::default());
        assert!(old.is_none(), "a request of its own each time");
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.requests
            .lock()
            .unwrap()
            .remove(path)
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut requests = self.requests.lock().unwrap();
        let entry = requests.get_mut(path.parent().unwrap()).ok_or(io::ErrorKind::NotFound)?;
        entry.generation += 1;
        match path.file_name().unwrap().to_str().unwrap() {
            "inblob" => entry.inblob = bytes.to_vec(),
            "privlevel" => entry.privlevel = bytes.to_vec(),
            _ => return Err(io::ErrorKind::PermissionDenied.into()),
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut requests = self.requests.lock().unwrap();
        let entry = requests.get_mut(path.parent().unwrap()).ok_or(io::ErrorKind::NotFound)?;
        Ok(match path.file_name().unwrap().to_str().unwrap() {
            "provider" => format!("{}\n", self.provider).into_bytes(),
            "generation" => format!("{}\n", entry.generation).into_bytes(),
            "privlevel_floor" if self.provider == "sev_guest" => format!("{}\n", self.floor).into(),
            "auxblob" if self.provider == "sev_guest" => b"certificates".to_vec(),
            "outblob" => {
                entry.generation += u64::from(self.intruder);
                let data = if self.wrong_data { vec![0; 64] } else { entry.inblob.clone() };
                [b"report over ".as_slice(), &data, &entry.privlevel].concat()
            }
            _ => return Err(io::ErrorKind::NotFound.into()),
        })
    }
}

fn open(fake: Fake) -> Result<ConfigfsTsm<Fake>, EvidenceError> {
    ConfigfsTsm::with_files(Path::new("/tsm"), fake)
}

#[test]
fn tdx_evidence_is_over_the_report_data_and_the_request_is_gone() {
    let tsm = open(fake("tdx_guest")).unwrap();
    assert_eq!(tsm.kind(), TeeKind::IntelTdx);
    let evidence = tsm.evidence(&[7; 64]).unwrap();
    assert_eq!(evidence.evidence, [b"report over ".as_slice(), &[7; 64]].concat());
    assert!(tsm.files.requests.lock().unwrap().is_empty());
}

#[test]
fn snp_asks_for_the_most_privileged_level_it_may_and_takes_the_certificates() {
    let tsm = open(Fake { floor: "2", ..fake("sev_guest") }).unwrap();
    let evidence = tsm.evidence(&[7; 64]).unwrap();
    assert_eq!(evidence.kind, TeeKind::AmdSevSnp);
    assert_eq!(evidence.evidence.last(), Some(&b'2'));
    assert_eq!(evidence.endorsements, Some(Endorsements::AmdTable(b"certificates".to_vec())));
}

#[test]
fn an_intruder_in_the_request_is_noticed() {
    let tsm = open(Fake { intruder: true, ..fake("tdx_guest") }).unwrap();
    let err = tsm.evidence(&[7; 64]).unwrap_err();
    assert!(matches!(err, EvidenceError::Interfered { expected: 1, found: 2 }), "{err}");
    assert!(tsm.files.requests.lock().unwrap().is_empty());
}

#[test]
fn evidence_over_other_data_is_not_given_out() {
    let tsm = open(Fake { wrong_data: true, ..fake("tdx_guest") }).unwrap();
    let err = tsm.evidence(&[7; 64]).unwrap_err();
    assert!(matches!(err, EvidenceError::ReportData), "{err}");
}

#[test]
fn a_provider_without_a_verifier_is_refused() {
    let err = open(fake("arm_cca_guest")).unwrap_err();
    assert!(matches!(err, EvidenceError::Provider(name) if name == "arm_cca_guest"));
    assert!(ConfigfsTsm::open(Path::new("/no/such/dir")).unwrap().is_none());
}

#[test]
fn a_folder_that_is_no_configfs_is_an_error_and_left_clean() {
    let dir = tempfile::tempdir().unwrap();
    let err = ConfigfsTsm::open(dir.path()).unwrap_err();
    assert!(matches!(err, EvidenceError::Io { action: "read", .. }), "{err}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_same_failure_is_told_in_the_same_words() {
    // Without any attribute, as a folder that is no configfs.
    let dir = tempfile::tempdir().unwrap();
    let told = || ConfigfsTsm::open(dir.path()).unwrap_err().to_string();
    let first = told();
    assert!(first.ends_with("/*/provider`"), "{first}");
    assert_eq!(told(), first);
    // A level that is none.
    let fake = Fake { floor: "9", ..fake("sev_guest") };
    let tsm = ConfigfsTsm::with_files(dir.path(), fake).unwrap();
    let told = || tsm.evidence(&[1; 64]).unwrap_err().to_string();
    let first = told();
    assert!(first.contains("/*/privlevel_floor`"), "{first}");
    assert_eq!(told(), first);
    // No request at all.
    let gone = dir.path().join("gone");
    let told = || ConfigfsTsm::with_files(&gone, Kernel).unwrap_err().to_string();
    assert_eq!(told(), told());
}
