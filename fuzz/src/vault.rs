//! What publishers, replicas and providers bring to a vault.
//!
//! Most of it is sealed, and a fuzzer would never find a seal: what lies behind one is decoded here.

use casemate_vault::{
    entry::{ENTRY_BYTES_MAX, SignedEntry},
    wire::{Command, Reply, Snapshot},
};
use codec::{DecodeAll as _, Encode as _};

pub(crate) fn entry(bytes: &[u8]) {
    let Ok(entry) = SignedEntry::from_bytes(bytes) else {
        let is_long = bytes.len() > ENTRY_BYTES_MAX;
        assert!(is_long || SignedEntry::decode_all(&mut &*bytes).is_err());
        return;
    };
    let again = entry.encode();
    assert_eq!(SignedEntry::from_bytes(&again).ok(), Some(entry));
}

pub(crate) fn message(bytes: &[u8]) {
    if let Ok(command) = Command::decode_all(&mut &*bytes) {
        assert_eq!(Command::decode_all(&mut command.encode().as_slice()).ok(), Some(command));
    }
    if let Ok(reply) = Reply::decode_all(&mut &*bytes) {
        assert_eq!(Reply::decode_all(&mut reply.encode().as_slice()).ok(), Some(reply));
    }
    if let Ok(snapshot) = Snapshot::decode_all(&mut &*bytes) {
        assert_eq!(Snapshot::decode_all(&mut snapshot.encode().as_slice()).ok(), Some(snapshot));
    }
}
