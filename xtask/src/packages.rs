//! Debian packages as they lie in apt's own lists: what a package needs, in which version.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};

use crate::process::{command, output};

/// A package in one version.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// `name=version`, as `apt-get download` takes it.
impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.version)
    }
}

/// `root` and all that it depends on, but for `cut` and what only those need. Works offline.
pub(crate) fn closure(root: &str, cut: &[&str]) -> Result<Vec<Package>> {
    const HINT: &str = "refresh apt's lists with `apt-get update`";
    let mut depends = command("apt-cache");
    depends.args(["depends", "--recurse", "--no-recommends", "--no-suggests"]);
    depends.args(["--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", root]);
    let listing = output(depends.env("LC_ALL", "C"), HINT)?;
    let names = reachable(&parse_depends(&listing), root, cut);
    let mut show = command("apt-cache");
    show.args(["show", "--no-all-versions"]).args(&names);
    let mut versions = parse_versions(&output(show.env("LC_ALL", "C"), HINT)?);
    names
        .into_iter()
        .map(|name| {
            let version = versions
                .remove(&name)
                .with_context(|| format!("apt knows no version of `{name}`\nhint: {HINT}"))?;
            Ok(Package { name, version })
        })
        .collect()
}

/// For each package, what it depends on: the first of alternatives, and the first package that
/// provides a virtual one.
fn parse_depends(listing: &str) -> BTreeMap<String, Vec<String>> {
    let mut graph = BTreeMap::<String, Vec<String>>::new();
    let mut current = String::new();
    // Of a group of alternatives, whether one is taken already.
    let mut alternatives = false;
    let mut taken = false;
    // A virtual package was named: its providers follow, one to a line, deeper.
    let mut wants_provider = false;
    for line in listing.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if indent == 0 {
            text.clone_into(&mut current);
            graph.entry(current.clone()).or_default();
            (alternatives, taken, wants_provider) = (false, false, false);
            continue;
        }
        if indent >= 4 {
            if wants_provider && !text.starts_with('<') {
                graph.entry(current.clone()).or_default().push(text.to_owned());
                (wants_provider, taken) = (false, true);
            }
            continue;
        }
        let more = text.starts_with('|');
        let Some((kind, name)) = text.trim_start_matches('|').split_once(": ") else { continue };
        if !matches!(kind, "Depends" | "PreDepends") {
            continue;
        }
        if !alternatives {
            taken = false;
        }
        alternatives = more;
        wants_provider = false;
        if taken {
            continue;
        }
        if name.starts_with('<') {
            wants_provider = true;
        } else {
            graph.entry(current.clone()).or_default().push(name.to_owned());
            taken = true;
        }
    }
    graph
}

fn reachable(graph: &BTreeMap<String, Vec<String>>, root: &str, cut: &[&str]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![root.to_owned()];
    while let Some(name) = todo.pop() {
        if cut.contains(&name.as_str()) || !seen.insert(name.clone()) {
            continue;
        }
        todo.extend(graph.get(&name).into_iter().flatten().cloned());
    }
    seen
}

fn parse_versions(listing: &str) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut name = None;
    for line in listing.lines() {
        if let Some(package) = line.strip_prefix("Package: ") {
            name = Some(package.to_owned());
        } else if let (Some(version), Some(package)) = (line.strip_prefix("Version: "), &name) {
            versions.entry(package.clone()).or_insert_with(|| version.to_owned());
        }
    }
    versions
}

/// Downloads them into the folder `into`; apt checks signatures and digests.
pub(crate) fn download(packages: &[Package], into: &std::path::Path) -> Result<()> {
    let fetch = || {
        let mut apt = command("apt-get");
        // The folder is ours alone, so apt's own user could not write there.
        apt.args(["download", "-q", "-o", "APT::Sandbox::User=root"]);
        apt.args(packages.iter().map(ToString::to_string)).current_dir(into);
        output(&mut apt, "look at apt's message; is the network there?")
    };
    match fetch() {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "{error:#}\nhint: apt's lists may be older than the archive: `apt-get update` as root, \
             then the same command again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDS: &str = "\
nginx
  Depends: libc6
  Depends: nginx-common
  Depends: iproute2
libc6
  Depends: libgcc-s1
libgcc-s1
  PreDepends: gcc-12-base
  Depends: libc6
nginx-common
 |Depends: debconf
  Depends: <debconf-2.0>
    cdebconf
    debconf
  Depends: <mail-agent>
    exim4
    postfix
iproute2
  Depends: libelf1
debconf
cdebconf
  Depends: libnewt0.52
exim4
gcc-12-base
libelf1
";

    #[test]
    fn follows_real_dependencies_and_the_first_alternative() {
        let graph = parse_depends(DEPENDS);
        assert_eq!(graph["nginx-common"], ["debconf", "exim4"]);
        let names: Vec<_> = reachable(&graph, "nginx", &["iproute2"]).into_iter().collect();
        assert_eq!(
            names,
            ["debconf", "exim4", "gcc-12-base", "libc6", "libgcc-s1", "nginx", "nginx-common"]
        );
    }

    #[test]
    fn the_first_version_is_the_candidate() {
        let versions = parse_versions(
            "Package: a\nVersion: 2\n\nPackage: b\nVersion: 1:3\n\nPackage: a\nVersion: 1\n",
        );
        assert_eq!(versions["a"], "2");
        assert_eq!(versions["b"], "1:3");
    }
}
