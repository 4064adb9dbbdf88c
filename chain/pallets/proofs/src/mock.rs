//! A runtime of balances, providers and this pallet, with a clock, leases and evidence that tests set.

use crate as pallet_proofs;
use casemate_primitives::{
    AgentPublicKey, AgentSignature, Balance, Hash256, LeaseId, LogHead, ProviderInfo, ReplicaIndex,
    Resources, UnixSeconds, UsageRecord, CASE,
};
use codec::Encode;
use frame_support::{
    derive_impl,
    dispatch::DispatchResult,
    ensure,
    pallet_prelude::DispatchError,
    parameter_types,
    traits::{fungible::Inspect as _, UnixTime},
};
use pallet_attestation::Submission;
use pallet_leases::{Anchor, Parties};
use sp_runtime::{traits::IdentityLookup, BuildStorage, Permill};
use std::collections::BTreeMap;

type Block = frame_system::mocking::MockBlock<Test>;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Providers = pallet_providers;
    #[runtime::pallet_index(3)]
    pub type Proofs = pallet_proofs;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = u64;
    type AccountData = pallet_balances::AccountData<u128>;
    type Block = Block;
    type Lookup = IdentityLookup<u64>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
}

parameter_types! {
    pub static Now: u64 = 1_000_000;
    pub const Rates: pallet_providers::StakeRates = pallet_providers::StakeRates {
        cpu_millicore: CASE / 1_000,
        memory_mib: 0,
        storage_mib: 0,
        gpu: 0,
    };
    pub const StakeMin: Balance = CASE;
    pub const UnbondingSeconds: u64 = 3_600;
    pub const DepositBase: Balance = 2 * CASE;
    pub const WindowBlocks: u64 = 10;
    pub const BatchesMax: u64 = 4;
    pub const BatchSecondsMax: u64 = 1_000;
    pub const SlashPart: Permill = Permill::from_percent(10);
    pub const SlashMax: Balance = 20 * CASE;
    pub const RewardPart: Permill = Permill::from_percent(20);
    pub const OpenMax: u32 = 3;
    pub const OpenByPublisherMax: u32 = 2;
}

/// The tests' clock.
pub struct Clock;
impl UnixTime for Clock {
    fn now() -> core::time::Duration {
        core::time::Duration::from_secs(Now::get())
    }
}

impl pallet_providers::Config for Test {
    type Currency = Balances;
    type OnRetire = ();
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Clock;
    type StakeRates = Rates;
    type StakeMin = StakeMin;
    type UnbondingSeconds = UnbondingSeconds;
    type WeightInfo = ();
}

impl pallet_proofs::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Clock;
    type Providers = Providers;
    type Leases = Leases;
    type Evidence = Evidence;
    type Observer = Observer;
    type DepositBase = DepositBase;
    type WindowBlocks = WindowBlocks;
    type OpenMax = OpenMax;
    type OpenByPublisherMax = OpenByPublisherMax;
    type BatchesMax = BatchesMax;
    type BatchSecondsMax = BatchSecondsMax;
    type SlashPart = SlashPart;
    type SlashMax = SlashMax;
    type RewardPart = RewardPart;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Leases;
}

/// A lease as tests set it.
#[derive(Clone, Debug)]
#[allow(unreachable_pub)] // `parameter_types!` makes public what holds it.
pub struct Known {
    pub publisher: u64,
    pub provider: u64,
    pub is_live: bool,
    pub is_task: bool,
    pub logs_until: Option<UnixSeconds>,
    /// In open periods.
    pub open: Balance,
    /// By replica.
    pub anchors: BTreeMap<ReplicaIndex, Anchor>,
    /// What the newest claim was made as of.
    pub claimed_as_of: Option<UnixSeconds>,
}

parameter_types! {
    pub static KnownLeases: BTreeMap<u64, Known> = BTreeMap::new();
    /// Keys of replicas, with the end of their standing.
    pub static Standings: BTreeMap<(u64, ReplicaIndex), (AgentPublicKey, UnixSeconds)> =
        BTreeMap::new();
    /// How challenges ended, as others are told.
    pub static Told: Vec<(&'static str, u64)> = Vec::new();
}

/// Changes a lease.
pub(crate) fn lease<R>(id: u64, change: impl FnOnce(&mut Known) -> R) -> R {
    KnownLeases::mutate(|all| change(all.get_mut(&id).expect("the test has made it")))
}

/// In place of `pallet-leases`.
pub struct Leases;

impl pallet_leases::LeaseProofs<u64> for Leases {
    fn parties(id: LeaseId) -> Option<Parties<u64>> {
        let Known { publisher, provider, is_live, is_task, logs_until, .. } =
            KnownLeases::get().remove(&id.0)?;
        Some(Parties { publisher, provider, is_live, is_task, logs_until })
    }

    fn anchor(id: LeaseId, replica: ReplicaIndex) -> Option<Anchor> {
        KnownLeases::get().get(&id.0)?.anchors.get(&replica).copied()
    }

    fn penalise(id: LeaseId) -> Result<Balance, DispatchError> {
        KnownLeases::mutate(|all| {
            let lease = all.get_mut(&id.0).ok_or(DispatchError::CannotLookup)?;
            Ok(core::mem::take(&mut lease.open))
        })
    }

    fn claim_as_of(
        provider: u64,
        record: UsageRecord,
        _: AgentSignature,
        as_of: UnixSeconds,
    ) -> DispatchResult {
        KnownLeases::mutate(|all| {
            let lease = all.get_mut(&record.lease.0).ok_or(DispatchError::CannotLookup)?;
            ensure!(lease.provider == provider, DispatchError::Other("NotProvider"));
            let before = lease.anchors.get(&record.replica).map_or(0, |anchor| anchor.sequence);
            ensure!(record.sequence > before, DispatchError::Other("RecordOld"));
            let anchor = anchor(record.sequence, record.to, record.log);
            lease.anchors.insert(record.replica, anchor);
            lease.claimed_as_of = Some(as_of);
            Ok(())
        })
    }
}

/// What the newest claimed record of the tests' agent says.
pub(crate) fn anchor(sequence: u64, recorded_to: UnixSeconds, log: LogHead) -> Anchor {
    Anchor {
        key: crate::tests::key(),
        sequence,
        recorded_to,
        log,
        evidence: [0; 32],
        has_ended: false,
    }
}

/// In place of `pallet-attestation`.
pub struct Evidence;

/// What [`Evidence`] takes as evidence: what it is over, in the clear.
pub(crate) fn evidence_over(
    lease: LeaseId,
    replica: ReplicaIndex,
    key: AgentPublicKey,
    nonce: Hash256,
) -> Submission {
    Submission {
        kind: casemate_primitives::TeeKind::IntelTdx,
        evidence: (lease, replica, key, nonce).encode().try_into().expect("fits"),
        certificate: [0; 32],
    }
}

impl pallet_attestation::FreshEvidence for Evidence {
    fn is_standing(lease: LeaseId, replica: ReplicaIndex) -> bool {
        let standings = Standings::get();
        standings.get(&(lease.0, replica)).is_some_and(|(_, until)| *until > Now::get())
    }

    fn verify_fresh(
        lease: LeaseId,
        replica: ReplicaIndex,
        nonce: &Hash256,
        submission: &Submission,
    ) -> DispatchResult {
        let standings = Standings::get();
        let (key, _) = standings.get(&(lease.0, replica)).ok_or(DispatchError::CannotLookup)?;
        let good = evidence_over(lease, replica, *key, *nonce);
        ensure!(*submission == good, DispatchError::Other("Binding"));
        Ok(())
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_fresh(
        kind: casemate_primitives::TeeKind,
    ) -> Result<(LeaseId, ReplicaIndex, Hash256, Submission), frame_benchmarking::BenchmarkError>
    {
        let (lease, key, nonce) = (LeaseId(1), [7; 32], [8; 32]);
        Standings::mutate(|all| all.insert((lease.0, 0), (key, u64::MAX)));
        let good = Submission { kind, ..evidence_over(lease, 0, key, nonce) };
        // This evidence is of one kind only.
        Ok((lease, 0, nonce, Submission { kind: casemate_primitives::TeeKind::IntelTdx, ..good }))
    }
}

impl pallet_attestation::AttestedKeys for Evidence {
    fn counts_until(
        lease: LeaseId,
        replica: ReplicaIndex,
        key: &AgentPublicKey,
    ) -> Option<UnixSeconds> {
        let (known, until) = *Standings::get().get(&(lease.0, replica))?;
        (known == *key).then_some(until)
    }

    fn forget(lease: LeaseId) {
        Standings::mutate(|all| all.retain(|(of, _), _| *of != lease.0));
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_attest(lease: LeaseId, replica: ReplicaIndex, key: AgentPublicKey) {
        Standings::mutate(|all| all.insert((lease.0, replica), (key, u64::MAX)));
    }
}

/// Writes down what it is told.
pub struct Observer;
impl pallet_reputation::ChallengeObserver<u64> for Observer {
    fn lost(provider: &u64) {
        Told::mutate(|all| all.push(("lost", *provider)));
    }

    fn won(provider: &u64) {
        Told::mutate(|all| all.push(("won", *provider)));
    }
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_proofs::BenchmarkHelper<u64> for Leases {
    fn provider() -> Result<u64, frame_benchmarking::BenchmarkError> {
        register_with_stake(PROVIDER);
        Ok(PROVIDER)
    }

    fn lease(
        provider: &u64,
        key: AgentPublicKey,
        log: LogHead,
    ) -> Result<(LeaseId, ReplicaIndex), frame_benchmarking::BenchmarkError> {
        let (sequence, recorded_to) = (1, Now::get());
        let anchor =
            Anchor { key, sequence, recorded_to, log, evidence: [0; 32], has_ended: false };
        let known = Known {
            publisher: PUBLISHER,
            provider: *provider,
            is_live: true,
            is_task: false,
            logs_until: None,
            open: CASE,
            anchors: [(0, anchor)].into(),
            claimed_as_of: None,
        };
        KnownLeases::mutate(|all| all.insert(2, known));
        Standings::mutate(|all| all.insert((2, 0), (key, u64::MAX)));
        Ok((LeaseId(2), 0))
    }

    fn next_record(lease: LeaseId, replica: ReplicaIndex) -> UsageRecord {
        UsageRecord { lease, replica, sequence: 2, ..Default::default() }
    }
}

/// The tests' accounts.
pub(crate) const PUBLISHER: u64 = 1;
pub(crate) const OTHER_PUBLISHER: u64 = 2;
pub(crate) const PROVIDER: u64 = 3;
pub(crate) const OTHER_PROVIDER: u64 = 4;
pub(crate) const STRANGER: u64 = 5;
pub(crate) const ACCOUNTS: [u64; 5] =
    [PUBLISHER, OTHER_PUBLISHER, PROVIDER, OTHER_PROVIDER, STRANGER];

/// What each of them has at first.
pub(crate) const ENDOWMENT: Balance = 1_000 * CASE;

/// Genesis hash of the tests' chain.
pub(crate) const GENESIS: Hash256 = [0xCA; 32];

/// Registers a provider with a stake of 40 CASE, twice what it offers needs.
pub(crate) fn register_with_stake(who: u64) {
    let capacity = Resources { cpu_millicores: 20_000, ..Default::default() };
    let origin = RuntimeOrigin::signed(who);
    Providers::register(origin, ProviderInfo::default(), capacity, Default::default(), 40 * CASE)
        .expect("the provider has the stake");
}

/// An empty chain with endowed [`ACCOUNTS`].
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let balances = ACCOUNTS.map(|account| (account, ENDOWMENT)).to_vec();
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }
        .assimilate_storage(&mut storage)
        .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        frame_system::BlockHash::<Test>::insert(0, sp_core::H256(GENESIS));
        System::set_block_number(1);
        System::set_parent_hash(sp_core::H256([1; 32]));
        Now::set(1_000_000);
        KnownLeases::set(BTreeMap::new());
        Standings::set(BTreeMap::new());
        Told::set(Vec::new());
    });
    ext
}

/// What slashes have burnt, and what they have paid, by the events.
pub(crate) fn burnt_and_rewarded() -> (Balance, Balance) {
    System::events().into_iter().fold((0, 0), |(burnt, paid), record| match record.event {
        RuntimeEvent::Providers(pallet_providers::Event::Slashed { amount, rewarded, .. }) => {
            (burnt + amount - rewarded, paid + rewarded)
        }
        _ => (burnt, paid),
    })
}

/// Check every invariant of both pallets, and that no money was made or lost but what was burnt.
pub(crate) fn check_invariants() {
    Providers::do_try_state().unwrap();
    Proofs::do_try_state().unwrap();
    let total = ACCOUNTS.iter().fold(0, |sum, who| sum + Balances::total_balance(who));
    let (burnt, rewarded) = burnt_and_rewarded();
    assert_eq!(total, ENDOWMENT * ACCOUNTS.len() as u128 - burnt, "money is neither made nor lost");
    assert_eq!(Balances::total_issuance(), total);
    assert!(burnt >= rewarded, "more is burnt than anybody gets");
}

/// Run `test` on a fresh chain, then [`check_invariants`].
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        check_invariants();
    });
}
