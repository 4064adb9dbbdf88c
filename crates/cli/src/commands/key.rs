//! `casemate key`

use std::{
    io::{self, IsTerminal as _, Read as _},
    path::Path,
};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    cli::KeyCommand,
    context::{Context, ask, key_failure},
    failure::{Failure, OrFail as _},
    keystore::{KdfParameters, SecretText, StoredKey, read_private},
    printer::{fields, table},
};

/// A key as it is shown; never with its secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyInfo {
    name: String,
    address: String,
    public_key: String,
    development: bool,
    file: String,
}

impl From<&StoredKey> for KeyInfo {
    fn from(key: &StoredKey) -> Self {
        Self {
            name: key.name.clone(),
            address: key.address.to_string(),
            public_key: key.file.public_key.clone(),
            development: key.file.development,
            file: key.path.display().to_string(),
        }
    }
}

pub(super) fn run(context: &Context, command: &KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::New { name } => {
            let secret = SecretText::random()?;
            add(context, name, &secret, false)?;
            context.printer.note(format!(
                "Write its secret down and keep it off this machine: casemate key export {name}"
            ));
            Ok(())
        }
        KeyCommand::List => list(context),
        KeyCommand::Import { name, dev_uri: Some(uri), .. } => {
            let secret = key_failure(SecretText::parse_development(uri))?;
            context.printer.warn(format!(
                "everybody knows the secret of `{uri}`: use it on development networks only"
            ));
            add(context, name, &secret, true)
        }
        KeyCommand::Import { name, file, dev_uri: None } => {
            let text = read_secret(file.as_deref())?;
            let secret = key_failure(SecretText::parse(&text))?;
            add(context, name, &secret, false)
        }
        KeyCommand::Show { name } => show(context, &context.account_key(name.as_deref())?),
        KeyCommand::Export { name } => {
            let key = context.account_key(name.as_deref())?;
            let secret = context.unlock(&key)?;
            context.printer.warn("whoever sees this secret has the account's money");
            let value = serde_json::json!({ "name": key.name, "secret": secret.expose() });
            context.printer.data(&value, || secret.expose().to_owned())
        }
    }
}

fn add(
    context: &Context,
    name: &str,
    secret: &SecretText,
    development: bool,
) -> anyhow::Result<()> {
    let passphrase = context.new_passphrase(name)?;
    let key = key_failure(context.keystore().add(
        name,
        secret,
        &passphrase,
        development,
        &KdfParameters::default(),
    ))?;
    context.printer.note(format!("Key `{name}` is in {}", key.path.display()));
    context.printer.data(&KeyInfo::from(&key), || key.address.to_string())
}

fn list(context: &Context) -> anyhow::Result<()> {
    let keystore = context.keystore();
    let mut keys = Vec::new();
    for name in keystore.names()? {
        match keystore.get(&name) {
            Ok(key) => keys.push(KeyInfo::from(&key)),
            // One broken file does not hide the others.
            Err(error) => context.printer.warn(format!("key `{name}` is left out: {error}")),
        }
    }
    if keys.is_empty() {
        context.printer.note("There is no key. Make one: casemate key new");
    }
    context.printer.data(&keys, || {
        if keys.is_empty() {
            return String::new();
        }
        let row = |key: &KeyInfo| {
            let note = if key.development { "development" } else { "" };
            vec![key.name.clone(), key.address.clone(), note.to_owned()]
        };
        table(&["NAME", "ADDRESS", ""], &keys.iter().map(row).collect::<Vec<_>>())
    })
}

fn show(context: &Context, key: &StoredKey) -> anyhow::Result<()> {
    let info = KeyInfo::from(key);
    context.printer.data(&info, || {
        fields(&[
            ("name", info.name.clone()),
            ("address", info.address.clone()),
            ("public key", info.public_key.clone()),
            ("file", info.file.clone()),
        ])
    })
}

/// The secret to import: from a file, typed unseen, or from a pipe.
fn read_secret(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    let bytes = match file {
        Some(path) => key_failure(read_private(path))?,
        None if io::stdin().is_terminal() => return ask("Mnemonic, seed or secret URI: "),
        None => {
            let mut bytes = Zeroizing::new(Vec::new());
            io::stdin().lock().take(SECRET_BYTES_MAX).read_to_end(&mut bytes)?;
            bytes
        }
    };
    let text = std::str::from_utf8(&bytes)
        .or_fail(|| Failure::usage("the secret is not UTF-8: nothing was imported"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// 24 words, a path and a password are far below.
const SECRET_BYTES_MAX: u64 = 4096;
