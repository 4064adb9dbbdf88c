use proptest::prelude::*;

use super::*;

fn parse(raw: &str) -> Result<Parsed> {
    parse_entry(raw.as_bytes(), &Digest::of(b""), &Limits::default())
}

fn name(path: &str) -> Name {
    Name::parse(path.as_bytes(), &Digest::of(b""), &Limits::default()).unwrap()
}

#[test]
fn names_are_relative_to_the_image() {
    for raw in ["a/b", "/a/b", "./a/b", "//a//./b/", "a/b/"] {
        assert_eq!(parse(raw).unwrap(), Parsed::Name(name("a/b")), "{raw}");
    }
    for raw in ["", ".", "./", "/"] {
        assert_eq!(parse(raw).unwrap(), Parsed::Name(name("")), "{raw}");
    }
    let long = "x".repeat(256);
    let deep = "d/".repeat(129);
    let longer = "d/".repeat(2500);
    for raw in ["..", "../x", "a/../b", "/..", "a/..", "a\0b", &long, &deep, &longer] {
        assert!(parse(raw).is_err(), "{raw:?} was accepted");
    }
    // Not `..`, though it looks like it.
    assert_eq!(parse("...").unwrap(), Parsed::Name(name("...")));
}

#[test]
fn whiteouts_name_something_in_their_directory() {
    let one = |path| Parsed::Whiteout(Whiteout::One(name(path)));
    let all = |path| Parsed::Whiteout(Whiteout::All(name(path)));
    assert_eq!(parse("a/.wh.b").unwrap(), one("a/b"));
    assert_eq!(parse(".wh.b").unwrap(), one("b"));
    assert_eq!(parse("a/.wh..wh..opq").unwrap(), all("a"));
    assert_eq!(parse(".wh..wh..opq").unwrap(), all(""));
    assert_eq!(parse(".wh..b").unwrap(), one(".b"));
    assert_eq!(parse("a/.wh..wh.plnk").unwrap(), Parsed::Ignored);
    assert_eq!(parse(".wh..wh.plnk/1.2").unwrap(), Parsed::Ignored);
    for raw in ["a/.wh.", "a/.wh..", ".wh...", "a/.wh...", ".wh.a/b"] {
        assert!(parse(raw).is_err(), "{raw:?} was accepted");
    }
}

proptest! {
    #[test]
    fn no_component_ever_leads_up_or_is_empty(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let parsed = parse_entry(&raw, &Digest::of(b""), &Limits::default());
        if let Ok(Parsed::Name(name) | Parsed::Whiteout(Whiteout::One(name) | Whiteout::All(name))) = parsed {
            for component in &name.components {
                prop_assert!(!component.is_empty());
                prop_assert!(component != b"." && component != b"..");
                prop_assert!(!component.contains(&b'/') && !component.contains(&0));
            }
        }
    }
}
