//! Just enough of the ELF format to tell whether a program needs a loader.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

/// Program header type: the path of the dynamic loader.
const PT_INTERP: u32 = 3;

/// # Errors
/// When `path` is not a 64-bit little-endian ELF program, or needs shared libraries.
pub(crate) fn check_static(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    match needs_loader(&bytes) {
        Ok(false) => Ok(()),
        Ok(true) => bail!(
            "`{}` is linked dynamically and would not start in an image without libc\n\
             hint: does something override `RUSTFLAGS` (a `config.toml` of Cargo)?",
            path.display()
        ),
        Err(error) => Err(error.context(format!("`{}`", path.display()))),
    }
}

fn needs_loader(bytes: &[u8]) -> Result<bool> {
    ensure!(bytes.get(..4) == Some(b"\x7fELF"), "not an ELF file");
    ensure!(bytes.get(4..6) == Some(&[2, 1]), "not a 64-bit little-endian ELF file");
    let offset = usize::try_from(u64::from_le_bytes(field(bytes, 32)?))?;
    let size = usize::from(u16::from_le_bytes(field(bytes, 54)?));
    let count = usize::from(u16::from_le_bytes(field(bytes, 56)?));
    for index in 0..count {
        let at = index
            .checked_mul(size)
            .and_then(|skip| skip.checked_add(offset))
            .context("program headers lie outside of the file")?;
        if u32::from_le_bytes(field(bytes, at)?) == PT_INTERP {
            return Ok(true);
        }
    }
    Ok(false)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|slice| slice.try_into().ok())
        .context("the file ends early")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(types: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0u8; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&u16::try_from(types.len()).expect("few").to_le_bytes());
        for kind in types {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn tells_static_from_dynamic() {
        assert!(!needs_loader(&elf(&[1, 2, 6])).expect("valid"));
        assert!(needs_loader(&elf(&[1, 3])).expect("valid"));
    }

    #[test]
    fn bad_files_are_errors() {
        assert!(needs_loader(b"#!/bin/sh").is_err());
        assert!(needs_loader(b"\x7fELF\x01\x01").is_err());
        assert!(needs_loader(&elf(&[1, 1])[..100]).is_err());
        let mut far = elf(&[1]);
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(needs_loader(&far).is_err());
    }

    #[test]
    fn this_very_test_is_dynamic() {
        let own = std::env::current_exe().expect("own path");
        assert!(needs_loader(&fs::read(own).expect("readable")).expect("an ELF file"));
    }
}
