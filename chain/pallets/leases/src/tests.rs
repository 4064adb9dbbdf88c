//! Tests enter by the calls; each ends in `try_state` of all three pallets.

mod amend;
mod assets;
mod claim;
mod close;
mod contest;
mod deposits;
mod ended;
mod extremes;
mod model;
mod open;
mod periods;

use crate::{mock::*, pallet::Error, Agents, Event, HoldReason, Lease, LeaseState, UsedNonces};
use casemate_primitives::{
    AgentSignature, Asset, Balance, DeploymentId, DeploymentKind, EndReason, LeaseId, LeaseTerms,
    ManifestRef, Prices, ProviderInfo, Quantities, Quote, ReplicaIndex, Resources, UsageRecord,
    CASE,
};
use ed25519_dalek::{Signer, SigningKey};
use frame_support::{
    assert_noop, assert_ok,
    traits::fungible::{hold::Inspect as _, Inspect as _},
};
use sp_core::{ed25519, Pair};
use sp_runtime::{AccountId32, DispatchResult, MultiSignature};

/// Accounts of the tests are ed25519, so that no `std` signing of the SDK is needed.
pub(crate) fn pair(uri: &str) -> ed25519::Pair {
    ed25519::Pair::from_seed(&casemate_primitives::blake2_256(uri.as_bytes()))
}

const MANIFEST: ManifestRef = ManifestRef { hash: [7; 32], size: 100 };
const LEASE: LeaseId = LeaseId(0);
const DEPOSIT: Balance = 100_000;

/// One core and one MiB: 1 + 10 = 11 planck a second, so that sums can be read.
const RESOURCES: Resources =
    Resources { cpu_millicores: 1_000, memory_mib: 10, storage_mib: 0, gpus: 0 };
const PRICE_PER_SECOND: Balance = 1_000 + 10 * 10;

fn publisher() -> AccountId32 {
    accounts()[0].clone()
}

fn provider() -> AccountId32 {
    accounts()[2].clone()
}

fn stranger() -> AccountId32 {
    accounts()[4].clone()
}

fn origin(who: AccountId32) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

fn register_provider(uri: &str) {
    let who = AccountId32::from(pair(uri).public().0);
    assert_ok!(Providers::register(
        origin(who),
        ProviderInfo::default(),
        Resources { cpu_millicores: 8_000, memory_mib: 8_192, storage_mib: 8_192, gpus: 0 },
        Default::default(),
        8 * CASE,
    ));
}

fn quote() -> Quote {
    Quote {
        provider: provider().into(),
        publisher: publisher().into(),
        manifest_hash: MANIFEST.hash,
        resources: RESOURCES,
        replicas: 1,
        terms: LeaseTerms {
            asset: Asset::Native,
            prices: Prices {
                cpu_millicore_second: 1,
                memory_mib_second: 10,
                egress_mib: 5,
                ..Default::default()
            },
            notice_seconds: 600,
            grace_seconds: 60,
            deposit_min: 1_000,
            ..Default::default()
        },
        expires_at: Now::get() + 300,
        nonce: [1; 16],
    }
}

fn sign(uri: &str, quote: &Quote) -> MultiSignature {
    pair(uri).sign(&quote.signing_payload(&GENESIS)).into()
}

fn deploy(quote: Quote, signature: MultiSignature) -> DispatchResult {
    Leases::deploy(
        origin(publisher()),
        DeploymentKind::Service,
        MANIFEST,
        quote,
        signature,
        DEPOSIT,
        2 * PRICE_PER_SECOND,
    )
}

/// A provider, a deployment and a pending lease.
fn open_lease() {
    register_provider("//v0");
    assert_ok!(deploy(quote(), sign("//v0", &quote())));
}

fn agent() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

/// A pending lease with other terms.
fn open_with(change: impl FnOnce(&mut LeaseTerms)) {
    register_provider("//v0");
    let mut quote = quote();
    change(&mut quote.terms);
    assert_ok!(deploy(quote, sign("//v0", &quote)));
}

/// The lease with an activated agent.
fn open_active_lease() {
    open_lease();
    assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
}

/// As `pallet-attestation` does once it has verified evidence for a key.
fn activate(
    who: AccountId32,
    lease: LeaseId,
    replica: ReplicaIndex,
    key: [u8; 32],
) -> DispatchResult {
    <Leases as pallet_attestation::AgentRegistry<AccountId32>>::activate(
        &who, lease, replica, key,
    )?;
    attested(lease, replica, key, u64::MAX);
    Ok(())
}

/// A record of `seconds` more of full quota, after `before`.
fn record_after(before: Option<&UsageRecord>, seconds: u64) -> UsageRecord {
    let from = before.map_or(lease().opened_at, |record| record.to);
    let quota = Quantities::quota(&RESOURCES, seconds).unwrap();
    UsageRecord {
        lease: LEASE,
        replica: 0,
        sequence: before.map_or(0, |record| record.sequence) + 1,
        previous: before.map_or([0; 32], UsageRecord::hash),
        from,
        to: from + seconds,
        running_seconds: before.map_or(0, |record| record.running_seconds) + seconds,
        total: before.map_or(quota, |record| record.total.checked_add(&quota).unwrap()),
        ..Default::default()
    }
}

fn signed_by(key: &SigningKey, record: &UsageRecord) -> AgentSignature {
    key.sign(&record.signing_payload(&GENESIS)).to_bytes()
}

fn claim(record: UsageRecord) -> DispatchResult {
    Leases::claim(origin(provider()), record, signed_by(&agent(), &record))
}

fn lease() -> Lease {
    crate::Leases::<Test>::get(LEASE).unwrap()
}

fn escrow_held(who: &AccountId32) -> Balance {
    Balances::balance_on_hold(&HoldReason::Escrow.into(), who)
}

fn pass(seconds: u64) {
    Now::set(Now::get() + seconds);
}

fn events() -> Vec<Event<Test>> {
    let ours = |record: frame_system::EventRecord<RuntimeEvent, _>| match record.event {
        RuntimeEvent::Leases(event) => Some(event),
        _ => None,
    };
    frame_system::Pallet::<Test>::events().into_iter().filter_map(ours).collect()
}

fn told(event: Event<Test>) {
    assert!(events().contains(&event), "{event:?} is not in {:?}", events());
}

fn last_event() -> Event<Test> {
    let record = frame_system::Pallet::<Test>::events().pop().unwrap();
    let RuntimeEvent::Leases(event) = record.event else { panic!("not ours: {record:?}") };
    event
}
