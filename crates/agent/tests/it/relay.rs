//! All containers' output is sealed by the first one's agent.

use casemate_agent::config::{Config, RelayedLogs, RestartPolicy};
use casemate_agent::event::{EventKind, Stream, decode_chunk};
use casemate_logs::{LogLine, open, public_key};
use casemate_primitives::LogChunk;

use crate::{
    checked_records,
    harness::{Agent, GENESIS, config, shell},
};

const SECRET: [u8; 32] = [9; 32];

fn socket(name: &str) -> String {
    format!("casemate-test-{name}-{}", std::process::id())
}

fn sealing(script: &str, socket: &str) -> Config {
    let mut config = config(shell(script));
    config.log.recipient = Some(public_key(&SECRET).unwrap());
    config.log.relayed =
        Some(RelayedLogs { socket: socket.to_owned(), containers: vec!["db".into()] });
    config
}

fn other(container: &str, script: &str, socket: &str) -> Config {
    let mut config = Config { container: container.into(), signer: None, ..config(shell(script)) };
    config.log.relay = Some(socket.to_owned());
    config
}

fn chunks(agent: &Agent) -> Vec<LogChunk> {
    let chunk = |kind: &EventKind| match kind {
        EventKind::LogChunk { chunk } => Some(decode_chunk(chunk).unwrap()),
        _ => None,
    };
    agent.events().iter().filter_map(|event| chunk(&event.kind)).collect()
}

fn lines(agent: &Agent) -> Vec<LogLine> {
    chunks(agent).iter().flat_map(|chunk| open(chunk, &GENESIS, &SECRET).unwrap()).collect()
}

fn texts_of<'a>(lines: &'a [LogLine], container: Option<&str>) -> Vec<&'a str> {
    let of = lines.iter().filter(|line| line.container.as_deref() == container);
    of.filter(|line| line.stream != Stream::Agent)
        .map(|line| std::str::from_utf8(&line.text).unwrap())
        .collect()
}

#[test]
fn what_other_containers_print_is_sealed_under_their_names_and_seen_by_nobody() {
    let socket = socket("sealed");
    // The other one is quicker: nobody takes its output yet.
    let last_words = "echo db 1; echo db 2 >&2; trap 'echo db last; exit 0' TERM; \
                      while :; do sleep 0.05; done";
    let mut db = Agent::start(&other("db", last_words, &socket));
    db.expect(|kind| matches!(kind, EventKind::Ready));
    let app = "echo app 1; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let mut signing = sealing(app, &socket);
    signing.signer.as_mut().unwrap().record_interval_ms = 100;
    let mut first = Agent::start(&signing);
    first.expect_when(|agent| texts_of(&lines(agent), Some("db")) == ["db 1", "db 2"]);
    // Both are stopped at once, as a pod is: its last record covers the last words of all.
    first.signal("TERM");
    db.signal("TERM");
    assert_eq!((first.wait(), db.wait()), (0, 0));
    let read = lines(&first);
    assert_eq!(texts_of(&read, Some("db")), ["db 1", "db 2", "db last"]);
    assert_eq!(texts_of(&read, None), ["app 1"]);
    assert!(read.iter().any(|line| line.stream == Stream::Stderr && line.text == b"db 2"));
    let head = checked_records(&first).last().unwrap().log;
    assert_eq!(head.chunks, u64::try_from(chunks(&first).len()).unwrap());
    for agent in [&first, &db] {
        let raw = String::from_utf8(agent.raw_events()).unwrap();
        for text in ["db 1", "db 2", "db last", "app 1"] {
            assert!(!raw.contains(text), "`{text}` is readable: {raw}");
        }
    }
}

#[test]
fn a_flood_of_another_container_is_limited_and_counted() {
    let socket = socket("flood");
    let mut signing = sealing("trap 'exit 0' TERM; while :; do sleep 0.05; done", &socket);
    signing.log.sustained_bytes = 1_000;
    signing.log.burst_bytes = 10_000;
    let mut first = Agent::start(&signing);
    first.expect(|kind| matches!(kind, EventKind::Ready));
    // Its own limits would let it pass.
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done";
    let mut db = Agent::start(&other("db", script, &socket));
    assert_eq!(db.wait(), 0);
    first.signal("TERM");
    assert_eq!(first.wait(), 0);
    let kept = texts_of(&lines(&first), Some("db")).len();
    assert!((500..2900).contains(&kept), "{kept}");
    let dropped: u64 = chunks(&first).iter().map(|chunk| chunk.header.dropped).sum();
    assert_eq!(dropped + u64::try_from(kept).unwrap(), 3000);
}

#[test]
fn output_that_nobody_seals_is_lost_and_not_shown() {
    let socket = socket("nobody");
    let script = Config { restart: RestartPolicy::Never, ..other("db", "echo secret", &socket) };
    let mut db = Agent::start(&script);
    assert_eq!(db.wait(), 0);
    assert!(!String::from_utf8(db.raw_events()).unwrap().contains("secret"));
    assert!(db.log(Stream::Agent).contains("is lost"), "{}", db.log(Stream::Agent));
}

#[test]
fn strangers_add_nothing_under_other_names() {
    let socket = socket("names");
    let mut first =
        Agent::start(&sealing("trap 'exit 0' TERM; while :; do sleep 0.05; done", &socket));
    first.expect(|kind| matches!(kind, EventKind::Ready));
    // Neither under the first one's name, nor under one that the pod has not.
    for name in ["app", "", "nobody"] {
        let mut agent = Agent::start(&other(name, "echo forged", &socket));
        agent.wait();
    }
    let mut db = Agent::start(&other("db", "echo mine", &socket));
    db.wait();
    first.signal("TERM");
    first.wait();
    let read = lines(&first);
    assert_eq!(texts_of(&read, Some("db")), ["mine"]);
    assert!(read.iter().all(|line| line.text != b"forged"));
}
