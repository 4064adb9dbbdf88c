//! A toolchain that compiles the runtime to Wasm.
//!
//! The ordinary way is rustup's `wasm32v1-none` target. Where it cannot be downloaded, Debian's
//! own compiler and its sources build the target's standard library here.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    process::{Step, command, on_path, output, root_command, run_command},
    setup,
    temp::TempDir,
};

pub(crate) const TARGET: &str = "wasm32v1-none";

/// Name of the rustup toolchain that is linked to Debian's compiler.
const DEBIAN: &str = "debian";

/// Debian's compiler, the sources of its standard library, and a linker for Wasm.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// Uses `alloc` and needs linking with LTO, as the runtime does: shows a library that is missing,
/// of another compiler version, or without embedded bitcode.
const PROBE: &str = r#"
#![no_std]
extern crate alloc;
use core::alloc::{GlobalAlloc, Layout};
struct Nothing;
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 { core::ptr::null_mut() }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}
#[global_allocator]
static NOTHING: Nothing = Nothing;
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
#[unsafe(no_mangle)]
pub extern "C" fn probe(n: usize) -> usize { alloc::vec![1u8; n].len() }
"#;

/// How the runtime's Wasm is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wasm {
    /// The toolchain in use has the target.
    Active,
    /// Debian's compiler, with a library built here.
    Debian,
}

impl Wasm {
    /// Sets what `substrate-wasm-builder` needs. The caller's own choice of a toolchain stands.
    pub(crate) fn apply(self, command: &mut Command) {
        if self == Self::Debian && env::var_os("WASM_BUILD_TOOLCHAIN").is_none() {
            command
                .env("WASM_BUILD_TOOLCHAIN", DEBIAN)
                // Debian's toolchain has no rust-lld.
                .env("CARGO_TARGET_WASM32V1_NONE_LINKER", "wasm-ld");
        }
    }

    /// Cargo's argument for the toolchain, for a build without `substrate-wasm-builder`.
    pub(crate) fn toolchain(self) -> Option<String> {
        match env::var("WASM_BUILD_TOOLCHAIN") {
            Ok(name) => Some(format!("+{name}")),
            Err(_) => (self == Self::Debian).then(|| format!("+{DEBIAN}")),
        }
    }
}

/// Finds a toolchain for Wasm, or makes one.
pub(crate) fn ready() -> Result<Wasm> {
    if probe(Wasm::Active)? {
        return Ok(Wasm::Active);
    }
    if debian_linked() && probe(Wasm::Debian)? {
        return Ok(Wasm::Debian);
    }
    if !on_path("rustup") {
        bail!(
            "the Rust compiler cannot compile for `{TARGET}`, and there is no `rustup`\n\
             hint: install Rust through https://rustup.rs"
        );
    }
    let step = Step::start(format!("adding Rust's {TARGET} target"));
    let added = command("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) && probe(Wasm::Active)? {
        step.done();
        return Ok(Wasm::Active);
    }
    step.done();
    let step = Step::start("rustup has no such target to offer: using Debian's compiler for Wasm");
    setup::install(DEBIAN_PACKAGES)?;
    if !debian_linked() {
        run_command(
            command("rustup").args(["toolchain", "link", DEBIAN, "/usr"]),
            "a rustup toolchain called `debian` that is not `/usr` is in the way: \
             `rustup toolchain uninstall debian`",
        )?;
    }
    if !probe(Wasm::Debian)? {
        build_library(Path::new("/usr"))?;
    }
    ensure!(
        probe(Wasm::Debian)?,
        "Debian's compiler still cannot link for `{TARGET}`\n\
         hint: `rustc +{DEBIAN} --target {TARGET}` shows why; with network access, \
         `rustup target add {TARGET}` is the simplest way"
    );
    step.done();
    Ok(Wasm::Debian)
}

/// Whether rustup's toolchain `debian` is Debian's compiler.
fn debian_linked() -> bool {
    let mut rustc = command("rustc");
    rustc.args([&format!("+{DEBIAN}"), "--print", "sysroot"]);
    output(&mut rustc, "").is_ok_and(|sysroot| sysroot.trim() == "/usr")
}

/// Whether a small program can be compiled and linked.
fn probe(wasm: Wasm) -> Result<bool> {
    let dir = TempDir::new("wasm-probe")?;
    compile_probe(wasm, &dir.0, None)
}

fn compile_probe(wasm: Wasm, dir: &Path, sysroot: Option<&Path>) -> Result<bool> {
    let source = dir.join("probe.rs");
    fs::write(&source, PROBE).with_context(|| format!("failed to write `{}`", source.display()))?;
    let mut rustc = command("rustc");
    if wasm == Wasm::Debian {
        rustc.args([&format!("+{DEBIAN}"), "-C", "linker=wasm-ld"]);
    }
    if let Some(sysroot) = sysroot {
        rustc.arg("--sysroot").arg(sysroot);
    }
    let done = rustc
        .args(["--edition", "2021", "--crate-type", "cdylib", "--target", TARGET])
        .args(["-C", "panic=abort", "-C", "opt-level=1", "-C", "lto=fat", "-o"])
        .arg(dir.join("probe.wasm"))
        .arg(&source)
        .output()
        .context("failed to start `rustc`\nhint: install Rust through https://rustup.rs")?;
    Ok(done.status.success())
}

/// Compiles `core` and `alloc` for Wasm and puts them where Debian's compiler looks.
///
/// `substrate-wasm-builder` wants the target to be installed: `-Z build-std` alone is not enough.
/// Bitcode is embedded because the runtime is linked with LTO.
fn build_library(sysroot: &Path) -> Result<()> {
    let dir = TempDir::new("wasm-library")?;
    let write = |name: &str, text: &str| {
        let path = dir.0.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"library\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n\
         [lib]\npath = \"lib.rs\"\n\n[workspace]\n",
    )?;
    write(
        "lib.rs",
        "#![no_std]\nextern crate alloc;\npub fn f() -> alloc::vec::Vec<u8> { alloc::vec![1] }\n",
    )?;
    let target_dir = dir.0.join("target");
    let mut cargo = command("cargo");
    cargo
        .args([&format!("+{DEBIAN}"), "build", "--release", "-Z", "build-std=core,alloc"])
        .args(["--target", TARGET])
        .current_dir(&dir.0)
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-C embed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_command(&mut cargo, "is the package `rust-web-src` of the same version as `rustc-web`?")?;

    let built = target_dir.join(TARGET).join("release/deps");
    let libraries = rlibs(&built)?;
    let wanted = ["libcore-", "liballoc-", "libcompiler_builtins-"];
    for prefix in wanted {
        let found = libraries.iter().filter(|path| name_of(path).starts_with(prefix)).count();
        ensure!(found == 1, "{found} files `{prefix}*.rlib` in `{}`, not one", built.display());
    }
    let to = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let hint = "root must be able to write there";
    // Libraries of an older compiler would be found twice.
    run_command(root_command("rm")?.arg("-rf").arg(&to), hint)?;
    run_command(root_command("mkdir")?.arg("-p").arg(&to), hint)?;
    let mut install = root_command("install")?;
    install.args(["-m", "644"]);
    install
        .args(libraries.iter().filter(|path| wanted.iter().any(|p| name_of(path).starts_with(p))));
    run_command(install.arg(&to), hint)
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn rlibs(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(dir).with_context(|| format!("failed to list `{}`", dir.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.context("failed to list a folder")?.path();
        if path.extension().is_some_and(|extension| extension == "rlib") {
            paths.push(path);
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds the library into a sysroot of its own and links with it. Needs Debian's compiler:
    /// `cargo test -p xtask -- --ignored`.
    #[test]
    #[ignore = "needs the Debian packages of the second way; takes a minute"]
    fn debians_compiler_builds_its_own_library() {
        let dir = TempDir::new("wasm-test").expect("temp dir");
        let sysroot = dir.0.join("sysroot");
        assert!(!compile_probe(Wasm::Debian, &dir.0, Some(&sysroot)).expect("rustc runs"));
        build_library(&sysroot).expect("build");
        assert!(compile_probe(Wasm::Debian, &dir.0, Some(&sysroot)).expect("rustc runs"));
    }
}
