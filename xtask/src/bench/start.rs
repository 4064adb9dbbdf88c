//! From a lease's finality to the first 200 through the ingress, beside a bare start of the same
//! bundle by the OCI runtime.
//!
//! The bare one has the root file system, limits, filters and network of a pod that runs, and the
//! app itself as process 1: no agent, no chain, no network to make.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bench::{Goal, ROUNDS, Row, publish},
    demo::{self, Ports, network::Network, show},
    http, images,
    paths::Paths,
    process::{Step, command, output, tie},
    signals,
};

/// Answered by the app as soon as it listens.
const PATH: &str = "/healthz";
/// The pod's own app has 8080 in the same network.
const BARE_PORT: u16 = 8081;
/// As in `casemate-bench first-answer`.
const PAUSE: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_secs(120);
/// A development chain makes one in this time at the latest.
const BLOCK_SECONDS: f64 = 1.0;

pub(super) fn run(paths: &Paths) -> Result<Vec<Row>> {
    images::all(paths)?;
    let images = images::made(paths)?;
    demo::with_network(paths, Ports::choose(0)?, |network, dir| {
        let image = images::push(paths, &images.guestbook, network.registry(), "guestbook")?;
        let source = paths.repo.join("examples/guestbook/casemate.yaml");
        let manifest = dir.join("guestbook.yaml");
        let app = show::App::write("guestbook", &source, &image, manifest.clone())?;
        publish::deploy(network, app.name, &manifest)?;
        // From here on the image is in the provider's cache.
        show::wait_until_it_answers(network, &app)?;
        let measured = write_measured(&manifest, dir)?;
        let bare = Bare::prepare(dir)?;
        let step = Step::start("measuring starts");
        let (mut ours, mut reference) = (Vec::new(), Vec::new());
        // The first round warms caches and is not counted.
        for round in 0..=ROUNDS {
            if signals::interrupted() {
                return Err(signals::Interrupted.into());
            }
            let (our, bare) = (start_by_lease(paths, network, &measured)?, bare.start()?);
            if round > 0 {
                ours.push(our);
                reference.push(bare);
            }
        }
        step.done();
        let goal = Goal::AtMost { factor: 1.5, plus: BLOCK_SECONDS };
        Ok(vec![Row::new("start", "s", &ours, &reference, goal)?])
    })
}

const NAME: &str = "measured";
const HOST: &str = "measured.localhost";

/// The same app under another name.
fn write_measured(manifest: &Path, dir: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(manifest)
        .with_context(|| format!("failed to read `{}`", manifest.display()))?;
    let renamed = text
        .replacen("\n  name: guestbook\n", &format!("\n  name: {NAME}\n"), 1)
        .replace("host: guestbook.localhost", &format!("host: {HOST}"));
    ensure!(renamed.contains(HOST), "the guestbook's manifest has another host name");
    let path = dir.join("measured.yaml");
    fs::write(&path, renamed).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(path)
}

/// Seconds from the finality of a new lease to its first answer; the lease is ended again.
fn start_by_lease(paths: &Paths, network: &Network, manifest: &Path) -> Result<f64> {
    #[derive(Deserialize)]
    struct Answer {
        seconds: f64,
    }
    let mut watch = command(paths.bin("casemate-bench"));
    watch.args(["first-answer", &network.dev.rpc, network.ingress(), HOST, PATH]);
    watch.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Ended(tie(&mut watch).spawn().context("failed to start casemate-bench")?);
    let stdout = child.0.stdout.take().context("no pipe to casemate-bench")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut line = || lines.next().context("casemate-bench ended early")?.context("no line");
    ensure!(line()? == "ready", "casemate-bench did not say that it is ready");
    publish::casemate(network, &["deploy", &manifest.display().to_string()])?;
    let answer: Answer = serde_json::from_str(&line()?).context("casemate-bench's answer")?;
    publish::casemate(network, &["stop", NAME, "--wait"])?;
    Ok(answer.seconds)
}

/// A child that is not left behind.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself, as it should.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A pod's bundle without its agent.
struct Bare {
    runtime: PathBuf,
    state: PathBuf,
    bundle: PathBuf,
    address: String,
}

impl Bare {
    fn prepare(dir: &Path) -> Result<Self> {
        let (config, container) = find_bundle(dir).context("no pod of the guestbook runs")?;
        let read = |path: &Path| -> Result<Value> {
            let text = fs::read_to_string(path)
                .with_context(|| format!("failed to read `{}`", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("`{}`", path.display()))
        };
        let (spec, agent) = (read(&config)?, read(&container.join("agent.json"))?);
        let bundle = dir.join("bare");
        let data = bundle.join("data");
        fs::create_dir_all(&data)
            .with_context(|| format!("failed to make `{}`", data.display()))?;
        let spec = without_agent(spec, &agent, &data)?;
        let path = bundle.join("config.json");
        fs::write(&path, spec.to_string())
            .with_context(|| format!("failed to write `{}`", path.display()))?;
        let pod = container.ancestors().nth(2).context("a container lies in no pod")?;
        Ok(Self {
            runtime: runtime_of(pod)?,
            state: dir.join("bare-state"),
            bundle,
            address: format!("{}:{BARE_PORT}", address_of(&container)?),
        })
    }

    /// Seconds from the runtime's start to the first answer.
    fn start(&self) -> Result<f64> {
        let id = "bare";
        let started = Instant::now();
        let mut run = command(&self.runtime);
        run.arg("--root").arg(&self.state).args(["run", "--detach", "--bundle"]);
        run.arg(&self.bundle).arg(id).stdin(Stdio::null());
        run.stdout(Stdio::null()).stderr(Stdio::null());
        let status = run.status().context("failed to start the OCI runtime")?;
        ensure!(status.success(), "the OCI runtime did not start a bare container ({status})");
        let get = http::Request { method: "GET", host: HOST, path: PATH, body: None };
        let answered = loop {
            if http::send(&self.address, get).is_ok_and(|answer| answer.status == 200) {
                break Ok(started.elapsed().as_secs_f64());
            }
            if started.elapsed() > WAIT_MAX {
                break bail_late();
            }
            thread::sleep(PAUSE);
        };
        let mut delete = command(&self.runtime);
        delete.arg("--root").arg(&self.state).args(["delete", "--force", id]);
        output(&mut delete, "look at what still runs in it")?;
        answered
    }
}

fn bail_late() -> Result<f64> {
    bail!("a bare container did not answer within {} s", WAIT_MAX.as_secs())
}

/// `config.json` of the pod that runs, and the folder that it lies in.
fn find_bundle(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        let config = dir.join("config.json");
        if config.is_file() && dir.join("agent.json").is_file() {
            return Some((config, dir));
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            // Tenants' files are of no interest.
            let is_tenants = ["rootfs", "upper", "work", "volumes"].map(Into::into);
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && !is_tenants.contains(&entry.file_name())
            {
                todo.push(entry.path());
            }
        }
    }
    None
}

/// The same container with the app as its first process, on another port and with other data.
fn without_agent(mut spec: Value, agent: &Value, data: &Path) -> Result<Value> {
    let app = &agent["app"];
    let env = app["env"].as_array().context("the agent's configuration has no `env`")?;
    let env = env.iter().filter_map(Value::as_str).filter(|entry| !entry.starts_with("PORT="));
    let env: Vec<String> = env.map(str::to_owned).chain([format!("PORT={BARE_PORT}")]).collect();
    spec["process"]["args"] = app["command"].clone();
    spec["process"]["env"] = json!(env);
    if let (Some(uid), Some(gid)) = (app["user"]["uid"].as_u64(), app["user"]["gid"].as_u64()) {
        spec["process"]["user"] = json!({ "uid": uid, "gid": gid });
        // As a volume is open to whatever user an image names.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(data, open)
            .with_context(|| format!("failed to open `{}`", data.display()))?;
    }
    let mounts = spec["mounts"].as_array_mut().context("the bundle has no `mounts`")?;
    mounts.retain(|mount| {
        !mount["destination"].as_str().unwrap_or_default().starts_with("/run/casemate")
    });
    for mount in mounts {
        if mount["destination"] == "/data" {
            mount["source"] = json!(data);
        }
    }
    let cgroup = spec["linux"]["cgroupsPath"].as_str().context("the bundle has no cgroup")?;
    let pod = cgroup.rsplit_once('/').context("the cgroup is no path")?.0;
    spec["linux"]["cgroupsPath"] = json!(format!("{pod}/bare"));
    Ok(spec)
}

/// The runtime that the provider has chosen keeps the pod's container in a folder of its name.
fn runtime_of(pod: &Path) -> Result<PathBuf> {
    let data = pod.ancestors().nth(2).context("a pod lies in no data folder")?;
    let runtimes = data.join("runtime");
    let pod = pod.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for runtime in fs::read_dir(&runtimes).into_iter().flatten().flatten() {
        let mut containers = fs::read_dir(runtime.path()).into_iter().flatten().flatten();
        if containers.any(|id| id.file_name().to_string_lossy().starts_with(&pod)) {
            return Ok(runtime.file_name().into());
        }
    }
    bail!("no runtime in `{}` knows pod {pod}", runtimes.display())
}

/// Address of the pod's network.
fn address_of(container: &Path) -> Result<String> {
    let path = container.join("pid");
    let pid = fs::read_to_string(&path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    super::ingress::address_of_process(pid.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_bundle_has_the_app_and_nothing_of_the_agent() {
        let spec = json!({
            "process": { "args": ["/run/casemate/agent"], "env": [], "noNewPrivileges": true },
            "mounts": [
                { "destination": "/run/casemate/agent", "source": "/agent" },
                { "destination": "/data", "source": "/volume" },
                { "destination": "/proc", "source": "proc" },
            ],
            "linux": { "cgroupsPath": "/casemate/0a/pod/guestbook" },
        });
        let agent = json!({ "app": { "command": ["/guestbook"], "env": ["PORT=8080", "A=b"] } });
        let bare = without_agent(spec, &agent, Path::new("/bare")).expect("whole");
        assert_eq!(bare["process"]["args"], json!(["/guestbook"]));
        assert_eq!(bare["process"]["env"], json!(["A=b", "PORT=8081"]));
        assert_eq!(bare["process"]["noNewPrivileges"], true);
        assert_eq!(bare["mounts"].as_array().map(Vec::len), Some(2));
        assert_eq!(bare["mounts"][0]["source"], "/bare");
        assert_eq!(bare["linux"]["cgroupsPath"], "/casemate/0a/pod/bare");
    }
}
