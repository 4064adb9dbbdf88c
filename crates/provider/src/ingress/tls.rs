//! TLS that ends in the pods: connections are passed on by the server name in their first message,
//! byte for byte. This process has no key, and sees no more than an eavesdropper does.
//!
//! # Trust
//! Whoever connects is a stranger, and the server name is his. It decides where his bytes go and
//! nothing else: names in the agents' domain lead to agents and never to an app, whatever hosts a
//! manifest asks for. The time and size of the first message, connections in all, for each client and
//! to each agent are bounded.

mod hello;
mod limiter;
mod pump;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use casemate_client::api::AgentName;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
};

pub(super) use limiter::{ClientNet, Limiter};

use super::{Pick, Shared, endpoint::InFlight};
use crate::{facts::normal_host, metrics::Kind};
use hello::{Hello, HelloError};
use limiter::Slot;

/// Passes connections on until `shutdown` turns true; then those that have reached a pod get a few
/// seconds to end.
pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let stop = shutdown.clone();
    loop {
        let (permit, stream, peer) = tokio::select! {
            biased;
            // A sender that is gone means the same as a stop.
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(ended) = connections.join_next() => {
                if let Err(err) = ended {
                    shared.metrics.failed("ingress-tls");
                    tracing::error!(%err, "a TLS connection broke off");
                }
                continue;
            }
            accepted = accept(&shared, &listener) => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        let client = ClientNet::of(peer.ip());
        let Some(slot) = shared.tls_clients.enter(client, shared.settings.tls_client_max) else {
            // Without an answer, which costs the least.
            count(&shared, "too-many");
            continue;
        };
        let (shared, mut stop) = (Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            let _open = Open::new(&shared.metrics.tls_open);
            let outcome = connection(&shared, stream, client, &mut stop).await;
            count(&shared, outcome);
            drop((slot, permit));
        });
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, all).await;
}

async fn accept(
    shared: &Shared,
    listener: &TcpListener,
) -> Option<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    loop {
        // Without room the kernel queues, and refuses when its own queue is full.
        let permit = Arc::clone(&shared.tls_connections).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, peer)) => return Some((permit, stream, peer)),
            Err(err) => {
                // Out of descriptors, most likely: those in use must come free first.
                shared.metrics.failed("ingress-accept");
                tracing::warn!(%err, "the TLS ingress cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, to its end. Gives what became of it.
async fn connection(
    shared: &Shared,
    mut client: TcpStream,
    net: ClientNet,
    stop: &mut watch::Receiver<bool>,
) -> &'static str {
    // Fails only for a connection that is gone already.
    let _ = client.set_nodelay(true);
    let hello = tokio::select! {
        hello = tokio::time::timeout(HELLO_TIMEOUT, hello::read(&mut client)) => hello,
        _ = stop.wait_for(|stop| *stop) => return "stopped",
    };
    let Hello { name, bytes } = match hello {
        Ok(Ok(hello)) => hello,
        Ok(Err(HelloError::Gone)) => return "gone",
        Ok(Err(HelloError::Malformed(told))) => {
            let none = alert(DECODE_ERROR);
            refuse(client, if told.is_empty() { &none } else { &told }).await;
            return "bad-hello";
        }
        Ok(Err(HelloError::TooLong)) => {
            refuse(client, &alert(RECORD_OVERFLOW)).await;
            return "bad-hello";
        }
        Err(_) => return "slow-hello",
    };
    let Some(name) = name else {
        refuse(client, &alert(MISSING_EXTENSION)).await;
        return "no-name";
    };
    match reach(shared, &name, net).await {
        Ok((mut pod, held)) => {
            let sent = tokio::time::timeout(CONNECT_TIMEOUT, pod.write_all(&bytes)).await;
            drop(bytes);
            if !matches!(sent, Ok(Ok(()))) {
                refuse(client, &alert(INTERNAL_ERROR)).await;
                return "unreachable";
            }
            let is_idle = pump::run(client, pod, shared.settings.tls_idle).await;
            drop(held);
            if is_idle { "idle" } else { "passed" }
        }
        Err((outcome, description)) => {
            refuse(client, &alert(description)).await;
            outcome
        }
    }
}

/// What it is counted as, and the alert.
type Unreached = (&'static str, u8);

/// Counts as a connection under way.
type Held = (InFlight, Option<Slot<AgentClient>>);

/// A connection to a pod that has this name.
async fn reach(
    shared: &Shared,
    name: &str,
    net: ClientNet,
) -> Result<(TcpStream, Held), Unreached> {
    let mut outcome = ("not-ready", INTERNAL_ERROR);
    for _ in 0..TRIES_MAX {
        let in_flight = pick(shared, name)?;
        let endpoint = Arc::clone(in_flight.endpoint());
        let mut slot = None;
        if AgentName::is_reserved(name) {
            slot = shared.tls_agents.enter((net, endpoint.address()), AGENT_CLIENT_MAX);
            if slot.is_none() || endpoint.in_flight() > AGENT_CONNECTIONS_MAX {
                return Err(("agent-busy", INTERNAL_ERROR));
            }
        }
        let connect = TcpStream::connect(endpoint.address());
        // Another pod, or the same a moment later, may do.
        let Ok(Ok(pod)) = tokio::time::timeout(CONNECT_TIMEOUT, connect).await else {
            outcome = ("unreachable", INTERNAL_ERROR);
            continue;
        };
        let _ = pod.set_nodelay(true);
        return Ok((pod, (in_flight, slot)));
    }
    Err(outcome)
}

fn pick(shared: &Shared, name: &str) -> Result<InFlight, Unreached> {
    // The parser gives lower case.
    let name = normal_host(name);
    for _ in 0..MOVES_MAX {
        let table = shared.table();
        let Some(service) = table.tls.get(name.as_str()) else {
            return Err(match table.is_read {
                true => ("unknown-name", UNRECOGNIZED_NAME),
                false => ("not-ready", INTERNAL_ERROR),
            });
        };
        match service.pick() {
            Pick::One(in_flight) => return Ok(in_flight),
            Pick::Moved => {}
            Pick::Empty => break,
        }
    }
    Err(("not-ready", INTERNAL_ERROR))
}

/// Tells the client why, and ends the connection so that he can read it: one that is closed while
/// something of his is unread is reset, and what was on its way to him is lost.
async fn refuse(mut client: TcpStream, alert: &[u8]) {
    let told = async {
        client.write_all(alert).await?;
        client.shutdown().await?;
        let mut rest = client.take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // A client that does not listen to it has itself to blame.
    let _ = tokio::time::timeout(LINGER, told).await;
}

/// A fatal alert as it is sent before any keys are agreed on (RFC 8446, 5.1 and 6).
fn alert(description: u8) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    [ALERT, 3, 3, 0, 2, FATAL, description]
}

fn count(shared: &Shared, kind: &'static str) {
    shared.metrics.tls_connections.get_or_create(&Kind { kind }).inc();
}

/// One of the connections that are open.
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A client at one agent.
pub(super) type AgentClient = (ClientNet, SocketAddr);

const RECORD_OVERFLOW: u8 = 22;
const DECODE_ERROR: u8 = 50;
const INTERNAL_ERROR: u8 = 80;
const MISSING_EXTENSION: u8 = 109;
const UNRECOGNIZED_NAME: u8 = 112;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For the whole first message; agents give a handshake as long.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connections may go on after the daemon was told to stop, as for HTTP.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
/// For a refused client to read why.
const LINGER: Duration = Duration::from_secs(2);
/// Refused clients have sent no more than a first message, mostly.
const LINGER_BYTES_MAX: u64 = 64 * 1024;
const TRIES_MAX: usize = 3;
/// How often the table may change under one connection.
const MOVES_MAX: usize = 16;
/// Connections to one agent from outside. It serves 16 at a time (each for up to 100 seconds), and
/// strangers must not keep the provider itself from asking for evidence.
const AGENT_CONNECTIONS_MAX: usize = 8;
/// Of these, from one client: one alone must not keep all others away.
const AGENT_CLIENT_MAX: usize = 4;
