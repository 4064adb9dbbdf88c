//! A runtime of balances, assets, the three pallets and a clock that tests set.

use crate as pallet_leases;
use casemate_primitives::{Asset, EndReason, LeaseId, ReplicaIndex, Resources, CASE};
use frame_support::{
    derive_impl, parameter_types,
    traits::{fungibles::Inspect as _, AsEnsureOriginWithArg, UnixTime},
};
use sp_runtime::{
    traits::{IdentityLookup, Zero},
    AccountId32, BuildStorage, Permill,
};

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
    pub type Assets = pallet_assets;
    #[runtime::pallet_index(6)]
    pub type AssetsHolder = pallet_assets_holder;
    #[runtime::pallet_index(7)]
    pub type MoneyList = pallet_money;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type AccountData = pallet_balances::AccountData<u128>;
    type Block = Block;
    type Lookup = IdentityLookup<AccountId32>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = u128;
    type ExistentialDeposit = ExistentialDeposit;
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

/// An asset whose accounts need native token; admitted.
pub(crate) const DOLLAR: Asset = Asset::Registered(1);
/// An asset that is enough for an account to exist; admitted.
pub(crate) const EURO: Asset = Asset::Registered(2);
/// Everything that leases are paid in here.
pub(crate) const KINDS: [Asset; 3] = [Asset::Native, DOLLAR, EURO];
/// Least balance in the assets, and least deposit in them.
pub(crate) const ASSET_MINIMUM: u128 = 100;

/// Owner, issuer, admin and freezer of the assets.
pub(crate) fn issuer() -> AccountId32 {
    AccountId32::new([0x99; 32])
}

parameter_types! {
    pub static Now: u64 = 1_000_000;
    pub const Rates: pallet_providers::StakeRates = pallet_providers::StakeRates {
        cpu_millicore: CASE / 1_000,
        memory_mib: 0,
        storage_mib: 0,
        gpu: CASE,
    };
    pub const StakeMin: u128 = CASE;
    pub const ExistentialDeposit: u128 = 100;
    pub const UnbondingSeconds: u64 = 3_600;
    pub const Deposit: u128 = CASE;
    pub const ClockSkewSecondsMax: u64 = 30;
    pub const BackpaySecondsMax: u64 = 40;
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

impl pallet_deployments::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Deposit = Deposit;
    type WeightInfo = ();
}

parameter_types! {
    /// Keys that evidence speaks for, with the end of their standing.
    pub static Attested: std::collections::BTreeMap<(u64, u16), ([u8; 32], u64)> =
        Default::default();
}

/// Evidence for a key was verified.
pub(crate) fn attested(lease: LeaseId, replica: ReplicaIndex, key: [u8; 32], until: u64) {
    Attested::mutate(|all| all.insert((lease.0, replica), (key, until)));
}

/// A key has lost its standing.
pub(crate) fn not_attested(lease: LeaseId, replica: ReplicaIndex) {
    Attested::mutate(|all| all.remove(&(lease.0, replica)));
}

/// In place of `pallet-attestation`.
pub struct Attestation;
impl pallet_attestation::AttestedKeys for Attestation {
    fn counts_until(lease: LeaseId, replica: ReplicaIndex, key: &[u8; 32]) -> Option<u64> {
        let (known, until) = *Attested::get().get(&(lease.0, replica))?;
        (known == *key).then_some(until)
    }

    fn forget(lease: LeaseId) {
        Attested::mutate(|all| all.retain(|(of, _), _| *of != lease.0));
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_attest(lease: LeaseId, replica: ReplicaIndex, key: [u8; 32]) {
        attested(lease, replica, key, u64::MAX);
    }
}

parameter_types! {
    /// What the observer was told.
    pub static Told: Vec<String> = Default::default();
}

/// In place of `pallet-reputation`.
pub struct Observed;
impl pallet_leases::LeaseObserver<AccountId32> for Observed {
    fn paid(_: &AccountId32, _: &AccountId32, _: Asset, amount: u128, treasury: u128) {
        Told::mutate(|all| all.push(format!("paid {amount} {treasury}")));
    }

    fn ended(_: &AccountId32, _: &AccountId32, reason: EndReason, seconds: u64) {
        Told::mutate(|all| all.push(format!("ended {reason:?} {seconds}")));
    }

    fn contested(_: &AccountId32, _: &AccountId32, is_provider_right: bool) {
        Told::mutate(|all| all.push(format!("contested {is_provider_right}")));
    }
}

impl pallet_leases::Config for Test {
    type Attestation = Attestation;
    type Assets = Held;
    type Admission = MoneyList;
    type Runs = ();
    type SilencePenaltyShare = SilencePenaltyShare;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Clock;
    type Providers = Providers;
    type Deployments = Deployments;
    type BackpaySecondsMax = BackpaySecondsMax;
    type ClockSkewSecondsMax = ClockSkewSecondsMax;
    type QuoteSecondsMax = QuoteSecondsMax;
    type NoticeSecondsMax = NoticeSecondsMax;
    type GraceSecondsMax = GraceSecondsMax;
    type TermSecondsMax = TermSecondsMax;
    type ContestDepositShare = ContestDepositShare;
    type ContestDepositMin = ContestDepositMin;
    type ArbitrationSeconds = ArbitrationSeconds;
    type TreasuryShareMax = TreasuryShareMax;
    type Treasury = Treasury;
    type ArbiterOrigin = frame_system::EnsureRoot<AccountId32>;
    type GovernanceOrigin = frame_system::EnsureRoot<AccountId32>;
    type Observer = Observed;
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
    let of = |asset| accounts().map(|account| (asset, account, ENDOWMENT));
    pallet_assets::GenesisConfig::<Test> {
        assets: vec![(1, issuer(), false, ASSET_MINIMUM), (2, issuer(), true, ASSET_MINIMUM)],
        metadata: vec![
            (1, b"Test dollar".to_vec(), b"tUSD".to_vec(), 6),
            (2, b"Test euro".to_vec(), b"tEUR".to_vec(), 6),
        ],
        accounts: of(1).into_iter().chain(of(2)).collect(),
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    pallet_money::GenesisConfig::<Test> {
        admitted: vec![(1, "tUSD".into(), 6, ASSET_MINIMUM), (2, "tEUR".into(), 6, ASSET_MINIMUM)],
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    let mut ext = sp_io::TestExternalities::from(storage);
    ext.execute_with(|| {
        frame_system::BlockHash::<Test>::insert(u64::zero(), sp_core::H256(GENESIS));
        System::set_block_number(1);
        Now::set(1_000_000);
        Attested::set(Default::default());
        Told::set(Default::default());
    });
    ext
}

/// Check every invariant of the three pallets, and that they agree with each other and money is only moved.
pub(crate) fn check_invariants() {
    check_state();
    for asset in KINDS {
        let total = accounts().iter().fold(0, |sum, who| sum + Held::total_balance(asset, who))
            + Held::total_balance(asset, &Treasury::get());
        assert_eq!(total, ENDOWMENT * 5, "{asset:?} is neither made nor lost");
        assert!(asset == Asset::Native || total == Held::total_issuance(asset), "{asset:?}");
    }
}

/// The same, where money may have been burnt.
pub(crate) fn check_state() {
    Providers::do_try_state().unwrap();
    Deployments::do_try_state().unwrap();
    Leases::do_try_state().unwrap();
    for (who, provider) in pallet_providers::Providers::<Test>::iter() {
        let (mut used, mut count) = (Resources::default(), 0);
        let is_live =
            |lease: &crate::Lease| !matches!(lease.state, crate::LeaseState::Ended { .. });
        let leases = crate::Leases::<Test>::iter_values().filter(is_live);
        for lease in leases.filter(|lease| lease.provider == who) {
            used = used.checked_add(&lease.resources_total().unwrap()).unwrap();
            count += 1;
        }
        assert_eq!(provider.used, used, "used = what the leases reserve");
        assert_eq!(provider.live_leases, count);
    }
    for (id, deployment) in pallet_deployments::Deployments::<Test>::iter() {
        let leases = crate::Leases::<Test>::iter_values()
            .filter(|lease| {
                lease.deployment == id && !matches!(lease.state, crate::LeaseState::Ended { .. })
            })
            .count();
        assert_eq!(deployment.live_leases as usize, leases);
    }
    MoneyList::do_try_state().unwrap();
}

/// Run `test` on a fresh chain, then [`check_invariants`].
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        check_invariants();
    });
}
