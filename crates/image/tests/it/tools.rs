//! A registry on loopback, and `skopeo`.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use casemate_image::{Digest, Limits, Reference, RegistryOptions, Store};
use tempfile::TempDir;

/// A running registry; killed when dropped.
pub(crate) struct Registry {
    child: Child,
    pub(crate) port: u16,
    storage: PathBuf,
}

impl Registry {
    pub(crate) fn start(dir: &Path) -> Self {
        // Another process may take the port between our look and the registry's bind.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let storage = dir.join(format!("registry-{port}"));
            let config = dir.join(format!("registry-{port}.yml"));
            fs::create_dir(&storage).unwrap();
            fs::write(
                &config,
                format!(
                    "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem:\n    \
                     rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
                    storage.display()
                ),
            )
            .unwrap();
            let log = File::create(dir.join(format!("registry-{port}.log"))).unwrap();
            let mut child = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .expect("this test needs docker-registry: apt-get install docker-registry");
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(120) {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { child, port, storage };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry did not start; its logs are in {}", dir.display());
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        format!("127.0.0.1:{}/{name}", self.port).parse().unwrap()
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.storage.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs skopeo and gives its standard output.
pub(crate) fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(args)
        .output()
        .expect("this test needs skopeo: apt-get install skopeo");
    assert!(
        output.status.success(),
        "skopeo {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What every test here starts with.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) limits: Limits,
    pub(crate) options: RegistryOptions,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        Self { dir, store, limits: Limits::default(), options: RegistryOptions::default() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A second store that has nothing yet.
    pub(crate) fn empty_store(&self, name: &str) -> Store {
        Store::open(self.path(name)).unwrap()
    }

    /// A directory with a small root filesystem.
    pub(crate) fn root(&self) -> PathBuf {
        let root = self.path("root");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/hello"), "#!/bin/sh\necho hello\n").unwrap();
        fs::write(root.join("big"), vec![b'x'; 3 << 20]).unwrap();
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        root
    }
}

/// The error with all of its causes, as a user sees it.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
