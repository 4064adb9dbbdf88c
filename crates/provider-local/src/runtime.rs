//! The OCI runtime: `crun`, `runc` or one that speaks as they do, called as a program.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::Value;

use crate::{
    error::{Result, engine, io_error},
    files::{make_dir, names, remove_cgroup, remove_tree},
    instance::Instance,
    spec,
};

/// Runtimes that are tried, in this order: the first starts containers twice as fast.
const KNOWN: [&str; 2] = ["crun", "runc"];

/// What people are told where there is none.
const HINT: &str = "install `crun` or `runc` (on Debian: `apt-get install crun runc`), or name one \
                    in the configuration";

/// A runtime that has been seen to work.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    program: PathBuf,
    root: PathBuf,
}

impl Runtime {
    /// Finds one that works here: each candidate really runs a container.
    pub(crate) fn find(
        instance: &Instance,
        wanted: Option<&Path>,
        agent_path: &Path,
    ) -> Result<Self> {
        let mut candidates: Vec<PathBuf> = match wanted {
            Some(program) => vec![program.to_owned()],
            None => KNOWN.iter().map(PathBuf::from).collect(),
        };
        let root_of = |program: &Path| {
            instance.runtime_dir().join(program.file_name().unwrap_or(program.as_os_str()))
        };
        // Containers that one of them has started are known to that one only.
        candidates.sort_by_key(|program| {
            names(&root_of(program)).is_ok_and(|containers| containers.is_empty())
        });
        let mut reasons = Vec::new();
        for program in candidates {
            let root = root_of(&program);
            make_dir(&root)?;
            let runtime = Self { program, root };
            match runtime.probe(instance, agent_path) {
                Ok(()) => {
                    tracing::info!(runtime = %runtime.program.display(), "OCI runtime");
                    return Ok(runtime);
                }
                Err(err) => reasons.push(format!("`{}`: {err}", runtime.program.display())),
            }
        }
        let reason = format!("{}; {HINT}", reasons.join("; "));
        Err(engine("find an OCI runtime that works on this machine", reason))
    }

    /// Runs `casemate-agent --version` in a container like a pod's.
    fn probe(&self, instance: &Instance, agent_path: &Path) -> Result<()> {
        let id = "probe";
        let bundle = instance.runtime_dir().join("probe");
        let cgroup = format!("{}/probe", instance.cgroup_root());
        let result = self.delete(id).and_then(|()| {
            make_dir(&bundle.join("rootfs"))?;
            let spec = spec::probe(&bundle.join("rootfs"), agent_path, &cgroup);
            write_spec(&bundle, &spec)?;
            let out = self
                .command()
                .args(["run", "--bundle"])
                .arg(&bundle)
                .arg(id)
                .stdin(Stdio::null())
                .output()
                .map_err(|err| engine("run it", err.to_string()))?;
            let stdout = String::from_utf8_lossy(&out.stdout);
            if out.status.success() && stdout.contains("casemate-agent") {
                return Ok(());
            }
            let stderr = String::from_utf8_lossy(&out.stderr);
            let mut reason = format!("{} ({})", short(&stderr), out.status);
            if stderr.contains("no such file") && !agent_path.is_file() {
                reason = format!("there is no agent binary at `{}`", agent_path.display());
            }
            Err(engine("run a first container", reason))
        });
        let _ = self.delete(id);
        remove_cgroup(&cgroup);
        remove_tree(&bundle)?;
        result
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root);
        command
    }

    /// Creates and starts a container whose bundle is `dir`, with its output appended to `events`.
    /// `lock` stays locked until the runtime has ended, even where this process ends before.
    pub(crate) fn start(&self, id: &str, dir: &Path, events: &File, lock: &File) -> Result<()> {
        let stderr_path = dir.join("stderr");
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(&stderr_path)
            .map_err(io_error("open", &stderr_path))?;
        let events = events.try_clone().map_err(io_error("open", dir))?;
        fcntl(lock, FcntlArg::F_SETFD(FdFlag::empty()))
            .map_err(|err| io_error("lock", dir)(err.into()))?;
        let status = self
            .command()
            .args(["run", "--detach", "--pid-file"])
            .arg(dir.join("pid"))
            .arg("--bundle")
            .arg(dir)
            .arg(id)
            .stdin(Stdio::null())
            .stdout(events)
            .stderr(stderr)
            .status()
            .map_err(|err| engine("run the OCI runtime", err.to_string()));
        // Only where this fails would another child hold the lock; it does no harm but a delay.
        let _ = fcntl(lock, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        let status = status?;
        if status.success() {
            return Ok(());
        }
        let words = fs::read_to_string(&stderr_path).unwrap_or_default();
        Err(engine("start the container", format!("{} ({status})", short(&words))))
    }

    /// Kills and removes a container. None there is no error.
    pub(crate) fn delete(&self, id: &str) -> Result<()> {
        if !self.root.join(id).exists() {
            return Ok(());
        }
        let out = self
            .command()
            .args(["delete", "--force", id])
            .stdin(Stdio::null())
            .output()
            .map_err(|err| engine("run the OCI runtime", err.to_string()))?;
        if out.status.success() || !self.root.join(id).exists() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&out.stderr);
        // A runtime that was killed half-way leaves a directory that it can't read itself.
        if !self.root.join(id).join("state.json").exists()
            && !self.root.join(id).join("status").exists()
        {
            return remove_tree(&self.root.join(id));
        }
        Err(engine(format!("remove container {id}"), short(&reason)))
    }

    /// Ids of the containers that the runtime knows.
    pub(crate) fn list(&self) -> Result<Vec<String>> {
        names(&self.root)
    }
}

/// Writes a bundle's `config.json`.
pub(crate) fn write_spec(bundle: &Path, spec: &Value) -> Result<()> {
    let path = bundle.join("config.json");
    fs::write(&path, spec.to_string()).map_err(io_error("write", &path))
}

/// The end of what a program has said, on one line.
fn short(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skip = text.chars().count().saturating_sub(600);
    text.chars().skip(skip).collect()
}
