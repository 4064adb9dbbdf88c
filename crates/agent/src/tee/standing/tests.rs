use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use casemate_evidence::{Attester, EvidenceError, RawEvidence};
use casemate_primitives::{LeaseId, TeeKind};
use casemate_ra_tls::{EvidenceIssuer, Keys, LIFETIME_SECONDS, PodIdentity};

use super::*;

/// Fails so many times, then works.
#[derive(Debug, Default)]
struct Tee(AtomicUsize);

impl Attester for Tee {
    fn kind(&self) -> TeeKind {
        TeeKind::IntelTdx
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
        let fail = |left: usize| left.checked_sub(1);
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail) {
            Ok(_) => Err(EvidenceError::Provider("busy".into())),
            Err(_) => Ok(RawEvidence::new(TeeKind::IntelTdx, report_data.to_vec())),
        }
    }
}

struct Case {
    tee: Arc<Tee>,
    now: Arc<AtomicU64>,
    resolver: Arc<Resolver>,
    told: Receiver<EventKind>,
}

fn available() -> EventKind {
    EventKind::EvidenceAvailable {
        tee: TeeKind::IntelTdx,
        port: 1,
        hpke_key: String::new(),
        tls_spki_sha256: String::new(),
    }
}

fn case() -> Case {
    let tee = Arc::new(Tee::default());
    let now = Arc::new(AtomicU64::new(1_800_000_000));
    let pod = PodIdentity {
        genesis_hash: [1; 32],
        lease: LeaseId(1),
        replica: 0,
        manifest_hash: [2; 32],
    };
    let keys = Keys::generate().unwrap();
    let attester: Arc<dyn Attester> = tee.clone();
    let issuer = Arc::new(EvidenceIssuer::new(attester, pod, [3; 32], keys));
    let clock = Arc::clone(&now);
    let resolver = Resolver::new(issuer, Arc::new(move || clock.load(Ordering::SeqCst))).unwrap();
    resolver.renew().unwrap();
    let (sender, told) = sync_channel(100);
    let failures = Standing::observe(&resolver, available(), move |event| {
        sender.send(event).unwrap();
    });
    let renewed = Arc::clone(&resolver);
    // Short pauses: what is tested is that it tries again.
    let pauses = (Duration::from_millis(1), Duration::from_millis(2));
    thread::spawn(move || retry(&renewed, &failures, pauses));
    Case { tee, now, resolver, told }
}

impl Case {
    /// Brings the certificate to the second half of its life, or past its end.
    fn age(&self, seconds: u64, failures: usize) {
        self.tee.0.store(failures, Ordering::SeqCst);
        self.now.fetch_add(seconds, Ordering::SeqCst);
        let _ = self.resolver.renew();
    }
}

#[test]
fn a_failed_renewal_is_not_told_while_the_certificate_serves() {
    let case = case();
    for _ in 0..3 {
        let before = case.resolver.certificate().unwrap();
        case.age(LIFETIME_SECONDS - 10, 2);
        assert!(case.resolver.certificate().is_some());
        // Nobody makes a handshake: it is renewed all the same.
        while case.resolver.certificate() == Some(before.clone()) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(case.told.try_recv().is_err());
}

#[test]
fn evidence_that_is_gone_is_told_once_and_told_again_when_it_is_back() {
    let case = case();
    for _ in 0..2 {
        case.age(LIFETIME_SECONDS + 1, 5);
        let gone = case.told.recv().unwrap();
        let EventKind::EvidenceUnavailable { reason } = gone else { panic!("{gone:?}") };
        assert!(reason.contains("busy"), "{reason}");
        assert_eq!(case.told.recv().unwrap(), available());
        assert!(case.resolver.certificate().is_some());
    }
    assert!(case.told.try_recv().is_err());
}
