//! Pods that wait for secrets get them from vaults: which are asked, by whom, and what is told.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use casemate_client::{chain::AttestedKeys, provider::ProviderClient};
use casemate_evidence::SoftwareTee;
use casemate_manifest::Manifest;
use casemate_primitives::LeaseId;
use casemate_provider::{
    App,
    app::Deps,
    attestation::CollateralFrom,
    courier::{Carry, Errand, PodCarrier, Reach, Trip, TripError},
    facts::VAULTS_ANNOTATION,
    system_clock,
};
use casemate_provider_core::{
    Backend, BackendError, ContainerState, LogBatch, LogLine, LogMark, LogQuery, Pod, PodId,
    PodStatus, SignedUsageRecord,
};
use casemate_ra_tls::{
    EvidenceIssuer, Keys as PodKeys, PodIdentity, Resolver,
    sealed::{Received, Receiver},
    server::{Connection, Endpoints, SecretSink, tls_config},
};
use casemate_software_tee::{client::Launch, wire::Kind};
use casemate_vault::{
    Keys, Master, Options, Vault,
    entry::{Body, Entry, Given, Grant, Key, Source},
    server,
};
use ed25519_dalek::SigningKey;
use futures::future::BoxFuture;
use subxt_signer::sr25519::dev;
use tokio::sync::watch;

use crate::{
    agent::network,
    world::{GENESIS, World, manifest, provider_key, until},
};

/// A backend whose pods' apps have not been started while `waiting` is true.
struct Waits<B> {
    inner: B,
    waiting: Arc<Mutex<bool>>,
}

impl<B: Backend> Backend for Waits<B> {
    async fn apply(&self, pod: &Pod) -> Result<(), BackendError> {
        self.inner.apply(pod).await
    }

    async fn delete(&self, id: PodId, grace: Duration) -> Result<(), BackendError> {
        self.inner.delete(id, grace).await
    }

    async fn delete_volumes(&self, lease: LeaseId) -> Result<(), BackendError> {
        self.inner.delete_volumes(lease).await
    }

    async fn list(&self) -> Result<Vec<PodStatus>, BackendError> {
        let mut pods = self.inner.list().await?;
        if *self.waiting.lock().unwrap() {
            let containers = pods.iter_mut().flat_map(|pod| &mut pod.containers);
            containers.for_each(|container| container.state = ContainerState::Waiting);
        }
        Ok(pods)
    }

    async fn logs(&self, id: PodId, query: &LogQuery) -> Result<Vec<LogLine>, BackendError> {
        self.inner.logs(id, query).await
    }

    async fn usage(&self) -> Result<Vec<(PodId, SignedUsageRecord)>, BackendError> {
        self.inner.usage().await
    }

    async fn forget_usage(&self, id: PodId, to: u64) -> Result<(), BackendError> {
        self.inner.forget_usage(id, to).await
    }

    async fn logged(&self) -> Result<Vec<PodId>, BackendError> {
        self.inner.logged().await
    }

    async fn log_chunks(&self, id: PodId) -> Result<Option<LogBatch>, BackendError> {
        self.inner.log_chunks(id).await
    }

    async fn forget_log_chunks(&self, id: PodId, mark: &LogMark) -> Result<(), BackendError> {
        self.inner.forget_log_chunks(id, mark).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}

/// The first vault does not answer.
#[derive(Clone, Default)]
struct Trips {
    made: Arc<Mutex<Vec<Trip>>>,
    waiting: Arc<Mutex<bool>>,
}

impl Carry for Trips {
    fn carry(&self, trip: Trip) -> BoxFuture<'_, Result<u64, TripError>> {
        let is_first = trip.vault == "http://first.example";
        self.made.lock().unwrap().push(trip);
        if !is_first {
            *self.waiting.lock().unwrap() = false;
        }
        Box::pin(async move { if is_first { Err(TripError::Unreachable) } else { Ok(42) } })
    }
}

fn with_vaults(list: &str) -> String {
    let plain = manifest("a", "a.localhost", 80, 1, "");
    let mut json: serde_json::Value = serde_json::from_str(&plain).unwrap();
    json["metadata"]["annotations"] = serde_json::json!({ VAULTS_ANNOTATION: list });
    let manifest = Manifest::from_json(json.to_string().as_bytes()).unwrap();
    String::from_utf8(manifest.to_canonical_json()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn vaults_that_a_manifest_names_are_tried_in_turn_while_its_pod_waits() {
    let mut world = World::start().await;
    let lease = world
        .deploy(1, dev::alice(), &with_vaults("http://first.example  http://second.example:8200"))
        .await;
    until("the pod", async || {
        let pods = world.backend.list().await.ok()?;
        pods.iter().any(|pod| pod.agent_key.is_some()).then_some(())
    })
    .await;
    world.stop().await;

    let trips = Trips::default();
    *trips.waiting.lock().unwrap() = true;
    let Deps { chain, backend, key, attestor, clock } = world.deps();
    let backend = Waits { inner: backend, waiting: Arc::clone(&trips.waiting) };
    let deps = Deps { chain, backend, key, attestor, clock };
    let app = App::build(world.config.clone(), deps).await.unwrap();
    let app = app.with_courier(Arc::new(trips.clone()));
    let endpoint = format!("http://{}", app.addresses().api);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(app.run(stopped));
    let account = provider_key().public_key().0;
    let client = ProviderClient::new(&endpoint, account, GENESIS, Arc::new(dev::alice())).unwrap();
    let told = until("the release", async || {
        let events = client.events(lease, 0).await.ok()?;
        let told: Vec<String> = events
            .into_iter()
            .filter(|event| ["released", "unreleased"].contains(&event.kind.as_str()))
            .map(|event| event.message)
            .collect();
        (told.len() >= 2).then_some(told)
    })
    .await;
    assert!(told[0].contains("http://first.example: the vault cannot be reached"), "{told:?}");
    assert!(told[1].contains("http://second.example:8200 has released"), "{told:?}");
    let made = trips.made.lock().unwrap().clone();
    assert_eq!(made.len(), 2, "{made:?}");
    let pod = world.backend.list().await.unwrap().remove(0);
    assert!(made.iter().all(|trip| trip.pod == pod.id && trip.genesis_hash == GENESIS));
    assert_eq!(made[0].errand.keys.agent, pod.agent_key.unwrap());
    assert_eq!(made[0].errand.address.port(), 8443);
    stop.send_replace(true);
    running.await.unwrap().unwrap();
}

#[derive(Debug, Default)]
struct Inbox(Mutex<Vec<(String, Vec<u8>)>>);

impl SecretSink for Inbox {
    fn deliver(&self, received: Received) -> Result<(), String> {
        let secrets = received.secrets.iter().map(|(n, v)| (n.to_owned(), v.to_vec()));
        self.0.lock().unwrap().extend(secrets);
        Ok(())
    }
}

const MANIFEST: [u8; 32] = [6; 32];
const AGENT_KEY: [u8; 32] = [9; 32];

fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// An agent that takes releases of `vault`, and a trip to it.
fn pod(id: &str, vault: &Keys) -> (Trip, Arc<Inbox>, String) {
    let launched = network()
        .control
        .launch(&Launch {
            id,
            kind: Kind::IntelTdx,
            version: None,
            agent: &std::env::current_exe().unwrap(),
            root_fs: None,
            manifest_hash: &MANIFEST,
            owner: None,
            misbehave: &[],
        })
        .unwrap();
    let attester = Arc::new(SoftwareTee::connect(&launched.socket).unwrap());
    let identity = PodIdentity {
        genesis_hash: GENESIS,
        lease: LeaseId(5),
        replica: 1,
        manifest_hash: MANIFEST,
    };
    let issuer =
        Arc::new(EvidenceIssuer::new(attester, identity, AGENT_KEY, PodKeys::generate().unwrap()));
    let keys = AttestedKeys {
        agent: AGENT_KEY,
        hpke: issuer.keys().hpke_key(),
        tls_spki_sha256: issuer.keys().tls_spki_sha256(),
    };
    let resolver = Resolver::new(Arc::clone(&issuer), system_clock()).unwrap();
    let config = tls_config(&resolver).unwrap();
    let inbox = Arc::new(Inbox::default());
    let sink: Arc<dyn SecretSink> = Arc::<Inbox>::clone(&inbox);
    let receiver = Receiver::new(Arc::clone(&issuer), vec![vault.id()]);
    let endpoints = Endpoints::new(issuer, resolver).with_secrets(receiver, sink);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let accepted = Connection::accept(stream, Arc::clone(&config), Duration::from_secs(60));
            if let Ok(connection) = accepted {
                connection.serve(&endpoints, Vec::new());
            }
        }
    });
    let errand =
        Errand { address, manifest_hash: MANIFEST, keys, publisher: [2; 32], vaults: vec![] };
    let trip = Trip {
        genesis_hash: GENESIS,
        pod: PodId { lease: LeaseId(5), replica: 1, version: 1 },
        errand,
        vault: String::new(),
        roots: network().roots.clone(),
    };
    (trip, inbox, launched.measurements["workload"].as_str().unwrap().to_owned())
}

fn serve_vault(keys: &Keys, dir: &std::path::Path, workload: &str) -> SocketAddr {
    let options = Options {
        store: dir.join("vault"),
        publisher: publisher().verifying_key().to_bytes(),
        clock: system_clock(),
    };
    let vault = Arc::new(Vault::open(keys.clone(), &options).unwrap());
    let policy =
        serde_json::json!({ "grades": ["software"], "require": { "workload": [workload] } });
    let grant = Grant {
        genesis_hash: GENESIS,
        manifest_hash: MANIFEST,
        lease: None,
        replica: None,
        secrets: vec![Given { name: "DB".into(), from: Source::Secret("db".into()) }],
        policy: policy.to_string(),
        roots: network().roots.clone(),
        minimum_tcb: vec![],
        until: u64::MAX,
    };
    let body = Some(Body::Grant(Box::new(grant)));
    let grant = Entry { vault: keys.id(), version: 2, key: Key::Grant("shop".into()), body };
    let secret = Entry::secret(keys, 1, "db", b"hunter2").unwrap();
    vault.put(vec![secret.sign(&publisher()), grant.sign(&publisher())]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server::serve(&listener, &vault));
    address
}

fn carrier(reach: Reach) -> PodCarrier {
    let from = CollateralFrom::Software(network().socket.clone());
    PodCarrier::new(from, [1; 32], system_clock(), reach)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_carrier_brings_secrets_and_collateral() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Master::generate().unwrap().keys();
    let (trip, inbox, workload) = pod("courier-good", &keys);
    let vault = serve_vault(&keys, dir.path(), &workload);
    let trip = Trip { vault: format!("http://{vault}"), ..trip };
    let carrier = carrier(Reach::Private);
    let first = carrier.carry(trip.clone()).await.unwrap();
    let second = carrier.carry(trip.clone()).await.unwrap();
    assert!(first < second);
    assert_eq!(inbox.0.lock().unwrap()[0], ("DB".to_owned(), b"hunter2".to_vec()));

    // What the vault says no to is told in its words.
    let (other, _, _) = pod("courier-other", &keys);
    let mut other = Trip { vault: trip.vault.clone(), ..other };
    other.errand.manifest_hash = [7; 32];
    let err = carrier.carry(other).await.unwrap_err();
    assert!(matches!(&err, TripError::Pod(reason) if reason.contains("manifest")), "{err}");
    let strange = Master::generate().unwrap().keys();
    let (unwilling, _, _) = pod("courier-unwilling", &strange);
    let unwilling = Trip { vault: trip.vault.clone(), ..unwilling };
    let err = carrier.carry(unwilling).await.unwrap_err();
    assert!(matches!(&err, TripError::Pod(reason) if reason.contains("sender")), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_cannot_send_the_daemon_into_the_providers_network() {
    let keys = Master::generate().unwrap().keys();
    let (trip, _, _) = pod("courier-reach", &keys);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inside = Trip { vault: format!("http://{}", listener.local_addr().unwrap()), ..trip };
    let err = carrier(Reach::Public).carry(inside.clone()).await.unwrap_err();
    let TripError::Address(told) = &err else { panic!("{err}") };
    assert!(told.contains("public") && !told.contains("127.0.0.1"), "{told}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody has knocked");
    for bad in ["ftp://vault.example", "vault", "http://a/b?c"] {
        let trip = Trip { vault: bad.into(), ..inside.clone() };
        let err = carrier(Reach::Public).carry(trip).await.unwrap_err();
        assert!(matches!(err, TripError::Address(_)), "{bad}: {err}");
    }
    // What answers there is not told on.
    drop(listener);
    let err = carrier(Reach::Private).carry(inside).await.unwrap_err();
    assert_eq!(err, TripError::Unreachable);
}
