use std::{
    os::unix::fs::symlink,
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use super::*;

/// Far above what it takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

const MIB: u64 = 1 << 20;

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        // No part of a path is a link, that of the machine's folder for such files included.
        std::fs::canonicalize(self.0.path()).unwrap().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn sparse(&self, name: &str, length: u64) {
        File::create(self.path(name)).unwrap().set_len(length).unwrap();
    }
}

fn found(paths: &[String], bytes_max: u64) -> Found {
    let (sender, done) = channel();
    let hashing = Hashing::start(paths.to_vec(), bytes_max, move || sender.send(()).unwrap());
    let hashing = hashing.unwrap();
    done.recv_timeout(PATIENCE).expect("it ends");
    let found = hashing.take();
    assert!(found.is_complete);
    assert_eq!(found.artefacts.len() + found.left_out.len(), paths.len());
    found
}

fn artefact(path: &str, content: &[u8]) -> Artefact {
    Artefact { name: blake2_256(path.as_bytes()), content: blake2_256(content) }
}

#[test]
fn plain_files_that_are_there_are_artefacts() {
    let dir = Dir::new();
    dir.write("report", b"42");
    dir.write("empty", b"");
    std::fs::create_dir(dir.path("folder")).unwrap();
    dir.write("folder/inner", b"in");
    nix::unistd::mkfifo(dir.path("pipe").as_str(), Mode::S_IRWXU).unwrap();
    let paths = ["report", "gone", "pipe", "folder", "folder/inner", "report/x", "empty"];
    let paths = paths.map(|name| dir.path(name));
    let found = found(&paths, MIB);
    let [report, _, _, _, inner, _, empty] = &paths;
    let wanted = [artefact(report, b"42"), artefact(inner, b"in"), artefact(empty, b"")];
    assert_eq!(found.artefacts, wanted);
}

#[test]
fn no_part_of_a_path_may_be_a_link() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path("folder")).unwrap();
    dir.write("folder/own", b"own");
    symlink("/etc/passwd", dir.path("outside")).unwrap();
    symlink("/proc/self", dir.path("process")).unwrap();
    symlink(dir.path("folder/own"), dir.path("own")).unwrap();
    symlink("folder", dir.path("other")).unwrap();
    symlink("loop", dir.path("loop")).unwrap();
    let links = ["outside", "process/environ", "own", "other/own", "loop"];
    let found = found(&links.map(|name| dir.path(name)), MIB);
    assert_eq!(found.artefacts, []);
    assert!(found.left_out.iter().all(|why| why.contains("link")), "{:?}", found.left_out);
}

#[test]
fn what_is_the_kernels_or_the_agents_is_no_artefact() {
    let paths = [
        "/proc/self/environ",
        "/sys/kernel/uevent_seqnum",
        "/dev/zero",
        "/run/casemate/config.json",
        "/run/secrets/db",
    ];
    assert_eq!(found(&paths.map(str::to_owned), MIB).artefacts, []);
    assert_eq!(found(&["/etc/../etc/passwd".to_owned()], MIB).artefacts, []);
}

#[test]
fn all_files_together_are_no_larger_than_the_pods_storage() {
    let dir = Dir::new();
    dir.sparse("vast", 1 << 40);
    dir.write("report", b"42");
    let (vast, report) = (dir.path("vast"), dir.path("report"));
    let mut paths = vec![vast; 15];
    paths.push(report.clone());
    assert_eq!(found(&paths, MIB).artefacts, [artefact(&report, b"42")]);

    // Each fits, and not all of them.
    dir.sparse("half", MIB / 2);
    let half = dir.path("half");
    let twice = vec![half.clone(), half.clone(), half.clone(), report];
    let zeros = vec![0; usize::try_from(MIB / 2).unwrap()];
    assert_eq!(found(&twice, MIB).artefacts, vec![artefact(&half, &zeros); 2]);
}

#[test]
fn who_waits_for_it_can_give_up() {
    let dir = Dir::new();
    dir.write("report", b"42");
    dir.sparse("vast", 1 << 40);
    let paths = vec![dir.path("report"), dir.path("vast")];
    let (sender, done) = channel();
    let hashing = Hashing::start(paths.clone(), u64::MAX, move || sender.send(()).unwrap());
    let hashing = hashing.unwrap();
    let start = Instant::now();
    while hashing.shared.found().artefacts.is_empty() {
        assert!(start.elapsed() < PATIENCE);
        thread::yield_now();
    }
    let found = hashing.take();
    assert!(!found.is_complete);
    assert_eq!(found.artefacts, [artefact(&paths[0], b"42")]);
    done.recv_timeout(PATIENCE).expect("the thread ends, too");
}
