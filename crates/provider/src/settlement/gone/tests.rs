use std::{sync::Arc, time::Duration};

use casemate_client::chain::{LeaseState, OpenRunView};
use casemate_primitives::{EndReason, RunId};

use super::*;
use crate::{
    RunCall,
    chain::fake::{Call, FakeChain},
    settlement::{
        runs::tests::task_lease,
        tests::{Rig, lease},
    },
    spool::KeptLease,
};

/// A closing lease of a task with a run in its only slot.
fn closing(id: u64) -> casemate_client::chain::LeaseView {
    let mut view = task_lease(1_000);
    (view.id, view.replicas) = (LeaseId(id), 1);
    view.state = LeaseState::Closing { at: 5, until: 5, reason: EndReason::Stopped };
    let open = OpenRunView {
        lease: view.id,
        replica: 0,
        run: RunId(1),
        scheduled_at: 0,
        begun_at: 0,
        budget: 100,
        until: u64::MAX,
        manifest_hash: view.manifest_hash,
    };
    view.task.as_mut().unwrap().open = vec![open];
    view
}

fn lost(id: u64) -> Call {
    Call::Run(RunCall::Lost { lease: LeaseId(id), replica: 0 })
}

/// Shows the settler each block until a call was made.
async fn until(world: &tokio::sync::watch::Sender<Arc<World>>, chain: &FakeChain, call: &Call) {
    let made = async {
        while !chain.calls().contains(call) {
            let snapshot = chain.snapshots().borrow().clone();
            world.send_replace(Arc::new(World { snapshot, is_ready: true, ..World::default() }));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), made).await;
    waited.unwrap_or_else(|_| panic!("{call:?} is not among {:?}", chain.calls()));
}

/// Its history would lack the run, and its publisher could never forget the task.
#[tokio::test]
async fn a_run_that_is_open_when_its_lease_is_settled_is_recorded_as_lost() {
    let Rig { settler, world, chain, folder: _folder } = Rig::new();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(settler.run(stopped));
    chain.put_lease(closing(1));
    until(&world, &chain, &lost(1)).await;
    assert_eq!(chain.calls(), [Call::Settle(LeaseId(1)), lost(1)]);
    assert_eq!(chain.failed_calls(), []);
}

/// The daemon was killed between the two calls; the spool still keeps the lease.
#[tokio::test]
async fn it_is_recorded_after_a_restart_too() {
    let Rig { settler, world, chain, folder: _folder } = Rig::new();
    chain.put_lease(closing(1));
    chain.settle(LeaseId(1)).await.unwrap();
    let kept = KeptLease::of(&lease(LeaseState::Active));
    let kept = [(LeaseId(1), kept), (LeaseId(2), kept)].into();
    settler.parts.spool.keep_leases(kept, 0).await.unwrap();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(settler.run(stopped));
    until(&world, &chain, &lost(1)).await;
}

/// What somebody else has recorded is not said again and again.
#[test]
fn it_is_read_once() {
    let mut gone = Gone { unread: [LeaseId(1), LeaseId(2)].into(), ..Gone::default() };
    let open = closing(1).task.unwrap().open;
    gone.read(Ok(Ok(Found::Open(vec![LeaseId(1)], open))));
    assert_eq!(gone.unread, [LeaseId(2)].into());
    assert_eq!(gone.lost, [(LeaseId(1), 0)].into());
    gone.recorded(LeaseId(1), 0);
    assert!(gone.lost.is_empty());
}
