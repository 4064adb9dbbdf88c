//! The demo's processes: a registry, and `casemate dev` with a node and a provider.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    demo::Ports,
    http,
    leftovers::RUN_VARIABLE,
    paths::Paths,
    process::{Service, Step, command},
    signals,
};

/// A start takes seconds; a busy machine is ten times slower.
const START_MAX: Duration = Duration::from_secs(180);

/// `casemate dev` gives the provider and the node 30 seconds each, and the pods 120.
const END_MAX: Duration = Duration::from_secs(200);

/// What `casemate dev` writes when all of it answers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dev {
    /// WebSocket address of the chain.
    pub(crate) rpc: String,
    /// Base address of the provider's API.
    pub(crate) provider_api: String,
    /// Base address on which apps answer.
    ingress: String,
    /// Configuration of the publisher's `casemate`.
    pub(crate) config: PathBuf,
}

/// A running network.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) dev: Dev,
    casemate: PathBuf,
    registry: String,
    // Ended in this order: pods go before the registry that their images came from.
    network: Service,
    registry_service: Service,
}

impl Network {
    /// Starts everything in `dir` and waits until it answers.
    pub(crate) fn start(paths: &Paths, ports: Ports, dir: &Path) -> Result<Self> {
        // Outside of `dir`, which is gone at the end: a failure's log must outlive it.
        let logs = paths.cache.join("demo-logs");
        let (registry, registry_service) = start_registry(ports.registry, dir, &logs)?;

        let step = Step::start("starting the network: a chain node, a software TEE and a provider");
        let data = dir.join("network");
        let mut dev = command(paths.bin("casemate"));
        dev.env(RUN_VARIABLE, dir);
        dev.arg("dev").arg("--data-dir").arg(&data);
        dev.arg("--node").arg(paths.bin("casemate-node"));
        dev.arg("--provider").arg(paths.bin("casemate-provider"));
        dev.arg("--software-tee").arg(paths.bin("casemate-software-tee"));
        dev.arg("--agent").arg(paths.static_dir().join("casemate-agent"));
        dev.args(["--insecure-registry", &registry]);
        // Whichever is free: `casemate status` tells.
        dev.args(["--tls-port", "0"]);
        for (flag, port) in [
            ("--rpc-port", ports.rpc),
            ("--api-port", ports.api),
            ("--ingress-port", ports.ingress),
            ("--metrics-port", ports.metrics),
        ] {
            dev.args([flag, &port.to_string()]);
        }
        let log = logs.join("network.log");
        let mut network = Service::start("casemate dev", dev, &log, END_MAX)?;
        let file = data.join("dev.json");
        let dev = signals::wait_for("the network's start", START_MAX, || {
            network.check_running()?;
            match fs::read(&file) {
                Ok(bytes) => serde_json::from_slice::<Dev>(&bytes)
                    .map(Some)
                    .with_context(|| format!("`{}` is not as expected", file.display())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error).context(format!("failed to read `{}`", file.display())),
            }
        });
        let dev = match dev {
            Ok(dev) => dev,
            Err(error) if error.is::<signals::Interrupted>() => return Err(error),
            Err(error) => bail!("{error:#}\n{}", network.log_tail()),
        };
        step.done();
        Ok(Self { dev, casemate: paths.bin("casemate"), registry, network, registry_service })
    }

    /// `host:port` on which apps answer.
    pub(crate) fn ingress(&self) -> &str {
        self.dev.ingress.trim_start_matches("http://").trim_end_matches('/')
    }

    /// `host:port` of the registry.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// `casemate` as the publisher runs it.
    pub(crate) fn casemate(&self, args: &[&str]) -> Command {
        let mut casemate = command(&self.casemate);
        casemate.arg("--config").arg(&self.dev.config).args(args);
        // The configuration holds, not what the caller's shell has set.
        for name in ["CASEMATE_RPC", "CASEMATE_ACCOUNT", "CASEMATE_KEYSTORE", "CASEMATE_OUTPUT"] {
            casemate.env_remove(name);
        }
        casemate
    }

    /// # Errors
    /// When a part has ended.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        self.network.check_running()?;
        self.registry_service.check_running()
    }

    /// What the network wrote last.
    pub(crate) fn last_lines(&self) -> String {
        format!("the network's last lines:\n{}", self.network.log_tail())
    }

    /// Ends all of it in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        let network = self.network.stop();
        self.registry_service.stop().and(network)
    }
}

fn start_registry(port: u16, dir: &Path, logs: &Path) -> Result<(String, Service)> {
    let step = Step::start("starting a registry");
    let address = format!("127.0.0.1:{port}");
    let data = dir.join("registry");
    fs::create_dir_all(&data).with_context(|| format!("failed to make `{}`", data.display()))?;
    let config = dir.join("registry.yml");
    // A JSON text is a YAML text too, with any path quoted as it must be.
    let text = serde_json::json!({
        "version": "0.1",
        "log": { "accesslog": { "disabled": true }, "level": "warn" },
        "storage": { "filesystem": { "rootdirectory": data } },
        "http": { "addr": address },
    });
    fs::write(&config, text.to_string())
        .with_context(|| format!("failed to write `{}`", config.display()))?;
    let mut registry = command("docker-registry");
    registry.arg("serve").arg(&config).env(RUN_VARIABLE, dir);
    let log = logs.join("registry.log");
    let mut service = Service::start("docker-registry", registry, &log, Duration::from_secs(10))?;
    signals::wait_for("the registry's start", START_MAX, || {
        service.check_running()?;
        let ping = http::Request { method: "GET", host: &address, path: "/v2/", body: None };
        Ok(http::send(&address, ping).ok().filter(|answer| answer.status == 200).map(drop))
    })?;
    step.done();
    Ok((address, service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp::TempDir;

    #[test]
    fn a_registry_starts_and_ends() {
        let dir = TempDir::new("registry-test").expect("temp dir");
        let port = crate::demo::free_port().expect("port");
        let (address, mut service) = start_registry(port, &dir.0, &dir.0).expect("start");
        let get = http::Request { method: "GET", host: &address, path: "/v2/_catalog", body: None };
        let answer = http::send(&address, get).expect("answer");
        assert!(answer.body.contains("repositories"), "{}", answer.body);
        service.stop().expect("ends on SIGTERM");
        assert!(http::send(&address, get).is_err());
    }
}
