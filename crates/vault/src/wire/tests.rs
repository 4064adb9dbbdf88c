use proptest::prelude::*;

use super::*;
use crate::Master;

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
