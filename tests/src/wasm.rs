//! A runtime with another version number, made from the one that runs.
//!
//! A real upgrade brings a runtime that was built anew; here its number alone differs, so that the
//! tests need not compile a runtime a second time. A node reads the number in a section of its own;
//! the compiler has written it wherever the runtime itself needs it: into data, and as a constant
//! into code. That all places were found is seen by what the new runtime does.

use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use codec::{Decode as _, Encode as _};

/// What a compressed runtime begins with.
const COMPRESSED: [u8; 8] = [82, 188, 83, 118, 70, 219, 142, 5];
/// The SDK's own limit.
const SIZE_MAX: usize = 50 * 1024 * 1024;
/// A smaller number means too many things in a program.
const VERSION_MIN: u32 = 1 << 16;

const CODE: u8 = 10;
const DATA: u8 = 11;
const I32_CONST: u8 = 0x41;
const I64_CONST: u8 = 0x42;

/// The WebAssembly of a runtime as a chain stores it.
///
/// # Errors
/// It is no WebAssembly.
pub fn decompress(code: &[u8]) -> Result<Vec<u8>> {
    let plain = match code.strip_prefix(&COMPRESSED) {
        Some(rest) => zstd::bulk::decompress(rest, SIZE_MAX).context("cannot decompress it")?,
        None => code.to_vec(),
    };
    ensure!(plain.starts_with(b"\0asm"), "the chain's code is no WebAssembly");
    Ok(plain)
}

/// As a chain stores it: a block has no room for a whole one.
///
/// # Errors
/// It can't be compressed.
pub fn compress(wasm: &[u8]) -> Result<Vec<u8>> {
    let packed = zstd::bulk::compress(wasm, 3).context("cannot compress it")?;
    Ok([&COMPRESSED[..], &packed].concat())
}

/// The same runtime with another `spec_version`.
///
/// # Errors
/// The version is not where it is expected, or too common a number to be found.
pub fn with_spec_version(wasm: &[u8], version: u32) -> Result<Vec<u8>> {
    let section = section(wasm, |kind, name| kind == 0 && name == b"runtime_version")?;
    let mut rest = &wasm[section.clone()];
    let decoded = <(String, String, u32, u32)>::decode(&mut rest);
    let (.., old) =
        decoded.context("the section `runtime_version` has another form than expected")?;
    ensure!(old >= VERSION_MIN, "spec_version {old} is too common a number to be found in code");
    let after = section.end - rest.len();
    let mut patched = wasm.to_vec();
    patched[after - 4..after].copy_from_slice(&version.encode());

    let data = self::section(wasm, |kind, _| kind == DATA)?;
    for at in data.start..data.end.saturating_sub(3) {
        if wasm[at..at + 4] == old.to_le_bytes() {
            patched[at..at + 4].copy_from_slice(&version.to_le_bytes());
        }
    }
    for at in self::section(wasm, |kind, _| kind == CODE)? {
        if !matches!(wasm[at], I32_CONST | I64_CONST) {
            continue;
        }
        let Some((value, end)) = signed(wasm, at + 1) else { continue };
        // The compiler joins two neighbouring fields into one constant of 64 bits.
        let (low, high) = (value & 0xffff_ffff, value >> 32);
        let (old, version) = (i64::from(old), i64::from(version));
        let new = match (low == old, high == old) {
            (true, _) => (high << 32) | version,
            (_, true) => (version << 32) | low,
            _ => continue,
        };
        let bytes = encode_signed(new);
        ensure!(bytes.len() == end - at - 1, "{version} takes another length than {old}");
        patched[at + 1..end].copy_from_slice(&bytes);
    }
    Ok(patched)
}

/// Where the content of a section is, which `is_it` finds by its kind and, if it is a custom one,
/// by its name.
fn section(wasm: &[u8], is_it: impl Fn(u8, &[u8]) -> bool) -> Result<Range<usize>> {
    // After the magic number and the format's version.
    let mut at = 8;
    while at < wasm.len() {
        let kind = wasm[at];
        let (size, mut content) = number(wasm, at + 1)?;
        let end = content + size;
        ensure!(end <= wasm.len(), "a section is cut off");
        let mut name: &[u8] = &[];
        if kind == 0 {
            let (length, begin) = number(wasm, content)?;
            content = begin + length;
            name = wasm.get(begin..content).context("a name is cut off")?;
        }
        if is_it(kind, name) {
            return Ok(content..end);
        }
        at = end;
    }
    bail!("a section is missing")
}

/// An unsigned LEB128 number and where it ends.
fn number(wasm: &[u8], mut at: usize) -> Result<(usize, usize)> {
    let mut value = 0_usize;
    for shift in (0..32).step_by(7) {
        let byte = *wasm.get(at).context("a number is cut off")?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value, at));
        }
    }
    bail!("a number is too long")
}

/// A signed LEB128 number and where it ends; `None` where there is none.
fn signed(wasm: &[u8], mut at: usize) -> Option<(i64, usize)> {
    let mut value = 0_i64;
    for shift in (0..64).step_by(7) {
        let byte = *wasm.get(at)?;
        at += 1;
        value |= i64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let is_negative = byte & 0x40 != 0 && shift < 57;
            return Some((if is_negative { value | (-1 << (shift + 7)) } else { value }, at));
        }
    }
    None
}

fn encode_signed(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        let is_last = (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0);
        bytes.push(if is_last { byte } else { byte | 0x80 });
        if is_last {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with a version in all places.
    fn module(version: u32) -> Vec<u8> {
        let section = |kind: u8, content: &[u8]| {
            [&[kind, u8::try_from(content.len()).unwrap()][..], content].concat()
        };
        let constant = |kind, value| [vec![kind], encode_signed(value)].concat();
        let version64 = i64::from(version);
        let code = [
            constant(I32_CONST, version64),
            constant(I64_CONST, (version64 << 32) | 1),
            constant(I64_CONST, (7 << 32) | version64),
            constant(I32_CONST, -5),
        ];
        let words: Vec<u8> = [1, version, 1].iter().flat_map(|w: &u32| w.to_le_bytes()).collect();
        let name = [&[15][..], b"runtime_version"].concat();
        let told = ("case", "mate2", 1_u32, version, 1_u32, 1_u8).encode();
        [
            b"\0asm\x01\0\0\0".to_vec(),
            section(CODE, &code.concat()),
            section(DATA, &words),
            section(0, &[name, told].concat()),
        ]
        .concat()
    }

    #[test]
    fn the_version_changes_everywhere() {
        assert_eq!(with_spec_version(&module(261_122), 261_123).unwrap(), module(261_123));
        assert!(with_spec_version(&module(1), 2).is_err());
        assert!(with_spec_version(b"\0asm\x01\0\0\0", 7).is_err());
        assert!(decompress(b"no wasm").is_err());
        let packed = compress(&module(261_122)).unwrap();
        assert_eq!(decompress(&packed).unwrap(), module(261_122));
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, 261_122 << 32] {
            let bytes = encode_signed(value);
            assert_eq!(signed(&bytes, 0), Some((value, bytes.len())), "{value}");
        }
    }
}
