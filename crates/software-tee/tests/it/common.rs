//! A software TEE's folder that all tests share, and daemons on copies of it.

use casemate_software_tee::{
    Directory, Validity,
    client::{Control, Guest, Launch, Launched},
    daemon::now,
    wire::Kind,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
};
use tempfile::TempDir;

/// Made once: its two RSA keys take some seconds.
pub(crate) static SHARED: LazyLock<Directory> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("software-tee");
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    Directory::init(&path, now().unwrap(), Validity::default()).unwrap()
});

/// Copies a folder with its permissions.
pub(crate) fn copy(from: &Path, to: &Path) {
    let mode = fs::metadata(from).unwrap().permissions().mode();
    fs::DirBuilder::new().mode(mode & 0o777).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A daemon of its own folder, killed at the end.
pub(crate) struct Daemon {
    folder: TempDir,
    child: Child,
}

impl Daemon {
    pub(crate) fn start(misbehave: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tee")).unwrap();
        copy(&SHARED.path().join("pki"), &folder.path().join("tee/pki"));
        fs::write(folder.path().join("agent"), b"the agent").unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::write(folder.path().join("root/app"), b"the app").unwrap();
        let child = serve(folder.path(), misbehave);
        Self { folder, child }
    }

    /// SIGKILL, and a new one on the same folder.
    pub(crate) fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = serve(self.folder.path(), &[]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn control(&self) -> Control {
        Control::new(self.path("control.sock"))
    }

    /// Launches the ordinary content.
    pub(crate) fn launch(&self, id: &str, kind: Kind, misbehave: &[&str]) -> Launched {
        let (agent, root) = (self.path("agent"), self.path("root"));
        let launch = Launch {
            id,
            kind,
            version: None,
            agent: &agent,
            root_fs: Some(&root),
            manifest_hash: &[7; 32],
            owner: None,
            misbehave,
        };
        self.control().launch(&launch).unwrap()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a daemon and waits for its word that it serves.
fn serve(folder: &Path, misbehave: &[&str]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_casemate-software-tee"))
        .arg("serve")
        .arg("--dir")
        .arg(folder.join("tee"))
        .arg("--control")
        .arg(folder.join("control.sock"))
        .args(misbehave.iter().flat_map(|one| ["--misbehave", one]))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("serving "), "the daemon did not start: `{line}`");
    child
}

pub(crate) fn guest(launched: &Launched) -> Guest {
    Guest::new(&launched.socket)
}
