use casemate_primitives::{LeaseId, Resources};
use codec::Encode as _;
use proptest::prelude::*;

use super::*;
use crate::event::EventKind;

fn config() -> SignerConfig {
    SignerConfig {
        genesis_hash: [9; 32],
        lease: LeaseId(7),
        replica: 2,
        quota: Resources { cpu_millicores: 500, memory_mib: 64, storage_mib: 10, gpus: 1 },
        record_interval_ms: 1000,
        previous: None,
    }
}

fn signer(start: u64) -> Signer {
    Signer::new(config(), start).unwrap()
}

fn traffic(sent_bytes: u64, received_bytes: u64) -> Observed {
    Observed {
        usage: Usage { sent_bytes, received_bytes, ..Usage::default() },
        ..Observed::default()
    }
}

const NOTHING: Observed = Observed {
    usage: Usage {
        cpu_usec: 0,
        memory_byte_ms: 0,
        storage_byte_ms: 0,
        sent_bytes: 0,
        received_bytes: 0,
        host_measured: HostMeasured(0),
    },
    state: PodState::Running,
    log: LogHead { root: [0; 32], chunks: 0 },
    evidence: [0; 32],
};

#[test]
fn the_first_record_adds_nothing_and_the_next_the_quota() {
    let mut signer = signer(1000);
    let (first, _) = signer.record(1000, Duration::ZERO, &NOTHING);
    assert_eq!((first.sequence, first.from, first.to), (1, 1000, 1000));
    assert_eq!((first.total, first.previous), (Quantities::default(), [0; 32]));
    let (second, _) = signer.record(1010, Duration::from_secs(10), &traffic(5 << 20, 3 << 20));
    assert_eq!((second.sequence, second.from, second.to), (2, 1000, 1010));
    assert_eq!(second.running_seconds, 10);
    assert_eq!(second.total.cpu_millicore_seconds, 5000);
    assert_eq!(second.total.memory_mib_seconds, 640);
    assert_eq!((second.total.gpu_seconds, second.actual.gpu_seconds), (10, 10));
    assert_eq!((second.total.egress_mib, second.total.ingress_mib), (5, 3));
    assert!(first.is_followed_by(&second));
}

#[test]
fn what_was_used_is_told_beside_what_is_charged() {
    let mut signer = signer(1000);
    let usage = Usage {
        cpu_usec: 1_500_500,
        memory_byte_ms: (3 << 20) * 10_000,
        storage_byte_ms: (1 << 20) * 10_000,
        sent_bytes: (1 << 20) - 1,
        received_bytes: 1,
        host_measured: HostMeasured::STORAGE,
    };
    let observed =
        Observed { usage, log: LogHead { root: [4; 32], chunks: 3 }, evidence: [5; 32], ..NOTHING };
    let (record, _) = signer.record(1010, Duration::from_secs(10), &observed);
    assert_eq!(record.actual.cpu_millicore_seconds, 1500);
    assert_eq!(record.actual.memory_mib_seconds, 30);
    assert_eq!(record.actual.storage_mib_seconds, 10);
    assert_eq!((record.actual.egress_mib, record.actual.ingress_mib), (0, 0));
    assert_eq!(record.host_measured, HostMeasured::STORAGE);
    assert_eq!((record.log.chunks, record.evidence), (3, [5; 32]));
    assert_eq!(record.total.cpu_millicore_seconds, 5000);
    // Parts of a unit are not lost from one record to the next.
    let part = Usage { cpu_usec: 500, sent_bytes: 1, ..Usage::default() };
    let observed = Observed { usage: part, ..NOTHING };
    let (record, _) = signer.record(1011, Duration::from_secs(11), &observed);
    assert_eq!((record.actual.cpu_millicore_seconds, record.actual.egress_mib), (1501, 1));
    assert_eq!(record.total.egress_mib, 1);
    assert_eq!(record.host_measured, HostMeasured::STORAGE, "a part of the sum is the host's");
}

#[test]
fn traffic_that_the_host_has_measured_is_told_and_never_charged() {
    let mut signer = signer(1000);
    let mut observed = traffic(5 << 20, 4 << 20);
    observed.usage.host_measured = HostMeasured::TRAFFIC;
    let (record, _) = signer.record(1010, Duration::from_secs(10), &observed);
    assert_eq!((record.total.egress_mib, record.total.ingress_mib), (0, 0));
    assert_eq!((record.actual.egress_mib, record.actual.ingress_mib), (5, 4));
    assert_eq!(record.host_measured, HostMeasured::TRAFFIC);
}

#[test]
fn nothing_is_metered_while_the_pod_sleeps() {
    let mut signer = signer(1000);
    let (awake, _) = signer.record(1010, Duration::from_secs(10), &traffic(1 << 20, 1 << 20));
    let mut observed = traffic(9 << 20, 9 << 20);
    observed.usage.cpu_usec = 1_000_000;
    observed.usage.host_measured = HostMeasured::CPU;
    observed.state = PodState::Sleeping;
    let (asleep, _) = signer.record(1110, Duration::from_secs(110), &observed);
    assert_eq!((asleep.from, asleep.to, asleep.state), (1010, 1110, PodState::Sleeping));
    assert_eq!(asleep.running_seconds, 10);
    assert_eq!((asleep.total, asleep.actual), (awake.total, awake.actual));
    assert_eq!(asleep.host_measured, HostMeasured::default());
    let (again, _) = signer.record(1115, Duration::from_secs(115), &NOTHING);
    assert_eq!((again.running_seconds, again.total.cpu_millicore_seconds), (15, 7500));
    assert!(awake.is_followed_by(&asleep) && asleep.is_followed_by(&again));
}

#[test]
fn a_clock_set_back_or_forward_neither_breaks_the_chain_nor_charges_more() {
    let mut signer = signer(1000);
    let (a, _) = signer.record(1005, Duration::from_secs(5), &NOTHING);
    let (b, _) = signer.record(10, Duration::from_secs(6), &NOTHING);
    assert_eq!((b.from, b.to), (1005, 1005));
    let (c, _) = signer.record(999_999, Duration::from_secs(7), &NOTHING);
    assert_eq!(c.to, 1007);
    assert!(a.is_followed_by(&b) && b.is_followed_by(&c));
}

#[test]
fn two_signers_have_two_keys() {
    assert_ne!(signer(0).public_key(), signer(0).public_key());
}

/// The last record of an agent of this configuration, as a host keeps it.
fn last_of(config: SignerConfig) -> (UsageRecord, PreviousRecord) {
    let mut signer = Signer::new(config, 1000).unwrap();
    let (record, signature) = signer.record(1020, Duration::from_secs(20), &NOTHING);
    let previous = PreviousRecord {
        key: hex::encode(signer.public_key()),
        record: hex::encode(record.encode()),
        signature: hex::encode(signature),
    };
    (record, previous)
}

fn after(previous: PreviousRecord, now: u64) -> UsageRecord {
    let config = SignerConfig { previous: Some(previous), ..config() };
    Signer::new(config, now).unwrap().record(now, Duration::ZERO, &NOTHING).0
}

#[test]
fn the_chain_of_hashes_goes_on_from_the_agent_before() {
    let (last, previous) = last_of(config());
    let first = after(previous.clone(), 1030);
    assert_eq!((first.previous, first.sequence, first.from), (last.hash(), 1, 1030));
    assert_eq!(first.total, Quantities::default(), "a key vouches for what it saw");
    // A clock that lags charges no second twice.
    assert_eq!(after(previous, 1005).from, 1020);
}

#[test]
fn a_host_can_not_make_up_what_was_before() {
    let (_, previous) = last_of(config());
    let none = |previous: PreviousRecord| {
        let first = after(previous, 1030);
        assert_eq!((first.previous, first.from), ([0; 32], 1030));
    };
    for (lease, replica, genesis_hash) in
        [(LeaseId(8), 2, [9; 32]), (LeaseId(7), 1, [9; 32]), (LeaseId(7), 2, [8; 32])]
    {
        none(last_of(SignerConfig { lease, replica, genesis_hash, ..config() }).1);
    }
    let other = last_of(config()).1;
    none(PreviousRecord { key: other.key, ..previous.clone() });
    none(PreviousRecord { signature: other.signature, ..previous.clone() });
    none(PreviousRecord { record: "00".into(), ..previous.clone() });
    none(PreviousRecord { record: "zz".into(), ..previous.clone() });
    none(PreviousRecord { key: String::new(), ..previous });
}

proptest! {
    #[test]
    fn whatever_the_clocks_do_it_is_a_verifiable_chain_within_quota(
        steps in proptest::collection::vec(
            (any::<u32>(), 0u64..100_000, any::<u32>(), any::<bool>(), 0u8..32), 1..20),
    ) {
        let mut signer = signer(1_000_000);
        let key = signer.public_key();
        let (mut elapsed, mut awake) = (0, 0);
        let mut last: Option<UsageRecord> = None;
        for (now, passed, sent, sleeps, host) in steps {
            elapsed += passed;
            let mut observed = traffic(sent.into(), u64::from(sent) * 2);
            observed.usage.cpu_usec = sent.into();
            observed.usage.host_measured = HostMeasured(host);
            observed.state = if sleeps { PodState::Sleeping } else { PodState::Running };
            let (record, signature) =
                signer.record(now.into(), Duration::from_secs(elapsed), &observed);
            let EventKind::Record { record: r, signature: s, .. } =
                EventKind::record(&record, &signature) else { unreachable!() };
            prop_assert_eq!(decode_record(&r, &s, &key, &[9; 32]).unwrap().0, record);
            prop_assert!(decode_record(&r, &s, &key, &[8; 32]).is_err());
            prop_assert!(record.to - 1_000_000 <= elapsed);
            if !sleeps {
                awake += record.to - record.from;
            }
            prop_assert_eq!(record.running_seconds, awake);
            let most = Quantities::quota(&config().quota, awake).unwrap();
            prop_assert!(record.total.within_quota(&most));
            prop_assert!(record.total.egress_mib <= record.actual.egress_mib);
            if let Some(last) = last {
                prop_assert!(last.is_followed_by(&record));
                prop_assert!(!sleeps || record.total == last.total);
            }
            last = Some(record);
        }
    }
}
