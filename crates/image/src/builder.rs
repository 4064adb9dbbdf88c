//! [`ImageBuilder`]: images from files, without an engine.
//!
//! The same input gives the same bytes, on any machine: entries are sorted, times fixed, owners 0,
//! and nothing of this machine is written down.

mod tree;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression as Level, GzBuilder, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    Digest, Error, ExposedPort, Image, ImageConfig, Limits, Result, Store,
    digest::HashWriter,
    image::{Document, parse_document, platform},
    spec::{
        Config, ConfigFile, DOCKER_CONFIG, Descriptor, Manifest, OCI_CONFIG, OCI_LAYER_GZIP,
        OCI_MANIFEST, RootFs,
    },
    store::BlobWriter,
};

/// Makes an image from directories and files, optionally on top of another image.
///
/// ```no_run
/// # fn main() -> casemate_image::Result<()> {
/// use casemate_image::{ExposedPort, ImageBuilder, Limits, Store};
///
/// let store = Store::open("images")?;
/// let image = ImageBuilder::from_directory("root")
///     .entrypoint(["/bin/guestbook"])
///     .exposed_port(ExposedPort::tcp(8080))
///     .build(&store, &Limits::default())?;
/// println!("{}", image.manifest_digest);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ImageBuilder {
    base: Option<Image>,
    layers: Vec<Source>,
    config: Vec<Change>,
    mtime: u64,
}

#[derive(Clone, Debug)]
enum Source {
    Directory(PathBuf),
    Files(Vec<BuildFile>),
}

/// A single file for a layer.
#[derive(Clone, Debug)]
pub struct BuildFile {
    /// Where in the image, absolute.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
}

/// Content of a [`BuildFile`].
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The content of this file.
    File(PathBuf),
    /// A symbolic link to this target.
    Symlink(String),
    /// An empty directory.
    Directory,
}

#[derive(Clone, Debug)]
enum Change {
    Entrypoint(Vec<String>),
    Cmd(Vec<String>),
    Env(String, String),
    WorkingDir(String),
    User(String),
    Port(ExposedPort),
    StopSignal(String),
    Label(String, String),
}

impl ImageBuilder {
    /// An image of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// An image with the content of this directory as its root.
    pub fn from_directory(root: impl Into<PathBuf>) -> Self {
        Self::new().directory(root)
    }

    /// Puts the layers on top of this image and starts from its configuration. Its blobs must be
    /// in the store that the image is built in.
    #[must_use]
    pub fn base(mut self, base: Image) -> Self {
        self.base = Some(base);
        self
    }

    /// Adds a layer with the content of this directory.
    ///
    /// Symbolic links are kept as they are, hard links too; owners become 0, times the same for
    /// all. Device nodes, FIFOs and sockets are errors.
    #[must_use]
    pub fn directory(mut self, root: impl Into<PathBuf>) -> Self {
        self.layers.push(Source::Directory(root.into()));
        self
    }

    /// Adds a layer with these files. Directories on the way to them are taken from the layers
    /// below, or made when the image is unpacked.
    #[must_use]
    pub fn files(mut self, files: impl IntoIterator<Item = BuildFile>) -> Self {
        self.layers.push(Source::Files(files.into_iter().collect()));
        self
    }

    /// Sets the program and its first arguments; the base's `cmd` is dropped with it.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(self, words: impl IntoIterator<Item = S>) -> Self {
        self.change(Change::Entrypoint(words.into_iter().map(Into::into).collect()))
    }

    /// Sets the default arguments.
    #[must_use]
    pub fn cmd<S: Into<String>>(self, words: impl IntoIterator<Item = S>) -> Self {
        self.change(Change::Cmd(words.into_iter().map(Into::into).collect()))
    }

    /// Sets a variable; one of the base with this name is replaced.
    #[must_use]
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(Change::Env(name.into(), value.into()))
    }

    /// Sets the working directory.
    #[must_use]
    pub fn working_dir(self, path: impl Into<String>) -> Self {
        self.change(Change::WorkingDir(path.into()))
    }

    /// Sets the user, as `user[:group]`.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        self.change(Change::User(user.into()))
    }

    /// Adds a port that the image listens on.
    #[must_use]
    pub fn exposed_port(self, port: ExposedPort) -> Self {
        self.change(Change::Port(port))
    }

    /// Sets the signal that stops the app, as `SIGTERM`.
    #[must_use]
    pub fn stop_signal(self, signal: impl Into<String>) -> Self {
        self.change(Change::StopSignal(signal.into()))
    }

    /// Sets a label.
    #[must_use]
    pub fn label(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(Change::Label(name.into(), value.into()))
    }

    /// Sets all of a configuration at once.
    #[must_use]
    pub fn config(mut self, config: ImageConfig) -> Self {
        self = self.entrypoint(config.entrypoint).cmd(config.cmd);
        for variable in &config.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            self = self.env(name, value);
        }
        self = self.working_dir(config.working_dir).user(config.user);
        for port in config.exposed_ports {
            self = self.exposed_port(port);
        }
        match config.stop_signal {
            Some(signal) => self.stop_signal(signal),
            None => self,
        }
    }

    /// Time of all files and of the image, in seconds since 1970 (which is the default), as
    /// `SOURCE_DATE_EPOCH` gives it.
    #[must_use]
    pub fn mtime(mut self, seconds: u64) -> Self {
        self.mtime = seconds;
        self
    }

    /// Builds the image into the store.
    ///
    /// # Errors
    /// [`Error::BuildInput`] names the file that can't be taken.
    pub fn build(self, store: &Store, limits: &Limits) -> Result<Image> {
        let _shared = store.share()?;
        let (mut layers, mut file) = match &self.base {
            Some(base) => base_of(store, base, limits)?,
            None => {
                let (os, architecture) = platform();
                let file = ConfigFile {
                    architecture: architecture.to_owned(),
                    os: os.to_owned(),
                    config: None,
                    rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
                    history: Some(Vec::new()),
                    other: Default::default(),
                };
                (Vec::new(), file)
            }
        };
        let created = rfc3339(self.mtime);
        file.other.insert("created".to_owned(), Value::String(created.clone()));
        for source in &self.layers {
            let (diff_id, descriptor) = layer(store, source, self.mtime, limits)?;
            layers.push(descriptor);
            file.rootfs.diff_ids.push(diff_id);
            if let Some(history) = &mut file.history {
                history.push(json!({ "created": created, "created_by": "casemate" }));
            }
        }
        let mut config = file.config.take().unwrap_or_default();
        self.config.into_iter().for_each(|change| apply(change, &mut config));
        file.config = Some(config);
        let to_json = |err| Error::json("image configuration", &err);
        let bytes = serde_json::to_vec(&file).map_err(to_json)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(OCI_MANIFEST.to_owned()),
            config: Descriptor {
                media_type: OCI_CONFIG.to_owned(),
                digest: store.put(&bytes)?,
                size: bytes.len() as u64,
                platform: None,
                annotations: None,
            },
            layers,
        };
        let bytes = serde_json::to_vec(&manifest).map_err(to_json)?;
        let digest = store.put(&bytes)?;
        crate::image::check_manifest(&manifest, limits, "the built image")?;
        Image::assemble(store, digest, &manifest, limits, "the built image")
    }

    fn change(mut self, change: Change) -> Self {
        self.config.push(change);
        self
    }
}

/// Layers and configuration to start from. Docker's names for things become OCI's: one manifest
/// may not mix them.
fn base_of(store: &Store, base: &Image, limits: &Limits) -> Result<(Vec<Descriptor>, ConfigFile)> {
    let what = format!("base image {}", base.manifest_digest);
    let bytes = store.read(&base.manifest_digest, limits.manifest_bytes_max)?;
    let Document::Manifest(mut manifest) = parse_document(&bytes, &what)? else {
        return Err(crate::image::nested(&what));
    };
    for layer in &mut manifest.layers {
        if !store.has_sized(&layer.digest, layer.size)? {
            return Err(Error::MissingBlob(layer.digest));
        }
        layer.media_type = match layer.media_type.as_str() {
            "application/vnd.docker.image.rootfs.diff.tar.gzip" => OCI_LAYER_GZIP.to_owned(),
            "application/vnd.docker.image.rootfs.diff.tar" => crate::spec::OCI_LAYER.to_owned(),
            "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
                format!("{}+zstd", crate::spec::OCI_LAYER)
            }
            _ => continue,
        };
    }
    if ![OCI_CONFIG, DOCKER_CONFIG].contains(&manifest.config.media_type.as_str()) {
        return Err(Error::Unsupported {
            what,
            reason: "it is no container image (its configuration has another media type)"
                .to_owned(),
        });
    }
    let bytes = store.read(&manifest.config.digest, limits.manifest_bytes_max)?;
    let file = serde_json::from_slice(&bytes).map_err(|err| Error::json(what, &err))?;
    Ok((manifest.layers, file))
}

fn layer(
    store: &Store,
    source: &Source,
    mtime: u64,
    limits: &Limits,
) -> Result<(Digest, Descriptor)> {
    let blob = store.writer(limits.blob_bytes_max)?;
    let failed = |err: io::Error, path: &Path| Error::io("write a layer for", path, err);
    // No name, no time: both would be in the digest.
    let gzip = GzBuilder::new().mtime(0).write(blob, Level::new(6));
    let mut archive = tar::Builder::new(HashWriter::new(gzip));
    match source {
        Source::Directory(root) => tree::append_directory(&mut archive, root, mtime)?,
        Source::Files(files) => tree::append_files(&mut archive, files, mtime)?,
    }
    let finished = archive
        .into_inner()
        .and_then(|mut out| out.flush().map(|()| out))
        .map(HashWriter::finish)
        .and_then(|(gzip, diff_id, _): (GzEncoder<BlobWriter>, _, _)| {
            Ok((gzip.finish()?, diff_id))
        });
    let (blob, diff_id) = finished.map_err(|err| failed(err, store.root()))?;
    let (digest, size) = blob.commit_any()?;
    let descriptor = Descriptor {
        media_type: OCI_LAYER_GZIP.to_owned(),
        digest,
        size,
        platform: None,
        annotations: None,
    };
    Ok((diff_id, descriptor))
}

fn apply(change: Change, config: &mut Config) {
    match change {
        Change::Entrypoint(words) => {
            config.entrypoint = Some(words);
            config.cmd = None;
        }
        Change::Cmd(words) => config.cmd = Some(words),
        Change::Env(name, value) => {
            let env = config.env.get_or_insert_default();
            let prefix = format!("{name}=");
            env.retain(|variable| !variable.starts_with(&prefix));
            env.push(format!("{prefix}{value}"));
        }
        Change::WorkingDir(path) => config.working_dir = Some(path),
        Change::User(user) => config.user = Some(user),
        Change::Port(port) => {
            config.exposed_ports.get_or_insert_default().insert(port.to_string(), json!({}));
        }
        Change::StopSignal(signal) => config.stop_signal = Some(signal),
        Change::Label(name, value) => {
            let labels = config.other.entry("Labels".to_owned()).or_insert_with(|| json!({}));
            // `null` is how Docker writes no labels.
            if !labels.is_object() {
                *labels = json!({});
            }
            labels[name] = Value::String(value);
        }
    }
}

/// Seconds since 1970 as RFC 3339 has them (days to date after Howard Hinnant).
fn rfc3339(seconds: u64) -> String {
    // Beyond the year 9999 the format has no way to write it.
    let seconds = seconds.min(253_402_300_799);
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
