use proptest::prelude::*;

use super::*;

fn parts(s: &str) -> (String, String, Option<String>, bool) {
    let r: Reference = s.parse().unwrap();
    (r.registry.clone(), r.repository.clone(), r.tag.clone(), r.is_pinned())
}

#[test]
fn reads_the_usual_forms() {
    let digest = Digest::of(b"x");
    let text = |s: &str| s.to_owned();
    for (given, registry, repository, tag, pinned) in [
        ("nginx", "docker.io", "library/nginx", None, false),
        ("nginx:1.27", "docker.io", "library/nginx", Some("1.27"), false),
        ("grafana/loki", "docker.io", "grafana/loki", None, false),
        ("localhost/a", "localhost", "a", None, false),
        ("localhost:5000/a/b:t", "localhost:5000", "a/b", Some("t"), false),
        ("[::1]:5000/a", "[::1]:5000", "a", None, false),
        ("127.0.0.1:5000/a--b/c__d:T_1", "127.0.0.1:5000", "a--b/c__d", Some("T_1"), false),
        (&format!("ghcr.io/a/b@{digest}"), "ghcr.io", "a/b", None, true),
        (&format!("ghcr.io/a/b:v1@{digest}"), "ghcr.io", "a/b", Some("v1"), true),
    ] {
        assert_eq!(
            parts(given),
            (text(registry), text(repository), tag.map(text), pinned),
            "{given}"
        );
    }
}

#[test]
fn refuses_what_could_be_misread() {
    for bad in [
        "",
        ":tag",
        "a:",
        "a:b:c",
        "A/b",
        "a//b",
        "a/",
        "/a",
        "ghcr.io/",
        "ghcr.io/../b",
        "ghcr.io/a/./b",
        "ghcr.io/a b",
        "ghcr.io/a___b",
        "ghcr.io/a..b",
        "ghcr.io:0/a",
        "ghcr.io:99999/a",
        "ghcr.io:+5/a",
        "user:pass@ghcr.io/a",
        "-x.io/a",
        "x..io/a",
        "[::g]/a",
        "ghcr.io/a@sha256:00",
        "ghcr.io/a?x=1",
        "ghcr.io/a#x",
        "https://ghcr.io/a",
    ] {
        assert!(bad.parse::<Reference>().is_err(), "{bad:?} was accepted");
    }
    assert!("a".repeat(100_000).parse::<Reference>().is_err());
}

proptest! {
    #[test]
    fn never_panics(s in "\\PC*") {
        let _ = s.parse::<Reference>();
    }

    #[test]
    fn display_is_the_inverse(s in "([a-z]{1,5}\\.io(:[1-9][0-9]{0,3})?/)?[a-z0-9]{1,5}(/[a-z0-9]{1,3}[._-][a-z]{1,3}){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?") {
        let first: Reference = s.parse().unwrap();
        let again: Reference = first.to_string().parse().unwrap();
        prop_assert_eq!(first, again);
    }
}
