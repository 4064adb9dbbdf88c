//! The OCI configuration of a container: what its processes may do.
//!
//! `seccomp.json` is derived from the default profile of containers/common (Apache-2.0), without the
//! calls that need capabilities which no container has here, and without `ptrace`, `keyctl`,
//! `userfaultfd`, `io_uring` and new namespaces.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What root in a container may do: own files, change users, bind low ports. Docker's list without
/// raw sockets, device nodes, audit and chroot.
const CAPABILITIES: [&str; 8] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
];

/// What the agent and the runtime's own first process take of a container's memory, on top of what the
/// app was promised.
const AGENT_MEMORY_BYTES: u64 = 16 << 20;

/// Room for secrets: a release has 1 MiB at most, and the next one is written beside it.
const SECRETS_SIZE: &str = "size=4096k";

/// What differs from one container to the next.
#[derive(Clone, Debug)]
pub(crate) struct Container<'a> {
    pub(crate) root: &'a Path,
    pub(crate) root_read_only: bool,
    pub(crate) hostname: &'a str,
    pub(crate) cwd: &'a str,
    pub(crate) cgroup: &'a str,
    /// The pod's network; a new and empty one where `None`.
    pub(crate) network: Option<&'a Path>,
    pub(crate) cpu_millicores: u32,
    pub(crate) memory_mib: u32,
    pub(crate) pids_max: u32,
    /// Whether its agent takes secrets: then it has a tmpfs for them, and no swap.
    pub(crate) has_secrets: bool,
    pub(crate) binds: Vec<Bind>,
}

/// A file or directory of the host in a container.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) source: PathBuf,
    pub(crate) destination: String,
    pub(crate) read_only: bool,
}

/// The configuration of a pod's container. Process 1 is the agent.
pub(crate) fn container(container: &Container<'_>) -> Value {
    spec(container, &[casemate_agent::AGENT_PATH])
}

/// The configuration of the container that tells whether a runtime works.
pub(crate) fn probe(root: &Path, agent_path: &Path, cgroup: &str) -> Value {
    let binds = vec![Bind {
        source: agent_path.to_owned(),
        destination: casemate_agent::AGENT_PATH.to_owned(),
        read_only: true,
    }];
    let probe = Container {
        root,
        root_read_only: false,
        hostname: "probe",
        cwd: "/",
        cgroup,
        network: None,
        cpu_millicores: 1000,
        memory_mib: 64,
        pids_max: 64,
        has_secrets: false,
        binds,
    };
    spec(&probe, &[casemate_agent::AGENT_PATH, "--version"])
}

fn spec(c: &Container<'_>, args: &[&str]) -> Value {
    let mut network = json!({ "type": "network" });
    if let Some(path) = c.network {
        network["path"] = json!(path);
    }
    let memory_bytes = (u64::from(c.memory_mib) << 20) + AGENT_MEMORY_BYTES;
    let mut memory = json!({ "limit": memory_bytes });
    if c.has_secrets && swap_is_counted() {
        // Memory and swap together: none is left for swap, which is a disk.
        memory["swap"] = json!(memory_bytes);
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "cwd": c.cwd,
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
            "noNewPrivileges": true,
        },
        "root": { "path": c.root, "readonly": c.root_read_only },
        "hostname": c.hostname,
        "mounts": mounts(c),
        "linux": {
            "cgroupsPath": c.cgroup,
            "resources": {
                "devices": [{ "allow": false, "access": "rwm" }],
                "memory": memory,
                // Of a period of 100 ms; the kernel takes no less than 1 ms.
                "cpu": { "quota": u64::from(c.cpu_millicores.max(10)) * 100, "period": 100_000 },
                "pids": { "limit": c.pids_max },
            },
            "namespaces": [
                { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                { "type": "cgroup" }, network,
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
            "seccomp": seccomp(),
        },
    })
}

/// Whether the kernel limits swap by cgroup. Where it does not, a runtime would refuse the limit.
fn swap_is_counted() -> bool {
    let there = |path: &str| Path::new(path).exists();
    let version_2 = there("/sys/fs/cgroup/cgroup.controllers") && there("/proc/swaps");
    version_2 || there("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
}

fn mounts(c: &Container<'_>) -> Vec<Value> {
    let mount = |kind: &str, destination: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let mut mounts = vec![
        mount("proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("tmpfs", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    if c.has_secrets {
        let options = ["nosuid", "noexec", "nodev", "mode=0755", SECRETS_SIZE];
        mounts.push(mount("tmpfs", casemate_manifest::SECRETS_DIR, &options));
    }
    mounts.extend(c.binds.iter().map(|bind| {
        let access = if bind.read_only { "ro" } else { "rw" };
        json!({
            "destination": bind.destination,
            "type": "bind",
            "source": bind.source,
            "options": ["bind", "nosuid", "nodev", access],
        })
    }));
    mounts
}

fn seccomp() -> Value {
    // A test reads it, so it is JSON. Without a default action runtimes refuse to start anything.
    let mut profile: Value =
        serde_json::from_str(include_str!("seccomp.json")).unwrap_or_else(|_| json!({}));
    profile["architectures"] = match std::env::consts::ARCH {
        "aarch64" => json!(["SCMP_ARCH_AARCH64"]),
        _ => json!(["SCMP_ARCH_X86_64"]),
    };
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_allows_by_list_only() {
        let profile = seccomp();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let unconditional: Vec<&str> = profile["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW" && rule["args"].is_null())
            .flat_map(|rule| rule["names"].as_array().unwrap())
            .map(|name| name.as_str().unwrap())
            .collect();
        assert!(unconditional.contains(&"read") && unconditional.contains(&"execve"));
        for dangerous in [
            "add_key",
            "bpf",
            "chroot",
            "clone",
            "clone3",
            "finit_module",
            "init_module",
            "io_uring_setup",
            "kexec_load",
            "keyctl",
            "mount",
            "move_mount",
            "name_to_handle_at",
            "open_by_handle_at",
            "open_tree",
            "perf_event_open",
            "pivot_root",
            "process_vm_readv",
            "ptrace",
            "reboot",
            "request_key",
            "setns",
            "socket",
            "swapon",
            "umount2",
            "unshare",
            "userfaultfd",
        ] {
            assert!(!unconditional.contains(&dangerous), "{dangerous}");
        }
    }

    #[test]
    fn secrets_have_a_folder_in_memory_and_only_where_there_are_some() {
        let spec = |has_secrets| {
            container(&Container {
                root: Path::new("/r"),
                root_read_only: true,
                hostname: "h",
                cwd: "/",
                cgroup: "/c",
                network: None,
                cpu_millicores: 1,
                memory_mib: 4,
                pids_max: 1,
                has_secrets,
                binds: vec![],
            })
        };
        let of = |spec: Value| {
            let mounts = spec["mounts"].as_array().unwrap().clone();
            mounts.into_iter().find(|mount| mount["destination"] == "/run/secrets")
        };
        assert_eq!(of(spec(false)), None);
        let mount = of(spec(true)).unwrap();
        assert_eq!(mount["type"], "tmpfs");
        for option in ["nosuid", "noexec", "nodev", SECRETS_SIZE] {
            assert!(mount["options"].as_array().unwrap().contains(&json!(option)), "{option}");
        }
        let memory = &spec(true)["linux"]["resources"]["memory"];
        assert!(!swap_is_counted() || memory["swap"] == memory["limit"], "{memory}");
        assert_eq!(spec(false)["linux"]["resources"]["memory"]["swap"], Value::Null);
    }

    #[test]
    fn no_container_gets_more_than_the_list() {
        let spec = probe(Path::new("/r"), Path::new("/a"), "/c");
        assert_eq!(spec["process"]["noNewPrivileges"], true);
        for set in ["bounding", "effective", "permitted"] {
            assert_eq!(spec["process"]["capabilities"][set], json!(CAPABILITIES));
        }
        assert!(spec["process"]["rlimits"].is_null() && spec["process"]["oomScoreAdj"].is_null());
        for kind in ["pid", "ipc", "uts", "mount", "cgroup", "network"] {
            let namespaces = spec["linux"]["namespaces"].as_array().unwrap();
            assert!(namespaces.iter().any(|n| n["type"] == kind), "{kind}");
        }
    }
}
