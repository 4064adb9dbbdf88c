use casemate_client::api::{Hex, RecordEntry};
use codec::Encode as _;
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

const GENESIS: [u8; 32] = [7; 32];
const LEASE: LeaseId = LeaseId(1);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> AgentPublicKey {
    key(seed).verifying_key().to_bytes()
}

fn signed(seed: u8, record: UsageRecord) -> SignedRecord {
    let signature = key(seed).sign(&record.signing_payload(&GENESIS)).to_bytes();
    let entry = RecordEntry {
        key: Hex(public(seed)),
        record: Hex(record.encode()),
        signature: Hex(signature),
    };
    SignedRecord::check(&entry, LEASE, &GENESIS).unwrap()
}

fn record(replica: u16, sequence: u64, at: u64, previous: [u8; 32]) -> UsageRecord {
    UsageRecord {
        lease: LEASE,
        replica,
        sequence,
        previous,
        from: at,
        to: at,
        ..UsageRecord::default()
    }
}

#[test]
fn what_an_agent_goes_on_from_is_told_and_so_is_where_it_does_not() {
    let first = record(0, 1, 10, [0; 32]);
    let last = record(0, 2, 20, first.hash());
    let kept = [signed(1, first), signed(1, last), signed(9, record(1, 1, 10, [0; 32]))];
    let of = |seed, record: UsageRecord| follows(&public(seed), &record, &kept);
    assert_eq!(of(1, first), Some(Follows::Start));
    assert_eq!(of(1, last), None, "it is not the agent's first");
    // After a restart: as it should be, from what is not held, and from nothing.
    let named = format!("0x{}", hex::encode(public(1)));
    assert_eq!(of(2, record(0, 1, 20, last.hash())), Some(Follows::Agent(named)));
    assert_eq!(of(2, record(0, 1, 20, [5; 32])), Some(Follows::Unknown));
    assert_eq!(of(2, record(0, 1, 20, [0; 32])), Some(Follows::Nothing));
    // Another replica's is another chain.
    assert_eq!(of(9, record(1, 1, 10, [0; 32])), Some(Follows::Start));
    assert_eq!(of(9, record(1, 1, 20, last.hash())), Some(Follows::Unknown));
}
