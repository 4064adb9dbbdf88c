use super::*;

pub(super) const GENESIS: Hash256 = [1; 32];
pub(super) const ACCOUNT: AccountBytes = [2; 32];
pub(super) const KEY: RecordKey = (LeaseId(1), 0, [3; 32]);

pub(super) fn record(sequence: u64) -> SignedUsageRecord {
    let record = UsageRecord {
        lease: LeaseId(1),
        replica: 0,
        sequence,
        previous: [0; 32],
        from: sequence * 10,
        to: sequence * 10 + 10,
        ..Default::default()
    };
    SignedUsageRecord { record, key: KEY.2, signature: [4; 64], run: None }
}

#[tokio::test]
async fn records_outlive_the_process_and_the_right_one_is_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), &GENESIS, &ACCOUNT).unwrap();
    spool.add_records((1..=5).map(record).collect()).await.unwrap();
    spool.add_records(vec![record(5)]).await.unwrap();
    drop(spool);
    let spool = Spool::open(dir.path(), &GENESIS, &ACCOUNT).unwrap();
    assert_eq!(spool.newest_records().await.unwrap(), [(KEY, (5, 60))].into());
    let claimable = |after, until| spool.claimable(KEY, after, until);
    assert_eq!(claimable(0, u64::MAX).await.unwrap(), Some(record(5)));
    // A lease that was closed at 45 is paid up to the record that ends at 40.
    assert_eq!(claimable(0, 45).await.unwrap(), Some(record(3)));
    assert_eq!(claimable(3, 45).await.unwrap(), None);
    assert_eq!(claimable(5, u64::MAX).await.unwrap(), None);
    spool.claimed(KEY, 5).await.unwrap();
    assert_eq!(claimable(0, 45).await.unwrap(), None);
    assert_eq!(spool.newest_records().await.unwrap(), [(KEY, (5, 60))].into());
}

#[tokio::test]
async fn records_and_events_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), &GENESIS, &ACCOUNT).unwrap();
    spool.add_records((1..=300).map(record).collect()).await.unwrap();
    assert_eq!(spool.claimable(KEY, 0, 450).await.unwrap(), None);
    assert_eq!(spool.claimable(KEY, 0, 460).await.unwrap(), Some(record(45)));
    let event = |n: u64| NewEvent {
        lease: LeaseId(n % 2),
        time: n,
        kind: "ready",
        pod: None,
        message: n.to_string(),
    };
    spool.add_events((0..1200).map(event).collect()).await.unwrap();
    let events = spool.events(LeaseId(1), 0).await.unwrap();
    assert_eq!(events.len(), 500);
    assert_eq!(events.last().unwrap().message, "1199");
    let after = events[497].id;
    assert_eq!(spool.events(LeaseId(1), after).await.unwrap(), events[498..]);
}

#[tokio::test]
async fn another_chains_or_accounts_spool_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Spool::open(dir.path(), &GENESIS, &ACCOUNT).unwrap();
    let chain = Spool::open(dir.path(), &[9; 32], &ACCOUNT).unwrap_err();
    assert!(chain.to_string().contains("another chain"), "{chain}");
    let account = Spool::open(dir.path(), &GENESIS, &[9; 32]).unwrap_err();
    assert!(account.to_string().contains("another account"), "{account}");
    Spool::open(dir.path(), &GENESIS, &ACCOUNT).unwrap();
}

#[tokio::test]
async fn manifests_are_asked_for_until_quote_upload_and_pod_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), &GENESIS, &ACCOUNT).unwrap();
    let quote = OpenQuote {
        nonce: [1; 16],
        publisher: [1; 32],
        manifest_hash: [1; 32],
        replicas: 1,
        expires_at: 10,
    };
    spool.add_quote(quote.clone(), vec![]).await.unwrap();
    let second = OpenQuote { nonce: [2; 16], ..quote.clone() };
    spool.add_quote(second.clone(), vec![quote.nonce]).await.unwrap();
    assert_eq!(spool.open_quotes(10).await.unwrap(), [second]);
    assert_eq!(spool.open_quotes(11).await.unwrap(), []);
    for n in 2..8 {
        spool.add_upload(LeaseId(1), [n; 32], 20 + u64::from(n)).await.unwrap();
    }
    let pod = PodId { lease: LeaseId(1), replica: 0, version: 1 };
    spool.add_pods(vec![(pod, [9; 32])]).await.unwrap();
    let hashes = |numbers: &[u8]| numbers.iter().map(|n| [*n; 32]).collect::<BTreeSet<_>>();
    assert_eq!(spool.sweep(10).await.unwrap(), hashes(&[1, 4, 5, 6, 7, 9]));
    assert_eq!(spool.sweep(26).await.unwrap(), hashes(&[6, 7, 9]));
    spool.pod_deleted(pod).await.unwrap();
    assert_eq!(spool.pods().await.unwrap(), (BTreeMap::new(), [LeaseId(1)].into()));
    spool.forget_lease(LeaseId(1)).await.unwrap();
    assert_eq!(spool.sweep(26).await.unwrap(), hashes(&[]));
    assert!(spool.pods().await.unwrap().1.is_empty());
}
