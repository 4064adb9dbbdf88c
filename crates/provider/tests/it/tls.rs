//! TLS that ends in the pods: real sockets, with rustls and RA-TLS on both ends.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
};

use casemate_attestation::{
    Grade,
    dcap::{Quote, RawCollateral},
    policy::Policy,
    sev_snp::{RawEndorsements, Report},
};
use casemate_client::api::{AgentEndpoint, AgentName, RefusalCode};
use casemate_primitives::{LeaseId, TeeKind, blake2_256};
use casemate_provider_core::{Attestation, AttestationEndpoint, PodId};
use casemate_ra_tls::{
    CollateralSource, Expected, PeerError, PodIdentity, PolicyAppraiser,
    client::{Options, Session, SessionError},
};
use casemate_software_tee::wire::Kind;
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use subxt_signer::sr25519::dev;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    agent::{network, serve},
    world::{GENESIS, World, loopback, manifest, until},
};

pub(crate) const INTERNAL_ERROR: u8 = 80;
const MISSING_EXTENSION: u8 = 109;
const UNRECOGNIZED_NAME: u8 = 112;

/// What a client sends first. `extra` makes it longer by about as many bytes, as post-quantum keys do.
pub(crate) fn hello(name: Option<&str>, extra: usize) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![vec![b'x'; 250]; extra / 250];
    // An address is not sent as a name.
    let name = ServerName::try_from(name.unwrap_or("192.0.2.1").to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// From another address of this machine.
async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// All that comes, however the connection ends.
async fn rest_of(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// The alert with which this is answered.
pub(crate) async fn alert(to: SocketAddr, bytes: &[u8]) -> u8 {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let answer = rest_of(stream).await;
    assert!(
        answer.len() == 7 && answer[0] == 21 && answer[3..6] == [0, 2, 2],
        "a fatal alert: {answer:02x?}"
    );
    answer[6]
}

/// The last of the first seven bytes that answer a hello: an alert's description, or a letter of what
/// a pod's port says.
async fn first(to: SocketAddr, name: &str) -> u8 {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&hello(Some(name), 0)).await.unwrap();
    let mut got = [0; 7];
    stream.read_exact(&mut got).await.unwrap();
    got[6]
}

/// Takes connections as a pod's port does: says its name first, then gives back what comes, until the
/// other side has said all; then `bye`.
async fn pod_port(at: IpAddr, says: &'static str) -> u16 {
    let listener = tokio::net::TcpListener::bind((at, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let echo = async {
                    write.write_all(says.as_bytes()).await?;
                    tokio::io::copy(&mut read, &mut write).await?;
                    write.write_all(b"bye").await?;
                    write.shutdown().await
                };
                // Clients may leave as they like.
                let _ = echo.await;
            });
        }
    });
    port
}

/// Opens a connection with a hello for this name, and waits for the pod to say `says`.
async fn open(to: SocketAddr, name: &str, says: &str) -> (TcpStream, Vec<u8>) {
    let bytes = hello(Some(name), 0);
    let stream = until(&format!("{says} answers for {name}"), async || {
        let mut stream = TcpStream::connect(to).await.ok()?;
        stream.write_all(&bytes).await.ok()?;
        let mut got = vec![0; says.len()];
        stream.read_exact(&mut got).await.ok()?;
        (got == says.as_bytes()).then_some(stream)
    })
    .await;
    (stream, bytes)
}

fn evidence(port: u16, app_tls_port: Option<u16>) -> Attestation {
    Attestation::Available(AttestationEndpoint {
        tee: TeeKind::IntelTdx,
        port,
        app_tls_port,
        hpke_key: [5; 32],
        tls_spki_sha256: [6; 32],
    })
}

fn pod(lease: LeaseId, version: u32) -> PodId {
    PodId { lease, replica: 0, version }
}

fn name(lease: LeaseId, version: Option<u32>) -> String {
    AgentName { lease, replica: 0, version }.to_string()
}

/// A lease whose pod answers with `says` at its agent's port and `says app` at its app's TLS port.
async fn leased(
    world: &World,
    id: u64,
    host: &str,
    agent: &'static str,
    app: &'static str,
) -> LeaseId {
    let at = loopback();
    let (agent_port, app_port) = (pod_port(at, agent).await, pod_port(at, app).await);
    // What the next pod says of itself from its first moment.
    world.backend.start_with_attestation(evidence(agent_port, Some(app_port)));
    let lease = LeaseId(id);
    world.place(lease, 0, 1, at);
    world.deploy(id, dev::alice(), &manifest("a", host, 80, 1, "")).await;
    open(world.tls(), &name(lease, None), agent).await;
    lease
}

#[derive(Debug)]
struct Tdx(RawCollateral);

impl CollateralSource for Tdx {
    fn dcap(&self, _: &Quote) -> Result<RawCollateral, String> {
        Ok(self.0.clone())
    }

    fn sev_snp(&self, _: &Report, _: Option<RawEndorsements>) -> Result<RawEndorsements, String> {
        Err("none".into())
    }
}

/// A session with who answers for `name`, who must be this pod's agent.
async fn session(to: SocketAddr, name: &str, pod: PodIdentity) -> Result<Session, SessionError> {
    let collateral = network().control.collateral().unwrap();
    let collateral = serde_json::from_value(collateral["intel"]["tdx"].clone()).unwrap();
    let policy = Policy { grades: vec![Grade::Software], ..Policy::default() };
    let roots = network().roots.clone();
    let appraiser = PolicyAppraiser::new(policy, roots, Arc::new(Tdx(collateral)), None);
    let options = Options::new(Expected {
        genesis_hash: Some(pod.genesis_hash),
        lease: Some(pod.lease),
        replica: Some(pod.replica),
        manifest_hash: Some(pod.manifest_hash),
        agent_key: None,
    });
    let name = name.to_owned();
    tokio::task::spawn_blocking(move || {
        let stream = std::net::TcpStream::connect(to).unwrap();
        Session::over(stream, &name, Arc::new(appraiser), options)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_and_visitors_reach_the_attested_agent_from_outside() {
    let world = World::start().await;
    let mut pods = Vec::new();
    for (id, host) in [(1, "a.localhost"), (2, "b.localhost")] {
        let text = manifest("a", host, 80, 1, "");
        let identity = PodIdentity {
            genesis_hash: GENESIS,
            lease: LeaseId(id),
            replica: 0,
            manifest_hash: blake2_256(text.as_bytes()),
        };
        // An agent's endpoints are the same at both ports.
        let listener = TcpListener::bind((loopback(), 0)).unwrap();
        let at = listener.local_addr().unwrap();
        serve(&format!("tls-{id}"), Kind::IntelTdx, &[], identity, listener);
        world.backend.start_with_attestation(evidence(at.port(), Some(at.port())));
        world.place(LeaseId(id), 0, 1, at.ip());
        let lease = world.deploy(id, dev::alice(), &text).await;
        let client = world.client(dev::alice());
        let (status, agent) = until("the agent's address", async || {
            let status = client.lease(lease).await.ok()?;
            let agent = status.pods.first().filter(|pod| pod.ready)?.agent.clone()?;
            Some((status, agent))
        })
        .await;
        // The domain is "localhost": another name for where this test listens.
        let address = format!("localhost:{}", world.tls().port());
        let server_name = format!("v1.r0.l{id}.agent.casemate.internal");
        assert_eq!(agent, AgentEndpoint { address: address.clone(), server_name });
        let https = format!("https://{host}:{}/", world.tls().port());
        assert!(status.addresses.iter().any(|a| a.protocol == "https" && a.address == https));
        assert_eq!(client.info().await.unwrap().ingress.tls, Some(address));
        pods.push((identity, host, agent.server_name));
    }
    let (one, other) = (&pods[0], &pods[1]);
    for (identity, host, agent) in &pods {
        let newest = name(identity.lease, None);
        for asked in [agent.as_str(), newest.as_str(), host] {
            let session = until("the route", async || {
                Some(session(world.tls(), asked, *identity).await.unwrap())
            })
            .await;
            let attested = tokio::task::spawn_blocking(move || {
                let mut attested = session.attest(Session::nonce().unwrap()).unwrap();
                attested.registration([8; 32]).unwrap();
                attested
            });
            assert_eq!(attested.await.unwrap().binding().lease, identity.lease);
        }
    }
    // An ingress that leads a client to another lease's agent is found out by the evidence.
    for asked in [other.1, other.2.as_str()] {
        match session(world.tls(), asked, one.0).await {
            Err(SessionError::Peer(PeerError::Unexpected { .. })) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_lead_to_their_own_pods_and_unknown_ones_nowhere() {
    let world = World::start().await;
    let tls = world.tls();
    let one = leased(&world, 1, "a.localhost", "agent one", "app one").await;
    let two = leased(&world, 2, "b.localhost", "agent two", "app two").await;
    open(tls, &name(one, Some(1)), "agent one").await;
    open(tls, &name(two, Some(1)), "agent two").await;
    open(tls, "a.localhost", "app one").await;
    open(tls, "b.localhost", "app two").await;
    // As clients write it.
    open(tls, "A.LocalHost", "app one").await;
    for unknown in [
        "c.localhost",
        "x.a.localhost",
        "localhost",
        "agent.casemate.internal",
        "l1.agent.casemate.internal",
        "r1.l1.agent.casemate.internal",
        "r0.l3.agent.casemate.internal",
        "r00.l1.agent.casemate.internal",
        "v2.r0.l1.agent.casemate.internal",
        "x.r0.l1.agent.casemate.internal",
    ] {
        assert_eq!(alert(tls, &hello(Some(unknown), 0)).await, UNRECOGNIZED_NAME, "{unknown}");
    }
    assert_eq!(alert(tls, &hello(None, 0)).await, MISSING_EXTENSION);
    // An app that is not ready gets nothing; its agent can be reached all the same.
    world.backend.set_ready(pod(one, 1), false);
    until("no app", async || (first(tls, "a.localhost").await == INTERNAL_ERROR).then_some(()))
        .await;
    open(tls, &name(one, None), "agent one").await;
    // Without evidence there is no name, and no TLS.
    world.backend.set_attestation(pod(two, 1), Attestation::Waiting { reason: None });
    let gone = name(two, None);
    until("no agent", async || (first(tls, &gone).await == UNRECOGNIZED_NAME).then_some(())).await;
    assert_eq!(alert(tls, &hello(Some("b.localhost"), 0)).await, INTERNAL_ERROR);
    let status = world.client(dev::alice()).lease(two).await.unwrap();
    assert_eq!(status.pods[0].agent, None);
    assert!(status.addresses.iter().all(|address| address.protocol != "https"), "{status:?}");
    let metrics = world.metrics().await;
    for kind in ["passed", "unknown-name", "no-name", "not-ready"] {
        let counted = format!("casemate_provider_tls_connections_total{{kind=\"{kind}\"}}");
        assert!(metrics.contains(&counted), "{kind}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_an_agents_name_for_an_app() {
    let world = World::start().await;
    for host in ["r0.l1.agent.casemate.internal", "x.agent.casemate.internal"] {
        let refused = world.quote(dev::alice(), &manifest("a", host, 80, 1, "")).await.unwrap_err();
        let text = format!("{refused:?}");
        assert!(text.contains(&format!("{:?}", RefusalCode::AgainstRules)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_http_port_of_the_first_container_has_tls() {
    let world = World::start().await;
    let at = loopback();
    let port = pod_port(at, "app").await;
    world.backend.start_with_attestation(evidence(1, Some(port)));
    let more = "        - {containerPort: 81, protocol: HTTP, host: admin.localhost}\n";
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, more)).await;
    world.place(lease, 0, 1, at);
    open(world.tls(), "a.localhost", "app").await;
    let admin = hello(Some("admin.localhost"), 0);
    assert_eq!(alert(world.tls(), &admin).await, UNRECOGNIZED_NAME);
    let status = world.client(dev::alice()).lease(lease).await.unwrap();
    let https: Vec<_> = status.addresses.iter().filter(|a| a.protocol == "https").collect();
    assert!(https.len() == 1 && https[0].address.contains("//a.localhost:"), "{https:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_passes_both_ways_and_each_way_ends_by_itself() {
    let world = World::start().await;
    leased(&world, 1, "a.localhost", "agent", "app").await;
    let (mut stream, hello) = open(world.tls(), "a.localhost", "app").await;
    let body: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = stream.split();
    let sent = async {
        write.write_all(&body).await.unwrap();
        // The answer comes after all was said.
        write.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let (_, read) = tokio::join!(sent, read.read_to_end(&mut got));
    read.unwrap();
    assert!(got == [&hello[..], &body, b"bye"].concat(), "{} bytes", got.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_may_come_byte_by_byte_or_be_long() {
    let world = World::start().await;
    leased(&world, 1, "a.localhost", "agent", "app").await;
    let bytes = hello(Some("a.localhost"), 0);
    let mut stream = TcpStream::connect(world.tls()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in &bytes {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
    assert_eq!(rest_of(stream).await, [&b"app"[..], &bytes, b"bye"].concat());
    // 8 kB: six packets of an Ethernet.
    let bytes = hello(Some("a.localhost"), 8000);
    let mut stream = TcpStream::connect(world.tls()).await.unwrap();
    for packet in bytes.chunks(1400) {
        stream.write_all(packet).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    assert_eq!(rest_of(stream).await, [&b"app"[..], &bytes, b"bye"].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_keep_nobody_else_waiting() {
    let world = World::start().await;
    leased(&world, 1, "a.localhost", "agent", "app").await;
    let mut silent = Vec::new();
    for n in 0..90 {
        let mut stream = connect_from([127, 0, 4, 1], world.tls()).await;
        // A third says nothing at all, a third begins well and goes no further.
        match n % 3 {
            0 => {}
            1 => stream.write_all(&hello(Some("a.localhost"), 0)[..50]).await.unwrap(),
            _ => stream.write_all(&[22, 3, 1]).await.unwrap(),
        }
        silent.push(stream);
    }
    open(world.tls(), "a.localhost", "app").await;
    // What is refused is told why at once.
    for garbage in [&b"GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n"[..], &[0; 5000], &[0xff; 100]] {
        let mut stream = TcpStream::connect(world.tls()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        assert_eq!(rest_of(stream).await.first(), Some(&21));
    }
    // Longer than anybody's.
    let endless = hello(Some("a.localhost"), 60_000);
    let mut stream = TcpStream::connect(world.tls()).await.unwrap();
    // It may be closed before all is taken.
    let _ = stream.write_all(&endless).await;
    assert!(!rest_of(stream).await.starts_with(b"app"));
    // Who says nothing is not kept for ever.
    let first =
        tokio::time::timeout(std::time::Duration::from_secs(120), rest_of(silent.remove(0)));
    assert!(first.await.expect("the silent client is let go").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_has_only_so_many_connections() {
    let world = World::start_with(|config| config.ingress.tls_client_connections_max = 3).await;
    leased(&world, 1, "a.localhost", "agent", "app").await;
    until("all are over", async || {
        world.metrics().await.contains("casemate_provider_tls_open 0\n").then_some(())
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open(world.tls(), "a.localhost", "app").await);
    }
    let mut stream = TcpStream::connect(world.tls()).await.unwrap();
    let _ = stream.write_all(&hello(Some("a.localhost"), 0)).await;
    assert!(rest_of(stream).await.is_empty(), "the fourth is closed");
    // Somebody else is not concerned.
    let mut other = connect_from([127, 0, 4, 2], world.tls()).await;
    other.write_all(&hello(Some("a.localhost"), 0)).await.unwrap();
    let mut got = [0; 3];
    other.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"app");
    // One that ends makes room.
    held.pop();
    open(world.tls(), "a.localhost", "app").await;
}

/// Strangers must not fill the places that an agent has: the provider needs one to ask for the
/// evidence that it is paid by, and publishers need one to bring secrets.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_fill_an_agent() {
    let world = World::start().await;
    let lease = leased(&world, 1, "a.localhost", "agent", "app").await;
    until("all are over", async || {
        world.metrics().await.contains("casemate_provider_tls_open 0\n").then_some(())
    })
    .await;
    let asked = hello(Some(&name(lease, None)), 0);
    let ask = async |from: [u8; 4]| {
        let mut stream = connect_from(from, world.tls()).await;
        stream.write_all(&asked).await.unwrap();
        let mut got = [0; 5];
        stream.read_exact(&mut got).await.unwrap();
        (&got == b"agent").then_some(stream)
    };
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(ask([127, 0, 4, 3]).await.unwrap());
    }
    assert!(ask([127, 0, 4, 3]).await.is_none(), "one client has four");
    for _ in 0..4 {
        held.push(ask([127, 0, 4, 4]).await.unwrap());
    }
    assert!(ask([127, 0, 4, 5]).await.is_none(), "all clients have eight");
    // The app is another matter.
    open(world.tls(), "a.localhost", "app").await;
    held.clear();
    open(world.tls(), &name(lease, None), "agent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_connections_and_leads_new_ones_to_the_new_pod() {
    let world = World::start().await;
    let lease = leased(&world, 1, "a.localhost", "old agent", "old app").await;
    let (mut kept, hello) = open(world.tls(), "a.localhost", "old app").await;
    let at = loopback();
    let (agent, app) = (pod_port(at, "new agent").await, pod_port(at, "new app").await);
    world.backend.start_with_attestation(evidence(agent, Some(app)));
    world.place(lease, 0, 2, at);
    world.update(lease, dev::alice(), &manifest("a2", "a.localhost", 80, 1, "")).await;
    open(world.tls(), &name(lease, None), "new agent").await;
    open(world.tls(), &name(lease, Some(2)), "new agent").await;
    open(world.tls(), "a.localhost", "new app").await;
    // The old pod is kept for the connection that is under way (30 s at most).
    kept.write_all(b"more").await.unwrap();
    kept.shutdown().await.unwrap();
    assert_eq!(rest_of(kept).await, [&hello[..], b"morebye"].concat());
    until("the old pod is gone", async || {
        use casemate_provider_core::Backend;
        let pods = world.backend.list().await.unwrap();
        (pods.len() == 1 && pods[0].id.version == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_connections_end_and_takes_no_new_ones() {
    let mut world = World::start().await;
    leased(&world, 1, "a.localhost", "agent", "app").await;
    let tls = world.tls();
    let (mut kept, hello) = open(tls, "a.localhost", "app").await;
    let mut silent = TcpStream::connect(tls).await.unwrap();
    silent.write_all(&hello[..20]).await.unwrap();
    let stopping = tokio::spawn(async move {
        world.stop().await;
        world
    });
    until("it takes no more", async || TcpStream::connect(tls).await.is_err().then_some(())).await;
    // Who has not reached a pod need not wait.
    assert!(rest_of(silent).await.is_empty());
    kept.write_all(b"more").await.unwrap();
    kept.shutdown().await.unwrap();
    assert_eq!(rest_of(kept).await, [&hello[..], b"morebye"].concat());
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_tls_tells_of_none() {
    let world = World::start_with(|config| config.ingress.tls_listen = None).await;
    assert_eq!(world.addresses().tls, None);
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    let client = world.client(dev::alice());
    assert_eq!(client.info().await.unwrap().ingress.tls, None);
    let status = until("the pod", async || {
        client.lease(lease).await.ok().filter(|s| s.pods.iter().any(|pod| pod.ready))
    })
    .await;
    assert_eq!(status.pods[0].agent, None);
    assert!(status.addresses.iter().all(|address| address.protocol != "https"));
    // What is announced may be another name than what is listened on.
    let world = World::start_with(|config| {
        config.ingress.tls_public = Some("tee.example.org:443".into());
    })
    .await;
    let info = world.client(dev::alice()).info().await.unwrap();
    assert_eq!(info.ingress.tls.as_deref(), Some("tee.example.org:443"));
}
