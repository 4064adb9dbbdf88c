//! What goes over the sockets: JSON lines, hex, and the bounds on both.
//!
//! Only the standard library and `serde_json`, so that an agent inside a pod can use it.

use std::{
    fmt,
    io::{self, BufRead},
};

/// Longest request that the daemon reads, in bytes. A request names paths and digests: Linux paths
/// end at 4 KiB.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Longest answer that a client reads, in bytes. The largest is the collateral, some 200 kB.
pub const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Which TEE the evidence is made for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// An SGX enclave.
    IntelSgx,
    /// A TDX trust domain.
    IntelTdx,
    /// An SEV-SNP guest.
    AmdSevSnp,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::IntelSgx, Self::IntelTdx, Self::AmdSevSnp];

    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IntelSgx => "intelSgx",
            Self::IntelTdx => "intelTdx",
            Self::AmdSevSnp => "amdSevSnp",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(DIGITS[usize::from(nibble)]));
        }
    }
    out
}

/// The bytes of hex in either case; `None` if it is not hex.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// Exactly `N` bytes of hex.
pub fn from_hex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    from_hex(text)?.try_into().ok()
}

/// Reads up to and without the next line feed.
///
/// `None` at the end of the stream.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a line longer than `bytes_max` (nothing can be read from the
/// stream after that), [`io::ErrorKind::UnexpectedEof`] for one without an end, and what the stream
/// itself gives.
pub fn read_line(stream: &mut impl BufRead, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let available = match stream.fill_buf() {
            Ok(available) => available,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(err),
        };
        if available.is_empty() {
            return if line.is_empty() {
                Ok(None)
            } else {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the line has no end"))
            };
        }
        let end = available.iter().position(|&byte| byte == b'\n');
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        if line.len() + part.len() > bytes_max {
            let text = format!("the line is longer than {bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        line.extend_from_slice(part);
        let used = part.len() + usize::from(end.is_some());
        stream.consume(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests;
