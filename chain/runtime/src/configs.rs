//! Configuration of each pallet, in the order of their indices.

use crate::*;
use casemate_primitives::{reputation::Rules, LeaseId, CASE};
use frame_support::{
    parameter_types,
    traits::{
        fungible::HoldConsideration, ConstBool, ConstU128, ConstU16, ConstU32, ConstU64, ConstU8,
        EitherOfDiverse, LinearStoragePrice, VariantCountOf,
    },
    weights::{
        constants::{ParityDbWeight, WEIGHT_REF_TIME_PER_SECOND},
        ConstantMultiplier, IdentityFee, Weight,
    },
    PalletId,
};
use frame_system::{
    limits::{BlockLength, BlockWeights},
    EnsureRoot,
};
use pallet_collective::{EnsureProportionAtLeast, Instance1};
use pallet_leases::LeaseState;
use pallet_reputation::{LeaseBook, LeaseSides};
use sp_consensus_aura::sr25519::AuthorityId as AuraId;
use sp_runtime::{
    traits::{AccountIdConversion, ConvertInto},
    Perbill, Permill,
};

/// Hundredth of a [`CASE`].
pub(crate) const CENT: Balance = CASE / 100;
/// Part of a block that ordinary transactions may fill.
const NORMAL_DISPATCH_RATIO: Perbill = Perbill::from_percent(75);
/// One hour of blocks at the default slot length.
const HOUR_BLOCKS: BlockNumber = 3_600 / 2;

parameter_types! {
    pub const BlockHashCount: BlockNumber = 4_096;
    pub const Version: RuntimeVersion = VERSION;
    /// Half of a two-second slot is computation; the rest is for the network.
    pub RuntimeBlockWeights: BlockWeights = BlockWeights::with_sensible_defaults(
        Weight::from_parts(WEIGHT_REF_TIME_PER_SECOND, u64::MAX),
        NORMAL_DISPATCH_RATIO,
    );
    pub RuntimeBlockLength: BlockLength = BlockLength::builder()
        .max_length(5 * 1024 * 1024)
        .modify_max_length_for_class(frame_support::dispatch::DispatchClass::Normal, |max| {
            *max = NORMAL_DISPATCH_RATIO * *max
        })
        .build();
}

impl frame_system::Config for Runtime {
    type AccountData = pallet_balances::AccountData<Balance>;
    type AccountId = AccountId;
    type BaseCallFilter = frame_support::traits::Everything;
    type Block = Block;
    type BlockHashCount = BlockHashCount;
    type BlockLength = RuntimeBlockLength;
    type BlockWeights = RuntimeBlockWeights;
    type DbWeight = ParityDbWeight;
    type ExtensionsWeightInfo = weights::frame_system_extensions::WeightInfo<Runtime>;
    type Hash = Hash;
    type Hashing = BlakeTwo256;
    type Lookup = sp_runtime::traits::AccountIdLookup<AccountId, ()>;
    type MaxConsumers = ConstU32<128>;
    type MultiBlockMigrator = ();
    type Nonce = Nonce;
    type OnKilledAccount = ();
    type OnNewAccount = ();
    type OnSetCode = ();
    type PalletInfo = PalletInfo;
    type PostInherents = ();
    type PostTransactions = ();
    type PreInherents = ();
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type RuntimeOrigin = RuntimeOrigin;
    type RuntimeTask = RuntimeTask;
    type SS58Prefix = ConstU16<42>;
    type SingleBlockMigrations = ();
    type SystemWeightInfo = weights::frame_system::WeightInfo<Runtime>;
    type Version = Version;
}

impl pallet_timestamp::Config for Runtime {
    type MinimumPeriod = network::HalfSlot<Runtime>;
    type Moment = u64;
    type OnTimestampSet = Aura;
    type WeightInfo = weights::pallet_timestamp::WeightInfo<Runtime>;
}

impl network::Config for Runtime {}

impl pallet_balances::Config for Runtime {
    type AccountStore = System;
    type Balance = Balance;
    type DoneSlashHandler = ();
    type DustRemoval = ();
    type ExistentialDeposit = ConstU128<{ CENT / 10 }>;
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type ReserveIdentifier = [u8; 8];
    type RuntimeEvent = RuntimeEvent;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type RuntimeHoldReason = RuntimeHoldReason;
    type WeightInfo = weights::pallet_balances::WeightInfo<Runtime>;
}

impl pallet_transaction_payment::Config for Runtime {
    type FeeMultiplierUpdate = ();
    type LengthToFee = ConstantMultiplier<Balance, ConstU128<1_000>>;
    /// Fees are burnt until the treasury exists.
    type OnChargeTransaction = pallet_transaction_payment::FungibleAdapter<Balances, ()>;
    type OperationalFeeMultiplier = ConstU8<5>;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = weights::pallet_transaction_payment::WeightInfo<Runtime>;
    type WeightToFee = IdentityFee<Balance>;
}

impl pallet_aura::Config for Runtime {
    type AllowMultipleBlocksPerSlot = ConstBool<false>;
    type AuthorityId = AuraId;
    type DisabledValidators = Session;
    type MaxAuthorities = ConstU32<100>;
    type SlotDuration = network::SlotDuration<Runtime>;
}

parameter_types! {
    pub const SessionPeriod: BlockNumber = HOUR_BLOCKS;
    pub const SessionOffset: BlockNumber = 0;
}

impl pallet_session::Config for Runtime {
    type Currency = Balances;
    type DisablingStrategy = ();
    type KeyDeposit = ConstU128<CENT>;
    type Keys = SessionKeys;
    type NextSessionRotation = pallet_session::PeriodicSessions<SessionPeriod, SessionOffset>;
    type RuntimeEvent = RuntimeEvent;
    type SessionHandler = <SessionKeys as sp_runtime::traits::OpaqueKeys>::KeyTypeIdProviders;
    /// The validators of genesis stay; staking comes with its own issue.
    type SessionManager = ();
    type ShouldEndSession = pallet_session::PeriodicSessions<SessionPeriod, SessionOffset>;
    type ValidatorId = AccountId;
    type ValidatorIdOf = ConvertInto;
    type WeightInfo = weights::pallet_session::WeightInfo<Runtime>;
}

impl pallet_grandpa::Config for Runtime {
    type EquivocationReportSystem = ();
    type KeyOwnerProof = sp_core::Void;
    type MaxAuthorities = ConstU32<100>;
    type MaxNominators = ConstU32<0>;
    type MaxSetIdSessionEntries = ConstU64<0>;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = weights::pallet_grandpa::WeightInfo<Runtime>;
}

impl pallet_utility::Config for Runtime {
    type PalletsOrigin = OriginCaller;
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = weights::pallet_utility::WeightInfo<Runtime>;
}

parameter_types! {
    pub const PreimageHoldReason: RuntimeHoldReason =
        RuntimeHoldReason::Preimage(pallet_preimage::HoldReason::Preimage);
    pub const PreimageBaseDeposit: Balance = CASE;
    pub const PreimageByteDeposit: Balance = CASE / 10_000;
}

impl pallet_preimage::Config for Runtime {
    type Consideration = HoldConsideration<
        AccountId,
        Balances,
        PreimageHoldReason,
        LinearStoragePrice<PreimageBaseDeposit, PreimageByteDeposit, Balance>,
    >;
    type Currency = Balances;
    type ManagerOrigin = EnsureRoot<AccountId>;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = weights::pallet_preimage::WeightInfo<Runtime>;
}

parameter_types! {
    pub const MotionDuration: BlockNumber = 7 * 24 * HOUR_BLOCKS;
    pub MaxProposalWeight: Weight = Perbill::from_percent(50) * RuntimeBlockWeights::get().max_block;
}

/// Root, or two thirds of the technical committee.
pub(crate) type EnsureTwoThirdsOrRoot =
    EitherOfDiverse<EnsureRoot<AccountId>, EnsureProportionAtLeast<AccountId, Instance1, 2, 3>>;

impl pallet_collective::Config<Instance1> for Runtime {
    type Consideration = ();
    type DefaultVote = pallet_collective::MoreThanMajorityThenPrimeDefaultVote;
    type DisapproveOrigin = EnsureRoot<AccountId>;
    type KillOrigin = EnsureRoot<AccountId>;
    type MaxMembers = ConstU32<32>;
    type MaxProposalWeight = MaxProposalWeight;
    type MaxProposals = ConstU32<32>;
    type MotionDuration = MotionDuration;
    type Proposal = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type RuntimeOrigin = RuntimeOrigin;
    type SetMembersOrigin = EnsureRoot<AccountId>;
    type WeightInfo = weights::pallet_collective::WeightInfo<Runtime>;
}

parameter_types! {
    pub const DeferredDispatchExpiration: BlockNumber = 7 * 24 * HOUR_BLOCKS;
}

impl pallet_whitelist::Config for Runtime {
    type BlockNumberProvider = System;
    type DeferredDispatchExpiration = DeferredDispatchExpiration;
    type DispatchWhitelistedOrigin = EnsureTwoThirdsOrRoot;
    type Preimages = Preimage;
    type RuntimeCall = RuntimeCall;
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = weights::pallet_whitelist::WeightInfo<Runtime>;
    type WhitelistOrigin = EnsureTwoThirdsOrRoot;
}

parameter_types! {
    /// A provider of 64 cores, 256 GiB and 4 TiB stakes 1,024 CASE.
    pub const StakeRates: pallet_providers::StakeRates = pallet_providers::StakeRates {
        cpu_millicore: CASE / 100,
        memory_mib: CASE / 1_024,
        storage_mib: CASE / 32_768,
        gpu: 500 * CASE,
    };
    pub const StakeMin: Balance = 10 * CASE;
}

impl pallet_providers::Config for Runtime {
    type Currency = Balances;
    type OnRetire = Attestation;
    type RuntimeHoldReason = RuntimeHoldReason;
    type StakeMin = StakeMin;
    type StakeRates = StakeRates;
    type Time = Timestamp;
    /// A week: longer than any dispute about what came before.
    type UnbondingSeconds = ConstU64<{ 7 * 24 * 3_600 }>;
    type WeightInfo = pallet_providers::weights::SubstrateWeight<Runtime>;
}

impl pallet_deployments::Config for Runtime {
    type Currency = Balances;
    type Deposit = ConstU128<CENT>;
    type RuntimeHoldReason = RuntimeHoldReason;
    type WeightInfo = pallet_deployments::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    /// The evidence for a key may be as old as its nonce, which is the hash of one of so many blocks; and
    /// clocks differ.
    pub const BackpaySecondsMax: u64 = network::SLOT_MILLISECONDS_DEFAULT / 1_000
        * pallet_attestation::NONCE_BLOCKS_MAX as u64
        + ClockSkewSecondsMax::get();
    /// More than blocks and network-synchronised clocks ever differ.
    pub const ClockSkewSecondsMax: u64 = 30;
}

parameter_types! {
    pub const ContestDepositShare: Permill = Permill::from_percent(10);
    pub const SilencePenaltyShare: Permill = Permill::from_percent(10);
    pub const TreasuryShareMax: Permill = Permill::from_percent(20);
    /// Nobody has a key to it: only governance moves what it holds.
    pub TreasuryAccount: AccountId = PalletId(*b"cm/trsry").into_account_truncating();
}

impl pallet_leases::Config for Runtime {
    type Admission = Money;
    type ArbiterOrigin = EnsureTwoThirdsOrRoot;
    type ArbitrationSeconds = ConstU64<{ 14 * 24 * 3_600 }>;
    type Assets = assets::AllHeldMoney;
    type Attestation = Attestation;
    type BackpaySecondsMax = BackpaySecondsMax;
    type ClockSkewSecondsMax = ClockSkewSecondsMax;
    type ContestDepositMin = ConstU128<CASE>;
    type ContestDepositShare = ContestDepositShare;
    type Deployments = Deployments;
    type GovernanceOrigin = EnsureTwoThirdsOrRoot;
    type GraceSecondsMax = ConstU32<{ 30 * 24 * 3_600 }>;
    type NoticeSecondsMax = ConstU32<{ 30 * 24 * 3_600 }>;
    type Observer = Reputation;
    type Providers = Providers;
    type QuoteSecondsMax = ConstU64<3_600>;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Runs = Tasks;
    type SilencePenaltyShare = SilencePenaltyShare;
    type TermSecondsMax = ConstU32<{ 90 * 24 * 3_600 }>;
    type Time = Timestamp;
    type Treasury = TreasuryAccount;
    type TreasuryShareMax = TreasuryShareMax;
    type WeightInfo = pallet_leases::weights::SubstrateWeight<Runtime>;
}

/// Whether the chain may trust software TEEs: a development chain.
#[derive(Debug)]
pub struct IsDevelopment;
impl frame_support::traits::Get<bool> for IsDevelopment {
    fn get() -> bool {
        network::Kind::<Runtime>::get() == network::NetworkKind::Development
    }
}

impl pallet_endorsements::Config for Runtime {
    type GovernanceOrigin = EnsureTwoThirdsOrRoot;
    type SoftwareRootsAllowed = IsDevelopment;
    type Time = Timestamp;
    type WeightInfo = pallet_endorsements::weights::SubstrateWeight<Runtime>;
}

impl pallet_attestation::Config for Runtime {
    type Agents = Leases;
    type Providers = Providers;
    /// A day: what a machine that is found out later can have signed for at most.
    type StandingSecondsMax = ConstU64<{ 24 * 3_600 }>;
    type WeightInfo = pallet_attestation::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    pub const ReputationRules: Rules = Rules {
        half_life_seconds: 90 * 86_400,
        uptime_seconds: 30 * 86_400,
        pair_free: CASE,
        fault_min: CASE / 10,
    };
}

/// What reputation asks of leases.
#[derive(Debug)]
pub struct KnownLeases;

impl LeaseBook<AccountId> for KnownLeases {
    fn sides(lease: LeaseId) -> Option<LeaseSides<AccountId>> {
        let lease = pallet_leases::Leases::<Runtime>::get(lease)?;
        let ended_at = match lease.state {
            LeaseState::Closing { at, .. } | LeaseState::Ended { at, .. } => Some(at),
            LeaseState::Pending | LeaseState::Active => None,
        };
        Some(LeaseSides { publisher: lease.publisher, provider: lease.provider, ended_at })
    }

    #[cfg(feature = "runtime-benchmarks")]
    fn benchmark_lease(publisher: &AccountId, provider: &AccountId) -> LeaseId {
        Leases::benchmark_lease_between(publisher, provider)
    }
}

impl pallet_reputation::Config for Runtime {
    type ArbiterOrigin = EnsureTwoThirdsOrRoot;
    type ArbitrationSeconds = ConstU64<{ 14 * 24 * 3_600 }>;
    type ComplaintDeposit = ConstU128<CASE>;
    type ComplaintSeconds = ConstU64<{ 30 * 24 * 3_600 }>;
    type ComplaintsOpenMax = ConstU32<16>;
    type Currency = Balances;
    type Leases = KnownLeases;
    type Rules = ReputationRules;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Timestamp;
    /// Only fees in native money count.
    type Values = ();
    type WeightInfo = pallet_reputation::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    /// Of all stake, for each lost challenge.
    pub const ChallengeSlashPart: Permill = Permill::from_percent(2);
    /// Of what is slashed, at most the deposit.
    pub const ChallengeRewardPart: Permill = Permill::from_percent(20);
}

/// How many blocks a provider has to answer a challenge: ten minutes, time to start a pod anew and
/// attest it. On a development chain, whose blocks come once a second and with each transaction, a
/// minute at most.
#[derive(Debug)]
pub struct ChallengeWindow;
impl frame_support::traits::Get<BlockNumber> for ChallengeWindow {
    fn get() -> BlockNumber {
        if IsDevelopment::get() {
            60
        } else {
            300
        }
    }
}

impl pallet_proofs::Config for Runtime {
    /// More than six weeks of a batch each hour.
    type BatchesMax = ConstU64<1_024>;
    /// So long a provider has to keep the leaves of a batch.
    type BatchSecondsMax = ConstU64<{ 30 * 24 * 3_600 }>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = benchmarks::ProofsHelper;
    type Currency = Balances;
    /// Some hundred times what the dearest answer costs in fees.
    type DepositBase = ConstU128<CASE>;
    type Evidence = Attestation;
    type Leases = Leases;
    type Observer = Reputation;
    type OpenByPublisherMax = ConstU32<4>;
    type OpenMax = ConstU32<16>;
    type Providers = Providers;
    type RewardPart = ChallengeRewardPart;
    type RuntimeHoldReason = RuntimeHoldReason;
    type SlashMax = ConstU128<{ 100 * CASE }>;
    type SlashPart = ChallengeSlashPart;
    type Time = Timestamp;
    type WeightInfo = pallet_proofs::weights::SubstrateWeight<Runtime>;
    type WindowBlocks = ChallengeWindow;
}

impl pallet_tasks::Config for Runtime {
    type ClockSkewSecondsMax = ClockSkewSecondsMax;
    type Currency = Balances;
    type Deployments = Deployments;
    /// For as many results as are kept, each of a kilobyte or two.
    type Deposit = ConstU128<CASE>;
    type Leases = Leases;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Time = Timestamp;
    type WeightInfo = pallet_tasks::weights::SubstrateWeight<Runtime>;
}
