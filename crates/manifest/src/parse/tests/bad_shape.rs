//! Texts whose shape is wrong.

use super::{MINIMAL, assert_refused, minimal_with, refused};
use crate::Manifest;

#[test]
fn unknown_field() {
    let text = minimal_with("    comand: [sh]");
    assert_refused(
        &text,
        (9, 5),
        "spec.containers[0].comand",
        &["unknown field `comand`", "allowed: `name`, `image`, `command`"],
    );
    assert_refused(
        &MINIMAL.replace("{name: web}", "{name: web, namespace: x}"),
        (3, 23),
        "metadata.namespace",
        &["unknown field `namespace`", "`name`, `labels`, `annotations`"],
    );
}

#[test]
fn missing_field() {
    let text = MINIMAL.replace("    image: app:1\n", "");
    assert_refused(&text, (6, 5), "spec.containers[0]", &["the field `image` is missing"]);
}

#[test]
fn wrong_unit() {
    assert_refused(
        &MINIMAL.replace("64Mi", "64MB"),
        (8, 33),
        "spec.containers[0].resources.memory",
        &["`64MB`", "`128Mi`, `1Gi`"],
    );
    assert_refused(
        &MINIMAL.replace("cpu: 1,", "cpu: 500Mi,"),
        (8, 22),
        "spec.containers[0].resources.cpu",
        &["`500Mi`", "`500m`"],
    );
    assert_refused(
        &MINIMAL.replace("cpu: 1,", "cpu: -0.5,"),
        (8, 22),
        "spec.containers[0].resources.cpu",
        &["`-0.5`, a number", "`500m`"],
    );
}

#[test]
fn huge() {
    let text = format!("{MINIMAL}# {}\n", "x".repeat(crate::MANIFEST_BYTES_MAX));
    let shown = refused(&text);
    assert!(shown.contains("bytes long") && shown.contains("at most 262144 bytes"), "{shown}");
    let error = Manifest::from_json(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("at most 262144 bytes"), "{error}");
    // Many values in few bytes.
    let shown = refused(&format!("a: [{}]\n", "1,".repeat(100_000)));
    assert!(shown.contains("too complex (at most 65536 values"), "{shown}");
}

#[test]
fn deep() {
    for deep in [
        format!("a: {}{}\n", "[".repeat(5_000), "]".repeat(5_000)),
        format!("a: {}{}\n", "[".repeat(40), "]".repeat(40)),
        format!("a: {}1{}\n", "{a: ".repeat(60), "}".repeat(60)),
        (0..60).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
    ] {
        let shown = refused(&deep);
        assert!(shown.contains("32 levels"), "{shown}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = Manifest::from_json(deep.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("recursion limit"), "{error}");
}

#[test]
fn alias_bomb() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (this, last) in ('b'..='j').zip('a'..) {
        let aliases = vec![format!("*{last}"); 7].join(", ");
        text += &format!("{this}: &{this} [{aliases}]\n");
    }
    let shown = refused(&text);
    assert!(shown.contains("too complex") || shown.contains("alias"), "{shown}");
    let shown = refused("a: &a [*a]\n");
    assert!(shown.contains("line 1"), "{shown}");
}

#[test]
fn duplicate_keys() {
    let shown = refused(&MINIMAL.replace("kind: Service\n", "kind: Service\nkind: Service\n"));
    assert!(shown.starts_with("line 3, column 1: ") && shown.contains("duplicate"), "{shown}");
    assert!(shown.contains("kind"), "{shown}");
    let error = Manifest::from_json(br#"{"kind": "Service", "kind": "Service"}"#).unwrap_err();
    assert!(error.to_string().contains("duplicate key `kind`"), "{error}");
}

#[test]
fn merge_keys_tags_and_second_documents() {
    let shown = refused("a: &a {b: 1}\nc:\n  <<: *a\n");
    assert!(shown.starts_with("line 3") && shown.contains("merge keys"), "{shown}");
    let shown = refused("a: !ruby/object {}\n");
    assert!(shown.starts_with("line 1") && shown.contains("tag"), "{shown}");
    let shown = refused(&format!("{MINIMAL}---\n{MINIMAL}"));
    assert!(shown.contains("second document"), "{shown}");
}

#[test]
fn not_yaml_at_all() {
    let shown = refused("apiVersion: [\n");
    assert!(shown.contains("line ") && shown.contains("not valid YAML"), "{shown}");
    let shown = refused("a: b\n\tc: d\n");
    assert!(shown.contains("line 1") && shown.contains("found a tab"), "{shown}");
    for empty in ["", "\n", "# nothing\n", "---\n"] {
        assert!(!refused(empty).is_empty());
    }
    let error = Manifest::from_json(b"{\n  \"kind\" 1}").unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("not valid JSON"), "{error}");
    assert!(Manifest::from_json(&[0xff, 0xfe]).is_err());
}

#[test]
fn wrong_types() {
    let container = "spec.containers[0]";
    let text = minimal_with("    env: [{name: PORT, value: 8080}]");
    let path = format!("{container}.env[0].value");
    assert_refused(&text, (9, 31), &path, &["`8080`, a number", "a string, in quotes"]);
    let text = minimal_with("    args: [true]");
    assert_refused(&text, (9, 12), &format!("{container}.args[0]"), &["`true`, a boolean"]);
    let text = minimal_with("    args: sh");
    assert_refused(&text, (9, 11), &format!("{container}.args"), &["`sh`", "a sequence"]);
    let text = MINIMAL.replace("spec:\n", "spec:\n  replicas: \"2\"\n");
    assert_refused(&text, (5, 13), "spec.replicas", &["`2`", "u16"]);
    let text = MINIMAL.replace("spec:\n", "spec:\n  replicas: 70000\n");
    assert_refused(&text, (5, 13), "spec.replicas", &["`70000`", "u16"]);
    let text = minimal_with("    ports: [{containerPort: 65536}]");
    assert_refused(&text, (9, 29), &format!("{container}.ports[0].containerPort"), &["`65536`"]);
}

#[test]
fn other_versions_and_kinds() {
    let text = MINIMAL.replace("casemate.io/v1", "v1");
    assert_refused(&text, (1, 13), "apiVersion", &["unknown value `v1`", "`casemate.io/v1`"]);
    let text = MINIMAL.replace("kind: Service", "kind: Deployment");
    assert_refused(&text, (2, 7), "kind", &["unknown value `Deployment`", "`Service`"]);
    let text = MINIMAL.replace("spec:\n", "spec:\n  restartPolicy: Sometimes\n");
    assert_refused(&text, (5, 18), "spec.restartPolicy", &["`Always`, `OnFailure`, `Never`"]);
}

#[test]
fn bad_image() {
    let text = MINIMAL.replace("app:1", "App:1");
    assert_refused(&text, (7, 12), "spec.containers[0].image", &["`App:1`", "lower-case"]);
}

#[test]
fn terminal_codes_are_not_passed_on() {
    let text = MINIMAL.replace("casemate.io/v1", "\"\\e[31mred\"");
    assert!(!refused(&text).contains('\u{1b}'));
    let text = minimal_with("    \"\\e[31m\\nx\": 1");
    let shown = refused(&text);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\n'), "{shown}");
}
