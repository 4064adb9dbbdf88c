//! What the list says of an asset, and the unions of native token and assets.

use casemate_primitives::{Asset, Balance};
use frame_support::{pallet_prelude::*, traits::fungible::UnionOf};
use sp_runtime::{traits::Convert, Either};

/// Shortest symbol: one letter is too easily mistaken.
pub const SYMBOL_LENGTH_MIN: u32 = 2;

/// Longest symbol; the longest that exchanges list have eleven letters.
pub const SYMBOL_LENGTH_MAX: u32 = 12;

/// Most decimals: as many as any chain's token has, and 10^18 units times the largest supply in use
/// stay far below what a balance can be.
pub const DECIMALS_MAX: u8 = 18;

/// Most assets on the list: whoever shows amounts reads all of it.
pub const ADMITTED_MAX: u32 = 256;

/// How an asset is called, in ASCII.
pub type Symbol = BoundedVec<u8, ConstU32<SYMBOL_LENGTH_MAX>>;

/// An asset that leases may be paid in.
#[derive(
    Clone, Debug, Decode, DecodeWithMemTracking, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo,
)]
pub struct Admission {
    /// How amounts in it are written.
    pub symbol: Symbol,
    /// How many decimals they have.
    pub decimals: u8,
    /// Least that a lease is opened with.
    pub deposit_min: Balance,
    /// Whether it takes new money.
    pub open: bool,
}

/// Tells the native token from registered assets.
pub struct NativeOrRegistered;

impl Convert<Asset, Either<(), u32>> for NativeOrRegistered {
    fn convert(asset: Asset) -> Either<(), u32> {
        match asset {
            Asset::Native => Either::Left(()),
            Asset::Registered(id) => Either::Right(id),
        }
    }
}

/// Balances, transfers and credits of all money: `Native` is the balances pallet, `Registered` the
/// assets pallet.
pub type Money<Native, Registered, AccountId> =
    UnionOf<Native, Registered, NativeOrRegistered, Asset, AccountId>;

/// Holds on all money: `Native` is the balances pallet, `Holder` the pallet of holds on assets.
pub type HeldMoney<Native, Holder, AccountId> =
    UnionOf<Native, Holder, NativeOrRegistered, Asset, AccountId>;
