use codec::Encode as _;
use proptest::prelude::*;

use super::*;
use crate::{
    CHUNK_ENCODED_BYTES_MAX, ChunkError, Gap, LogLine, OpenError, Proof, Tree, decode_chunk, open,
    public_key, verify,
};

const SECRET: [u8; 32] = [5; 32];
const GENESIS: Hash256 = [7; 32];
const KEY: AgentPublicKey = [3; 32];

fn writer() -> ChunkWriter {
    ChunkWriter::new(GENESIS, LeaseId(7), 2, KEY, public_key(&SECRET).unwrap()).unwrap()
}

fn lines_of(chunks: &[LogChunk]) -> Vec<LogLine> {
    chunks.iter().flat_map(|chunk| open(chunk, &GENESIS, &SECRET).unwrap()).collect()
}

#[test]
fn lines_come_out_as_they_went_in() {
    let mut writer = writer();
    assert_eq!(writer.head(), LogHead::default());
    assert_eq!(writer.flush(), None);
    assert_eq!(writer.line(1000, Stream::Stdout, b"hello", false), []);
    assert_eq!(writer.line(1010, Stream::Stderr, b"\xff\x00", true), []);
    assert_eq!(writer.line(1010, Stream::Agent, b"", false), []);
    let chunk = writer.flush().unwrap();
    let header = chunk.header;
    assert_eq!((header.lease, header.replica, header.key), (LeaseId(7), 2, KEY));
    assert_eq!((header.index, header.first_line, header.lines, header.dropped), (0, 0, 3, 0));
    assert_eq!((header.from_ms, header.to_ms), (1000, 1010));
    let line = |number, time_ms, stream, text: &[u8], partial| LogLine {
        number,
        time_ms,
        container: None,
        stream,
        text: text.to_vec(),
        partial,
    };
    assert_eq!(
        lines_of(&[chunk]),
        [
            line(0, 1000, Stream::Stdout, b"hello", false),
            line(1, 1010, Stream::Stderr, b"\xff\x00", true),
            line(2, 1010, Stream::Agent, b"", false),
        ]
    );
    assert_eq!(writer.flush(), None);
    assert_eq!(writer.head().chunks, 1);
}

#[test]
fn nothing_of_the_text_is_seen_in_a_chunk() {
    let mut writer = writer();
    let _ = writer.line(1000, Stream::Stdout, b"the secret of the house", false);
    assert!(!format!("{writer:?}").contains("secret"));
    let bytes = writer.flush().unwrap().encode();
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
}

#[test]
fn a_chunk_opens_for_its_recipient_on_its_chain_unchanged_only() {
    let mut writer = writer();
    let _ = writer.line(1000, Stream::Stdout, b"hello", false);
    let chunk = writer.flush().unwrap();
    let sealed = Err(OpenError::Sealed { index: 0 });
    assert_eq!(open(&chunk, &GENESIS, &[6; 32]), sealed);
    assert_eq!(open(&chunk, &[8; 32], &SECRET), sealed);
    let mut other = chunk.clone();
    other.header.lease.0 += 1;
    assert_eq!(open(&other, &GENESIS, &SECRET), sealed);
    other = chunk.clone();
    other.header.to_ms += 1;
    assert_eq!(open(&other, &GENESIS, &SECRET), sealed);
    for at in 0..chunk.body.len() {
        other = chunk.clone();
        other.body[at] ^= 1 << (at % 8);
        assert_eq!(open(&other, &GENESIS, &SECRET), sealed, "byte {at}");
    }
}

#[test]
fn what_is_sealed_must_be_what_the_header_says() {
    let writer = writer();
    let header = |lines, to_ms| LogChunkHeader {
        lease: LeaseId(7),
        replica: 2,
        key: KEY,
        index: 0,
        from_ms: 1000,
        to_ms,
        first_line: 0,
        lines,
        dropped: 0,
    };
    let chunk = |header: LogChunkHeader, plain: &[u8]| LogChunk {
        header,
        body: seal::seal(&writer.recipient, &GENESIS, &header, plain).unwrap(),
    };
    let mut plain = Zeroizing::new(Vec::new());
    encode_line(&mut plain, 0, Stream::Stdout, false, b"one");
    encode_line(&mut plain, 5, Stream::Stdout, false, b"two");
    assert_eq!(open(&chunk(header(2, 1005), &plain), &GENESIS, &SECRET).unwrap().len(), 2);
    let content = Err(OpenError::Content { index: 0 });
    assert_eq!(open(&chunk(header(1, 1000), &plain), &GENESIS, &SECRET), content);
    assert_eq!(open(&chunk(header(3, 1005), &plain), &GENESIS, &SECRET), content);
    assert_eq!(open(&chunk(header(2, 1006), &plain), &GENESIS, &SECRET), content);
    let longer = [plain.as_slice(), b"x"].concat();
    assert_eq!(open(&chunk(header(2, 1005), &longer), &GENESIS, &SECRET), content);
}

#[test]
fn nobody_is_given_a_log_that_anybody_could_read() {
    // A point of low order: the shared secret would be zeros, whoever has which key.
    for low in [0, 1] {
        let mut key = [0; 32];
        key[0] = low;
        assert!(ChunkWriter::new(GENESIS, LeaseId(7), 2, KEY, key).is_err());
    }
}

#[test]
fn a_clock_set_back_does_not_turn_times_round() {
    let mut writer = writer();
    let mut chunks = writer.line(5000, Stream::Stdout, b"a", false);
    chunks.extend(writer.line(4000, Stream::Stdout, b"b", false));
    chunks.extend(writer.flush());
    chunks.extend(writer.line(1000, Stream::Stdout, b"c", false));
    chunks.extend(writer.flush());
    assert!(lines_of(&chunks).iter().all(|line| line.time_ms == 5000));
    assert_eq!((chunks[1].header.from_ms, chunks[1].header.to_ms), (5000, 5000));
}

#[test]
fn dropped_lines_end_a_chunk_and_have_numbers() {
    let mut writer = writer();
    assert_eq!(writer.dropped(900, 3), None);
    let _ = writer.line(1000, Stream::Stdout, b"a", false);
    let first = writer.dropped(1001, 2).unwrap();
    assert_eq!(writer.dropped(1002, 4), None);
    let _ = writer.line(1003, Stream::Stdout, b"b", false);
    let second = writer.flush().unwrap();
    assert_eq!((first.header.first_line, first.header.dropped), (3, 3));
    assert_eq!((second.header.first_line, second.header.dropped), (10, 6));
    // Also where nothing comes any more.
    assert_eq!(writer.dropped(2000, 5), None);
    let last = writer.flush().unwrap();
    assert_eq!((last.header.first_line, last.header.lines, last.header.dropped), (16, 0, 5));
    assert_eq!((last.header.from_ms, last.header.to_ms), (2000, 2000));
    assert_eq!(open(&last, &GENESIS, &SECRET), Ok(Vec::new()));
    assert_eq!(writer.flush(), None);
}

#[test]
fn what_can_not_be_a_chunk_is_not_read() {
    let mut writer = writer();
    let _ = writer.line(1000, Stream::Stdout, b"a", false);
    let chunk = writer.flush().unwrap();
    let read = |change: &dyn Fn(&mut LogChunk)| {
        let mut other = chunk.clone();
        change(&mut other);
        decode_chunk(&other.encode())
    };
    assert_eq!(read(&|_| ()), Ok(chunk.clone()));
    assert_eq!(decode_chunk(&[chunk.encode(), vec![0]].concat()), Err(ChunkError::Malformed));
    assert_eq!(decode_chunk(&[]), Err(ChunkError::Malformed));
    assert_eq!(decode_chunk(&vec![0; CHUNK_ENCODED_BYTES_MAX + 1]), Err(ChunkError::TooLong));
    let most = LOG_CHUNK_BYTES_MAX as usize;
    assert_eq!(read(&|c| c.body = vec![0; most + 1]), Err(ChunkError::TooLong));
    assert!(read(&|c| c.body = vec![0; most]).is_ok());
    let header = |change: &dyn Fn(&mut LogChunk)| {
        assert!(matches!(read(change), Err(ChunkError::Header(_))));
    };
    header(&|c| c.body.truncate(47));
    header(&|c| c.header.lines = 3);
    header(&|c| c.header.to_ms = 999);
    header(&|c| c.header.first_line = u64::MAX);
    header(&|c| c.header.index = u64::MAX);
    header(&|c| c.header.dropped = 1);
}

/// Chunks, and the text of each stream put together again.
fn write(lines: &[(u16, Vec<u8>, u8)]) -> (Vec<LogChunk>, LogHead, Vec<u8>) {
    let (mut writer, mut chunks, mut whole) = (writer(), Vec::new(), Vec::new());
    let mut time_ms = 1_700_000_000_000;
    for (passed, text, what) in lines {
        time_ms += u64::from(*passed);
        match what % 8 {
            0 => chunks.extend(writer.flush()),
            1 => chunks.extend(writer.dropped(time_ms, 3)),
            _ => {
                chunks.extend(writer.line(time_ms, Stream::Stdout, text, false));
                whole.extend_from_slice(text);
                whole.push(b'\n');
            }
        }
    }
    chunks.extend(writer.flush());
    (chunks, writer.head(), whole)
}

fn lines() -> impl Strategy<Value = Vec<(u16, Vec<u8>, u8)>> {
    let text = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => proptest::collection::vec(any::<u8>(), 15_000..40_000),
        1 => (0usize..20_000).prop_map(|count| "é".repeat(count).into_bytes()),
    ];
    proptest::collection::vec((any::<u16>(), text, any::<u8>()), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_is_lost_torn_or_too_long_and_all_of_it_is_proved(given in lines()) {
        let (chunks, head, whole) = write(&given);
        prop_assert_eq!(head.chunks, chunks.len() as u64);
        let mut joined = Vec::new();
        let mut number = 0;
        for chunk in &chunks {
            let bytes = chunk.encode();
            prop_assert_eq!(&decode_chunk(&bytes).unwrap(), chunk);
            prop_assert!(chunk.body.len() <= LOG_CHUNK_BYTES_MAX as usize);
            number += chunk.header.dropped;
            for line in open(chunk, &GENESIS, &SECRET).unwrap() {
                prop_assert_eq!(line.number, number);
                number += 1;
                joined.extend_from_slice(&line.text);
                if !line.partial {
                    joined.push(b'\n');
                }
            }
        }
        prop_assert_eq!(joined, whole);
        let leaves: Vec<_> = chunks.iter().map(|c| merkle::leaf_hash(&c.encode())).collect();
        let tree = Tree { lease: LeaseId(7), replica: 2, key: KEY, head };
        let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves));
        prop_assert!(report.all_proved());
        let only_dropped = report.gaps.iter().all(|gap| matches!(gap, Gap::Dropped { .. }));
        prop_assert!(only_dropped, "{:?}", report.gaps);
        let dropped: u64 = chunks.iter().map(|c| c.header.dropped).sum();
        let lines: u64 = report.spans.iter().map(|span| span.lines).sum();
        prop_assert_eq!(lines + dropped, number);
    }

    #[test]
    fn characters_stay_whole(count in 20_000usize..40_000, before in 0usize..4) {
        let text = format!("{}{}", "x".repeat(before), "🦀".repeat(count / 4));
        let (chunks, ..) = write(&[(0, text.clone().into_bytes(), 2)]);
        let lines = lines_of(&chunks);
        prop_assert!(lines.len() > 1);
        let pieces: Vec<_> = lines.iter().map(|l| std::str::from_utf8(&l.text).unwrap()).collect();
        prop_assert_eq!(pieces.concat(), text);
    }
}

/// A chunk for a fuzz target, and for who verifies with another program.
#[test]
#[ignore = "writes the seed of the fuzz target"]
fn write_seed() {
    let mut writer = writer();
    let _ = writer.line(1_700_000_000_000, Stream::Stdout, b"hello", false);
    let _ = writer.line(1_700_000_000_020, Stream::Stderr, b"world", false);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/logs_chunk");
    std::fs::write(format!("{folder}/two_lines"), writer.flush().unwrap().encode()).unwrap();
    assert_eq!(writer.dropped(1_700_000_000_030, 4), None);
    std::fs::write(format!("{folder}/dropped"), writer.flush().unwrap().encode()).unwrap();
}

#[test]
fn each_line_is_known_by_its_container_in_every_chunk() {
    let mut writer = writer();
    let mut chunks = Vec::new();
    // The last of the first chunk's goes on in the second one.
    let long = vec![b'x'; LOG_CHUNK_BYTES_MAX as usize];
    for (container, text) in [
        ("", b"a".as_slice()),
        ("db", b"b"),
        ("db", b"c"),
        ("", b"d"),
        ("cache", &long),
        ("", b"e"),
    ] {
        chunks.extend(writer.line_of(container, 1, Stream::Stdout, text, false));
    }
    chunks.extend(writer.flush());
    // A chunk is whole by itself.
    chunks.extend(writer.line_of("db", 2, Stream::Stderr, b"f", false));
    chunks.extend(writer.flush());
    assert_eq!(chunks.len(), 3);
    let read = lines_of(&chunks);
    let named: Vec<_> =
        read.iter().map(|line| (line.container.as_deref(), line.text.first().copied())).collect();
    let (db, cache) = (Some("db"), Some("cache"));
    let text = |byte| Some(byte);
    assert_eq!(
        named,
        [
            (None, text(b'a')),
            (db, text(b'b')),
            (db, text(b'c')),
            (None, text(b'd')),
            (cache, text(b'x')),
            (cache, text(b'x')),
            (None, text(b'e')),
            (db, text(b'f')),
        ]
    );
    let numbers: Vec<u64> = read.iter().map(|line| line.number).collect();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>(), "a change of the container has no number");
    assert!(chunks.iter().all(|chunk| chunk.encode().len() <= CHUNK_ENCODED_BYTES_MAX));
}

#[test]
fn a_name_is_cut_and_nothing_else_is_taken_for_one() {
    let mut writer = writer();
    let name = format!("{}é{}", "n".repeat(62), "n".repeat(100));
    let _ = writer.line_of(&name, 1, Stream::Stdout, b"a", false);
    let lines = lines_of(&[writer.flush().unwrap()]);
    assert_eq!(lines[0].container.as_deref(), Some("n".repeat(62).as_str()));
    let decode = |bytes: &[u8]| crate::line::decode_lines(bytes, 0, 0, 0);
    let change = |after: u8, partial: u8, name: &[u8]| {
        let length = u8::try_from(name.len()).unwrap() << 2;
        [&[after << 2, 3, partial, length], name].concat()
    };
    assert_eq!(decode(&change(0, 0, b"db")), Some(vec![]));
    for bad in [
        change(1, 0, b"db"),
        change(0, 1, b"db"),
        change(0, 0, b"\xff"),
        [vec![0, 3, 0, 1, 1], vec![b'n'; 64]].concat(),
        vec![0, 4, 0, 0],
    ] {
        assert_eq!(decode(&bad), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn lines_of_many_containers_come_out_as_they_went_in(
        lines in proptest::collection::vec((0usize..3, 0usize..6_000), 1..40),
    ) {
        let names = ["", "db", "a-container"];
        let mut writer = writer();
        let mut chunks = Vec::new();
        for (of, length) in &lines {
            let text = vec![b'a' + u8::try_from(*of).unwrap(); *length];
            chunks.extend(writer.line_of(names[*of], 1, Stream::Stdout, &text, false));
        }
        chunks.extend(writer.flush());
        let mut whole: Vec<(String, usize)> = vec![];
        let mut goes_on = false;
        for line in lines_of(&chunks) {
            let name = line.container.unwrap_or_default();
            prop_assert!(line.text.iter().all(|b| names[usize::from(b - b'a')] == name));
            match whole.last_mut().filter(|_| goes_on) {
                Some((of, length)) => {
                    prop_assert_eq!(&*of, &name);
                    *length += line.text.len();
                }
                None => whole.push((name, line.text.len())),
            }
            goes_on = line.partial;
        }
        let expected: Vec<_> =
            lines.iter().map(|(of, length)| (names[*of].to_owned(), *length)).collect();
        prop_assert_eq!(whole, expected);
    }
}
