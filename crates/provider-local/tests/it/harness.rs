//! A backend on a directory of its own, and an image with a shell and perl from this machine.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use casemate_image::{ImageBuilder, Limits, Store};
use casemate_manifest::Manifest;
use casemate_primitives::{LeaseId, blake2_256};
use casemate_provider_core::{
    Backend, LogLine, LogQuery, Pod, PodId, PodPhase, PodStatus,
    conformance::{Behaviour, Harness},
};
use casemate_provider_local::{LocalBackend, LocalConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far above what anything takes: only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Programs that the tests' scripts use. All are in every Debian.
const PROGRAMS: [&str; 15] = [
    "/usr/bin/cat",
    "/usr/bin/dash",
    "/usr/bin/dd",
    "/usr/bin/echo",
    "/usr/bin/env",
    "/usr/bin/grep",
    "/usr/bin/id",
    "/usr/bin/ls",
    "/usr/bin/mkdir",
    "/usr/bin/mknod",
    "/usr/bin/mount",
    "/usr/bin/perl",
    "/usr/bin/rm",
    "/usr/bin/sleep",
    "/usr/bin/touch",
];

pub(crate) struct LocalHarness {
    dir: TempDir,
    subnet: u32,
}

impl LocalHarness {
    pub(crate) async fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests need root (they start containers): run them as root"
        );
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let subnet = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(subnet < 250);
        Self { dir: tempfile::tempdir().unwrap(), subnet }
    }

    pub(crate) fn config(&self) -> LocalConfig {
        config_of(&self.dir.path().join("data"), &images().0, &self.subnet())
    }

    /// Puts the data directory on a file system of this size.
    pub(crate) fn limit_disk(&self, size: &str) {
        fs::create_dir(self.data_dir()).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(self.data_dir())
            .status()
            .unwrap();
        assert!(mounted.success());
    }

    pub(crate) fn subnet(&self) -> String {
        format!("10.210.{}.0/24", self.subnet)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap().join("data")
    }

    /// What names of links and cgroups carry.
    pub(crate) fn tag(&self) -> String {
        let hash = blake2_256(self.data_dir().as_os_str().as_encoded_bytes());
        hash[..3].iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Everything of this backend that is on the machine.
    pub(crate) fn things(&self) -> Vec<String> {
        let mut things = Vec::new();
        let data = self.data_dir();
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
        };
        for dir in ["pods", "volumes", "runtime/crun", "runtime/runc"] {
            things.extend(names(&data.join(dir)).iter().map(|name| format!("{dir}/{name}")));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let data = data.to_string_lossy().into_owned();
        things.extend(mounts.lines().filter(|l| l.contains(&data)).map(|l| format!("mount {l}")));
        let prefix = format!("c{}", self.tag());
        let links = names(Path::new("/sys/class/net"));
        things.extend(links.iter().filter(|n| n.starts_with(&prefix)).map(|n| format!("link {n}")));
        let hierarchies = names(Path::new("/sys/fs/cgroup"));
        let roots: BTreeSet<PathBuf> = hierarchies
            .iter()
            .map(|name| Path::new("/sys/fs/cgroup").join(name).join("casemate"))
            .chain([PathBuf::from("/sys/fs/cgroup/casemate")])
            .collect();
        for root in roots {
            for name in names(&root.join(self.tag())) {
                if root.join(self.tag()).join(&name).is_dir() {
                    things.push(format!("cgroup {}/{name}", root.display()));
                }
            }
        }
        let ours = format!("/casemate/{}/", self.tag());
        for pid in names(Path::new("/proc")) {
            let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if cgroup.contains(&ours) && !stat.contains(") Z ") {
                things.push(format!("process {stat}"));
            }
        }
        things
    }
}

pub(crate) fn config_of(data_dir: &Path, images_dir: &Path, subnet: &str) -> LocalConfig {
    let mut config = LocalConfig::new(data_dir, static_agent());
    config.images_dir = Some(images_dir.to_owned());
    config.subnet = subnet.parse().unwrap();
    config.storage_check_interval = Duration::from_secs(1);
    // `CASEMATE_TEST_RUNTIME=runc` and `=crun` run the suite on each of them.
    config.runtime = std::env::var_os("CASEMATE_TEST_RUNTIME").map(PathBuf::from);
    config
}

impl Harness for LocalHarness {
    type Backend = LocalBackend;

    async fn open(&mut self) -> LocalBackend {
        LocalBackend::open(self.config()).await.expect("the backend opens (needs crun or runc)")
    }

    fn image(&self) -> String {
        images().1.clone()
    }

    fn missing_image(&self) -> String {
        // Nobody listens there.
        format!("127.0.0.1:1/missing@sha256:{}", "ab".repeat(32))
    }

    fn command(&self, behaviour: Behaviour) -> Vec<String> {
        let volume = "if test -d /data; then echo x >> /data/runs; n=0; \
                      while read l; do n=$((n+1)); done < /data/runs; echo run $n; fi";
        let end = match behaviour {
            Behaviour::Stays => "trap 'exit 0' TERM; while :; do sleep 0.05; done".to_owned(),
            Behaviour::Ends(code) => format!("exit {code}"),
        };
        shell(&format!("echo hello; {volume}; {end}"))
    }

    async fn leftovers(&mut self) -> Vec<String> {
        self.things()
    }
}

impl Drop for LocalHarness {
    /// Leaves nothing on the machine, whatever the test has done.
    fn drop(&mut self) {
        if !self.data_dir().exists() {
            return;
        }
        let config = self.config();
        let purge = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                if let Ok(backend) = LocalBackend::open(config).await {
                    let _ = backend.purge().await;
                }
            });
        });
        let _ = purge.join();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let data = self.data_dir();
        if mounts.lines().any(|line| line.split(' ').nth(4) == data.to_str()) {
            let _ = Command::new("umount").arg("-l").arg(&data).status();
        }
    }
}

pub(crate) fn shell(script: &str) -> Vec<String> {
    vec!["/bin/sh".into(), "-c".into(), script.into()]
}

pub(crate) fn pod_id(lease: u64) -> PodId {
    PodId { lease: LeaseId(lease), replica: 0, version: 1 }
}

/// A pod of one container `app` that runs the script; `fields` go into the container, `spec` into
/// the spec.
pub(crate) fn pod(id: PodId, script: &str, fields: &Value, spec: &Value) -> Pod {
    pod_of(&images().1, id, script, fields, spec)
}

/// The same with an image that another process has made.
pub(crate) fn pod_of(image: &str, id: PodId, script: &str, fields: &Value, spec: &Value) -> Pod {
    let mut container = json!({
        "name": "app",
        "image": image,
        "command": shell(script),
        "resources": { "cpu": "500m", "memory": "64Mi", "storage": "16Mi" },
    });
    let mut whole = json!({ "restartPolicy": "Never" });
    let merge = |into: &mut Value, from: &Value| {
        for (key, value) in from.as_object().unwrap() {
            into[key] = value.clone();
        }
    };
    merge(&mut container, fields);
    whole["containers"] = json!([container]);
    merge(&mut whole, spec);
    let manifest = json!({
        "apiVersion": "casemate.io/v1", "kind": "Service",
        "metadata": { "name": "test" }, "spec": whole,
    });
    Pod {
        id,
        genesis_hash: [1; 32],
        manifest: Manifest::from_json(manifest.to_string().as_bytes()).unwrap().into(),
        record_interval: Duration::from_secs(1),
        run: None,
    }
}

pub(crate) async fn expect(
    backend: &LocalBackend,
    id: PodId,
    wanted: impl Fn(&PodStatus) -> bool,
) -> PodStatus {
    let start = Instant::now();
    loop {
        let status = backend.list().await.unwrap().into_iter().find(|pod| pod.id == id);
        if let Some(status) = status.as_ref().filter(|status| wanted(status)) {
            return status.clone();
        }
        let lines = lines(backend, id).await;
        assert!(start.elapsed() < PATIENCE, "{status:#?}\n{lines:#?}");
        let _ = tokio::time::timeout(Duration::from_millis(100), backend.changed()).await;
    }
}

pub(crate) async fn lines(backend: &LocalBackend, id: PodId) -> Vec<LogLine> {
    backend.logs(id, &LogQuery::default()).await.unwrap_or_default()
}

/// Runs a script to its end; gives what it has printed, both streams together.
pub(crate) async fn run(backend: &LocalBackend, pod: &Pod) -> String {
    backend.apply(pod).await.unwrap();
    let over = |s: &PodStatus| matches!(s.phase, PodPhase::Ended(_) | PodPhase::Failed(_));
    let status = expect(backend, pod.id, over).await;
    let lines = lines(backend, pod.id).await;
    backend.delete(pod.id, Duration::from_secs(1)).await.unwrap();
    let text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
    assert!(!text.is_empty(), "{status:#?}");
    text
}

/// The agent as it is shipped: static, so that it runs in any image.
fn static_agent() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("CASEMATE_AGENT") {
            return path.into();
        }
        let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/static-agent");
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "casemate-agent", "--bin", "casemate-agent"])
            // With a target, so that only the agent is static and not what runs at build time.
            .args(["--target", &triple, "--target-dir", target])
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the static agent can't be built");
        Path::new(target).join(triple).join("debug/casemate-agent")
    })
    .clone()
}

/// A store with the tests' image, and the image's reference.
pub(crate) fn images() -> &'static (PathBuf, String) {
    static IMAGES: OnceLock<(PathBuf, String)> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let staging = tempfile::tempdir_in(base).unwrap();
        let root = staging.path();
        for dir in ["usr/bin", "usr/lib", "usr/lib64", "etc", "tmp", "proc", "sys", "dev", "run"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for name in ["bin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("dash", root.join("usr/bin/sh")).unwrap();
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/home/root:/bin/sh\nwww:x:33:34::/srv:/bin/sh\n",
        )
        .unwrap();
        let mut files: BTreeSet<PathBuf> = PROGRAMS.iter().map(PathBuf::from).collect();
        for program in PROGRAMS {
            let out = Command::new("ldd").arg(program).output().expect("`ldd` runs");
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            files.extend(text.split_whitespace().filter(|w| w.starts_with('/')).map(PathBuf::from));
        }
        for file in files {
            let real = fs::canonicalize(&file).unwrap();
            // The links above lead there.
            let to = root.join(file.strip_prefix("/").unwrap());
            let dir = to.parent().unwrap();
            fs::create_dir_all(dir).unwrap();
            fs::copy(real, to).unwrap();
        }
        let modules = fs::read_dir("/usr/lib")
            .unwrap()
            .flatten()
            .map(|entry| entry.path().join("perl-base"))
            .find(|path| path.is_dir())
            .expect("perl-base is installed");
        let to = root.join(modules.parent().unwrap().strip_prefix("/").unwrap());
        fs::create_dir_all(&to).unwrap();
        let copied = Command::new("cp").arg("-a").arg(&modules).arg(&to).status().unwrap();
        assert!(copied.success());

        // The same image each time, so that later runs find it unpacked.
        let dir = base.join("images");
        let store = Store::open(&dir).unwrap();
        let image = ImageBuilder::from_directory(root).build(&store, &Limits::default()).unwrap();
        (dir, format!("registry.invalid/test@{}", image.manifest_digest))
    })
}
