//! Test vectors of records, proofs and contradictions, for implementations in other languages:
//! `docs/protocol/vectors/usage-record.json`, read by `tests/vectors/check.py`.

mod made;
mod shown;

use casemate_primitives::{
    merkle, AgentSignature, Contradiction, Hash256, LeaseId, LogChunk, UsageRecord,
};
use codec::{DecodeAll, Encode};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use made::{chain_of_records, extreme_records, pairs, GENESIS, MANIFEST, OTHER_GENESIS};
use shown::*;

/// The files are what this code says: `CASEMATE_BLESS=1 cargo test -p casemate-primitives` writes
/// them anew.
#[test]
fn the_test_vectors_are_what_this_code_says() {
    is_file("usage-record.json", &records_document());
    is_file("merkle.json", &merkle_document());
}

fn is_file(name: &str, document: &impl serde::Serialize) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol/vectors/");
    let path = format!("{folder}{name}");
    let mut now = serde_json::to_string_pretty(document).unwrap();
    now.push('\n');
    if std::env::var_os("CASEMATE_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &now).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == now,
        "docs/protocol/vectors/{name} is not what the code says. These bytes are what agents, \
         providers and chains agree on: if they are meant to change, change `SIGNING_CONTEXT` too, \
         then run `CASEMATE_BLESS=1 cargo test -p casemate-primitives`"
    );
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn sign(key: &SigningKey, payload: &[u8]) -> AgentSignature {
    key.sign(payload).to_bytes()
}

fn verifies(key: &Hash256, payload: &[u8], signature: &AgentSignature) -> bool {
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(payload, &Signature::from_bytes(signature)).is_ok())
}

fn merkle_document() -> MerkleDocument {
    MerkleDocument {
        about: "Test vectors of docs/protocol/usage-record.md (trees). Bytes are hex, integers decimal \
                text. Written by chain/primitives, checked by tests/vectors/check.py.",
        trees: [0, 1, 2, 3, 5, 8, 13].map(tree).into(),
        refused_proofs: refused_proofs(),
    }
}

fn records_document() -> RecordsDocument {
    let signer = key(1);
    let mut records: Vec<SignedShown> = Vec::new();
    let named = chain_of_records()
        .into_iter()
        .map(|record| (format!("record {} of a chain", record.sequence), record))
        .chain(extreme_records());
    for (name, record) in named {
        let payload = record.signing_payload(&GENESIS);
        let signature = sign(&signer, &payload);
        assert!(verifies(&signer.verifying_key().to_bytes(), &payload, &signature));
        assert_eq!(UsageRecord::decode_all(&mut record.encode().as_slice()).unwrap(), record);
        records.push(SignedShown {
            name,
            fields: Fields::of(&record),
            encoding: hex::encode(record.encode()),
            hash: hex::encode(record.hash()),
            signing_payload: hex::encode(&payload),
            signature: hex::encode(signature),
        });
    }
    RecordsDocument {
        about:
            "Test vectors of docs/protocol/usage-record.md. Bytes are hex, integers decimal text. \
                Written by chain/primitives, checked by tests/vectors/check.py.",
        signing_context: String::from_utf8(UsageRecord::SIGNING_CONTEXT.to_vec()).unwrap(),
        genesis_hash: hex::encode(GENESIS),
        other_genesis_hash: hex::encode(OTHER_GENESIS),
        manifest_hash: hex::encode(MANIFEST),
        seed: hex::encode(signer.to_bytes()),
        other_seed: hex::encode(key(2).to_bytes()),
        key: hex::encode(signer.verifying_key().to_bytes()),
        records,
        refused: refused(&signer),
        pairs: pairs()
            .into_iter()
            .map(|(name, a, b, says)| {
                assert_eq!(a.contradiction(&b), says, "{name}");
                assert_eq!(b.contradiction(&a), says, "{name}, the other way round");
                Pair {
                    name,
                    a: Half::of(&signer, &a),
                    b: Half::of(&signer, &b),
                    b_follows_a: a.is_followed_by(&b),
                    contradiction: says.map(name_of),
                }
            })
            .collect(),
        log: log(&signer),
        batch: batch(&signer),
    }
}

fn name_of(contradiction: Contradiction) -> &'static str {
    match contradiction {
        Contradiction::Forked => "forked",
        Contradiction::AfterEnd => "after the end",
        Contradiction::Span => "span",
        Contradiction::Total => "total",
        Contradiction::Log => "log",
        Contradiction::Link => "link",
        _ => panic!("a contradiction without a name here"),
    }
}

/// What is no signed record, each with its reason.
fn refused(signer: &SigningKey) -> Vec<Refused> {
    let record = chain_of_records()[1];
    let (bytes, payload) = (record.encode(), record.signing_payload(&GENESIS));
    let (public, signature) = (signer.verifying_key().to_bytes(), sign(signer, &payload));
    let mut other_state = bytes.clone();
    other_state[66] = 3;
    let other_lease = UsageRecord { lease: LeaseId(record.lease.0 + 1), ..record };
    let old_payload = (b"casemate/usage-record/v1".as_slice(), GENESIS, &record).encode();
    // The first 32 bytes, as a number, that are no point of the curve.
    let no_key = (0u8..)
        .map(|y| [&[y][..], &[0; 31]].concat().try_into().unwrap())
        .find(|bytes: &Hash256| VerifyingKey::from_bytes(bytes).is_err())
        .unwrap();
    let by = |payload: &[u8]| sign(signer, payload);
    let cases = [
        ("truncated", bytes[..bytes.len() - 1].to_vec(), public, signature),
        ("one byte too long", [bytes.as_slice(), &[0]].concat(), public, signature),
        ("unknown state", other_state, public, signature),
        ("signed for another lease", other_lease.encode(), public, signature),
        (
            "signed for another chain",
            bytes.clone(),
            public,
            by(&record.signing_payload(&OTHER_GENESIS)),
        ),
        ("signed without context", bytes.clone(), public, by(&bytes)),
        ("signed in the context of version 1", bytes.clone(), public, by(&old_payload)),
        ("signed by another key", bytes.clone(), public, sign(&key(2), &payload)),
        ("key is no point", bytes.clone(), no_key, signature),
        ("s not below the group order", bytes, public, plus_order(signature)),
    ];
    let refused = cases.map(|(why, encoding, key, signature)| {
        let read = UsageRecord::decode_all(&mut encoding.as_slice());
        let good = read.is_ok_and(|r| verifies(&key, &r.signing_payload(&GENESIS), &signature));
        assert!(!good, "{why}");
        Refused {
            why,
            encoding: hex::encode(encoding),
            key: hex::encode(key),
            signature: hex::encode(signature),
        }
    });
    refused.into()
}

/// The same signature with the group's order added to its scalar: the equation holds, and RFC 8032
/// (section 5.1.7) refuses it all the same.
fn plus_order(mut signature: AgentSignature) -> AgentSignature {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    signature
}

/// Two chunks of a log, and its head after each.
fn log(signer: &SigningKey) -> Vec<ChunkShown> {
    let mut tree = merkle::Frontier::default();
    made::chunks(signer.verifying_key().to_bytes())
        .iter()
        .map(|chunk: &LogChunk| {
            let leaf = merkle::leaf_hash(&chunk.encode());
            tree.push(leaf);
            ChunkShown::of(chunk, &leaf, &tree.root())
        })
        .collect()
}

/// The records of the chain with their signatures, as leaves of a batch of claims.
fn batch(signer: &SigningKey) -> Vec<Leaf> {
    let mut tree = merkle::Frontier::default();
    chain_of_records()
        .iter()
        .map(|record| {
            let signature = sign(signer, &record.signing_payload(&GENESIS));
            let content = [record.encode().as_slice(), &signature].concat();
            let hash = merkle::leaf_hash(&content);
            tree.push(hash);
            Leaf {
                content: hex::encode(content),
                hash: hex::encode(hash),
                root_so_far: hex::encode(tree.root()),
            }
        })
        .collect()
}

fn leaves(count: u64) -> (Vec<Vec<u8>>, Vec<Hash256>) {
    // The shortest and the longest leaf, too: nothing, and more than one block of the hash.
    let contents: Vec<_> = (0..count).map(|i| vec![i as u8; (i * i) as usize]).collect();
    let hashes = contents.iter().map(|content| merkle::leaf_hash(content)).collect();
    (contents, hashes)
}

fn tree(count: u64) -> TreeShown {
    let (contents, hashes) = leaves(count);
    let root = merkle::root(&hashes);
    let inclusion = (0..count)
        .map(|index| {
            let path = merkle::inclusion_path(&hashes, index).unwrap();
            let leaf = &hashes[index as usize];
            assert_eq!(merkle::proved_root(leaf, index, count, &path), Some(root));
            path.iter().map(hex::encode).collect()
        })
        .collect();
    TreeShown {
        leaves: contents.iter().map(hex::encode).collect(),
        leaf_hashes: hashes.iter().map(hex::encode).collect(),
        root: hex::encode(root),
        inclusion,
        consistency: (1..count)
            .map(|size| Consistency {
                size: size.to_string(),
                root: hex::encode(merkle::root(&hashes[..size as usize])),
                path: made::consistency(&hashes, size as usize).iter().map(hex::encode).collect(),
            })
            .collect(),
    }
}

/// Proofs that prove nothing, each out of the good one of leaf 4 of 13.
fn refused_proofs() -> Vec<RefusedProof> {
    let (_, hashes) = leaves(13);
    let root = merkle::root(&hashes);
    let path = merkle::inclusion_path(&hashes, 4).unwrap();
    let leaf = hashes[4];
    let mut swapped = path.clone();
    swapped.swap(0, 1);
    let longer = [path.as_slice(), &[root]].concat();
    // Without the prefixes this would be the node over leaves 4 and 5.
    let node = merkle::leaf_hash(&[hashes[4], hashes[5]].concat());
    [
        ("path too short", leaf, 4, 13, path[..3].to_vec()),
        ("path too long", leaf, 4, 13, longer),
        ("path in another order", leaf, 4, 13, swapped),
        ("another index", leaf, 5, 13, path.clone()),
        ("index not below the size", leaf, 13, 13, path.clone()),
        ("smaller tree", leaf, 4, 7, path.clone()),
        ("another leaf", hashes[5], 4, 13, path.clone()),
        ("a node for a leaf", node, 2, 7, path[1..].to_vec()),
    ]
    .into_iter()
    .map(|(why, leaf, index, size, path)| {
        let proved = merkle::proved_root(&leaf, index, size, &path);
        assert_ne!(proved, Some(root), "{why}");
        RefusedProof {
            why,
            leaf_hash: hex::encode(leaf),
            index: index.to_string(),
            size: size.to_string(),
            path: path.iter().map(hex::encode).collect(),
            root: hex::encode(root),
        }
    })
    .collect()
}
