//! Round trips, and what a registry may get wrong.

use std::{fs, net::TcpListener, process::Command};

use casemate_image::{
    Error, ExposedPort, Image, ImageBuilder, export_layout, load_archive, load_layout, pull, push,
    resolve, unpack,
};

use crate::tools::{Registry, World, chain, skopeo};

fn build(world: &World) -> Image {
    ImageBuilder::from_directory(world.root())
        .entrypoint(["/bin/hello"])
        .env("GREETING", "hello")
        .exposed_port(ExposedPort::tcp(8080))
        .build(&world.store, &world.limits)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_push_skopeo_sees_and_we_pull_again() {
    let world = World::new();
    let registry = Registry::start(world.dir.path());
    let image = build(&world);
    let reference = registry.reference("team/hello:v1");
    let digest = push(&world.store, &image, &reference, &world.options).await.unwrap();
    assert_eq!(digest, image.manifest_digest);

    let seen = skopeo(&["inspect", "--tls-verify=false", &format!("docker://{reference}")]);
    assert!(seen.contains(&format!("\"Digest\": \"{digest}\"")), "{seen}");
    let config =
        skopeo(&["inspect", "--tls-verify=false", "--config", &format!("docker://{reference}")]);
    assert!(config.contains("GREETING=hello") && config.contains("8080/tcp"), "{config}");

    // By tag, then pinned to what the tag resolves to.
    let store = world.empty_store("second");
    assert_eq!(resolve(&reference, &world.options).await.unwrap(), digest);
    let pulled = pull(&store, &reference, &world.options, &world.limits).await.unwrap();
    assert_eq!(pulled, image);
    let pinned = registry.reference("team/hello").pinned(digest);
    let third = world.empty_store("third");
    assert_eq!(pull(&third, &pinned, &world.options, &world.limits).await.unwrap(), image);
    let rootfs = store.rootfs(&pulled, &world.limits).unwrap();
    assert_eq!(fs::read(rootfs.join("bin/hello")).unwrap(), b"#!/bin/sh\necho hello\n");

    // A second push sends no blob again, and a pinned pull needs no registry any more.
    push(&world.store, &image, &reference, &world.options).await.unwrap();
    drop(registry);
    assert_eq!(pull(&third, &pinned, &world.options, &world.limits).await.unwrap(), image);
    let err = pull(&third, &reference, &world.options, &world.limits).await.unwrap_err();
    assert!(matches!(err, Error::Unreachable { .. }), "{}", chain(&err));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_skopeo_pushes_with_zstd_we_pull() {
    let world = World::new();
    let registry = Registry::start(world.dir.path());
    let image = build(&world);
    let layout = world.path("layout");
    export_layout(&world.store, &image, &layout, "v1").unwrap();
    let reference = registry.reference("zstd/hello:v1");
    skopeo(&[
        "copy",
        "--dest-tls-verify=false",
        "--dest-compress",
        "--dest-compress-format=zstd",
        &format!("oci:{}:v1", layout.display()),
        &format!("docker://{reference}"),
    ]);
    let store = world.empty_store("second");
    let pulled = pull(&store, &reference, &world.options, &world.limits).await.unwrap();
    assert_eq!(pulled.layers[0].media_type, "application/vnd.oci.image.layer.v1.tar+zstd");
    // Compressed in another way, the content is the same.
    assert_eq!(pulled.layers[0].diff_id, image.layers[0].diff_id);
    unpack(&store, &pulled, &world.path("dest"), &world.limits).unwrap();
    assert_eq!(fs::metadata(world.path("dest/big")).unwrap().len(), 3 << 20);

    // Layouts and archives by skopeo.
    let copied = world.path("copied");
    let source = format!("docker://{reference}");
    skopeo(&["copy", "--src-tls-verify=false", &source, &format!("oci:{}:v1", copied.display())]);
    let loaded = load_layout(&world.empty_store("a"), &copied, Some("v1"), &world.limits).unwrap();
    assert_eq!(loaded, pulled);
    // Docker's archives know no zstd.
    let layout = format!("oci:{}:v1", layout.display());
    for (kind, source) in [("oci-archive", &source), ("docker-archive", &layout)] {
        let path = world.path(kind);
        let to = format!("{kind}:{}:hello:v1", path.display());
        skopeo(&["copy", "--src-tls-verify=false", source, &to]);
        let store = world.empty_store(&format!("store-{kind}"));
        let loaded = load_archive(&store, &path, None, &world.limits).unwrap();
        assert_eq!(loaded.config, image.config, "{kind}");
        assert_eq!(loaded.layers[0].diff_id, image.layers[0].diff_id, "{kind}");
        let rootfs = store.rootfs(&loaded, &world.limits).unwrap();
        assert!(rootfs.join("usr/bin/hello").is_file());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_corrupted_on_the_registrys_disk_is_refused() {
    let world = World::new();
    let registry = Registry::start(world.dir.path());
    let image = build(&world);
    let reference = registry.reference("hello:v1");
    push(&world.store, &image, &reference, &world.options).await.unwrap();
    let store = world.empty_store("second");
    let layer = &image.layers[0];
    let path = registry.blob(&layer.digest);
    let good = fs::read(&path).unwrap();

    let mut bad = good.clone();
    bad[100] ^= 0x40;
    fs::write(&path, &bad).unwrap();
    let err = pull(&store, &reference, &world.options, &world.limits).await.unwrap_err();
    let text = chain(&err);
    let actual = casemate_image::Digest::of(&bad);
    assert!(text.contains(&layer.digest.to_string()), "{text}");
    assert!(text.contains(&actual.to_string()), "{text}");
    assert!(!store.has(&layer.digest).unwrap());

    fs::write(&path, &good[..good.len() - 1]).unwrap();
    let err = pull(&store, &reference, &world.options, &world.limits).await.unwrap_err();
    assert!(matches!(err, Error::SizeMismatch { .. }), "{}", chain(&err));

    // The manifest itself.
    fs::write(&path, &good).unwrap();
    let path = registry.blob(&image.manifest_digest);
    let manifest = fs::read(&path).unwrap();
    fs::write(&path, String::from_utf8(manifest.clone()).unwrap().replace(':', ": ")).unwrap();
    let err = pull(&store, &reference, &world.options, &world.limits).await.unwrap_err();
    // The registry may see it by itself, or we do.
    assert!(
        matches!(
            err,
            Error::DigestMismatch { .. } | Error::Registry { .. } | Error::NotFound { .. }
        ),
        "{}",
        chain(&err)
    );
    fs::write(&path, &manifest).unwrap();
    pull(&store, &reference, &world.options, &world.limits).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_before_anything_is_downloaded() {
    let world = World::new();
    let registry = Registry::start(world.dir.path());
    let image = build(&world);
    let reference = registry.reference("hello:v1");
    push(&world.store, &image, &reference, &world.options).await.unwrap();
    // Were it asked for, the answer would be another one.
    fs::remove_file(registry.blob(&image.layers[0].digest)).unwrap();
    let mut limits = world.limits.clone();
    limits.blob_bytes_max = image.layers[0].size - 1;
    let store = world.empty_store("second");
    let err = pull(&store, &reference, &world.options, &limits).await.unwrap_err();
    assert!(matches!(err, Error::LimitExceeded { .. }), "{}", chain(&err));
    let err = pull(&store, &reference, &world.options, &world.limits).await.unwrap_err();
    assert!(matches!(err, Error::NotFound { .. }), "{}", chain(&err));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do() {
    let world = World::new();
    let registry = Registry::start(world.dir.path());
    let image = build(&world);
    push(&world.store, &image, &registry.reference("hello:v1"), &world.options).await.unwrap();
    let unknown = [
        registry.reference("hello:v2"),
        registry.reference("none:v1"),
        registry.reference("hello").pinned(casemate_image::Digest::of(b"none")),
    ];
    for reference in unknown {
        let err = pull(&world.store, &reference, &world.options, &world.limits).await.unwrap_err();
        let text = chain(&err);
        assert!(matches!(err, Error::NotFound { .. }), "{text}");
        assert!(text.contains(&reference.to_string()) && text.contains("check"), "{text}");
        assert!(resolve(&reference, &world.options).await.is_err());
    }
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let reference = format!("127.0.0.1:{port}/hello:v1").parse().unwrap();
    let err = pull(&world.store, &reference, &world.options, &world.limits).await.unwrap_err();
    let text = chain(&err);
    assert!(matches!(err, Error::Unreachable { .. }), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(text.to_lowercase().contains("refused"), "{text}");
    // Pinned to something else than what is pushed.
    let wrong = registry.reference("hello").pinned(casemate_image::Digest::of(b"other"));
    let err = push(&world.store, &image, &wrong, &world.options).await.unwrap_err();
    assert!(matches!(err, Error::DigestMismatch { .. }), "{}", chain(&err));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pulls_of_one_image_at_once() {
    let world = World::new();
    let registry = Registry::start(world.dir.path());
    let image = build(&world);
    let reference = registry.reference("hello:v1");
    push(&world.store, &image, &reference, &world.options).await.unwrap();
    let path = world.path("shared");
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            // Half of them as other processes would: with a store object of their own.
            let (reference, options) = (reference.clone(), world.options.clone());
            let (limits, path) = (world.limits.clone(), path.clone());
            tokio::spawn(async move {
                let store = casemate_image::Store::open(path).unwrap();
                let image = pull(&store, &reference, &options, &limits).await.unwrap();
                let unpacked = image.clone();
                let rootfs =
                    tokio::task::spawn_blocking(move || store.rootfs(&unpacked, &limits).unwrap())
                        .await
                        .unwrap();
                assert!(rootfs.join("big").is_file(), "task {n}");
                image
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), image);
    }
    let leftovers = fs::read_dir(path.join("tmp")).unwrap().count();
    assert_eq!(leftovers, 0, "temporary files are left");
}

/// A layer made by `tar`, put on top by hand and copied by `skopeo`.
#[tokio::test(flavor = "multi_thread")]
async fn a_whiteout_in_an_upper_layer_is_honoured() {
    let world = World::new();
    let registry = Registry::start(world.dir.path());
    let base = build(&world);
    let tar = world.path("upper.tar");
    let upper = world.path("upper");
    fs::create_dir_all(upper.join("usr/bin")).unwrap();
    fs::write(upper.join("usr/bin/.wh.hello"), "").unwrap();
    fs::write(upper.join("new"), "new").unwrap();
    let status = Command::new("tar")
        .args(["--owner=0", "--group=0", "-C"])
        .arg(&upper)
        .arg("-cf")
        .arg(&tar)
        .args(["usr", "new"])
        .status()
        .expect("this test needs tar");
    assert!(status.success());
    let layout = world.path("layout");
    export_layout(&world.store, &base, &layout, "v1").unwrap();
    let blob = fs::read(&tar).unwrap();
    let digest = casemate_image::Digest::of(&blob);
    let put = |bytes: &[u8]| {
        let digest = casemate_image::Digest::of(bytes);
        fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        digest
    };
    put(&blob);
    let read = |digest: &casemate_image::Digest| -> serde_json::Value {
        serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(digest.hex())).unwrap())
            .unwrap()
    };
    let mut config = read(&base.config_digest);
    config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(digest.to_string().into());
    let history = config["history"][0].clone();
    config["history"].as_array_mut().unwrap().push(history);
    let config = serde_json::to_vec(&config).unwrap();
    let mut manifest = read(&base.manifest_digest);
    manifest["config"]["digest"] = put(&config).to_string().into();
    manifest["config"]["size"] = config.len().into();
    manifest["layers"].as_array_mut().unwrap().push(serde_json::json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": digest,
        "size": blob.len(),
    }));
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let mut index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"] = put(&manifest).to_string().into();
    index["manifests"][0]["size"] = manifest.len().into();
    fs::write(layout.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();

    let reference = registry.reference("whiteout:v1");
    skopeo(&[
        "copy",
        "--dest-tls-verify=false",
        &format!("oci:{}:v1", layout.display()),
        &format!("docker://{reference}"),
    ]);
    let store = world.empty_store("second");
    let image = pull(&store, &reference, &world.options, &world.limits).await.unwrap();
    let rootfs = store.rootfs(&image, &world.limits).unwrap();
    assert!(!rootfs.join("usr/bin/hello").exists());
    assert!(rootfs.join("new").is_file() && rootfs.join("big").is_file());
}
