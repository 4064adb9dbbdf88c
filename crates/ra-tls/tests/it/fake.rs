//! Evidence for tests: a signature over the report data, and who checks it. It is in no program.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use casemate_attestation::{Claims, Grade, Measurements, Tcb, TcbStatus};
use casemate_evidence::TeeKind;
use casemate_primitives::LeaseId;
use casemate_ra_tls::{
    Appraisal, Appraiser, Attester, Clock, EvidenceError, EvidenceIssuer, Expected, Keys,
    PodIdentity, RawEvidence, Refusal, Resolver,
    client::Options,
    sealed::{Received, Receiver},
    server::{Connection, Endpoints, SecretSink, tls_config},
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const POD: PodIdentity =
    PodIdentity { genesis_hash: [1; 32], lease: LeaseId(5), replica: 2, manifest_hash: [3; 32] };

/// A machine with a vendor's key.
#[derive(Debug)]
pub(crate) struct FakeTee {
    vendor: SigningKey,
    /// Report data that it puts in instead of what was asked for.
    pub(crate) lie: Mutex<Option<[u8; 64]>>,
    pub(crate) broken: Mutex<bool>,
    /// How many pieces it has made.
    pub(crate) count: AtomicU64,
    /// How often it was asked.
    pub(crate) tried: AtomicU64,
}

impl FakeTee {
    pub(crate) fn new(vendor: u8) -> Arc<Self> {
        Arc::new(Self {
            vendor: SigningKey::from_bytes(&[vendor; 32]),
            lie: Mutex::default(),
            broken: Mutex::default(),
            count: AtomicU64::new(0),
            tried: AtomicU64::new(0),
        })
    }
}

impl Attester for FakeTee {
    fn kind(&self) -> TeeKind {
        TeeKind::IntelTdx
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<RawEvidence, EvidenceError> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        if *self.broken.lock().unwrap() {
            return Err(EvidenceError::Provider("broken".into()));
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        let data = self.lie.lock().unwrap().unwrap_or(*report_data);
        let signature = self.vendor.sign(&data).to_bytes();
        Ok(RawEvidence::new(TeeKind::IntelTdx, [data, signature].concat()))
    }
}

/// Trusts one vendor.
#[derive(Debug)]
pub(crate) struct FakeVerifier {
    pub(crate) vendor: VerifyingKey,
    pub(crate) not_after: u64,
}

pub(crate) fn verifier(vendor: u8) -> Arc<FakeVerifier> {
    let vendor = SigningKey::from_bytes(&[vendor; 32]).verifying_key();
    Arc::new(FakeVerifier { vendor, not_after: NOW + 1_000_000 })
}

impl Appraiser for FakeVerifier {
    fn appraise(
        &self,
        evidence: &RawEvidence,
        // Left to the crate under test.
        _report_data: &[u8; 64],
        _now: u64,
    ) -> Result<Appraisal, Refusal> {
        let (data, signature) = evidence
            .evidence
            .split_first_chunk::<64>()
            .ok_or_else(|| Refusal::new("no evidence of the test's"))?;
        let signature =
            Signature::from_slice(signature).map_err(|_| Refusal::new("no signature"))?;
        self.vendor
            .verify_strict(data, &signature)
            .map_err(|_| Refusal::new("not signed by the vendor"))?;
        let claims = Claims {
            kind: evidence.kind,
            grade: Grade::Software,
            measurements: Measurements::SevSnp {
                measurement: [0; 48],
                host_data: [0; 32],
                id_key_digest: [0; 48],
                author_key_digest: [0; 48],
                guest_svn: 0,
                vmpl: 0,
                policy: 0,
            },
            report_data: *data,
            debug: false,
            tcb: Tcb {
                status: TcbStatus::UpToDate,
                advisories: vec![],
                date: None,
                evaluation: None,
            },
            platform_id: vec![1],
            product: "test".into(),
            not_after: self.not_after,
        };
        Ok(Appraisal { claims, verdict: serde_json::Value::Null })
    }
}

/// A clock that stands where it is put.
#[derive(Clone, Debug)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    pub(crate) fn set(&self, now: u64) {
        self.0.store(now, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let this = self.clone();
        Arc::new(move || this.0.load(Ordering::SeqCst))
    }
}

/// Remembers what was delivered.
#[derive(Debug, Default)]
pub(crate) struct Inbox(pub(crate) Mutex<Vec<Received>>);

impl SecretSink for Inbox {
    fn deliver(&self, received: Received) -> Result<(), String> {
        self.0.lock().unwrap().push(received);
        Ok(())
    }
}

/// An agent that serves on loopback.
pub(crate) struct Agent {
    pub(crate) tee: Arc<FakeTee>,
    pub(crate) clock: TestClock,
    pub(crate) issuer: Arc<EvidenceIssuer>,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) address: SocketAddr,
}

impl Agent {
    pub(crate) fn start() -> Self {
        Self::with(FakeTee::new(1), POD)
    }

    pub(crate) fn with(tee: Arc<FakeTee>, pod: PodIdentity) -> Self {
        let clock = TestClock::new();
        let keys = Keys::generate().unwrap();
        let issuer = Arc::new(EvidenceIssuer::new(tee.clone(), pod, [4; 32], keys));
        let resolver = Resolver::new(issuer.clone(), clock.clock()).unwrap();
        let inbox = Arc::new(Inbox::default());
        let endpoints = Endpoints::new(issuer.clone(), resolver.clone())
            .with_secrets(Receiver::new(issuer.clone(), vec![]), inbox.clone());
        let config = tls_config(&resolver).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let endpoints = Arc::new(endpoints);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, endpoints) = (config.clone(), endpoints.clone());
                thread::spawn(move || {
                    if let Ok(connection) = Connection::accept(stream.unwrap(), config, PATIENCE) {
                        connection.serve(&endpoints, Vec::new());
                    }
                });
            }
        });
        Self { tee, clock, issuer, resolver, inbox, address }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Options for a client that expects this very pod.
    pub(crate) fn options(&self) -> Options {
        let pod = self.issuer.pod();
        let mut options = Options::new(Expected {
            genesis_hash: Some(pod.genesis_hash),
            lease: Some(pod.lease),
            replica: Some(pod.replica),
            manifest_hash: Some(pod.manifest_hash),
            agent_key: None,
        });
        options.timeout = PATIENCE;
        options.clock = self.clock.clock();
        options
    }
}
