//! A runtime of balances, assets, holds on assets and this pallet.

use crate as pallet_money;
use casemate_primitives::{Asset, Balance};
use frame_support::{
    derive_impl,
    traits::{AsEnsureOriginWithArg, ConstU128},
};
use frame_system::{EnsureRoot, EnsureSigned};
use sp_runtime::{traits::IdentityLookup, BuildStorage};

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
    pub type Assets = pallet_assets;
    #[runtime::pallet_index(3)]
    pub type AssetsHolder = pallet_assets_holder;
    #[runtime::pallet_index(4)]
    pub type MoneyList = pallet_money;
    #[runtime::pallet_index(5)]
    pub type Purposes = purposes;
}

/// Two purposes that money is held for. The macro makes public items.
#[allow(unreachable_pub)]
#[frame_support::pallet]
pub(crate) mod purposes {
    #[pallet::pallet]
    pub struct Pallet<T>(_);
    #[pallet::config]
    pub trait Config: frame_system::Config {}
    #[pallet::composite_enum]
    pub enum HoldReason {
        Escrow,
        Other,
    }
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
    type ExistentialDeposit = ConstU128<MINIMUM>;
}

#[derive_impl(pallet_assets::config_preludes::TestDefaultConfig)]
impl pallet_assets::Config for Test {
    type Balance = u128;
    type CreateOrigin = AsEnsureOriginWithArg<EnsureSigned<u64>>;
    type Currency = Balances;
    type ForceOrigin = EnsureRoot<u64>;
    type Holder = AssetsHolder;
}

impl pallet_assets_holder::Config for Test {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
}

impl purposes::Config for Test {}

impl pallet_money::Config for Test {
    type Assets = Assets;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Test;
    type GovernanceOrigin = EnsureRoot<u64>;
    type WeightInfo = ();
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_money::RegisterAsset for Test {
    fn register(asset: u32, symbol: &[u8], decimals: u8) {
        Assets::force_create(RuntimeOrigin::root(), asset.into(), ISSUER, true, 1).unwrap();
        let (symbol, name) = (symbol.to_vec(), symbol.to_vec());
        Assets::force_set_metadata(
            RuntimeOrigin::root(),
            asset.into(),
            name,
            symbol,
            decimals,
            false,
        )
        .unwrap();
    }
}

/// Transfers of all money.
pub(crate) type All = pallet_money::Money<Balances, Assets, u64>;
/// Holds on all money.
pub(crate) type Held = pallet_money::HeldMoney<Balances, AssetsHolder, u64>;

/// Least balance, of the native token and of every asset here.
pub(crate) const MINIMUM: Balance = 10;
/// Owner, issuer, admin and freezer of the assets.
pub(crate) const ISSUER: u64 = 9;
/// Has [`ENDOWMENT`] of everything; so has [`BOB`].
pub(crate) const ALICE: u64 = 1;
pub(crate) const BOB: u64 = 2;
/// Has native token only.
pub(crate) const CHARLIE: u64 = 3;
/// Has nothing.
pub(crate) const NOBODY: u64 = 4;
pub(crate) const ENDOWMENT: Balance = 1_000;

/// An asset whose accounts need native token, called `tUSD`.
pub(crate) const DOLLAR: Asset = Asset::Registered(1);
/// An asset that is enough for an account to exist, called `tEUR`.
pub(crate) const EURO: Asset = Asset::Registered(2);
pub(crate) const KINDS: [Asset; 3] = [Asset::Native, DOLLAR, EURO];

/// Run `test`, then check every invariant of ours, of the holds and of the supplies.
pub(crate) fn build_and_execute(test: impl FnOnce()) {
    let mut storage = frame_system::GenesisConfig::<Test>::default().build_storage().unwrap();
    let mut balances: Vec<_> = [ALICE, BOB, CHARLIE].map(|who| (who, ENDOWMENT)).into();
    balances.push((ISSUER, 1_000_000));
    pallet_balances::GenesisConfig::<Test> { balances, ..Default::default() }
        .assimilate_storage(&mut storage)
        .unwrap();
    pallet_assets::GenesisConfig::<Test> {
        assets: vec![(1, ISSUER, false, MINIMUM), (2, ISSUER, true, MINIMUM)],
        metadata: vec![
            (1, b"Test dollar".to_vec(), b"tUSD".to_vec(), 6),
            (2, b"Test euro".to_vec(), b"tEUR".to_vec(), 2),
        ],
        accounts: vec![
            (1, ALICE, ENDOWMENT),
            (1, BOB, ENDOWMENT),
            (2, ALICE, ENDOWMENT),
            (2, BOB, ENDOWMENT),
        ],
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    pallet_money::GenesisConfig::<Test> {
        admitted: vec![(1, "tUSD".into(), 6, 100)],
        ..Default::default()
    }
    .assimilate_storage(&mut storage)
    .unwrap();
    sp_io::TestExternalities::from(storage).execute_with(|| {
        System::set_block_number(1);
        test();
        MoneyList::do_try_state().unwrap();
        conserved();
    });
}

/// Every unit of a supply is free or held on somebody's account.
pub(crate) fn conserved() {
    use frame_support::traits::fungibles::{hold::Inspect as _, Inspect as _};
    for asset in KINDS {
        let mut sum = 0;
        for who in [ALICE, BOB, CHARLIE, NOBODY, ISSUER] {
            let (free, held) =
                (All::balance(asset, &who), Held::total_balance_on_hold(asset, &who));
            assert_eq!(Held::total_balance(asset, &who), free + held, "{asset:?} of {who}");
            sum += free + held;
        }
        assert_eq!(Held::total_issuance(asset), sum, "{asset:?}");
    }
}
