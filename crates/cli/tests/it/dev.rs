//! `casemate dev`, as far as it goes without a node.

use std::{
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::run::Home;

const PORTS: [&str; 10] = [
    "--rpc-port",
    "0",
    "--api-port",
    "0",
    "--ingress-port",
    "0",
    "--tls-port",
    "0",
    "--metrics-port",
    "0",
];

fn script(home: &Home, name: &str, text: &str) {
    let path = home.write(name, &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the real programs say before the node starts; `software-tee` and `node`, which then does
/// `runs`.
fn programs(home: &Home, runs: &str) {
    let root = "11".repeat(32);
    let root = format!(r#"[{{"vendor": "intel", "grade": "software", "spkiSha256": "{root}"}}]"#);
    let tee = format!(
        "case $1 in\ninit) mkdir -p $3/pki ;;\nroots) echo '{root}' ;;\n\
         measure) echo '{{\"workload\": \"0102\"}}' ;;\nesac"
    );
    script(home, "software-tee", &tee);
    let genesis = r#"{"chainType": "Development", "genesis": {"runtimeGenesis": {"patch": {}}}}"#;
    let node = format!("if [ $1 = export-chain-spec ]; then echo '{genesis}'; exit; fi");
    script(home, "node", &format!("{node}\n{runs}"));
    script(home, "other", "exit 0");
}

#[test]
fn missing_programs_are_named_before_anything_starts() {
    let home = Home::new();
    let args = ["dev", "--data-dir", "net", "--node", "none"];
    home.run(&[&args[..], &PORTS].concat())
        .fails(2, &["`none` is no program", "cargo build --package casemate-node", "--node"]);
}

#[test]
fn a_node_that_dies_is_reported_with_its_last_words() {
    let home = Home::new();
    programs(&home, "echo \"got $*\"; echo 'no space left' >&2; exit 3");
    let args = [
        "dev",
        "--data-dir",
        "net",
        "--node",
        "./node",
        "--provider",
        "./other",
        "--agent",
        "./other",
        "--software-tee",
        "./software-tee",
    ];
    let run = home.run(&[&args[..], &PORTS].concat());
    run.fails(
        1,
        &["casemate-node ended (exit status: 3)", "no space left", "got --chain", "net/node.log"],
    );
    run.fails(1, &["nothing here is protected from this machine's owner"]);
    // The network's own genesis: made once, kept.
    let genesis = std::fs::read_to_string(home.path("net/chain.json")).unwrap();
    let genesis: serde_json::Value = serde_json::from_str(&genesis).unwrap();
    let patch = &genesis["genesis"]["runtimeGenesis"]["patch"];
    assert_eq!(patch["endorsements"]["roots"][0]["grade"], "software");
    assert_eq!(patch["attestation"]["workloads"], serde_json::json!([[[1, 2], "software"]]));
    let roots = home.path("software-tee");
    std::fs::write(&roots, "#!/bin/sh\n[ $1 = measure ] && echo '{\"workload\": \"0304\"}'\n")
        .unwrap();
    home.run(&[&args[..], &PORTS].concat()).fails(1, &["casemate-node ended"]);
    let again = std::fs::read_to_string(home.path("net/chain.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), genesis);
    assert!(!home.path("net/dev.json").exists());
}

#[test]
fn a_chain_without_a_software_tee_is_not_taken_for_one_with_it() {
    let home = Home::new();
    programs(&home, "exit 3");
    std::fs::create_dir_all(home.path("net/node")).unwrap();
    let args = [
        "dev",
        "--data-dir",
        "net",
        "--node",
        "./node",
        "--provider",
        "./other",
        "--agent",
        "./other",
        "--software-tee",
        "./software-tee",
    ];
    home.run(&[&args[..], &PORTS].concat())
        .fails(1, &["made by an older version", "--data-dir DIR"]);
}

#[test]
fn an_interrupt_stops_what_was_started() {
    let home = Home::new();
    programs(&home, "echo $$ > node.pid; exec sleep 600");
    let args = [
        "dev",
        "--data-dir",
        "net",
        "--node",
        "./node",
        "--provider",
        "./other",
        "--agent",
        "./other",
        "--software-tee",
        "./software-tee",
    ];
    let mut child = home
        .command(&[&args[..], &PORTS].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let node = wait_for(|| {
        std::fs::read_to_string(home.path("node.pid")).ok()?.trim().parse::<i32>().ok()
    });
    let dev = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(dev, nix::sys::signal::Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(!std::path::Path::new(&format!("/proc/{node}")).exists(), "the node still runs");
}

#[test]
fn no_child_outlives_a_killed_parent() {
    let home = Home::new();
    programs(&home, "echo $$ > node.pid; exec sleep 600");
    let args = [
        "dev",
        "--data-dir",
        "net",
        "--node",
        "./node",
        "--provider",
        "./other",
        "--agent",
        "./other",
        "--software-tee",
        "./software-tee",
    ];
    let mut child = home
        .command(&[&args[..], &PORTS].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let node = wait_for(|| {
        std::fs::read_to_string(home.path("node.pid")).ok()?.trim().parse::<i32>().ok()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(|| {
        let status = std::fs::read_to_string(format!("/proc/{node}/status")).unwrap_or_default();
        // Nobody may be there to reap it: a zombie has ended, too.
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    });
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited for two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}
