//! A secret is plain only in the pod that its publisher's policy accepted.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    net::SocketAddr,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use casemate_tests::{Cluster, Connection, Options, Provider, Service, User, until, with_cluster};

use crate::common::{amount, deployed};

/// Name of the secret that the guest book's password is.
pub(crate) const NAME: &str = "guestbook-password";
/// Bytes that are looked at together.
const CHUNK_BYTES: usize = 1 << 20;
/// Trusts what a development network has.
pub(crate) const SOFTWARE: &str = "--allow-software-tee";

#[test]
fn a_secret_reaches_the_attested_app_and_nobody_else() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let canary = canary()?;
        keep(ann, &canary)?;
        let file = ann.write("book.yaml", &with_password(cluster).yaml())?;
        ann.json(&["deploy", &file, "--wait", SOFTWARE])?;

        // Before anybody says the password aloud: it is in the pod and nowhere else.
        let pod = pod_processes(provider)?;
        ensure!(in_memory(&pod, &canary)?, "not even the pod has it: nothing is looked through");
        let others = programs(&pod)?;
        for program in ["casemate-node", "casemate-provider", "casemate-software-tee"] {
            ensure!(others.values().any(|line| line.contains(program)), "no {program}: {others:?}");
        }
        for (process, line) in &others {
            ensure!(!in_memory(&[*process], &canary)?, "process {process} has it: {line}");
        }
        let places = [cluster.path(""), provider.data_dir().to_owned()];
        let known = in_files(provider.data_dir(), NAME.as_bytes())?;
        ensure!(known.is_some(), "not even the manifest is found: nothing is looked through");
        for place in &places {
            if let Some(found) = in_files(place, canary.as_bytes())? {
                bail!("`{}` has it", found.display());
            }
        }

        // The app has it.
        let refused = write(provider.ingress(), "wrong")?;
        ensure!(refused == 403, "an entry without the password: {refused}");
        let taken = write(provider.ingress(), &canary)?;
        ensure!(taken == 303, "an entry with the password: {taken}");

        // Whoever visits sees what answers, over the same road.
        let url = format!("https://book.localhost:{}/", provider.tls().port());
        let connect = provider.tls().to_string();
        let attest = ["attest", url.as_str(), "--connect", connect.as_str()];
        let shown = ann.json(&[&attest[..], &[SOFTWARE]].concat())?;
        assert_eq!(shown["accepted"], true, "{shown}");
        // Simulated is never mistaken for real.
        let strict = ann.run(&attest)?;
        assert_eq!(strict.code, 1, "{}", strict.text());
        ensure!(strict.text().contains("software"), "{}", strict.text());
        Ok(())
    });
}

#[test]
fn another_agent_gets_no_secret() {
    let mut options = Options::new(1, &["ann"]);
    let folder = tempfile::tempdir().unwrap();
    options.providers[0].agent = Some(crate::attestation::other_agent(&folder).unwrap());
    with_cluster(options, async |cluster| {
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let canary = canary()?;
        keep(ann, &canary)?;
        let file = ann.write("book.yaml", &with_password(cluster).yaml())?;
        let opened = deployed(&ann.json(&["deploy", &file, "--no-release"])?)?;
        waits(cluster, ann, provider).await?;
        let refused = ann.run(&["secret", "release", "book", SOFTWARE])?;
        ensure!(refused.code == 1, "{}", refused.text());
        ensure!(!in_memory(&pod_processes(provider)?, &canary)?, "it was released all the same");
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        assert_eq!(amount(&stopped, "refunded")?, opened.deposit, "{stopped}");
        Ok(())
    });
}

#[test]
fn a_tampered_image_gets_no_secret() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let canary = canary()?;
        keep(ann, &canary)?;
        // The image is unpacked on the provider's disk, where its operator can do what he likes.
        let plain = ann.write("plain.yaml", &Service::new("plain", &cluster.first).yaml())?;
        ann.json(&["deploy", &plain, "--wait"])?;
        let mut programs = Vec::new();
        named(provider.data_dir(), "guestbook", &mut programs)?;
        ensure!(!programs.is_empty(), "the provider has no unpacked image");
        for program in &programs {
            let mut bytes = fs::read(program)?;
            bytes.push(0);
            // In place of the file: the one that runs is busy.
            let copy = program.with_extension("other");
            fs::write(&copy, bytes)?;
            fs::set_permissions(&copy, fs::metadata(program)?.permissions())?;
            fs::rename(&copy, program)?;
        }
        let file = ann.write("book.yaml", &with_password(cluster).yaml())?;
        ann.json(&["deploy", &file, "--no-release"])?;
        waits(cluster, ann, provider).await?;
        let refused = ann.run(&["secret", "release", "book", SOFTWARE, "--wait"])?;
        ensure!(refused.code == 1, "{}", refused.text());
        ensure!(refused.text().contains("root file system"), "{}", refused.text());
        ensure!(!in_memory(&pod_processes(provider)?, &canary)?, "it was released all the same");
        Ok(())
    });
}

/// Keeps the password as a secret of the user's.
pub(crate) fn keep(user: &User, value: &str) -> Result<()> {
    let file = user.path("value");
    fs::write(&file, value)?;
    user.json(&["secret", "set", NAME, "--from-file", &file.display().to_string()])?;
    fs::remove_file(&file)?;
    Ok(())
}

pub(crate) fn with_password(cluster: &Cluster) -> Service {
    let mut service = Service::new("book", &cluster.first);
    service.secrets.push(("GUESTBOOK_PASSWORD".to_owned(), NAME.to_owned()));
    service
}

/// Until the pod says that it waits for its secrets.
async fn waits(cluster: &Cluster, user: &User, provider: &Provider) -> Result<()> {
    let _ = cluster;
    until("the pod waits for its secrets", async || {
        let logs = user.run(&["logs", "book"])?;
        ensure!(logs.stdout.contains("secrets"), "{}\n{}", logs.text(), provider.log().display());
        Ok(())
    })
    .await
}

/// Adds an entry; the answer's status.
pub(crate) fn write(ingress: SocketAddr, password: &str) -> Result<u16> {
    let form = format!("name=Ann&message=Hello&password={password}");
    let mut connection = Connection::open(ingress)?;
    Ok(connection.request("book.localhost", "/entries", Some(&form))?.status)
}

/// Bytes that are nowhere else.
pub(crate) fn canary() -> Result<String> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|err| anyhow::anyhow!("no random bytes: {err}"))?;
    Ok(format!("canary{}", hex::encode(random)))
}

fn pod_processes(provider: &Provider) -> Result<Vec<i32>> {
    let containers = provider.traces().containers()?;
    ensure!(!containers.is_empty(), "no pod runs");
    Ok(containers.into_values().flatten().collect())
}

/// Our programs' processes with their command lines, but for a pod's.
fn programs(pod: &[i32]) -> Result<BTreeMap<i32, String>> {
    let entries = fs::read_dir("/proc").context("no `/proc`")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let lines = numbers.filter(|process| !pod.contains(process)).filter_map(|process: i32| {
        let bytes = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        Some((process, String::from_utf8_lossy(&bytes).replace('\0', " ")))
    });
    Ok(lines.filter(|(_, line)| line.contains("casemate-")).collect())
}

/// Whether one of the processes has these bytes in what it can write: heap, stacks, environment.
pub(crate) fn in_memory(processes: &[i32], wanted: &str) -> Result<bool> {
    for process in processes {
        // It may have ended.
        let Ok(maps) = fs::read_to_string(format!("/proc/{process}/maps")) else { continue };
        let Ok(memory) = File::open(format!("/proc/{process}/mem")) else { continue };
        for line in maps.lines() {
            let Some((range, rest)) = line.split_once(' ') else { continue };
            if !rest.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').context("`maps` has another form")?;
            let (mut at, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
            let mut buffer = vec![0; CHUNK_BYTES];
            while at < to {
                let wish = usize::try_from(to - at)?.min(CHUNK_BYTES);
                let Ok(read) = memory.read_at(&mut buffer[..wish], at) else { break };
                if contains(&buffer[..read], wanted.as_bytes()) {
                    return Ok(true);
                }
                // What lies across two chunks is found, too.
                let step = if at + read as u64 == to { read } else { read - wanted.len() };
                if read <= wanted.len() {
                    break;
                }
                at += step as u64;
            }
        }
    }
    Ok(false)
}

/// The first file below a folder that has these bytes.
pub(crate) fn in_files(folder: &Path, wanted: &[u8]) -> Result<Option<PathBuf>> {
    // What is deleted meanwhile has nothing.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(None) };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        let found = if kind.is_dir() {
            in_files(&path, wanted)?
        } else if kind.is_file() && in_file(&path, wanted)? {
            Some(path)
        } else {
            None
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub(crate) fn in_file(path: &Path, wanted: &[u8]) -> Result<bool> {
    let Ok(mut file) = File::open(path) else { return Ok(false) };
    let (mut buffer, mut kept) = (vec![0; CHUNK_BYTES], 0);
    loop {
        // What can't be read (a namespace, say) is no file with bytes.
        let Ok(read @ 1..) = file.read(&mut buffer[kept..]) else { return Ok(false) };
        let filled = kept + read;
        if contains(&buffer[..filled], wanted) {
            return Ok(true);
        }
        kept = filled.min(wanted.len());
        buffer.copy_within(filled - kept..filled, 0);
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    // The first byte is rare enough.
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == wanted[0]) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Files of this name.
pub(crate) fn named(folder: &Path, name: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            named(&entry.path(), name, found)?;
        } else if kind.is_file() && entry.file_name() == name {
            found.push(entry.path());
        }
    }
    Ok(())
}
