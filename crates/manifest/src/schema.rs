//! The JSON Schema for editors.

use crate::{Manifest, canonical::sorted};
use serde_json::Value;

/// The JSON Schema (2020-12) of `casemate.yaml`, made from the types. A manifest that passes it
/// may still be refused by [`Manifest::validate`], which sees more than one field at a time.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Manifest);
    schema.insert("$id".to_owned(), "https://casemate.io/schema/v1/casemate.schema.json".into());
    sorted(schema.to_value())
}

#[cfg(test)]
mod tests;
