//! Over real connections: a vault's HTTP, an agent's RA-TLS, and a carrier in between.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use casemate_attestation::{Grade, bundle::Bundle, policy::Policy};
use casemate_ra_tls::{
    Expected, PolicyAppraiser, Resolver,
    client::{Options, Session},
    sealed::{Received, Receiver},
    server::{Connection, Endpoints, SecretSink, tls_config},
    system_clock,
};
use casemate_vault::{
    client::{Client, ClientError},
    courier::{CarryError, carry},
    server,
    wire::{Command, Reply, Snapshot},
};

use crate::network::{Pod, World, identity, network};

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
struct Inbox(Mutex<Vec<(String, Vec<u8>)>>);

impl SecretSink for Inbox {
    fn deliver(&self, received: Received) -> Result<(), String> {
        let secrets = received.secrets.iter().map(|(n, v)| (n.to_owned(), v.to_vec()));
        self.0.lock().unwrap().extend(secrets);
        Ok(())
    }
}

/// Serves a pod's endpoints as its agent does.
fn serve_pod(pod: &Pod, world: &World) -> (SocketAddr, Arc<Inbox>) {
    let inbox = Arc::new(Inbox::default());
    let issuer = Arc::clone(&pod.issuer);
    let resolver = Resolver::new(Arc::clone(&issuer), system_clock()).unwrap();
    resolver.renew().unwrap();
    let config = tls_config(&resolver).unwrap();
    let receiver = Receiver::new(Arc::clone(&issuer), vec![world.keys.id()]);
    let sink: Arc<dyn SecretSink> = Arc::<Inbox>::clone(&inbox);
    let endpoints = Arc::new(Endpoints::new(issuer, resolver).with_secrets(receiver, sink));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, endpoints) = (Arc::clone(&config), Arc::clone(&endpoints));
            std::thread::spawn(move || {
                if let Ok(connection) = Connection::accept(stream, config, PATIENCE) {
                    connection.serve(&endpoints, Vec::new());
                }
            });
        }
    });
    (address, inbox)
}

fn session(address: SocketAddr) -> Session {
    let mut bundle = Bundle::default();
    network().collateral.iter().for_each(|piece| bundle.add(piece).unwrap());
    let policy = Policy { grades: vec![Grade::Software], ..Policy::default() };
    let roots = network().roots.clone();
    let appraiser = PolicyAppraiser::new(policy, roots, Arc::new(bundle), None);
    let mut options = Options::new(Expected::default());
    options.timeout = PATIENCE;
    Session::connect(&address.to_string(), Arc::new(appraiser), options).unwrap()
}

fn serve_vault(world: &World, name: &str) -> Client {
    let vault = Arc::new(world.vault(name));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || server::serve(&listener, &vault));
    Client::new(&format!("http://{address}"), PATIENCE).unwrap()
}

#[test]
fn a_carrier_brings_secrets_from_a_vault_to_an_agent() {
    let world = World::new();
    let client = serve_vault(&world, "a");
    assert_eq!(client.health().unwrap().vault, hex::encode(world.keys.id()));
    let taken = client.command(&world.keys, &Command::Put(world.shop())).unwrap();
    assert_eq!(taken, Reply::Taken(2));
    let pod = Pod::start(identity(5, 0), &world.keys);
    let (address, inbox) = serve_pod(&pod, &world);
    let mut agent = session(address);
    let first = carry(&client, &mut agent, &network().collateral).unwrap();
    let second = carry(&client, &mut agent, &network().collateral).unwrap();
    assert!(first < second);
    let got = inbox.0.lock().unwrap();
    assert_eq!(got.first().unwrap(), &("DB_PASSWORD".to_owned(), b"hunter2".to_vec()));
    // An agent gives its evidence for what it was asked, and no other nonce's.
    drop(got);
    let err = carry(&serve_vault(&world, "empty"), &mut agent, &network().collateral).unwrap_err();
    let CarryError::Vault(ClientError::Refused { status: 403, problem }) = err else {
        panic!("{err}")
    };
    assert_eq!(problem.code, "noGrant");
}

#[test]
fn strangers_and_broken_messages_get_a_reason_and_nothing_else() {
    let world = World::new();
    let client = serve_vault(&world, "a");
    let stranger = World::new();
    let err = client.command(&stranger.keys, &Command::List).unwrap_err();
    assert!(
        matches!(&err, ClientError::Refused { status: 403, problem } if problem.code == "notOpened")
    );
    let err = client.merge(b"nothing").unwrap_err();
    assert!(matches!(&err, ClientError::Refused { problem, .. } if problem.code == "notOpened"));
    let err = client.release(b"nothing", &[]).unwrap_err();
    assert!(
        matches!(&err, ClientError::Refused { status: 400, problem } if problem.code == "evidence")
    );
    let err = client.release(b"nothing", &vec![vec![]; 17]).unwrap_err();
    assert!(matches!(&err, ClientError::Refused { status: 413, .. }), "{err}");
    assert!(client.snapshot().unwrap().len() < 100);
}

#[test]
fn whoever_asks_too_often_waits() {
    let world = World::new();
    let client = serve_vault(&world, "a");
    let is_busy = |_| matches!(client.nonce(), Err(ClientError::Refused { status: 429, ref problem }) if problem.code == "busy");
    let snapshots: Vec<bool> = (0..20).map(|_| client.snapshot().is_ok()).collect();
    assert!(snapshots[0] && !snapshots[19], "{snapshots:?}");
    assert!((0..5000).any(is_busy));
    // Its health can still be asked for, and its publisher is no stranger.
    client.health().unwrap();
    for _ in 0..300 {
        let reply = client.command(&world.keys, &Command::Put(vec![world.secret("a", b"new")]));
        assert_eq!(reply.unwrap(), Reply::Taken(1));
    }
    assert_eq!(client.entries(&world.keys).unwrap().len(), 1);
    assert_eq!(client.merge(&Snapshot::default().seal(&world.keys).unwrap()).unwrap(), 0);
    assert!((0..5000).any(is_busy));
}
