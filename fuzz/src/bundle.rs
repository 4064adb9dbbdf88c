//! Text that becomes files which name each other by their digests, or a tar archive.
//!
//! A fuzzer would never find a digest, nor the checksum in a tar header. Here they are filled in, so
//! that what lies behind them is reached.

use casemate_image::Digest;

/// A named part of the input.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

/// Splits at lines `--- NAME`. In names and contents `$1`…`$9` stands for the digest of the first
/// to ninth part, `%1`…`%9` for its size, `&1`…`&9` for the digest's hex alone. A part knows the
/// ones after it.
pub(crate) fn parts(data: &[u8]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in data.split_inclusive(|b| *b == b'\n') {
        if let Some(name) = line.strip_prefix(b"--- ") {
            parts.push(Part { name: name.trim_ascii().to_vec(), bytes: Vec::new() });
        } else if let Some(part) = parts.last_mut() {
            part.bytes.extend_from_slice(line);
        }
        if parts.len() > PARTS_MAX {
            break;
        }
    }
    let mut known: Vec<Option<(Digest, usize)>> = vec![None; parts.len()];
    for at in (0..parts.len()).rev() {
        parts[at].bytes = filled(&parts[at].bytes, &known);
        known[at] = Some((Digest::of(&parts[at].bytes), parts[at].bytes.len()));
    }
    for part in &mut parts {
        part.name = filled(&part.name, &known);
    }
    parts
}

fn filled(text: &[u8], known: &[Option<(Digest, usize)>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let number = after.first().filter(|b| (b'1'..=b'9').contains(b));
        let part = number.and_then(|b| *known.get(usize::from(b - b'1'))?);
        let value = part.and_then(|(digest, size)| match first {
            b'$' => Some(digest.to_string()),
            b'&' => Some(digest.hex()),
            b'%' => Some(size.to_string()),
            _ => None,
        });
        match value {
            Some(value) => {
                out.extend_from_slice(value.as_bytes());
                rest = &after[1..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// A tar archive with correct checksums of entries with any names and types.
#[derive(Debug, Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    /// Adds an entry. Names that do not fit the header go into a GNU long name before it.
    pub(crate) fn entry(&mut self, kind: u8, mode: u32, name: &[u8], link: &[u8], content: &[u8]) {
        for (value, long) in [(link, b'K'), (name, b'L')] {
            if value.len() > 100 {
                self.header(long, 0o644, b"././@LongLink", b"", value.len() + 1);
                self.content(&[value, b"\0"].concat());
            }
        }
        let size = if kind == b'0' { content.len() } else { 0 };
        self.header(kind, mode, name, link, size);
        if kind == b'0' {
            self.content(content);
        }
    }

    /// Adds a header with a PAX record before it.
    pub(crate) fn pax(&mut self, record: &[u8]) {
        // The length counts itself: found by trying.
        let mut length = record.len() + 2;
        while length.to_string().len() + record.len() + 2 > length {
            length += 1;
        }
        let record = [length.to_string().as_bytes(), b" ", record, b"\n"].concat();
        self.header(b'x', 0o644, b"pax", b"", record.len());
        self.content(&record);
    }

    fn header(&mut self, kind: u8, mode: u32, name: &[u8], link: &[u8], size: usize) {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, value: &[u8], most: usize| {
            let value = &value[..value.len().min(most)];
            block[at..at + value.len()].copy_from_slice(value);
        };
        put(0, name, 100);
        put(100, format!("{:07o}", mode & 0o7777).as_bytes(), 7);
        put(108, b"0001750", 7);
        put(116, b"0001750", 7);
        put(124, format!("{size:011o}").as_bytes(), 11);
        put(136, b"00000000000", 11);
        put(156, &[kind], 1);
        put(157, link, 100);
        put(257, b"ustar\x0000", 8);
        put(148, b"        ", 8);
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
    }

    fn content(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

const PARTS_MAX: usize = 16;
