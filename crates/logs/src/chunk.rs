//! Chunks from bytes of somebody who is not trusted.

use casemate_primitives::{LOG_CHUNK_BYTES_MAX, LogChunk, LogChunkHeader};
use codec::{DecodeAll as _, MaxEncodedLen as _};

/// What sealing adds to a body: the encapsulated key and the tag.
pub const SEAL_BYTES: usize = 32 + 16;

/// Fewest bytes that a line takes in a body: time, stream, whether it goes on, and length.
const LINE_BYTES_MIN: usize = 4;

/// Why bytes are no chunk of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Longer than any chunk.
    #[error("these bytes are longer than a chunk of a log may be")]
    TooLong,
    /// Not the SCALE encoding of one.
    #[error("these bytes are no chunk of a log")]
    Malformed,
    /// The header says what can't be.
    #[error("the chunk's header contradicts itself: {0}")]
    Header(&'static str),
}

/// Longest encoding of a chunk: header, the body's length, and the body.
pub const CHUNK_ENCODED_BYTES_MAX: usize =
    4 + LOG_CHUNK_BYTES_MAX as usize + 8 + 2 + 32 + 5 * 8 + 4;

/// Reads a chunk, and checks that its header can be true. What it says is proved by a head only, see
/// [`crate::verify`].
///
/// # Errors
/// What is wrong with it.
pub fn decode_chunk(bytes: &[u8]) -> Result<LogChunk, ChunkError> {
    debug_assert_eq!(
        CHUNK_ENCODED_BYTES_MAX,
        LogChunkHeader::max_encoded_len() + 4 + LOG_CHUNK_BYTES_MAX as usize
    );
    if bytes.len() > CHUNK_ENCODED_BYTES_MAX {
        return Err(ChunkError::TooLong);
    }
    let chunk = LogChunk::decode_all(&mut &bytes[..]).map_err(|_| ChunkError::Malformed)?;
    check(&chunk)?;
    Ok(chunk)
}

/// Whether a chunk's header can be true.
pub(crate) fn check(chunk: &LogChunk) -> Result<(), ChunkError> {
    let LogChunk { header, body } = chunk;
    if body.len() > LOG_CHUNK_BYTES_MAX as usize {
        return Err(ChunkError::TooLong);
    }
    let says = |what| Err(ChunkError::Header(what));
    let Some(sealed) = body.len().checked_sub(SEAL_BYTES) else {
        return says("its body is shorter than nothing sealed");
    };
    if header.lines as usize > sealed / LINE_BYTES_MIN {
        return says("it has more lines than room for them");
    }
    if header.to_ms < header.from_ms {
        return says("it ends before it begins");
    }
    if header.first_line.checked_add(header.lines.into()).is_none() || header.index == u64::MAX {
        return says("its numbers are out of range");
    }
    if header.dropped > header.first_line {
        return says("more lines were dropped than there were");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
