//! Secrets that a manifest asks for.

use super::{FULL, MINIMAL, assert_refused, minimal_with};
use crate::{Manifest, ReleaseKey};

const CONTAINER: &str = "spec.containers[0]";

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

const ENV: &str = "    env: [{name: DB, valueFrom: {secretRef: {name: db}}}]";

fn pinned() -> String {
    format!("app:1@sha256:{}", "ab".repeat(32))
}

/// One of each: a variable, a file, and one for the socket.
pub(super) fn asking() -> String {
    format!(
        "{}    env:\n    - {{name: MODE, value: x}}\n    - {{name: DB, valueFrom: {{secretRef: {{name: db}}}}}}\n    \
         secrets: [{{name: tls-key, file: tls.key}}, {{name: token}}, {{name: db, file: db}}]\n  \
         releasedBy: [\"{KEY}\"]\n",
        MINIMAL.replace("app:1", &pinned())
    )
}

#[test]
fn each_way_of_asking_is_read_and_written_back() {
    let manifest = Manifest::parse(&asking()).unwrap();
    manifest.validate_deployable().unwrap();
    let container = &manifest.spec.containers[0];
    assert_eq!(container.env[0].secret(), None);
    assert_eq!(container.env[1].secret(), Some("db"));
    assert_eq!(container.secrets[0].file.as_deref(), Some("tls.key"));
    assert_eq!(container.secrets[1].file, None);
    assert_eq!(manifest.secret_names().into_iter().collect::<Vec<_>>(), ["db", "tls-key", "token"]);
    let key: ReleaseKey = KEY.parse().unwrap();
    assert!(manifest.is_released_by(&key.0) && !manifest.is_released_by(&[0; 32]));
    let bytes = manifest.to_canonical_json();
    let text = String::from_utf8(bytes.clone()).unwrap();
    for part in [
        r#"{"name":"MODE","value":"x"},{"name":"DB","valueFrom":{"secretRef":{"name":"db"}}}"#,
        r#""secrets":[{"file":"tls.key","name":"tls-key"},{"name":"token"},{"file":"db","name":"db"}]"#,
        &format!(r#""releasedBy":["{KEY}"]"#),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(Manifest::from_json(&bytes).unwrap(), manifest);
}

/// What is on chains already must keep its hash.
#[test]
fn a_manifest_without_secrets_has_the_bytes_that_it_always_had() {
    let bytes = Manifest::parse(FULL).unwrap().to_canonical_json();
    assert_eq!(String::from_utf8(bytes).unwrap(), include_str!("full.json").trim_end());
}

#[test]
fn the_command_line_fills_in_what_an_author_leaves_out() {
    let mut manifest = Manifest::parse(&minimal_with(ENV)).unwrap();
    let error = manifest.validate_deployable().unwrap_err().to_string();
    assert!(error.contains("2 things"), "{error}");
    assert!(error.contains("name@sha256:"), "{error}");
    assert!(error.contains("`releasedBy` is missing"), "{error}");
    manifest.pin_images(|_| pinned().parse()).unwrap();
    assert!(manifest.fill_released_by([7; 32]));
    manifest.validate_deployable().unwrap();
    assert!(!manifest.fill_released_by([8; 32]), "an author's choice stays");
    assert!(manifest.is_released_by(&[7; 32]) && !manifest.is_released_by(&[8; 32]));

    let mut plain = Manifest::parse(MINIMAL).unwrap();
    let before = plain.to_canonical_json();
    assert!(!plain.fill_released_by([7; 32]), "nobody asks for secrets");
    assert_eq!(plain.to_canonical_json(), before);
    plain.validate_deployable().unwrap();
}

#[test]
fn a_variable_has_one_source() {
    for (variable, column, path, wanted) in [
        ("{name: A}", 11, "", "neither `value` nor `valueFrom`"),
        (
            "{name: A, value: x, valueFrom: {secretRef: {name: a}}}",
            11,
            "",
            "both `value` and `valueFrom`",
        ),
        ("{name: A, valueFrom: {}}", 32, ".valueFrom", "`secretRef` is missing"),
        (
            "{name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}",
            33,
            ".valueFrom.secretKeyRef",
            "unknown field `secretKeyRef`",
        ),
        (
            "{name: A, valueFrom: {secretRef: {name: a, key: b}}}",
            54,
            ".valueFrom.secretRef.key",
            "unknown field `key`",
        ),
        (
            "{name: A, valueFrom: {secretRef: {name: ../a}}}",
            51,
            ".valueFrom.secretRef.name",
            "the first no dot",
        ),
    ] {
        let text = minimal_with(&format!("    env: [{variable}]"));
        assert_refused(&text, (9, column), &format!("{CONTAINER}.env[0]{path}"), &[wanted]);
    }
}

#[test]
fn names_are_there_once_and_are_file_names() {
    for (secrets, column, path, wanted) in [
        ("{name: a}, {name: a}", 33, "[1].name", "`a` is there twice"),
        ("{name: a, file: f}, {name: b, file: f}", 51, "[1].file", "`f` is there twice"),
        ("{name: a, file: a/b}", 31, "[0].file", "letters, digits"),
        ("{name: a, file: .socket}", 31, "[0].file", "the first no dot"),
        ("{name: \"\"}", 22, "[0].name", "1 to 128"),
        ("{name: a, path: x}", 25, "[0].path", "unknown field `path`"),
    ] {
        let text = minimal_with(&format!("    secrets: [{secrets}]"));
        assert_refused(&text, (9, column), &format!("{CONTAINER}.secrets{path}"), &[wanted]);
    }
    let twice = "{name: A, valueFrom: {secretRef: {name: a}}}, {name: B, valueFrom: {secretRef: {name: a}}}";
    let text = minimal_with(&format!("    env: [{twice}]"));
    let path = format!("{CONTAINER}.env[1].valueFrom.secretRef.name");
    assert_refused(&text, (9, 97), &path, &["`a` is there twice"]);
    let many: Vec<_> = (0..65).map(|n| format!("{{name: s{n}}}")).collect();
    let text = minimal_with(&format!("    secrets: [{}]", many.join(", ")));
    assert_refused(&text, (9, 14), &format!("{CONTAINER}.secrets"), &["65 items", "at most 64"]);
}

#[test]
fn only_the_first_container_has_secrets() {
    let second =
        "  - name: side\n    image: b\n    resources: {cpu: 1, memory: 64Mi, storage: 1Mi}\n";
    let text = minimal_with(&format!("{second}    secrets: [{{name: a}}]"));
    let wanted = ["not the first", "whose agent is the attested one"];
    assert_refused(&text, (12, 22), "spec.containers[1].secrets[0].name", &wanted);
    let text = minimal_with(&format!("{second}{ENV}"));
    let path = "spec.containers[1].env[0].valueFrom.secretRef.name";
    assert_refused(&text, (12, 52), path, &wanted);
}

#[test]
fn who_may_release() {
    for (keys, column, path, wanted) in [
        (format!("\"{}\"", &KEY[2..]), 16, "[0]", "64 lower-case hex digits"),
        (format!("\"{}\"", KEY.to_uppercase()), 16, "[0]", "64 lower-case hex digits"),
        (format!("\"0x{}\"", &KEY[2..]), 16, "[0]", "64 lower-case hex digits"),
        ("1234".to_owned(), 16, "[0]", "in quotes"),
        (format!("\"{KEY}\", \"{KEY}\""), 84, "[1]", "is there twice"),
    ] {
        let text = minimal_with(&format!("{ENV}\n  releasedBy: [{keys}]"));
        assert_refused(&text, (10, column), &format!("spec.releasedBy{path}"), &[wanted]);
    }
    let text = minimal_with(&format!("  releasedBy: [\"{KEY}\"]"));
    assert_refused(&text, (9, 15), "spec.releasedBy", &["no container asks for one"]);
}

#[test]
fn no_volume_lies_over_the_secrets() {
    let volume = "    volumeMounts: [{name: v, mountPath: /run/secrets}]\n";
    let volumes = "  volumes: [{name: v, empty: {size: 1Mi}}]";
    let path = format!("{CONTAINER}.volumeMounts[0].mountPath");
    let text = minimal_with(&format!("{volume}{ENV}\n{volumes}"));
    assert_refused(&text, (9, 41), &path, &["this container's secrets"]);
    // A manifest that asks for none may have its own there, as it always could.
    Manifest::parse(&minimal_with(&format!("{volume}{volumes}"))).unwrap();
}
