//! What happens in each block costs the same, however many leases there are.

use super::*;
use casemate_primitives::{DeploymentId, LeaseId, LeaseTerms, Quantities, Resources, UnixSeconds};
use codec::Encode;
use pallet_leases::{Agent, Agents, ByProvider, ByPublisher, Lease, LeaseState, Leases};
use sp_consensus_aura::{Slot, AURA_ENGINE_ID};
use sp_runtime::{traits::Header as _, Digest, DigestItem, Permill};

/// Of a real chain's default slots.
const SLOT_MILLISECONDS: u64 = 2_000;
const SLOT: u64 = 900_000_000;

fn lease(opened_at: UnixSeconds) -> Lease {
    Lease {
        deployment: DeploymentId(0),
        kind: Default::default(),
        publisher: Sr25519Keyring::Alice.to_account_id(),
        provider: Sr25519Keyring::Bob.to_account_id(),
        resources: Resources { cpu_millicores: 100, memory_mib: 100, ..Default::default() },
        replicas: 1,
        // Claims get final, money runs low, evidence gets old, and a notice is over: each of these
        // could be somebody's hook.
        terms: LeaseTerms { dispute_seconds: 1, silence_seconds: 1, ..Default::default() },
        before: None,
        state: LeaseState::Active,
        escrow: 1,
        open: Default::default(),
        contest: None,
        final_due: 1,
        paid: 0,
        treasury_share: Permill::zero(),
        spend_rate_max: 1,
        opened_at,
        claimed_at: opened_at,
        exhausted_at: Some(opened_at),
        reclaim_at: Some(opened_at + 1),
        warned: 0,
        ended: None,
    }
}

fn agent(claimed_to: UnixSeconds) -> Agent {
    Agent {
        key: [1; 32],
        sequence: 1,
        recorded_to: claimed_to,
        claimed_to,
        claimed_running: 1,
        claimed_total: Quantities::default(),
        log: Default::default(),
        evidence: [0; 32],
        allowance: 0,
        earlier: Default::default(),
        replaced: Default::default(),
        version: 1,
        has_ended: false,
    }
}

/// A chain with so many leases, all of them over their time in every way.
fn chain_with(leases: u64) -> sp_io::TestExternalities {
    let mut ext = build(genesis::PRODUCTION);
    ext.execute_with(|| {
        let opened_at = SLOT * SLOT_MILLISECONDS / 1_000 - 1_000_000;
        let (lease, agent) = (lease(opened_at), agent(opened_at));
        for id in (0..leases).map(LeaseId) {
            Leases::<Runtime>::insert(id, &lease);
            ByProvider::<Runtime>::insert(&lease.provider, id, ());
            ByPublisher::<Runtime>::insert(&lease.publisher, id, ());
            Agents::<Runtime>::insert(id, 0, &agent);
        }
    });
    ext.commit_all().unwrap();
    ext
}

/// A whole block with nothing but the time. It is nearly empty, so `on_idle` has room.
fn block() {
    let mut digest = Digest::default();
    digest.push(DigestItem::PreRuntime(AURA_ENGINE_ID, Slot::from(SLOT).encode()));
    let header = Header::new(1, Default::default(), Default::default(), Default::default(), digest);
    Executive::initialize_block(&header);
    let now = pallet_timestamp::Call::set { now: SLOT * SLOT_MILLISECONDS };
    let time = UncheckedExtrinsic::new_bare(RuntimeCall::Timestamp(now));
    Executive::apply_extrinsic(time).unwrap().unwrap();
    Executive::finalize_block();
}

/// How many nodes of the state a block needs, and its weight.
fn cost_of_a_block(leases: u64) -> (usize, frame_support::weights::Weight) {
    let (weight, proof) = chain_with(leases).execute_and_prove(|| {
        block();
        System::block_weight().total()
    });
    (proof.iter_nodes().count(), weight)
}

#[test]
fn a_block_costs_the_same_with_a_hundred_and_with_a_hundred_thousand_leases() {
    assert_eq!(cost_of_a_block(100), cost_of_a_block(100_000));
    // And what reads leases would be seen.
    let (read, proof) =
        chain_with(1_000).execute_and_prove(|| Leases::<Runtime>::iter_values().count());
    assert_eq!(read, 1_000);
    assert!(proof.iter_nodes().count() > 1_000);
}
