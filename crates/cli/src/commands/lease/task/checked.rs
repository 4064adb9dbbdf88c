//! What is known of a result besides its agent's signature.
//!
//! The key, the signature and the result come from one node. That the signature holds says only that
//! they belong together; that the key is an attested agent's of this lease and slot is what the node
//! tells of the chain, and is compared and shown as that.

use casemate_client::{
    chain::{AgentView, LeaseDetails, OpenRunView, RunEntry},
    sealed_logs::{LogReport, OpenedLine, Standing},
};
use casemate_logs::Stream;
use casemate_primitives::{
    AgentPublicKey, DeploymentId, Hash256, RunResult, blake2_256, task::output_hash,
};
use serde::Serialize;

/// Most that is hashed to find where the last of several tries has begun to write.
const HASHED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What the node tells of the key that has signed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "agent")]
pub(super) enum KeyStanding {
    /// It is the agent of the run's slot.
    #[serde(rename_all = "camelCase")]
    InSlot {
        /// BLAKE2b-256 of the evidence, as long as that stands.
        evidence_hash: Option<String>,
        /// What its evidence says that runs, as long as that stands.
        workload: Option<String>,
    },
    /// A later run has the slot; the chain keeps the last agent of each.
    Superseded,
    /// The chain has forgotten the lease.
    Forgotten,
}

impl KeyStanding {
    /// For people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::InSlot { evidence_hash: Some(evidence), workload: Some(workload) } => {
                format!("the slot's agent, attested by evidence {evidence}, workload {workload}")
            }
            Self::InSlot { .. } => "the slot's agent; its evidence has run out".to_owned(),
            Self::Superseded => {
                "not compared: a later run has the slot, whose last agent alone is kept".to_owned()
            }
            Self::Forgotten => "not compared: the lease is forgotten".to_owned(),
        }
    }
}

/// Compares a result with what the node tells of its lease and slot. The agents are to be read before
/// the open runs, and these before the history, so that a later run is not overlooked.
///
/// # Errors
/// For people: why it can't be a result of the task's.
pub(super) fn standing(
    (task, result, key): (DeploymentId, &RunResult, &AgentPublicKey),
    lease: Option<&LeaseDetails>,
    agents: &[AgentView],
    open: &[OpenRunView],
    history: &[RunEntry],
) -> Result<KeyStanding, String> {
    let Some(lease) = lease else { return Ok(KeyStanding::Forgotten) };
    if lease.deployment != task {
        return Err(format!("lease {} is of another deployment, {}", lease.id, lease.deployment));
    }
    let agent = agents.iter().find(|agent| agent.replica == result.replica);
    if let Some(agent) = agent.filter(|agent| agent.key == *key) {
        let standing = agent.standing.as_ref();
        return Ok(KeyStanding::InSlot {
            evidence_hash: standing.map(|s| format!("0x{}", hex::encode(s.evidence_hash))),
            workload: standing.map(|s| hex::encode(&s.workload)),
        });
    }
    let is_later = open.iter().any(|run| {
        (run.lease, run.replica) == (result.lease, result.replica) && run.run > result.run
    }) || history.iter().any(|entry| match entry {
        RunEntry::Ended { result: other, .. } => {
            (other.lease, other.replica) == (result.lease, result.replica) && other.run > result.run
        }
        // In which slot that was is not kept.
        RunEntry::Lost { run, lease, .. } => *lease == result.lease && *run > result.run,
        RunEntry::Missed { .. } => false,
    });
    if is_later {
        return Ok(KeyStanding::Superseded);
    }
    Err(match agent {
        None => format!("slot {} of lease {} has no attested agent", result.replica, lease.id),
        Some(agent) => format!(
            "the agent of slot {} of lease {} has another key, 0x{}",
            result.replica,
            lease.id,
            hex::encode(agent.key)
        ),
    })
}

/// Whether the proved output is what the result has the hash of; `None` where that can't be computed:
/// something is missing or was dropped, or is too much to try.
pub(super) fn is_output(
    result: &RunResult,
    report: &LogReport,
    lines: &[OpenedLine],
) -> Option<bool> {
    if !report.problems.is_empty() || report.dropped_lines > 0 {
        return None;
    }
    let lines: Vec<_> = lines
        .iter()
        .filter(|line| line.standing == Standing::Proved && line.line.stream != Stream::Agent)
        .map(|line| &line.line)
        .collect();
    // Only the last try is hashed, and the log does not say where that has begun.
    let cuts = if result.tries > 1 { lines.len() } else { 0 };
    let bytes = lines.iter().map(|line| line.text.len().saturating_add(1)).sum::<usize>();
    if bytes.saturating_mul(cuts.saturating_add(1)) > HASHED_BYTES_MAX {
        return None;
    }
    Some((0..=cuts).any(|cut| {
        let stream = |stream| {
            let mut written = Vec::new();
            for line in lines.iter().skip(cut).filter(|line| line.stream == stream) {
                written.extend_from_slice(&line.text);
                if !line.partial {
                    written.push(b'\n');
                }
            }
            endings(&written)
        };
        let (stdout, stderr) = (stream(Stream::Stdout), stream(Stream::Stderr));
        let both = stdout.iter().flat_map(|out| stderr.iter().map(move |err| (out, err)));
        both.into_iter().any(|(out, err)| output_hash(out, err) == result.output_hash)
    }))
}

/// The log's lines have no ends: the last one may have been written without.
fn endings(written: &[u8]) -> Vec<Hash256> {
    let bare = written.strip_suffix(b"\n");
    std::iter::once(written).chain(bare).map(blake2_256).collect()
}

#[cfg(test)]
mod tests;
