//! Images in files: OCI layouts (directories), archives of them, and `docker save` archives.

mod archive;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde_json::json;

use self::archive::Archived;
use crate::{
    Digest, Error, Image, Limits, Result, Store,
    error::{check_absent_or_empty, printable},
    image::{Document, check_manifest, nested, parse_document, platform, select_platform},
    reference::is_tag,
    spec::{
        ConfigFile, DOCKER_INDEX, Descriptor, DockerArchiveEntry, Index, Manifest, OCI_CONFIG,
        OCI_INDEX, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST, Platform, REF_NAME,
    },
};

/// Loads an image from an OCI layout directory into the store.
///
/// `select` is a tag or a digest; it may be left out where the layout has one image.
///
/// # Errors
/// [`Error::NotAnImage`] where it is no layout, [`Error::NotInLayout`] with what there is; digests
/// and sizes of all blobs are checked as in [`pull`](crate::pull()).
pub fn load_layout(
    store: &Store,
    path: &Path,
    select: Option<&str>,
    limits: &Limits,
) -> Result<Image> {
    let _shared = store.share()?;
    load(store, &Directory(path), path, select, limits)
}

/// Loads an image from a tar archive: of an OCI layout, or as `docker save` writes it; plain or
/// compressed with gzip.
///
/// # Errors
/// As for [`load_layout`].
pub fn load_archive(
    store: &Store,
    path: &Path,
    select: Option<&str>,
    limits: &Limits,
) -> Result<Image> {
    let _shared = store.share()?;
    let archived = Archived::read(store, path, limits)?;
    if archived.has("index.json") {
        load(store, &archived, path, select, limits)
    } else {
        load_docker(store, &archived, path, select, limits)
    }
}

/// Writes an image as an OCI layout into a directory that is new or empty.
pub fn export_layout(store: &Store, image: &Image, path: &Path, tag: &str) -> Result<()> {
    if !is_tag(tag) {
        return Err(Error::Unsupported {
            what: format!("tag `{}`", printable(tag.as_bytes(), 130)),
            reason: "a tag is 1 to 128 of `A-Za-z0-9_.-`".to_owned(),
        });
    }
    let _shared = store.share()?;
    check_absent_or_empty(path)?;
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(|err| Error::io("create", &blobs, err))?;
    let bytes_max = Limits::default().manifest_bytes_max;
    let manifest = store.read(&image.manifest_digest, bytes_max)?;
    let layers = image.layers.iter().map(|layer| &layer.digest);
    for digest in layers.chain([&image.config_digest, &image.manifest_digest]) {
        store.verify(digest)?;
        let to = blobs.join(digest.hex());
        fs::copy(store.blob_path(digest), &to).map_err(|err| Error::io("write", to, err))?;
    }
    let (os, architecture) = platform();
    let index = Index {
        schema_version: 2,
        media_type: Some(OCI_INDEX.to_owned()),
        manifests: vec![Descriptor {
            media_type: media_type_of(&manifest),
            digest: image.manifest_digest,
            size: manifest.len() as u64,
            platform: Some(Platform {
                architecture: architecture.to_owned(),
                os: os.to_owned(),
                variant: None,
            }),
            annotations: Some([(REF_NAME.to_owned(), tag.to_owned())].into()),
        }],
    };
    let json = |value| {
        serde_json::to_vec(value).map_err(|err: serde_json::Error| Error::json("layout", &err))
    };
    // The index last: without it there is no layout.
    for (name, bytes) in [
        ("oci-layout", json(&json!({ "imageLayoutVersion": "1.0.0" }))?),
        ("index.json", serde_json::to_vec(&index).map_err(|err| Error::json("layout", &err))?),
    ] {
        let to = path.join(name);
        fs::write(&to, bytes).map_err(|err| Error::io("write", to, err))?;
    }
    Ok(())
}

/// Files of a layout by name, wherever they are.
trait Files {
    fn open(&self, name: &str) -> Result<Option<File>>;
}

struct Directory<'a>(&'a Path);

impl Files for Directory<'_> {
    fn open(&self, name: &str) -> Result<Option<File>> {
        let path = self.0.join(name);
        // A FIFO in place of a file must not wait for a writer.
        let file = match OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(Error::io("open", path, err)),
        };
        match file.metadata() {
            Ok(meta) if meta.is_file() => Ok(Some(file)),
            Ok(_) => Err(Error::NotAnImage {
                path: self.0.to_owned(),
                reason: format!("`{name}` is not a file"),
            }),
            Err(err) => Err(Error::io("examine", path, err)),
        }
    }
}

fn load(
    store: &Store,
    files: &dyn Files,
    path: &Path,
    select: Option<&str>,
    limits: &Limits,
) -> Result<Image> {
    let not = |reason: &str| Error::NotAnImage { path: path.to_owned(), reason: reason.to_owned() };
    let bytes =
        small(files, "index.json", path, limits)?.ok_or_else(|| not("it has no `index.json`"))?;
    let what = path.display().to_string();
    let Document::Index(index) = parse_document(&bytes, &what)? else {
        return Err(not("its `index.json` is not an index"));
    };
    let mut entry = choose(&index, path, select)?.clone();
    let mut documents = Vec::new();
    let manifest = loop {
        let bytes = small_blob(files, &entry, path, limits)?;
        let document = parse_document(&bytes, &what)?;
        documents.push(bytes);
        match document {
            Document::Manifest(manifest) => break manifest,
            Document::Index(_) if documents.len() > 1 => return Err(nested(&what)),
            Document::Index(index) => entry = select_platform(&index, &what)?.clone(),
        }
    };
    check_manifest(&manifest, limits, &what)?;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        if store.has_sized(&blob.digest, blob.size)? {
            continue;
        }
        let name = format!("blobs/sha256/{}", blob.digest.hex());
        let file = files.open(&name)?.ok_or_else(|| not(&format!("it has no `{name}`")))?;
        let part = format!("blob {} of {what}", blob.digest);
        let actual = file.metadata().map_err(|err| Error::io("examine", path, err))?.len();
        if actual != blob.size {
            return Err(Error::SizeMismatch { what: part, expected: blob.size, actual });
        }
        let mut writer = store.writer(blob.size)?;
        io::copy(&mut file.take(blob.size), &mut writer).map_err(|err| writer.error(err))?;
        writer.commit(&part, &blob.digest, blob.size)?;
    }
    for bytes in documents.iter().rev() {
        store.put(bytes)?;
    }
    Image::assemble(store, entry.digest, &manifest, limits, &what)
}

/// The entry that the caller means.
fn choose<'a>(index: &'a Index, path: &Path, select: Option<&str>) -> Result<&'a Descriptor> {
    let name = |entry: &'a Descriptor| entry.annotations.as_ref()?.get(REF_NAME);
    let found = match select {
        Some(select) => {
            let digest = select.parse::<Digest>().ok();
            index.manifests.iter().find(|entry| {
                digest == Some(entry.digest)
                    || name(entry).is_some_and(|name| {
                        // Some tools write the whole reference.
                        name == select || name.rsplit_once(':').is_some_and(|(_, t)| t == select)
                    })
            })
        }
        None => match index.manifests.as_slice() {
            [only] => Some(only),
            // Several entries without names may be one image for several platforms.
            several if !several.is_empty() && several.iter().all(|e| name(e).is_none()) => {
                Some(select_platform(index, &path.display().to_string())?)
            }
            _ => None,
        },
    };
    found.ok_or_else(|| {
        let available = index
            .manifests
            .iter()
            .map(|entry| name(entry).cloned().unwrap_or_else(|| entry.digest.to_string()))
            .collect::<Vec<_>>()
            .join(", ");
        Error::NotInLayout {
            path: path.to_owned(),
            wanted: match select {
                Some(select) => format!("`{}`", printable(select.as_bytes(), 200)),
                None => "that is meant; name a tag or a digest".to_owned(),
            },
            available: printable(available.as_bytes(), 500),
        }
    })
}

/// `docker save`: one manifest of ours is made for what it describes in its own words.
fn load_docker(
    store: &Store,
    files: &Archived,
    path: &Path,
    select: Option<&str>,
    limits: &Limits,
) -> Result<Image> {
    let not = |reason: String| Error::NotAnImage { path: path.to_owned(), reason };
    let what = path.display().to_string();
    let bytes = small(files, "manifest.json", path, limits)?
        .ok_or_else(|| not("it has neither `index.json` nor `manifest.json`".to_owned()))?;
    let entries: Vec<DockerArchiveEntry> =
        serde_json::from_slice(&bytes).map_err(|err| Error::json(&what, &err))?;
    let tags = |entry: &DockerArchiveEntry| entry.repo_tags.clone().unwrap_or_default();
    let entry = match (select, entries.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(select), entries) => entries.iter().find(|entry| {
            tags(entry).iter().any(|name| {
                name == select || name.rsplit_once(':').is_some_and(|(_, t)| t == select)
            })
        }),
    };
    let entry = entry.ok_or_else(|| Error::NotInLayout {
        path: path.to_owned(),
        wanted: match select {
            Some(select) => format!("`{}`", printable(select.as_bytes(), 200)),
            None => "that is meant; name a tag".to_owned(),
        },
        available: printable(
            entries.iter().flat_map(tags).collect::<Vec<_>>().join(", ").as_bytes(),
            500,
        ),
    })?;
    let missing = |name: &str| not(format!("it has no `{}`", printable(name.as_bytes(), 200)));
    let config =
        small(files, &entry.config, path, limits)?.ok_or_else(|| missing(&entry.config))?;
    let parsed: ConfigFile = serde_json::from_slice(&config)
        .map_err(|err| Error::json(format!("configuration in {what}"), &err))?;
    if parsed.rootfs.diff_ids.len() != entry.layers.len() {
        return Err(not("configuration and manifest list different numbers of layers".to_owned()));
    }
    let found = entry.layers.len() as u64;
    if found > limits.layers_max as u64 {
        let what = format!("number of layers of {what}");
        return Err(Error::limit(what, found, limits.layers_max as u64));
    }
    let mut layers = Vec::new();
    for (name, diff_id) in entry.layers.iter().zip(&parsed.rootfs.diff_ids) {
        let file = files.open(name)?.ok_or_else(|| missing(name))?;
        let mut magic = Vec::new();
        let io = |err| Error::io("read", path, err);
        (&file).take(2).read_to_end(&mut magic).map_err(io)?;
        let gzip = magic == GZIP_MAGIC;
        let mut writer = store.writer(limits.blob_bytes_max)?;
        io::copy(&mut magic.as_slice().chain(file), &mut writer)
            .map_err(|err| writer.error(err))?;
        let (digest, size) = if gzip {
            writer.commit_any()?
        } else {
            let size = writer.written();
            // A plain layer is its own uncompressed form, whose digest we know.
            let part = format!("layer `{}` of {what}", printable(name.as_bytes(), 200));
            writer.commit(&part, diff_id, size)?;
            (*diff_id, size)
        };
        layers.push(Descriptor {
            media_type: (if gzip { OCI_LAYER_GZIP } else { OCI_LAYER }).to_owned(),
            digest,
            size,
            platform: None,
            annotations: None,
        });
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        config: Descriptor {
            media_type: OCI_CONFIG.to_owned(),
            digest: store.put(&config)?,
            size: config.len() as u64,
            platform: None,
            annotations: None,
        },
        layers,
    };
    check_manifest(&manifest, limits, &what)?;
    let bytes = serde_json::to_vec(&manifest).map_err(|err| Error::json(&what, &err))?;
    let digest = store.put(&bytes)?;
    Image::assemble(store, digest, &manifest, limits, &what)
}

fn small(files: &dyn Files, name: &str, path: &Path, limits: &Limits) -> Result<Option<Vec<u8>>> {
    let Some(file) = files.open(name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limits.manifest_bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|err| Error::io("read", path, err))?;
    let length = bytes.len() as u64;
    if length > limits.manifest_bytes_max {
        let what = format!("size of `{name}` in {}", path.display());
        return Err(Error::limit(what, length, limits.manifest_bytes_max));
    }
    Ok(Some(bytes))
}

/// A manifest or an index by its digest.
fn small_blob(
    files: &dyn Files,
    entry: &Descriptor,
    path: &Path,
    limits: &Limits,
) -> Result<Vec<u8>> {
    let name = format!("blobs/sha256/{}", entry.digest.hex());
    let bytes = small(files, &name, path, limits)?.ok_or_else(|| Error::NotAnImage {
        path: path.to_owned(),
        reason: format!("it has no `{name}`"),
    })?;
    let what = || format!("manifest in {}", path.display());
    let (actual, length) = (Digest::of(&bytes), bytes.len() as u64);
    if actual != entry.digest {
        return Err(Error::DigestMismatch { what: what(), expected: entry.digest, actual });
    }
    if length != entry.size {
        return Err(Error::SizeMismatch { what: what(), expected: entry.size, actual: length });
    }
    Ok(bytes)
}

fn media_type_of(manifest: &[u8]) -> String {
    serde_json::from_slice::<Manifest>(manifest)
        .ok()
        .and_then(|manifest| manifest.media_type)
        .filter(|media_type| media_type != DOCKER_INDEX)
        .unwrap_or_else(|| OCI_MANIFEST.to_owned())
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const O_NONBLOCK: i32 = nix::fcntl::OFlag::O_NONBLOCK.bits();

#[cfg(test)]
mod tests;
