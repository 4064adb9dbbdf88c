//! What is final is paid out, what is over is forgotten, a machine is taken back: each when it is due,
//! and not before. The fake chain refuses what comes too early, and keeps what it has refused.

use casemate_client::chain::LeaseState;
use casemate_primitives::{EndReason, LeaseId};
use casemate_provider::chain::fake::Call;
use subxt_signer::sr25519::dev;

use crate::world::{World, manifest, until};

/// Length of a period.
const DISPUTE: u64 = 100;
const RETENTION: u64 = 1_000;

async fn start() -> World {
    World::start_with(|config| {
        config.pricing.dispute = format!("{DISPUTE}s").parse().unwrap();
        config.pricing.retention = format!("{RETENTION}s").parse().unwrap();
        config.timing.payout_interval = "0s".parse().unwrap();
        config.timing.claim_interval = "60s".parse().unwrap();
    })
    .await
}

/// A lease with one claim, made in the period that is returned.
async fn claimed(world: &World) -> (LeaseId, u64) {
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    until("activation", async || world.chain.lease(lease)?.agents.first().map(drop)).await;
    // The beginning of a period, so that nothing here falls into another one by chance.
    let mut period = 0;
    world.chain.block(|snapshot| {
        period = snapshot.time / DISPUTE + 1;
        snapshot.time = period * DISPUTE;
    });
    claim(world, 1).await;
    (lease, period)
}

/// Lets the pod run until that many claims were made.
async fn claim(world: &World, count: usize) {
    world.backend.advance(100);
    until("the claim", async || {
        let calls = world.chain.calls();
        (calls.iter().filter(|call| matches!(call, Call::Claim(..))).count() >= count).then_some(())
    })
    .await;
}

fn count(world: &World, call: &Call) -> usize {
    world.chain.calls().iter().filter(|made| *made == call).count()
}

/// Makes blocks at this time until a call was made that often.
async fn made(world: &World, time: u64, call: Call, times: usize) {
    until(&format!("{call:?}"), async || {
        world.chain.block(|snapshot| snapshot.time = time);
        (count(world, &call) >= times).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_paid_out_when_their_period_is_final_and_not_before() {
    let world = start().await;
    let (lease, period) = claimed(&world).await;
    let first = world.chain.lease(lease).unwrap();
    let earned = first.open[0].amount;
    assert!(earned > 0 && first.final_due == 0, "{first:?}");
    // The last second of the period after: a second claim shows that the daemon has looked.
    let last = (period + 2) * DISPUTE - 1;
    world.chain.block(|snapshot| snapshot.time = last);
    claim(&world, 2).await;
    assert_eq!(count(&world, &Call::Payout(lease)), 0);

    made(&world, last + 1, Call::Payout(lease), 1).await;
    let view = world.chain.lease(lease).unwrap();
    assert_eq!(view.paid, earned, "the first claim and no more");
    assert_eq!(view.open.len(), 1, "{view:?}");
    let second = view.open[0].amount;
    made(&world, last + 1 + DISPUTE, Call::Payout(lease), 2).await;
    assert_eq!(world.chain.lease(lease).unwrap().paid, earned + second);
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_waits_for_the_payout_interval() {
    let world = World::start_with(|config| {
        config.pricing.dispute = "0s".parse().unwrap();
        config.timing.payout_interval = "1h".parse().unwrap();
    })
    .await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    until("activation", async || world.chain.lease(lease)?.agents.first().map(drop)).await;
    claim(&world, 1).await;
    claim(&world, 2).await;
    assert!(world.chain.lease(lease).unwrap().final_due > 0);
    assert_eq!(count(&world, &Call::Payout(lease)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_lease_is_paid_out_and_forgotten_when_its_time_is_over_and_not_before() {
    let mut world = start().await;
    let (lease, period) = claimed(&world).await;
    let closed_at = period * DISPUTE;
    let mut view = world.chain.lease(lease).unwrap();
    let claimed_to = view.agents[0].claimed_to;
    let reason = EndReason::Stopped;
    view.state = LeaseState::Closing { at: closed_at.max(claimed_to), until: u64::MAX, reason };
    world.chain.put_lease(view);
    until("settled", async || world.chain.ended(lease)).await;
    let owed = world.chain.ended(lease).unwrap();
    assert!(owed.open.iter().any(|open| open.amount > 0) && owed.paid == 0, "{owed:?}");
    // A restart forgets nothing: what is settled is read from the chain.
    world.kill().await;
    world.run().await;

    made(&world, (period + 2) * DISPUTE, Call::Payout(lease), 1).await;
    let paid = world.chain.ended(lease).unwrap();
    assert_eq!(paid.paid, owed.earned());
    assert_eq!(count(&world, &Call::Forget(lease)), 0);

    made(&world, closed_at.max(claimed_to) + RETENTION, Call::Forget(lease), 1).await;
    assert_eq!(world.chain.ended(lease), None);
    // Nothing was tried before its time.
    assert_eq!(world.chain.failed_calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_taken_back_when_the_notice_is_over_and_not_before() {
    let world = start().await;
    let (lease, period) = claimed(&world).await;
    let now = period * DISPUTE;
    let mut view = world.chain.lease(lease).unwrap();
    view.reclaim_at = Some(now + 50);
    world.chain.put_lease(view);
    world.chain.block(|snapshot| snapshot.time = now + 49);
    claim(&world, 2).await;
    assert_eq!(count(&world, &Call::Close(lease)), 0);
    made(&world, now + 50, Call::Close(lease), 1).await;
    until("it is closed for that reason", async || {
        let settled = world.chain.lease(lease).is_none();
        let reason = world.chain.lease(lease).map(|view| view.state);
        let reclaimed =
            matches!(reason, Some(LeaseState::Closing { reason: EndReason::Reclaimed, .. }));
        (settled || reclaimed).then_some(())
    })
    .await;
    assert_eq!(world.chain.failed_calls(), []);
}
