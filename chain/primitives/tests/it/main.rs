//! What others rely on byte for byte.

#![allow(clippy::unwrap_used, missing_docs)]

mod hostile;
mod vectors;
