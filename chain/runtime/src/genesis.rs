//! Genesis presets: `development`, `local` and `production`.

use crate::{network::NetworkKind, *};
use alloc::{vec, vec::Vec};
use casemate_attestation::TrustRoots;
use casemate_primitives::{Asset, CASE};
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
    let test_asset = kind == NetworkKind::Development;
    let assets = if test_asset { test_assets(&endowed) } else { no_assets() };
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
        assets,
        asset_conversion: AssetConversionConfig {
            pools: match test_asset {
                true => vec![test_pool()],
                false => vec![],
            },
        },
        money: MoneyConfig {
            admitted: match test_asset {
                true => vec![(TEST_ASSET, "tUSD".into(), TEST_ASSET_DECIMALS, TEST_DOLLAR)],
                false => vec![],
            },
        },
        // Vendors only: the software TEE's root, made anew for each development network, is
        // written into that network's own chain specification.
        endorsements: EndorsementsConfig { roots: TrustRoots::vendors().iter().copied().collect() },
    })
}

/// Ids of assets are counted up from this one.
const FIRST_ASSET: u32 = 1;

/// The asset that a development chain begins with, so that everything about assets can be tried.
const TEST_ASSET: u32 = FIRST_ASSET;

/// Decimals of it: those of the dollars that most chains have.
const TEST_ASSET_DECIMALS: u8 = 6;

/// One of it.
const TEST_DOLLAR: Balance = 1_000_000;

fn no_assets() -> AssetsConfig {
    AssetsConfig { next_asset_id: Some(FIRST_ASSET), ..Default::default() }
}

/// A million for each endowed account. Its owner is an account that nothing else uses.
fn test_assets(endowed: &[AccountId]) -> AssetsConfig {
    let owner = Sr25519Keyring::FerdieStash.to_account_id();
    AssetsConfig {
        assets: vec![(TEST_ASSET, owner, false, TEST_DOLLAR / 100)],
        metadata: vec![(TEST_ASSET, b"Test dollar".into(), b"tUSD".into(), TEST_ASSET_DECIMALS)],
        accounts: endowed
            .iter()
            .map(|account| (TEST_ASSET, account.clone(), 1_000_000 * TEST_DOLLAR))
            .collect(),
        next_asset_id: Some(TEST_ASSET + 1),
        ..Default::default()
    }
}

/// A pool at ten cents for a CASE, so that fees can be paid in the test asset.
fn test_pool() -> (Asset, Asset, AccountId, Balance, Balance) {
    let owner = Sr25519Keyring::FerdieStash.to_account_id();
    let test = Asset::Registered(TEST_ASSET);
    (Asset::Native, test, owner, 1_000_000 * CASE, 100_000 * TEST_DOLLAR)
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
