//! A development chain's specification, with the software TEE that the network trusts.
//!
//! The node's own `development` preset trusts the vendors alone: each network makes a software TEE
//! of its own, whose roots only that network's genesis names (`docs/decisions/0004`). Whoever makes
//! such a network exports the preset, passes it through [`with_software_tee`], and starts the node
//! with the result.
//!
//! The runtime refuses such a root in the genesis of any other chain; it is refused here already, so
//! that nobody gets a specification that can't start.

use casemate_attestation::{Grade, TrustRoot, TrustRoots};
use serde_json::{Map, Value, json};

/// Type of a chain that may trust a software TEE, as the specification names it.
const DEVELOPMENT: &str = "Development";
/// Most roots that a chain knows (`pallet_endorsements::ROOTS_MAX`).
const ROOTS_MAX: usize = 16;
/// Longest measurement (`pallet_attestation::Workload`).
const WORKLOAD_BYTES_MAX: usize = 64;

/// Why a specification can't be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// It is no JSON.
    #[error("the chain specification is no JSON")]
    Syntax(#[source] serde_json::Error),
    /// A part is missing or of another form; a raw specification has no readable genesis.
    #[error("the chain specification has no `{0}`: it must be exported without `--raw`")]
    Missing(&'static str),
    /// It is of a chain where money or machines could be real.
    #[error("the chain is of type `{0}`: only a development chain may trust a software TEE")]
    NotDevelopment(String),
    /// What is there already can't be read.
    #[error("the trust roots in the chain specification can't be read")]
    Roots(#[source] serde_json::Error),
    /// A number would lose digits.
    #[error("the chain specification has the number {0}, which can't be kept exactly")]
    Number(String),
    /// More than a chain takes.
    #[error("the chain would have {0} trust roots, and can have {ROOTS_MAX}")]
    TooManyRoots(usize),
    /// No measurement has this length.
    #[error("a workload has {0} bytes, and must have 1 to {WORKLOAD_BYTES_MAX}")]
    Workload(usize),
}

/// Writes trust roots, and measurements of agents that are accepted from a software TEE, into the
/// genesis of an exported development chain, besides what it has. What is there already is not
/// written again.
///
/// # Errors
/// [`GenesisError`]; above all when the chain is not for development.
pub fn with_software_tee(
    specification: &str,
    roots: &TrustRoots,
    workloads: &[Vec<u8>],
) -> Result<String, GenesisError> {
    let mut document: Value = serde_json::from_str(specification).map_err(GenesisError::Syntax)?;
    let kind = document.get("chainType").and_then(Value::as_str);
    match kind.ok_or(GenesisError::Missing("chainType"))? {
        DEVELOPMENT => {}
        other => return Err(GenesisError::NotDevelopment(other.to_owned())),
    }
    if let Some(number) = inexact(&document) {
        return Err(GenesisError::Number(number.to_string()));
    }
    let patch = document
        .pointer_mut("/genesis/runtimeGenesis/patch")
        .and_then(Value::as_object_mut)
        .ok_or(GenesisError::Missing("genesis.runtimeGenesis.patch"))?;
    add_roots(patch, roots)?;
    add_workloads(patch, workloads)?;
    serde_json::to_string_pretty(&document).map_err(GenesisError::Syntax)
}

/// The workloads that [`with_software_tee`] has written into a specification, or none.
pub fn workloads(specification: &str) -> Vec<Vec<u8>> {
    let Ok(document) = serde_json::from_str::<Value>(specification) else { return Vec::new() };
    let listed = document.pointer("/genesis/runtimeGenesis/patch/attestation/workloads");
    let entries = listed.and_then(Value::as_array).into_iter().flatten();
    entries
        .filter_map(|entry| {
            let bytes = entry.get(0)?.as_array()?.iter();
            bytes.map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
        })
        .collect()
}

fn add_roots(patch: &mut Map<String, Value>, roots: &TrustRoots) -> Result<(), GenesisError> {
    let listed = list(patch, "endorsements", "roots")?;
    let known: Vec<TrustRoot> =
        serde_json::from_value(Value::Array(listed.clone())).map_err(GenesisError::Roots)?;
    for root in roots.iter().filter(|root| !known.contains(root)) {
        listed.push(serde_json::to_value(root).map_err(GenesisError::Roots)?);
    }
    if listed.len() > ROOTS_MAX {
        return Err(GenesisError::TooManyRoots(listed.len()));
    }
    Ok(())
}

fn add_workloads(
    patch: &mut Map<String, Value>,
    workloads: &[Vec<u8>],
) -> Result<(), GenesisError> {
    let listed = list(patch, "attestation", "workloads")?;
    for workload in workloads {
        if !(1..=WORKLOAD_BYTES_MAX).contains(&workload.len()) {
            return Err(GenesisError::Workload(workload.len()));
        }
        let entry = json!([workload, Grade::Software]);
        if !listed.contains(&entry) {
            listed.push(entry);
        }
    }
    Ok(())
}

/// A list of a pallet's genesis, which is made where it is not there.
fn list<'a>(
    patch: &'a mut Map<String, Value>,
    pallet: &'static str,
    name: &'static str,
) -> Result<&'a mut Vec<Value>, GenesisError> {
    patch
        .entry(pallet)
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .ok_or(GenesisError::Missing(pallet))?
        .entry(name)
        .or_insert_with(|| json!([]))
        .as_array_mut()
        .ok_or(GenesisError::Missing(name))
}

/// A number that is no integer of 64 bits: it would be written back with other digits.
fn inexact(value: &Value) -> Option<&serde_json::Number> {
    match value {
        Value::Number(number) if !number.is_u64() && !number.is_i64() => Some(number),
        Value::Array(items) => items.iter().find_map(inexact),
        Value::Object(members) => members.values().find_map(inexact),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
