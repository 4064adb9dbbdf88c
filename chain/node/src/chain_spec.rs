//! Chain specifications, made from the runtime's genesis presets.

use casemate_runtime::{genesis, WASM_BINARY};
use sc_service::{ChainType, Properties};

/// A chain specification without extensions.
pub(crate) type ChainSpec = sc_service::GenericChainSpec;

/// What `--chain` names: a preset, or a file.
///
/// # Errors
/// When the file can't be read or parsed, or the binary was built without its runtime.
pub(crate) fn load(id: &str) -> Result<ChainSpec, String> {
    match id {
        // What `--dev` asks for.
        "dev" | genesis::DEVELOPMENT => {
            preset("Casemate Development", genesis::DEVELOPMENT, ChainType::Development)
        }
        "" | genesis::LOCAL => preset("Casemate Local", genesis::LOCAL, ChainType::Local),
        genesis::PRODUCTION => preset("Casemate", genesis::PRODUCTION, ChainType::Live),
        path => ChainSpec::from_json_file(path.into())
            .map_err(|err| format!("chain specification `{path}`: {err}")),
    }
}

fn preset(name: &str, id: &str, chain_type: ChainType) -> Result<ChainSpec, String> {
    let wasm = WASM_BINARY.ok_or("built with SKIP_WASM_BUILD: there is no runtime inside")?;
    Ok(ChainSpec::builder(wasm, None)
        .with_name(name)
        .with_id(&format!("casemate-{id}"))
        .with_chain_type(chain_type)
        .with_genesis_config_preset_name(id)
        .with_protocol_id(&format!("casemate-{id}"))
        .with_properties(properties())
        .build())
}

fn properties() -> Properties {
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), "CASE".into());
    properties.insert("tokenDecimals".into(), 12.into());
    properties.insert("ss58Format".into(), 42.into());
    properties
}
