//! The one hash function of the protocol.

use blake2::{digest::consts::U32, Blake2b, Digest};

/// A BLAKE2b-256 digest.
pub type Hash256 = [u8; 32];

/// BLAKE2b with 32 bytes of output and no key (RFC 7693): what the SDK calls `blake2_256`.
pub fn blake2_256(data: &[u8]) -> Hash256 {
    Blake2b::<U32>::digest(data).into()
}
