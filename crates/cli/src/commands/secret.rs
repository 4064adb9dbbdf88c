//! `casemate secret`

mod deliver;
mod follow;
mod release;

pub(super) use self::{
    follow::{Followed, follow, name_releaser},
    release::{Released, names_of},
};

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use casemate_primitives::UnixSeconds;
use casemate_ra_tls::SecretName;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    cli::{SecretCommand, SecretSetArgs},
    commands::attest::rfc3339,
    context::{Context, ask, key_failure},
    failure::{Failure, OrFail as _, fail},
    keystore::KdfParameters,
    printer::table,
    secrets::{Content, ContentError, StoreError},
};

/// More than any secret, so that one that is too large is told as such.
const VALUE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A secret as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretInfo {
    /// `null`: for all apps.
    app: Option<String>,
    name: String,
    bytes: usize,
    version: u32,
    created_at: String,
    updated_at: String,
}

pub(super) async fn run(context: &Context, command: SecretCommand) -> anyhow::Result<()> {
    match command {
        SecretCommand::Set(args) => set(context, args),
        SecretCommand::List { app } => list(context, app.as_deref()),
        SecretCommand::Rm { name, app } => remove(context, &name, app.as_deref()),
        SecretCommand::Key => key(context),
        SecretCommand::Release(args) => release::run(context, &args).await,
    }
}

fn set(context: &Context, args: SecretSetArgs) -> anyhow::Result<()> {
    let value = read_value(context, &args)?;
    if value.is_empty() {
        return fail(
            Failure::usage(format!("the value for `{}` is empty: nothing was kept", args.name))
                .hint("pipe it in, such as `printf %s \"$VALUE\" |`, or give --from-file FILE"),
        );
    }
    let bytes = value.len();
    let now = unix_now();
    let SecretSetArgs { name, app, .. } = args;
    let version =
        change(context, |content| Ok(content.set(app.as_deref(), name.clone(), value, now)?))?;
    let at = rfc3339(now);
    let info = serde_json::json!({
        "app": app, "name": name.as_str(), "bytes": bytes, "version": version, "updatedAt": at,
    });
    context.printer.note(format!(
        "Secret `{name}` is kept{}",
        app.as_ref().map_or_else(String::new, |app| format!(" for app `{app}`"))
    ));
    context.printer.data(&info, || format!("{name}: {bytes} bytes, version {version}"))
}

fn list(context: &Context, app: Option<&str>) -> anyhow::Result<()> {
    let key = context.account_key(None)?;
    let store = context.secret_store(key.address);
    let mut infos = Vec::new();
    if store.exists() {
        let content = store_failure(store.read(&context.passphrase(&key)?))?;
        for item in content.items() {
            if app.is_some() && item.app.is_some() && item.app != app {
                continue;
            }
            infos.push(SecretInfo {
                app: item.app.map(str::to_owned),
                name: item.name.to_string(),
                bytes: item.bytes,
                version: item.version,
                created_at: rfc3339(item.created_at),
                updated_at: rfc3339(item.updated_at),
            });
        }
    }
    if infos.is_empty() {
        context.printer.note("There is no secret. Keep one: casemate secret set NAME");
    }
    context.printer.data(&infos, || {
        if infos.is_empty() {
            return String::new();
        }
        let row = |info: &SecretInfo| {
            vec![
                info.name.clone(),
                info.app.clone().unwrap_or_else(|| "all".to_owned()),
                info.bytes.to_string(),
                info.version.to_string(),
                info.updated_at.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = infos.iter().map(row).collect();
        table(&["NAME", "APP", "BYTES", "VERSION", "SET AT"], &rows)
    })
}

fn remove(context: &Context, name: &SecretName, app: Option<&str>) -> anyhow::Result<()> {
    let address = context.own_address()?;
    if !context.secret_store(address).exists() {
        let app = app.map(str::to_owned);
        return store_failure(Err(ContentError::NotFound { name: name.clone(), app }.into()));
    }
    change(context, |content| Ok(content.remove(app, name)?))?;
    context.printer.note(format!("Secret `{name}` is forgotten"));
    let info = serde_json::json!({ "app": app, "removed": name.as_str() });
    context.printer.data(&info, String::new)
}

fn key(context: &Context) -> anyhow::Result<()> {
    let key = context.account_key(None)?;
    let store = context.secret_store(key.address);
    let public = if store.exists() {
        let content = store_failure(store.read(&context.passphrase(&key)?))?;
        release_key(&content)
    } else {
        // Made once; it is the account's from then on.
        change(context, |content| Ok(release_key(content)))?
    };
    let value = serde_json::json!({ "releaseKey": public, "account": key.address.to_string() });
    context.printer.data(&value, || public.clone())
}

/// As manifests write it.
fn release_key(content: &Content) -> String {
    hex::encode(content.release_key().verifying_key().to_bytes())
}

/// Changes the store of the account that signs. A new store is made only where the passphrase is the
/// key's: one with a typing mistake in it would never open again.
pub(super) fn change<T>(
    context: &Context,
    change: impl FnOnce(&mut Content) -> Result<T, StoreError>,
) -> anyhow::Result<T> {
    let key = context.account_key(None)?;
    let store = context.secret_store(key.address);
    let passphrase = context.passphrase(&key)?;
    if !store.exists() {
        key_failure(key.unlock(&passphrase))?;
    }
    store_failure(store.change(&passphrase, &KdfParameters::default(), change))
}

/// Says what to do about a store's error.
pub(super) fn store_failure<T>(result: Result<T, StoreError>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let failure = Failure::new(error.to_string());
        match error {
            StoreError::File(error) => {
                return match key_failure::<()>(Err(error)) {
                    Err(error) => error,
                    Ok(()) => failure.into_error(),
                };
            }
            StoreError::Decrypt { .. } => failure.hint(
                "it is under the passphrase that your key had when it was made; without it only a \
                 backup helps",
            ),
            StoreError::Format { .. } | StoreError::OtherAccount { .. } => {
                failure.hint("put a backup in its place, or move it away to begin anew")
            }
            StoreError::Content(ContentError::NotFound { .. }) => {
                failure.hint("see which there are: casemate secret list")
            }
            StoreError::Io { source, .. } => {
                return anyhow::Error::new(source).context(failure);
            }
            _ => failure,
        }
        .into_error()
    })
}

/// The value: from a file, typed unseen, or from a pipe.
fn read_value(context: &Context, args: &SecretSetArgs) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    if let Some(path) = &args.from_file {
        return read_file(path);
    }
    if io::stdin().is_terminal() {
        let text = ask(&format!("Value of `{}`: ", args.name))?;
        return Ok(Zeroizing::new(text.as_bytes().to_vec()));
    }
    // One allocation, so that growing leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    io::stdin()
        .lock()
        .take(VALUE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .or_fail(|| Failure::new("cannot read the value from standard input"))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        context.printer.note("A line end after the value was left out; to keep one: --from-file");
    }
    Ok(bytes)
}

fn read_file(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let failed = || Failure::usage(format!("cannot read the value from `{}`", path.display()));
    let file = File::open(path).or_fail(failed)?;
    let length = file.metadata().or_fail(failed)?.len().min(VALUE_BYTES_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length)? + 1));
    file.take(VALUE_BYTES_MAX).read_to_end(&mut bytes).or_fail(failed)?;
    Ok(bytes)
}

pub(super) fn unix_now() -> UnixSeconds {
    since_epoch().as_secs()
}

pub(super) fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
