//! The real program: killed, without its file, with another's, waiting.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use casemate_vault::{
    client::Client,
    entry::{Given, Key, SignedEntry, Source},
    wire::{Command, Listed, Reply},
};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::network::{Pod, World, identity, network, publisher};

const PATIENCE: Duration = Duration::from_secs(120);

struct Running {
    child: Child,
    client: Client,
    /// What it said until it served.
    said: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn process(world: &World, store: &Path, snapshot: Option<&Path>) -> Process {
    let master = world.dir.path().join("master");
    std::fs::write(&master, world.master.to_text()).unwrap();
    process_with(&master, store, snapshot)
}

fn process_with(master: &Path, store: &Path, snapshot: Option<&Path>) -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_casemate-vault"));
    process.args(["--listen", "127.0.0.1:0", "--publisher"]);
    process.arg(hex::encode(publisher().verifying_key().to_bytes()));
    process.arg("--master").arg(master).arg("--store").arg(store);
    if let Some(snapshot) = snapshot {
        process.arg("--snapshot").arg(snapshot);
    }
    process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    process
}

fn start(mut process: Process) -> Running {
    let mut child = process.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended: {said:?}")).unwrap();
        said.push(line.clone());
        if let Some((_, rest)) = line.split_once(" serves on ") {
            let address = rest.split(' ').next().unwrap();
            let client = Client::new(&format!("http://{address}"), PATIENCE).unwrap();
            // What it says later goes nowhere, and must not stop it.
            thread::spawn(move || lines.for_each(drop));
            return Running { child, client, said };
        }
    }
}

/// What a program says that does not start.
fn fails(mut process: Process) -> String {
    let mut child = process.spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    said
}

fn put(world: &World, client: &Client, entries: Vec<SignedEntry>) {
    let count = u32::try_from(entries.len()).unwrap();
    let reply = client.command(&world.keys, &Command::Put(entries)).unwrap();
    assert_eq!(reply, Reply::Taken(count));
}

fn list(world: &World, client: &Client) -> Vec<Listed> {
    match client.command(&world.keys, &Command::List).unwrap() {
        Reply::List(listed) => listed,
        other => panic!("{other:?}"),
    }
}

fn release(client: &Client, pod: &Pod) -> Result<(), String> {
    let nonce = client.nonce().map_err(|err| err.to_string())?;
    let sealed = client
        .release(&pod.evidence(nonce), &network().collateral)
        .map_err(|err| err.to_string())?;
    pod.take(&sealed).map_err(|err| err.to_string())
}

#[test]
fn killed_at_random_moments_it_loses_no_write_that_it_has_acknowledged() {
    let world = Arc::new(World::new());
    let store = world.dir.path().join("store");
    let mut runner = TestRunner::default();
    let moments = (0u64..30_000).prop_map(Duration::from_micros);
    let mut acknowledged: Vec<(Key, u64)> = Vec::new();
    for round in 0..40 {
        let mut vault = start(process(&world, &store, None));
        let listed = list(&world, &vault.client);
        for (key, version) in &acknowledged {
            let found = listed.iter().find(|listed| listed.key == *key).map(|l| l.version);
            assert!(found.is_some_and(|found| found >= *version), "round {round}: {key}");
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let writer = {
            let (world, client) = (Arc::clone(&world), vault.client.clone());
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                let mut taken = Vec::new();
                for n in 0.. {
                    let value = vec![n as u8; 300 * (n % 7)];
                    let entry = world.secret(&format!("s{}", n % 50), &value);
                    let (key, version) = (entry.entry.key.clone(), entry.entry.version);
                    match client.command(&world.keys, &Command::Put(vec![entry])) {
                        Ok(Reply::Taken(1)) => taken.push((key, version)),
                        _ if is_over.load(Ordering::SeqCst) => return taken,
                        other => panic!("{other:?}"),
                    }
                }
                taken
            })
        };
        thread::sleep(moments.new_tree(&mut runner).unwrap().current());
        is_over.store(true, Ordering::SeqCst);
        // SIGKILL.
        vault.child.kill().unwrap();
        vault.child.wait().unwrap();
        acknowledged.extend(writer.join().unwrap());
    }
    assert!(acknowledged.len() > 40, "{}", acknowledged.len());
}

#[test]
fn a_killed_vault_gives_a_restarted_pod_its_secrets_with_nobody_else_there() {
    let world = World::new();
    let store = world.dir.path().join("store");
    let mut vault = start(process(&world, &store, None));
    put(&world, &vault.client, world.shop());
    release(&vault.client, &Pod::start(identity(5, 0), &world.keys)).unwrap();
    vault.child.kill().unwrap();
    vault.child.wait().unwrap();
    let vault = start(process(&world, &store, None));
    let pod = Pod::start(identity(5, 0), &world.keys);
    release(&vault.client, &pod).unwrap();
    assert_eq!(pod.secret("DB_PASSWORD").unwrap(), b"hunter2");
}

#[test]
fn one_of_three_replicas_is_lost_and_releases_go_on_until_it_is_back() {
    let world = World::new();
    let store = |n: usize| world.dir.path().join(format!("store-{n}"));
    let mut vaults: Vec<Running> =
        (0..3).map(|n| start(process(&world, &store(n), None))).collect();
    let mut entries = world.shop();
    entries.push(world.grant("replicas", |grant| {
        grant.manifest_hash = [8; 32];
        grant.secrets = vec![
            Given { name: "master".into(), from: Source::Master },
            Given { name: "snapshot".into(), from: Source::Snapshot },
        ];
    }));
    for vault in &vaults {
        put(&world, &vault.client, entries.clone());
    }
    // Machine and volume are gone.
    vaults[0].child.kill().unwrap();
    vaults[0].child.wait().unwrap();
    std::fs::remove_file(store(0)).unwrap();
    let pod = Pod::start(identity(5, 0), &world.keys);
    assert!(release(&vaults[0].client, &pod).unwrap_err().contains("connect"));
    release(&vaults[1].client, &pod).unwrap();
    // Meanwhile the publisher reaches two.
    let later = world.secret("later", b"1");
    for vault in &vaults[1..] {
        put(&world, &vault.client, vec![later.clone()]);
    }

    // It comes back as a new pod, which knows nothing: another replica releases the master to it.
    let mut own = identity(9, 0);
    own.manifest_hash = [8; 32];
    let replica = Pod::start(own, &world.keys);
    release(&vaults[2].client, &replica).unwrap();
    let files: Vec<PathBuf> = ["master", "snapshot"]
        .map(|name| {
            let path = world.dir.path().join(format!("released-{name}"));
            std::fs::write(&path, replica.secret(name).unwrap()).unwrap();
            path
        })
        .into();
    vaults[0] = start(process_with(&files[0], &store(0), Some(&files[1])));
    assert_eq!(list(&world, &vaults[0].client), list(&world, &vaults[1].client));
    drop(vaults.split_off(1));
    let pod = Pod::start(identity(5, 1), &world.keys);
    release(&vaults[0].client, &pod).unwrap();
    assert_eq!(pod.secret("DB_PASSWORD").unwrap(), b"hunter2");
}

#[test]
fn replicas_catch_up_by_snapshots_that_anybody_may_carry() {
    let world = World::new();
    let (one, two) = (
        start(process(&world, &world.dir.path().join("one"), None)),
        start(process(&world, &world.dir.path().join("two"), None)),
    );
    put(&world, &one.client, world.shop());
    let snapshot = one.client.snapshot().unwrap();
    assert!(!snapshot.windows(7).any(|w| w == b"hunter2" || w == b"shop.db"));
    assert_eq!(two.client.merge(&snapshot).unwrap(), 2);
    assert_eq!(two.client.merge(&snapshot).unwrap(), 0);
    assert_eq!(list(&world, &one.client), list(&world, &two.client));
}

#[test]
fn a_stolen_file_is_worth_nothing_without_the_master() {
    let world = World::new();
    let store = world.dir.path().join("store");
    let vault = start(process(&world, &store, None));
    put(&world, &vault.client, world.shop());
    drop(vault);
    let bytes = std::fs::read(&store).unwrap();
    for text in [&b"hunter2"[..], b"shop", b"DB_PASSWORD", &world.master.to_text()] {
        assert!(!bytes.windows(text.len()).any(|window| window == text));
    }
    let thief = World::new();
    let said = fails(process(&thief, &store, None));
    assert!(said.contains("does not open with this master"), "{said}");
    assert_eq!(std::fs::read(&store).unwrap(), bytes);
}

#[test]
fn a_damaged_file_is_told_with_what_to_do_and_kept() {
    let world = World::new();
    let store = world.dir.path().join("store");
    let vault = start(process(&world, &store, None));
    put(&world, &vault.client, world.shop());
    drop(vault);
    let mut bytes = std::fs::read(&store).unwrap();
    let at = bytes.len() - 50;
    bytes[at] ^= 4;
    std::fs::write(&store, &bytes).unwrap();
    let said = fails(process(&world, &store, None));
    assert!(said.contains("damaged") && said.contains("move it away"), "{said}");
    assert_eq!(std::fs::read(&store).unwrap(), bytes);
}

#[test]
fn it_waits_for_its_master_and_says_so_and_refuses_what_is_none() {
    let world = World::new();
    let (master, store) = (world.dir.path().join("late"), world.dir.path().join("store"));
    let text = world.master.to_text();
    let writer = {
        let master = master.clone();
        let mut child = process_with(&master, &store, None).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("waiting for") && first.contains("late"), "{first}");
        std::fs::write(world.dir.path().join("late.new"), &*text).unwrap();
        std::fs::rename(world.dir.path().join("late.new"), &master).unwrap();
        let second = lines.next().unwrap().unwrap();
        assert!(second.contains("serves on"), "{second}");
        assert!(!second.contains(std::str::from_utf8(&text).unwrap()));
        child
    };
    let mut child = writer;
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::write(&master, "no master").unwrap();
    let said = fails(process_with(&master, &store, None));
    assert!(said.contains("late") && said.contains("64 hexadecimal digits"), "{said}");
    assert!(!said.contains("no master"), "{said}");
}

#[test]
fn a_snapshot_of_another_vault_stops_it_before_it_serves() {
    let (world, other) = (World::new(), World::new());
    let vault = other.vault("a");
    vault.put(other.shop()).unwrap();
    let path = world.dir.path().join("snapshot");
    std::fs::write(&path, vault.snapshot().unwrap()).unwrap();
    let store = world.dir.path().join("store");
    let said = fails(process(&world, &store, Some(&path)));
    assert!(said.contains("snapshot") && said.contains("not sealed under this vault"), "{said}");
    // An empty one is none.
    std::fs::write(&path, "").unwrap();
    let vault = start(process(&world, &store, Some(&path)));
    assert_eq!(vault.said.len(), 1, "{:?}", vault.said);
}
