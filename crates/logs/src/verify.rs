//! Which chunks a head proves, and what is missing.

use std::collections::BTreeMap;

use casemate_primitives::{
    AgentPublicKey, Hash256, LeaseId, LogChunk, LogChunkHeader, LogHead, ReplicaIndex, merkle,
};
use codec::Encode as _;

use crate::chunk;

/// Whose log, and its head as the verifier trusts it: from the chain, or from a record that he has
/// checked the signature of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tree {
    /// The lease.
    pub lease: LeaseId,
    /// Which of its pods.
    pub replica: ReplicaIndex,
    /// Which of the pod's agents.
    pub key: AgentPublicKey,
    /// The head.
    pub head: LogHead,
}

/// What shows that chunks are in the tree. It comes from somebody who is not trusted.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// Leaf hashes from the first on; those behind the head are not looked at.
    Leaves(&'a [Hash256]),
    /// An inclusion path for each chunk, in the chunks' order, for a tree of the head's size.
    Paths(&'a [Vec<Hash256>]),
}

/// What is known of a given chunk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is what the agent made at this place of its log.
    Proved,
    /// It is newer than the head: nothing shows it yet.
    Newer,
    /// Of another lease, pod or agent.
    Foreign,
    /// Not under the head: changed, at a wrong place, or its proof is wrong.
    NotProved,
}

/// What is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gap {
    /// Chunks that were not given, or not proved.
    Chunks {
        /// Index of the first.
        first: u64,
        /// How many.
        count: u64,
        /// Number of the first line in them, where it is known. Else a proved chunk before them is
        /// missing.
        first_line: Option<u64>,
        /// How many lines are in them, where it is known: lines that were dropped there are among
        /// these. Nobody but who has the chunks knows what is behind the last proved one.
        lines: Option<u64>,
    },
    /// Lines that the agent dropped because output came faster than its limit.
    Dropped {
        /// Index of the chunk that says so; they were dropped before it.
        index: u64,
        /// Number of the first.
        first_line: u64,
        /// How many.
        lines: u64,
    },
    /// The agent's own numbers do not go on here: no agent that works makes such a log.
    Inconsistent {
        /// Index of the chunk that does not follow from the one before.
        index: u64,
    },
}

/// A run of proved chunks without a gap between them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// Index of the first chunk.
    pub first_chunk: u64,
    /// How many chunks.
    pub chunks: u64,
    /// Number of the first line.
    pub first_line: u64,
    /// How many lines.
    pub lines: u64,
    /// When the first line was written, in milliseconds since the Unix epoch by the agent's clock.
    pub from_ms: u64,
    /// When the last line was written.
    pub to_ms: u64,
}

/// What a head proves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// For each given chunk, in their order.
    pub verdicts: Vec<Verdict>,
    /// What is missing under the head, in the log's order.
    pub gaps: Vec<Gap>,
    /// What is there without gaps, in the log's order.
    pub spans: Vec<Span>,
}

impl Report {
    /// Whether all output up to the head is proved and there.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether all given chunks are proved.
    pub fn all_proved(&self) -> bool {
        self.verdicts.iter().all(|verdict| *verdict == Verdict::Proved)
    }
}

/// Says which of `chunks` are proved, and what is missing from chunk `since` up to the head.
///
/// Chunks should be in the log's order; others are taken too. `since` is 0 to verify all of a log.
/// Costs one hash for each chunk and leaf, or path's step.
pub fn verify(tree: &Tree, since: u64, chunks: &[LogChunk], proof: Proof<'_>) -> Report {
    let proof = match proof {
        Proof::Leaves(leaves) => Checked::Leaves(under_head(leaves, &tree.head)),
        Proof::Paths(paths) => Checked::Paths(paths),
    };
    let verdicts: Vec<Verdict> =
        chunks.iter().enumerate().map(|(at, chunk)| judge(tree, at, chunk, &proof)).collect();
    let proved: BTreeMap<u64, &LogChunkHeader> = chunks
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict == Verdict::Proved)
        .map(|(chunk, _)| (chunk.header.index, &chunk.header))
        .collect();
    let mut walk = Walk::at(since);
    for (_, header) in proved.range(since..) {
        walk.chunk(header);
    }
    walk.end(tree.head.chunks);
    Report { verdicts, gaps: walk.gaps, spans: walk.spans }
}

enum Checked<'a> {
    /// Empty where they are not the head's.
    Leaves(&'a [Hash256]),
    Paths(&'a [Vec<Hash256>]),
}

/// The leaves up to the head, if they are the head's.
fn under_head<'a>(leaves: &'a [Hash256], head: &LogHead) -> &'a [Hash256] {
    let leaves = usize::try_from(head.chunks).ok().and_then(|size| leaves.get(..size));
    leaves.filter(|leaves| merkle::root(leaves) == head.root).unwrap_or_default()
}

fn judge(tree: &Tree, at: usize, chunk: &LogChunk, proof: &Checked<'_>) -> Verdict {
    let header = &chunk.header;
    if (header.lease, header.replica, header.key) != (tree.lease, tree.replica, tree.key) {
        return Verdict::Foreign;
    }
    if header.index >= tree.head.chunks {
        return Verdict::Newer;
    }
    let leaf = merkle::leaf_hash(&chunk.encode());
    let is_under_head = match proof {
        Checked::Leaves(leaves) => usize::try_from(header.index)
            .ok()
            .and_then(|index| leaves.get(index))
            .is_some_and(|known| *known == leaf),
        Checked::Paths(paths) => paths.get(at).is_some_and(|path| {
            path.len() <= merkle::PATH_MAX as usize
                && merkle::proved_root(&leaf, header.index, tree.head.chunks, path)
                    == Some(tree.head.root)
        }),
    };
    // An agent makes none whose header can't be true; there is no more to say of one.
    if is_under_head && chunk::check(chunk).is_ok() { Verdict::Proved } else { Verdict::NotProved }
}

/// Walks along a log.
struct Walk {
    next_chunk: u64,
    /// Number of the line that comes next, where it is known.
    next_line: Option<u64>,
    gaps: Vec<Gap>,
    spans: Vec<Span>,
    in_span: bool,
}

impl Walk {
    fn at(since: u64) -> Self {
        let next_line = (since == 0).then_some(0);
        Self { next_chunk: since, next_line, gaps: Vec::new(), spans: Vec::new(), in_span: false }
    }

    fn gap(&mut self, gap: Gap) {
        self.gaps.push(gap);
        self.in_span = false;
    }

    fn chunk(&mut self, header: &LogChunkHeader) {
        // Both were checked, see `chunk::check`.
        let dropped_from = header.first_line.saturating_sub(header.dropped);
        let after = header.first_line.saturating_add(header.lines.into());
        let count = header.index.saturating_sub(self.next_chunk);
        if count > 0 {
            let lines = self.next_line.and_then(|line| dropped_from.checked_sub(line));
            let (first, first_line) = (self.next_chunk, self.next_line);
            self.gap(Gap::Chunks { first, count, first_line, lines });
        }
        let follows = match self.next_line {
            Some(line) if count == 0 => line == dropped_from,
            Some(line) => line <= dropped_from,
            None => true,
        };
        if !follows {
            self.gap(Gap::Inconsistent { index: header.index });
        }
        if header.dropped > 0 {
            let (first_line, lines) = (dropped_from, header.dropped);
            self.gap(Gap::Dropped { index: header.index, first_line, lines });
        }
        self.next_chunk = header.index.saturating_add(1);
        self.next_line = Some(after);
        match self.spans.last_mut().filter(|_| self.in_span) {
            Some(span) => {
                span.chunks += 1;
                span.lines = span.lines.saturating_add(header.lines.into());
                span.to_ms = header.to_ms;
            }
            None => {
                self.spans.push(Span {
                    first_chunk: header.index,
                    chunks: 1,
                    first_line: header.first_line,
                    lines: header.lines.into(),
                    from_ms: header.from_ms,
                    to_ms: header.to_ms,
                });
                self.in_span = true;
            }
        }
    }

    fn end(&mut self, chunks: u64) {
        if let Some(count @ 1..) = chunks.checked_sub(self.next_chunk) {
            let (first, first_line) = (self.next_chunk, self.next_line);
            self.gap(Gap::Chunks { first, count, first_line, lines: None });
        }
    }
}

#[cfg(test)]
mod tests;
