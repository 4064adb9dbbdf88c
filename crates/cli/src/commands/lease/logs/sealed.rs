//! Sealed output, opened with the account's own key.

use std::collections::BTreeMap;

use casemate_client::{
    api::{LogEntry, LogInfo, RefusalCode},
    provider::ProviderError,
    sealed_logs::{LogProblem, LogWalk, OpenedLine, Standing},
};
use casemate_logs::Stream;
use casemate_manifest::Manifest;
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex};
use serde::Serialize;

use super::RECONNECT;
use crate::{
    commands::lease::{passes_by_itself, place::Place},
    context::Context,
    failure::{Failure, fail},
    keystore::LogSecret,
    printer::printable,
    state::LeaseNotes,
};

/// A line as it is shown: like those that are not sealed, and where it stands in its log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownLine {
    #[serde(flatten)]
    pub(super) entry: LogEntry,
    pub(super) replica: ReplicaIndex,
    /// The agent's key.
    pub(super) key: String,
    /// `proved` or `unproved`, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<&'static str>,
}

/// What pods and their first containers are called.
#[derive(Debug)]
pub(super) struct Names {
    lease: LeaseId,
    pods: BTreeMap<(ReplicaIndex, AgentPublicKey), String>,
    container: String,
    /// Only lines of this container are shown.
    only: Option<String>,
}

impl Names {
    /// As far as the provider and this machine know.
    pub(super) async fn of(place: &Place, notes: &LeaseNotes) -> Self {
        let status = place.client.lease(place.id).await.ok();
        let pods = status.iter().flat_map(|status| &status.pods);
        let name = pods.clone().flat_map(|pod| &pod.containers).next().map(|c| c.name.clone());
        let noted = || {
            let manifest = Manifest::from_json(notes.get(place.id)?.manifest.as_bytes()).ok()?;
            Some(manifest.spec.containers.into_iter().next()?.name)
        };
        let pods = pods.filter_map(|pod| Some(((pod.replica, pod.agent_key?.0), pod.pod.clone())));
        Self {
            lease: place.id,
            pods: pods.collect(),
            container: name.or_else(noted).unwrap_or_else(|| "app".to_owned()),
            only: None,
        }
    }

    /// A line of an agent's log.
    pub(super) fn line(
        &self,
        (replica, key): (ReplicaIndex, AgentPublicKey),
        opened: OpenedLine,
        with_proof: bool,
    ) -> ShownLine {
        let OpenedLine { line, standing } = opened;
        let unnamed = || format!("l{}-r{replica}", self.lease);
        let proof = match standing {
            Standing::Proved => "proved",
            Standing::Unproved => "unproved",
        };
        ShownLine {
            entry: LogEntry {
                pod: self.pods.get(&(replica, key)).cloned().unwrap_or_else(unnamed),
                cursor: line.number,
                time_ms: line.time_ms,
                container: line.container.unwrap_or_else(|| self.container.clone()),
                stream: match line.stream {
                    Stream::Stdout => "stdout",
                    Stream::Stderr => "stderr",
                    Stream::Agent => "agent",
                }
                .into(),
                text: String::from_utf8_lossy(&line.text).into_owned(),
            },
            replica,
            key: format!("0x{}", hex::encode(key)),
            proof: with_proof.then_some(proof),
        }
    }

    /// Shows lines of this container only.
    pub(super) fn only(self, container: Option<String>) -> Self {
        Self { only: container, ..self }
    }

    /// Whether a line is to be shown.
    fn shows(&self, container: Option<&String>) -> bool {
        self.only.as_ref().is_none_or(|only| only == container.unwrap_or(&self.container))
    }
}

/// The sealed logs that a provider keeps of a lease; none where it knows of no such thing.
pub(super) async fn kept_logs(place: &Place) -> Result<Vec<LogInfo>, ProviderError> {
    match place.client.kept_logs(place.id).await {
        Err(err) if err.refusal_code() == Some(RefusalCode::NotFound) => Ok(Vec::new()),
        logs => logs,
    }
}

/// Reads sealed logs without a proof.
pub(super) struct Reader<'a> {
    place: &'a Place,
    names: Names,
    genesis_hash: Hash256,
    secret: &'a LogSecret,
    next: BTreeMap<(ReplicaIndex, AgentPublicKey), u64>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        place: &'a Place,
        names: Names,
        genesis_hash: Hash256,
        secret: &'a LogSecret,
    ) -> Self {
        Self { place, names, genesis_hash, secret, next: BTreeMap::new() }
    }

    /// All that is new since the last call, of each log in its order; only the newest `tail` lines of
    /// each log. Where anything fails, the next call gives the same again.
    pub(super) async fn read(&mut self, tail: Option<usize>) -> anyhow::Result<Vec<ShownLine>> {
        let mut shown = Vec::new();
        let mut next = self.next.clone();
        for log in kept_logs(self.place).await? {
            let agent = (log.replica, log.key.0);
            // What was dropped is not waited for.
            let first = next.get(&agent).copied().unwrap_or(0).max(log.first);
            if log.chunks <= first {
                next.insert(agent, first);
                continue;
            }
            let (lines, position) = self.lines(agent, (first, log.chunks), tail).await?;
            next.insert(agent, position);
            shown.extend(lines.into_iter().map(|line| self.names.line(agent, line, false)));
        }
        self.next = next;
        Ok(shown)
    }

    /// The newest lines of one log, and the index of the chunk after them.
    async fn lines(
        &self,
        agent: (ReplicaIndex, AgentPublicKey),
        (first, chunks): (u64, u64),
        tail: Option<usize>,
    ) -> anyhow::Result<(Vec<OpenedLine>, u64)> {
        if tail == Some(0) {
            return Ok((Vec::new(), chunks));
        }
        // The newest lines are in the last chunks: more of these are read until there are enough.
        let mut back = tail.map_or(u64::MAX, |_| TAIL_CHUNKS);
        loop {
            let start = chunks.saturating_sub(back).max(first);
            let log = (self.place.id, agent.0, agent.1);
            let mut walk = LogWalk::reading(&self.place.client, log, self.genesis_hash, start);
            let mut lines = Vec::new();
            while let Some(page) = walk.page(self.secret.expose()).await? {
                let wanted = |opened: &OpenedLine| self.names.shows(opened.line.container.as_ref());
                lines.extend(page.into_iter().filter(wanted));
            }
            // What the provider has dropped for room meanwhile is the oldest, and told in its events.
            let is_fatal = |problem: &&LogProblem| !matches!(problem, LogProblem::Dropped { .. });
            if let Some(problem) = walk.report().problems.iter().find(is_fatal) {
                return fail(
                    Failure::new(format!(
                        "the output of replica {} cannot be read: {}",
                        agent.0,
                        printable(&problem.to_string())
                    ))
                    .hint(
                        "is it the account that deployed it? See what can be trusted: casemate logs \
                         --verify",
                    ),
                );
            }
            if tail.is_none_or(|tail| lines.len() >= tail) || start == first {
                lines.drain(..lines.len().saturating_sub(tail.unwrap_or(usize::MAX)));
                return Ok((lines, walk.position()));
            }
            back = back.saturating_mul(4);
        }
    }

    /// Shows what is there, `tail` lines of each log, and what comes, until something breaks for good.
    pub(super) async fn follow(
        &mut self,
        context: &Context,
        mut tail: Option<usize>,
        show: impl Fn(&ShownLine) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            match self.read(tail).await {
                Ok(lines) => {
                    tail = None;
                    lines.iter().try_for_each(&show)?;
                }
                Err(error) => match error.downcast_ref::<ProviderError>() {
                    Some(told) if passes_by_itself(told) => {
                        let told = printable(&told.to_string());
                        context
                            .printer
                            .note(format!("The output breaks off, trying again: {told}"));
                    }
                    _ => return Err(error),
                },
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    /// Whether anything was there to be read before.
    pub(super) fn has_read(&self) -> bool {
        !self.next.is_empty()
    }
}

/// Chunks that the newest lines are looked for in first.
const TAIL_CHUNKS: u64 = 16;

#[cfg(test)]
mod tests;
