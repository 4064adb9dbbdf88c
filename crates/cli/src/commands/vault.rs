//! `casemate vault`
//!
//! All that a vault must know stands in the publisher's secret store, as secrets of the app that is
//! called as the vault is: its master, a snapshot with all entries, and its addresses. So a release
//! of `master` and `snapshot` (`casemate secret release`) makes a whole vault of an empty one.

mod grant;
mod init;
mod own;
mod show;
mod sync;

use casemate_ra_tls::SecretName;
use casemate_vault::{
    client::{Client, ClientError},
    entry::{Body, Entry, Key, SignedEntry, Source},
    wire::{Command, Reply},
};

use crate::{
    cli::VaultCommand,
    context::Context,
    failure::{Failure, fail},
    printer::printable,
};
use own::TIMEOUT;

pub(super) async fn run(context: &Context, command: VaultCommand) -> anyhow::Result<()> {
    match command {
        VaultCommand::Init(args) => init::run(context, &args),
        VaultCommand::At { vault, addresses } => at(context, &vault, &addresses),
        VaultCommand::Grant(args) => grant::run(context, &args).await,
        VaultCommand::Revoke { vault, grant, forget } => {
            revoke(context, &vault, &grant, forget).await
        }
        VaultCommand::Show { vault } => show::show(context, &vault).await,
        VaultCommand::Audit { vault, from } => show::audit(context, &vault, from).await,
        VaultCommand::Sync { vault } => sync(context, &vault).await,
    }
}

fn at(context: &Context, vault: &SecretName, addresses: &[String]) -> anyhow::Result<()> {
    for address in addresses {
        if let Err(err) = Client::new(address, TIMEOUT) {
            return fail(Failure::usage(err.to_string()));
        }
    }
    own::change(context, vault, |own, _| {
        own.addresses = addresses.to_vec();
        Ok(())
    })?;
    let info = serde_json::json!({ "vault": vault.as_str(), "addresses": addresses });
    context.printer.data(&info, || format!("vault `{vault}` is at {}", addresses.join(", ")))
}

async fn revoke(
    context: &Context,
    vault: &SecretName,
    name: &SecretName,
    forget: bool,
) -> anyhow::Result<()> {
    let (own, entries) = own::change(context, vault, |own, versions| {
        let key = Key::Grant(name.to_string());
        let Some(Body::Grant(grant)) = own.find(&key).and_then(|signed| signed.entry.body.clone())
        else {
            return Err(Failure::new(format!("vault `{vault}` has no grant `{name}`"))
                .hint(format!("see which there are: casemate vault show {vault}")));
        };
        let mut keys = vec![key];
        if forget {
            keys.extend(own.collateral_of(name.as_str()));
            keys.extend(grant.secrets.iter().filter_map(|given| match &given.from {
                Source::Secret(name) => Some(Key::Secret(name.clone())),
                Source::Master | Source::Snapshot => None,
            }));
        }
        let entries: Vec<SignedEntry> = keys
            .into_iter()
            .map(|key| {
                let (vault, version) = (own.keys.id(), versions.next());
                Entry { vault, version, key, body: None }.sign(&own.publisher)
            })
            .collect();
        own.add(&entries)?;
        Ok(entries)
    })?
    .split();
    let told = own.tell(context, vault, entries).await;
    let info = serde_json::json!({
        "vault": vault.as_str(), "revoked": name.as_str(), "everywhere": told.is_ok(),
    });
    context
        .printer
        .data(&info, || format!("grant `{name}` is revoked; pods keep what they have"))?;
    told
}

async fn sync(context: &Context, vault: &SecretName) -> anyhow::Result<()> {
    let synced = sync::sync(&own::read(context, vault)?).await?;
    context
        .printer
        .data(&synced, || synced.iter().map(|replica| format!("{replica}\n")).collect())?;
    let failed = synced.iter().filter(|replica| replica.error.is_some()).count();
    if failed == 0 {
        return Ok(());
    }
    fail(
        Failure::new(format!("{failed} of {} replicas are not up to date", synced.len()))
            .hint("they get it with their next start, or by this command"),
    )
}

fn told(err: ClientError) -> String {
    printable(&format!("{:#}", anyhow::Error::new(err)))
}

/// Sends entries to one replica.
fn put(
    client: &Client,
    keys: &casemate_vault::Keys,
    entries: Vec<SignedEntry>,
) -> Result<(), String> {
    match client.command(keys, &Command::Put(entries)) {
        Ok(Reply::Taken(_)) => Ok(()),
        Ok(Reply::Problem { code, error }) => Err(printable(&format!("{error} ({code})"))),
        Ok(_) => Err("the answer is to another question".to_owned()),
        Err(err) => Err(told(err)),
    }
}
