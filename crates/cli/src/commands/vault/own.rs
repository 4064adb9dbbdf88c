//! What a publisher keeps of a vault of his.

use std::time::Duration;

use casemate_ra_tls::SecretName;
use casemate_vault::{
    Keys, Master,
    client::Client,
    entry::{EntryError, Key, SignedEntry},
    wire::Snapshot,
};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::put;
use crate::{
    commands::secret::{since_epoch, store_failure, unix_now},
    context::Context,
    failure::{Failure, OrFail as _, fail},
    keystore::KdfParameters,
    secrets::{Content, StoreError},
};

/// For a connection and an answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Its secrets in the store.
pub(super) const MASTER: &str = "master";
pub(super) const SNAPSHOT: &str = "snapshot";
const ADDRESSES: &str = "vault-addresses";

/// Most entries of one command.
const VERSIONS: u16 = 1024;

/// A vault.
pub(super) struct Own {
    pub(super) keys: Keys,
    pub(super) publisher: SigningKey,
    pub(super) snapshot: Snapshot,
    pub(super) addresses: Vec<String>,
}

/// Numbers for entries.
pub(super) struct Versions(u64);

impl Versions {
    pub(super) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0 - 1
    }
}

/// What a change gave, and the vault after it.
pub(super) struct Changed<T>(Own, T);

impl<T> Changed<T> {
    pub(super) fn split(self) -> (Own, T) {
        (self.0, self.1)
    }
}

pub(super) fn name(text: &str) -> SecretName {
    // The three constants above are names; nothing else comes here.
    SecretName::new(text).unwrap_or_else(|_| unreachable!("`{text}` is a name"))
}

/// Reads a vault.
pub(super) fn read(context: &Context, vault: &SecretName) -> anyhow::Result<Own> {
    let key = context.account_key(None)?;
    let store = context.secret_store(key.address);
    if !store.exists() {
        return Err(unknown(vault).into_error());
    }
    let content = store_failure(store.read(&*context.passphrase(&key)?))?;
    Own::load(&content, vault).map_err(Failure::into_error)
}

fn unknown(vault: &SecretName) -> Failure {
    Failure::new(format!("there is no vault `{vault}`"))
        .hint(format!("make one: casemate vault init {vault} --image IMAGE --host HOST"))
}

/// Changes a vault. What is sent to its replicas is on disk here before.
pub(super) fn change<T>(
    context: &Context,
    vault: &SecretName,
    change: impl FnOnce(&mut Own, &mut Versions) -> Result<T, Failure>,
) -> anyhow::Result<Changed<T>> {
    change_with(context, vault, |own, _, versions| change(own, versions))
}

/// The same with the rest of the store at hand.
pub(super) fn change_with<T>(
    context: &Context,
    vault: &SecretName,
    change: impl FnOnce(&mut Own, &Content, &mut Versions) -> Result<T, Failure>,
) -> anyhow::Result<Changed<T>> {
    let key = context.account_key(None)?;
    let store = context.secret_store(key.address);
    if !store.exists() {
        return Err(unknown(vault).into_error());
    }
    let passphrase = context.passphrase(&key)?;
    let mut failure = None;
    let changed = store.change(&passphrase, &KdfParameters::default(), |content| {
        let result = Own::load(content, vault).and_then(|mut own| {
            let mut versions = Versions(content.reserve(VERSIONS, now_ms()));
            let result = change(&mut own, content, &mut versions)?;
            Ok((own, result))
        });
        let (own, result) = match result {
            Ok(done) => done,
            Err(err) => {
                failure = Some(err);
                return Ok(None);
            }
        };
        own.save(content, vault)?;
        Ok(Some(Changed(own, result)))
    });
    match (store_failure(changed)?, failure) {
        (Some(changed), _) => Ok(changed),
        (None, Some(failure)) => Err(failure.into_error()),
        (None, None) => fail(Failure::new("the vault was not changed")),
    }
}

fn now_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX / 2)
}

impl Own {
    fn load(content: &Content, vault: &SecretName) -> Result<Self, Failure> {
        // Its own alone: a secret for all apps that is called `master` is no vault's.
        let value = |which| content.own(vault.as_str(), &name(which)).ok_or_else(|| unknown(vault));
        let spoilt = |what: &str| {
            Failure::new(format!("the {what} of vault `{vault}` in your secret store is none"))
                .hint("put a backup of the store in its place")
        };
        let keys = Master::read(value(MASTER)?).map_err(|_| spoilt("master"))?.keys();
        let snapshot = Snapshot::open(&keys, value(SNAPSHOT)?).map_err(|_| spoilt("snapshot"))?;
        let addresses = String::from_utf8_lossy(value(ADDRESSES)?);
        let addresses = addresses.split_whitespace().map(str::to_owned).collect();
        Ok(Self { keys, publisher: content.release_key().clone(), snapshot, addresses })
    }

    /// Puts a new vault into the store. `None` where there is one.
    pub(super) fn make(
        content: &mut Content,
        vault: &SecretName,
    ) -> Result<Option<Self>, StoreError> {
        if content.own(vault.as_str(), &name(MASTER)).is_some() {
            return Ok(None);
        }
        let random = |_| StoreError::Random(getrandom::Error::UNSUPPORTED);
        let master = Master::generate().map_err(random)?;
        let own = Self {
            keys: master.keys(),
            publisher: content.release_key().clone(),
            snapshot: Snapshot::default(),
            addresses: Vec::new(),
        };
        content.set(Some(vault.as_str()), name(MASTER), master.to_text(), unix_now())?;
        own.save(content, vault)?;
        Ok(Some(own))
    }

    fn save(&self, content: &mut Content, vault: &SecretName) -> Result<(), StoreError> {
        let sealed = self.snapshot.seal(&self.keys);
        let sealed = sealed.map_err(|_| StoreError::Random(getrandom::Error::UNSUPPORTED))?;
        let addresses = self.addresses.join("\n").into_bytes();
        for (which, value) in [(SNAPSHOT, sealed), (ADDRESSES, addresses)] {
            content.set(Some(vault.as_str()), name(which), Zeroizing::new(value), unix_now())?;
        }
        Ok(())
    }

    pub(super) fn find(&self, key: &Key) -> Option<&SignedEntry> {
        self.snapshot.entries.iter().find(|signed| signed.entry.key == *key)
    }

    /// Takes entries that are newer than all before, if a vault would take them: one that it refuses
    /// would keep all later ones out.
    pub(super) fn add(&mut self, entries: &[SignedEntry]) -> Result<(), Failure> {
        let publisher = self.publisher.verifying_key();
        self.snapshot.add(&self.keys, &publisher, entries).map_err(|err| {
            let failure = Failure::new(format!("nothing was changed: {err}"));
            match err {
                EntryError::Full(_) => failure.hint(
                    "make another vault, or drop what no pod needs: casemate vault revoke --forget",
                ),
                _ => failure,
            }
        })
    }

    /// Collateral that was given with a grant.
    pub(super) fn collateral_of(&self, grant: &str) -> Vec<Key> {
        let is_its = |name: &str| {
            name.strip_prefix(grant).and_then(|rest| rest.strip_prefix('.')).is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
            })
        };
        let present = self.snapshot.entries.iter().filter(|signed| signed.entry.body.is_some());
        let keys = present.map(|signed| signed.entry.key.clone());
        keys.filter(|key| matches!(key, Key::Collateral(name) if is_its(name))).collect()
    }

    pub(super) fn client(&self, address: &str) -> anyhow::Result<Client> {
        Client::new(address, TIMEOUT)
            .or_fail(|| Failure::new("an address of the vault can't be used"))
    }

    /// Sends entries to all replicas. One that is not reached has them with its next start.
    pub(super) async fn tell(
        &self,
        context: &Context,
        vault: &SecretName,
        entries: Vec<SignedEntry>,
    ) -> anyhow::Result<()> {
        if self.addresses.is_empty() {
            context.printer.warn(format!(
                "nobody was told: say where the vault is with `casemate vault at {vault} URL`, then \
                 `casemate vault sync {vault}`"
            ));
            return Ok(());
        }
        let mut missed = Vec::new();
        for address in &self.addresses {
            let (client, keys, entries) =
                (self.client(address)?, self.keys.clone(), entries.clone());
            let told = tokio::task::spawn_blocking(move || put(&client, &keys, entries)).await?;
            if let Err(reason) = told {
                missed.push(format!("{address}: {reason}"));
            }
        }
        if missed.is_empty() {
            return Ok(());
        }
        let failure = Failure::new(format!(
            "{} of {} replicas have not taken it:\n{}",
            missed.len(),
            self.addresses.len(),
            missed.join("\n")
        ));
        fail(failure.hint(format!("it is kept here; send it again: casemate vault sync {vault}")))
    }
}
