//! Runs the agent's binary with its output in a file, as the backend does.

use std::{
    fs::File,
    io::Read as _,
    os::unix::{fs::PermissionsExt, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use casemate_agent::{
    check::Given,
    config::{AppConfig, Config, LogLimits, Probes, RestartPolicy, SignerConfig},
    event::{Decoder, Event, EventKind, Stream},
};
use casemate_primitives::{LeaseId, Resources};
use tempfile::TempDir;

pub(crate) const GENESIS: [u8; 32] = [3; 32];

/// Far above what it takes: only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn shell(script: &str) -> Vec<String> {
    vec!["/bin/sh".into(), "-c".into(), script.into()]
}

pub(crate) fn config(command: Vec<String>) -> Config {
    let quota = Resources { cpu_millicores: 1000, memory_mib: 64, storage_mib: 10, gpus: 0 };
    Config {
        container: "app".into(),
        signer: Some(SignerConfig {
            genesis_hash: GENESIS,
            lease: LeaseId(5),
            replica: 0,
            quota,
            record_interval_ms: 60_000,
            previous: None,
        }),
        app: AppConfig {
            command,
            env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into(), "LC_ALL=C".into()],
            working_dir: "/".into(),
            user: None,
        },
        restart: RestartPolicy::Never,
        task: None,
        probes: Probes::default(),
        grace_ms: 30_000,
        log: LogLimits::default(),
        attestation: None,
        secrets: None,
        tls: None,
    }
}

pub(crate) fn require_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test needs root (it makes namespaces and changes users): run it as root"
    );
}

pub(crate) struct Agent {
    dir: TempDir,
    child: Child,
    /// The agent's own pid, seen from here (under `unshare` it is not the child's).
    init: bool,
}

/// A mount namespace with a tmpfs at `/run/secrets`, as a backend makes it. Nothing outside changes.
pub(crate) const IN_POD: [&str; 5] = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/secrets && exec \"$0\" \"$@\"",
];

impl Agent {
    pub(crate) fn start(config: &Config) -> Self {
        Self::spawn(config, None, &[], None)
    }

    pub(crate) fn start_as_init(config: &Config) -> Self {
        let wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
        Self::spawn(config, None, &wrapper, None)
    }

    /// With the documents beside its configuration, and a folder for secrets.
    pub(crate) fn start_in_pod(config: &Config, given: &Given) -> Self {
        Self::spawn(config, Some(given), &IN_POD, None)
    }

    /// A file as the agent and its app see it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid()))
    }

    /// Under a program that runs the agent in its own place (`exec`), such as `nohup`.
    pub(crate) fn start_under(wrapper: &[&str], config: &Config) -> Self {
        Self::spawn(config, None, wrapper, None)
    }

    pub(crate) fn start_as_user(config: &Config, uid: u32) -> Self {
        Self::spawn(config, None, &[], Some(uid))
    }

    fn spawn(config: &Config, given: Option<&Given>, wrapper: &[&str], uid: Option<u32>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in given.iter().flat_map(|given| given.files()) {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let binary = dir.path().join("casemate-agent");
        // Where it was built need not be readable for another user. Another process copies it: a
        // program that is open for writing here would stay so in what other tests start meanwhile,
        // and can't be run then (ETXTBSY).
        let mut copy = Command::new("cp");
        copy.arg(env!("CARGO_BIN_EXE_casemate-agent")).arg(&binary);
        assert!(copy.status().unwrap().success());
        let path = dir.path().join("config.json");
        std::fs::write(&path, serde_json::to_vec(config).unwrap()).unwrap();
        let events =
            File::options().append(true).create(true).open(dir.path().join("events")).unwrap();
        let mut command = match wrapper.split_first() {
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(&binary);
                command
            }
            None => Command::new(&binary),
        };
        command.arg(&path).stdin(Stdio::null()).stdout(events);
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        let child = command.spawn().expect("the agent (or `unshare` of util-linux) runs");
        Self { dir, child, init: wrapper.contains(&"--pid") }
    }

    /// Of the agent, or of the program above it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The event file as it stands.
    pub(crate) fn raw_events(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        File::open(self.dir.path().join("events")).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let bytes = self.raw_events();
        let mut events = Vec::new();
        Decoder::default().feed(&bytes, |_, event| events.push(event.unwrap()));
        // Whoever reads them forgets at `Started` what came before.
        let first = events.first().map(|event: &Event| &event.kind);
        assert!(matches!(first, None | Some(EventKind::Started { .. })), "{first:?} comes first");
        events
    }

    pub(crate) fn log(&self, wanted: Stream) -> String {
        let mut out = String::new();
        for event in self.events() {
            if let EventKind::Log { stream, text, partial } = event.kind
                && stream == wanted
            {
                out.push_str(&text);
                if !partial {
                    out.push('\n');
                }
            }
        }
        out
    }

    pub(crate) fn expect_when(&self, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "it did not come: {:#?}", self.events());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn expect(&self, wanted: impl Fn(&EventKind) -> bool) {
        self.expect_when(|agent| agent.events().iter().any(|e| wanted(&e.kind)));
    }

    pub(crate) fn expect_log(&self, stream: Stream, line: &str) {
        self.expect_when(|agent| agent.log(stream).lines().any(|l| l == line));
    }

    /// Host pids of the processes in the agent's namespace, or of the agent alone.
    fn pids(&self) -> Vec<String> {
        let own = self.child.id().to_string();
        if !self.init {
            return vec![own];
        }
        let mut pids = Vec::new();
        let mut next = children(&own);
        while let Some(pid) = next.pop() {
            next.extend(children(&pid));
            pids.push(pid);
        }
        pids
    }

    /// Name and state of each process in the agent's namespace but the agent.
    pub(crate) fn processes(&self) -> Vec<(String, char)> {
        let stats = self.pids().into_iter().filter_map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            (name != "casemate-agent").then(|| (name.to_owned(), rest.chars().next().unwrap()))
        });
        stats.collect()
    }

    pub(crate) fn signal(&self, name: &str) {
        let agent = self.pids().into_iter().next().expect("the agent runs");
        let status = Command::new("kill").args(["-s", name, &agent]).status().unwrap();
        assert!(status.success());
    }

    /// As `sigqueue` does.
    pub(crate) fn queue_signal(&self, name: &str) {
        let agent = self.pids().into_iter().next().expect("the agent runs");
        // procps' `kill` and bash's own differ in this: the former queues.
        let status = Command::new("/bin/kill").args(["-q", "7", "-s", name, &agent]).status();
        assert!(status.expect("`kill` of procps or util-linux is there").success());
    }

    pub(crate) fn wait(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().expect("the agent was not killed");
            }
            assert!(start.elapsed() < PATIENCE, "the agent does not end: {:#?}", self.events());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn children(pid: &str) -> Vec<String> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect()
}
