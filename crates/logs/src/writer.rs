//! The agent's side: lines in, sealed chunks and the tree's head out.

use casemate_primitives::{
    AgentPublicKey, Hash256, LOG_CHUNK_BYTES_MAX, LeaseId, LogChunk, LogChunkHeader, LogHead,
    ReplicaIndex, merkle,
};
use codec::Encode as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    chunk::SEAL_BYTES,
    line::{
        CHANGE_BYTES_MAX, CONTAINER_BYTES_MAX, LINE_OVERHEAD_BYTES_MAX, Stream, encode_change,
        encode_line,
    },
    seal::{self, Recipient, RecipientError},
};

/// Most that a body holds before it is sealed.
const PLAIN_BYTES_MAX: usize = LOG_CHUNK_BYTES_MAX as usize - SEAL_BYTES;

/// Below this, a piece is not worth to be cut off a line: a new chunk is begun instead.
const PIECE_BYTES_MIN: usize = 512;

/// Fills chunks, seals them, and keeps the tree over them.
pub struct ChunkWriter {
    genesis_hash: Hash256,
    lease: LeaseId,
    replica: ReplicaIndex,
    key: AgentPublicKey,
    recipient: Recipient,
    tree: merkle::Frontier,
    /// Lines of the open chunk, in one allocation that does not move.
    plain: Zeroizing<Vec<u8>>,
    /// Whose lines the open chunk's newest are; empty for the pod's first container.
    container: String,
    lines: u32,
    first_line: u64,
    dropped: u64,
    from_ms: u64,
    last_ms: u64,
}

impl std::fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkWriter")
            .field("lease", &self.lease)
            .field("replica", &self.replica)
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

impl ChunkWriter {
    /// An empty log of this agent's key, sealed to `recipient` (an X25519 public key).
    ///
    /// # Errors
    /// Where nothing can be sealed to the recipient.
    pub fn new(
        genesis_hash: Hash256,
        lease: LeaseId,
        replica: ReplicaIndex,
        agent_key: AgentPublicKey,
        recipient: [u8; 32],
    ) -> Result<Self, RecipientError> {
        Ok(Self {
            genesis_hash,
            lease,
            replica,
            key: agent_key,
            recipient: seal::recipient(&recipient)?,
            tree: merkle::Frontier::default(),
            plain: Zeroizing::new(Vec::with_capacity(PLAIN_BYTES_MAX)),
            container: String::new(),
            lines: 0,
            first_line: 0,
            dropped: 0,
            from_ms: 0,
            last_ms: 0,
        })
    }

    /// Appends a line; returns the chunks that are full now, mostly none. A line that is longer than
    /// a chunk's rest comes in pieces, each with a number of its own.
    ///
    /// A clock that is set back does not make times go back: such lines have the time of the one
    /// before.
    #[must_use]
    pub fn line(
        &mut self,
        time_ms: u64,
        stream: Stream,
        text: &[u8],
        partial: bool,
    ) -> Vec<LogChunk> {
        self.line_of("", time_ms, stream, text, partial)
    }

    /// The same for a line of another container than the pod's first. Of a name that is longer than
    /// one can be (63 bytes) the beginning is kept.
    #[must_use]
    pub fn line_of(
        &mut self,
        container: &str,
        time_ms: u64,
        stream: Stream,
        mut text: &[u8],
        partial: bool,
    ) -> Vec<LogChunk> {
        let mut full = Vec::new();
        let time_ms = time_ms.max(self.last_ms);
        let end = (0..=CONTAINER_BYTES_MAX).rev().find(|at| container.is_char_boundary(*at));
        let container = container.get(..end.unwrap_or(0)).unwrap_or(container);
        loop {
            let change = if self.container == container { 0 } else { CHANGE_BYTES_MAX };
            let overhead = LINE_OVERHEAD_BYTES_MAX + change;
            let room = PLAIN_BYTES_MAX.saturating_sub(self.plain.len() + overhead);
            if text.len() <= room {
                self.push(container, time_ms, stream, text, partial);
                return full;
            }
            if room >= PIECE_BYTES_MIN {
                let (piece, rest) = text.split_at(whole_characters(text, room));
                self.push(container, time_ms, stream, piece, true);
                text = rest;
            }
            full.extend(self.flush());
        }
    }

    /// Says that this many lines were dropped here; returns the chunk that ends by that, if one was
    /// begun. The next chunk says it, even if no line comes any more.
    #[must_use]
    pub fn dropped(&mut self, time_ms: u64, lines: u64) -> Option<LogChunk> {
        let ended = if self.lines > 0 { self.flush() } else { None };
        self.last_ms = self.last_ms.max(time_ms);
        self.dropped = self.dropped.saturating_add(lines);
        ended
    }

    /// Seals what there is; `None` where nothing was written or dropped since the last chunk.
    #[must_use]
    pub fn flush(&mut self) -> Option<LogChunk> {
        if self.lines == 0 && self.dropped == 0 {
            return None;
        }
        let first_line = self.first_line.saturating_add(self.dropped);
        let from_ms = if self.lines == 0 { self.last_ms } else { self.from_ms };
        let header = LogChunkHeader {
            lease: self.lease,
            replica: self.replica,
            key: self.key,
            index: self.tree.size(),
            from_ms,
            to_ms: self.last_ms,
            first_line,
            lines: self.lines,
            dropped: self.dropped,
        };
        let body = seal::seal(&self.recipient, &self.genesis_hash, &header, &self.plain);
        self.plain.zeroize();
        self.container.clear();
        self.plain.reserve(PLAIN_BYTES_MAX);
        let lines = std::mem::take(&mut self.lines);
        let Some(body) = body else {
            // It has worked for this recipient before. These lines are lost then, and said to be.
            self.dropped = self.dropped.saturating_add(lines.into());
            return None;
        };
        self.dropped = 0;
        self.first_line = first_line.saturating_add(lines.into());
        let chunk = LogChunk { header, body };
        self.tree.push(merkle::leaf_hash(&chunk.encode()));
        Some(chunk)
    }

    /// Head of the tree over all chunks that were returned.
    pub fn head(&self) -> LogHead {
        LogHead { root: self.tree.root(), chunks: self.tree.size() }
    }

    fn push(&mut self, container: &str, time_ms: u64, stream: Stream, text: &[u8], partial: bool) {
        if self.container != container {
            encode_change(&mut self.plain, container);
            container.clone_into(&mut self.container);
        }
        if self.lines == 0 {
            self.from_ms = time_ms;
            self.last_ms = time_ms;
        }
        encode_line(&mut self.plain, time_ms - self.last_ms, stream, partial, text);
        self.last_ms = time_ms;
        self.lines += 1;
    }
}

/// Where to cut `text` so that the first part has at most `room` bytes, and no character is torn
/// where there are characters.
fn whole_characters(text: &[u8], room: usize) -> usize {
    let boundary = |at: &usize| text.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (room.saturating_sub(3)..=room).rev().find(boundary).unwrap_or(room)
}

#[cfg(test)]
mod tests;
