//! What a fresh Debian 12 with git and rustup lacks, installed once.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{Step, command, is_root, on_path, output, root_command, run_command},
    wasm::{self, Wasm},
};

/// Debian packages, each with the reason.
const PACKAGES: &[(&str, &str)] = &[
    ("build-essential", "linker, libc for static programs, C++ for wasm-opt"),
    ("pkg-config", "finds OpenSSL"),
    ("libssl-dev", "OpenSSL for litep2p's WebRTC"),
    ("protobuf-compiler", "message types of the chain's network"),
    ("ca-certificates", "TLS roots"),
    ("runc", "runs the pods"),
    ("crun", "runs the pods, faster where it works"),
    ("iproute2", "network namespaces of the pods"),
    ("nftables", "firewall between the pods and the machine"),
    ("docker-registry", "the demo's registry, tests of push and pull"),
    ("skopeo", "the other side in tests of images"),
    ("buildah", "builds the Dockerfiles without a Docker engine"),
    ("python3", "checks the test vectors in another language"),
    ("nginx", "the reverse proxy that the ingress is measured against"),
];

/// Services that some of the packages would start; here they are only programs.
const SERVICES: &[&str] = &["nginx", "docker-registry"];

/// First line of our guard file: one left by a killed run is recognised by it.
const GUARD_MARK: &str = "# casemate xtask: no service starts while packages are installed";
const GUARD: &str = "/usr/sbin/policy-rc.d";
const GUARD_SAVED: &str = "/usr/sbin/policy-rc.d.before-casemate";

/// Installs what is missing and tells how to build for Wasm. Quick when nothing is missing.
pub(crate) fn run() -> Result<Wasm> {
    remove_guard()?;
    install(&PACKAGES.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
    wasm::ready()
}

/// Installs those of `wanted` that are missing.
pub(crate) fn install(wanted: &[&str]) -> Result<()> {
    if !on_path("dpkg-query") || !on_path("apt-get") {
        bail!(
            "this set-up knows Debian 12 only, and there is no `dpkg-query` or `apt-get` here\n\
             hint: use a Debian 12 machine or container; what is needed: {}",
            wanted.join(" ")
        );
    }
    let missing = missing(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    let step = Step::start(format!("installing Debian packages: {}", missing.join(" ")));
    apt_get(&["update", "-q"])?;
    place_guard()?;
    let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
    args.extend(&missing);
    let installed = apt_get(&args);
    remove_guard()?;
    installed?;
    disable_services(&missing)?;
    step.done();
    Ok(())
}

fn apt_get(args: &[&str]) -> Result<()> {
    // `env` because sudo may drop variables.
    let mut apt = root_command("env")?;
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args);
    run_command(
        &mut apt,
        "look at apt's message above; with the network back, or `/etc/apt/sources.list` right, run \
         the same command again",
    )
}

/// Those of `wanted` that dpkg does not have in place.
fn missing<'a>(wanted: &[&'a str]) -> Result<Vec<&'a str>> {
    // It fails when it does not know one of them, but prints the others.
    let listed = command("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(wanted)
        .env("LC_ALL", "C")
        .output()
        .context("failed to start `dpkg-query`")?;
    let installed = installed(&String::from_utf8_lossy(&listed.stdout));
    Ok(wanted.iter().copied().filter(|name| !installed.contains(*name)).collect())
}

fn installed(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, status)| *status == "installed")
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Keeps maintainer scripts from starting services (Debian policy 9.3.3: `invoke-rc.d` asks
/// `policy-rc.d`, and 101 means forbidden).
fn place_guard() -> Result<()> {
    if Path::new(GUARD).exists() {
        run_command(
            root_command("mv")?.args([GUARD, GUARD_SAVED]),
            "the file must be movable by root",
        )?;
    }
    let script = format!(
        "printf '%s\\n' '#!/bin/sh' '{GUARD_MARK}' 'exit 101' > {GUARD} && chmod 755 {GUARD}"
    );
    run_command(root_command("sh")?.args(["-c", &script]), "`/usr/sbin` must be writable for root")
}

/// Removes our guard and puts back what was there. Also after a run that was killed in between.
fn remove_guard() -> Result<()> {
    let ours = fs::read_to_string(GUARD).is_ok_and(|text| text.contains(GUARD_MARK));
    if ours {
        run_command(root_command("rm")?.args(["-f", GUARD]), "remove the file by hand")?;
    }
    if Path::new(GUARD_SAVED).exists() && !Path::new(GUARD).exists() {
        run_command(root_command("mv")?.args([GUARD_SAVED, GUARD]), "move the file back by hand")?;
    }
    Ok(())
}

/// Keeps what we have just installed from starting with the machine.
fn disable_services(just_installed: &[&str]) -> Result<()> {
    for service in SERVICES.iter().filter(|service| just_installed.contains(service)) {
        let mut disable = if on_path("systemctl") {
            let mut systemctl = root_command("systemctl")?;
            systemctl.args(["disable", "--quiet", &format!("{service}.service")]);
            systemctl
        } else if on_path("update-rc.d") {
            let mut update = root_command("update-rc.d")?;
            update.args([service, "disable"]);
            update
        } else {
            continue;
        };
        // A service that stays enabled harms nothing here: tell it, and go on.
        if let Err(error) = output(&mut disable, "disable the service by hand") {
            eprintln!("warning: {error:#}");
        }
    }
    Ok(())
}

/// Root rights, with a clear error where they are missing and cannot be had.
pub(crate) fn need_root(what: &str) -> Result<()> {
    if !is_root() && !on_path("sudo") {
        bail!("{what} needs root, and there is no `sudo` here\nhint: run the same command as root");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_dpkg_has_in_place() {
        let listing = "runc installed\ncrun config-files\nnginx half-installed\nskopeo installed\n";
        let names: Vec<_> = installed(listing).into_iter().collect();
        assert_eq!(names, ["runc", "skopeo"]);
    }

    #[test]
    fn a_package_that_debian_does_not_know_is_missing() {
        let missing = missing(&["dpkg", "no-such-package-anywhere"]).expect("dpkg-query runs");
        assert_eq!(missing, ["no-such-package-anywhere"]);
    }
}
