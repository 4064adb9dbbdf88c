//! `casemate vault show` and `casemate vault audit`

use casemate_ra_tls::SecretName;
use casemate_vault::{
    audit::{AuditEntry, Event, verify},
    wire::{AUDIT_MAX, Command, Listed, Reply, Status},
};
use serde::Serialize;

use super::own::{self, Own};
use crate::{
    commands::attest::rfc3339,
    context::Context,
    failure::{Failure, fail},
    printer::{printable, table},
};

/// A replica.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replica {
    address: String,
    /// Why nothing is known.
    error: Option<String>,
    entries: u32,
    newest: u64,
    audit_next: u64,
    /// Whether it has all that this machine knows of.
    is_current: bool,
}

pub(super) async fn show(context: &Context, vault: &SecretName) -> anyhow::Result<()> {
    let own = own::read(context, vault)?;
    let mut replicas = Vec::new();
    for address in &own.addresses {
        let replica = match ask(&own, address, &Command::Status).await? {
            Ok(Reply::Status(status)) => match ask(&own, address, &Command::List).await? {
                Ok(Reply::List(listed)) => Replica::of(&own, address, &status, &listed),
                other => Replica::failed(address, other),
            },
            other => Replica::failed(address, other),
        };
        replicas.push(replica);
    }
    let grants: Vec<serde_json::Value> = own
        .snapshot
        .entries
        .iter()
        .filter_map(|signed| match &signed.entry.body {
            Some(casemate_vault::entry::Body::Grant(grant)) => Some(serde_json::json!({
                "name": signed.entry.key.name(),
                "manifestHash": hex::encode(grant.manifest_hash),
                "lease": grant.lease,
                "secrets": grant.secrets.iter().map(|given| &given.name).collect::<Vec<_>>(),
                "until": rfc3339(grant.until),
            })),
            _ => None,
        })
        .collect();
    let info = serde_json::json!({
        "vault": vault.as_str(), "releaseKey": hex::encode(own.keys.id()),
        "replicas": replicas, "grants": grants,
    });
    context.printer.data(&info, || {
        let rows: Vec<Vec<String>> = replicas.iter().map(Replica::row).collect();
        let row = |grant: &serde_json::Value| {
            let text = |name: &str| grant[name].as_str().unwrap_or("-").to_owned();
            let secrets = grant["secrets"].as_array().map_or(0, Vec::len);
            vec![text("name"), secrets.to_string(), text("until")]
        };
        let grants: Vec<Vec<String>> = grants.iter().map(row).collect();
        format!(
            "release key {}\n{}{}",
            hex::encode(own.keys.id()),
            table(&["REPLICA", "ENTRIES", "STATE"], &rows),
            table(&["GRANT", "SECRETS", "UNTIL"], &grants)
        )
    })
}

impl Replica {
    fn of(own: &Own, address: &str, status: &Status, listed: &[Listed]) -> Self {
        let has = |key: &casemate_vault::entry::Key, version: u64| {
            listed.iter().any(|listed| listed.key == *key && listed.version >= version)
        };
        let mut known = own.snapshot.entries.iter().map(|signed| &signed.entry);
        Self {
            address: address.to_owned(),
            error: None,
            entries: status.entries,
            newest: status.newest,
            audit_next: status.audit_next,
            is_current: known.all(|entry| has(&entry.key, entry.version)),
        }
    }

    fn failed(address: &str, answer: Result<Reply, String>) -> Self {
        let error = match answer {
            Ok(Reply::Problem { error, .. }) => printable(&error),
            Ok(_) => "the answer is to another question".to_owned(),
            Err(reason) => reason,
        };
        let (entries, newest, audit_next) = (0, 0, 0);
        let (address, error) = (address.to_owned(), Some(error));
        Self { address, error, entries, newest, audit_next, is_current: false }
    }

    fn row(&self) -> Vec<String> {
        let state = match (&self.error, self.is_current) {
            (Some(error), _) => error.clone(),
            (None, true) => "up to date".to_owned(),
            (None, false) => "behind: casemate vault sync".to_owned(),
        };
        vec![self.address.clone(), self.entries.to_string(), state]
    }
}

pub(super) async fn audit(context: &Context, vault: &SecretName, from: u64) -> anyhow::Result<()> {
    let own = own::read(context, vault)?;
    let mut lines: Vec<(String, AuditEntry)> = Vec::new();
    let mut problems = Vec::new();
    for address in &own.addresses {
        match trail(&own, address, from).await? {
            Ok(trail) => {
                if let Err(broken) = verify(&trail, None) {
                    problems.push(format!("{address}: {broken}"));
                }
                lines.extend(trail.into_iter().map(|line| (address.clone(), line)));
            }
            Err(reason) => problems.push(format!("{address}: {reason}")),
        }
    }
    lines.sort_by_key(|(_, line)| line.time);
    let infos: Vec<serde_json::Value> =
        lines.iter().map(|(address, line)| json(address, line)).collect();
    context.printer.data(&infos, || {
        lines.iter().map(|(address, line)| format!("{}\n", text(address, line))).collect()
    })?;
    if problems.is_empty() {
        return Ok(());
    }
    fail(Failure::new(format!("the trail is not complete:\n{}", problems.join("\n"))))
}

async fn trail(
    own: &Own,
    address: &str,
    from: u64,
) -> anyhow::Result<Result<Vec<AuditEntry>, String>> {
    let mut all: Vec<AuditEntry> = Vec::new();
    loop {
        let from = all.last().map_or(from, |line| line.index.saturating_add(1));
        match ask(own, address, &Command::Audit { from, count: AUDIT_MAX }).await? {
            Ok(Reply::Audit(lines)) => {
                if lines.is_empty() {
                    return Ok(Ok(all));
                }
                all.extend(lines);
            }
            Ok(_) => return Ok(Err("the answer is to another question".to_owned())),
            Err(reason) => return Ok(Err(reason)),
        }
    }
}

async fn ask(own: &Own, address: &str, command: &Command) -> anyhow::Result<Result<Reply, String>> {
    let (client, keys, command) = (own.client(address)?, own.keys.clone(), command.clone());
    let asked = tokio::task::spawn_blocking(move || client.command(&keys, &command)).await?;
    Ok(asked.map_err(|err| printable(&format!("{:#}", anyhow::Error::new(err)))))
}

fn json(address: &str, line: &AuditEntry) -> serde_json::Value {
    let event = match &line.event {
        Event::Written { key, version } => {
            serde_json::json!({ "event": "written", "entry": key.to_string(), "version": version })
        }
        Event::Merged { count } => serde_json::json!({ "event": "merged", "count": count }),
        Event::Released(released) => serde_json::json!({
            "event": "released", "lease": released.pod.lease, "replica": released.pod.replica,
            "manifestHash": hex::encode(released.pod.manifest_hash), "grant": released.grant,
            "names": released.names, "evidence": hex::encode(released.evidence),
            "policy": hex::encode(released.policy), "sequence": released.sequence,
        }),
        Event::Refused { pod, code, evidence, suppressed } => serde_json::json!({
            "event": "refused", "lease": pod.lease, "replica": pod.replica,
            "manifestHash": hex::encode(pod.manifest_hash), "code": code,
            "evidence": hex::encode(evidence), "suppressed": suppressed,
        }),
    };
    serde_json::json!({
        "vault": address, "index": line.index, "time": rfc3339(line.time), "what": event,
    })
}

fn text(address: &str, line: &AuditEntry) -> String {
    let what = match &line.event {
        Event::Written { key, version } => format!("took {key}, version {version}"),
        Event::Merged { count } => format!("took {count} entries from a snapshot"),
        Event::Released(released) => format!(
            "released {} to lease {} replica {} by grant {} (release {})",
            released.names.join(", "),
            released.pod.lease,
            released.pod.replica,
            released.grant,
            released.sequence
        ),
        Event::Refused { pod, code, suppressed, .. } => format!(
            "refused lease {} replica {}: {code}{}",
            pod.lease,
            pod.replica,
            if *suppressed > 0 { format!(" ({suppressed} more before)") } else { String::new() }
        ),
    };
    format!("{}  {address}  {}", rfc3339(line.time), printable(&what))
}
