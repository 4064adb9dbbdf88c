//! What every command has at hand.

use std::io::IsTerminal as _;

use subxt_signer::sr25519::Keypair;
use zeroize::Zeroizing;

use crate::{
    address::Address,
    failure::{Failure, OrFail as _, fail},
    keystore::{Keystore, KeystoreError, LogSeed, SecretText, StoredKey, read_private},
    printer::Printer,
    secrets::SecretStore,
    settings::Settings,
};

/// Settings and output.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
}

/// An unlocked key.
pub(crate) struct Signer {
    pub(crate) keypair: Keypair,
    pub(crate) address: Address,
}

/// Never prints the key.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Context {
    /// Where keys are.
    pub(crate) fn keystore(&self) -> Keystore {
        Keystore::new(&self.settings.keystore)
    }

    /// The key that signs: the one that is named, or the only one.
    pub(crate) fn account_key(&self, name: Option<&str>) -> anyhow::Result<StoredKey> {
        let keystore = self.keystore();
        let name = match name.or(self.settings.account.as_deref()) {
            Some(name) => name.to_owned(),
            None => {
                let mut names = keystore.names()?;
                match names.len() {
                    0 => {
                        return fail(
                            Failure::new(format!(
                                "there is no key in `{}`",
                                self.settings.keystore.display()
                            ))
                            .hint("make one: casemate key new"),
                        );
                    }
                    1 => names.remove(0),
                    _ => {
                        return fail(
                            Failure::usage(format!("there are several keys: {}", names.join(", ")))
                                .hint("say which one signs: --account NAME"),
                        );
                    }
                }
            }
        };
        key_failure(keystore.get(&name))
    }

    /// The account that is looked at when none is named; needs no passphrase.
    pub(crate) fn own_address(&self) -> anyhow::Result<Address> {
        self.account_key(None).map(|key| key.address)
    }

    /// Decrypts the key that signs.
    pub(crate) fn signer(&self) -> anyhow::Result<Signer> {
        Ok(self.signer_and_passphrase()?.0)
    }

    /// Decrypts the key that signs, and gives its passphrase, for what else is under it.
    pub(crate) fn signer_and_passphrase(&self) -> anyhow::Result<(Signer, Zeroizing<String>)> {
        let key = self.account_key(None)?;
        let passphrase = self.passphrase(&key)?;
        let keypair = key_failure(key.unlock(&passphrase))?.keypair()?;
        Ok((Signer { keypair, address: key.address }, passphrase))
    }

    /// The same, and what the account's log keys are made of.
    pub(crate) fn signer_and_log_seed(
        &self,
    ) -> anyhow::Result<(Signer, Zeroizing<String>, LogSeed)> {
        let key = self.account_key(None)?;
        let passphrase = self.passphrase(&key)?;
        let secret = key_failure(key.unlock(&passphrase))?;
        let signer = Signer { keypair: secret.keypair()?, address: key.address };
        Ok((signer, passphrase, secret.log_seed()?))
    }

    /// Where an account's secrets are.
    pub(crate) fn secret_store(&self, account: Address) -> SecretStore {
        SecretStore::new(&self.settings.keystore, account)
    }

    /// Decrypts a key.
    pub(crate) fn unlock(&self, key: &StoredKey) -> anyhow::Result<SecretText> {
        key_failure(key.unlock(&self.passphrase(key)?))
    }

    /// The passphrase of a key; not compared with anything yet.
    pub(crate) fn passphrase(&self, key: &StoredKey) -> anyhow::Result<Zeroizing<String>> {
        match &self.settings.passphrase_file {
            Some(_) => self.passphrase_from_file(),
            None => ask(&format!("Passphrase of key `{}`: ", key.name)),
        }
    }

    /// The passphrase for a key that is being made; asked for twice on a terminal.
    pub(crate) fn new_passphrase(&self, name: &str) -> anyhow::Result<Zeroizing<String>> {
        if self.settings.passphrase_file.is_some() {
            return self.passphrase_from_file();
        }
        let first = ask(&format!("New passphrase for key `{name}`: "))?;
        if first.is_empty() {
            return key_failure(Err(KeystoreError::EmptyPassphrase));
        }
        if *ask("Once more: ")? != *first {
            return fail(
                Failure::new("the two passphrases differ; nothing was written").hint("try again"),
            );
        }
        Ok(first)
    }

    fn passphrase_from_file(&self) -> anyhow::Result<Zeroizing<String>> {
        let path = self.settings.passphrase_file.as_deref().or_fail(|| {
            Failure::usage("no passphrase file is set").hint("give --passphrase-file FILE")
        })?;
        let bytes = key_failure(read_private(path))?;
        let text = std::str::from_utf8(&bytes).or_fail(|| {
            Failure::usage(format!("the passphrase in `{}` is not UTF-8", path.display()))
        })?;
        // Editors and `echo` end a file with a line end that nobody means.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return key_failure(Err(KeystoreError::EmptyPassphrase));
        }
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Asks on the terminal, without showing what is typed.
pub(crate) fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() && !std::io::stderr().is_terminal() {
        return fail(
            Failure::usage("a passphrase is needed, and there is no terminal to ask for it")
                .hint("put it into a file that only you can read: --passphrase-file FILE"),
        );
    }
    rpassword::prompt_password(prompt).map(Zeroizing::new).or_fail(|| {
        Failure::usage("cannot ask for the passphrase on this terminal")
            .hint("put it into a file that only you can read: --passphrase-file FILE")
    })
}

/// Says what to do about a key's error.
pub(crate) fn key_failure<T>(result: Result<T, KeystoreError>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let message = error.to_string();
        let failure = match &error {
            KeystoreError::NotFound { .. } => {
                Failure::new(message).hint("see which there are: casemate key list")
            }
            KeystoreError::Exists { .. } => Failure::new(message).hint("choose another name"),
            KeystoreError::Permissions { path, .. } => {
                Failure::new(message).hint(format!("close it: chmod 600 {}", path.display()))
            }
            KeystoreError::Decrypt { .. } => Failure::new(message)
                .hint("try again; without the passphrase only a backup of the secret helps"),
            KeystoreError::EmptyPassphrase => Failure::usage(message)
                .hint("choose a passphrase that nobody guesses, such as six random words"),
            KeystoreError::PubliclyKnown => Failure::usage(message).hint(
                "for a development network say so: casemate key import NAME --dev-uri //Alice",
            ),
            KeystoreError::Secret(_) => Failure::usage(message)
                .hint("give 12 to 24 words, or 0x and 64 hex digits, as they were shown to you"),
            KeystoreError::Name(_) => Failure::usage(message),
            _ => Failure::new(message),
        };
        match error {
            // The source has something to add; the rest is in the message.
            KeystoreError::Io { source, .. } => anyhow::Error::new(source).context(failure),
            _ => failure.into_error(),
        }
    })
}
