//! Images: anybody makes them, providers unpack them as root.

use std::{
    fs,
    io::Read,
    path::{Component, Path},
};

use casemate_image::{Digest, Image, Reference, load_archive, load_layout, unpack};
use serde_json::json;

use crate::{
    bundle::{Part, Tar, parts},
    scratch::Scratch,
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A reference such as `registry.example/app:1`.
pub(crate) fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Reference>() {
        Ok(reference) => {
            assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            let pinned = reference.pinned(Digest::of(data));
            assert!(pinned.is_pinned());
            assert_eq!(pinned.to_string().parse::<Reference>().unwrap(), pinned);
            let path = Path::new(reference.repository());
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        }
        Err(err) => assert!(err.to_string().len() < 4096),
    }
}

/// An OCI layout: the part `index.json` (or the first), then blobs.
pub(crate) fn layout(data: &[u8]) {
    load_as_layout(data);
}

/// How often an image could be loaded and unpacked; so for those below.
fn load_as_layout(data: &[u8]) -> usize {
    let scratch = Scratch::new();
    let dir = scratch.path("layout");
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for (at, part) in parts(data).iter().enumerate() {
        if at == 0 || part.name == b"index.json" {
            fs::write(dir.join("index.json"), &part.bytes).unwrap();
        } else if part.name == b"oci-layout" {
            fs::write(dir.join("oci-layout"), &part.bytes).unwrap();
        } else {
            fs::write(blobs.join(Digest::of(&part.bytes).hex()), &part.bytes).unwrap();
        }
    }
    let good = |select: &Option<&str>| {
        load_layout(&scratch.store, &dir, *select, &scratch.limits)
            .is_ok_and(|image| check(&scratch, &image))
    };
    [None, Some("latest")].iter().filter(|select| good(select)).count()
}

/// A tar archive as `docker save` or `skopeo` write it, its members from the parts.
pub(crate) fn archive(data: &[u8]) {
    load_as_archive(data);
}

fn load_as_archive(data: &[u8]) -> usize {
    let scratch = Scratch::new();
    let path = scratch.path("layout");
    let bytes = match parts(data) {
        // Not in our form: the archive itself.
        parts if parts.is_empty() => data.to_vec(),
        parts => {
            let mut tar = Tar::default();
            for Part { name, bytes } in &parts {
                match name.strip_prefix(b"-> ") {
                    Some(target) => tar.entry(b'2', 0o777, bytes.trim_ascii(), target, b""),
                    None => tar.entry(b'0', 0o644, name, b"", bytes),
                }
            }
            tar.finish()
        }
    };
    fs::write(&path, bytes).unwrap();
    let good = |select: &Option<&str>| {
        load_archive(&scratch.store, &path, *select, &scratch.limits)
            .is_ok_and(|image| check(&scratch, &image))
    };
    let count = [None, Some("latest")].iter().filter(|select| good(select)).count();
    scratch.check_nothing_outside();
    count
}

/// Layers from lines: `KIND [MODE ]NAME[|LINK or content]`, and `---` between layers. KIND is a tar
/// type flag (`0` file, `1` hard link, `2` symbolic link, `5` folder …), `x` a PAX record.
pub(crate) fn layer(data: &[u8]) {
    unpack_lines(data);
}

fn unpack_lines(data: &[u8]) -> bool {
    let mut layers = vec![Tar::default()];
    for line in data.split(|b| *b == b'\n').take(400) {
        if line == b"---" {
            if layers.len() < 6 {
                layers.push(Tar::default());
            }
            continue;
        }
        let [kind, b' ', rest @ ..] = line else { continue };
        let tar = layers.last_mut().unwrap();
        if *kind == b'x' {
            tar.pax(rest);
            continue;
        }
        let (mode, rest) = mode_of(rest);
        let cut = rest.iter().position(|b| *b == b'|').unwrap_or(rest.len());
        let (name, value) = (&rest[..cut], rest.get(cut + 1..).unwrap_or_default());
        let (link, content): (&[u8], &[u8]) =
            if *kind == b'0' { (b"", value) } else { (value, b"") };
        tar.entry(*kind, mode, name, link, content);
    }
    let layers: Vec<_> = layers.into_iter().map(Tar::finish).map(|tar| (LAYER, tar)).collect();
    unpack_layers(&layers)
}

fn mode_of(line: &[u8]) -> (u32, &[u8]) {
    let cut = line.iter().position(|b| *b == b' ');
    let mode = cut.and_then(|cut| std::str::from_utf8(&line[..cut]).ok());
    match (mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()), cut) {
        (Some(mode), Some(cut)) => (mode, &line[cut + 1..]),
        _ => (0o755, line),
    }
}

/// One layer as it is: the first byte chooses its media type.
pub(crate) fn layer_raw(data: &[u8]) {
    unpack_raw(data);
}

fn unpack_raw(data: &[u8]) -> bool {
    let Some((kind, bytes)) = data.split_first() else { return false };
    let media_type = match kind % 4 {
        0 => LAYER,
        1 => "application/vnd.oci.image.layer.v1.tar+gzip",
        2 => "application/vnd.oci.image.layer.v1.tar+zstd",
        _ => "application/vnd.docker.image.rootfs.diff.tar.gzip",
    };
    unpack_layers(&[(media_type, bytes.to_vec())])
}

fn unpack_layers(layers: &[(&str, Vec<u8>)]) -> bool {
    let scratch = Scratch::new();
    let put = |bytes: &[u8]| scratch.store.put(bytes).unwrap();
    let diff_ids: Vec<_> =
        layers.iter().map(|(kind, bytes)| Digest::of(&plain(kind, bytes))).collect();
    let descriptor = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": put(bytes), "size": bytes.len() });
    let (os, architecture) =
        ("linux", if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" });
    let config = serde_json::to_vec(&json!({
        "architecture": architecture, "os": os,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }))
    .unwrap();
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": layers.iter().map(|(kind, bytes)| descriptor(kind, bytes)).collect::<Vec<_>>(),
    }))
    .unwrap();
    let digest = put(&manifest);
    match Image::from_store(&scratch.store, &digest, &scratch.limits) {
        Ok(Some(image)) => check(&scratch, &image),
        _ => false,
    }
}

/// What a compressed layer holds, as far as it goes; the product checks the digest itself.
fn plain(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let most = 2 << 20;
    if kind.ends_with("gzip") {
        let _ = flate2::bufread::MultiGzDecoder::new(bytes).take(most).read_to_end(&mut out);
    } else if kind.ends_with("zstd") {
        if let Ok(stream) = zstd::stream::read::Decoder::with_buffer(bytes) {
            let _ = stream.take(most).read_to_end(&mut out);
        }
    } else {
        out.extend_from_slice(bytes);
    }
    out
}

/// Unpacks, and says whether that succeeded.
fn check(scratch: &Scratch, image: &Image) -> bool {
    let dest = scratch.path("dest");
    let unpacked = unpack(&scratch.store, image, &dest, &scratch.limits);
    scratch.check_nothing_outside();
    match unpacked {
        Ok(_) => scratch.check_root(&dest),
        Err(err) => {
            assert!(err.to_string().len() < 16 << 10, "a long message");
            assert!(!dest.exists(), "a failed unpacking leaves something behind");
        }
    }
    let succeeded = dest.exists();
    let _ = fs::remove_dir_all(&dest);
    succeeded
}

#[cfg(test)]
mod tests;
