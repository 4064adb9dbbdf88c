//! Registered assets, pools between them and the native token, and fees in them
//! (`docs/decisions/0013-assets.md`).

use crate::{
    configs::{EnsureTwoThirdsOrRoot, CENT},
    *,
};
use casemate_primitives::{Asset, CASE};
use frame_support::{
    parameter_types,
    traits::{AsEnsureOriginWithArg, ConstU128, ConstU32, EnsureOriginWithArg},
    PalletId,
};
use frame_system::EnsureSigned;
use sp_runtime::Permill;

/// Assets that anyone may register.
pub type Registered = frame_support::instances::Instance1;
/// Shares in pools.
pub type Shares = frame_support::instances::Instance2;

/// Transfers and credits of the native token and of every registered asset.
pub type AllMoney = pallet_money::Money<Balances, Assets, AccountId>;
/// Holds on the native token and on every registered asset.
pub type AllHeldMoney = pallet_money::HeldMoney<Balances, AssetsHolder, AccountId>;

impl pallet_assets::Config<Registered> for Runtime {
    type ApprovalDeposit = ConstU128<CENT>;
    type AssetAccountDeposit = ConstU128<CENT>;
    /// What it costs to fill the registry: a good deal more than the storage, because whoever shows
    /// the list shows all of it.
    type AssetDeposit = ConstU128<{ 100 * CASE }>;
    type AssetId = u32;
    /// Ids are counted up and never used again: genesis writes the first one.
    type AssetIdAllocator = pallet_assets::AutoIncAssetId<Runtime, Registered>;
    type AssetIdParameter = codec::Compact<u32>;
    type Balance = Balance;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmark::Helper;
    type CallbackHandle = ();
    type CreateOrigin = AsEnsureOriginWithArg<EnsureSigned<AccountId>>;
    type Currency = Balances;
    type Extra = ();
    type ForceOrigin = EnsureTwoThirdsOrRoot;
    type Freezer = ();
    type Holder = AssetsHolder;
    type MetadataDepositBase = ConstU128<CASE>;
    type MetadataDepositPerByte = ConstU128<CENT>;
    type RemoveItemsLimit = ConstU32<1_000>;
    type ReserveData = ();
    type RuntimeEvent = RuntimeEvent;
    type StringLimit = ConstU32<50>;
    type WeightInfo = pallet_assets::weights::SubstrateWeight<Runtime>;
}

impl pallet_assets_holder::Config<Registered> for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
}

/// Only the pools' pallet makes shares, and not by a transaction.
impl pallet_assets::Config<Shares> for Runtime {
    type ApprovalDeposit = ConstU128<CENT>;
    type AssetAccountDeposit = ConstU128<CENT>;
    type AssetDeposit = ConstU128<0>;
    type AssetId = u32;
    type AssetIdAllocator = ();
    type AssetIdParameter = codec::Compact<u32>;
    type Balance = Balance;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmark::Helper;
    type CallbackHandle = ();
    type CreateOrigin = NobodyCreates;
    type Currency = Balances;
    type Extra = ();
    type ForceOrigin = EnsureTwoThirdsOrRoot;
    type Freezer = ();
    type Holder = ();
    type MetadataDepositBase = ConstU128<0>;
    type MetadataDepositPerByte = ConstU128<0>;
    type RemoveItemsLimit = ConstU32<1_000>;
    type ReserveData = ();
    type RuntimeEvent = RuntimeEvent;
    type StringLimit = ConstU32<50>;
    type WeightInfo = pallet_assets::weights::SubstrateWeight<Runtime>;
}

/// Refuses every origin.
pub struct NobodyCreates;

impl<Argument> EnsureOriginWithArg<RuntimeOrigin, Argument> for NobodyCreates {
    type Success = AccountId;

    fn try_origin(origin: RuntimeOrigin, _: &Argument) -> Result<AccountId, RuntimeOrigin> {
        Err(origin)
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn try_successful_origin(_: &Argument) -> Result<RuntimeOrigin, ()> {
        Err(())
    }
}

parameter_types! {
    pub const NativeAsset: Asset = Asset::Native;
    pub const PoolsId: PalletId = PalletId(*b"cm/pools");
    /// What swaps leave to those who provide the pool.
    pub const PoolFee: Permill = Permill::from_parts(3_000);
    /// Governance may ask for no more than this in a single pool.
    pub const PoolFeeMax: Permill = Permill::from_percent(5);
    pub const PoolWithdrawalFee: Permill = Permill::zero();
}

/// A pool: two assets, the smaller id first, which is the native token where it is one of them.
type PoolOf = (Asset, Asset);

impl pallet_asset_conversion::Config for Runtime {
    type AdminOrigin = EnsureTwoThirdsOrRoot;
    type AssetKind = Asset;
    type Assets = AllMoney;
    type Balance = Balance;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmark::Helper;
    type HigherPrecisionBalance = sp_core::U256;
    type LPFee = PoolFee;
    type LiquidityWithdrawalFee = PoolWithdrawalFee;
    type MaxSwapFee = PoolFeeMax;
    /// Into the native token and out of it.
    type MaxSwapPathLength = ConstU32<3>;
    type MintMinLiquidity = ConstU128<100>;
    type PalletId = PoolsId;
    type PoolAssetId = u32;
    type PoolAssets = PoolAssets;
    type PoolId = PoolOf;
    /// Every pool has the native token on one side: with one pool for each asset, liquidity is not
    /// spread thin, and a fee in an asset has one price.
    type PoolLocator = pallet_asset_conversion::WithFirstAsset<
        NativeAsset,
        AccountId,
        Asset,
        pallet_asset_conversion::AccountIdConverter<PoolsId, PoolOf>,
    >;
    type PoolSetupFee = ConstU128<{ 10 * CASE }>;
    type PoolSetupFeeAsset = NativeAsset;
    /// Burnt, as other fees are.
    type PoolSetupFeeTarget = ();
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_asset_conversion::weights::SubstrateWeight<Runtime>;
}

impl pallet_asset_conversion_tx_payment::Config for Runtime {
    type AssetId = Asset;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmark::Helper;
    /// What is paid in an asset is swapped into the native token, and burnt as other fees are.
    type OnChargeAssetTransaction = pallet_asset_conversion_tx_payment::SwapAssetAdapter<
        NativeAsset,
        AllMoney,
        AssetConversion,
        (),
    >;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_asset_conversion_tx_payment::weights::SubstrateWeight<Runtime>;
}

impl pallet_money::Config for Runtime {
    type Assets = Assets;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmark::Helper;
    type GovernanceOrigin = EnsureTwoThirdsOrRoot;
    type WeightInfo = pallet_money::weights::SubstrateWeight<Runtime>;
}

/// What the benchmarks of these pallets need.
#[cfg(feature = "runtime-benchmarks")]
pub(crate) mod benchmark {
    use super::*;
    use frame_support::traits::fungible::Mutate;
    use sp_runtime::{traits::AccountIdConversion, MultiAddress};

    /// Makes assets, accounts and pools.
    pub struct Helper;

    fn create(id: u32, owner: AccountId) {
        let owner = MultiAddress::Id(owner);
        let created = Assets::force_create(RuntimeOrigin::root(), id.into(), owner, true, 1);
        frame_support::assert_ok!(created);
    }

    impl pallet_assets::BenchmarkHelper<codec::Compact<u32>, ()> for Helper {
        fn create_asset_id_parameter(id: u32) -> codec::Compact<u32> {
            id.into()
        }
        fn create_reserve_id_parameter(_: u32) {}
    }

    impl pallet_asset_conversion::BenchmarkHelper<Asset> for Helper {
        fn create_pair(_: u32, second: u32) -> (Asset, Asset) {
            (Asset::Native, Asset::Registered(second))
        }
    }

    impl pallet_asset_conversion_tx_payment::BenchmarkHelperTrait<AccountId, Asset, Asset> for Helper {
        fn create_asset_id_parameter(id: u32) -> (Asset, Asset) {
            (Asset::Registered(id), Asset::Registered(id))
        }

        fn setup_balances_and_pool(asset: Asset, who: AccountId) {
            let Asset::Registered(id) = asset else { return };
            create(id, who.clone());
            Balances::set_balance(&who, 1_000_000 * CASE);
            let (own, to) = (RuntimeOrigin::signed(who.clone()), MultiAddress::Id(who.clone()));
            let plenty = 1_000_000 * CASE;
            frame_support::assert_ok!(Assets::mint(own.clone(), id.into(), to, plenty));
            let pair = alloc::boxed::Box::new(Asset::Native);
            let other = alloc::boxed::Box::new(asset);
            let made = AssetConversion::create_pool(own.clone(), pair.clone(), other.clone());
            frame_support::assert_ok!(made);
            let half = plenty / 2;
            let added = AssetConversion::add_liquidity(own, pair, other, half, half, 1, 1, who);
            frame_support::assert_ok!(added);
        }
    }

    impl pallet_money::RegisterAsset for Helper {
        fn register(asset: u32, symbol: &[u8], decimals: u8) {
            create(asset, PoolsId::get().into_account_truncating());
            let set = Assets::force_set_metadata(
                RuntimeOrigin::root(),
                asset.into(),
                symbol.to_vec(),
                symbol.to_vec(),
                decimals,
                false,
            );
            frame_support::assert_ok!(set);
        }
    }
}
