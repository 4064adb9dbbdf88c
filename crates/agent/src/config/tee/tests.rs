use serde_json::{Value, json};

use super::*;

fn config(extra: Value) -> Result<Config, String> {
    let mut config = json!({
        "container": "app", "signer": null,
        "app": { "command": ["/app"], "env": [], "working_dir": "/", "user": null },
        "restart": "never", "grace_ms": 1,
        "attestation": {
            "genesis_hash": "01".repeat(32), "lease": 5, "replica": 0,
            "manifest_hash": "02".repeat(32),
        },
    });
    for (name, value) in extra.as_object().unwrap() {
        config[name] = value.clone();
    }
    let config: Config = serde_json::from_value(config).map_err(|err| err.to_string())?;
    config.check().map_err(|err| err.to_string())?;
    Ok(config)
}

#[test]
fn little_must_be_said() {
    let config = config(json!({
        "tls": { "port": 443, "forward": 8080 },
        "secrets": { "items": [{ "name": "A", "env": "A" }], "senders": ["07".repeat(32)] },
    }))
    .unwrap();
    assert_eq!(config.attestation.unwrap().port, 8443);
    let (tls, secrets) = (config.tls.unwrap(), config.secrets.unwrap());
    assert_eq!((tls.http, tls.connections_max, tls.idle_ms), (true, 128, 600_000));
    assert!(secrets.wait && secrets.socket.is_none());
}

#[test]
fn it_survives_being_written_and_read() {
    let first = config(json!({
        "secrets": {
            "dir": "/run/secrets", "socket": "/run/secrets/s", "senders": ["07".repeat(32)],
            "items": [{ "name": "A", "file": "a" }],
        },
    }))
    .unwrap();
    let text = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), first);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let signer = json!({
        "genesis_hash": "01".repeat(32), "lease": 6, "replica": 0, "record_interval_ms": 1000,
        "quota": { "cpu_millicores": 1, "memory_mib": 1, "storage_mib": 1, "gpus": 0 },
    });
    for (extra, reason) in [
        (json!({ "attestation": null, "secrets": {} }), "needs `attestation`"),
        (json!({ "attestation": null, "tls": { "port": 1, "forward": 2 } }), "needs `attestation`"),
        (json!({ "signer": signer }), "another pod"),
        (json!({ "tls": { "port": 8443, "forward": 2 } }), "same"),
        (json!({ "tls": { "port": 1, "forward": 0 } }), "zero"),
        (json!({ "tls": { "port": 1, "forward": 2, "idle": 3 } }), "unknown field"),
        (json!({ "secrets": { "dir": "relative" } }), "absolute"),
        (json!({ "secrets": { "socket": format!("/{}", "s".repeat(107)) } }), "longer"),
        (json!({ "secrets": { "senders": ["07"] } }), "32 bytes"),
        (json!({ "secrets": { "items": [{ "name": "a/b" }] } }), "`name`"),
        (json!({ "secrets": { "items": [{ "name": "A", "env": "A=B" }] } }), "`env`"),
        (json!({ "secrets": { "items": [{ "name": "A", "file": "a" }] } }), "is missing"),
        (
            json!({ "secrets": { "dir": "/d", "items": [{ "name": "A", "file": "../a" }] } }),
            "`file`",
        ),
        (json!({ "secrets": { "items": [{ "name": "A" }, { "name": "A" }] } }), "twice"),
        (json!({ "secrets": { "items": [{ "name": "A" }] } }), "who may release"),
    ] {
        let err = config(extra.clone()).unwrap_err();
        assert!(err.contains(reason), "{extra}: {err}");
    }
}
