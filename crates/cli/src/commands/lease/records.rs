//! `casemate lease records`

use std::collections::BTreeMap;

use casemate_client::{chain::AgentView, records::SignedRecord};
use casemate_primitives::{AgentPublicKey, LeaseId, ReplicaIndex, UnixSeconds, UsageRecord};
use serde::Serialize;

use super::{find, notes, place::Place};
use crate::{
    chain_ops::Chain,
    cli::RecordsArgs,
    commands::attest::rfc3339,
    context::Context,
    failure::{Failure, OrFail as _, fail},
    kept_records::KeptRecords,
    printer::table,
};

/// What is held of one agent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    replica: ReplicaIndex,
    key: String,
    records: usize,
    first_sequence: u64,
    last_sequence: u64,
    from: UnixSeconds,
    to: UnixSeconds,
    /// Newest sequence that was claimed, while the chain has the agent.
    claimed_sequence: Option<u64>,
    running_seconds: u64,
    /// What its first record goes on from, where that one is held.
    follows: Option<Follows>,
    /// Whether it has signed that its app has ended by itself.
    has_ended: bool,
}

/// What an agent's first record names as the one before it.
#[derive(Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Follows {
    /// Nothing, and nothing is held of an agent before it.
    Start,
    /// A record of this agent.
    Agent(String),
    /// A record that is not held here.
    Unknown,
    /// Nothing, though there was an agent before it: its host has not shown it that one's records.
    Nothing,
}

pub(crate) async fn run(context: &Context, args: &RecordsArgs) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let genesis_hash = chain.genesis_hash();
    let notes = notes(context, &chain);
    let file = |lease| args.save.clone().unwrap_or_else(|| notes.records(lease));
    let (kept, agents, new, left_out) = if args.check {
        let lease = kept_lease(context, &chain, args).await?;
        let kept = KeptRecords::open(&file(lease), genesis_hash, lease)?;
        kept.check()?;
        (kept, chain.agents(lease).await?, 0, 0)
    } else {
        let signer = context.signer()?;
        let place =
            Place::find(context, &chain, &signer, args.lease.as_deref(), args.provider).await?;
        let mut kept = KeptRecords::open(&file(place.id), genesis_hash, place.id)?;
        let (fetched, bad) = place.records(&genesis_hash).await?;
        let (own, others): (Vec<SignedRecord>, Vec<SignedRecord>) =
            fetched.into_iter().partition(|signed| {
                let replica = signed.record().replica;
                is_attested(&place.agents, replica, signed.key())
                    || kept.knows(replica, signed.key())
            });
        let new = kept.add(&own)?;
        if bad > 0 {
            return fail(
                Failure::new(format!(
                    "the provider gives {bad} records of lease {} that no agent has signed",
                    place.id
                ))
                .hint("the good ones are kept; do not rely on this provider"),
            );
        }
        (kept, place.agents, new, others.len())
    };
    check_claims(&agents, &kept)?;
    if left_out > 0 {
        context.printer.note(format!(
            "{left_out} records are left out: the chain has attested no such agent (yet, or any more)"
        ));
    }
    let held = held(&kept, &agents);
    if !args.check {
        context.printer.note(format!("{new} new records are kept; none contradicts another"));
    }
    for broken in held.iter().filter(|held| held.follows == Some(Follows::Nothing)) {
        context.printer.note(format!(
            "agent {} of replica {} does not go on from the agent before it: its provider has not \
             shown it the last record",
            broken.key, broken.replica
        ));
    }
    context.printer.data(&held, || {
        let heading = ["REPLICA", "AGENT", "RECORDS", "LAST", "CLAIMED", "FROM", "TO", "FOLLOWS"];
        let row = |held: &Held| {
            vec![
                held.replica.to_string(),
                held.key.chars().take(10).collect(),
                held.records.to_string(),
                held.last_sequence.to_string(),
                held.claimed_sequence.map_or_else(|| "-".into(), |claimed| claimed.to_string()),
                rfc3339(held.from),
                rfc3339(held.to),
                match &held.follows {
                    None => "-".into(),
                    Some(Follows::Start) => "start".into(),
                    Some(Follows::Agent(key)) => key.chars().take(10).collect(),
                    Some(Follows::Unknown) => "unknown".into(),
                    Some(Follows::Nothing) => "NOTHING".into(),
                },
            ]
        };
        table(&heading, &held.iter().map(row).collect::<Vec<_>>())
    })
}

/// Which lease's file is meant, without asking its provider.
async fn kept_lease(
    context: &Context,
    chain: &Chain,
    args: &RecordsArgs,
) -> anyhow::Result<LeaseId> {
    match args.lease.as_deref().and_then(|text| text.parse().ok()) {
        Some(id) => Ok(id),
        None => {
            let own = context.own_address()?;
            find(context, chain, own, args.lease.as_deref()).await.map(|lease| lease.id)
        }
    }
}

fn is_attested(agents: &[AgentView], replica: ReplicaIndex, key: &AgentPublicKey) -> bool {
    agents.iter().any(|agent| agent.replica == replica && agent.key == *key)
}

/// What was claimed must be what was signed.
fn check_claims(agents: &[AgentView], kept: &KeptRecords) -> anyhow::Result<()> {
    for agent in agents {
        let claimed = kept.records().iter().find(|signed| {
            let record = signed.record();
            (record.replica, *signed.key(), record.sequence)
                == (agent.replica, agent.key, agent.sequence)
        });
        if let Some(claimed) = claimed {
            (claimed.record().total == agent.claimed_total).then_some(()).or_fail(|| {
                Failure::new(format!(
                    "record {} of replica {} was claimed with another total than it has here",
                    agent.sequence, agent.replica
                ))
                .hint("the agent has signed two records with this number: contest the claim")
            })?;
        }
    }
    Ok(())
}

fn held(kept: &KeptRecords, agents: &[AgentView]) -> Vec<Held> {
    let mut by_agent: BTreeMap<(ReplicaIndex, AgentPublicKey), Vec<&UsageRecord>> = BTreeMap::new();
    for signed in kept.records() {
        let agent = (signed.record().replica, *signed.key());
        by_agent.entry(agent).or_default().push(signed.record());
    }
    let held = by_agent.into_iter().filter_map(|((replica, key), records)| {
        let first = records.iter().min_by_key(|record| record.sequence)?;
        let last = records.iter().max_by_key(|record| record.sequence)?;
        let agent = agents.iter().find(|agent| agent.replica == replica && agent.key == key);
        Some(Held {
            replica,
            key: format!("0x{}", hex::encode(key)),
            records: records.len(),
            first_sequence: first.sequence,
            last_sequence: last.sequence,
            from: first.from,
            to: last.to,
            claimed_sequence: agent.map(|agent| agent.sequence),
            running_seconds: last.running_seconds,
            follows: follows(&key, first, kept.records()),
            has_ended: last.state.has_ended(),
        })
    });
    held.collect()
}

/// What an agent's first record goes on from; `None` where `first` is not its first.
fn follows(key: &AgentPublicKey, first: &UsageRecord, kept: &[SignedRecord]) -> Option<Follows> {
    if first.sequence != 1 {
        return None;
    }
    let mut others = kept.iter().filter(|signed| {
        let record = signed.record();
        record.replica == first.replica && signed.key() != key
    });
    Some(if first.previous != [0; 32] {
        let before = others.find(|signed| signed.record().hash() == first.previous);
        before.map_or(Follows::Unknown, |signed| {
            Follows::Agent(format!("0x{}", hex::encode(signed.key())))
        })
    } else if others.any(|signed| signed.record().to <= first.from) {
        Follows::Nothing
    } else {
        Follows::Start
    })
}

#[cfg(test)]
mod tests;
