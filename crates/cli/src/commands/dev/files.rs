//! The folder of a development network.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use serde::Serialize;
use zeroize::Zeroizing;

use super::Addresses;
use crate::{
    address::Address,
    context::{Signer, key_failure},
    failure::{Failure, OrFail as _, fail},
    keystore::{
        KdfParameters, Keystore, KeystoreError, SecretText, make_folder, read_private, write_new,
    },
    settings::ConfigFile,
    state::replace,
};

/// Name of the publisher's key.
const PUBLISHER: &str = "publisher";

/// The folder, which no other `dev` uses as long as this lives.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    _lock: File,
}

/// Ports of the network's parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) rpc: u16,
    pub(super) api: u16,
    pub(super) ingress: u16,
    pub(super) tls: u16,
    pub(super) metrics: u16,
}

impl Files {
    /// Opens the folder, or makes it.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let failed = || Failure::new(format!("cannot use the folder `{}`", folder.display()));
        make_folder(folder).or_fail(failed)?;
        let root = fs::canonicalize(folder).or_fail(failed)?;
        let lock = File::create(root.join("lock")).or_fail(failed)?;
        if lock.try_lock().is_err() {
            return fail(
                Failure::new(format!("another network runs in `{}`", root.display()))
                    .hint("stop that one, or give another --data-dir"),
            );
        }
        let files = Self { root, _lock: lock };
        files.forget_addresses()?;
        Ok(files)
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The provider's key, made at the first start.
    pub(super) fn provider_key(&self) -> anyhow::Result<(PathBuf, Signer)> {
        let path = self.path("provider.key");
        if !path.exists() {
            let secret = key_failure(SecretText::random())?;
            write_new(&path, secret.expose().as_bytes())
                .or_fail(|| Failure::new(format!("cannot write `{}`", path.display())))?;
        }
        let bytes = key_failure(read_private(&path))?;
        let text = std::str::from_utf8(&bytes)
            .or_fail(|| Failure::new(format!("`{}` is no key", path.display())))?;
        let secret = key_failure(SecretText::parse(text))?;
        Ok((path, signer(&secret)?))
    }

    /// The publisher's address; key, passphrase and folder are made at the first start.
    pub(super) fn publisher(&self) -> anyhow::Result<Address> {
        let folder = self.path("publisher");
        key_failure(make_folder(&folder))?;
        let passphrase_path = folder.join("passphrase");
        if !passphrase_path.exists() {
            let mut random = Zeroizing::new([0u8; 32]);
            key_failure(getrandom::fill(&mut *random).map_err(KeystoreError::Random))?;
            let text = Zeroizing::new(format!("{}\n", hex::encode(*random)));
            write_new(&passphrase_path, text.as_bytes()).or_fail(|| {
                Failure::new(format!("cannot write `{}`", passphrase_path.display()))
            })?;
        }
        let keystore = Keystore::new(folder.join("keys"));
        if keystore.names()?.iter().all(|name| name != PUBLISHER) {
            let secret = key_failure(SecretText::random())?;
            let bytes = key_failure(read_private(&passphrase_path))?;
            let passphrase = String::from_utf8_lossy(&bytes);
            // The passphrase has 256 random bits: nobody guesses it, so a guess may be cheap.
            let parameters = KdfParameters {
                memory_kib: KdfParameters::MEMORY_KIB_MIN,
                iterations: 1,
                lanes: 1,
            };
            let passphrase = passphrase.trim_end();
            key_failure(keystore.add(PUBLISHER, &secret, passphrase, false, &parameters))?;
        }
        Ok(key_failure(keystore.get(PUBLISHER))?.address)
    }

    /// Writes the publisher's configuration.
    pub(super) fn write_publisher_config(
        &self,
        rpc: &str,
        insecure_registries: &[String],
    ) -> anyhow::Result<PathBuf> {
        let path = self.path("publisher/config.toml");
        let config = ConfigFile {
            rpc: Some(rpc.to_owned()),
            account: Some(PUBLISHER.to_owned()),
            keystore: Some("keys".into()),
            state_dir: Some("leases".into()),
            passphrase_file: Some("passphrase".into()),
            insecure_registries: Some(insecure_registries.to_vec()),
            ..ConfigFile::default()
        };
        self.write_toml(&path, &config)?;
        Ok(path)
    }

    /// Writes any configuration.
    pub(super) fn write_toml<T: Serialize>(&self, path: &Path, value: &T) -> anyhow::Result<()> {
        let text = toml::to_string_pretty(value)?;
        replace(path, text.as_bytes())
            .or_fail(|| Failure::new(format!("cannot write `{}`", path.display())))
    }

    /// Says that all is ready, and where.
    pub(super) fn write_addresses(&self, addresses: &Addresses) -> anyhow::Result<()> {
        let path = self.path("dev.json");
        let mut bytes = serde_json::to_vec_pretty(addresses)?;
        bytes.push(b'\n');
        replace(&path, &bytes)
            .or_fail(|| Failure::new(format!("cannot write `{}`", path.display())))
    }

    /// Nothing is ready (any more).
    pub(super) fn forget_addresses(&self) -> anyhow::Result<()> {
        let path = self.path("dev.json");
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(anyhow::Error::new(e)
                .context(Failure::new(format!("cannot remove `{}`", path.display())))),
            _ => Ok(()),
        }
    }
}

/// An unlocked key of a secret.
pub(super) fn signer(secret: &SecretText) -> anyhow::Result<Signer> {
    let keypair = key_failure(secret.keypair())?;
    let address = Address(keypair.public_key().0);
    Ok(Signer { keypair, address })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("net");
        let (provider, publisher) = {
            let files = Files::open(&root).unwrap();
            assert!(Files::open(&root).is_err(), "two networks in one folder");
            (files.provider_key().unwrap().1.address, files.publisher().unwrap())
        };
        let files = Files::open(&root).unwrap();
        assert_eq!(files.provider_key().unwrap().1.address, provider);
        assert_eq!(files.publisher().unwrap(), publisher);
        assert_ne!(provider, publisher);
        for name in ["provider.key", "publisher/passphrase", "publisher/keys/publisher.json"] {
            let mode = fs::metadata(files.path(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
