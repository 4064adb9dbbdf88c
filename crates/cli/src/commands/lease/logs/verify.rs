//! `casemate logs --verify`: only what is proved, and how much that is.

use std::io::IsTerminal as _;

use casemate_client::{
    api::LogInfo,
    records::{SignedRecord, first_contradiction},
    sealed_logs::{LogReport, LogWalk, OpenedLine},
};
use casemate_logs::Tree;
use casemate_primitives::Hash256;
use serde::Serialize;

use super::{human_line, sealed};
use crate::{
    commands::{attest::rfc3339, lease::place::Place},
    context::Context,
    failure::{Failure, fail},
    kept_records::{AnchoredHead, KeptRecords, anchored_head},
    keystore::LogSecret,
    printer::printable,
};

/// What is known of one agent's log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    replica: u16,
    key: String,
    /// Number of the record whose head it is proved by.
    record: u64,
    /// Chunks under the head.
    chunks: u64,
    /// When the first proved line was written, in milliseconds since the Unix epoch.
    from_ms: Option<u64>,
    /// When the last one was.
    to_ms: Option<u64>,
    proved_lines: u64,
    /// Lines that the agent has dropped, as it says itself.
    dropped_lines: u64,
    /// Lines that are newer than the head.
    unproved_lines: u64,
    problems: Vec<String>,
}

/// The last item of the JSON output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    verified: &'a [Verified],
    problems: &'a [String],
    complete: bool,
}

/// Which heads there are to prove logs by, and what is wrong already.
struct Heads {
    heads: Vec<AnchoredHead>,
    problems: Vec<String>,
}

pub(super) async fn run(
    context: &Context,
    place: &Place,
    names: &sealed::Names,
    kept: &KeptRecords,
    (genesis_hash, secret): (Hash256, &LogSecret),
    tail: Option<usize>,
) -> anyhow::Result<()> {
    let logs = sealed::kept_logs(place).await?;
    let (fetched, bad) = place.records(&genesis_hash).await?;
    let Heads { heads, mut problems } = heads(place, kept, fetched, bad);
    let is_known = |log: &LogInfo| {
        heads.iter().any(|head| (head.replica, head.key) == (log.replica, log.key.0))
    };
    for log in logs.iter().filter(|log| !is_known(log)) {
        context.printer.note(format!(
            "{} chunks of replica {}'s agent {}… are left out: the chain has no such agent (any \
             more), and no record of it is kept here",
            log.chunks,
            log.replica,
            hex::encode(log.key.0).get(..8).unwrap_or_default()
        ));
    }
    let is_empty = heads.iter().all(|head| head.head.chunks == 0);
    if is_empty && problems.is_empty() {
        return fail(
            Failure::new(format!("nothing of lease {}'s output can be proved", place.id)).hint(
                "either nothing was written yet, or its manifest has no `spec.logs`, or its agents \
                 are gone from the chain and no records were kept (casemate lease records)",
            ),
        );
    }
    let mut verified = Vec::new();
    let mut shown = Vec::new();
    for head in &heads {
        let (report, lines) = prove(place, head, genesis_hash, secret).await?;
        let agent = (head.replica, head.key);
        let skipped = lines.len().saturating_sub(tail.unwrap_or(usize::MAX));
        let lines = lines.into_iter().skip(skipped);
        shown.extend(lines.map(|line| names.line(agent, line, true)));
        verified.push(Verified::of(head, &report));
    }
    shown.sort_by_key(|line| line.entry.time_ms);
    let tame = std::io::stdout().is_terminal();
    for line in &shown {
        context.printer.item(line, || {
            let text = human_line(&line.entry, true, tame);
            if line.proof == Some("proved") { text } else { format!("unproved {text}") }
        })?;
    }
    for one in &verified {
        problems.extend(one.problems.iter().map(|why| format!("replica {}: {why}", one.replica)));
    }
    if context.printer.is_json() {
        let complete = problems.is_empty();
        let summary = Summary { verified: &verified, problems: &problems, complete };
        context.printer.item(&summary, String::new)?;
    }
    for one in &verified {
        context.printer.note(one.to_string());
    }
    match problems.split_first() {
        None => Ok(()),
        Some((first, rest)) => {
            rest.iter().take(20).for_each(|why| context.printer.warn(printable(why)));
            let more =
                if rest.is_empty() { String::new() } else { format!(" ({} more)", rest.len()) };
            fail(
                Failure::new(format!(
                    "the output of lease {} is not proved without a gap: {}{more}",
                    place.id,
                    printable(first)
                ))
                .hint(
                    "what was shown as proved is; the provider owes the rest: challenge it, or \
                     deploy elsewhere",
                ),
            )
        }
    }
}

fn heads(place: &Place, kept: &KeptRecords, fetched: Vec<SignedRecord>, bad: usize) -> Heads {
    let mut problems = Vec::new();
    if bad > 0 {
        problems.push(format!("the provider gives {bad} records that no agent has signed"));
    }
    let mut all = kept.records().to_vec();
    all.extend(fetched);
    if let Some((first, second, why)) = first_contradiction(&all) {
        problems.push(format!(
            "records {} and {} of replica {} contradict each other ({why}): keep both with `casemate \
             lease records`",
            first.record().sequence,
            second.record().sequence,
            first.record().replica
        ));
    }
    let mut heads = Vec::new();
    for agent in &place.agents {
        match anchored_head(agent, &all) {
            Ok(head) => heads.push(head),
            Err(why) => problems.push(why),
        }
    }
    // Agents that the chain had when their records were kept.
    for old in kept.heads() {
        if !heads.iter().any(|head| (head.replica, head.key) == (old.replica, old.key)) {
            heads.push(old);
        }
    }
    Heads { heads, problems }
}

/// What of an agent's log is proved under a head.
pub(in crate::commands::lease) async fn prove(
    place: &Place,
    head: &AnchoredHead,
    genesis_hash: Hash256,
    secret: &LogSecret,
) -> anyhow::Result<(LogReport, Vec<OpenedLine>)> {
    let AnchoredHead { replica, key, head, .. } = *head;
    let tree = Tree { lease: place.id, replica, key, head };
    let mut walk = LogWalk::proving(&place.client, tree, genesis_hash);
    let mut lines = Vec::new();
    while let Some(page) = walk.page(secret.expose()).await? {
        lines.extend(page);
    }
    Ok((walk.report().clone(), lines))
}

impl Verified {
    fn of(head: &AnchoredHead, report: &LogReport) -> Self {
        Self {
            replica: head.replica,
            key: format!("0x{}", hex::encode(head.key)),
            record: head.sequence,
            chunks: head.head.chunks,
            from_ms: report.spans.first().map(|span| span.from_ms),
            to_ms: report.spans.last().map(|span| span.to_ms),
            proved_lines: report.proved_lines,
            dropped_lines: report.dropped_lines,
            unproved_lines: report.unproved_lines,
            problems: report.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

/// From when to when, and how much.
impl std::fmt::Display for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let agent = self.key.get(..10).unwrap_or_default();
        write!(f, "Replica {}, agent {agent}…: ", self.replica)?;
        match (self.from_ms, self.to_ms) {
            (Some(from), Some(to)) => {
                let gaps = if self.problems.is_empty() { "without a gap" } else { "WITH GAPS" };
                let (from, to) = (rfc3339(from / 1000), rfc3339(to / 1000));
                write!(f, "{} lines are proved from {from} to {to}, {gaps}", self.proved_lines)?;
            }
            _ => write!(f, "nothing is proved")?,
        }
        if self.dropped_lines > 0 {
            write!(f, "; the agent dropped {} lines that came too fast", self.dropped_lines)?;
        }
        if self.unproved_lines > 0 {
            write!(f, "; {} lines are newer than record {}", self.unproved_lines, self.record)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
