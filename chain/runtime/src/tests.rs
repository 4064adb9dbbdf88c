//! What the presets promise.

mod hooks;

use crate::*;
use sp_genesis_builder::PresetId;
use sp_keyring::Sr25519Keyring;

mod assets;

fn preset(name: &str) -> String {
    String::from_utf8(genesis::get_preset(&PresetId::from(name)).unwrap()).unwrap()
}

/// Genesis as the node builds it: the preset laid over the default.
fn build(name: &str) -> sp_io::TestExternalities {
    build_with(name, serde_json::Value::Object(Default::default()))
}

/// The same with something changed.
fn build_with(name: &str, patch: serde_json::Value) -> sp_io::TestExternalities {
    let mut ext = sp_io::TestExternalities::default();
    ext.execute_with(|| {
        use frame_support::genesis_builder_helper::build_state;
        let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
        merge(&mut config, serde_json::from_str(&preset(name)).unwrap());
        merge(&mut config, patch);
        build_state::<RuntimeGenesisConfig>(serde_json::to_vec(&config).unwrap()).unwrap();
    });
    ext
}

/// A genesis with the root of a software TEE.
fn software_root() -> serde_json::Value {
    let root = serde_json::json!({
        "vendor": "intel", "grade": "software", "spkiSha256": "11".repeat(32),
    });
    serde_json::json!({ "endorsements": { "roots": [root] } })
}

#[test]
fn every_preset_trusts_the_vendors_and_nobody_else() {
    for name in [genesis::DEVELOPMENT, genesis::LOCAL, genesis::PRODUCTION] {
        build(name).execute_with(|| {
            let roots = pallet_endorsements::Roots::<Runtime>::get().into_inner();
            let vendors: Vec<_> =
                casemate_attestation::TrustRoots::vendors().iter().copied().collect();
            assert_eq!(roots, vendors, "{name}");
            assert_eq!(pallet_attestation::Workloads::<Runtime>::iter().count(), 0, "{name}");
        });
    }
}

#[test]
#[should_panic(expected = "development chains only")]
fn production_does_not_start_with_a_software_root() {
    build_with(genesis::PRODUCTION, software_root());
}

#[test]
#[should_panic(expected = "development chains only")]
fn local_does_not_start_with_a_software_root() {
    build_with(genesis::LOCAL, software_root());
}

#[test]
fn development_may_start_with_a_software_root() {
    build_with(genesis::DEVELOPMENT, software_root()).execute_with(|| {
        let roots = pallet_endorsements::Roots::<Runtime>::get();
        assert_eq!(roots[0].grade, casemate_attestation::Grade::Software);
    });
}

fn merge(base: &mut serde_json::Value, patch: serde_json::Value) {
    match (base, patch) {
        (serde_json::Value::Object(base), serde_json::Value::Object(patch)) => {
            for (key, value) in patch {
                merge(base.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (base, patch) => *base = patch,
    }
}

#[test]
fn production_has_no_development_key_no_money_and_no_committee() {
    let text = preset(genesis::PRODUCTION);
    for key in Sr25519Keyring::iter() {
        let address = key.to_account_id().to_string();
        assert!(!text.contains(&address), "{address} is in the production preset");
    }
    build(genesis::PRODUCTION).execute_with(|| {
        assert_eq!(Balances::total_issuance(), 0);
        assert!(pallet_aura::Authorities::<Runtime>::get().is_empty());
        assert!(
            pallet_collective::Members::<Runtime, pallet_collective::Instance1>::get().is_empty()
        );
        assert_eq!(network::Kind::<Runtime>::get(), network::NetworkKind::Production);
    });
}

#[test]
fn no_sudo_in_the_runtime() {
    use frame_support::traits::PalletsInfoAccess;
    assert!(AllPalletsWithSystem::infos().iter().all(|pallet| pallet.name != "Sudo"));
}

#[test]
fn local_can_lose_one_validator() {
    build(genesis::LOCAL).execute_with(|| {
        let voters = Grandpa::grandpa_authorities().len();
        assert!((voters - 1) / 3 >= 1, "GRANDPA tolerates fewer than a third missing");
        assert_eq!(network::SlotMilliseconds::<Runtime>::get(), 2_000);
    });
}

#[test]
fn development_seals_faster_than_it_is_asked() {
    build(genesis::DEVELOPMENT).execute_with(|| {
        assert_eq!(network::SlotMilliseconds::<Runtime>::get(), 20);
        assert_eq!(network::Kind::<Runtime>::get(), network::NetworkKind::Development);
    });
}

#[test]
fn providers_have_ten_minutes_to_answer_but_on_development_chains() {
    use frame_support::traits::Get;
    let window = || <Runtime as pallet_proofs::Config>::WindowBlocks::get();
    for name in [genesis::PRODUCTION, genesis::LOCAL] {
        build(name).execute_with(|| assert_eq!(window() * 2, 600, "{name}"));
    }
    build(genesis::DEVELOPMENT).execute_with(|| assert_eq!(window(), 60));
}

#[test]
fn a_block_has_room_for_a_hundred_attestations() {
    use casemate_attestation::TeeKind;
    use frame_support::dispatch::{DispatchClass, GetDispatchInfo};
    let room = |kind| {
        let call = RuntimeCall::Attestation(pallet_attestation::Call::attest {
            lease: casemate_primitives::LeaseId(1),
            replica: 0,
            keys: pallet_attestation::Keys {
                agent: [1; 32],
                hpke: [2; 32],
                tls_spki_sha256: [3; 32],
            },
            block: 1,
            submission: pallet_attestation::Submission {
                kind,
                evidence: Default::default(),
                certificate: [4; 32],
            },
        });
        let weights = <Runtime as frame_system::Config>::BlockWeights::get();
        let limits = weights.get(DispatchClass::Normal);
        let one = call.get_dispatch_info().call_weight.saturating_add(limits.base_extrinsic);
        limits.max_total.unwrap().ref_time() / one.ref_time()
    };
    assert!(room(TeeKind::IntelTdx) >= 100, "{}", room(TeeKind::IntelTdx));
    // One P-384 verification costs more than a quote's two of P-256.
    assert!(room(TeeKind::AmdSevSnp) < room(TeeKind::IntelTdx));
    assert!(room(TeeKind::AmdSevSnp) >= 100, "{}", room(TeeKind::AmdSevSnp));
}

#[test]
fn a_provider_that_retires_is_no_longer_listed_with_its_control_plane() {
    use casemate_attestation::{Grade, TcbStatus, TeeKind};
    use casemate_primitives::{ProviderInfo, Resources};
    use pallet_attestation::{Cluster, Clusters};
    build(genesis::DEVELOPMENT).execute_with(|| {
        let who = Sr25519Keyring::Alice.to_account_id();
        let origin = || RuntimeOrigin::signed(who.clone());
        let stake = 10 * casemate_primitives::CASE;
        let (info, capacity) = (ProviderInfo::default(), Resources::default());
        Providers::register(origin(), info, capacity, Default::default(), stake).unwrap();
        let cluster = Cluster {
            kind: TeeKind::IntelTdx,
            grade: Grade::Hardware,
            workload: Default::default(),
            tcb_status: TcbStatus::UpToDate,
            evidence_hash: [0; 32],
            expires_at: 1,
        };
        Clusters::<Runtime>::insert(&who, cluster);
        Attestation::do_try_state().unwrap();
        Providers::retire(origin()).unwrap();
        assert_eq!(Clusters::<Runtime>::iter().count(), 0);
    });
}

/// The client's types are generated from this file: `CASEMATE_BLESS=1` writes it anew.
#[test]
fn the_clients_metadata_is_this_runtimes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/client/metadata/casemate.scale");
    let now = sp_io::TestExternalities::default()
        .execute_with(|| (*Runtime::metadata_at_version(15).unwrap()).to_vec());
    if std::env::var_os("CASEMATE_BLESS").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let checked_in = std::fs::read(path).unwrap_or_default();
    assert!(
        checked_in == now,
        "crates/client/metadata/casemate.scale is not this runtime's metadata; run `cargo xtask \
         metadata` and look at what changed"
    );
}
