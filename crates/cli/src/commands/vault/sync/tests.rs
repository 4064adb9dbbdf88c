use std::{net::TcpListener, sync::Arc};

use casemate_vault::{
    Keys, Master, Options, Vault,
    entry::{Entry, Key, SignedEntry},
    server,
};
use ed25519_dalek::SigningKey;

use super::*;

struct Case {
    dir: tempfile::TempDir,
    own: Own,
}

fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

fn removal(keys: &Keys, version: u64, name: &str) -> SignedEntry {
    let key = Key::Secret(name.to_owned());
    Entry { vault: keys.id(), version, key, body: None }.sign(&publisher())
}

impl Case {
    fn new() -> Self {
        let keys = Master::generate().unwrap().keys();
        let snapshot = Snapshot::default();
        let own = Own { keys, publisher: publisher(), snapshot, addresses: vec![] };
        Self { dir: tempfile::tempdir().unwrap(), own }
    }

    /// A replica that serves, and is at an address of the vault's.
    fn replica(&mut self, publisher: &SigningKey) -> Arc<Vault> {
        let n = self.own.addresses.len();
        let options = Options {
            store: self.dir.path().join(n.to_string()),
            publisher: publisher.verifying_key().to_bytes(),
            clock: casemate_ra_tls::system_clock(),
        };
        let vault = Arc::new(Vault::open(self.own.keys.clone(), &options).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.own.addresses.push(format!("http://{}", listener.local_addr().unwrap()));
        let serving = Arc::clone(&vault);
        std::thread::spawn(move || server::serve(&listener, &serving));
        vault
    }

    fn versions(vault: &Vault) -> Vec<u64> {
        vault.list().iter().map(|listed| listed.version).collect()
    }

    async fn added(&self) -> Vec<Option<u32>> {
        sync(&self.own).await.unwrap().into_iter().map(|replica| replica.added).collect()
    }
}

#[tokio::test]
async fn each_replica_gets_what_the_others_and_this_machine_have() {
    let mut case = Case::new();
    let keys = case.own.keys.clone();
    case.own.snapshot.entries = vec![removal(&keys, 3, "mine"), removal(&keys, 4, "both")];
    let (first, second) = (case.replica(&publisher()), case.replica(&publisher()));
    first.put(vec![removal(&keys, 5, "first")]).unwrap();
    second.put(vec![removal(&keys, 9, "both")]).unwrap();
    assert_eq!(case.added().await, [Some(2), Some(2)]);
    assert_eq!(Case::versions(&first), [9, 5, 3]);
    assert_eq!(first.list(), second.list());
    assert_eq!(case.added().await, [Some(0), Some(0)]);
    let text = sync(&case.own).await.unwrap()[0].to_string();
    assert!(text.ends_with("up to date, 0 entries were new"), "{text}");
}

#[tokio::test]
async fn one_that_is_gone_or_lies_keeps_nobody_else_behind() {
    let mut case = Case::new();
    let keys = case.own.keys.clone();
    case.own.snapshot.entries = vec![removal(&keys, 3, "mine")];
    // It has the master, and takes the entries of somebody else.
    let liar = SigningKey::from_bytes(&[6; 32]);
    let lying = case.replica(&liar);
    let forged = Entry { vault: keys.id(), version: 8, key: Key::Secret("x".into()), body: None };
    lying.put(vec![forged.sign(&liar)]).unwrap();
    case.own.addresses.push("http://127.0.0.1:9".to_owned());
    let good = case.replica(&publisher());
    let synced = sync(&case.own).await.unwrap();
    let errors: Vec<_> = synced.iter().map(|replica| replica.error.as_deref()).collect();
    assert!(errors[0].is_some_and(|error| error.contains("badSignature")), "{errors:?}");
    assert!(errors[1].is_some_and(|error| error.contains("127.0.0.1:9")), "{errors:?}");
    assert_eq!((errors[2], synced[2].added), (None, Some(1)));
    assert_eq!(Case::versions(&good), [3]);
}
