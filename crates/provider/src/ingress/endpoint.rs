//! One port of one pod: idle connections to it, and how many requests are under way.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use casemate_provider_core::PodId;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Notify};

use super::body::RequestBody;

type Sender = SendRequest<RequestBody>;

pub(super) struct Endpoint {
    pod: PodId,
    address: SocketAddr,
    /// By thread: a connection lives on the runtime that made it.
    idle: Vec<Mutex<Vec<Sender>>>,
    in_flight: AtomicUsize,
    draining: AtomicBool,
    changed: Notify,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({}, {})", self.pod, self.address)
    }
}

impl Endpoint {
    pub(super) fn new(pod: PodId, address: SocketAddr, threads: usize) -> Self {
        Self {
            pod,
            address,
            idle: (0..threads).map(|_| Mutex::default()).collect(),
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub(super) fn pod(&self) -> PodId {
        self.pod
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// No new request from now on.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        for worker in 0..self.idle.len() {
            self.forget_idle(worker);
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight() == 0
    }

    pub(super) async fn drained(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_idle() {
                return;
            }
            changed.await;
        }
    }

    /// A connection that was used before and still works.
    pub(super) async fn reuse(&self, worker: usize) -> Option<Sender> {
        loop {
            let mut sender = self.idle(worker)?.pop()?;
            // Returned when its last response had been read: at most a moment from being ready.
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Sender> {
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address));
        let stream = connect.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(async move {
            // What goes wrong is seen by the request under way.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    pub(super) fn give_back(&self, worker: usize, sender: Sender) {
        if self.draining.load(Ordering::Relaxed) || sender.is_closed() {
            return;
        }
        if let Some(mut idle) = self.idle(worker)
            && idle.len() < IDLE_MAX
        {
            idle.push(sender);
        }
    }

    pub(super) fn forget_idle(&self, worker: usize) {
        if let Some(mut idle) = self.idle(worker) {
            idle.clear();
        }
    }

    fn idle(&self, worker: usize) -> Option<std::sync::MutexGuard<'_, Vec<Sender>>> {
        Some(self.idle.get(worker)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts as one request under way.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Endpoint>);

impl InFlight {
    /// `None` where the endpoint is draining. First counted, then looked: so whoever drains sees
    /// either the count or no request at all.
    pub(super) fn enter(endpoint: &Arc<Endpoint>) -> Option<Self> {
        endpoint.in_flight.fetch_add(1, Ordering::SeqCst);
        let entered = Self(Arc::clone(endpoint));
        (!endpoint.draining.load(Ordering::SeqCst)).then_some(entered)
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.0.draining.load(Ordering::SeqCst) {
            self.0.changed.notify_waiters();
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// As many as nginx' documentation suggests for busy upstreams, for each thread.
const IDLE_MAX: usize = 256;
/// Longest head of a response.
const HEAD_BYTES_MAX: usize = 64 * 1024;
