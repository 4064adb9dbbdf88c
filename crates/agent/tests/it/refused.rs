//! What the real agent does where the host's configuration does not follow from the manifest.

use std::{io::Read as _, net::TcpStream};

use casemate_agent::{
    check::{Field, Given},
    config::Config,
    event::EventKind,
};
use serde_json::json;

use crate::{
    harness::{Agent, shell},
    pod::pod_with,
    tee_fake::serve,
};

/// Nothing is attested, nothing listens, no app runs; the host is told why.
#[track_caller]
fn refused(config: &Config, given: &Given, field: Field, word: &str) {
    let mut agent = Agent::start_in_pod(config, given);
    assert_eq!(agent.wait(), 125);
    let events = agent.events();
    let [started, event] = events.as_slice() else { panic!("{events:#?}") };
    assert_eq!(started.kind, EventKind::Started { key: None });
    let EventKind::Refused { field: found, reason } = &event.kind else { panic!("{event:?}") };
    assert_eq!((*found, event.container.as_str()), (field, config.container.as_str()));
    assert!(reason.contains(word), "{reason}");
    let port = config.attestation.as_ref().unwrap().port;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn what_does_not_follow_from_the_manifest_is_neither_run_nor_attested() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let out = dir.path().join("ran");
    let script = format!("touch {}", out.display());
    let fields = json!({
        "env": [{ "name": "A", "valueFrom": { "secretRef": { "name": "a" } } }],
    });
    let (config, given) = pod_with(&socket, shell(&script), &fields);

    let mut preloaded = config.clone();
    preloaded.app.env.push("LD_PRELOAD=/tmp/spy.so".into());
    refused(&preloaded, &given, Field::Env, "LD_PRELOAD");

    let mut dropped = config.clone();
    dropped.secrets = None;
    refused(&dropped, &given, Field::Secrets, "left out");

    let mut forged = config.clone();
    forged.secrets.as_mut().unwrap().senders = vec![[9; 32]];
    refused(&forged, &given, Field::SecretSenders, "releasedBy");

    let other = Given { manifest: b"{}".to_vec(), ..given.clone() };
    refused(&config, &other, Field::ManifestHash, "evidence");

    let without = Given { image: None, ..given };
    refused(&config, &without, Field::Image, "documents");
    assert!(!out.exists(), "the app has run");
}

#[test]
fn a_host_that_gives_no_manifest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let socket = serve(dir.path());
    let (config, _) = pod_with(&socket, shell("echo started"), &json!({}));
    let mut agent = Agent::start(&config);
    assert_eq!(agent.wait(), 125);
    let events = agent.events();
    let [_, event] = events.as_slice() else { panic!("{events:#?}") };
    assert!(matches!(&event.kind, EventKind::Refused { field: Field::Manifest, .. }), "{event:?}");
    let port = config.attestation.as_ref().unwrap().port;
    let answer = TcpStream::connect(("127.0.0.1", port)).map(|mut stream| stream.read(&mut [0]));
    assert!(answer.is_err(), "{answer:?}");
}
