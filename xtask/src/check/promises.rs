//! Pages that name tests: each promise of the specification does, and each name leads somewhere.

use std::collections::BTreeSet;

/// The page on which every row of a table names its test in the last column.
pub(super) const SPECIFICATION: &str = "SPECIFICATION.md";

/// The page whose last column tells of more than tests: what looks like a test's path must be one.
pub(super) const FEATURES: &str = "docs/features.md";

/// A file whose public functions a macro makes tests of, in each backend.
const SUITE: &str = "/conformance.rs";

/// What a page may name.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Folders, files and inline modules around each test, then its name.
    tests: Vec<Vec<String>>,
    /// Files and folders.
    paths: BTreeSet<String>,
    packages: BTreeSet<String>,
}

impl Known {
    /// Takes up what a file has.
    pub(super) fn add(&mut self, path: &str, text: &str) {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            self.paths.insert(path[..end].to_owned());
        }
        if path.ends_with("Cargo.toml") {
            let name =
                |line: &str| Some(line.strip_prefix("name = \"")?.strip_suffix('"')?.to_owned());
            self.packages.extend(text.lines().find_map(name));
        }
        let Some(module) = path.strip_suffix(".rs") else { return };
        let module: Vec<_> = module
            .split('/')
            .filter(|part| !["src", "lib", "main", "mod"].contains(part))
            .collect();
        // rustfmt puts the modules of a file at the beginning of a line, and their ends.
        let mut inline = None;
        for (line, name) in tests_in(text, path.ends_with(SUITE)) {
            match (line, name) {
                (Line::Module, name) => inline = Some(name),
                (Line::End, _) => inline = None,
                (Line::Test, name) => {
                    let whole = module.iter().copied().chain(inline).chain([name]);
                    self.tests.push(whole.map(str::to_owned).collect());
                }
            }
        }
    }

    /// The bare names of all tests.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.tests.iter().filter_map(|test| test.last().cloned()).collect()
    }

    /// What the tables of a page name and is not there. `is_strict`: every row must name something, and
    /// all that it has in backticks counts.
    pub(super) fn missing(&self, page: &str, text: &str, is_strict: bool) -> Vec<String> {
        let mut findings = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| line.starts_with("| ")) {
            let Some(last) = line.trim_end_matches(['|', ' ']).rsplit('|').next() else { continue };
            let is_heading = text.lines().nth(number).is_some_and(|next| next.starts_with("|---"));
            let names: Vec<_> = last
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| is_strict || is_like_a_test(name))
                .collect();
            if is_strict && !is_heading && names.is_empty() {
                findings.push(format!("{page}:{number}: this promise names no test"));
            }
            for name in names.into_iter().flat_map(alternatives) {
                if !self.has(&name) {
                    findings.push(format!("{page}:{number}: there is no test `{name}`"));
                }
            }
        }
        findings
    }

    /// Whether this is a test, a module with tests, a package, a file or folder, or a command.
    fn has(&self, name: &str) -> bool {
        if name.starts_with("cargo ") || self.packages.contains(name) || self.paths.contains(name) {
            return true;
        }
        let parts: Vec<_> = name.split("::").collect();
        let (parts, is_module) = match parts.split_last() {
            Some((&"*", parts)) => (parts, true),
            _ => (parts.as_slice(), false),
        };
        let is_in =
            |path: &[String]| !parts.is_empty() && path.windows(parts.len()).any(|w| w == parts);
        self.tests.iter().any(|test| {
            let modules = &test[..test.len() - 1];
            is_in(modules) || (!is_module && ends_with(test, parts))
        })
    }
}

fn ends_with(test: &[String], parts: &[&str]) -> bool {
    test.len().checked_sub(parts.len()).is_some_and(|from| test[from..] == *parts)
}

enum Line {
    Module,
    End,
    Test,
}

/// The tests of a file (functions under `#[test]`, those of `proptest!` too, or `#[tokio::test]`) and the
/// inline modules around them. A helper of the same name is none, nor is a test that is ignored or left
/// out. In a suite the public functions are tests.
fn tests_in(text: &str, is_suite: bool) -> Vec<(Line, &str)> {
    let (mut found, mut is_test, mut is_ignored) = (Vec::new(), false, false);
    for whole in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let line = whole.trim_start();
        if whole == "}" {
            found.push((Line::End, ""));
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            is_ignored = true;
        } else if let Some((_, name)) = line.split_once("fn ") {
            if is_test && !is_ignored || is_suite && line.starts_with("pub async fn ") {
                found.extend(name.split(['(', '<']).next().map(|name| (Line::Test, name)));
            }
            (is_test, is_ignored) = (false, false);
        } else if let Some(name) =
            whole.split_once("mod ").and_then(|(_, rest)| rest.strip_suffix(" {"))
            && !whole.starts_with(' ')
        {
            found.push((Line::Module, name));
        }
    }
    found
}

/// `a::{b, c}::d` as `a::b::d` and `a::c::d`.
fn alternatives(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let Some((middle, after)) = rest.rsplit_once('}') else { return vec![name.to_owned()] };
    middle
        .split(',')
        .flat_map(|part| alternatives(&format!("{before}{}{after}", part.trim())))
        .collect()
}

/// Paths, and names as long as tests have them: not `casemate deploy`, nor `spec.logs`.
fn is_like_a_test(name: &str) -> bool {
    let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    name.contains("::") || is_name && name.matches('_').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "#[test]\nfn kept() {}\n    #[tokio::test(flavor = \"multi_thread\")]\n    \
                        /// Why.\n    #[should_panic]\n    async fn inner() {\n        fn helper() {}\n    }\n\
                        proptest! {\n    #[test]\n    fn random(x in 0..3) {}\n}\n\
                        pub(crate) fn other(\n// #[test]\n// fn left_out() {}\n\
                        #[test]\n#[ignore = \"slow\"]\nfn ignored() {}\n\
                        #[ignore]\n#[test]\nfn ignored_too() {}\nconst A: fn () = b;\n\
                        #[cfg(test)]\nmod tests {\n    #[test]\n    fn deep() {}\n}\n";

    fn known() -> Known {
        let mut known = Known::default();
        known.add("chain/pallets/leases/src/claim.rs", CODE);
        known.add("chain/pallets/leases/Cargo.toml", "[package]\nname = \"pallet-leases\"\n");
        known.add("crates/x/src/conformance.rs", "pub async fn each(a: A) {}\nfn helper() {}\n");
        known
    }

    #[test]
    fn tests_are_what_runs() {
        let names = ["deep", "each", "inner", "kept", "random"];
        assert_eq!(known().names(), names.map(str::to_owned).into());
    }

    #[test]
    fn a_promise_names_a_test_that_is_there() {
        let row =
            |shown: &str| format!("| promise | shown by |\n|---|---|\n| it holds | {shown} |\n");
        for good in [
            "`kept`",
            "`claim::kept`",
            "`claim::tests::deep`",
            "`claim::{kept, random}`",
            "`claim::*`",
            "`pallet-leases` `leases::claim::*`",
            "`conformance::each`",
            "`cargo xtask weights --check`",
            "`chain/pallets`",
        ] {
            assert!(known().missing("p.md", &row(good), true).is_empty(), "{good}");
        }
        for bad in [
            "`gone`",
            "`tests::kept`",
            "`claim::{kept, gone}`",
            "`gone::*`",
            "`claim::kept::*`",
            "`helper`",
            "`ignored`",
            "`left_out`",
            "`chain/gone`",
            "`pallet-gone`",
            "`*`",
            "tests that nobody wrote",
        ] {
            assert_eq!(known().missing("p.md", &row(bad), true).len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_page_on_features_tells_of_more_than_tests() {
        let row = "| A1 | partly | `casemate deploy`, `spec.logs`, `kept`; `claim::kept` |\n";
        assert!(known().missing("f.md", row, false).is_empty());
        let row = "| A1 | partly | `a_test_that_is_gone`, `tests::gone` |\n";
        assert_eq!(known().missing("f.md", row, false).len(), 2);
    }
}
