//! Reads a sealed log page by page from whoever keeps it, and proves it against a head.
//!
//! Who keeps a log may leave out, change, reorder or invent chunks, of this log and of others: what is
//! under the head is proved by its path, and every index up to the head must be there.

use casemate_logs::{Gap, LogLine, Proof, Tree, Verdict, decode_chunk, open, verify};
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, LogChunk, LogHead, ReplicaIndex};

use crate::{
    api::{LogChunkEntry, LogChunkList},
    provider::{ProviderClient, ProviderError},
};

/// Whoever keeps a log.
pub trait LogSource {
    /// Chunks from index `from` on, with paths in the tree of the first `size`.
    fn chunks(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: &AgentPublicKey,
        from: u64,
        size: u64,
    ) -> impl Future<Output = Result<LogChunkList, ProviderError>> + Send;
}

impl LogSource for ProviderClient {
    async fn chunks(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: &AgentPublicKey,
        from: u64,
        size: u64,
    ) -> Result<LogChunkList, ProviderError> {
        self.log_chunks(lease, replica, key, from, size).await
    }
}

/// What is wrong with a log: each is a reason not to believe that it is whole.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LogProblem {
    /// Chunks under the head were not given.
    #[error("{count} chunks from {first} on are missing")]
    Missing {
        /// Index of the first.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Whoever keeps the log has dropped a chunk.
    #[error("chunk {index} is not kept any more")]
    Dropped {
        /// Which.
        index: u64,
    },
    /// What was given for a chunk is none.
    #[error("what was given as chunk {index} is none: {reason}")]
    Malformed {
        /// Which.
        index: u64,
        /// Why.
        reason: String,
    },
    /// A chunk of another lease, replica or agent, or from another place of this log.
    #[error("what was given as chunk {index} belongs elsewhere")]
    Foreign {
        /// Which.
        index: u64,
    },
    /// A chunk that is not what the agent wrote there.
    #[error("chunk {index} is not proved by the head: it was changed, or its proof is wrong")]
    NotProved {
        /// Which.
        index: u64,
    },
    /// The agent's numbers do not go on.
    #[error("the line numbers do not go on at chunk {index}")]
    Lines {
        /// Which.
        index: u64,
    },
    /// A chunk that the key does not open.
    #[error("{0}")]
    Sealed(String),
}

/// How much a line is to be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Under the head.
    Proved,
    /// Newer than the head, or read without one.
    Unproved,
}

/// A line that was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenedLine {
    /// The line.
    pub line: LogLine,
    /// How much it is to be believed.
    pub standing: Standing,
}

/// A run of proved chunks without one missing, by the agent's clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProvedSpan {
    /// Index of the first chunk.
    pub first: u64,
    /// Index of the last one.
    pub last: u64,
    /// When the first line was written, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// When the last one was.
    pub to_ms: u64,
}

/// What was found so far.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogReport {
    /// What is proved, in the log's order; one span where nothing is missing.
    pub spans: Vec<ProvedSpan>,
    /// How many lines are proved.
    pub proved_lines: u64,
    /// How many lines the agent itself has dropped (and says so), because output came too fast.
    pub dropped_lines: u64,
    /// How many lines are newer than the head.
    pub unproved_lines: u64,
    /// What is wrong, in the log's order; the first 100.
    pub problems: Vec<LogProblem>,
}

impl LogReport {
    fn problem(&mut self, problem: LogProblem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// A walk along one log.
#[derive(Debug)]
pub struct LogWalk<'a, S> {
    source: &'a S,
    tree: Tree,
    genesis_hash: Hash256,
    next: u64,
    /// Further is not looked.
    until: u64,
    /// The proved chunk that was seen last, and the number of the line after it.
    last: Option<(u64, u64)>,
    ended: bool,
    report: LogReport,
}

impl<'a, S: LogSource> LogWalk<'a, S> {
    /// All of a log, to be proved by the head of `tree`.
    pub fn proving(source: &'a S, tree: Tree, genesis_hash: Hash256) -> Self {
        let until = tree.head.chunks.saturating_add(NEWER_MAX);
        Self::new(source, tree, genesis_hash, (0, until))
    }

    /// A log from chunk `first` on, without a proof of anything.
    pub fn reading(
        source: &'a S,
        (lease, replica, key): (LeaseId, ReplicaIndex, AgentPublicKey),
        genesis_hash: Hash256,
        first: u64,
    ) -> Self {
        let tree = Tree { lease, replica, key, head: LogHead::default() };
        Self::new(source, tree, genesis_hash, (first, u64::MAX))
    }

    fn new(source: &'a S, tree: Tree, genesis_hash: Hash256, (next, until): (u64, u64)) -> Self {
        let report = LogReport::default();
        Self { source, tree, genesis_hash, next, until, last: None, ended: false, report }
    }

    /// What was found up to here.
    pub fn report(&self) -> &LogReport {
        &self.report
    }

    /// Index of the chunk that comes next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next page's lines, opened with the recipient's secret key; `None` at the end. What is
    /// wrong is in the report, and not among the lines.
    ///
    /// # Errors
    /// The source gives no answer.
    pub async fn page(
        &mut self,
        secret: &[u8; 32],
    ) -> Result<Option<Vec<OpenedLine>>, ProviderError> {
        let Tree { lease, replica, key, head } = self.tree;
        if self.ended {
            return Ok(None);
        }
        let page = self.source.chunks(lease, replica, &key, self.next, head.chunks).await?;
        let from = self.next;
        let end = page.chunks.iter().map(|entry| entry.index.saturating_add(1)).max();
        let Some(end) = end.filter(|end| *end > from && *end <= self.until) else {
            self.ended = true;
            if from < head.chunks {
                self.report.problem(LogProblem::Missing { first: from, count: head.chunks - from });
            }
            return Ok(None);
        };
        self.next = end;
        let mut given: Vec<(LogChunk, Vec<Hash256>)> = Vec::new();
        // Of these it is told what is wrong with them: they are not missing, too.
        let mut told = Vec::new();
        for entry in page.chunks.into_iter().filter(|entry| entry.index >= from) {
            match read(&entry) {
                Ok(chunk) => {
                    let path = entry.path.unwrap_or_default();
                    given.push((chunk, path.into_iter().map(|hash| hash.0).collect()));
                }
                Err(problem) => {
                    told.push(entry.index);
                    self.report.problem(problem);
                }
            }
        }
        given.sort_by_key(|(chunk, _)| chunk.header.index);
        given.dedup_by_key(|(chunk, _)| chunk.header.index);
        let (chunks, paths): (Vec<_>, Vec<_>) = given.into_iter().unzip();
        let report = verify(&self.tree, from, &chunks, Proof::Paths(&paths));
        let bad = [Verdict::Foreign, Verdict::NotProved];
        let judged = chunks.iter().zip(&report.verdicts);
        told.extend(judged.filter(|(_, v)| bad.contains(v)).map(|(chunk, _)| chunk.header.index));
        for gap in &report.gaps {
            self.gap(gap, end, &told);
        }
        let mut lines = Vec::new();
        for (chunk, verdict) in chunks.iter().zip(&report.verdicts) {
            let index = chunk.header.index;
            match verdict {
                Verdict::Proved => self.proved(chunk),
                Verdict::Newer => (),
                Verdict::Foreign => {
                    self.report.problem(LogProblem::Foreign { index });
                    continue;
                }
                _ => {
                    self.report.problem(LogProblem::NotProved { index });
                    continue;
                }
            }
            let standing = match verdict {
                Verdict::Proved => Standing::Proved,
                _ => Standing::Unproved,
            };
            match open(chunk, &self.genesis_hash, secret) {
                Ok(opened) => {
                    let count = opened.len() as u64;
                    match standing {
                        Standing::Proved => self.report.proved_lines += count,
                        Standing::Unproved => self.report.unproved_lines += count,
                    }
                    lines.extend(opened.into_iter().map(|line| OpenedLine { line, standing }));
                }
                Err(err) => self.report.problem(LogProblem::Sealed(err.to_string())),
            }
        }
        Ok(Some(lines))
    }

    /// A gap within this page. What is behind it is the next page's.
    fn gap(&mut self, gap: &Gap, end: u64, told: &[u64]) {
        match gap {
            Gap::Chunks { first, count, .. } => {
                let until = first.saturating_add(*count).min(end);
                let mut first = *first;
                while first < until {
                    let length = (first..until).take_while(|index| !told.contains(index)).count();
                    let length = length as u64;
                    if length > 0 {
                        self.report.problem(LogProblem::Missing { first, count: length });
                    }
                    first += length + 1;
                }
            }
            Gap::Dropped { lines, .. } => {
                self.report.dropped_lines = self.report.dropped_lines.saturating_add(*lines);
            }
            Gap::Inconsistent { index } => self.report.problem(LogProblem::Lines { index: *index }),
            _ => (),
        }
    }

    /// Notes a proved chunk. Within a page the lines were compared; here it is from page to page.
    fn proved(&mut self, chunk: &LogChunk) {
        let header = &chunk.header;
        let begins = header.first_line.saturating_sub(header.dropped);
        let follows = self.last.is_some_and(|(index, _)| index.saturating_add(1) == header.index);
        let fits = match self.last {
            Some((_, line)) if follows => line == begins,
            Some((_, line)) => line <= begins,
            None => header.index != 0 || begins == 0,
        };
        let is_told = self.report.problems.contains(&LogProblem::Lines { index: header.index });
        if !fits && !is_told {
            self.report.problem(LogProblem::Lines { index: header.index });
        }
        self.last = Some((header.index, header.first_line.saturating_add(header.lines.into())));
        match self.report.spans.last_mut().filter(|_| follows) {
            Some(span) => (span.last, span.to_ms) = (header.index, header.to_ms),
            None => self.report.spans.push(ProvedSpan {
                first: header.index,
                last: header.index,
                from_ms: header.from_ms,
                to_ms: header.to_ms,
            }),
        }
    }
}

fn read(entry: &LogChunkEntry) -> Result<LogChunk, LogProblem> {
    let index = entry.index;
    let bytes = entry.chunk.as_ref().ok_or(LogProblem::Dropped { index })?;
    let chunk = decode_chunk(&bytes.0)
        .map_err(|err| LogProblem::Malformed { index, reason: err.to_string() })?;
    if chunk.header.index == index { Ok(chunk) } else { Err(LogProblem::Foreign { index }) }
}

/// What nobody can prove is looked at only so far: 64 MiB.
const NEWER_MAX: u64 = 4096;
const PROBLEMS_MAX: usize = 100;
