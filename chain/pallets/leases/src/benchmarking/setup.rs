//! What the benchmarks begin with: two sides, their leases in each state, and signed records.

use crate::{types::EARLIER_KEYS_MAX, *};
use alloc::vec;
use casemate_primitives::{
    AgentSignature, Asset, Balance, DeploymentId, DeploymentKind, EndReason, Hash256, LeaseId,
    LeaseTerms, LogHead, ManifestRef, PriceList, Prices, ProviderInfo, Quantities, Quote,
    ReplicaIndex, Resources, TeeKind, UsageRecord, CASE, MANIFEST_SIZE_MAX, REPLICAS_MAX,
};
use frame_benchmarking::v2::*;
use frame_support::{
    storage::{storage_prefix, unhashed},
    traits::{
        fungibles::{hold::Mutate as _, Inspect, Unbalanced},
        tokens::Precision,
        Get,
    },
    BoundedVec,
};
use frame_system::RawOrigin;
use pallet_attestation::{genesis_hash, AgentRegistry, AttestedKeys};
use pallet_deployments::DeploymentRegistry;
use pallet_money::AdmittedAssets;
use sp_core::{crypto::KeyTypeId, ed25519, sr25519};
use sp_runtime::{AccountId32, MultiSignature, Permill};

/// Of the keys that benchmarks make, in a key store that only they see.
pub(super) const KEY_TYPE: KeyTypeId = KeyTypeId(*b"case");

pub(super) const MANIFEST: ManifestRef = ManifestRef { hash: [7; 32], size: MANIFEST_SIZE_MAX };

/// Of one replica; the provider has just enough for the most replicas.
pub(super) const RESOURCES: Resources =
    Resources { cpu_millicores: 100, memory_mib: 128, storage_mib: 1_024, gpus: 1 };

pub(super) const DEPOSIT: Balance = CASE;

/// The length of the periods in which claims can be contested.
pub(super) const PERIOD_SECONDS: u32 = 3_600;

/// So dear that a claim of one second uses the deposit up.
pub(super) const PRICES: Prices = Prices {
    cpu_millicore_second: CASE,
    memory_mib_second: CASE,
    storage_mib_second: CASE,
    gpu_second: CASE,
    egress_mib: CASE,
    ingress_mib: CASE,
};

/// A publisher and a provider, ready for [`Quote`]s.
pub(super) struct Sides {
    pub(super) publisher: AccountId32,
    pub(super) provider: AccountId32,
    pub(super) key: sr25519::Public,
}

/// What leases are paid in: an asset costs more to move than the native token.
pub(super) const ASSET: Asset = Asset::Registered(900);

/// Gives `who` money.
pub(super) fn endow<T: Config>(asset: Asset, who: &AccountId32, amount: Balance) {
    if let Asset::Registered(id) = asset {
        T::Admission::admit_for_benchmark(id);
    }
    let given = T::Assets::increase_balance(asset, who, amount, Precision::Exact);
    let supply = T::Assets::total_issuance(asset).saturating_add(given.unwrap_or_default());
    T::Assets::set_total_issuance(asset, supply);
}

/// Sets the runtime's clock (`pallet-timestamp` has no trait for it). A mock has a clock of its
/// own, which stays as it is.
pub(super) fn set_clock() {
    unhashed::put(&storage_prefix(b"Timestamp", b"Now"), &1_800_000_000_000_u64);
}

/// The longest that a provider may say of itself.
pub(super) fn info() -> ProviderInfo {
    ProviderInfo {
        name: BoundedVec::truncate_from(vec![b'n'; 64]),
        regions: BoundedVec::truncate_from(vec![BoundedVec::truncate_from(vec![b'r'; 32]); 8]),
        endpoints: BoundedVec::truncate_from(vec![BoundedVec::truncate_from(vec![b'e'; 128]); 4]),
        tee_kinds: BoundedVec::truncate_from(vec![TeeKind::IntelTdx; 8]),
    }
}

/// Registers a provider with a record of the largest size, and funds a publisher.
pub(super) fn sides<T>() -> Result<Sides, BenchmarkError>
where
    T: Config + pallet_deployments::Config + pallet_providers::Config,
{
    set_clock();
    let key = sp_io::crypto::sr25519_generate(KEY_TYPE, None);
    let (publisher, provider): (AccountId32, AccountId32) =
        (account("publisher", 0, 0), key.into());
    let capacity = RESOURCES
        .checked_mul(REPLICAS_MAX.into())
        .ok_or(BenchmarkError::Stop("the capacity can be counted"))?;
    let stake = <T as pallet_providers::Config>::StakeRates::get()
        .required(&capacity)
        .max(<T as pallet_providers::Config>::StakeMin::get());
    for who in [&publisher, &provider] {
        endow::<T>(Asset::Native, who, stake.saturating_mul(4) + 1_000 * CASE);
        endow::<T>(ASSET, who, 1_000 * CASE);
    }
    let lists = (0..8).map(|id| PriceList { asset: Asset::Registered(id), prices: PRICES });
    let lists = BoundedVec::truncate_from(lists.collect());
    let origin = || RawOrigin::Signed(provider.clone()).into();
    pallet_providers::Pallet::<T>::register(origin(), info(), capacity, lists, stake + 16)?;
    for _ in 0..<pallet_providers::UnbondingsMax as Get<u32>>::get() {
        pallet_providers::Pallet::<T>::unbond(origin(), 1)?;
    }
    Ok(Sides { publisher, provider, key })
}

/// A quote for the most replicas, and the provider's signature over it.
pub(super) fn quote<T: Config>(sides: &Sides) -> Result<(Quote, MultiSignature), BenchmarkError> {
    let quote = Quote {
        provider: sides.provider.clone().into(),
        publisher: sides.publisher.clone().into(),
        manifest_hash: MANIFEST.hash,
        resources: RESOURCES,
        replicas: REPLICAS_MAX,
        terms: terms::<T>(),
        expires_at: Pallet::<T>::now() + T::QuoteSecondsMax::get(),
        nonce: [1; 16],
    };
    let payload = quote.signing_payload(&genesis_hash::<T>());
    let signature = sp_io::crypto::sr25519_sign(KEY_TYPE, &sides.key, &payload)
        .ok_or(BenchmarkError::Stop("the key store has the key"))?;
    Ok((quote, signature.into()))
}

/// The origin of the call. Its account is read and written with every transaction, so that the
/// call's weight leaves it out.
pub(super) fn signed<T: Config>(who: AccountId32) -> RawOrigin<AccountId32> {
    whitelist_account!(who);
    RawOrigin::Signed(who)
}

/// No less than the price of all replicas, and nothing that a multiplication overflows with.
pub(super) fn spend_rate() -> Balance {
    CASE * 10_000_000
}

/// The publisher's deployment, without a lease.
pub(super) fn deployment<T: Config>(sides: &Sides) -> Result<DeploymentId, BenchmarkError> {
    Ok(T::Deployments::create(&sides.publisher, DeploymentKind::Service, MANIFEST)?)
}

/// A lease that no agent was activated for.
pub(super) fn pending<T>() -> Result<(Sides, LeaseId), BenchmarkError>
where
    T: Config + pallet_deployments::Config + pallet_providers::Config,
{
    let sides = sides::<T>()?;
    let (quote, signature) = quote::<T>(&sides)?;
    let (deployment, id) = (deployment::<T>(&sides)?, NextId::<T>::get());
    let publisher = sides.publisher.clone();
    Pallet::<T>::do_open(publisher, deployment, quote, signature, DEPOSIT, spend_rate())?;
    Ok((sides, id))
}

/// A lease with an agent for each replica.
pub(super) fn active<T>() -> Result<(Sides, LeaseId, ed25519::Public), BenchmarkError>
where
    T: Config + pallet_deployments::Config + pallet_providers::Config,
{
    let (sides, id) = pending::<T>()?;
    let key = sp_io::crypto::ed25519_generate(KEY_TYPE, None);
    for replica in 0..REPLICAS_MAX {
        <Pallet<T> as AgentRegistry<AccountId32>>::activate(&sides.provider, id, replica, key.0)?;
        T::Attestation::benchmark_attest(id, replica, key.0);
    }
    Ok((sides, id, key))
}

/// A lease that runs, with fields of the largest size.
pub(super) fn lease_between<T: Config>(
    publisher: AccountId32,
    provider: AccountId32,
    deployment: DeploymentId,
) -> Lease {
    Lease {
        deployment,
        kind: DeploymentKind::Service,
        publisher,
        provider,
        resources: RESOURCES,
        replicas: REPLICAS_MAX,
        terms: terms::<T>(),
        before: None,
        state: LeaseState::Active,
        escrow: DEPOSIT,
        open: BoundedVec::truncate_from(vec![Period { number: 1, amount: 0 }; 2]),
        contest: None,
        final_due: 0,
        paid: DEPOSIT,
        treasury_share: Permill::zero(),
        spend_rate_max: spend_rate(),
        opened_at: Pallet::<T>::now(),
        claimed_at: Pallet::<T>::now(),
        exhausted_at: None,
        reclaim_at: None,
        warned: 0,
        ended: None,
    }
}

impl<T: Config> Pallet<T> {
    /// A lease of these two, for the benchmarks of who asks about leases.
    pub fn benchmark_lease_between(publisher: &AccountId32, provider: &AccountId32) -> LeaseId {
        let id = NextId::<T>::get();
        let lease = lease_between::<T>(publisher.clone(), provider.clone(), DeploymentId(0));
        NextId::<T>::put(LeaseId(id.0.saturating_add(1)));
        Leases::<T>::insert(id, lease);
        id
    }
}

/// A lease whose replica had so many agents that all that are remembered are other ones: what the
/// benchmarks of `pallet-attestation` attest the next one for.
pub(crate) fn lease_with_many_agents<T: Config>(
    provider: &AccountId32,
    id: LeaseId,
    replica: ReplicaIndex,
    manifest_hash: Hash256,
) {
    let publisher: AccountId32 = account("publisher", 0, 0);
    endow::<T>(Asset::Native, &publisher, 1_000 * CASE);
    endow::<T>(ASSET, &publisher, 1_000 * CASE);
    let manifest = ManifestRef { hash: manifest_hash, size: MANIFEST_SIZE_MAX };
    let deployment = T::Deployments::create(&publisher, DeploymentKind::Service, manifest);
    let lease = lease_between::<T>(
        publisher,
        provider.clone(),
        deployment.expect("the publisher has the deposit"),
    );
    Leases::<T>::insert(id, lease);
    let earlier = (0..EARLIER_KEYS_MAX).map(|n| [0x40 + n.to_le_bytes()[0]; 8]).collect();
    // None of these is final.
    let until = Pallet::<T>::now();
    let replaced = (0..REPLACED_KEYS_MAX)
        .map(|n| ReplacedKey { key: [0x40 + n.to_le_bytes()[0]; 32], until })
        .collect();
    let agent = Agent {
        key: [0xff; 32],
        sequence: 1,
        recorded_to: 0,
        claimed_to: 0,
        claimed_running: 0,
        claimed_total: Quantities::default(),
        log: LogHead::default(),
        evidence: Hash256::default(),
        allowance: 0,
        earlier: BoundedVec::truncate_from(earlier),
        replaced: BoundedVec::truncate_from(replaced),
        version: 1,
        has_ended: false,
    };
    Agents::<T>::insert(id, replica, agent);
}

/// A task's lease whose money is held and whose last replica has an agent that evidence stands for.
pub(crate) fn run_lease<T: Config>(
    publisher: &AccountId32,
    provider: &AccountId32,
    deployment: DeploymentId,
    key: casemate_primitives::AgentPublicKey,
) -> (LeaseId, ReplicaIndex) {
    let (id, replica) = (LeaseId(u64::from(u32::MAX)), REPLICAS_MAX - 1);
    lease_with_many_agents::<T>(provider, id, replica, [7; 32]);
    endow::<T>(ASSET, publisher, 1_000 * CASE);
    let held = T::Assets::hold(ASSET, &HoldReason::Escrow.into(), publisher, DEPOSIT);
    held.expect("the publisher has the deposit");
    Leases::<T>::mutate(id, |slot| {
        if let Some(lease) = slot {
            lease.publisher = publisher.clone();
            (lease.deployment, lease.kind) = (deployment, DeploymentKind::Task);
        }
    });
    Agents::<T>::mutate(id, replica, |slot| {
        if let Some(agent) = slot {
            (agent.key, agent.sequence) = (key, 0);
            agent.version = T::Deployments::version(deployment).unwrap_or_default();
        }
    });
    T::Attestation::benchmark_attest(id, replica, key);
    (id, replica)
}

pub(super) fn terms<T: Config>() -> LeaseTerms {
    LeaseTerms {
        asset: ASSET,
        prices: PRICES,
        notice_seconds: T::NoticeSecondsMax::get(),
        grace_seconds: T::GraceSecondsMax::get(),
        deposit_min: DEPOSIT,
        dispute_seconds: PERIOD_SECONDS,
        silence_seconds: 1,
        warn_seconds: [u32::MAX; 3],
        ..Default::default()
    }
}

/// Brings a record of one second for the last replica; more than the escrow is left of.
pub(super) fn record<T: Config>(
    id: LeaseId,
    key: &ed25519::Public,
    sequence: u64,
) -> Result<(UsageRecord, AgentSignature), BenchmarkError> {
    let now = Pallet::<T>::now();
    let quota = Quantities::quota(&RESOURCES, 1);
    let record = UsageRecord {
        lease: id,
        replica: REPLICAS_MAX - 1,
        sequence,
        from: now,
        to: now + 1,
        running_seconds: 1,
        total: Quantities { egress_mib: 1, ingress_mib: 1, ..quota.unwrap_or_default() },
        ..Default::default()
    };
    let payload = record.signing_payload(&genesis_hash::<T>());
    let signature = sp_io::crypto::ed25519_sign(KEY_TYPE, key, &payload)
        .ok_or(BenchmarkError::Stop("the key store has the key"))?;
    Ok((record, signature.0))
}

/// A lease with claims that are open, and with claims that are due if `is_final`.
pub(super) fn claimed<T>(
    is_final: bool,
) -> Result<(Sides, LeaseId, ed25519::Public), BenchmarkError>
where
    T: Config + pallet_deployments::Config + pallet_providers::Config,
{
    let (sides, id, key) = active::<T>()?;
    let (record, signature) = record::<T>(id, &key, 1)?;
    Pallet::<T>::do_claim(sides.provider.clone(), record, signature, None)?;
    Leases::<T>::mutate(id, |slot| {
        if let Some(lease) = slot {
            lease.treasury_share = T::TreasuryShareMax::get();
            if is_final {
                lease.open.iter_mut().for_each(|period| period.number = 0);
            }
        }
    });
    Ok((sides, id, key))
}

/// Authorises as many accounts as can be, and says which was the last.
pub(super) fn with_spenders<T: Config>(
    sides: &Sides,
    id: LeaseId,
) -> Result<AccountId32, BenchmarkError> {
    let spender = |index| account("spender", index, 0);
    for index in 0..SPENDERS_MAX {
        let allowance = Some(DEPOSIT);
        Pallet::<T>::do_authorise(sides.publisher.clone(), id, spender(index), allowance)?;
    }
    Ok(spender(SPENDERS_MAX - 1))
}

/// Has as many accounts put money into a lease as can, in as many parts; all of it is claimed where the
/// publisher's is.
pub(super) fn with_depositors<T: Config>(id: LeaseId) -> Result<(), BenchmarkError> {
    let gone = || BenchmarkError::Stop("the lease is there");
    let mut lease = Leases::<T>::get(id).ok_or_else(gone)?;
    // Who brings a lease back that has no money puts in more.
    Leases::<T>::mutate(id, |slot| {
        if let Some(lease) = slot {
            lease.exhausted_at = None;
        }
    });
    // What was held before was the publisher's, and is spent first.
    for index in 0..OTHERS_MAX {
        let who: AccountId32 = account("depositor", index, 0);
        endow::<T>(Asset::Native, &who, 1_000 * CASE);
        endow::<T>(ASSET, &who, 1_000 * CASE);
        Pallet::<T>::do_fund(who, id, DEPOSIT)?;
    }
    let more = DEPOSIT.saturating_mul(OTHERS_MAX.into());
    if lease.final_due > 0 || lease.open_amount() > 0 {
        let before = lease.escrow;
        if let Some(period) = lease.open.iter_mut().next() {
            period.amount = period.amount.saturating_add(more);
        } else {
            lease.final_due = lease.final_due.saturating_add(more);
        }
        lease.escrow = before;
        Leases::<T>::insert(id, &lease);
    }
    let Some(line) = Deposits::<T>::get(id) else { return Ok(()) };
    // A part of the publisher's before, between and behind the others'.
    let others = line.0.into_iter().filter(|part| part.who != lease.publisher);
    let of_publisher = |amount| Part { who: lease.publisher.clone(), amount };
    let amount = DEPOSIT / Balance::from(OTHERS_MAX + 1);
    let mut parts = vec![];
    for part in others {
        parts.extend([of_publisher(amount), part]);
    }
    parts.push(of_publisher(DEPOSIT.saturating_sub(amount * Balance::from(OTHERS_MAX))));
    Deposits::<T>::insert(id, Line(BoundedVec::truncate_from(parts)));
    Ok(())
}

/// Of what is claimed of a lease with depositors, one half is final, and the other unspent or still
/// open: so each part of the line is either paid or given back, and one is split.
pub(super) fn with_half_due<T: Config>(id: LeaseId, is_rest_unspent: bool) {
    Leases::<T>::mutate(id, |slot| {
        let Some(lease) = slot else { return };
        let half = lease.held() / 2;
        let rest = lease.held().saturating_sub(half);
        lease.final_due = half;
        lease.open.iter_mut().for_each(|period| period.amount = 0);
        if is_rest_unspent {
            lease.escrow = rest;
        } else if let Some(period) = lease.open.iter_mut().next() {
            period.amount = rest;
        }
    });
}

/// The lease was settled long ago.
pub(super) fn set_ended<T: Config>(id: LeaseId) {
    Leases::<T>::mutate(id, |slot| {
        if let Some(lease) = slot {
            lease.state = LeaseState::Ended { at: 0, reason: EndReason::Stopped };
        }
    });
}

/// What a payout in the native token takes besides: only that earns reputation, while an asset costs
/// more to move. With both, the weight is no less than either's.
pub(super) fn earn_reputation<T: Config>(sides: &Sides) {
    let Sides { publisher, provider, .. } = sides;
    T::Observer::paid(publisher, provider, Asset::Native, DEPOSIT, DEPOSIT);
}

/// The key of the last replica's agent was replaced so often that it is the last that is looked at.
pub(super) fn with_replaced_keys<T: Config>(id: LeaseId, key: &ed25519::Public) {
    let until = Pallet::<T>::now();
    let generate = || sp_io::crypto::ed25519_generate(KEY_TYPE, None).0;
    let newer = (1..REPLACED_KEYS_MAX).map(|_| generate());
    let keys = newer.chain([key.0]).map(|key| ReplacedKey { key, until }).collect();
    Agents::<T>::mutate(id, REPLICAS_MAX - 1, |slot| {
        if let Some(agent) = slot {
            agent.key = generate();
            agent.replaced = BoundedVec::truncate_from(keys);
        }
    });
}

/// The origin of arbiters or of governance.
pub(super) fn of_council<T: Config>(
    origin: Result<T::RuntimeOrigin, ()>,
) -> Result<T::RuntimeOrigin, BenchmarkError> {
    origin.map_err(|()| BenchmarkError::Stop("there is such an origin"))
}

/// Stops the deployment of a lease, so that settling the lease removes the deployment too.
pub(super) fn stop<T>(sides: &Sides, id: LeaseId) -> Result<(), BenchmarkError>
where
    T: Config + pallet_deployments::Config,
{
    let lease = Leases::<T>::get(id).ok_or(BenchmarkError::Stop("the lease is there"))?;
    let origin = RawOrigin::Signed(sides.publisher.clone()).into();
    Ok(pallet_deployments::Pallet::<T>::stop(origin, lease.deployment)?)
}
