//! `casemate attest lease`: why the chain lets a lease's agents count, and until when.

use casemate_attestation::{Grade, TcbStatus, TeeKind};
use casemate_client::chain::{AgentView, LeaseView};
use casemate_primitives::{LeaseId, ReplicaIndex, UnixSeconds};
use serde::Serialize;

use super::{grade_text, kind_text};
use crate::{
    chain_ops::Chain,
    cli::AttestLeaseArgs,
    commands::{lease::find, offers::duration_text},
    context::Context,
    failure::{Failure, OrFail as _},
    printer::table,
};

/// A lease's agents.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attested {
    lease: LeaseId,
    /// The chain's clock.
    at: UnixSeconds,
    replicas: Vec<ReplicaStanding>,
}

/// What the chain knows of one replica's agent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct ReplicaStanding {
    pub(in crate::commands) replica: ReplicaIndex,
    /// Whether usage that the agent signs now is paid.
    pub(in crate::commands) attested: bool,
    /// Ed25519 key; `null` before its first evidence.
    key: Option<String>,
    kind: Option<TeeKind>,
    grade: Option<Grade>,
    tcb_status: Option<TcbStatus>,
    workload: Option<String>,
    manifest_hash: Option<String>,
    evidence_hash: Option<String>,
    verified_at: Option<UnixSeconds>,
    /// First second at which the key counts no more.
    attested_until: Option<UnixSeconds>,
}

pub(super) async fn run(context: &Context, args: &AttestLeaseArgs) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let lease = match args.lease.as_deref().and_then(|text| text.parse::<LeaseId>().ok()) {
        // What is on chain is for all to see.
        Some(id) => chain.lease(id).await?.or_fail(|| {
            Failure::new(format!("there is no lease {id}, or it is settled"))
                .hint("see which you have: casemate list")
        })?,
        None => find(context, &chain, context.own_address()?, args.lease.as_deref()).await?,
    };
    let now = chain.time().await?;
    let attested = Attested { lease: lease.id, at: now, replicas: replicas(&lease, now) };
    context.printer.data(&attested, || human(&attested))
}

/// All replicas of a lease, also those without an agent yet.
pub(in crate::commands) fn replicas(lease: &LeaseView, now: UnixSeconds) -> Vec<ReplicaStanding> {
    let agent = |replica| lease.agents.iter().find(|agent| agent.replica == replica);
    (0..lease.replicas).map(|replica| standing(replica, agent(replica), now)).collect()
}

fn standing(replica: ReplicaIndex, agent: Option<&AgentView>, now: UnixSeconds) -> ReplicaStanding {
    let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let standing = agent.and_then(|agent| agent.standing.as_ref());
    ReplicaStanding {
        replica,
        attested: standing.is_some_and(|standing| standing.expires_at > now),
        key: agent.map(|agent| hex(&agent.key)),
        kind: standing.map(|standing| standing.kind),
        grade: standing.map(|standing| standing.grade),
        tcb_status: standing.map(|standing| standing.tcb_status),
        workload: standing.map(|standing| hex::encode(&standing.workload)),
        manifest_hash: standing.map(|standing| hex(&standing.manifest_hash)),
        evidence_hash: standing.map(|standing| hex(&standing.evidence_hash)),
        verified_at: standing.map(|standing| standing.verified_at),
        attested_until: standing.map(|standing| standing.expires_at),
    }
}

impl ReplicaStanding {
    /// Kind and grade in a few words.
    pub(in crate::commands) fn tee_text(&self) -> String {
        match (self.kind, self.grade) {
            (Some(kind), Some(grade)) => format!("{} ({})", kind_text(kind), grade_text(grade)),
            _ => "-".to_owned(),
        }
    }

    /// For how long its key counts.
    pub(in crate::commands) fn standing_text(&self, now: UnixSeconds) -> String {
        match self.attested_until {
            Some(until) if until > now => format!("for {}", duration_text(until - now)),
            Some(_) => "ended".to_owned(),
            None => "none".to_owned(),
        }
    }
}

fn human(attested: &Attested) -> String {
    let unknown = || "-".to_owned();
    let rows: Vec<Vec<String>> = attested
        .replicas
        .iter()
        .map(|replica| {
            vec![
                replica.replica.to_string(),
                replica.tee_text(),
                replica.tcb_status.map_or_else(unknown, |status| format!("{status:?}")),
                replica.standing_text(attested.at),
                replica.key.clone().unwrap_or_else(unknown),
                replica.workload.clone().unwrap_or_else(unknown),
            ]
        })
        .collect();
    table(&["REPLICA", "TEE", "FIRMWARE", "STANDING", "KEY", "WORKLOAD"], &rows)
}

#[cfg(test)]
mod tests;
