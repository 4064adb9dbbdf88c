//! The builds: everything, again statically what runs inside images, and the module for browsers.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    elf,
    paths::{Paths, TRIPLE, WEB_PROFILE},
    process::{Step, command, run_command},
    wasm::{self, Wasm},
};

/// Packages whose programs run inside containers, where there may be no libc.
const STATIC_PACKAGES: &[&str] = &["casemate-agent", "casemate-vault", "guestbook"];

/// The verifiers of evidence for browsers.
const WEB_PACKAGE: &str = "casemate-attestation-wasm";

/// Builds all programs.
pub(crate) fn all(paths: &Paths, wasm: Wasm) -> Result<()> {
    let step = Step::start(
        "building the workspace (the first time takes 15 to 60 minutes on two cores: mostly \
         polkadot-sdk)",
    );
    run_command(cargo(paths, wasm).args(["build", "--workspace", "--locked"]), BUILD_HINT)?;
    step.done();
    static_programs(paths, wasm)
}

/// Builds the programs that run inside containers.
pub(crate) fn static_programs(paths: &Paths, wasm: Wasm) -> Result<()> {
    let step = Step::start(format!("building {} statically", STATIC_PACKAGES.join(", ")));
    // `--target` keeps the flags away from build scripts and procedural macros, and the results
    // in a folder of their own.
    let mut build = cargo(paths, wasm);
    build
        .args(["build", "--locked", "--target", TRIPLE])
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    build.env_remove("CARGO_ENCODED_RUSTFLAGS");
    for package in STATIC_PACKAGES {
        build.args(["-p", package]);
    }
    run_command(&mut build, BUILD_HINT)?;
    for package in STATIC_PACKAGES {
        elf::check_static(&paths.static_dir().join(package))?;
    }
    step.done();
    Ok(())
}

/// Builds the module for browsers, and says how large it is.
pub(crate) fn web_module(paths: &Paths, wasm: Wasm) -> Result<()> {
    let step = Step::start("building the verifiers for browsers");
    let mut build = cargo(paths, wasm);
    // Cargo takes a toolchain as its first argument only.
    build.args(wasm.toolchain());
    build.args(["build", "--locked", "-p", WEB_PACKAGE]);
    build.args(["--profile", WEB_PROFILE, "--target", wasm::TARGET]);
    // They are meant for this machine's processor.
    build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_command(&mut build, BUILD_HINT)?;
    let module = paths.web_dir().join(WEB_PACKAGE.replace('-', "_")).with_extension("wasm");
    let size = fs::metadata(&module)
        .with_context(|| format!("cargo built no `{}`", module.display()))?
        .len();
    step.done();
    println!("{}: {size} bytes", module.display());
    Ok(())
}

/// Cargo in the repository, with the shared target directory.
pub(crate) fn cargo(paths: &Paths, wasm: Wasm) -> Command {
    let mut cargo = command("cargo");
    cargo.current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target);
    wasm.apply(&mut cargo);
    cargo
}

/// What to do about a failed build.
pub(crate) const BUILD_HINT: &str = "the compiler's first error above tells what is wrong; on \
    `signal: 9` or `Killed` the machine ran out of memory: close other programs or set \
    `CARGO_BUILD_JOBS=1`; on `No space left on device` free 15 GB or point `CARGO_TARGET_DIR` \
    elsewhere; on a download error run the same command again";
