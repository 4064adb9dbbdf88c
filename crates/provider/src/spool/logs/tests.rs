use casemate_primitives::LogChunkHeader;
use codec::Encode as _;

use super::*;

const ACCOUNT: AccountBytes = [2; 32];
const PUBLISHER: AccountBytes = [8; 32];
const LEASE: LeaseId = LeaseId(1);
const KEY: AgentPublicKey = [3; 32];
const LARGE: u64 = 1 << 30;

fn open(dir: &tempfile::TempDir) -> Spool {
    Spool::open(dir.path(), &[1; 32], &ACCOUNT).unwrap()
}

fn kept(ended_at: Option<UnixSeconds>) -> KeptLease {
    KeptLease { publisher: PUBLISHER, retention_seconds: 100, ended_at }
}

async fn spool(dir: &tempfile::TempDir) -> Spool {
    let spool = open(dir);
    spool.keep_leases([(LEASE, kept(None))].into(), 0).await.unwrap();
    spool
}

fn chunk(key: AgentPublicKey, index: u64) -> LogChunk {
    let header = LogChunkHeader {
        lease: LEASE,
        replica: 0,
        key,
        index,
        from_ms: index,
        to_ms: index,
        first_line: index,
        lines: 1,
        dropped: 0,
    };
    LogChunk { header, body: vec![u8::try_from(index % 256).unwrap(); 1000] }
}

fn chunks(range: std::ops::Range<u64>) -> Vec<LogChunk> {
    range.map(|index| chunk(KEY, index)).collect()
}

/// Room in which whole logs give way to newer ones, but for those of replica 0's `anchored` agent.
fn room(bytes_max: u64, anchored: Option<AgentPublicKey>) -> LogRoom {
    LogRoom { bytes_max, anchored: anchored.map(|key| vec![(0, key)]) }
}

/// The only chunk of one of very many agents.
fn only_chunk(number: u32) -> LogChunk {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    chunk(key, 0)
}

async fn add(spool: &Spool, chunks: Vec<LogChunk>) -> ChunksAdded {
    spool.add_log_chunks(LEASE, 0, chunks, room(LARGE, None)).await.unwrap()
}

fn added(added: u64) -> ChunksAdded {
    ChunksAdded { added, ..ChunksAdded::default() }
}

#[tokio::test]
async fn chunks_outlive_the_process_and_are_proved_under_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let all = chunks(0..21);
    // At least once, and after a restart once more: nothing is there twice.
    assert_eq!(add(&spool(&dir).await, all[..9].to_vec()).await, added(9));
    assert_eq!(add(&open(&dir), all[4..21].to_vec()).await, added(12));
    let spool = open(&dir);
    let leaves: Vec<_> = all.iter().map(|chunk| merkle::leaf_hash(&chunk.encode())).collect();
    for size in 1..=21u64 {
        let head = merkle::root(&leaves[..usize::try_from(size).unwrap()]);
        let found = spool.log_chunks((LEASE, 0, KEY), 0, 100, size).await.unwrap();
        assert_eq!(found.len(), 21);
        for (index, found) in (0..).zip(found) {
            let chunk = found.chunk.unwrap();
            assert_eq!(
                (found.index, &chunk),
                (index, &all[usize::try_from(index).unwrap()].encode())
            );
            let proved = found.path.and_then(|path| {
                merkle::proved_root(&merkle::leaf_hash(&chunk), index, size, &path)
            });
            assert_eq!(proved, (index < size).then_some(head), "{index} of {size}");
        }
    }
    let (one, path) = spool.proved_log_chunk((LEASE, 0, KEY), 20, 21).await.unwrap().unwrap();
    let leaf = merkle::leaf_hash(&one.encode());
    assert_eq!(merkle::proved_root(&leaf, 20, 21, &path), Some(merkle::root(&leaves)));
    for (index, size) in [(21, 21), (20, 20), (20, 22), (u64::MAX, u64::MAX)] {
        let none = spool.proved_log_chunk((LEASE, 0, KEY), index, size).await.unwrap();
        assert_eq!(none, None, "{index} of {size}");
    }
    let page = spool.log_chunks((LEASE, 0, KEY), 5, 3, 21).await.unwrap();
    assert_eq!(page.iter().map(|chunk| chunk.index).collect::<Vec<_>>(), [5, 6, 7]);
    assert_eq!(spool.log_chunks((LEASE, 0, [9; 32]), 0, 3, 21).await.unwrap(), []);
}

/// Each is refused and told once; what came before can still be proved.
#[tokio::test]
async fn what_does_not_go_on_where_a_log_ends_is_refused_once() {
    let mut forked = chunk(KEY, 1);
    forked.body[0] ^= 1;
    let mut long = chunk(KEY, 2);
    long.body = vec![0; LOG_CHUNK_BYTES_MAX as usize + 1];
    let foreign = |lease, replica| {
        let mut foreign = chunk(KEY, 2);
        (foreign.header.lease, foreign.header.replica) = (LeaseId(lease), replica);
        foreign
    };
    for (bad, why) in [
        (forked, "contradicts"),
        (long, "longer"),
        (chunk(KEY, 3), "missing"),
        (chunk(KEY, u64::MAX), "missing"),
        (foreign(2, 0), "another pod"),
        (foreign(1, 1), "another pod"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(&dir).await;
        add(&spool, chunks(0..2)).await;
        let refused = add(&spool, vec![bad.clone(), bad.clone(), chunk(KEY, 2)]).await;
        let [(key, told)] = refused.refused.as_slice() else { panic!("{why}: {refused:?}") };
        assert!(*key == KEY && told.contains(why), "{told}");
        assert_eq!((refused.added, refused.dropped), (0, 0), "{why}");
        assert_eq!(add(&open(&dir), vec![bad]).await, added(0), "told once, restarts included");
        let [log] = spool.logs(LEASE).await.unwrap().try_into().unwrap();
        assert_eq!((log.chunks, log.first, log.refused.as_ref()), (2, 0, Some(told)));
        assert!(spool.proved_log_chunk((LEASE, 0, KEY), 1, 2).await.unwrap().is_some());
        // The pod's next agent has a log of its own.
        assert_eq!(add(&spool, vec![chunk([4; 32], 0)]).await, added(1));
        assert!(spool.kept_lease(LeaseId(2)).await.unwrap().is_none());
        assert_eq!(spool.logs(LeaseId(2)).await.unwrap(), []);
    }
}

#[tokio::test]
async fn over_the_quota_the_oldest_bodies_go_and_all_that_is_left_is_proved() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(&dir).await;
    let one = chunk(KEY, 0).encode().len() as u64 + LEAF_BYTES;
    let bytes_max = 10 * one;
    let add = |chunks| spool.add_log_chunks(LEASE, 0, chunks, room(bytes_max, None));
    assert_eq!(add(chunks(0..10)).await.unwrap(), added(10));
    // Two bodies make room for one more, as hashes stay.
    let more = add(vec![chunk([4; 32], 0)]).await.unwrap();
    assert_eq!(more, ChunksAdded { dropped: 2, ..added(1) });
    let more = add(chunks(10..14)).await.unwrap();
    assert_eq!((more.added, more.refused.len()), (4, 0));
    let logs = spool.logs(LEASE).await.unwrap();
    assert_eq!(logs[0].chunks, 14);
    let first = logs[0].first;
    assert!((5..10).contains(&first), "{first}");
    let found = spool.log_chunks((LEASE, 0, KEY), 0, 100, 14).await.unwrap();
    assert!(found.iter().all(|found| found.chunk.is_some() == (found.index >= first)));
    assert!(found.iter().all(|found| found.path.is_some()));
    assert!(spool.proved_log_chunk((LEASE, 0, KEY), 13, 14).await.unwrap().is_some());
    assert_eq!(spool.proved_log_chunk((LEASE, 0, KEY), 0, 14).await.unwrap(), None);
    // What was dropped and is read again is known by its hash, and not taken for new.
    assert_eq!(add(chunks(0..1)).await.unwrap(), added(0));
    // In the end there are only hashes, and the log goes on no more.
    let end = add(chunks(14..200)).await.unwrap();
    assert_eq!(end.refused.len(), 1, "{end:?}");
    assert!(end.refused[0].1.contains("keeps no more"), "{end:?}");
}

#[tokio::test]
async fn logs_are_kept_until_the_retention_after_the_leases_end_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(&dir).await;
    add(&spool, chunks(0..2)).await;
    let other = KeptLease { publisher: [9; 32], ..kept(Some(500)) };
    spool.keep_leases([(LEASE, kept(None)), (LeaseId(2), other)].into(), 510).await.unwrap();
    assert_eq!(spool.sweep_logs(vec![], 1_000_000).await.unwrap(), 1, "the other one is over");
    assert_eq!(spool.kept_lease(LeaseId(2)).await.unwrap(), None);
    // It vanishes from the chain: that is its end, and stays it.
    spool.keep_leases([].into(), 1000).await.unwrap();
    spool.keep_leases([].into(), 5000).await.unwrap();
    let spool = open(&dir);
    assert_eq!(spool.kept_lease(LEASE).await.unwrap(), Some(kept(Some(1000))));
    assert_eq!(spool.sweep_logs(vec![], 1100).await.unwrap(), 0);
    assert!(spool.proved_log_chunk((LEASE, 0, KEY), 1, 2).await.unwrap().is_some());
    assert_eq!(spool.sweep_logs(vec![LEASE], 1101).await.unwrap(), 0, "it is on chain");
    assert_eq!(spool.sweep_logs(vec![], 1101).await.unwrap(), 1);
    assert_eq!(spool.logs(LEASE).await.unwrap(), []);
    assert_eq!(spool.kept_lease(LEASE).await.unwrap(), None);
    assert_eq!(add(&spool, chunks(2..3)).await, added(0), "nobody may read it");
    let rows: u32 = spool
        .run(|db| {
            let count = |table| {
                db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| {
                    row.get::<_, u32>(0)
                })
            };
            Ok(count("log_nodes")? + count("log_chunks")? + count("logs")?)
        })
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn the_newest_record_of_each_agent_outlives_the_lease() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(&dir).await;
    let record = |lease, key, sequence| {
        let record = UsageRecord { lease, sequence, to: sequence, ..UsageRecord::default() };
        SignedUsageRecord { record, key, signature: [4; 64], run: None }
    };
    let of = |key, sequence| record(LEASE, key, sequence);
    let all = vec![of(KEY, 1), of(KEY, 2), of([4; 32], 7), record(LeaseId(5), KEY, 1)];
    spool.add_records(all.clone()).await.unwrap();
    assert_eq!(spool.signed_records(LEASE, None, 0).await.unwrap(), all[..3]);
    assert_eq!(spool.signed_records(LEASE, Some(0), 1).await.unwrap(), all[1..3]);
    assert_eq!(spool.signed_records(LEASE, Some(1), 0).await.unwrap(), []);
    spool.forget_agent((LEASE, 0, [4; 32])).await.unwrap();
    assert_eq!(spool.signed_records(LEASE, None, 0).await.unwrap(), all[..3]);
    spool.forget_lease(LEASE).await.unwrap();
    spool.forget_lease(LeaseId(5)).await.unwrap();
    let spool = open(&dir);
    assert_eq!(spool.signed_records(LEASE, None, 0).await.unwrap(), all[1..3]);
    assert_eq!(spool.signed_records(LeaseId(5), None, 0).await.unwrap(), [], "it is not kept");
    assert!(spool.newest_records().await.unwrap().is_empty());
    spool.keep_leases([].into(), 0).await.unwrap();
    spool.sweep_logs(vec![], 101).await.unwrap();
    assert_eq!(spool.signed_records(LEASE, None, 0).await.unwrap(), []);
}

#[tokio::test]
async fn a_lease_has_a_bounded_number_of_logs() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(&dir).await;
    assert_eq!(add(&spool, (0..LOGS_MAX).map(only_chunk).collect()).await, added(LOGS_MAX.into()));
    let more = add(&spool, vec![only_chunk(LOGS_MAX), only_chunk(0)]).await;
    assert_eq!(more, ChunksAdded { too_many: true, ..ChunksAdded::default() });
    assert_eq!(spool.logs(LEASE).await.unwrap().len(), usize::try_from(LOGS_MAX).unwrap());
}

/// Each run has an agent of its own: the provider must be able to prove the newest output of a task
/// however many runs there were, and what the chain may still ask for.
#[tokio::test]
async fn of_a_task_the_oldest_logs_give_way() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(&dir).await;
    let key = |number: u32| only_chunk(number).header.key;
    let record = |number| {
        let record = UsageRecord { lease: LEASE, sequence: 1, ..UsageRecord::default() };
        SignedUsageRecord { record, key: key(number), signature: [4; 64], run: None }
    };
    spool.add_records(vec![record(1), record(2)]).await.unwrap();
    spool.forget_agent((LEASE, 0, key(1))).await.unwrap();
    let all = (0..=LOGS_MAX).map(only_chunk).collect();
    let done = spool.add_log_chunks(LEASE, 0, all, room(LARGE, Some(key(0)))).await.unwrap();
    assert_eq!(done, added(u64::from(LOGS_MAX) + 1));
    let is_proved = async |number| {
        spool.proved_log_chunk((LEASE, 0, key(number)), 0, 1).await.unwrap().is_some()
    };
    assert!(is_proved(LOGS_MAX).await, "the newest");
    assert!(is_proved(0).await, "the oldest, whose head is on chain");
    assert!(!is_proved(1).await && is_proved(2).await, "the oldest after it");
    let records = spool.signed_records(LEASE, None, 0).await.unwrap();
    assert_eq!(records, [record(2)], "the dropped log's record went with it");
    assert_eq!(spool.logs(LEASE).await.unwrap().len(), usize::try_from(LOGS_MAX).unwrap());
    // What was dropped takes no room.
    let size = only_chunk(0).encode().len() as u64 + LEAF_BYTES;
    let used = spool
        .run(|db| db.query_row("SELECT log_bytes FROM kept_leases", [], |row| row.get::<_, i64>(0)))
        .await;
    assert_eq!(unsigned(used.unwrap()), u64::from(LOGS_MAX) * size);
}

/// Hashes of old runs do not add up until nothing more is taken.
#[tokio::test]
async fn of_a_task_old_hashes_give_way_too() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(&dir).await;
    let size = only_chunk(0).encode().len() as u64 + LEAF_BYTES;
    for number in 0..100 {
        let room = room(3 * size, Some([255; 32]));
        let done = spool.add_log_chunks(LEASE, 0, vec![only_chunk(number)], room).await.unwrap();
        assert_eq!((done.added, done.refused.len()), (1, 0), "{number}");
    }
    let newest = (LEASE, 0, only_chunk(99).header.key);
    assert!(spool.proved_log_chunk(newest, 0, 1).await.unwrap().is_some());
}
