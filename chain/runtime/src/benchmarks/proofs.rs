//! Providers and leases for the benchmarks of `pallet-proofs`.

use crate::*;
use alloc::vec;
use casemate_primitives::{
    AgentPublicKey, Asset, DeploymentId, DeploymentKind, Hash256, LeaseId, LeaseTerms, LogHead,
    PriceList, Prices, ProviderInfo, Quantities, ReplicaIndex, Resources, TeeKind, UsageRecord,
    CASE, REPLICAS_MAX,
};
use frame_benchmarking::{account, BenchmarkError};
use frame_support::{
    storage::{storage_prefix, unhashed},
    traits::{
        fungible::{hold::Mutate as _, Mutate as _},
        Get,
    },
    BoundedVec,
};
use pallet_attestation::AttestedKeys;
use pallet_leases::{Agent, Lease, LeaseState, Period, ReplacedKey, REPLACED_KEYS_MAX};
use sp_runtime::Permill;

const LEASE: LeaseId = LeaseId(1);
const REPLICA: ReplicaIndex = REPLICAS_MAX - 1;
const RESOURCES: Resources =
    Resources { cpu_millicores: 100, memory_mib: 128, storage_mib: 1_024, gpus: 1 };
/// Length of a period of claims.
const PERIOD_SECONDS: u32 = 3_600;

/// Makes them by hand: the calls that make them are benchmarked elsewhere.
#[allow(unreachable_pub)] // `Config` makes it public.
pub struct Helper;

/// The chain's clock, set if nobody has set it yet.
fn now() -> u64 {
    let key = storage_prefix(b"Timestamp", b"Now");
    if unhashed::get_or_default::<u64>(&key) == 0 {
        unhashed::put(&key, &1_800_000_000_000_u64);
    }
    unhashed::get_or_default::<u64>(&key) / 1_000
}

fn prices() -> Prices {
    Prices {
        cpu_millicore_second: CASE,
        memory_mib_second: CASE,
        storage_mib_second: CASE,
        gpu_second: CASE,
        egress_mib: CASE,
        ingress_mib: CASE,
    }
}

impl pallet_proofs::BenchmarkHelper<AccountId> for Helper {
    fn provider() -> Result<AccountId, BenchmarkError> {
        now();
        let who: AccountId = account("provider", 0, 0);
        let stake = configs::StakeRates::get().required(&RESOURCES).max(configs::StakeMin::get());
        Balances::set_balance(&who, stake.saturating_mul(4));
        let info = ProviderInfo {
            name: BoundedVec::truncate_from(vec![b'n'; 64]),
            regions: BoundedVec::truncate_from(vec![BoundedVec::truncate_from(vec![b'r'; 32]); 8]),
            endpoints: BoundedVec::truncate_from(vec![
                BoundedVec::truncate_from(vec![b'e'; 128]);
                4
            ]),
            tee_kinds: BoundedVec::truncate_from(vec![TeeKind::IntelTdx; 8]),
        };
        let lists = (0..8).map(|id| PriceList { asset: Asset::Registered(id), prices: prices() });
        let lists = BoundedVec::truncate_from(lists.collect());
        let origin = || RuntimeOrigin::signed(who.clone());
        Providers::register(origin(), info, RESOURCES, lists, stake + 8)?;
        for _ in 0..<pallet_providers::UnbondingsMax as Get<u32>>::get() {
            Providers::unbond(origin(), 1)?;
        }
        Ok(who)
    }

    fn lease(
        provider: &AccountId,
        key: AgentPublicKey,
        log: LogHead,
    ) -> Result<(LeaseId, ReplicaIndex), BenchmarkError> {
        let now = now();
        let publisher: AccountId = account("publisher", 0, 0);
        let period = now / u64::from(PERIOD_SECONDS);
        let open = [period - 1, period].map(|number| Period { number, amount: CASE });
        let lease = Lease {
            deployment: DeploymentId(0),
            kind: DeploymentKind::Service,
            publisher: publisher.clone(),
            provider: provider.clone(),
            resources: RESOURCES,
            replicas: REPLICAS_MAX,
            terms: LeaseTerms {
                asset: Asset::Native,
                prices: prices(),
                dispute_seconds: PERIOD_SECONDS,
                warn_seconds: [u32::MAX; 3],
                ..Default::default()
            },
            before: None,
            state: LeaseState::Active,
            escrow: CASE,
            open: BoundedVec::truncate_from(open.to_vec()),
            contest: None,
            final_due: 0,
            paid: CASE,
            treasury_share: Permill::zero(),
            spend_rate_max: 10_000_000 * CASE,
            opened_at: now - 10,
            claimed_at: now - 1,
            exhausted_at: None,
            reclaim_at: None,
            warned: 0,
            ended: None,
        };
        Balances::set_balance(&publisher, lease.held().saturating_mul(4));
        let reason = pallet_leases::HoldReason::Escrow.into();
        Balances::hold(&reason, &publisher, lease.held())?;
        pallet_leases::Leases::<Runtime>::insert(LEASE, lease);
        let agent = Agent {
            key,
            sequence: 1,
            recorded_to: now - 1,
            claimed_to: now - 1,
            claimed_running: 0,
            claimed_total: Quantities::default(),
            log,
            evidence: Hash256::default(),
            allowance: 0,
            // As many as are remembered.
            earlier: BoundedVec::truncate_from(vec![[7; 8]; 128]),
            replaced: BoundedVec::truncate_from(vec![
                ReplacedKey { key, until: now };
                REPLACED_KEYS_MAX as usize
            ]),
            version: 1,
            has_ended: false,
        };
        pallet_leases::Agents::<Runtime>::insert(LEASE, REPLICA, agent);
        Attestation::benchmark_attest(LEASE, REPLICA, key);
        Ok((LEASE, REPLICA))
    }

    /// It uses the escrow up.
    fn next_record(lease: LeaseId, replica: ReplicaIndex) -> UsageRecord {
        let now = now();
        UsageRecord {
            lease,
            replica,
            sequence: 2,
            from: now - 1,
            to: now,
            running_seconds: 1,
            total: Quantities::quota(&RESOURCES, 1).unwrap_or_default(),
            ..Default::default()
        }
    }
}
