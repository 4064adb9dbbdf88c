use std::path::Path;

/// Editors read the file; `CASEMATE_BLESS=1 cargo test -p casemate-manifest` writes it anew.
#[test]
fn checked_in_schema_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/casemate.schema.json");
    let mut generated = serde_json::to_string_pretty(&super::json_schema()).unwrap();
    generated.push('\n');
    if std::env::var_os("CASEMATE_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &generated).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "crates/manifest/schema/casemate.schema.json is not what the types say; run \
         `CASEMATE_BLESS=1 cargo test -p casemate-manifest` and commit the change"
    );
}

#[test]
fn schema_refuses_unknown_fields_and_names_the_required_ones() {
    let schema = super::json_schema();
    assert_eq!(schema["additionalProperties"], false);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if definition["type"] == "object" {
            assert_eq!(definition["additionalProperties"], false, "{name}");
        }
    }
    assert_eq!(
        schema["$defs"]["Container"]["required"],
        serde_json::json!(["name", "image", "resources"])
    );
}
