//! [`Image`]: a manifest and its configuration, checked against each other.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Digest, Error, Result,
    error::printable,
    spec::{
        ConfigFile, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Index, Manifest, OCI_INDEX,
        OCI_MANIFEST, Probe,
    },
};
#[cfg(feature = "store")]
use crate::{Limits, Store};

/// An image whose manifest and configuration are in a store and fit together.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Image {
    /// Digest of the manifest for this machine's platform (not of the index that lists it).
    pub manifest_digest: Digest,
    /// Digest of the configuration.
    pub config_digest: Digest,
    /// How the image wants to be run.
    pub config: ImageConfig,
    /// From the lowest to the topmost.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Layer {
    /// Digest as transferred.
    pub digest: Digest,
    /// Media type; it says how the layer is compressed.
    pub media_type: String,
    /// Bytes as transferred.
    pub size: u64,
    /// Digest of the uncompressed tar archive.
    pub diff_id: Digest,
}

/// How an image wants to be run. The caller decides what to take over.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ImageConfig {
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments (or program, where there is no entry point).
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory; empty means `/`.
    pub working_dir: String,
    /// `user[:group]` by name or number; empty means root.
    pub user: String,
    /// Ports that the image says it listens on; what can't be read is left out.
    pub exposed_ports: Vec<ExposedPort>,
    /// Signal that stops it, as `SIGTERM` or a number.
    pub stop_signal: Option<String>,
}

/// Transport of an [`ExposedPort`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port that an image says it listens on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExposedPort {
    /// Number.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
}

impl ExposedPort {
    /// A TCP port.
    pub const fn tcp(port: u16) -> Self {
        Self { port, protocol: Protocol::Tcp }
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.port)
    }
}

impl FromStr for ExposedPort {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        let (port, protocol) = match s.split_once('/') {
            None | Some((_, "tcp")) => (s.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((port, "udp")) => (port, Protocol::Udp),
            Some((port, "sctp")) => (port, Protocol::Sctp),
            Some(_) => return Err(()),
        };
        Ok(Self { port: port.parse().map_err(|_| ())?, protocol })
    }
}

#[cfg(feature = "store")]
impl Image {
    /// The image with this digest (of its manifest, or of an index), if all of it is in the store.
    ///
    /// # Errors
    /// What is there but damaged, or not for this machine, is an error, not `None`.
    pub fn from_store(store: &Store, digest: &Digest, limits: &Limits) -> Result<Option<Self>> {
        let what = format!("image {digest}");
        let Some((manifest_digest, manifest)) = stored_manifest(store, *digest, limits, &what)?
        else {
            return Ok(None);
        };
        check_manifest(&manifest, limits, &what)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            if !store.has_sized(&blob.digest, blob.size)? {
                return Ok(None);
            }
        }
        Self::assemble(store, manifest_digest, &manifest, limits, &what).map(Some)
    }

    /// Checks manifest against configuration, which must be in the store.
    pub(crate) fn assemble(
        store: &Store,
        manifest_digest: Digest,
        manifest: &Manifest,
        limits: &Limits,
        what: &str,
    ) -> Result<Self> {
        let bytes = store.read(&manifest.config.digest, limits.manifest_bytes_max)?;
        let file = parse_config(&bytes, manifest, what)?;
        let layers = manifest
            .layers
            .iter()
            .zip(&file.diff_ids)
            .map(|(layer, diff_id)| Layer {
                digest: layer.digest,
                media_type: layer.media_type.clone(),
                size: layer.size,
                diff_id: *diff_id,
            })
            .collect();
        Ok(Self {
            manifest_digest,
            config_digest: manifest.config.digest,
            config: file.config,
            layers,
        })
    }
}

/// A configuration that fits its manifest.
pub(crate) struct ParsedConfig {
    pub(crate) config: ImageConfig,
    #[cfg(feature = "store")]
    pub(crate) diff_ids: Vec<Digest>,
}

/// Reads a configuration, for this machine's platform.
pub(crate) fn parse_config(bytes: &[u8], manifest: &Manifest, what: &str) -> Result<ParsedConfig> {
    let what_config = format!("configuration {} of {what}", manifest.config.digest);
    let file: ConfigFile =
        serde_json::from_slice(bytes).map_err(|err| Error::json(&what_config, &err))?;
    let wanted = platform();
    for (found, wanted) in [(&file.os, wanted.0), (&file.architecture, wanted.1)] {
        if !found.is_empty() && found != wanted {
            return Err(Error::NoPlatform {
                what: what.to_owned(),
                wanted: platform_text(),
                available: printable(format!("{}/{}", file.os, file.architecture).as_bytes(), 60),
            });
        }
    }
    if file.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(Error::Json {
            what: what_config,
            reason: format!(
                "it lists {} layers, the manifest {}",
                file.rootfs.diff_ids.len(),
                manifest.layers.len()
            ),
        });
    }
    let config = file.config.unwrap_or_default();
    let exposed_ports = config.exposed_ports.unwrap_or_default();
    Ok(ParsedConfig {
        config: ImageConfig {
            entrypoint: config.entrypoint.unwrap_or_default(),
            cmd: config.cmd.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            working_dir: config.working_dir.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            exposed_ports: exposed_ports.keys().filter_map(|port| port.parse().ok()).collect(),
            stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
        },
        #[cfg(feature = "store")]
        diff_ids: file.rootfs.diff_ids,
    })
}

/// A manifest, or an index of manifests by platform.
pub(crate) enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// Reads a manifest or an index, whichever it is.
///
/// A document that could be read as both is refused: two readers might disagree about it.
pub(crate) fn parse_document(bytes: &[u8], what: &str) -> Result<Document> {
    let json = |err: serde_json::Error| Error::json(format!("manifest of {what}"), &err);
    let probe: Probe = serde_json::from_slice(bytes).map_err(json)?;
    let unsupported = |reason: String| Error::Unsupported { what: what.to_owned(), reason };
    if probe.schema_version != Some(2) {
        return Err(unsupported(
            "only manifests with `schemaVersion` 2 are accepted; push it with a current tool"
                .to_owned(),
        ));
    }
    let is_index = match (&probe.manifests, &probe.config) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        _ => {
            return Err(unsupported(
                "it is neither a manifest (with `config`) nor an index (with `manifests`)"
                    .to_owned(),
            ));
        }
    };
    let allowed =
        if is_index { [OCI_INDEX, DOCKER_INDEX] } else { [OCI_MANIFEST, DOCKER_MANIFEST] };
    if let Some(media_type) = &probe.media_type
        && !allowed.contains(&media_type.as_str())
    {
        return Err(unsupported(format!(
            "media type `{}` does not fit its content (expected {} or {})",
            printable(media_type.as_bytes(), 100),
            allowed[0],
            allowed[1]
        )));
    }
    Ok(if is_index {
        Document::Index(serde_json::from_slice(bytes).map_err(json)?)
    } else {
        Document::Manifest(serde_json::from_slice(bytes).map_err(json)?)
    })
}

/// The entry of an index for this machine.
pub(crate) fn select_platform<'a>(index: &'a Index, what: &str) -> Result<&'a Descriptor> {
    let (os, architecture) = platform();
    let is_manifest = |d: &&Descriptor| {
        d.media_type.is_empty() || [OCI_MANIFEST, DOCKER_MANIFEST].contains(&d.media_type.as_str())
    };
    let matching = index.manifests.iter().filter(is_manifest).find(|d| {
        d.platform.as_ref().is_some_and(|p| p.os == os && p.architecture == architecture)
    });
    // An index without platforms has one image; its configuration tells the platform.
    let only = || match index.manifests.as_slice() {
        [only] if only.platform.is_none() && is_manifest(&only) => Some(only),
        _ => None,
    };
    matching.or_else(only).ok_or_else(|| {
        let available = index
            .manifests
            .iter()
            .filter_map(|d| d.platform.as_ref())
            .map(|p| format!("{}/{}", p.os, p.architecture))
            .collect::<Vec<_>>()
            .join(", ");
        Error::NoPlatform {
            what: what.to_owned(),
            wanted: platform_text(),
            available: printable(available.as_bytes(), 300),
        }
    })
}

/// Checks sizes and kinds, so that nothing is fetched for an image that can't be taken.
#[cfg(feature = "store")]
pub(crate) fn check_manifest(manifest: &Manifest, limits: &Limits, what: &str) -> Result<()> {
    let over = |part: String, found, limit| {
        if found > limit { Err(Error::limit(part, found, limit)) } else { Ok(()) }
    };
    over(
        format!("number of layers of {what}"),
        manifest.layers.len() as u64,
        limits.layers_max as u64,
    )?;
    over(format!("configuration size of {what}"), manifest.config.size, limits.manifest_bytes_max)?;
    let mut sum = 0_u64;
    for layer in &manifest.layers {
        Compression::of(&layer.media_type, &layer.digest)?;
        over(
            format!("size of layer {} of {what}", layer.digest),
            layer.size,
            limits.blob_bytes_max,
        )?;
        sum = sum.saturating_add(layer.size);
    }
    over(format!("size of all layers of {what}"), sum, limits.image_bytes_max)
}

/// The same for an image whose caller may have other limits than the one who fetched it.
#[cfg(feature = "store")]
pub(crate) fn check_layers(image: &Image, limits: &Limits) -> Result<()> {
    let found = image.layers.len() as u64;
    if found > limits.layers_max as u64 {
        let what = format!("number of layers of image {}", image.manifest_digest);
        return Err(Error::limit(what, found, limits.layers_max as u64));
    }
    Ok(())
}

#[cfg(feature = "store")]
fn stored_manifest(
    store: &Store,
    digest: Digest,
    limits: &Limits,
    what: &str,
) -> Result<Option<(Digest, Manifest)>> {
    if !store.has(&digest)? {
        return Ok(None);
    }
    let bytes = store.read(&digest, limits.manifest_bytes_max)?;
    let entry = match parse_document(&bytes, what)? {
        Document::Manifest(manifest) => return Ok(Some((digest, manifest))),
        Document::Index(index) => select_platform(&index, what)?.digest,
    };
    if !store.has(&entry)? {
        return Ok(None);
    }
    let bytes = store.read(&entry, limits.manifest_bytes_max)?;
    match parse_document(&bytes, what)? {
        Document::Manifest(manifest) => Ok(Some((entry, manifest))),
        Document::Index(_) => Err(nested(what)),
    }
}

pub(crate) fn nested(what: &str) -> Error {
    Error::Unsupported {
        what: what.to_owned(),
        reason: "its index lists another index for this platform; only one level is accepted"
            .to_owned(),
    }
}

/// How a layer is compressed.
#[cfg(feature = "store")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

#[cfg(feature = "store")]
impl Compression {
    pub(crate) fn of(media_type: &str, layer: &Digest) -> Result<Self> {
        Ok(match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Self::None,
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Self::Gzip,
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Self::Zstd,
            other => {
                return Err(Error::Unsupported {
                    what: format!("layer {layer}"),
                    reason: format!(
                        "media type `{}` is not a tar layer, plain or with gzip or zstd",
                        printable(other.as_bytes(), 100)
                    ),
                });
            }
        })
    }
}

/// Operating system and architecture of this machine, in the names of the specification.
pub(crate) fn platform() -> (&'static str, &'static str) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    ("linux", architecture)
}

fn platform_text() -> String {
    let (os, architecture) = platform();
    format!("{os}/{architecture}")
}

#[cfg(test)]
mod tests;
