use casemate_primitives::{LogHead, Quantities};
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

const GENESIS: Hash256 = [7; 32];

fn signed(seed: u8, record: UsageRecord) -> SignedRecord {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let signature = key.sign(&record.signing_payload(&GENESIS)).to_bytes();
    let entry = RecordEntry {
        key: Hex(key.verifying_key().to_bytes()),
        record: Hex(codec::Encode::encode(&record)),
        signature: Hex(signature),
    };
    SignedRecord::check(&entry, record.lease, &GENESIS).unwrap()
}

/// A good chain of records.
fn chain(length: u64) -> Vec<UsageRecord> {
    let mut records: Vec<UsageRecord> = Vec::new();
    for sequence in 1..=length {
        let record = UsageRecord {
            lease: LeaseId(1),
            sequence,
            previous: records.last().map(UsageRecord::hash).unwrap_or_default(),
            from: sequence * 10,
            to: sequence * 10 + 10,
            running_seconds: sequence * 10,
            total: Quantities { gpu_seconds: sequence, ..Quantities::default() },
            actual: Quantities { ingress_mib: sequence, ..Quantities::default() },
            log: LogHead { root: [1; 32], chunks: sequence },
            ..UsageRecord::default()
        };
        records.push(record);
    }
    records
}

#[test]
fn only_what_the_agent_has_signed_for_this_chain_and_lease_is_a_record() {
    let [record] = chain(1).try_into().unwrap();
    let good = signed(1, record).to_entry();
    assert_eq!(SignedRecord::check(&good, LeaseId(1), &GENESIS).unwrap().to_entry(), good);
    let check = |entry: &RecordEntry| SignedRecord::check(entry, LeaseId(1), &GENESIS).unwrap_err();
    let mut bad = good.clone();
    bad.signature.0[5] ^= 1;
    assert_eq!(check(&bad), RecordError::Signature);
    bad = good.clone();
    bad.key = signed(2, record).to_entry().key;
    assert_eq!(check(&bad), RecordError::Signature);
    bad = good.clone();
    bad.key = Hex([0; 32]);
    assert_eq!(check(&bad), RecordError::Signature);
    bad = good.clone();
    bad.record.0.push(0);
    assert_eq!(check(&bad), RecordError::Malformed);
    let other = SignedRecord::check(&good, LeaseId(2), &GENESIS).unwrap_err();
    assert_eq!(other, RecordError::OtherLease(LeaseId(1)));
    let chain = SignedRecord::check(&good, LeaseId(1), &[8; 32]).unwrap_err();
    assert_eq!(chain, RecordError::Signature);
}

#[test]
fn a_good_chain_has_no_contradiction_whatever_is_left_out_of_it() {
    let all: Vec<_> = chain(6).into_iter().map(|record| signed(1, record)).collect();
    for left in 0u8..64 {
        let some: Vec<_> =
            (0..6).filter(|at| left & 1 << at != 0).map(|at| all[at]).rev().collect();
        assert_eq!(first_contradiction(&some), None, "{left:b}");
    }
}

#[test]
fn each_contradiction_is_found_in_any_order_and_has_its_name() {
    let good = chain(4);
    let change = |at: usize, change: fn(&mut UsageRecord)| {
        let mut bad = good[at];
        change(&mut bad);
        bad
    };
    for (bad, why) in [
        (change(2, |r| r.evidence = [1; 32]), Contradiction::Forked),
        (change(3, |r| (r.sequence, r.from) = (9, 39)), Contradiction::Span),
        (change(3, |r| (r.sequence, r.from, r.to) = (9, 60, 50)), Contradiction::Span),
        (change(3, |r| (r.sequence, r.total.gpu_seconds) = (9, 2)), Contradiction::Total),
        (change(3, |r| (r.sequence, r.actual.ingress_mib) = (9, 2)), Contradiction::Total),
        (change(3, |r| (r.sequence, r.running_seconds) = (9, 2)), Contradiction::Total),
        (change(3, |r| (r.sequence, r.log.chunks) = (9, 2)), Contradiction::Log),
        (
            change(3, |r| (r.sequence, r.log) = (9, LogHead { root: [2; 32], chunks: 3 })),
            Contradiction::Log,
        ),
        (change(3, |r| r.previous = [0; 32]), Contradiction::Link),
        (change(3, |r| r.from = 41), Contradiction::Link),
    ] {
        let records: Vec<_> =
            good[..3].iter().chain([&bad]).map(|record| signed(1, *record)).collect();
        let (first, second, found) = first_contradiction(&records).unwrap();
        assert_eq!(found, why, "{bad:?}");
        assert_eq!((first.record(), second.record()), (&good[2], &bad));
        let turned: Vec<_> = records.into_iter().rev().collect();
        assert_eq!(first_contradiction(&turned).unwrap().2, why);
        // Another agent's records are another chain.
        let mut others: Vec<_> = good[..3].iter().map(|record| signed(1, *record)).collect();
        others.push(signed(2, bad));
        assert_eq!(first_contradiction(&others), None);
    }
}
