//! Chunks of logs, as a provider gives them.

use casemate_logs::{
    CHUNK_ENCODED_BYTES_MAX, LogHead, OpenError, Proof, Tree, Verdict, decode_chunk, open, verify,
};
use casemate_primitives::merkle;
use codec::Encode as _;

/// The key that the seeds are sealed to, and their chain.
const SECRET: [u8; 32] = [5; 32];
const GENESIS: [u8; 32] = [7; 32];

/// A chunk: read, verified as the only leaf of its tree, and opened.
pub(crate) fn chunk(data: &[u8]) {
    let Ok(chunk) = decode_chunk(data) else { return };
    assert_eq!(chunk.encode(), data, "another encoding");
    assert!(data.len() <= CHUNK_ENCODED_BYTES_MAX);
    let header = chunk.header;
    let leaf = merkle::leaf_hash(data);
    let head = LogHead { root: leaf, chunks: 1 };
    let tree = Tree { lease: header.lease, replica: header.replica, key: header.key, head };
    let report = verify(&tree, 0, std::slice::from_ref(&chunk), Proof::Leaves(&[leaf]));
    assert_eq!(report.verdicts == [Verdict::Proved], header.index == 0);
    assert_eq!(report.spans.len(), usize::from(header.index == 0));
    match open(&chunk, &GENESIS, &SECRET) {
        Ok(lines) => {
            assert_eq!(lines.len(), header.lines as usize);
            assert!(
                lines.iter().all(|line| (header.from_ms..=header.to_ms).contains(&line.time_ms))
            );
            assert!(lines.is_sorted_by_key(|line| (line.number, line.time_ms)));
        }
        Err(OpenError::Sealed { .. } | OpenError::Content { .. }) => {}
        Err(err) => panic!("{err}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_seed_opens() {
        let chunk = decode_chunk(include_bytes!("../corpus/logs_chunk/two_lines")).unwrap();
        let lines = open(&chunk, &GENESIS, &SECRET).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].text, b"world");
    }
}
