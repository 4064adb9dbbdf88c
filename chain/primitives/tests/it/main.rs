//! What others rely on byte for byte.

#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, missing_docs)]

mod hostile;
mod vectors;
