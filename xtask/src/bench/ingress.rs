//! Requests a second through our ingress, beside the pod itself and Debian's nginx as its proxy.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    bench::{Goal, ROUNDS, Row, publish},
    demo::{self, Ports, network::Network, show},
    images,
    leftovers::processes,
    load::Load,
    paths::Paths,
    process::{Service, Step, command, output},
    signals,
};

/// Twice what two cores need to be busy with three programs in a row.
const CONNECTIONS: usize = 16;

/// Long enough for some ten thousand requests on a slow machine.
const DURATION: Duration = Duration::from_secs(3);

/// Answered by the pod's nginx from memory and without a line in a log.
const PATH: &str = "/healthz";

pub(super) fn run(paths: &Paths) -> Result<Vec<Row>> {
    images::all(paths)?;
    let images = images::made(paths)?;
    demo::with_network(paths, Ports::choose(0)?, |network, dir| {
        let image = images::push(paths, &images.nginx, network.registry(), "nginx")?;
        let source = unthrottled(&paths.repo.join("xtask/assets/nginx.yaml"), dir)?;
        let manifest = dir.join("nginx.yaml");
        let app = show::App::write("nginx", &source, &image, manifest.clone())?;
        publish::deploy(network, app.name, &manifest)?;
        show::wait_until_it_answers(network, &app)?;
        let pod = pod_address(dir)?;
        let (proxy, mut service) = start_proxy(&pod, dir)?;
        let rows = measure(network, &app.host, &pod, &proxy);
        service.stop()?;
        rows
    })
}

/// The demo's manifest with a whole core: at its quarter the pod would be what limits all three.
fn unthrottled(source: &Path, dir: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(source)
        .with_context(|| format!("failed to read `{}`", source.display()))?;
    let raised = text.replacen("cpu: 250m", "cpu: 1000m", 1);
    ensure!(raised != text, "`{}` asks for another amount of CPU", source.display());
    let path = dir.join("unthrottled.yaml");
    fs::write(&path, raised).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(path)
}

/// Turn by turn, so that a noisy neighbour hits all alike.
fn measure(network: &Network, host: &str, pod: &str, proxy: &str) -> Result<Vec<Row>> {
    let step = Step::start("measuring the ingress");
    let ingress = network.ingress();
    let mut series = [Vec::new(), Vec::new(), Vec::new()];
    // The first round warms caches and connections and is not counted.
    for round in 0..=ROUNDS {
        for (address, results) in [ingress, proxy, pod].into_iter().zip(&mut series) {
            if signals::interrupted() {
                return Err(signals::Interrupted.into());
            }
            let load =
                Load { address, host, path: PATH, connections: CONNECTIONS, duration: DURATION };
            let result =
                load.requests_per_second().with_context(|| format!("load on {address}"))?;
            if round > 0 {
                results.push(result);
            }
        }
    }
    step.done();
    let [ours, nginx, direct] = series;
    Ok(vec![
        Row::new("ingress", "requests/s", &ours, &nginx, Goal::AtLeast(0.9))?,
        Row::new("ingress-direct", "requests/s", &ours, &direct, Goal::None)?,
    ])
}

/// Where the pod's nginx listens, as seen from its own network namespace.
fn pod_address(dir: &Path) -> Result<String> {
    let (pid, _) = processes(dir)
        .into_iter()
        .find(|(pid, arguments)| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "nginx" && arguments.contains("nginx")
        })
        .context("no nginx runs in a pod")?;
    Ok(format!("{}:80", address_of_process(&pid.to_string())?))
}

/// The address of the network that a process is in.
pub(super) fn address_of_process(pid: &str) -> Result<String> {
    let mut ip = command("nsenter");
    ip.args(["-t", pid, "-n", "ip", "-4", "-o", "address", "show", "scope", "global"]);
    let listing = output(&mut ip, "the package iproute2 must be installed")?;
    match first_address(&listing) {
        Some(address) => Ok(address.to_owned()),
        None => bail!("the pod has no address: `{}`", listing.trim()),
    }
}

/// From a line such as `2: eth0    inet 10.1.0.2/30 scope global eth0`.
fn first_address(listing: &str) -> Option<&str> {
    let mut words = listing.split_whitespace();
    words.find(|word| *word == "inet")?;
    words.next()?.split('/').next()
}

/// Debian's nginx as the pod's reverse proxy, with kept connections on both sides and the headers
/// that our ingress sets too.
fn start_proxy(pod: &str, dir: &Path) -> Result<(String, Service)> {
    let step = Step::start("starting nginx as a reverse proxy");
    let address = format!("127.0.0.1:{}", demo::free_port()?);
    let work = dir.join("proxy");
    fs::create_dir_all(&work).with_context(|| format!("failed to make `{}`", work.display()))?;
    let config = work.join("nginx.conf");
    fs::write(&config, proxy_config(pod, &address, &work))
        .with_context(|| format!("failed to write `{}`", config.display()))?;
    let mut nginx = command(nginx_program());
    nginx.arg("-c").arg(&config).arg("-p").arg(&work);
    // Its compiled-in log is opened before the configuration is read.
    nginx.args(["-e", "stderr"]);
    let log = work.join("log");
    let mut service = Service::start("nginx", nginx, &log, Duration::from_secs(10))?;
    signals::wait_for("nginx's start", Duration::from_secs(60), || {
        service.check_running()?;
        Ok(std::net::TcpStream::connect(&address).ok().map(drop))
    })?;
    step.done();
    Ok((address, service))
}

/// Not on every user's path.
fn nginx_program() -> PathBuf {
    PathBuf::from("/usr/sbin/nginx")
}

fn proxy_config(pod: &str, address: &str, work: &Path) -> String {
    let work = work.display();
    format!(
        "daemon off;
worker_processes auto;
pid {work}/pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    keepalive_requests 1000000;
    upstream pod {{ server {pod}; keepalive 64; keepalive_requests 1000000; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://pod;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto http;
        }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp::TempDir;

    #[test]
    fn reads_the_address_of_a_pod() {
        let listing = "2: eth0    inet 10.1.0.2/30 brd 10.1.0.3 scope global eth0\\  valid_lft\n";
        assert_eq!(first_address(listing), Some("10.1.0.2"));
        assert_eq!(first_address(""), None);
    }

    /// nginx in front of nginx, both Debian's.
    #[test]
    fn the_proxy_passes_requests_on() {
        let dir = TempDir::new("proxy-test").expect("temp dir");
        let back = format!("127.0.0.1:{}", demo::free_port().expect("port"));
        let config = dir.0.join("back.conf");
        let text = proxy_config("127.0.0.1:1", &back, &dir.0)
            .replace("proxy_pass http://pod;", "return 200 'ok';");
        fs::write(&config, text).expect("write");
        let mut nginx = command(nginx_program());
        nginx.arg("-c").arg(&config).args(["-e", "stderr"]);
        let log = dir.0.join("back.log");
        let _back = Service::start("nginx", nginx, &log, Duration::from_secs(10)).expect("start");
        let (address, _proxy) = start_proxy(&back, &dir.0).expect("proxy");
        let load = Load {
            address: &address,
            host: "a.localhost",
            path: "/",
            connections: 2,
            duration: Duration::from_millis(300),
        };
        // The back may start a moment later than the proxy.
        let answered = signals::wait_for("an answer", Duration::from_secs(60), || {
            Ok(load.requests_per_second().ok())
        });
        assert!(answered.expect("answers") > 0.0);
    }
}
