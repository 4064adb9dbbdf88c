//! Tests enter by the calls; each ends in `try_state` of all pallets.

mod model;
mod result;
mod runs;
mod tasks;

use crate::{mock::*, pallet::Error, Entry, History, HoldReason, Open, OpenRun, Task};
use casemate_primitives::{
    AgentSignature, Asset, Balance, DeploymentId, LeaseId, LeaseTerms, ManifestRef, Prices,
    ProviderInfo, Quantities, Quote, ReplicaIndex, Resources, RunId, RunOutcome, RunResult,
    Schedule, TaskTerms, UsageRecord, CASE,
};
use ed25519_dalek::{Signer, SigningKey};
use frame_support::{assert_noop, assert_ok, traits::fungible::hold::Inspect as _};
use sp_core::{ed25519, Pair};
use sp_runtime::{AccountId32, DispatchResult};

/// Accounts of the tests are ed25519, so that no `std` signing of the SDK is needed.
pub(crate) fn pair(uri: &str) -> ed25519::Pair {
    ed25519::Pair::from_seed(&casemate_primitives::blake2_256(uri.as_bytes()))
}

const MANIFEST: ManifestRef = ManifestRef { hash: [7; 32], size: 100 };
/// What the publisher updates it to.
const UPDATED: ManifestRef = ManifestRef { hash: [8; 32], size: 100 };
const TASK: DeploymentId = DeploymentId(0);
const LEASE: LeaseId = LeaseId(0);
const DEPOSIT: Balance = 1_000_000;
const RESOURCES: Resources =
    Resources { cpu_millicores: 100, memory_mib: 0, storage_mib: 0, gpus: 0 };
/// What a second of a slot costs.
const PRICE: Balance = 100;
const SLOTS: u16 = 2;
const TERMS: TaskTerms =
    TaskTerms { budget_per_run: 50_000, deadline_seconds: 600, start_seconds_max: 60 };
const EVERY: u32 = 100;

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

fn once() -> Schedule {
    Schedule::Once { at: None }
}

fn every() -> Schedule {
    Schedule::Every { seconds: EVERY }
}

fn cron() -> Schedule {
    Schedule::Cron {
        expression: b"*/5 * * * *".to_vec().try_into().unwrap(),
        time_zone: b"Europe/Berlin".to_vec().try_into().unwrap(),
        seconds_min: 60,
    }
}

fn create(schedule: Schedule) {
    assert_ok!(Tasks::create(origin(publisher()), MANIFEST, schedule, TERMS));
}

fn register(uri: &str) {
    let capacity = Resources { cpu_millicores: 8_000, memory_mib: 0, storage_mib: 0, gpus: 0 };
    let who = AccountId32::from(pair(uri).public().0);
    assert_ok!(Providers::register(
        origin(who),
        ProviderInfo::default(),
        capacity,
        Default::default(),
        8 * CASE
    ));
}

/// Opens a lease of the task at a provider.
fn open_lease_at(uri: &str, nonce: u8, deposit: Balance) -> DispatchResult {
    open_lease_in(Asset::Native, uri, nonce, deposit)
}

/// Opens a lease of the task that is paid in this asset.
fn open_lease_in(asset: Asset, uri: &str, nonce: u8, deposit: Balance) -> DispatchResult {
    let quote = Quote {
        provider: pair(uri).public().0,
        publisher: publisher().into(),
        manifest_hash: MANIFEST.hash,
        resources: RESOURCES,
        replicas: SLOTS,
        terms: LeaseTerms {
            asset,
            prices: Prices { cpu_millicore_second: 1, ..Default::default() },
            notice_seconds: 600,
            retention_seconds: 1_000,
            deposit_min: 1_000,
            silence_seconds: 1,
            ..Default::default()
        },
        expires_at: Now::get() + 300,
        nonce: [nonce; 16],
    };
    let signature = pair(uri).sign(&quote.signing_payload(&GENESIS)).into();
    let rate = 10 * PRICE * Balance::from(SLOTS);
    Leases::open(origin(publisher()), TASK, quote, signature, deposit, rate)
}

/// A provider, a task and its lease.
fn start(schedule: Schedule) {
    register("//v0");
    create(schedule);
    assert_ok!(open_lease_at("//v0", 1, DEPOSIT));
}

/// A task whose first run has an attested agent with this key, for twenty seconds.
fn running() -> SigningKey {
    start(every());
    assert_ok!(begin(0, START));
    let key = key(1);
    activate(0, &key);
    pass(20);
    key
}

fn pass(seconds: u64) {
    Now::set(Now::get() + seconds);
}

/// As a provider that has just read the task's terms and its manifest.
fn begin_in(lease: LeaseId, who: AccountId32, replica: ReplicaIndex, at: u64) -> DispatchResult {
    let terms = crate::Tasks::<Test>::get(TASK).map_or(TERMS, |task| task.terms);
    let manifest = pallet_deployments::Deployments::<Test>::get(TASK).unwrap().manifest;
    Tasks::begin(origin(who), lease, replica, at, terms, manifest.hash)
}

fn begin(replica: ReplicaIndex, at: u64) -> DispatchResult {
    begin_in(LEASE, provider(), replica, at)
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

/// As `pallet-attestation` does once it has verified evidence for a key.
fn activate_in(lease: LeaseId, who: &AccountId32, replica: ReplicaIndex, key: &SigningKey) {
    let key = key.verifying_key().to_bytes();
    assert_ok!(<Leases as pallet_attestation::AgentRegistry<AccountId32>>::activate(
        who, lease, replica, key
    ));
    Attested::mutate(|all| all.insert((lease.0, replica), key));
}

/// The manifest that evidence of a slot's agent has to be over.
fn expected(replica: ReplicaIndex) -> Result<[u8; 32], sp_runtime::DispatchError> {
    let who = provider();
    <Leases as pallet_attestation::AgentRegistry<AccountId32>>::expected_manifest(
        &who, LEASE, replica,
    )
}

fn activate(replica: ReplicaIndex, key: &SigningKey) {
    activate_in(LEASE, &provider(), replica, key);
}

/// The record of an agent that has run for `seconds` until now.
fn record(lease: LeaseId, replica: ReplicaIndex, seconds: u64) -> UsageRecord {
    let now = Now::get();
    UsageRecord {
        lease,
        replica,
        sequence: 3,
        from: now,
        to: now,
        running_seconds: seconds,
        total: Quantities::quota(&RESOURCES, seconds).unwrap(),
        ..Default::default()
    }
}

fn open_run(replica: ReplicaIndex) -> OpenRun {
    Open::<Test>::get(LEASE, replica).unwrap()
}

/// What the agent of the open run in `replica` says when it has run for `seconds` until now.
fn result_of(replica: ReplicaIndex, seconds: u64, outcome: RunOutcome) -> (RunResult, UsageRecord) {
    let (run, record) = (open_run(replica), record(LEASE, replica, seconds));
    let result = RunResult {
        lease: LEASE,
        replica,
        run: run.run,
        scheduled_at: run.scheduled_at,
        started_at: Now::get() - seconds,
        ended_at: Now::get(),
        tries: 1,
        outcome,
        output_hash: [1; 32],
        log: Default::default(),
        artefacts: Default::default(),
        last_record: record.hash(),
    };
    (result, record)
}

fn sign_result(key: &SigningKey, result: &RunResult) -> AgentSignature {
    key.sign(&result.signing_payload(&GENESIS)).to_bytes()
}

fn sign_record(key: &SigningKey, record: &UsageRecord) -> AgentSignature {
    key.sign(&record.signing_payload(&GENESIS)).to_bytes()
}

fn submit(key: &SigningKey, result: &RunResult, record: &UsageRecord) -> DispatchResult {
    Tasks::submit_result(
        origin(provider()),
        result.clone(),
        sign_result(key, result),
        *record,
        sign_record(key, record),
    )
}

fn task() -> Task<AccountId32> {
    crate::Tasks::<Test>::get(TASK).unwrap()
}

fn escrow() -> Balance {
    pallet_leases::Leases::<Test>::get(LEASE).unwrap().escrow
}

fn history() -> Vec<Entry> {
    let mut all: Vec<_> = History::<Test>::iter_prefix(TASK).collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, entry)| entry).collect()
}
