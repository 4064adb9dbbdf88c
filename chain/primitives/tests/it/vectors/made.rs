//! What the vectors are about.

use casemate_primitives::{
    merkle, AgentPublicKey, Contradiction, Hash256, HostMeasured, LeaseId, LogChunk,
    LogChunkHeader, LogHead, PodState, Quantities, UsageRecord,
};

pub(super) const GENESIS: Hash256 = [0xc5; 32];
pub(super) const OTHER_GENESIS: Hash256 = [0xc6; 32];
pub(super) const MANIFEST: Hash256 = [0x3a; 32];

/// A pod of half a core, 256 MiB of memory, 1 GiB of disk and no GPU: ten seconds, ten asleep, ten
/// more in which the host alone has counted traffic, and three until the app has ended by itself.
pub(super) fn chain_of_records() -> [UsageRecord; 4] {
    let (lease, replica) = (LeaseId(7), 1);
    let key = super::key(1).verifying_key().to_bytes();
    let first = UsageRecord {
        lease,
        replica,
        sequence: 1,
        previous: [0; 32],
        from: 1_790_000_000,
        to: 1_790_000_010,
        state: PodState::Running,
        running_seconds: 10,
        total: held(10, 3, 1),
        actual: Quantities {
            cpu_millicore_seconds: 1_234,
            memory_mib_seconds: 640,
            storage_mib_seconds: 0,
            gpu_seconds: 0,
            egress_mib: 3,
            ingress_mib: 1,
        },
        host_measured: HostMeasured(0),
        log: LogHead { root: [0x10; 32], chunks: 1 },
        evidence: UsageRecord::evidence_id(&GENESIS, lease, replica, &MANIFEST, &key),
    };
    let second = UsageRecord {
        sequence: 2,
        previous: first.hash(),
        from: 1_790_000_010,
        to: 1_790_000_020,
        state: PodState::Sleeping,
        ..first
    };
    let third = UsageRecord {
        sequence: 3,
        previous: second.hash(),
        from: 1_790_000_020,
        to: 1_790_000_030,
        state: PodState::Running,
        running_seconds: 20,
        total: held(20, 3, 1),
        actual: Quantities {
            cpu_millicore_seconds: 5_678,
            memory_mib_seconds: 1_280,
            egress_mib: 9,
            ..first.actual
        },
        host_measured: HostMeasured::TRAFFIC,
        log: LogHead { root: [0x20; 32], chunks: 4 },
        ..first
    };
    let fourth = UsageRecord {
        sequence: 4,
        previous: third.hash(),
        from: 1_790_000_030,
        to: 1_790_000_033,
        state: PodState::Ended { code: 137 },
        running_seconds: 23,
        total: held(23, 3, 1),
        ..third
    };
    assert!(first.is_followed_by(&second) && second.is_followed_by(&third));
    assert!(third.is_followed_by(&fourth));
    [first, second, third, fourth]
}

fn held(seconds: u64, egress_mib: u64, ingress_mib: u64) -> Quantities {
    Quantities {
        cpu_millicore_seconds: 500 * seconds,
        memory_mib_seconds: 256 * seconds,
        storage_mib_seconds: 1_024 * seconds,
        gpu_seconds: 0,
        egress_mib,
        ingress_mib,
    }
}

/// Records with each field at its end.
pub(super) fn extreme_records() -> [(String, UsageRecord); 2] {
    let most = Quantities {
        cpu_millicore_seconds: u64::MAX,
        memory_mib_seconds: u64::MAX,
        storage_mib_seconds: u64::MAX,
        gpu_seconds: u64::MAX,
        egress_mib: u64::MAX,
        ingress_mib: u64::MAX,
    };
    let largest = UsageRecord {
        lease: LeaseId(u64::MAX),
        replica: u16::MAX,
        sequence: u64::MAX,
        previous: [0xff; 32],
        from: u64::MAX,
        to: u64::MAX,
        state: PodState::Sleeping,
        running_seconds: u64::MAX,
        total: most,
        actual: most,
        host_measured: HostMeasured(0xff),
        log: LogHead { root: [0xff; 32], chunks: u64::MAX },
        evidence: [0xff; 32],
    };
    [("all zeros".into(), UsageRecord::default()), ("all at their largest".into(), largest)]
}

type PairCase = (&'static str, UsageRecord, UsageRecord, Option<Contradiction>);

/// Two records of one key, and how they contradict each other.
pub(super) fn pairs() -> Vec<PairCase> {
    use Contradiction::{AfterEnd, Forked, Link, Log, Span, Total};
    let [first, second, third, ended] = chain_of_records();
    let change = |mut record: UsageRecord, change: fn(&mut UsageRecord)| {
        change(&mut record);
        record
    };
    let later = |alter| change(change(third, |r| r.sequence = 9), alter);
    vec![
        ("the end after the rest", third, ended, None),
        (
            "another exit code under one number",
            ended,
            change(ended, |r| r.state = PodState::Ended { code: 0 }),
            Some(Forked),
        ),
        (
            "a record right after the end",
            ended,
            UsageRecord {
                sequence: 5,
                previous: ended.hash(),
                from: ended.to,
                state: PodState::Running,
                ..ended
            },
            Some(AfterEnd),
        ),
        ("a record long after the end", ended, later(|r| r.from = u64::MAX), Some(AfterEnd)),
        ("neighbours", first, second, None),
        ("one left out between them", first, third, None),
        ("the same record twice", first, first, None),
        (
            "a gap in time, with one left out",
            first,
            later(|r| (r.from, r.to) = (u64::MAX, u64::MAX)),
            None,
        ),
        ("of another lease", first, change(first, |r| r.lease = LeaseId(8)), None),
        ("of another replica", first, change(first, |r| r.replica = 2), None),
        (
            "other evidence under one number",
            first,
            change(first, |r| r.evidence = [1; 32]),
            Some(Forked),
        ),
        (
            "another state under one number",
            second,
            change(second, |r| r.state = PodState::Running),
            Some(Forked),
        ),
        ("begins a second too early", first, later(|r| r.from = 1_790_000_009), Some(Span)),
        ("ends before it begins", first, later(|r| r.to = r.from - 1), Some(Span)),
        ("less charged", first, later(|r| r.total.memory_mib_seconds = 2_559), Some(Total)),
        ("less traffic charged", first, later(|r| r.total.egress_mib = 2), Some(Total)),
        ("less used", first, later(|r| r.actual.cpu_millicore_seconds = 1_233), Some(Total)),
        ("fewer running seconds", first, later(|r| r.running_seconds = 9), Some(Total)),
        ("a shorter log", first, later(|r| r.log.chunks = 0), Some(Log)),
        ("another log of the same length", first, later(|r| r.log.chunks = 1), Some(Log)),
        ("names another predecessor", first, change(second, |r| r.previous = [0; 32]), Some(Link)),
        ("a gap in time right after", first, change(second, |r| r.from += 1), Some(Link)),
    ]
}

/// Two chunks of one log. Their bodies are not looked at here: any bytes.
pub(super) fn chunks(key: AgentPublicKey) -> [LogChunk; 2] {
    let chunk = |index: u64, first_line, lines, dropped, body: Vec<u8>| LogChunk {
        header: LogChunkHeader {
            lease: LeaseId(7),
            replica: 1,
            key,
            index,
            from_ms: 1_790_000_000_123 + 1_000 * index,
            to_ms: 1_790_000_000_999 + 1_000 * index,
            first_line,
            lines,
            dropped,
        },
        body,
    };
    // The second one's length takes two bytes.
    [chunk(0, 0, 2, 0, (0..60).collect()), chunk(1, 7, 1, 5, (0..70).rev().collect())]
}

/// That a tree of the first `size` of these leaves is what the tree over all has grown from
/// (RFC 9162, section 2.1.4.1).
pub(super) fn consistency(leaves: &[Hash256], size: usize) -> Vec<Hash256> {
    fn proof(size: usize, leaves: &[Hash256], is_known: bool) -> Vec<Hash256> {
        if size == leaves.len() {
            return if is_known { Vec::new() } else { vec![merkle::root(leaves)] };
        }
        let split = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(split);
        let (mut path, other) = if size <= split {
            (proof(size, left, is_known), right)
        } else {
            (proof(size - split, right, false), left)
        };
        path.push(merkle::root(other));
        path
    }
    proof(size, leaves, true)
}
