//! `casemate vault`, against a real vault's server.

use std::{fs, net::TcpListener, sync::Arc};

use casemate_manifest::Manifest;
use casemate_vault::{
    Keys, Master, Options, Vault,
    entry::{Entry, Key, SignedEntry},
    server,
    wire::Snapshot,
};
use ed25519_dalek::SigningKey;

use crate::run::{Home, Run, is_private};

fn home() -> Home {
    let home = Home::new();
    home.write_private("pass", "correct horse\n");
    assert_eq!(home.run(&with_pass(&["-q", "key", "new"])).code, 0);
    home
}

fn with_pass<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["--passphrase-file", "pass"], args].concat()
}

fn vault(home: &Home, args: &[&str]) -> Run {
    home.run(&with_pass(&[&["vault"], args].concat()))
}

const IMAGE: &str = "registry.example/vault@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn init(home: &Home, name: &str) -> Run {
    vault(home, &["init", name, "--image", IMAGE, "--host", "keys.example.org", "--file", "v.yaml"])
}

#[test]
fn init_makes_a_master_that_is_not_shown_and_a_manifest_that_deploys() {
    let home = home();
    let run = init(&home, "keys");
    assert_eq!(run.code, 0, "{}", run.text());
    let id = run.stdout.trim();
    assert_eq!(id.len(), 64, "{id}");
    let publisher = home.run(&with_pass(&["secret", "key"])).stdout;
    let text = fs::read_to_string(home.path("v.yaml")).unwrap();
    let manifest = Manifest::parse(&text).unwrap();
    manifest.validate_deployable().unwrap();
    let key = |text: &str| -> [u8; 32] { hex::decode(text.trim()).unwrap().try_into().unwrap() };
    assert!(manifest.is_released_by(&key(id)) && manifest.is_released_by(&key(&publisher)));
    let names: Vec<_> = manifest.secret_names().into_iter().collect();
    assert_eq!(names, ["master", "snapshot"]);
    assert!(text.contains(&format!("--publisher={}", publisher.trim())));
    let listed = home.run(&with_pass(&["secret", "list", "--app", "keys"]));
    assert!(listed.stdout.contains("master") && listed.stdout.contains("snapshot"));
    let store = home.path(".local/share/casemate/keys/secrets");
    let file = fs::read_dir(store).unwrap().map(|e| e.unwrap().path());
    assert!(file.filter(|p| p.extension().is_some_and(|e| e == "json")).all(|p| is_private(&p)));

    // A file is not written over. One that was lost is written again, for the same vault.
    init(&home, "keys").fails(1, &["cannot make `v.yaml`", "--file"]);
    fs::remove_file(home.path("v.yaml")).unwrap();
    let again = init(&home, "keys");
    assert_eq!((again.code, again.stdout.trim()), (0, id), "{}", again.text());
    assert!(again.stderr.contains("its master stays"), "{}", again.text());
    assert_eq!(fs::read_to_string(home.path("v.yaml")).unwrap(), text);
}

#[test]
fn a_secret_for_all_apps_is_no_vaults_master() {
    let home = home();
    fs::write(home.path("value"), "something else").unwrap();
    for name in ["master", "snapshot", "vault-addresses"] {
        let run = home.run(&with_pass(&["secret", "set", name, "--from-file", "value"]));
        assert_eq!(run.code, 0, "{}", run.text());
    }
    vault(&home, &["show", "keys"]).fails(1, &["there is no vault `keys`"]);
    assert_eq!(init(&home, "keys").code, 0);
    assert_eq!(vault(&home, &["show", "keys"]).code, 0);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_made() {
    let home = home();
    let unpinned = ["init", "keys", "--image", "vault:1", "--host", "h.example"];
    vault(&home, &unpinned).fails(2, &["pinned by its digest", "casemate image resolve"]);
    let bad = ["init", "keys", "--image", IMAGE, "--host", "a: b"];
    vault(&home, &bad).fails(2, &["is no name of a host"]);
    init(&home, "KEYS").fails(2, &["a-z"]);
    vault(&home, &["show", "keys"]).fails(1, &["there is no vault `keys`", "casemate vault init"]);
    assert_eq!(init(&home, "keys").code, 0);
    vault(&home, &["at", "keys", "https://x"]).fails(2, &["is not the address of a vault"]);
    vault(&home, &["show", "other"]).fails(1, &["there is no vault `other`"]);
    vault(&home, &["revoke", "keys", "shop"]).fails(1, &["has no grant `shop`", "vault show keys"]);
}

/// A vault of the account's, whose master the test knows too.
struct Known {
    home: Home,
    keys: Keys,
    vault: Arc<Vault>,
    url: String,
    _dir: tempfile::TempDir,
}

fn publisher_of(home: &Home) -> [u8; 32] {
    let key = home.run(&with_pass(&["secret", "key"])).stdout;
    hex::decode(key.trim()).unwrap().try_into().unwrap()
}

fn set(home: &Home, name: &str, content: &[u8]) {
    fs::write(home.path("value"), content).unwrap();
    let args = ["secret", "set", name, "--app", "keys", "--from-file", "value"];
    let run = home.run(&with_pass(&args));
    assert_eq!(run.code, 0, "{}", run.text());
}

fn known(entries: Vec<SignedEntry>) -> Known {
    let home = home();
    let master = Master::generate().unwrap();
    let keys = master.keys();
    set(&home, "master", &master.to_text());
    set(&home, "snapshot", &Snapshot { entries }.seal(&keys).unwrap());
    set(&home, "vault-addresses", b" ");
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        store: dir.path().join("vault"),
        publisher: publisher_of(&home),
        clock: casemate_ra_tls::system_clock(),
    };
    let vault = Arc::new(Vault::open(keys.clone(), &options).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = Arc::clone(&vault);
    std::thread::spawn(move || server::serve(&listener, &serving));
    Known { home, keys, vault, url, _dir: dir }
}

#[test]
fn replicas_are_shown_synced_and_audited() {
    let known = known(vec![]);
    let Known { home, keys, url, .. } = &known;
    assert_eq!(vault(home, &["at", "keys", url, "http://127.0.0.1:9"]).code, 0);
    let shown = vault(home, &["show", "keys", "--output", "json"]);
    assert_eq!(shown.code, 0, "{}", shown.text());
    let shown = shown.json();
    assert_eq!(shown["releaseKey"], hex::encode(keys.id()));
    assert_eq!(shown["replicas"][0]["isCurrent"], true);
    assert!(shown["replicas"][1]["error"].as_str().unwrap().contains("127.0.0.1:9"));
    // What came of each is told, and that it is not all.
    let partly = vault(home, &["sync", "keys"]);
    assert_eq!(partly.code, 1, "{}", partly.text());
    for words in ["up to date", "1 of 2 replicas are not up to date"] {
        assert!(partly.text().contains(words), "{}", partly.text());
    }
    assert_eq!(vault(home, &["at", "keys", url]).code, 0);
    for _ in 0..2 {
        let whole = vault(home, &["sync", "keys"]);
        assert_eq!(whole.code, 0, "{}", whole.text());
    }
    let audit = vault(home, &["audit", "keys", "--output", "json"]);
    assert_eq!(audit.json(), serde_json::json!([]));
    assert_eq!(known.vault.status().entries, 0);
}

#[test]
fn an_entry_of_somebody_else_is_not_taken_from_the_store_either() {
    let stranger = SigningKey::from_bytes(&[6; 32]);
    let known = known(vec![]);
    let forged =
        Entry { vault: known.keys.id(), version: 1, key: Key::Secret("a".into()), body: None }
            .sign(&stranger);
    let snapshot = Snapshot { entries: vec![forged] }.seal(&known.keys).unwrap();
    set(&known.home, "snapshot", &snapshot);
    assert_eq!(vault(&known.home, &["at", "keys", &known.url]).code, 0);
    let run = vault(&known.home, &["sync", "keys"]);
    assert!(run.code == 1 && run.text().contains("badSignature"), "{}", run.text());
    assert_eq!(known.vault.list(), []);
}
