//! `casemate vault sync`: each replica gets what any of them has, and this machine.

use std::fmt;

use casemate_vault::wire::Snapshot;
use serde::Serialize;

use super::{own::Own, told};
use crate::failure::{Failure, OrFail as _};

/// What became of a replica.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Synced {
    pub(super) address: String,
    /// Entries that it had not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) added: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.error, self.added) {
            (Some(error), _) => write!(f, "{}: {error}", self.address),
            (None, Some(1)) => write!(f, "{}: up to date, 1 entry was new", self.address),
            (None, added) => {
                write!(f, "{}: up to date, {} entries were new", self.address, added.unwrap_or(0))
            }
        }
    }
}

pub(super) async fn sync(own: &Own) -> anyhow::Result<Vec<Synced>> {
    let publisher = own.publisher.verifying_key();
    let mut all = Snapshot::default();
    all.add(&own.keys, &publisher, &own.snapshot.entries).map_err(|err| {
        Failure::new(format!(
            "your secret store holds an entry that is none: {err} ({})",
            err.code()
        ))
        .hint("put a backup of the store in its place")
        .into_error()
    })?;
    let mut read = Vec::new();
    for address in &own.addresses {
        let (client, keys) = (own.client(address)?, own.keys.clone());
        let entries = tokio::task::spawn_blocking(move || client.entries(&keys)).await?;
        let added = entries.map_err(told).and_then(|entries| {
            all.add(&own.keys, &publisher, &entries)
                .map_err(|err| format!("what it holds can't be used: {err} ({})", err.code()))
        });
        read.push((address.clone(), added));
    }
    let sealed = all.seal(&own.keys).or_fail(|| Failure::new("cannot seal the vault's entries"))?;
    let mut synced = Vec::new();
    for (address, read) in read {
        let result = match read {
            Ok(()) => {
                let (client, sealed) = (own.client(&address)?, sealed.clone());
                tokio::task::spawn_blocking(move || client.merge(&sealed)).await?.map_err(told)
            }
            Err(reason) => Err(reason),
        };
        synced.push(match result {
            Ok(added) => Synced { address, added: Some(added), error: None },
            Err(reason) => Synced { address, added: None, error: Some(reason) },
        });
    }
    Ok(synced)
}

#[cfg(test)]
mod tests;
