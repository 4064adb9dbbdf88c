//! What the unit tests share: a store in a temporary directory, and images of any hostile bytes.

use std::{io::Write, path::PathBuf};

use serde_json::json;
use tar::{EntryType, Header};
use tempfile::TempDir;

use crate::{Digest, Image, Layer, Limits, Result, Store, Unpacked, image::platform, unpack};

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) limits: Limits,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        Self { dir, store, limits: Limits::default() }
    }

    pub(crate) fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    /// An image of these plain tar layers.
    pub(crate) fn image(&self, layers: &[Vec<u8>]) -> Image {
        let layers: Vec<_> = layers.iter().map(|tar| (TAR, tar.clone(), Digest::of(tar))).collect();
        self.image_of(&layers)
    }

    /// An image of these blobs: media type, bytes as transferred, digest of the plain tar.
    pub(crate) fn image_of(&self, layers: &[(&str, Vec<u8>, Digest)]) -> Image {
        let (os, architecture) = platform();
        let diff_ids: Vec<_> = layers.iter().map(|(_, _, diff_id)| diff_id).collect();
        let config = json!({
            "architecture": architecture,
            "os": os,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = serde_json::to_vec(&config).unwrap();
        let descriptors: Vec<_> = layers
            .iter()
            .map(|(media_type, bytes, _)| {
                let digest = self.store.put(bytes).unwrap();
                json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": crate::spec::OCI_MANIFEST,
            "config": {
                "mediaType": crate::spec::OCI_CONFIG,
                "digest": self.store.put(&config).unwrap(),
                "size": config.len(),
            },
            "layers": descriptors,
        });
        let digest = self.store.put(&serde_json::to_vec(&manifest).unwrap()).unwrap();
        Image::from_store(&self.store, &digest, &self.limits).unwrap().unwrap()
    }

    pub(crate) fn unpack(&self, layers: &[Vec<u8>]) -> Result<Unpacked> {
        let image = self.image(layers);
        unpack(&self.store, &image, &self.dest(), &self.limits)
    }

    pub(crate) fn layer_paths(&self, image: &Image) -> Vec<PathBuf> {
        image.layers.iter().map(|Layer { digest, .. }| self.store.blob_path(digest)).collect()
    }
}

pub(crate) const TAR: &str = crate::spec::OCI_LAYER;

/// A tar archive under construction, with whatever names and sizes a test wants.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn header(kind: EntryType, name: &[u8], link: &[u8], size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
        header.as_mut_bytes()[157..157 + link.len().min(100)]
            .copy_from_slice(&link[..link.len().min(100)]);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_mtime(1_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    pub(crate) fn with(mut self, mut header: Header, content: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn raw(self, kind: EntryType, name: &[u8], link: &[u8], content: &[u8]) -> Self {
        self.with(Self::header(kind, name, link, content.len() as u64), content)
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.raw(EntryType::Regular, name.as_bytes(), b"", content.as_bytes())
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.raw(EntryType::Directory, name.as_bytes(), b"", b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, name.as_bytes(), target.as_bytes(), b"")
    }

    pub(crate) fn hardlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Link, name.as_bytes(), target.as_bytes(), b"")
    }

    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            content.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
        }
        self.raw(EntryType::XHeader, b"pax", b"", &content)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
