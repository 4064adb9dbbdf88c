use std::{collections::BTreeSet, sync::Mutex};

use casemate_client::chain::ProviderView;

use super::*;
use crate::chain::fake::FakeChain;

/// Answers for vaults by their addresses, and remembers who was tried.
#[derive(Default)]
struct Vaults {
    tried: Mutex<Vec<(PodId, String)>>,
    closed: Mutex<BTreeSet<String>>,
    /// They never answer.
    silent: Mutex<BTreeSet<String>>,
    /// The program has an error.
    broken: Mutex<BTreeSet<PodId>>,
}

impl Carry for Arc<Vaults> {
    fn carry(&self, trip: Trip) -> BoxFuture<'_, Result<u64, TripError>> {
        self.tried.lock().unwrap().push((trip.pod, trip.vault.clone()));
        assert!(!self.broken.lock().unwrap().contains(&trip.pod), "broken");
        if self.silent.lock().unwrap().contains(&trip.vault) {
            return Box::pin(std::future::pending());
        }
        let is_closed = self.closed.lock().unwrap().contains(&trip.vault);
        Box::pin(async move { if is_closed { Err(TripError::Unreachable) } else { Ok(7) } })
    }
}

fn keys(key: u8) -> AttestedKeys {
    AttestedKeys { agent: [key; 32], hpke: [1; 32], tls_spki_sha256: [1; 32] }
}

fn errand(key: u8) -> Errand {
    Errand {
        address: ([127, 0, 0, 1], 8443).into(),
        manifest_hash: [6; 32],
        keys: keys(key),
        publisher: [1; 32],
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

/// A courier that nobody runs yet.
fn parts() -> (Courier<FakeChain>, Arc<Vaults>, watch::Sender<Arc<Errands>>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let vaults = Arc::new(Vaults::default());
    let errands = watch::Sender::new(Arc::new(Errands::new()));
    let courier = Courier::new(Parts {
        chain: Arc::new(FakeChain::new([7; 32], provider())),
        carrier: Arc::new(Arc::clone(&vaults)),
        errands: errands.subscribe(),
        spool: Spool::open(dir.path(), &[7; 32], &[1; 32]).unwrap(),
        clock: Arc::new(|| 1000),
    });
    (courier, vaults, errands, dir)
}

fn start() -> Case {
    let (courier, vaults, errands, dir) = parts();
    let spool = courier.parts.spool.clone();
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

impl Courier<FakeChain> {
    /// Takes in what the trips under way have brought.
    async fn come_home(&mut self, trips: usize, now: Instant) {
        for _ in 0..trips {
            let done = self.trips.join_next_with_id().await.unwrap();
            self.finished(done, now).await;
        }
    }

    fn under_way(&self) -> BTreeSet<PodId> {
        self.busy.values().map(|going| going.pod).collect()
    }
}

#[tokio::test]
async fn a_pod_that_starts_anew_is_served_anew_and_one_that_waits_no_more_is_left_alone() {
    let (mut courier, vaults, _errands, _dir) = parts();
    let mut now = Instant::now();
    let of = |key| Errands::from([(pod(0), errand(key))]);
    let tried = || vaults.tried.lock().unwrap().len();
    courier.look(&of(1), now);
    // Once, as long as it is under way.
    courier.look(&of(1), now);
    courier.come_home(1, now).await;
    assert_eq!((tried(), courier.trips.len()), (1, 0));
    // It may take a moment until it is seen that it waits no more.
    courier.look(&of(1), now);
    assert!(courier.trips.is_empty());
    courier.look(&of(2), now);
    courier.come_home(1, now).await;
    assert_eq!(tried(), 2);
    for _ in 0..100 {
        now += Duration::from_secs(1);
        courier.look(&Errands::new(), now);
        assert!(courier.trips.is_empty() && courier.paces.is_empty());
    }
    // One that still waits after that is served again.
    courier.look(&of(2), now);
    courier.come_home(1, now).await;
    now += Duration::from_secs(11);
    courier.look(&of(2), now);
    courier.come_home(1, now).await;
    assert_eq!(tried(), 4);
}

#[tokio::test]
async fn a_trip_for_an_earlier_start_neither_keeps_nor_slows_the_next_one() {
    let (mut courier, vaults, _errands, _dir) = parts();
    vaults.silent.lock().unwrap().insert("http://a".into());
    let now = Instant::now();
    courier.look(&[(pod(0), errand(1))].into(), now);
    while vaults.tried.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    vaults.silent.lock().unwrap().clear();
    courier.look(&[(pod(0), errand(2))].into(), now);
    assert_eq!(courier.trips.len(), 2);
    courier.come_home(1, now).await;
    assert!(courier.paces[&pod(0)].is_of(&keys(2)));
    assert!(courier.paces.get_mut(&pod(0)).unwrap().next(&["http://a".into()], now).is_none());
    // What the first one brings is not told of the second.
    let (id, _) = courier.busy.iter().next().map(|(id, _)| (*id, ())).unwrap();
    courier.finished(Ok((id, Err(TripError::Unreachable))), now).await;
    assert!(courier.paces[&pod(0)].is_of(&keys(2)) && courier.busy.is_empty());
    let events = courier.parts.spool.events(LeaseId(5), 0).await.unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
}

#[tokio::test]
async fn one_publishers_pods_leave_slots_to_others_and_the_longest_waiting_goes_first() {
    let (mut courier, vaults, _errands, _dir) = parts();
    vaults.silent.lock().unwrap().insert("http://slow".into());
    let start = Instant::now();
    // A hundred of one publisher's, first by their ids and by time.
    let slow = |publisher| Errand { publisher, vaults: vec!["http://slow".into()], ..errand(1) };
    let mut errands: Errands = (0..100).map(|n| (pod(n), slow([1; 32]))).collect();
    courier.look(&errands, start);
    assert_eq!(courier.under_way().len(), PUBLISHER_TRIPS_MAX);
    for _ in 0..3 {
        courier.look(&errands, start);
    }
    assert_eq!(courier.under_way().len(), PUBLISHER_TRIPS_MAX, "however often it looks");
    errands.insert(pod(200), Errand { publisher: [2; 32], ..errand(1) });
    courier.look(&errands, start + Duration::from_secs(1));
    assert!(courier.under_way().contains(&pod(200)));
    courier.come_home(1, start + Duration::from_secs(1)).await;

    // All slots taken, each by another publisher: who came first goes first, whatever its id.
    let (mut courier, vaults, _errands, _dir) = parts();
    let many = u8::try_from(TRIPS_MAX).unwrap();
    let mut errands: Errands = (0..many)
        .map(|n| (pod(u16::from(n)), Errand { publisher: [n; 32], ..errand(n) }))
        .collect();
    vaults.closed.lock().unwrap().extend(["http://a".into(), "http://b".into()]);
    courier.look(&errands, start);
    errands.insert(pod(999), Errand { publisher: [99; 32], ..errand(99) });
    let later = start + Duration::from_secs(1);
    courier.look(&errands, later);
    assert!(!courier.under_way().contains(&pod(999)), "there is no slot");
    // Their next vaults are due at once, but it has waited longer.
    let latest = later + Duration::from_secs(1);
    courier.come_home(TRIPS_MAX, latest).await;
    courier.look(&errands, latest);
    assert_eq!(courier.trips.len(), TRIPS_MAX);
    assert!(courier.under_way().contains(&pod(999)));
}

#[tokio::test]
async fn a_trip_that_breaks_off_is_its_own_concern() {
    let (mut courier, vaults, _errands, _dir) = parts();
    vaults.broken.lock().unwrap().insert(pod(0));
    vaults.silent.lock().unwrap().insert("http://a".into());
    let errands = Errands::from([(pod(0), errand(1)), (pod(1), errand(2))]);
    let now = Instant::now();
    courier.look(&errands, now);
    courier.come_home(1, now).await;
    assert_eq!(courier.under_way(), [pod(1)].into());
    // The next vault's turn, then a pause: an error is not made again and again.
    courier.look(&errands, now);
    courier.come_home(1, now).await;
    courier.look(&errands, now);
    assert_eq!(courier.under_way(), [pod(1)].into());
    let tried = vaults.tried.lock().unwrap().clone();
    assert_eq!(tried.iter().filter(|(of, _)| *of == pod(1)).count(), 1);
    let events = courier.parts.spool.events(LeaseId(5), 0).await.unwrap();
    assert!(events[0].message.contains("broke off"), "{events:?}");
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
