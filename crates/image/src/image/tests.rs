use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{Fixture, Tar};

fn document(value: &serde_json::Value) -> Result<Document> {
    parse_document(&serde_json::to_vec(value).unwrap(), "test")
}

fn descriptor(size: u64) -> serde_json::Value {
    json!({ "mediaType": crate::spec::OCI_LAYER, "digest": Digest::of(b"x"), "size": size })
}

fn manifest(layers: &[serde_json::Value]) -> Manifest {
    let value = json!({ "schemaVersion": 2, "config": descriptor(2), "layers": layers });
    match document(&value).unwrap() {
        Document::Manifest(manifest) => manifest,
        Document::Index(_) => panic!("read as an index"),
    }
}

#[test]
fn a_document_is_one_thing_only() {
    let both = json!({
        "schemaVersion": 2, "config": descriptor(2), "layers": [], "manifests": [],
    });
    let disguised = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "config": descriptor(2), "layers": [] });
    for bad in [
        json!(null),
        json!([]),
        json!({}),
        json!({ "schemaVersion": 1, "config": descriptor(2), "layers": [] }),
        json!({ "schemaVersion": 2 }),
        both,
        disguised,
        json!({ "schemaVersion": 2, "config": descriptor(2) }),
        json!({ "schemaVersion": 2, "config": { "digest": "md5:0", "size": 1 }, "layers": [] }),
        json!({ "schemaVersion": 2, "config": { "digest": Digest::of(b""), "size": -1 }, "layers": [] }),
    ] {
        assert!(document(&bad).is_err(), "{bad} was accepted");
    }
}

#[test]
fn sizes_and_kinds_are_checked_before_anything_is_fetched() {
    let limits = Limits::default();
    let check = |layers: &[serde_json::Value]| check_manifest(&manifest(layers), &limits, "test");
    check(&[descriptor(1 << 20)]).unwrap();
    for layers in [
        vec![descriptor(10_000_000_000)],
        vec![descriptor(u64::MAX), descriptor(u64::MAX)],
        vec![descriptor(8 << 30), descriptor(8 << 30), descriptor(1)],
        vec![descriptor(1); 257],
    ] {
        let err = check(&layers).unwrap_err();
        assert!(matches!(err, Error::LimitExceeded { .. }), "{err}");
    }
    let mut encrypted = descriptor(1);
    encrypted["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted".into();
    let err = check(&[encrypted]).unwrap_err();
    assert!(err.to_string().contains("encrypted"), "{err}");
}

#[test]
fn the_entry_for_this_machine_is_chosen() {
    let (os, architecture) = platform();
    let index = |entries: serde_json::Value| match document(
        &json!({ "schemaVersion": 2, "manifests": entries }),
    ) {
        Ok(Document::Index(index)) => index,
        _ => panic!("no index"),
    };
    let entry = |name: &str, os: &str, architecture: &str| {
        json!({
            "mediaType": OCI_MANIFEST, "digest": Digest::of(name.as_bytes()), "size": 1,
            "platform": { "os": os, "architecture": architecture },
        })
    };
    let found = index(json!([
        entry("other", "linux", "s390x"),
        entry("attestation", "unknown", "unknown"),
        entry("ours", os, architecture),
    ]));
    assert_eq!(select_platform(&found, "t").unwrap().digest, Digest::of(b"ours"));
    let none =
        index(json!([entry("other", "linux", "s390x"), entry("w", "windows", architecture)]));
    let err = select_platform(&none, "t").unwrap_err().to_string();
    assert!(err.contains("linux/s390x") && err.contains(architecture), "{err}");
    let alone =
        index(json!([{ "mediaType": OCI_MANIFEST, "digest": Digest::of(b"1"), "size": 1 }]));
    assert_eq!(select_platform(&alone, "t").unwrap().digest, Digest::of(b"1"));
    assert!(select_platform(&index(json!([])), "t").is_err());
}

#[test]
fn configuration_and_manifest_must_fit() {
    let f = Fixture::new();
    let image = f.image(&[Tar::new().end()]);
    let config = |value: serde_json::Value| {
        let bytes = serde_json::to_vec(&value).unwrap();
        let mut manifest = manifest(&[descriptor(1)]);
        manifest.config.digest = f.store.put(&bytes).unwrap();
        Image::assemble(&f.store, image.manifest_digest, &manifest, &f.limits, "test")
    };
    let diff = Digest::of(b"d");
    let rootfs = json!({ "type": "layers", "diff_ids": [diff] });
    let ok = config(json!({ "rootfs": rootfs, "config": {
        "Env": null, "Cmd": null, "ExposedPorts": { "80/tcp": {}, "53/udp": {}, "x": {}, "1/2/3": {} },
        "StopSignal": "", "Healthcheck": { "Test": [] },
    } }))
    .unwrap();
    assert_eq!(ok.layers[0].diff_id, diff);
    let ports: Vec<_> = ok.config.exposed_ports.iter().map(ToString::to_string).collect();
    assert_eq!(ports, ["53/udp", "80/tcp"]);
    assert_eq!(ok.config.stop_signal, None);
    for bad in [
        json!({}),
        json!({ "rootfs": { "type": "layers", "diff_ids": [] } }),
        json!({ "rootfs": { "type": "layers", "diff_ids": [diff, diff] } }),
        json!({ "rootfs": rootfs, "os": "windows" }),
        json!({ "rootfs": rootfs, "architecture": "s390x" }),
        json!({ "rootfs": rootfs, "config": { "Env": "A=1" } }),
    ] {
        assert!(config(bad.clone()).is_err(), "{bad} was accepted");
    }
}

proptest! {
    #[test]
    fn documents_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..500), text in "\\PC{0,200}") {
        let _ = parse_document(&bytes, "test");
        let _ = parse_document(text.as_bytes(), "test");
        let _ = text.parse::<ExposedPort>();
    }
}
