//! One sequence of bytes for one manifest.

use crate::Manifest;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

impl Manifest {
    /// The bytes whose hash goes on chain: JSON without white space, keys sorted by their bytes,
    /// defaults written out, quantities in their shortest form. Two manifests with the same
    /// meaning have the same bytes, whatever their YAML looked like.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        // Neither step can fail: all keys are texts, and there are no floats and no I/O.
        let value = serde_json::to_value(self).unwrap_or_default();
        serde_json::to_vec(&sorted(value)).unwrap_or_default()
    }
}

/// Sorts all keys, also where another crate turns on `serde_json/preserve_order`.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(Map::from_iter(fields))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
