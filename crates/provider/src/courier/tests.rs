use std::sync::Mutex;

use casemate_client::chain::ProviderView;

use super::*;
use crate::chain::fake::FakeChain;

/// Answers for vaults by their addresses, and remembers who was tried.
#[derive(Default)]
struct Vaults {
    tried: Mutex<Vec<(PodId, String)>>,
    closed: Mutex<BTreeSet<String>>,
}

impl Carry for Arc<Vaults> {
    fn carry(&self, trip: Trip) -> BoxFuture<'_, Result<u64, TripError>> {
        self.tried.lock().unwrap().push((trip.pod, trip.vault.clone()));
        let is_closed = self.closed.lock().unwrap().contains(&trip.vault);
        Box::pin(async move { if is_closed { Err(TripError::Unreachable) } else { Ok(7) } })
    }
}

fn errand(key: u8) -> Errand {
    Errand {
        address: ([127, 0, 0, 1], 8443).into(),
        manifest_hash: [6; 32],
        keys: AttestedKeys { agent: [key; 32], hpke: [1; 32], tls_spki_sha256: [1; 32] },
        vaults: vec!["http://a".into(), "http://b".into()],
    }
}

fn provider() -> ProviderView {
    ProviderView {
        account: [1; 32],
        name: "p".into(),
        regions: vec![],
        endpoints: vec![],
        tee_kinds: vec![],
        capacity: casemate_primitives::Resources::default(),
        used: casemate_primitives::Resources::default(),
        price_lists: vec![],
        stake: 0,
        unbonding: vec![],
        live_leases: 0,
        cluster: None,
    }
}

struct Case {
    vaults: Arc<Vaults>,
    errands: watch::Sender<Arc<Errands>>,
    spool: Spool,
    _dir: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

fn start() -> Case {
    let dir = tempfile::tempdir().unwrap();
    let chain = Arc::new(FakeChain::new([7; 32], provider()));
    let spool = Spool::open(dir.path(), &[7; 32], &[1; 32]).unwrap();
    let vaults = Arc::new(Vaults::default());
    let errands = watch::Sender::new(Arc::new(Errands::new()));
    let courier = Courier::new(Parts {
        chain,
        carrier: Arc::new(Arc::clone(&vaults)),
        errands: errands.subscribe(),
        spool: spool.clone(),
        clock: Arc::new(|| 1000),
    });
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(courier.run(stopped));
    Case { vaults, errands, spool, _dir: dir, _stop: stop }
}

fn pod(replica: u16) -> PodId {
    PodId { lease: LeaseId(5), replica, version: 0 }
}

impl Case {
    async fn until_events(&self, count: usize) -> Vec<String> {
        loop {
            let events = self.spool.events(LeaseId(5), 0).await.unwrap();
            if events.len() >= count {
                return events.into_iter().map(|event| event.message).collect();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_vault_is_asked_when_one_does_not_answer_and_the_publisher_is_told() {
    let case = start();
    case.vaults.closed.lock().unwrap().insert("http://a".into());
    case.errands.send_replace(Arc::new([(pod(0), errand(1)), (pod(1), errand(2))].into()));
    let told = case.until_events(4).await;
    for replica in 0..2 {
        let told: Vec<_> =
            told.iter().filter(|t| t.starts_with(&format!("replica {replica}"))).collect();
        assert!(told[0].contains("http://a") && told[0].contains("cannot be reached"), "{told:?}");
        assert!(told[1].contains("http://b has released") && told[1].contains("release 7"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_starts_anew_is_served_anew_and_one_that_waits_no_more_is_left_alone() {
    let case = start();
    case.errands.send_replace(Arc::new([(pod(0), errand(1))].into()));
    case.until_events(1).await;
    case.errands.send_replace(Arc::default());
    case.errands.send_replace(Arc::new([(pod(0), errand(2))].into()));
    case.until_events(2).await;
    case.errands.send_replace(Arc::default());
    let tried = case.vaults.tried.lock().unwrap().clone();
    assert_eq!(tried, [(pod(0), "http://a".into()), (pod(0), "http://a".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_failure_is_told_once_and_tried_again() {
    let case = start();
    case.vaults.closed.lock().unwrap().extend(["http://a".into(), "http://b".into()]);
    case.errands.send_replace(Arc::new([(pod(0), errand(1))].into()));
    while case.vaults.tried.lock().unwrap().len() < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(case.until_events(2).await.len(), 2);
    case.vaults.closed.lock().unwrap().clear();
    assert!(case.until_events(3).await[2].contains("has released"));
}
