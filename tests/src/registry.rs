//! A container registry on loopback, and images in it.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    binaries::Binaries,
    poll::PATIENCE,
    ports::free_port,
    process::{Process, log_path, tail},
    user::run_cli,
};

/// A running `docker-registry`.
#[derive(Debug)]
pub struct Registry {
    /// `host:port`.
    pub host: String,
    storage: PathBuf,
    _process: Process,
}

/// An image in the registry.
#[derive(Clone, Debug)]
pub struct Image {
    /// Reference with its digest.
    pub reference: String,
    /// The manifest's digest, `sha256:…`.
    pub digest: String,
}

impl Registry {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let storage = folder.join("registry");
        fs::create_dir(&storage).context("cannot make the registry's folder")?;
        let config = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem:\n    \
             rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            storage.display()
        );
        fs::write(&config, text).context("cannot write the registry's configuration")?;
        let log = log_path(folder, "registry");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        let mut process = Process::start("docker-registry", &mut command, &log)
            .context("these tests need `docker-registry`: apt-get install docker-registry")?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if process.ended()?.is_some() || Instant::now() >= deadline {
                bail!("docker-registry does not start:\n{}", tail(&log, 20));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { host: format!("127.0.0.1:{port}"), storage, _process: process })
    }

    /// Packs the guest book with these options of `casemate image pack`, and pushes it.
    ///
    /// # Errors
    /// The command line refuses.
    pub fn push_guestbook(
        &self,
        binaries: &Binaries,
        folder: &Path,
        tag: &str,
        options: &[&str],
    ) -> Result<Image> {
        let root = folder.join("guestbook-root");
        for name in ["", "data", "book", "tmp"] {
            fs::create_dir_all(root.join(name)).context("cannot make the image's root")?;
        }
        fs::copy(&binaries.guestbook, root.join("guestbook")).context("cannot copy the app")?;
        self.push(binaries, folder, &root, &format!("guestbook:{tag}"), "/guestbook", options)
    }

    /// Packs `casemate-vault` and pushes it.
    ///
    /// # Errors
    /// The command line refuses.
    pub fn push_vault(&self, binaries: &Binaries, folder: &Path) -> Result<Image> {
        let root = folder.join("vault-root");
        for name in ["bin", "data", "tmp"] {
            fs::create_dir_all(root.join(name)).context("cannot make the image's root")?;
        }
        let program = "bin/casemate-vault";
        fs::copy(&binaries.vault, root.join(program)).context("cannot copy the vault")?;
        self.push(binaries, folder, &root, "vault:first", &format!("/{program}"), &[])
    }

    fn push(
        &self,
        binaries: &Binaries,
        folder: &Path,
        root: &Path,
        name: &str,
        entrypoint: &str,
        options: &[&str],
    ) -> Result<Image> {
        let layout = folder.join(name.replace(':', "-"));
        let path = |path: &Path| path.display().to_string();
        let mut pack: Vec<String> =
            ["image", "pack", "--root", &path(root), "--layout"].map(str::to_owned).into();
        pack.extend([path(&layout), "--entrypoint".into(), entrypoint.into()]);
        pack.extend(options.iter().map(|option| (*option).to_owned()));
        json(binaries, folder, &pack)?;
        let reference = format!("{}/{name}", self.host);
        let push = ["image", "push", &path(&layout), &reference, "--insecure-registry", &self.host]
            .map(str::to_owned);
        let pushed = json(binaries, folder, &push)?;
        let text = |name: &str| {
            let text = pushed[name].as_str().map(str::to_owned);
            text.with_context(|| format!("`image push` names no {name}: {pushed}"))
        };
        Ok(Image { reference: text("reference")?, digest: text("digest")? })
    }

    /// Flips a bit of an image's largest layer on the registry's disk: once spoils the image, twice
    /// mends it.
    ///
    /// # Errors
    /// The image is not there.
    pub fn flip_bit(&self, image: &Image) -> Result<()> {
        let manifest = fs::read(self.blob(&image.digest)).context("the image is not there")?;
        let manifest: Value = serde_json::from_slice(&manifest)?;
        let layers = manifest["layers"].as_array().context("the image has no layers")?;
        let layer = layers.iter().max_by_key(|layer| layer["size"].as_u64());
        let digest = layer.and_then(|l| l["digest"].as_str()).context("a layer has no digest")?;
        let path = self.blob(digest);
        let mut bytes = fs::read(&path)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes)?;
        Ok(())
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.storage.join("docker/registry/v2/blobs/sha256");
        blobs.join(hex.get(..2).unwrap_or_default()).join(hex).join("data")
    }
}

fn json(binaries: &Binaries, home: &Path, args: &[String]) -> Result<Value> {
    let mut all = vec!["--output", "json"];
    all.extend(args.iter().map(String::as_str));
    run_cli(&binaries.cli, home, &all)?.json()
}
