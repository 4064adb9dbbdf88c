use codec::Encode as _;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{LogHead, Proof, Tree, open, public_key, seal, verify};

const GENESIS: [u8; 32] = [7; 32];
const SECRET: [u8; 32] = [5; 32];

/// Any header, with small numbers as often as large ones: those get further.
fn header() -> impl Strategy<Value = LogChunkHeader> {
    let number = || prop_oneof![0u64..4, any::<u64>()];
    let lines = prop_oneof![0u32..4, any::<u32>()];
    (number(), any::<u16>(), number(), (number(), number()), number(), lines, number()).prop_map(
        |(lease, replica, index, (from_ms, to_ms), first_line, lines, dropped)| LogChunkHeader {
            lease: casemate_primitives::LeaseId(lease),
            replica,
            key: [9; 32],
            index,
            from_ms,
            to_ms,
            first_line,
            lines,
            dropped,
        },
    )
}

fn chunk() -> impl Strategy<Value = LogChunk> {
    (header(), vec(any::<u8>(), 0..120)).prop_map(|(header, body)| LogChunk { header, body })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(chunk) = decode_chunk(&bytes) {
            prop_assert_eq!(chunk.encode(), bytes);
        }
    }

    #[test]
    fn any_header_is_read_or_refused_and_what_is_read_can_be_true(chunk in chunk()) {
        let bytes = chunk.encode();
        match decode_chunk(&bytes) {
            Ok(read) => {
                let LogChunkHeader { from_ms, to_ms, first_line, lines, dropped, .. } = read.header;
                prop_assert!(from_ms <= to_ms && dropped <= first_line);
                prop_assert!(first_line.checked_add(lines.into()).is_some());
                prop_assert!(lines as usize <= read.body.len());
            }
            Err(ChunkError::Header(_)) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
        let _ = open(&chunk, &GENESIS, &SECRET);
    }

    /// The agent's own seal, over what no agent writes.
    #[test]
    fn any_sealed_bytes_are_opened_or_refused(header in header(), plain in vec(any::<u8>(), 0..80)) {
        let recipient = seal::recipient(&public_key(&SECRET).unwrap()).unwrap();
        let body = seal::seal(&recipient, &GENESIS, &header, &plain).unwrap();
        if let Ok(lines) = open(&LogChunk { header, body }, &GENESIS, &SECRET) {
            prop_assert_eq!(lines.len(), header.lines as usize);
            prop_assert!(lines.iter().all(|line| line.time_ms <= header.to_ms));
        }
    }

    #[test]
    fn any_chunks_are_judged_against_any_head_without_a_panic(
        chunks in vec(chunk(), 0..6), root in any::<[u8; 32]>(), size in prop_oneof![0u64..6, any::<u64>()],
        since in prop_oneof![0u64..6, any::<u64>()], paths in vec(vec(any::<[u8; 32]>(), 0..70), 0..6),
        leaves in vec(any::<[u8; 32]>(), 0..6),
    ) {
        let head = LogHead { root, chunks: size };
        let lease = chunks.first().map_or_else(Default::default, |chunk| chunk.header.lease);
        let replica = chunks.first().map_or(0, |chunk| chunk.header.replica);
        let tree = Tree { lease, replica, key: [9; 32], head };
        for proof in [Proof::Paths(&paths), Proof::Leaves(&leaves)] {
            let report = verify(&tree, since, &chunks, proof);
            prop_assert_eq!(report.verdicts.len(), chunks.len());
            // Nothing is under a head that nobody has made.
            prop_assert!(report.spans.is_empty());
            prop_assert_eq!(report.is_complete(), since >= size);
        }
    }
}
