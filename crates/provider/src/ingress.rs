//! Ingress: requests from outside to the pods that the reconciler names.
//!
//! HTTP is served by a few threads with a runtime each, so that a request, its connection to the
//! pod and the answer stay on one core. The routing table is replaced as a whole; a request looks
//! it up once. TLS is passed on to the pods as it comes, see [`tls`]. A pod that leaves the table is *draining*: no new request reaches it, and
//! [`Ingress::drained`] tells when the last old one has ended.

mod body;
mod endpoint;
mod headers;
mod proxy;
mod tcp;
mod tls;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use casemate_provider_core::PodId;
use tokio::sync::{Semaphore, watch};

use crate::metrics::Metrics;
use endpoint::{Endpoint, InFlight};

/// Where requests go: host name or port to the ready pods behind it. A name without a pod is known,
/// but not served at the moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Routes {
    /// By host name in lower case.
    pub http: BTreeMap<Box<str>, Vec<(PodId, SocketAddr)>>,
    /// By port on the ingress' address.
    pub tcp: BTreeMap<u16, Vec<(PodId, SocketAddr)>>,
    /// By TLS server name in lower case.
    pub tls: BTreeMap<Box<str>, Vec<(PodId, SocketAddr)>>,
}

/// How the ingress behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a pod may take until its response's head.
    pub response_timeout: Duration,
    /// Most connections from outside at a time; as many again for TLS.
    pub connections_max: usize,
    /// Most TLS connections of one client.
    pub tls_client_max: usize,
    /// How long nothing may move on a TLS connection.
    pub tls_idle: Duration,
    /// Threads for HTTP.
    pub threads: usize,
}

#[derive(Debug, Default)]
struct Service {
    endpoints: Vec<Arc<Endpoint>>,
    next: AtomicUsize,
}

impl Service {
    fn pick(&self) -> Pick {
        if self.endpoints.is_empty() {
            return Pick::Empty;
        }
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints.len();
        InFlight::enter(&self.endpoints[at]).map_or(Pick::Moved, Pick::One)
    }
}

enum Pick {
    One(InFlight),
    /// It left the table after the table was looked up: look again.
    Moved,
    Empty,
}

#[derive(Debug, Default)]
struct Table {
    http: HashMap<Box<str>, Service>,
    tcp: HashMap<u16, Service>,
    tls: HashMap<Box<str>, Service>,
    /// Whether there ever were routes: before, nobody can say that a name is unknown.
    is_read: bool,
}

/// The ingress. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingress {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    metrics: Metrics,
    table: RwLock<Arc<Table>>,
    state: Mutex<State>,
    connections: Arc<Semaphore>,
    tls_connections: Arc<Semaphore>,
    tls_clients: tls::Limiter<tls::ClientNet>,
    tls_agents: tls::Limiter<tls::AgentClient>,
}

#[derive(Debug, Default)]
struct State {
    routes: Routes,
    endpoints: HashMap<(PodId, SocketAddr), Arc<Endpoint>>,
    leaving: Vec<Arc<Endpoint>>,
    listeners: tcp::Listeners,
}

impl Shared {
    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ingress {
    /// An ingress without routes.
    pub fn new(settings: Settings, metrics: Metrics) -> Self {
        let connections = || Arc::new(Semaphore::new(settings.connections_max));
        let (connections, tls_connections) = (connections(), connections());
        let shared = Shared {
            settings,
            metrics,
            table: RwLock::default(),
            state: Mutex::default(),
            connections,
            tls_connections,
            tls_clients: tls::Limiter::default(),
            tls_agents: tls::Limiter::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Replaces the routes. Gives the TCP ports that can't be listened on, with the reason.
    ///
    /// Must be called in a runtime, which then serves the TCP ports on `tcp_address`.
    pub fn update(&self, routes: Routes, tcp_address: std::net::IpAddr) -> BTreeMap<u16, String> {
        let shared = &self.shared;
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.leaving.retain(|endpoint| !endpoint.is_idle());
        if state.routes != routes || !shared.table().is_read {
            let mut endpoints = HashMap::new();
            let mut service = |targets: &Vec<(PodId, SocketAddr)>| Service {
                endpoints: targets
                    .iter()
                    .map(|target| {
                        let make = || match state.endpoints.get(target) {
                            Some(known) => Arc::clone(known),
                            None => {
                                Arc::new(Endpoint::new(target.0, target.1, shared.settings.threads))
                            }
                        };
                        Arc::clone(endpoints.entry(*target).or_insert_with(make))
                    })
                    .collect(),
                next: AtomicUsize::new(0),
            };
            let table = Table {
                http: routes.http.iter().map(|(host, t)| (host.clone(), service(t))).collect(),
                tcp: routes.tcp.iter().map(|(port, t)| (*port, service(t))).collect(),
                tls: routes.tls.iter().map(|(name, t)| (name.clone(), service(t))).collect(),
                is_read: true,
            };
            // First the table, then the mark: who sees the mark finds the new table.
            *shared.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
            let old = std::mem::replace(&mut state.endpoints, endpoints);
            for (target, endpoint) in old {
                if !state.endpoints.contains_key(&target) {
                    endpoint.drain();
                    state.leaving.push(endpoint);
                }
            }
            state.routes = routes;
        }
        let ports: Vec<u16> = state.routes.tcp.keys().copied().collect();
        state.listeners.update(&ports, tcp_address, shared)
    }

    /// Resolves when no request is under way in a pod that has left the table, or after `limit`.
    pub async fn drained(&self, pod: PodId, limit: Duration) {
        let leaving: Vec<Arc<Endpoint>> = {
            let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.leaving.iter().filter(|endpoint| endpoint.pod() == pod).cloned().collect()
        };
        let all = async {
            for endpoint in leaving {
                endpoint.drained().await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::info!(%pod, "requests are still under way, the pod is stopped all the same");
        }
    }

    /// Serves HTTP on `listener` in threads of its own until `shutdown` turns true; requests under
    /// way get a few seconds to end. Join the threads to wait for that.
    ///
    /// # Errors
    /// A thread or its runtime can't be made.
    pub fn serve(
        &self,
        listener: &TcpListener,
        shutdown: &watch::Receiver<bool>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        listener.set_nonblocking(true)?;
        let mut threads = Vec::new();
        for worker in 0..self.shared.settings.threads {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (shared, shutdown) = (Arc::clone(&self.shared), shutdown.clone());
            let listener = listener.try_clone()?;
            let run = move || runtime.block_on(proxy::serve(shared, listener, worker, shutdown));
            threads.push(std::thread::Builder::new().name("ingress".into()).spawn(run)?);
        }
        Ok(threads)
    }

    /// Passes TLS connections on until `shutdown` turns true (or its sender is gone); those that
    /// have reached a pod get a few seconds to end.
    ///
    /// # Cancel safety
    /// Dropping it ends all its connections at once.
    pub async fn serve_tls(
        &self,
        listener: tokio::net::TcpListener,
        shutdown: watch::Receiver<bool>,
    ) {
        tls::serve(Arc::clone(&self.shared), listener, shutdown).await;
    }

    /// TCP ports that are listened on.
    pub fn listening(&self) -> Vec<u16> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).listeners.ports()
    }
}
