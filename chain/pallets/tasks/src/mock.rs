//! A runtime of balances, tasks, the leases that pay for them, and a clock that tests set.

use crate as pallet_tasks;
use casemate_primitives::{Asset, LeaseId, ReplicaIndex, CASE};
use frame_support::{
    derive_impl, parameter_types,
    traits::{fungibles::Inspect as _, AsEnsureOriginWithArg, UnixTime},
};
use sp_runtime::{
    traits::{IdentityLookup, Zero},
    AccountId32, BuildStorage, Permill,
};
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
    pub type Deployments = pallet_deployments;
    #[runtime::pallet_index(4)]
    pub type Leases = pallet_leases;
    #[runtime::pallet_index(5)]
    pub type Tasks = pallet_tasks;
    #[runtime::pallet_index(6)]
    pub type Assets = pallet_assets;
    #[runtime::pallet_index(7)]
    pub type AssetsHolder = pallet_assets_holder;
    #[runtime::pallet_index(8)]
    pub type MoneyList = pallet_money;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountData = pallet_balances::AccountData<u128>;
    type AccountId = AccountId32;
    type Block = Block;
    type Lookup = IdentityLookup<AccountId32>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
}

#[derive_impl(pallet_assets::config_preludes::TestDefaultConfig)]
impl pallet_assets::Config for Test {
    type Balance = u128;
    type CreateOrigin = AsEnsureOriginWithArg<frame_system::EnsureSigned<AccountId32>>;
    type Currency = Balances;
    type ForceOrigin = frame_system::EnsureRoot<AccountId32>;
    type Holder = AssetsHolder;
}

impl pallet_assets_holder::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
}

impl pallet_money::Config for Test {
    type Assets = Assets;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Test;
    type GovernanceOrigin = frame_system::EnsureRoot<AccountId32>;
    type WeightInfo = ();
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_money::RegisterAsset for Test {
    fn register(asset: u32, _: &[u8], _: u8) {
        Assets::force_create(RuntimeOrigin::root(), asset, issuer(), true, 1).unwrap();
    }
}

/// Holds on all money.
pub(crate) type Held = pallet_money::HeldMoney<Balances, AssetsHolder, AccountId32>;

/// An asset that is admitted.
pub(crate) const DOLLAR: Asset = Asset::Registered(1);
/// Least balance in the asset, and least deposit in it.
const ASSET_MINIMUM: u128 = 100;

/// Owner, issuer, admin and freezer of the asset.
fn issuer() -> AccountId32 {
    AccountId32::new([0x99; 32])
}

parameter_types! {
    pub static Now: u64 = START;
    pub const Rates: pallet_providers::StakeRates = pallet_providers::StakeRates {
        cpu_millicore: CASE / 1_000,
        memory_mib: 0,
        storage_mib: 0,
        gpu: CASE,
    };
    pub const StakeMin: u128 = CASE;
    pub const UnbondingSeconds: u64 = 3_600;
    pub const Deposit: u128 = CASE;
    pub const ClockSkewSecondsMax: u64 = SKEW;
    pub const BackpaySecondsMax: u64 = 600;
    pub const QuoteSecondsMax: u64 = 3_600;
    pub const NoticeSecondsMax: u32 = 7 * 86_400;
    pub const GraceSecondsMax: u32 = 7 * 86_400;
    pub const TermSecondsMax: u32 = 30 * 86_400;
    pub const ContestDepositShare: Permill = Permill::from_percent(10);
    pub const ContestDepositMin: u128 = 1_000;
    pub const SilencePenaltyShare: Permill = Permill::from_percent(10);
    pub const ArbitrationSeconds: u64 = 7 * 86_400;
    pub const TreasuryShareMax: Permill = Permill::from_percent(20);
    pub Treasury: AccountId32 = AccountId32::new([0x77; 32]);
}

/// When tests begin.
pub(crate) const START: u64 = 1_000_000;
/// How far clocks may differ.
pub(crate) const SKEW: u64 = 30;

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
    type StakeMin = StakeMin;
    type StakeRates = Rates;
    type Time = Clock;
    type UnbondingSeconds = UnbondingSeconds;
    type WeightInfo = ();
}

impl pallet_deployments::Config for Test {
    type Currency = Balances;
    type Deposit = Deposit;
    type RuntimeHoldReason = RuntimeHoldReason;
    type WeightInfo = ();
}

parameter_types! {
    /// Keys that evidence speaks for.
    pub static Attested: BTreeMap<(u64, u16), [u8; 32]> = Default::default();
}

/// In place of `pallet-attestation`.
pub struct Attestation;
impl pallet_attestation::AttestedKeys for Attestation {
    fn counts_until(lease: LeaseId, replica: ReplicaIndex, key: &[u8; 32]) -> Option<u64> {
        let known = *Attested::get().get(&(lease.0, replica))?;
        (known == *key).then_some(u64::MAX)
    }

    fn forget(lease: LeaseId) {
        Attested::mutate(|all| all.retain(|(of, _), _| *of != lease.0));
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_attest(lease: LeaseId, replica: ReplicaIndex, key: [u8; 32]) {
        Attested::mutate(|all| all.insert((lease.0, replica), key));
    }
}

impl pallet_leases::Config for Test {
    type Admission = MoneyList;
    type ArbiterOrigin = frame_system::EnsureRoot<AccountId32>;
    type ArbitrationSeconds = ArbitrationSeconds;
    type Assets = Held;
    type Attestation = Attestation;
    type BackpaySecondsMax = BackpaySecondsMax;
    type ClockSkewSecondsMax = ClockSkewSecondsMax;
    type ContestDepositMin = ContestDepositMin;
    type ContestDepositShare = ContestDepositShare;
    type Deployments = Deployments;
    type GovernanceOrigin = frame_system::EnsureRoot<AccountId32>;
    type GraceSecondsMax = GraceSecondsMax;
    type NoticeSecondsMax = NoticeSecondsMax;
    type Observer = ();
    type Providers = Providers;
    type QuoteSecondsMax = QuoteSecondsMax;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Runs = Tasks;
    type SilencePenaltyShare = SilencePenaltyShare;
    type TermSecondsMax = TermSecondsMax;
    type Time = Clock;
    type Treasury = Treasury;
    type TreasuryShareMax = TreasuryShareMax;
    type WeightInfo = ();
}

impl pallet_tasks::Config for Test {
    type ClockSkewSecondsMax = ClockSkewSecondsMax;
    type Currency = Balances;
    type Deployments = Deployments;
    type Deposit = Deposit;
    type Leases = Leases;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Clock;
    type WeightInfo = ();
}

/// What every account of [`accounts`] has at first.
pub(crate) const ENDOWMENT: u128 = 1_000 * CASE;

/// Genesis hash of the tests' chain.
pub(crate) const GENESIS: [u8; 32] = [0xCA; 32];

/// The tests' accounts: two publishers, two providers, a stranger.
pub(crate) fn accounts() -> [AccountId32; 5] {
    use sp_core::Pair;
    ["//p0", "//p1", "//v0", "//v1", "//s"]
        .map(|uri| AccountId32::from(crate::tests::pair(uri).public().0))
}

/// An empty chain with endowed [`accounts`].
pub(crate) fn new_test_ext() -> sp_io::TestExternalities {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let balances = accounts().map(|account| (account, ENDOWMENT)).to_vec();
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }
        .assimilate_storage(&mut storage)
        .unwrap();
    pallet_assets::GenesisConfig::<Test> {
        assets: vec![(1, issuer(), true, ASSET_MINIMUM)],
        metadata: vec![(1, b"Test dollar".to_vec(), b"tUSD".to_vec(), 6)],
        accounts: accounts().map(|account| (1, account, ENDOWMENT)).to_vec(),
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    pallet_money::GenesisConfig::<Test> {
        admitted: vec![(1, "tUSD".into(), 6, ASSET_MINIMUM)],
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        frame_system::BlockHash::<Test>::insert(u64::zero(), sp_core::H256(GENESIS));
        System::set_block_number(1);
        Now::set(START);
        Attested::set(Default::default());
    });
    ext
}

/// Check every invariant of the pallets, and that no money was made or lost.
pub(crate) fn check_invariants() {
    Providers::do_try_state().unwrap();
    Deployments::do_try_state().unwrap();
    Leases::do_try_state().unwrap();
    Tasks::do_try_state().unwrap();
    MoneyList::do_try_state().unwrap();
    for asset in [Asset::Native, DOLLAR] {
        let total = accounts().iter().fold(0, |sum, who| sum + Held::total_balance(asset, who))
            + Held::total_balance(asset, &Treasury::get());
        assert_eq!(total, ENDOWMENT * 5, "{asset:?} is neither made nor lost");
    }
}

/// Run `test` on a fresh chain, then [`check_invariants`].
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        check_invariants();
    });
}
