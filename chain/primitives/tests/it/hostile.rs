//! Bytes and proofs of somebody who is not trusted: none of them panics, none has two readings.

use casemate_primitives::{
    merkle, Amendment, Hash256, LogChunk, LogChunkHeader, LogHead, PodState, UsageRecord,
};
use codec::{Decode, DecodeAll, Encode, MaxEncodedLen};
use proptest::{collection::vec, prelude::*};

/// Reads any bytes: what is read has one encoding, and reading stops where it says.
fn read<T: Decode + Encode + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = T::decode(&mut rest).ok();
    if let Some(value) = &value {
        let used = &bytes[..bytes.len() - rest.len()];
        assert_eq!(value.encode(), used, "two encodings of {value:?}");
        assert_eq!(T::decode_all(&mut &bytes[..]).is_ok(), rest.is_empty());
    }
    value
}

fn hash() -> impl Strategy<Value = Hash256> {
    any::<Hash256>()
}

/// A record out of any bytes that are long enough for one.
fn record() -> impl Strategy<Value = UsageRecord> {
    let length = UsageRecord::default().encode().len();
    let state = prop_oneof![
        Just(PodState::Running),
        Just(PodState::Sleeping),
        any::<u8>().prop_map(|code| PodState::Ended { code }),
    ];
    (vec(any::<u8>(), length), state).prop_map(|(mut bytes, state)| {
        // The one byte that has not 256 meanings.
        bytes[STATE_AT] = 0;
        UsageRecord { state, ..UsageRecord::decode_all(&mut bytes.as_slice()).unwrap() }
    })
}

/// Offset of `state` in a record.
const STATE_AT: usize = 8 + 2 + 8 + 32 + 8 + 8;

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..600)) {
        read::<UsageRecord>(&bytes);
        read::<Amendment>(&bytes);
        read::<LogChunk>(&bytes);
        read::<LogChunkHeader>(&bytes);
        read::<LogHead>(&bytes);
    }

    #[test]
    fn a_length_that_is_a_lie_takes_no_memory(length in any::<u32>(), tail in vec(any::<u8>(), 0..64)) {
        // A chunk whose body says it has so many bytes.
        let header = vec![0; LogChunkHeader::max_encoded_len()];
        let bytes = [header, codec::Compact(length).encode(), tail].concat();
        if let Some(chunk) = read::<LogChunk>(&bytes) {
            prop_assert!(chunk.body.len() <= bytes.len());
        }
    }

    #[test]
    fn cut_off_and_lengthened_records_are_none(record in record(), cut in any::<prop::sample::Index>(), more in 1usize..9) {
        let bytes = record.encode();
        prop_assert!(UsageRecord::decode_all(&mut &bytes[..cut.index(bytes.len())]).is_err());
        let longer = [bytes.as_slice(), &[0; 8][..more.min(8)]].concat();
        prop_assert!(UsageRecord::decode_all(&mut longer.as_slice()).is_err());
    }

    /// Also with sums and times at their ends: the order never matters, and nothing overflows.
    #[test]
    fn any_two_records_are_compared_without_a_panic_and_alike_both_ways(a in record(), b in record(), same in any::<bool>()) {
        let b = if same { UsageRecord { lease: a.lease, replica: a.replica, ..b } } else { b };
        prop_assert_eq!(a.contradiction(&b), b.contradiction(&a));
        prop_assert_eq!(a.contradicts(&a), false);
        prop_assert!(same || a.lease == b.lease || !a.contradicts(&b));
        let _ = (a.is_followed_by(&b), b.is_followed_by(&a));
    }

    #[test]
    fn a_record_and_the_one_that_follows_it_never_contradict_each_other(a in record(), more in record()) {
        let b = UsageRecord {
            lease: a.lease,
            replica: a.replica,
            sequence: a.sequence.wrapping_add(1),
            previous: a.hash(),
            from: a.to,
            to: a.to.max(more.to),
            total: a.total,
            actual: a.actual,
            running_seconds: a.running_seconds,
            log: if more.log.chunks > a.log.chunks { more.log } else { a.log },
            ..more
        };
        let is_last = a.state.has_ended() || a.sequence == u64::MAX;
        prop_assert!(is_last || a.is_followed_by(&b));
        prop_assert!(is_last || !a.contradicts(&b));
        prop_assert!(!a.state.has_ended() || a.contradicts(&b));
    }

    #[test]
    fn any_path_is_walked_without_a_panic(
        leaf in hash(), index in any::<u64>(), size in any::<u64>(), path in vec(hash(), 0..130),
    ) {
        let walked = merkle::proved_root(&leaf, index, size, &path);
        prop_assert!(walked.is_none() || index < size);
        prop_assert!(walked.is_none() || path.len() <= 64);
        // As many hashes as a tree of this size has above this leaf, or nothing.
        for less in 0..path.len() {
            let shorter = merkle::proved_root(&leaf, index, size, &path[..less]);
            prop_assert!(walked.is_none() || shorter.is_none());
        }
        let _ = merkle::inclusion_path(&path, index);
    }
}

#[test]
fn the_largest_trees_have_paths() {
    for size in [1 << 63, u64::MAX] {
        for index in [0, size / 2, size - 1] {
            let lengths: Vec<usize> = (0..=64)
                .filter(|length| {
                    merkle::proved_root(&[1; 32], index, size, &vec![[2; 32]; *length]).is_some()
                })
                .collect();
            assert_eq!(lengths.len(), 1, "one length of path for leaf {index} of {size}");
        }
    }
}
