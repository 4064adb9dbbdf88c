#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chunk;
mod line;
mod seal;
mod verify;
mod writer;

pub use casemate_primitives::{LOG_CHUNK_BYTES_MAX, LogChunk, LogChunkHeader, LogHead};
pub use chunk::{CHUNK_ENCODED_BYTES_MAX, ChunkError, SEAL_BYTES, decode_chunk};
pub use line::{LogLine, Stream};
pub use seal::{OpenError, RecipientError, open, public_key};
pub use verify::{Gap, Proof, Report, Span, Tree, Verdict, verify};
pub use writer::ChunkWriter;
