//! Properties that hold for any text.

use super::{FULL, MINIMAL, secrets::asking};
use crate::Manifest;
use proptest::prelude::*;

/// A valid text with one thing changed: gets further into the checks than random bytes do.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (
        prop_oneof![Just(MINIMAL.to_owned()), Just(FULL.to_owned()), Just(asking())],
        any::<prop::sample::Index>(),
        0usize..8,
        any::<Vec<u8>>(),
    )
        .prop_map(|(text, at, removed, added)| {
            let mut bytes = text.as_bytes().to_vec();
            let start = at.index(bytes.len());
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, added.into_iter().take(8));
            bytes
        })
}

/// Pieces that mean something in YAML.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "apiVersion: casemate.io/v1\n",
        "kind: Service\n",
        "metadata:\n",
        "  name: a\n",
        "spec:\n",
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\n",
        "  ",
        "\t",
        "|\n",
        ">-\n",
        "!!int ",
        "!x ",
        "\"",
        "'",
        "\\",
        "<<: ",
        "---\n",
        "...\n",
        "# c\n",
        "~",
        "1e999",
        ".nan",
        "-0",
        "0x1F",
        "%YAML 1.2\n",
        "é",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// No panic, an error always says something, and what is taken is stable.
fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for result in [Manifest::parse(&text), Manifest::from_json(bytes)] {
        match result {
            Ok(manifest) => {
                let canonical = manifest.to_canonical_json();
                let back = Manifest::from_json(&canonical);
                assert_eq!(back.as_ref(), Ok(&manifest));
                assert_eq!(back.map(|m| m.to_canonical_json()), Ok(canonical));
            }
            Err(error) => {
                assert!(!error.violations().is_empty());
                let shown = error.to_string();
                assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(bytes in any::<Vec<u8>>()) {
        check(&bytes);
    }

    #[test]
    fn any_text(text in any::<String>()) {
        check(text.as_bytes());
    }

    #[test]
    fn any_yaml(text in yaml_like()) {
        check(text.as_bytes());
    }

    #[test]
    fn any_change_of_a_valid_one(bytes in mutated()) {
        check(&bytes);
    }

    #[test]
    fn quantities_are_stable(text in "[0-9.]{0,12}(m|Mi|Gi|k|G|T)?") {
        if let Ok(cpu) = text.parse::<crate::CpuMillicores>() {
            prop_assert_eq!(cpu.to_string().parse(), Ok(cpu));
        }
        if let Ok(size) = text.parse::<crate::Mebibytes>() {
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
