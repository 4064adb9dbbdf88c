//! The daemon before its clients, friendly and not.

use crate::common::{Daemon, SHARED, guest};
use casemate_attestation::{TrustRoots, dcap};
use casemate_software_tee::{
    client::{ClientError, EventLogEntry, Guest, Launch, Owner},
    daemon::now,
    measure::{self, Content, Tree},
    wire::{Kind, REQUEST_BYTES_MAX, to_hex},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::Path,
    time::{Duration, Instant},
};

const REPORT_DATA: [u8; 64] = [0xa5; 64];

/// What the daemon must have measured of the ordinary content.
fn content(daemon: &Daemon) -> Content {
    let tree = Tree::read(&daemon.path("root")).unwrap();
    Content::new(b"the agent", Some(&tree), [7; 32])
}

/// Sends raw bytes and reads one line.
fn raw(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(bytes).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

fn refused(result: Result<impl Sized, ClientError>) -> String {
    match result {
        Err(ClientError::Refused(reason)) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[test]
fn guests_of_each_kind_get_evidence_of_what_was_launched() {
    let daemon = Daemon::start(&[]);
    for kind in Kind::ALL {
        let launched = daemon.launch(&format!("pod-{}", kind.as_str().to_lowercase()), kind, &[]);
        let expected = measure::expected(kind, &content(&daemon));
        assert_eq!(launched.measurements, expected.to_json());
        let answer = guest(&launched).evidence(&REPORT_DATA).unwrap();
        assert_eq!(answer.kind, kind);
        assert_eq!(answer.endorsements.is_some(), kind == Kind::AmdSevSnp);
        assert_eq!(answer.event_log.len(), if kind == Kind::IntelTdx { 2 } else { 0 });
        let mode = fs::metadata(&launched.socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let mode = fs::metadata(daemon.path("control.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(daemon.control().list().unwrap().len(), 3);
}

#[test]
fn evidence_and_collateral_from_the_sockets_verify_and_the_log_replays() {
    let daemon = Daemon::start(&[]);
    let launched = daemon.launch("pod", Kind::IntelTdx, &[]);
    let guest = guest(&launched);
    guest.extend(3, &[1; 48], "first").unwrap();
    guest.extend(2, &[2; 48], "second").unwrap();
    guest.extend(3, &[3; 48], "third").unwrap();
    let answer = guest.evidence(&REPORT_DATA).unwrap();

    let collateral = daemon.control().collateral().unwrap();
    let roots: TrustRoots = serde_json::from_value(collateral["roots"].clone()).unwrap();
    let raw = serde_json::from_value(collateral["intel"]["tdx"].clone()).unwrap();
    let quote = dcap::Quote::parse(&answer.evidence).unwrap();
    let verified = dcap::verify_with_collateral(quote, &raw, &roots, now().unwrap()).unwrap();
    let casemate_attestation::Measurements::Tdx { rtmr, .. } = &verified.claims().measurements
    else {
        panic!("not TDX")
    };
    assert_eq!(*rtmr, measure::replay(&answer.event_log));
    let events: Vec<_> = answer.event_log.iter().skip(2).map(|entry| &*entry.event).collect();
    assert_eq!(events, ["first", "second", "third"]);
    // An event that is left out, or another order, gives other registers.
    let mut less = answer.event_log.clone();
    less.remove(2);
    assert_ne!(*rtmr, measure::replay(&less));
    let mut swapped = answer.event_log.clone();
    swapped.swap(2, 4);
    assert_ne!(*rtmr, measure::replay(&swapped));
}

#[test]
fn after_a_launch_files_can_change_and_measurements_do_not() {
    let daemon = Daemon::start(&[]);
    let launched = daemon.launch("pod", Kind::AmdSevSnp, &[]);
    fs::write(daemon.path("agent"), b"another agent").unwrap();
    fs::write(daemon.path("root/app"), b"another app").unwrap();
    let [again] = daemon.control().list().unwrap().try_into().unwrap();
    assert_eq!(again, launched);
    // The name is taken until the guest is destroyed; then the files are measured as they are now.
    let (agent, root) = (daemon.path("agent"), daemon.path("root"));
    let launch = Launch {
        id: "pod",
        kind: Kind::AmdSevSnp,
        version: Some(5),
        agent: &agent,
        root_fs: Some(&root),
        manifest_hash: &[7; 32],
        owner: None,
        misbehave: &[],
    };
    assert!(refused(daemon.control().launch(&launch)).contains("alive already"));
    daemon.control().destroy("pod").unwrap();
    let other = daemon.control().launch(&launch).unwrap();
    assert_ne!(other.measurements["measurement"], launched.measurements["measurement"]);
    assert_eq!(other.measurements["hostData"], launched.measurements["hostData"]);
    let report = guest(&other).evidence(&REPORT_DATA).unwrap().evidence;
    assert_eq!(report.first(), Some(&5), "the version that was asked for");
}

#[test]
fn a_destroyed_guests_socket_is_gone_and_so_are_its_connections() {
    let mut daemon = Daemon::start(&[]);
    let launched = daemon.launch("pod", Kind::IntelSgx, &[]);
    let mut open = UnixStream::connect(&launched.socket).unwrap();
    // One answer, so that the connection is known to be served.
    open.write_all(b"{}\n").unwrap();
    let mut reader = BufReader::new(open.try_clone().unwrap());
    reader.read_line(&mut String::new()).unwrap();

    daemon.control().destroy("pod").unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    assert!(!launched.socket.exists());
    assert!(matches!(guest(&launched).evidence(&REPORT_DATA), Err(ClientError::Io { .. })));
    assert!(refused(daemon.control().destroy("pod")).contains("no guest `pod`"));
    daemon.kill_and_start();
    assert_eq!(daemon.control().list().unwrap(), []);
}

#[test]
fn a_killed_daemon_has_the_same_guests_again() {
    let mut daemon = Daemon::start(&[]);
    let tdx = daemon.launch("tdx", Kind::IntelTdx, &[]);
    let snp = daemon.launch("snp", Kind::AmdSevSnp, &["debug"]);
    guest(&tdx).extend(3, &[9; 48], "kept").unwrap();
    let before = daemon.control().list().unwrap();
    let log = guest(&tdx).evidence(&REPORT_DATA).unwrap().event_log;
    // What a launch and an end that were cut short leave.
    fs::create_dir_all(daemon.path("tee/guests/half/socket")).unwrap();
    fs::write(daemon.path("tee/guests/half/state.json.new"), b"{").unwrap();

    daemon.kill_and_start();
    assert_eq!(daemon.control().list().unwrap(), before);
    assert!(!daemon.path("tee/guests/half").exists());
    let answer = guest(&tdx).evidence(&REPORT_DATA).unwrap();
    assert_eq!(answer.event_log, log);
    let kept = EventLogEntry { register: 3, digest: [9; 48], event: "kept".into() };
    assert_eq!(answer.event_log.last(), Some(&kept));
    // The misbehaviour too: bit 19 of the policy.
    let report = guest(&snp).evidence(&REPORT_DATA).unwrap().evidence;
    assert_eq!(report.get(0x0a).map(|byte| byte & 8), Some(8));
}

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let daemon = Daemon::start(&[]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_casemate-software-tee"))
        .args(["serve", "--dir"])
        .arg(daemon.path("tee"))
        .arg("--control")
        .arg(daemon.path("other.sock"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("another daemon serves"), "{text}");
}

#[test]
fn an_owner_gets_the_socket_and_nothing_around_it() {
    let daemon = Daemon::start(&[]);
    let me = fs::metadata(daemon.path("agent")).unwrap();
    // Only root can give a file to somebody else.
    let uid = if me.uid() == 0 { 12_345 } else { me.uid() };
    let agent = daemon.path("agent");
    let launch = Launch {
        id: "pod",
        kind: Kind::IntelSgx,
        version: None,
        agent: &agent,
        root_fs: None,
        manifest_hash: &[7; 32],
        owner: Some(Owner { uid, gid: me.gid() }),
        misbehave: &[],
    };
    let launched = daemon.control().launch(&launch).unwrap();
    let socket = fs::metadata(&launched.socket).unwrap();
    assert_eq!((socket.uid(), socket.mode() & 0o777), (uid, 0o600));
    let folder = fs::metadata(&launched.socket_dir).unwrap();
    assert_eq!((folder.uid(), folder.mode() & 0o777), (me.uid(), 0o711));
    let above = fs::metadata(launched.socket_dir.parent().unwrap()).unwrap();
    assert_eq!(above.mode() & 0o777, 0o700);
}

#[test]
fn garbage_is_answered_and_harms_nobody() {
    let mut daemon = Daemon::start(&[]);
    let launched = daemon.launch("pod", Kind::IntelSgx, &[]);
    let hex = |length: usize| "0".repeat(length);
    let guest_lines: Vec<Vec<u8>> = vec![
        b"\n".to_vec(),
        b"garbage\n".to_vec(),
        b"\xff\xfe\x00\n".to_vec(),
        b"[]\n".to_vec(),
        b"{}\n".to_vec(),
        b"{\"reportData\":7}\n".to_vec(),
        b"{\"reportData\":null}\n".to_vec(),
        format!("{{\"reportData\":\"{}\"}}\n", hex(126)).into_bytes(),
        format!("{{\"reportData\":\"{}\"}}\n", hex(130)).into_bytes(),
        format!("{{\"reportData\":\"{}\"}}\n", "g".repeat(128)).into_bytes(),
        format!("{{\"reportData\":\"{}\",\"more\":1}}\n", hex(128)).into_bytes(),
        format!("{{\"extend\":{{\"register\":3,\"digest\":\"{}\",\"event\":\"\"}}}}\n", hex(96))
            .into_bytes(),
        [b"[".repeat(REQUEST_BYTES_MAX), b"\n".to_vec()].concat(),
        // One byte too many, and much too many without an end.
        [vec![b' '; REQUEST_BYTES_MAX + 1], b"\n".to_vec()].concat(),
        vec![b'x'; REQUEST_BYTES_MAX + 4096],
    ];
    let control = daemon.path("control.sock");
    for line in &guest_lines {
        for socket in [&launched.socket, &control] {
            let mut stream = UnixStream::connect(socket).unwrap();
            // The daemon may hang up before it has read everything.
            let _ = stream.write_all(line);
            let mut answer = String::new();
            let _ = BufReader::new(stream).read_line(&mut answer);
            if line.len() <= REQUEST_BYTES_MAX + 1 {
                let json: Value = serde_json::from_str(&answer).unwrap();
                assert!(json["error"].is_string(), "{answer}");
            }
        }
    }
    // Half a line, then nothing.
    drop(UnixStream::connect(&launched.socket).unwrap().write_all(b"{\"reportData\":"));
    assert!(daemon.is_alive());
    guest(&launched).evidence(&REPORT_DATA).unwrap();
}

#[test]
fn too_many_connections_are_refused_and_others_guests_do_not_notice() {
    let daemon = Daemon::start(&[]);
    let (one, other) =
        (daemon.launch("one", Kind::IntelSgx, &[]), daemon.launch("other", Kind::IntelSgx, &[]));
    let held: Vec<_> = (0..40).map(|_| UnixStream::connect(&one.socket).unwrap()).collect();
    let reason = refused(guest(&one).evidence(&REPORT_DATA));
    assert!(reason.contains("too many connections"), "{reason}");
    guest(&other).evidence(&REPORT_DATA).unwrap();
    drop(held);
    // They are given back as soon as the daemon has noticed.
    let deadline = Instant::now() + Duration::from_secs(120);
    while guest(&one).evidence(&REPORT_DATA).is_err() {
        assert!(Instant::now() < deadline, "connections are never given back");
        std::thread::yield_now();
    }
}

#[test]
fn requests_that_make_no_sense_are_told_why() {
    let daemon = Daemon::start(&[]);
    let agent = daemon.path("agent");
    let control = daemon.path("control.sock");
    let base = json!({
        "id": "pod", "kind": "intelTdx", "agent": agent, "manifestHash": to_hex(&[7; 32]),
    });
    for (name, value, reason) in [
        ("id", json!("../../etc"), "`id` must be"),
        ("id", json!(""), "`id` must be"),
        ("id", json!("x".repeat(65)), "`id` must be"),
        ("kind", json!("software"), "`kind` must be one of"),
        ("version", json!(3), "known are 4 and 5"),
        ("agent", json!("/does/not/exist"), "cannot open `/does/not/exist`"),
        ("agent", json!("/dev/zero"), "not a regular file"),
        ("agent", json!("/tmp"), "not a regular file"),
        ("rootFs", json!(agent), "a root file system is a folder"),
        ("manifestHash", json!("07"), "`manifestHash` must be 64 digits"),
        ("misbehave", json!(["sometimes"]), "there are old-tcb, "),
        ("misbehave", json!(["wrong-chip"]), "no guest of intelTdx can misbehave by `wrong-chip`"),
        ("digest", json!("00"), "unknown field `digest`"),
    ] {
        let mut launch = base.clone();
        launch[name] = value;
        let answer = raw(&control, format!("{}\n", json!({ "launch": launch })).as_bytes());
        assert!(answer.contains(reason), "{name}: {answer}");
    }
    assert_eq!(daemon.control().list().unwrap(), []);

    let tdx = guest(&daemon.launch("tdx", Kind::IntelTdx, &[]));
    for register in [0, 1, 4, 255] {
        let reason = refused(tdx.extend(register, &[0; 48], "no"));
        assert!(reason.contains("TDX has 2 and 3"), "{reason}");
    }
    let sgx = guest(&daemon.launch("sgx", Kind::IntelSgx, &[]));
    assert!(refused(sgx.extend(3, &[0; 48], "no")).contains("TDX has 2 and 3"));
    assert!(refused(tdx.extend(3, &[0; 48], &"x".repeat(1025))).contains("longer than 1024"));
}

#[test]
fn a_replaying_guest_gives_its_first_report_data_for_ever() {
    let mut daemon = Daemon::start(&[]);
    let launched = daemon.launch("pod", Kind::IntelSgx, &["replay"]);
    let report_data = |guest: &Guest, data: u8| {
        let quote = guest.evidence(&[data; 64]).unwrap().evidence;
        *dcap::Quote::parse(&quote).unwrap().report_data()
    };
    assert_eq!(report_data(&guest(&launched), 1), [1; 64]);
    assert_eq!(report_data(&guest(&launched), 2), [1; 64]);
    daemon.kill_and_start();
    assert_eq!(report_data(&guest(&launched), 3), [1; 64]);
}

#[test]
fn a_daemon_can_be_told_to_misbehave_as_a_whole() {
    let daemon = Daemon::start(&["wrong-report-data", "expired-collateral"]);
    let launched = daemon.launch("pod", Kind::IntelTdx, &[]);
    let quote = guest(&launched).evidence(&REPORT_DATA).unwrap().evidence;
    let quote = dcap::Quote::parse(&quote).unwrap();
    assert_ne!(*quote.report_data(), REPORT_DATA);
    let collateral = daemon.control().collateral().unwrap();
    let roots: TrustRoots = serde_json::from_value(collateral["roots"].clone()).unwrap();
    let raw = serde_json::from_value(collateral["intel"]["tdx"].clone()).unwrap();
    assert_eq!(
        dcap::verify_with_collateral(quote, &raw, &roots, now().unwrap()),
        Err(dcap::Error::Expired(dcap::Document::RootCrl))
    );
}

#[test]
fn the_command_line_measures_what_the_daemon_measures() {
    let daemon = Daemon::start(&[]);
    let launched = daemon.launch("pod", Kind::IntelTdx, &[]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_casemate-software-tee"))
        .args(["measure", "--kind", "intelTdx", "--manifest-hash", &to_hex(&[7; 32]), "--agent"])
        .arg(daemon.path("agent"))
        .arg("--root-fs")
        .arg(daemon.path("root"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let measured: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(measured, launched.measurements);
    let roots = std::process::Command::new(env!("CARGO_BIN_EXE_casemate-software-tee"))
        .args(["roots", "--dir"])
        .arg(daemon.path("tee"))
        .output()
        .unwrap();
    let roots: TrustRoots = serde_json::from_slice(&roots.stdout).unwrap();
    let shared = SHARED.collateral(now().unwrap(), &[]).unwrap();
    assert_eq!(roots, serde_json::from_value(shared["roots"].clone()).unwrap());
}
