//! The Casemate runtime: Aura and GRANDPA under a session, balances, a technical committee in
//! place of sudo, and Casemate's own pallets.

#![cfg_attr(not(feature = "std"), no_std)]
// The macro that wires the pallets recurs for each of them.
#![recursion_limit = "256"]
// The SDK's macros make public items without documentation and without Debug.
#![allow(missing_docs, missing_debug_implementations)]

extern crate alloc;

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

mod apis;
pub mod assets;
#[cfg(feature = "runtime-benchmarks")]
#[macro_use]
mod benchmarks;
mod configs;
pub mod genesis;
pub mod network;
#[cfg(test)]
mod tests;
pub mod weights;

pub use apis::{RuntimeApi, RUNTIME_API_VERSIONS};
pub use casemate_primitives::Balance;

use alloc::{borrow::Cow, vec::Vec};
use sp_runtime::{
    generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
    MultiAddress, MultiSignature,
};
use sp_version::RuntimeVersion;

/// Block number.
pub type BlockNumber = u32;
/// Nonce of an account.
pub type Nonce = u32;
/// A hash.
pub type Hash = sp_core::H256;
/// Signature of a transaction.
pub type Signature = MultiSignature;
/// Account.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// Address in a transaction.
pub type Address = MultiAddress<AccountId, ()>;
/// Block header.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// Block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;

/// What a transaction carries besides its call.
pub type TxExtension = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckEra<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    // Fees are paid in the native token, or in an asset that has a pool against it.
    pallet_asset_conversion_tx_payment::ChargeAssetTxPayment<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// Transaction.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;

/// Runs blocks.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

impl_opaque_keys! {
    /// What a validator signs with.
    pub struct SessionKeys {
        pub aura: Aura,
        pub grandpa: Grandpa,
    }
}

/// Version of this runtime.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("casemate"),
    impl_name: Cow::Borrowed("casemate"),
    authoring_version: 1,
    // The day of the release, as YYMMDD: it only grows, and it is no number that occurs in code for
    // another reason, so that a test can make an upgrade of it without another build.
    spec_version: 261_122,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 2,
    system_version: 1,
};

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
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;
    #[runtime::pallet_index(2)]
    pub type Network = crate::network;

    #[runtime::pallet_index(10)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(11)]
    pub type TransactionPayment = pallet_transaction_payment;
    #[runtime::pallet_index(12)]
    pub type Assets = pallet_assets<Instance1>;
    #[runtime::pallet_index(13)]
    pub type AssetsHolder = pallet_assets_holder<Instance1>;
    #[runtime::pallet_index(14)]
    pub type PoolAssets = pallet_assets<Instance2>;
    #[runtime::pallet_index(15)]
    pub type AssetConversion = pallet_asset_conversion;
    #[runtime::pallet_index(16)]
    pub type AssetTxPayment = pallet_asset_conversion_tx_payment;
    #[runtime::pallet_index(17)]
    pub type Money = pallet_money;

    #[runtime::pallet_index(20)]
    pub type Aura = pallet_aura;
    #[runtime::pallet_index(21)]
    pub type Session = pallet_session;
    #[runtime::pallet_index(22)]
    pub type Grandpa = pallet_grandpa;

    #[runtime::pallet_index(30)]
    pub type Utility = pallet_utility;
    #[runtime::pallet_index(31)]
    pub type Preimage = pallet_preimage;
    #[runtime::pallet_index(32)]
    pub type TechnicalCommittee = pallet_collective<Instance1>;
    #[runtime::pallet_index(33)]
    pub type Whitelist = pallet_whitelist;

    #[runtime::pallet_index(50)]
    pub type Providers = pallet_providers;
    #[runtime::pallet_index(51)]
    pub type Deployments = pallet_deployments;
    #[runtime::pallet_index(52)]
    pub type Leases = pallet_leases;
    #[runtime::pallet_index(53)]
    pub type Endorsements = pallet_endorsements;
    #[runtime::pallet_index(54)]
    pub type Attestation = pallet_attestation;
    #[runtime::pallet_index(55)]
    pub type Proofs = pallet_proofs;
    #[runtime::pallet_index(56)]
    pub type Reputation = pallet_reputation;
    #[runtime::pallet_index(57)]
    pub type Tasks = pallet_tasks;
}
