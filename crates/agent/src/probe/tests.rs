use std::net::TcpListener;

use super::*;

fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                // Keeps the connection open and says nothing.
                std::mem::forget(stream);
            }
        }
    });
    port
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn status_200_to_399_is_well() {
    for (answer, ok) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.0 302 Found\r\n\r\n", true),
        ("HTTP/1.1 399 X\r\n\r\n", true),
        ("HTTP/1.1 404 Not Found\r\n\r\n", false),
        ("HTTP/1.1 500 X\r\n\r\n", false),
        ("SSH-2.0-OpenSSH_9\r\n", false),
        ("HTTP/1.1 2", false),
        ("HTTP/1.1 2\u{e9}\u{e9}", false),
    ] {
        let result = http_get(server(answer), "/x", "", LONG);
        assert_eq!(result.is_ok(), ok, "{answer:?}: {result:?}");
    }
}

#[test]
fn a_silent_server_is_not_well() {
    let err = http_get(server(""), "/", "", Duration::from_millis(200)).unwrap_err();
    assert!(err.contains("port"), "{err}");
}

#[test]
fn a_closed_port_is_not_well() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(connect(port, LONG).unwrap_err().contains(&port.to_string()));
}

/// Answers 500 some times, then 200.
fn server_that_starts_slowly(failures: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let status = if count < failures { "500 X" } else { "200 OK" };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
        }
    });
    port
}

/// The first verdict of a probe whose second regular try would come in an hour.
fn first_verdict(port: u16, failure_threshold: u32) -> Verdict {
    let (to, commands) = std::sync::mpsc::channel();
    let (verdicts, from) = std::sync::mpsc::channel();
    let probe = Probe {
        action: ProbeAction::Http { port, path: "/".into(), host: String::new() },
        initial_delay_ms: 0,
        period_ms: 3_600_000,
        timeout_ms: 60_000,
        success_threshold: 1,
        failure_threshold,
    };
    let app = AppConfig { command: vec![], env: vec![], working_dir: "/".into(), user: None };
    let children = Arc::new(Children::default());
    let kind = ProbeKind::Readiness;
    let prober =
        Prober { kind, probe, app, secrets: StartedWith::default(), children, commands, verdicts };
    std::thread::spawn(move || prober.run());
    to.send(ProbeCommand::Run(1)).unwrap();
    match from.recv_timeout(LONG).unwrap() {
        Message::Probe(verdict) => verdict,
        _ => panic!("a probe sends verdicts"),
    }
}

#[test]
fn an_app_that_starts_slowly_need_not_wait_for_the_next_period() {
    assert!(first_verdict(server_that_starts_slowly(4), 2).result.is_ok());
}

#[test]
fn failures_count_at_the_manifests_rhythm_only() {
    let verdict = first_verdict(server_that_starts_slowly(usize::MAX), 1);
    assert!(verdict.result.is_err());
}
