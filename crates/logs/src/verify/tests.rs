use proptest::prelude::*;

use super::*;
use crate::{ChunkWriter, LogHead, Stream, public_key};

const KEY: AgentPublicKey = [3; 32];

/// A log of `count` chunks with two lines each; five lines were dropped before each in `dropped`.
fn log(count: u64, dropped: &[u64]) -> (Vec<LogChunk>, Tree, Vec<Hash256>) {
    let recipient = public_key(&[5; 32]).unwrap();
    let mut writer = ChunkWriter::new([7; 32], LeaseId(7), 2, KEY, recipient).unwrap();
    let mut chunks = Vec::new();
    for index in 0..count {
        if dropped.contains(&index) {
            chunks.extend(writer.dropped(index * 100, 5));
        }
        chunks.extend(writer.line(index * 100, Stream::Stdout, b"a", false));
        chunks.extend(writer.line(index * 100 + 50, Stream::Stdout, b"b", false));
        chunks.extend(writer.flush());
    }
    let leaves: Vec<_> = chunks.iter().map(|c| merkle::leaf_hash(&c.encode())).collect();
    let tree = Tree { lease: LeaseId(7), replica: 2, key: KEY, head: writer.head() };
    (chunks, tree, leaves)
}

fn paths(leaves: &[Hash256], chunks: &[LogChunk]) -> Vec<Vec<Hash256>> {
    let path = |c: &LogChunk| merkle::inclusion_path(leaves, c.header.index).unwrap_or_default();
    chunks.iter().map(path).collect()
}

#[test]
fn a_whole_log_is_one_span() {
    let (chunks, tree, leaves) = log(5, &[]);
    let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves));
    assert!(report.is_complete() && report.all_proved());
    let span = Span { first_chunk: 0, chunks: 5, first_line: 0, lines: 10, from_ms: 0, to_ms: 450 };
    assert_eq!(report.spans, [span]);
    assert_eq!(verify(&tree, 0, &chunks, Proof::Paths(&paths(&leaves, &chunks))), report);
}

#[test]
fn a_log_without_output_is_complete() {
    let (chunks, tree, leaves) = log(0, &[]);
    let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves));
    assert!(report.is_complete() && report.spans.is_empty());
}

#[test]
fn missing_chunks_and_their_lines_are_named() {
    let (mut chunks, tree, leaves) = log(8, &[3]);
    // Lines: 0-1 | 2-3 | 4-5 | 6-10 dropped, 11-12 | 13-14 | ...
    chunks.remove(7);
    chunks.drain(2..4);
    let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves));
    assert!(report.all_proved());
    assert_eq!(
        report.gaps,
        [
            Gap::Chunks { first: 2, count: 2, first_line: Some(4), lines: Some(9) },
            Gap::Chunks { first: 7, count: 1, first_line: Some(19), lines: None },
        ]
    );
    let spans: Vec<_> =
        report.spans.iter().map(|s| (s.first_chunk, s.chunks, s.first_line)).collect();
    assert_eq!(spans, [(0, 2, 0), (4, 3, 13)]);
    assert_eq!((report.spans[1].from_ms, report.spans[1].to_ms), (400, 650));
}

#[test]
fn nothing_given_is_all_missing() {
    let (_, tree, leaves) = log(3, &[]);
    let report = verify(&tree, 0, &[], Proof::Leaves(&leaves));
    let gap = Gap::Chunks { first: 0, count: 3, first_line: Some(0), lines: None };
    assert_eq!(report.gaps, [gap]);
}

#[test]
fn dropped_lines_are_a_gap_even_where_all_chunks_are_there() {
    let (chunks, tree, leaves) = log(3, &[0, 2]);
    let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves));
    assert_eq!(
        report.gaps,
        [
            Gap::Dropped { index: 0, first_line: 0, lines: 5 },
            Gap::Dropped { index: 2, first_line: 9, lines: 5 },
        ]
    );
    assert_eq!(report.spans.len(), 2);
}

#[test]
fn from_a_later_chunk_on_only_that_counts() {
    let (chunks, tree, leaves) = log(6, &[]);
    let report = verify(&tree, 4, &chunks[4..], Proof::Leaves(&leaves));
    assert!(report.is_complete());
    assert_eq!(report.spans[0].first_line, 8);
    let report = verify(&tree, 4, &chunks[5..], Proof::Leaves(&leaves));
    let gap = Gap::Chunks { first: 4, count: 1, first_line: None, lines: None };
    assert_eq!(report.gaps, [gap]);
}

#[test]
fn what_is_newer_than_the_head_is_not_proved() {
    let (chunks, tree, leaves) = log(5, &[]);
    let head = LogHead { root: merkle::root(&leaves[..3]), chunks: 3 };
    let report = verify(&Tree { head, ..tree }, 0, &chunks, Proof::Leaves(&leaves));
    assert_eq!(report.verdicts[2..], [Verdict::Proved, Verdict::Newer, Verdict::Newer]);
    assert!(report.is_complete());
    assert_eq!(report.spans[0].chunks, 3);
}

#[test]
fn chunks_of_another_log_are_foreign() {
    let (chunks, tree, leaves) = log(2, &[]);
    for other in [
        Tree { lease: LeaseId(8), ..tree },
        Tree { replica: 1, ..tree },
        Tree { key: [4; 32], ..tree },
    ] {
        let report = verify(&other, 0, &chunks, Proof::Leaves(&leaves));
        assert_eq!(report.verdicts, [Verdict::Foreign; 2]);
        assert!(!report.is_complete() && report.spans.is_empty());
    }
}

#[test]
fn leaves_that_are_not_the_heads_prove_nothing() {
    let (mut chunks, tree, mut leaves) = log(4, &[]);
    // The provider changes a chunk and gives the leaf that goes with it.
    chunks[1].body[40] ^= 1;
    leaves[1] = merkle::leaf_hash(&chunks[1].encode());
    let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves));
    assert_eq!(report.verdicts, [Verdict::NotProved; 4]);
    let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves[..3]));
    assert_eq!(report.verdicts, [Verdict::NotProved; 4]);
}

#[test]
fn numbers_that_do_not_go_on_are_told() {
    let (mut chunks, mut tree, _) = log(3, &[]);
    // An agent that lies about its own numbers: nobody else can make a tree of these.
    chunks[2].header.first_line = 9;
    let leaves: Vec<_> = chunks.iter().map(|c| merkle::leaf_hash(&c.encode())).collect();
    tree.head.root = merkle::root(&leaves);
    let report = verify(&tree, 0, &chunks, Proof::Leaves(&leaves));
    assert_eq!(report.gaps, [Gap::Inconsistent { index: 2 }]);
    assert_eq!(report.spans.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_change_anywhere_is_seen_and_a_missing_chunk_is_a_gap(
        count in 1u64..24,
        at in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        bit in 0u8..8,
        by_paths in any::<bool>(),
    ) {
        let (chunks, tree, leaves) = log(count, &[count / 2]);
        let at = at.index(chunks.len());
        let all_paths = paths(&leaves, &chunks);
        let check = |chunks: &[LogChunk], paths: &[Vec<Hash256>]| {
            let proof = if by_paths { Proof::Paths(paths) } else { Proof::Leaves(&leaves) };
            verify(&tree, 0, chunks, proof)
        };
        let whole = check(&chunks, &all_paths);
        prop_assert!(whole.all_proved());

        let mut bytes = chunks[at].encode();
        let byte = byte.index(bytes.len());
        bytes[byte] ^= 1 << bit;
        if let Ok(changed) = crate::decode_chunk(&bytes) {
            let mut with = chunks.clone();
            with[at] = changed;
            let report = check(&with, &all_paths);
            prop_assert_ne!(report.verdicts[at], Verdict::Proved);
            let missing = report.gaps.iter().any(|gap| matches!(gap, Gap::Chunks { .. }));
            prop_assert!(missing);
        }

        let (mut fewer, mut fewer_paths) = (chunks.clone(), all_paths.clone());
        fewer.remove(at);
        fewer_paths.remove(at);
        let report = check(&fewer, &fewer_paths);
        let named = report.gaps.iter().any(|gap| {
            matches!(gap, Gap::Chunks { first, count: 1, .. } if *first == at as u64)
        });
        prop_assert!(named);

        // The order of what is given, or giving it twice, changes nothing.
        let (mut turned, mut turned_paths) = (chunks.clone(), all_paths.clone());
        turned.reverse();
        turned_paths.reverse();
        turned.push(chunks[at].clone());
        turned_paths.push(all_paths[at].clone());
        let report = check(&turned, &turned_paths);
        prop_assert!(report.all_proved());
        prop_assert_eq!(report.spans, whole.spans);
        prop_assert_eq!(report.gaps, whole.gaps);
    }
}
