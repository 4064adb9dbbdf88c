//! What a crash leaves behind.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::{fs::FileExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use casemate_tests::{Options, Provider, Service, until, with_cluster};
use nix::{
    sys::{
        resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use crate::{
    common::answers,
    secrets::{SOFTWARE, canary, in_file, in_files, in_memory, keep, with_password, write},
};

/// The volume that the app may write to, where it starts.
const FOLDER: &str = "/data";

#[test]
fn a_crash_leaves_no_secret_behind() {
    // All programs of the network inherit it: only what the agent does keeps dumps away.
    let (soft, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)
        .expect("root may raise the limit of core dumps");
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let is_name = pattern.trim_end().starts_with("core") && !pattern.contains('/');
    assert!(
        is_name,
        "core dumps go to `{}`, where this test does not look\nhint: sysctl kernel.core_pattern=core",
        pattern.trim_end()
    );
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let (password, decoy) = (canary()?, canary()?);
        keep(ann, &password)?;
        let service: Service = with_password(cluster);
        let starts = format!("    workingDir: {FOLDER}\n    ports:");
        let yaml = service.yaml().replacen("    ports:", &starts, 1);
        ann.json(&["deploy", &ann.write("book.yaml", &yaml)?, "--wait", SOFTWARE])?;
        let (agent, app) = pod(provider)?;
        ensure!(in_memory(&[app], &password)?, "not even the app has the secret");

        // The same program at the same place, but without an agent, does leave one that is found.
        let places = [cluster.path(""), provider.data_dir().to_owned(), of_pod(agent)];
        crash_without_agent(agent, &decoy)?;
        let found =
            dump(&places, &decoy)?.context("no dump is found: nothing is looked through")?;
        fs::remove_file(found)?;

        for signal in [Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGQUIT] {
            let (_, app) = pod(provider)?;
            until(&format!("the agent has started the app anew after {signal}"), async || {
                let (_, now) = pod(provider)?;
                if now == app {
                    // Rust's own handler takes the first SIGSEGV, and leaves the next to the kernel.
                    kill(Pid::from_raw(app), signal)?;
                }
                ensure!(now != app, "it goes on");
                let status = write(provider.ingress(), &password)?;
                ensure!(status == 303, "it answers {status}");
                Ok(())
            })
            .await?;
        }
        nothing_left(&places, &password)?;
        let (_, app) = pod(provider)?;
        fault(agent)?;
        until("the agent has crashed, and the app with it", async || {
            let gone = |process: i32| !Path::new(&format!("/proc/{process}/maps")).exists();
            ensure!(gone(agent) && gone(app), "one of them goes on");
            Ok(())
        })
        .await?;
        // The volume outlives the agent, and the pod comes back for its secret.
        until("the next agent gets the secret", async || {
            ann.json(&["secret", "release", "book", SOFTWARE])
        })
        .await?;
        answers(provider, "book.localhost").await?;
        let (agent, _) = pod(provider)?;

        let places = [cluster.path(""), provider.data_dir().to_owned(), of_pod(agent)];
        nothing_left(&places, &password)
    });
    // Other tests of this program have what they had.
    setrlimit(Resource::RLIMIT_CORE, soft, hard).unwrap();
}

/// No file with the secret, and no dump at all.
fn nothing_left(places: &[PathBuf], secret: &str) -> Result<()> {
    if let Some(found) = dump(places, secret)? {
        anyhow::bail!("`{}` has the secret", found.display());
    }
    let mut dumps = BTreeSet::new();
    for place in places {
        cores(place, &mut dumps)?;
    }
    ensure!(dumps.is_empty(), "dumps were left: {dumps:?}");
    Ok(())
}

/// The volume as the pod sees it.
fn of_pod(agent: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{agent}/root{FOLDER}"))
}

/// The agent of the only pod, and its app.
fn pod(provider: &Provider) -> Result<(i32, i32)> {
    let containers = provider.traces().containers()?;
    let agent = containers.into_values().flatten().next().context("no pod runs")?;
    let children = fs::read_to_string(format!("/proc/{agent}/task/{agent}/children"));
    let children: Vec<i32> = children
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect();
    // While it is being started it is a copy of the agent.
    let of = |process: i32| fs::read_link(format!("/proc/{process}/exe")).ok();
    let is_app = |child: &&i32| of(**child).is_some_and(|exe| exe.ends_with("guestbook"));
    Ok((agent, *children.iter().find(is_app).context("the app does not run")?))
}

/// Runs the app in the pod's namespaces with a secret of its own, and lets it crash.
fn crash_without_agent(agent: i32, secret: &str) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.args(["--target", &agent.to_string(), "--mount", "--net"]);
    command.arg(format!("--wdns={FOLDER}")).arg(app_path(agent)?);
    command.env_clear().env("PORT", "0").env("DATA_DIR", FOLDER).env("GUESTBOOK_PASSWORD", secret);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start `nsenter` (of util-linux)")?;
    let result = crash(&mut child, secret);
    let _ = child.kill();
    let _ = child.wait();
    result
}

fn crash(child: &mut Child, secret: &str) -> Result<()> {
    let process = i32::try_from(child.id())?;
    let deadline = Instant::now() + casemate_tests::PATIENCE;
    let exe = format!("/proc/{process}/exe");
    while !(fs::read_link(&exe).is_ok_and(|exe| exe.ends_with("guestbook"))
        && in_memory(&[process], secret)?)
    {
        ensure!(Instant::now() < deadline, "the app does not start without an agent");
        ensure!(child.try_wait()?.is_none(), "the app ends without an agent");
        std::thread::yield_now();
    }
    let status = loop {
        // Rust's own handler takes the first one, and leaves the next to the kernel.
        kill(Pid::from_raw(process), Signal::SIGSEGV)?;
        if let Some(status) = child.try_wait()? {
            break status;
        }
        ensure!(Instant::now() < deadline, "it does not crash");
        std::thread::yield_now();
    };
    ensure!(status.core_dumped(), "it has left no dump: {status}");
    Ok(())
}

/// The app's program as the pod names it.
fn app_path(agent: i32) -> Result<PathBuf> {
    let children = fs::read_to_string(format!("/proc/{agent}/task/{agent}/children"))?;
    let child = children.split_whitespace().next().context("the app does not run")?;
    Ok(fs::read_link(format!("/proc/{child}/exe"))?)
}

/// A fault of the program itself: the first process of a container takes no signals from outside.
/// Its code is made into instructions that no processor has.
fn fault(process: i32) -> Result<()> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::options().write(true).open(format!("/proc/{process}/mem"))?;
    let mut changed = 0;
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').context("`maps` has another form")?;
        // The kernel's own pages can't be written.
        if !rest.starts_with("r-x") || rest.ends_with("[vdso]") || rest.ends_with("[vsyscall]") {
            continue;
        }
        let (from, to) = range.split_once('-').context("`maps` has another form")?;
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        // UD2. The process may be gone before the last of it is written.
        let code = [0x0f, 0x0b].repeat(usize::try_from(to - from)? / 2);
        changed += usize::from(memory.write_all_at(&code, from).is_ok());
    }
    ensure!(
        changed > 0 || !Path::new(&format!("/proc/{process}/maps")).exists(),
        "nothing changed"
    );
    Ok(())
}

/// The first dump, or other file, that has these bytes.
fn dump(places: &[PathBuf], wanted: &str) -> Result<Option<PathBuf>> {
    for place in places {
        if let Some(found) = in_files(place, wanted.as_bytes())? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Files that are called as dumps are, and are ELF.
fn cores(folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            cores(&entry.path(), found)?;
        } else if entry.file_name().to_string_lossy().starts_with("core")
            && in_file(&entry.path(), b"\x7fELF")?
        {
            found.insert(entry.path());
        }
    }
    Ok(())
}
