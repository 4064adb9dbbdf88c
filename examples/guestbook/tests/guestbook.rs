//! The real binary: its requests, its restart and its end.

#![allow(clippy::unwrap_used)]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

/// The app under test, killed when the test is over.
struct App {
    child: Child,
    log: BufReader<ChildStdout>,
    port: u16,
}

impl App {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_guestbook"))
            .env("PORT", "0")
            .env("DATA_DIR", data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("0.0.0.0:").unwrap_or_else(|| panic!("log: {line:?}"));
        let port = rest.split(',').next().unwrap().parse().unwrap();
        Self { child, log, port }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request on a connection of its own; gives the whole answer.
    fn send(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_all(stream)
    }

    fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, message: &str) -> String {
        let body = serde_json::json!({ "name": "Ann", "message": message }).to_string();
        self.send(&post(&body))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for the end; gives the exit code and the rest of the log.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn post(body: &str) -> String {
    format!(
        "POST /entries HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn read_all(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Reads one answer off a connection that is kept.
fn read_one(reader: &mut impl BufRead) -> String {
    let mut answer = String::new();
    let mut length = 0;
    loop {
        let start = answer.len();
        assert!(reader.read_line(&mut answer).unwrap() > 0, "closed after {answer:?}");
        let line = &answer[start..];
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    answer + &String::from_utf8(body).unwrap()
}

#[test]
fn entries_survive_sigkill_and_are_shown() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    assert!(app.get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(app.post("<i>first</i>").starts_with("HTTP/1.1 201 Created\r\n"));
    app.signal(Signal::SIGKILL);
    app.wait();

    let app = App::start(data.path());
    assert!(app.get("/").contains("&lt;i&gt;first&lt;/i&gt;"));
    assert!(app.get("/api/entries").contains(r#""message":"<i>first</i>""#));
}

#[test]
fn a_connection_is_kept_for_more_requests() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    let stream = app.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..3 {
        (&stream).write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let answer = read_one(&mut reader);
        assert!(answer.contains("connection: keep-alive\r\n") && answer.ends_with("ok\n"));
    }
    (&stream).write_all(b"nonsense\r\n\r\n").unwrap();
    assert!(read_one(&mut reader).starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn more_clients_than_threads_are_all_served() {
    let data = tempfile::tempdir().unwrap();
    let app = App::start(data.path());
    // Idle ones first: they must not keep the threads from the others.
    let idle: Vec<_> = (0..32)
        .map(|_| {
            let stream = app.connect();
            (&stream).write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut reader = BufReader::new(stream);
            assert!(read_one(&mut reader).ends_with("ok\n"));
            reader
        })
        .collect();
    std::thread::scope(|scope| {
        for number in 0..64 {
            let app = &app;
            scope.spawn(move || {
                let answer = app.post(&format!("message {number}"));
                assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
            });
        }
    });
    assert!(app.get("/api/entries").contains(r#""count":64"#));
    drop(idle);
}

#[test]
fn sigterm_finishes_the_request_under_way_and_exits_with_0() {
    let data = tempfile::tempdir().unwrap();
    let mut app = App::start(data.path());
    let request = post(r#"{"name":"Ann","message":"last"}"#);
    let (head, tail) = request.split_at(request.len() - 5);
    let stream = app.connect();
    // An answer on the same connection shows that it has reached a thread.
    (&stream).write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert!(read_one(&mut reader).contains("connection: keep-alive"));
    (&stream).write_all(head.as_bytes()).unwrap();
    app.signal(Signal::SIGTERM);
    let mut log = String::new();
    while !log.contains("stopping") {
        assert!(app.log.read_line(&mut log).unwrap() > 0, "{log}");
    }
    (&stream).write_all(tail.as_bytes()).unwrap();
    let answer = read_one(&mut reader);
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"));
    let (code, rest) = app.wait();
    assert_eq!(code, Some(0), "{log}{rest}");
    assert!(rest.contains("POST /entries 201") && rest.contains("stopped"), "{rest}");
    assert!(App::start(data.path()).get("/api/entries").contains(r#""message":"last""#));
}

#[test]
fn a_wrong_setting_is_told() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_guestbook")).env("PORT", "http").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("PORT is `http`; it must be a number"), "{stderr}");
}
