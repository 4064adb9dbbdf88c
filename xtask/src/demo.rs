//! `cargo xtask demo`: a network on this machine, two apps on it, and the money that moves.
//!
//! What a user would type is run through the real `casemate` program and shown.

pub(crate) mod network;
pub(crate) mod show;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;

use crate::{
    build,
    demo::network::Network,
    images::{self, Images},
    leftovers::{Leftovers, Tags},
    paths::Paths,
    process::{Step, is_root, root_command, run_command},
    setup,
    signals::{self, Interrupted},
    temp::{self, TempDir},
};

/// Kind of the temporary folders.
const KIND: &str = "network";

/// `cargo xtask demo`
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Stop both apps after success, show the money back, and exit.
    #[arg(long)]
    once: bool,
    /// First of the five ports in use; 0 takes free ones.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port_base: u16,
    /// Set-up, build and images are done already: set when the demo runs itself through sudo.
    #[arg(long, hide = true)]
    prepared: bool,
}

/// The five ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    rpc: u16,
    api: u16,
    ingress: u16,
    metrics: u16,
    registry: u16,
}

impl Ports {
    /// Free ones where `base` is 0.
    pub(crate) fn choose(base: u16) -> Result<Self> {
        if base == 0 {
            return Ok(Self { rpc: 0, api: 0, ingress: 0, metrics: 0, registry: free_port()? });
        }
        let port = |n| base.checked_add(n).context("--port-base is too high: five ports follow");
        let ports = Self {
            rpc: port(0)?,
            api: port(1)?,
            ingress: port(2)?,
            metrics: port(3)?,
            registry: port(4)?,
        };
        for port in base..=ports.registry {
            std::net::TcpListener::bind(("127.0.0.1", port)).with_context(|| {
                format!("port {port} is in use: choose another --port-base, or leave it out")
            })?;
        }
        Ok(ports)
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener =
        std::net::TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr().context("failed to read a port")?.port())
}

/// Runs the demo to its end.
pub(crate) fn run(paths: &Paths, options: &Options) -> Result<()> {
    if !options.prepared {
        setup::need_root("the demo starts containers, which")?;
        let wasm = setup::run()?;
        build::all(paths, wasm)?;
        images::all(paths)?;
        if !is_root() {
            return again_as_root(paths, options);
        }
    }
    let images = images::made(paths)?;
    let ports = Ports::choose(options.port_base)?;
    let outcome = with_network(paths, ports, |network, dir| {
        publish_and_show(paths, options, &images, dir, network)
    });
    match outcome {
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("\nEnded as asked; nothing is left behind.");
            Ok(())
        }
        other => other,
    }
}

/// Does `work` on a network of its own, and afterwards makes sure that nothing of it is left.
///
/// # Errors
/// [`Interrupted`] after a signal, when all was ended in order.
pub(crate) fn with_network<T>(
    paths: &Paths,
    ports: Ports,
    work: impl FnOnce(&mut Network, &Path) -> Result<T>,
) -> Result<T> {
    sweep();
    let dir = TempDir::new(KIND)?;
    signals::catch();
    let mut tags = Tags::default();
    let outcome = Network::start(paths, ports, &dir.0).and_then(|mut network| {
        let outcome = work(&mut network, &dir.0);
        tags = Tags::collect(&dir.0);
        if let Err(error) = &outcome
            && !error.is::<Interrupted>()
        {
            eprintln!("\n{}", network.last_lines());
        }
        let step = Step::start("ending the network");
        let stopped = network.stop();
        step.done();
        match outcome {
            // An end that was asked for is no excuse for one that went wrong.
            Err(error) if error.is::<Interrupted>() => Err(stopped.err().unwrap_or(error)),
            Err(error) => Err(error),
            Ok(value) => stopped.map(|()| value),
        }
    });
    // Where the start failed, folders are still as they were.
    tags.extend(Tags::collect(&dir.0));
    match (outcome, check_clean(&dir.0, &tags)) {
        (outcome, Ok(())) => outcome,
        (Err(error), Err(left)) if !error.is::<Interrupted>() => {
            Err(anyhow!("{error:#}\n\nbesides, {left:#}"))
        }
        (_, Err(left)) => Err(left),
    }
}

/// Runs this program through sudo, with the folders that hold now.
fn again_as_root(paths: &Paths, options: &Options) -> Result<()> {
    eprintln!("==> the network needs root: going on through sudo");
    let own = env::current_exe().context("failed to find this program's path")?;
    let cache = paths.cache.parent().context("the cache folder has no parent")?;
    let mut sudo = root_command("env")?;
    sudo.arg(format!("CARGO_TARGET_DIR={}", paths.target.display()));
    sudo.arg(format!("XDG_CACHE_HOME={}", cache.display()));
    sudo.arg(own).args(["demo", "--prepared", "--port-base", &options.port_base.to_string()]);
    if options.once {
        sudo.arg("--once");
    }
    // sudo relays the signals; this process only has to outlive it.
    signals::catch();
    run_command(&mut sudo, "see the message above")
}

fn publish_and_show(
    paths: &Paths,
    options: &Options,
    images: &Images,
    dir: &Path,
    network: &mut Network,
) -> Result<()> {
    let step = Step::start("pushing both images to the demo's registry");
    let guestbook = images::push(paths, &images.guestbook, network.registry(), "guestbook")?;
    let nginx = images::push(paths, &images.nginx, network.registry(), "nginx")?;
    step.done();

    let app = |name: &'static str, source: PathBuf, image: &str| -> Result<show::App> {
        let manifest = dir.join(format!("{name}.yaml"));
        show::App::write(name, &source, image, manifest)
    };
    let apps = [
        app("guestbook", paths.repo.join("examples/guestbook/casemate.yaml"), &guestbook)?,
        app("nginx", paths.repo.join("xtask/assets/nginx.yaml"), &nginx)?,
    ];
    for app in &apps {
        show::deploy(network, app)?;
    }
    for app in &apps {
        show::wait_until_it_answers(network, app)?;
    }
    show::sign_the_guestbook(network, &apps[0])?;
    for app in &apps {
        show::wait_until_paid(network, app)?;
    }
    show::everything(network, &apps)?;
    if options.once {
        return show::stop_and_refund(network, &apps);
    }
    show::addresses(network, &apps);
    // Until Ctrl-C; if a part ends by itself, that is told at once.
    signals::wait_for::<()>("Ctrl-C", Duration::from_secs(u64::MAX), || {
        network.check_running()?;
        Ok(None)
    })
}

/// Ends what runs left that were killed with SIGKILL.
fn sweep() {
    for dir in temp::abandoned(KIND) {
        remove_leftovers(&dir, &Tags::collect(&dir));
        temp::remove_abandoned(dir);
    }
}

/// Twice: processes hold mounts and cgroups until they have ended.
fn remove_leftovers(dir: &Path, tags: &Tags) {
    for _ in 0..2 {
        let left = Leftovers::find(dir, tags);
        if left.is_empty() {
            break;
        }
        left.remove();
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Gives what was just ended a moment, then removes and reports what is still there.
fn check_clean(dir: &Path, tags: &Tags) -> Result<()> {
    let started = std::time::Instant::now();
    let left = loop {
        let left = Leftovers::find(dir, tags);
        if left.is_empty() || started.elapsed() > Duration::from_secs(10) {
            break left;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    if left.is_empty() {
        return Ok(());
    }
    remove_leftovers(dir, tags);
    let rest = Leftovers::find(dir, tags);
    if rest.is_empty() {
        bail!("the network left this behind when it ended, and it is removed now:\n{left}");
    }
    bail!("the network left this behind, and it could not be removed:\n{rest}");
}
