use proptest::prelude::*;

use super::*;
use crate::{Master, entry::Entry};

fn keys() -> Keys {
    Master::read(&[7; 32]).unwrap().keys()
}

#[test]
fn an_answer_belongs_to_its_command_and_to_this_vault() {
    let (id, sealed) = seal_command(&keys(), &Command::List).unwrap();
    assert_eq!(open_command(&keys(), &sealed).unwrap(), (id, Command::List));
    let other = Master::generate().unwrap().keys();
    assert!(open_command(&other, &sealed).is_err());
    let reply = Reply::Taken(3);
    let sealed_reply = seal_reply(&keys(), &id, &reply).unwrap();
    assert_eq!(open_reply(&keys(), &id, &sealed_reply).unwrap(), reply);
    let (later, _) = seal_command(&keys(), &Command::List).unwrap();
    assert!(open_reply(&keys(), &later, &sealed_reply).is_err());
    assert!(open_reply(&other, &id, &sealed_reply).is_err());
    // One kind of message is none of another kind.
    assert!(open_command(&keys(), &sealed_reply).is_err());
    assert!(Snapshot::open(&keys(), &sealed).is_err());
}

#[test]
fn a_snapshot_takes_what_a_vault_would_take_and_no_more() {
    let publisher = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[6; 32]);
    let secret = |version, name: &str, length| {
        Entry::secret(&keys(), version, name, &vec![1; length]).unwrap()
    };
    let mut snapshot = Snapshot::default();
    let mut add = |entries: &[SignedEntry]| {
        let before = snapshot.clone();
        let result = snapshot.add(&keys(), &publisher.verifying_key(), entries);
        if result.is_err() {
            assert_eq!(snapshot, before);
        }
        result.map(|()| snapshot.entries.clone())
    };
    let first = secret(2, "a", 10).sign(&publisher);
    assert_eq!(add(std::slice::from_ref(&first)).unwrap(), [first.clone()]);
    // One that is older, and one that is there.
    assert_eq!(
        add(&[secret(1, "a", 20).sign(&publisher), first.clone()]).unwrap(),
        [first.clone()]
    );
    let good = secret(3, "b", 1).sign(&publisher);
    let code = |result: Result<_, EntryError>| result.unwrap_err().code();
    let long = secret(4, "c", 256 * 1024).sign(&publisher);
    assert_eq!(code(add(&[good.clone(), long])), "full");
    assert_eq!(code(add(&[good.clone(), secret(5, "d", 1).sign(&stranger)])), "badSignature");
    let many: Vec<_> = (0..5).map(|n| secret(10 + n, &format!("s{n}"), 200_000)).collect();
    let many: Vec<_> = many.into_iter().map(|entry| entry.sign(&publisher)).collect();
    assert_eq!(code(add(&many)), "full");
    assert_eq!(add(std::slice::from_ref(&good)).unwrap(), [first, good]);
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(open_command(&keys(), &bytes).is_err());
        prop_assert!(open_reply(&keys(), &[0; 16], &bytes).is_err());
        prop_assert!(Snapshot::open(&keys(), &bytes).is_err());
        // Also those that whoever has the key may send.
        let sealed = seal::seal(&keys().channel, COMMAND_CONTEXT, &bytes).unwrap();
        let _ = open_command(&keys(), &sealed);
        let sealed = seal::seal(&keys().snapshot, SNAPSHOT_CONTEXT, &bytes).unwrap();
        let _ = Snapshot::open(&keys(), &sealed);
    }
}
