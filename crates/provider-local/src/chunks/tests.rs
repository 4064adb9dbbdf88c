use std::io::Write as _;

use casemate_logs::{ChunkWriter, LogChunk, Stream};
use casemate_primitives::LeaseId;

use super::*;

const GENESIS: [u8; 32] = [4; 32];
const KEY: [u8; 32] = [5; 32];

fn pod() -> PodId {
    PodId { lease: LeaseId(1), replica: 2, version: 3 }
}

/// A base point's multiple: anything of full order does.
const RECIPIENT: [u8; 32] = {
    let mut key = [0; 32];
    key[0] = 9;
    key
};

fn writer(key: [u8; 32]) -> ChunkWriter {
    ChunkWriter::new(GENESIS, LeaseId(1), 2, key, RECIPIENT).unwrap()
}

fn chunk(writer: &mut ChunkWriter, text: &str) -> LogChunk {
    assert!(writer.line(1, Stream::Stdout, text.as_bytes(), false).is_empty());
    writer.flush().unwrap()
}

struct Events {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Events {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        Self { dir, path }
    }

    fn write(&self, container: &str, kind: EventKind) {
        let event = Event { container: container.into(), time_ms: 1, kind };
        let mut file = File::options().create(true).append(true).open(&self.path).unwrap();
        file.write_all(&serde_json::to_vec(&event).unwrap()).unwrap();
        file.write_all(b"\n").unwrap();
    }

    fn started(&self, key: [u8; 32]) {
        self.write("main", EventKind::Started { key: Some(hex::encode(key)) });
    }

    fn chunk(&self, chunk: &LogChunk) {
        self.write("main", EventKind::log_chunk(chunk));
    }

    fn read(&self, from: &Position) -> (Vec<LogChunk>, u64, Position) {
        let (found, at) = read(&self.path, pod(), "main", from).unwrap();
        let found = found.unwrap_or_default();
        (found.chunks, found.refused, at)
    }
}

#[test]
fn chunks_come_in_order_and_go_on_where_they_were_given_up() {
    let events = Events::new();
    let mut writer = writer(KEY);
    assert_eq!(events.read(&Position::default()).0, []);
    events.started(KEY);
    let chunks: Vec<_> = (0..3).map(|n| chunk(&mut writer, &n.to_string())).collect();
    events.chunk(&chunks[0]);
    events.chunk(&chunks[1]);
    let (first, refused, at) = events.read(&Position::default());
    assert_eq!((first.as_slice(), refused), (&chunks[..2], 0));
    // Half a line is read when the rest is there.
    let whole = std::fs::read(&events.path).unwrap();
    events.chunk(&chunks[2]);
    let longer = std::fs::read(&events.path).unwrap();
    std::fs::write(&events.path, &longer[..longer.len() - 9]).unwrap();
    assert_eq!(events.read(&at), (Vec::new(), 0, at.clone()));
    std::fs::write(&events.path, &longer).unwrap();
    assert!(longer.len() > whole.len());
    let mark = LogMark(format!("7 {}", at.to_text()));
    let (source, again) = parse_mark(&mark).unwrap();
    assert_eq!((source, &again), ("7", &at), "the key is known after a mark, too");
    assert_eq!(events.read(&again).0, chunks[2..]);
}

/// What others' agents, other containers and this agent's lies may not become.
#[test]
fn what_is_not_the_agents_own_chunk_is_refused() {
    let events = Events::new();
    let mut own = writer(KEY);
    let good = chunk(&mut own, "good");
    events.chunk(&good);
    let (none, refused, _) = events.read(&Position::default());
    assert_eq!((none.len(), refused), (0, 1), "before there is a key");
    events.started(KEY);
    events.write("side", EventKind::Started { key: Some(hex::encode([6; 32])) });
    events.write("side", EventKind::log_chunk(&chunk(&mut writer([6; 32]), "of another")));
    events.chunk(&chunk(&mut writer([6; 32]), "another key"));
    let mut foreign = good.clone();
    foreign.header.lease = LeaseId(2);
    events.chunk(&foreign);
    foreign = good.clone();
    foreign.header.replica = 0;
    events.chunk(&foreign);
    for text in ["", "AAAA", "%%%", &"A".repeat(50_000)] {
        events.write("main", EventKind::LogChunk { chunk: text.into() });
    }
    events.chunk(&good);
    let (chunks, refused, _) = events.read(&Position::default());
    assert_eq!((chunks, refused), (vec![good], 1 + 3 + 4));
}

#[test]
fn a_batch_is_bounded_and_the_rest_comes_next() {
    let events = Events::new();
    let mut writer = writer(KEY);
    events.started(KEY);
    let chunks: Vec<_> = (0..40).map(|_| chunk(&mut writer, &"x".repeat(16_000))).collect();
    chunks.iter().for_each(|chunk| events.chunk(chunk));
    let (mut at, mut all, mut batches) = (Position::default(), Vec::new(), 0);
    loop {
        let (found, _, to) = events.read(&at);
        if found.is_empty() {
            break;
        }
        assert!(found.len() * 16_000 <= LOG_BATCH_BYTES);
        (at, batches) = (to, batches + 1);
        all.extend(found);
    }
    assert_eq!(all, chunks);
    assert!(batches > 2);
}

#[test]
fn a_deleted_pods_file_is_kept_until_it_was_read() {
    let events = Events::new();
    let dir = events.dir.path().join("last-logs");
    std::fs::create_dir(&dir).unwrap();
    let mut writer = writer(KEY);
    events.started(KEY);
    let chunks: Vec<_> = (0..2).map(|n| chunk(&mut writer, &n.to_string())).collect();
    events.chunk(&chunks[0]);
    let (_, _, at) = events.read(&Position::default());
    events.chunk(&chunks[1]);
    SetAside::set(&dir, &events.path, pod(), "main", &at).unwrap();
    // Once more, as after a SIGKILL: the file is gone already.
    SetAside::set(&dir, &events.path, pod(), "main", &at).unwrap();
    assert!(!events.path.exists());
    // The same pod once more.
    events.started([6; 32]);
    let second = chunk(&mut self::writer([6; 32]), "second");
    events.chunk(&second);
    SetAside::set(&dir, &events.path, pod(), "main", &Position::default()).unwrap();

    let all = SetAside::all(&dir).unwrap();
    assert_eq!(all.len(), 2);
    let batch = all[0].batch(&dir).unwrap().unwrap();
    assert_eq!(batch.chunks, chunks[1..]);
    assert_eq!(all[0].batch(&dir).unwrap().unwrap(), batch, "until it is given up");
    let (source, to) = parse_mark(&batch.mark).unwrap();
    for aside in &all {
        aside.forget(&dir, source, &to).unwrap();
    }
    let all = SetAside::all(&dir).unwrap();
    assert_eq!(all[0].batch(&dir).unwrap(), None);
    assert_eq!(all[1].batch(&dir).unwrap().unwrap().chunks, [second]);
    assert_eq!(SetAside::all(&dir).unwrap().len(), 1, "what was read is removed");

    // A file without any more is not kept at all.
    std::fs::write(&events.path, b"").unwrap();
    events.write("main", EventKind::Ready);
    SetAside::set(&dir, &events.path, pod(), "main", &Position::default()).unwrap();
    assert_eq!(SetAside::all(&dir).unwrap().len(), 1);
    assert_eq!(SetAside::parse("l1-r2-v3.1.main.12"), None);
    assert_eq!(SetAside::parse("l1-r2-v3.x.main.12-"), None);
    assert_eq!(SetAside::parse("l1-r2-v3.1.main.12-zz"), None);
}
