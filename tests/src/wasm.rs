//! A runtime with another version number, made from the one that runs.
//!
//! A real upgrade brings a runtime that was built anew; here its number alone differs, so that the
//! tests need not compile a runtime a second time. The number is in two places: the section that a
//! node reads, and the constant that the runtime itself compiles in (it signs transactions for
//! that, and tells by it that it was upgraded).

use anyhow::{Context as _, Result, ensure};
use codec::{Decode as _, Encode as _};

/// What a compressed runtime begins with.
const COMPRESSED: [u8; 8] = [82, 188, 83, 118, 70, 219, 142, 5];
/// The SDK's own limit.
const SIZE_MAX: usize = 50 * 1024 * 1024;

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

/// The same runtime with another `spec_version`.
///
/// # Errors
/// The version is not where it is expected.
pub fn with_spec_version(wasm: &[u8], version: u32) -> Result<Vec<u8>> {
    let section = custom_section(wasm, b"runtime_version")?;
    let content = &wasm[section.clone()];
    let mut rest = content;
    let decoded = <(String, String, u32, u32, u32)>::decode(&mut rest);
    let (spec_name, impl_name, authoring, old, implementation) =
        decoded.context("the section `runtime_version` has another form than expected")?;
    // The version and what comes after it were read.
    let at = section.start + content.len() - rest.len() - 8;
    let mut patched = wasm.to_vec();
    patched[at..at + 4].copy_from_slice(&version.encode());

    // Two borrowed strings and a borrowed list, then the numbers: `RuntimeVersion` in memory.
    let borrowed = 0x8000_0000_u32.to_le_bytes();
    let length = |text: &str| u32::try_from(text.len()).map(u32::to_le_bytes);
    let (spec_length, impl_length) = (length(&spec_name)?, length(&impl_name)?);
    let numbers = (authoring, old, implementation).encode();
    let mut found = 0;
    for start in 0..wasm.len().saturating_sub(48) {
        let word = |index: usize| &wasm[start + 4 * index..start + 4 * index + 4];
        let is_it = word(0) == borrowed
            && word(2) == spec_length
            && word(3) == borrowed
            && word(5) == impl_length
            && word(6) == borrowed
            && wasm[start + 36..start + 48] == numbers;
        if is_it {
            patched[start + 40..start + 44].copy_from_slice(&version.encode());
            found += 1;
        }
    }
    ensure!(found > 0, "the runtime's own constant of its version was not found");
    Ok(patched)
}

/// Where the content of a custom section is.
fn custom_section(wasm: &[u8], name: &[u8]) -> Result<std::ops::Range<usize>> {
    // After the magic number and the format's version.
    let mut at = 8;
    while at < wasm.len() {
        let kind = wasm[at];
        let (size, content) = number(wasm, at + 1)?;
        let end = content + size;
        if kind == 0 {
            let (length, begin) = number(wasm, content)?;
            if wasm.get(begin..begin + length) == Some(name) {
                ensure!(end <= wasm.len(), "the last section is cut off");
                return Ok(begin + length..end);
            }
        }
        at = end;
    }
    anyhow::bail!("there is no section `{}`", String::from_utf8_lossy(name))
}

/// A LEB128 number and where it ends.
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
    anyhow::bail!("a number is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with a `runtime_version` section and the same in its data.
    fn module(version: u32) -> Vec<u8> {
        let section = [15_usize.to_le_bytes()[..1].to_vec(), b"runtime_version".to_vec()].concat();
        let content = ("case", "mate2", 1_u32, version, 1_u32, 1_u32, 1_u8).encode();
        let size = u8::try_from(section.len() + content.len()).unwrap();
        let words = [0x8000_0000, 1000, 4, 0x8000_0000, 1004, 5, 0x8000_0000, 1009, 12, 1, version];
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        bytes.extend([0, size]);
        bytes.extend(section);
        bytes.extend(content);
        let mut data: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        data.extend([1, 0, 0, 0, 1, 0, 0, 0, 1]);
        bytes.extend([11, u8::try_from(data.len()).unwrap()]);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn only_the_version_changes() {
        assert_eq!(with_spec_version(&module(1), 7).unwrap(), module(7));
        assert!(with_spec_version(b"\0asm\x01\0\0\0", 7).is_err());
        assert!(decompress(b"no wasm").is_err());
    }
}
