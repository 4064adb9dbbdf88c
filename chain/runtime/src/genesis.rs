//! Genesis presets: `development`, `local` and `production`.

use crate::{network::NetworkKind, *};
use alloc::{vec, vec::Vec};
use casemate_attestation::TrustRoots;
use casemate_primitives::CASE;
use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_consensus_grandpa::AuthorityId as GrandpaId;
use sp_genesis_builder::PresetId;
use sp_keyring::Sr25519Keyring;

/// One node that seals on demand.
pub const DEVELOPMENT: &str = "development";
/// Four validators with well-known keys: one of them may be missing (`docs/decisions/0003`).
pub const LOCAL: &str = "local";
/// No key, no account, no money: what a real network's founders fill in.
pub const PRODUCTION: &str = "production";

/// Slot of a development chain. A block for each transaction stays on wall-clock time as long as
/// fewer than fifty come in a second; above, its clock runs ahead by the difference.
const DEVELOPMENT_SLOT_MILLISECONDS: u64 = 20;

fn patch(
    kind: NetworkKind,
    slot_milliseconds: u64,
    validators: Vec<Sr25519Keyring>,
    endowed: Vec<AccountId>,
) -> Value {
    let keys = |who: &Sr25519Keyring| SessionKeys {
        aura: AuraId::from(who.public()),
        grandpa: GrandpaId::from(ed25519_of(*who)),
    };
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: endowed.into_iter().map(|account| (account, 10_000_000 * CASE)).collect(),
        },
        session: SessionConfig {
            keys: validators
                .iter()
                .map(|who| (who.to_account_id(), who.to_account_id(), keys(who)))
                .collect(),
        },
        technical_committee: TechnicalCommitteeConfig {
            members: validators.iter().map(|who| who.to_account_id()).collect(),
        },
        network: NetworkConfig { kind, slot_milliseconds },
        // Vendors only: the software TEE's root, made anew for each development network, is
        // written into that network's own chain specification.
        endorsements: EndorsementsConfig { roots: TrustRoots::vendors().iter().copied().collect() },
    })
}

fn ed25519_of(who: Sr25519Keyring) -> sp_core::ed25519::Public {
    use sp_keyring::Ed25519Keyring;
    match who {
        Sr25519Keyring::Bob => Ed25519Keyring::Bob,
        Sr25519Keyring::Charlie => Ed25519Keyring::Charlie,
        Sr25519Keyring::Dave => Ed25519Keyring::Dave,
        _ => Ed25519Keyring::Alice,
    }
    .public()
}

fn well_known_accounts() -> Vec<AccountId> {
    Sr25519Keyring::well_known().map(|who| who.to_account_id()).collect()
}

/// The preset of this name, as a JSON patch.
pub fn get_preset(id: &PresetId) -> Option<Vec<u8>> {
    use Sr25519Keyring::{Alice, Bob, Charlie, Dave};
    let patch = match id.as_ref() {
        DEVELOPMENT => patch(
            NetworkKind::Development,
            DEVELOPMENT_SLOT_MILLISECONDS,
            vec![Alice],
            well_known_accounts(),
        ),
        LOCAL => {
            patch(NetworkKind::Local, 0, vec![Alice, Bob, Charlie, Dave], well_known_accounts())
        }
        PRODUCTION => patch(NetworkKind::Production, 0, vec![], vec![]),
        _ => return None,
    };
    serde_json::to_vec(&patch).ok()
}

/// Names of all presets.
pub fn preset_names() -> Vec<PresetId> {
    [DEVELOPMENT, LOCAL, PRODUCTION].map(PresetId::from).to_vec()
}
