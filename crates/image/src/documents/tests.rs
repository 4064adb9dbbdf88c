use serde_json::{Value, json};

use super::*;

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn descriptor(bytes: &[u8]) -> Value {
    json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::of(bytes),
            "size": bytes.len() })
}

/// An image that starts `program`, with an index above it.
fn image(program: &str) -> Documents {
    let diff_ids: [Digest; 0] = [];
    let config = bytes(&json!({
        "config": { "Entrypoint": [program], "Env": ["A=1"], "User": "www" },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }));
    let manifest =
        bytes(&json!({ "schemaVersion": 2, "config": descriptor(&config), "layers": [] }));
    let index = bytes(&json!({ "schemaVersion": 2, "manifests": [descriptor(&manifest)] }));
    Documents { index: Some(index), manifest, config }
}

#[test]
fn the_way_from_the_digest_to_the_configuration() {
    let mut documents = image("/app");
    let pinned = Digest::of(documents.index.as_ref().unwrap());
    let config = documents.check(&pinned).unwrap();
    assert_eq!(config.entrypoint, ["/app"]);
    assert_eq!((config.env, config.user), (vec!["A=1".to_owned()], "www".to_owned()));
    // A reference may name the manifest itself.
    documents.index = None;
    assert_eq!(documents.check(&Digest::of(&documents.manifest)).unwrap().entrypoint, ["/app"]);
    let err = documents.check(&pinned).unwrap_err();
    assert!(matches!(err, Error::DigestMismatch { .. }), "{err}");
}

#[test]
fn every_document_is_held_to_its_digest() {
    let (good, other) = (image("/app"), image("/evil"));
    let pinned = Digest::of(good.index.as_ref().unwrap());
    let change = |change: fn(&mut Documents, Documents)| {
        let mut documents = good.clone();
        change(&mut documents, other.clone());
        documents.check(&pinned).unwrap_err().to_string()
    };
    let index = change(|documents, other| documents.index = other.index);
    assert!(index.contains("index of image"), "{index}");
    let manifest = change(|documents, other| documents.manifest = other.manifest);
    assert!(manifest.contains("manifest of image"), "{manifest}");
    let config = change(|documents, other| documents.config = other.config);
    assert!(config.contains("configuration of image"), "{config}");
    // All of another image, under our digest.
    assert!(other.check(&pinned).is_err());
}

#[test]
fn one_document_is_not_taken_for_another() {
    let image = image("/app");
    let index = image.index.clone().unwrap();
    let as_manifest = Documents { index: None, manifest: index.clone(), ..image.clone() };
    assert!(as_manifest.check(&Digest::of(&index)).is_err());
    let as_index = Documents { index: Some(image.manifest.clone()), ..image.clone() };
    let err = as_index.check(&Digest::of(&image.manifest)).unwrap_err();
    assert!(matches!(err, Error::Unsupported { .. }), "{err}");
}
