//! A real agent that starts anew gets its secrets from a vault, with its publisher away.

use std::{net::TcpListener, path::Path, sync::Arc};

use casemate_agent::{
    config::Config,
    event::{EventKind, Stream},
};
use casemate_ra_tls::system_clock;
use casemate_software_tee::{client::Launch, wire::Kind};
use casemate_vault::{
    Keys, Master, Options, Vault,
    client::Client,
    courier::{CarryError, carry},
    entry::{Body, Entry, Given, Grant, Key, Source},
    server,
};
use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::{
    harness::{Agent, PATIENCE, shell},
    pod::{identity, pod_released_by},
    software_tee::{connect, network, software_policy},
};

fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// A vault that serves what lies in `store`.
fn serve_vault(keys: &Keys, store: &Path) -> (Arc<Vault>, Client) {
    let options = Options {
        store: store.to_owned(),
        publisher: publisher().verifying_key().to_bytes(),
        clock: system_clock(),
    };
    let vault = Arc::new(Vault::open(keys.clone(), &options).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Arc::clone(&vault);
    std::thread::spawn(move || server::serve(&listener, &serving));
    (vault, Client::new(&format!("http://{address}"), PATIENCE).unwrap())
}

/// Starts a pod that waits for a secret of this vault's; gives its measurement too.
fn start(id: &str, vault: &Keys) -> (Agent, Config, String) {
    let secret = json!({ "secretRef": { "name": "DB_PASSWORD" } });
    let fields = json!({ "env": [{ "name": "DB", "valueFrom": secret }] });
    let command = shell("echo \"got $DB\"; sleep 1000");
    let (mut config, given) = pod_released_by(&vault.id(), command, &fields);
    let launched = network()
        .control
        .launch(&Launch {
            id,
            kind: Kind::IntelTdx,
            version: None,
            agent: Path::new(env!("CARGO_BIN_EXE_casemate-agent")),
            root_fs: None,
            manifest_hash: &identity(&config).manifest_hash,
            owner: None,
            misbehave: &[],
        })
        .unwrap();
    config.attestation.as_mut().unwrap().software_tee = Some(launched.socket.clone());
    let agent = Agent::start_in_pod(&config, &given);
    agent.expect(|k| matches!(k, EventKind::EvidenceAvailable { .. }));
    let measured = launched.measurements["workload"].as_str().unwrap().to_owned();
    (agent, config, measured)
}

#[test]
fn a_pod_that_starts_anew_gets_its_secrets_from_the_vault_alone() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Master::generate().unwrap().keys();
    let (vault, client) = serve_vault(&keys, &dir.path().join("vault"));
    let (first, config, measured) = start("vault-first", &keys);
    let now = system_clock()();
    let policy = json!({ "grades": ["software"], "require": { "workload": [measured] } });
    let grant = Grant {
        genesis_hash: identity(&config).genesis_hash,
        manifest_hash: identity(&config).manifest_hash,
        lease: None,
        replica: None,
        secrets: vec![Given { name: "DB_PASSWORD".into(), from: Source::Secret("db".into()) }],
        policy: policy.to_string(),
        roots: network().roots.clone(),
        minimum_tcb: None,
        until: now + 1000,
    };
    let body = Some(Body::Grant(Box::new(grant)));
    let grant = Entry { vault: keys.id(), version: 2, key: Key::Grant("shop".into()), body };
    let secret = Entry::secret(&keys, 1, "db", b"hunter2").unwrap();
    vault.put(vec![secret.sign(&publisher()), grant.clone().sign(&publisher())]).unwrap();

    let collateral = network().collateral.as_slice();
    let session =
        |config: &Config| connect(config, software_policy(), network().roots.clone()).unwrap();
    carry(&client, &mut session(&config), collateral).unwrap();
    first.expect_log(Stream::Stdout, "got hunter2");
    // SIGKILL.
    drop(first);

    // From here on there is the vault, the courier and the new pod.
    let (mut again, config, _) = start("vault-again", &keys);
    assert_eq!(again.log(Stream::Stdout), "");
    carry(&client, &mut session(&config), collateral).unwrap();
    again.expect_log(Stream::Stdout, "got hunter2");
    again.signal("TERM");
    again.wait();

    // Another vault's releases are not taken, although that vault would release.
    let strange = Master::generate().unwrap().keys();
    let (mut agent, config, _) = start("vault-strange", &strange);
    // Its manifest names the other vault, and so is another manifest.
    let err = carry(&client, &mut session(&config), collateral).unwrap_err();
    assert!(err.to_string().contains("noGrant"), "{err}");
    let Some(Body::Grant(mut wide)) = grant.body else { panic!("it is a grant") };
    wide.manifest_hash = identity(&config).manifest_hash;
    let (key, body) = (Key::Grant("strange".into()), Some(Body::Grant(wide)));
    let wide = Entry { vault: keys.id(), version: 3, key, body };
    vault.put(vec![wide.sign(&publisher())]).unwrap();
    let err = carry(&client, &mut session(&config), collateral).unwrap_err();
    assert!(matches!(err, CarryError::Deliver(_)), "{err}");
    assert_eq!(agent.log(Stream::Stdout), "");
    agent.signal("TERM");
    agent.wait();
}
