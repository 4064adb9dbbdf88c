//! The daemon's addresses, and what is answered there until a chain node answers us.
//!
//! Who starts a machine starts all of it, and in no order: that the node is not there yet is no
//! reason to end. Pods go on by themselves meanwhile; what asks here is told why it has to wait.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use casemate_client::api::RefusalCode;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    Config,
    api::{self, Problem},
    app::StartError,
    ingress::{self, Ingress},
    metrics::Metrics,
    quotes::refusal,
};

/// Where the daemon listens, ports that the system chose included.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The HTTP API.
    pub api: SocketAddr,
    /// HTTP to pods.
    pub ingress: SocketAddr,
    /// TLS to pods.
    pub tls: Option<SocketAddr>,
    /// Prometheus metrics.
    pub metrics: Option<SocketAddr>,
}

/// All addresses, bound.
#[derive(Debug)]
pub struct Front {
    pub(crate) listeners: Listeners,
    pub(crate) addresses: Addresses,
    pub(crate) ingress: ingress::Settings,
    pub(crate) metrics: Metrics,
}

#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) api: TcpListener,
    pub(crate) ingress: TcpListener,
    pub(crate) tls: Option<TcpListener>,
    pub(crate) metrics: Option<TcpListener>,
}

/// Why an attempt to use a node came to nothing.
#[derive(Debug)]
pub enum Attempt<E> {
    /// No node answers, which may be different in a moment. Says what was found.
    Later(String),
    /// It will not be better by itself.
    Never(E),
}

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// After the first attempt; twice as long after each further one.
    pub pause_min: Duration,
    /// At most.
    pub pause_max: Duration,
    /// How long one attempt may take.
    pub attempt: Duration,
}

impl Default for Rhythm {
    /// A node of the same machine comes up within seconds; one that is gone for long is asked
    /// twice a minute.
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(500),
            pause_max: Duration::from_secs(30),
            attempt: Duration::from_secs(30),
        }
    }
}

impl Front {
    /// Binds the addresses of the configuration.
    ///
    /// # Errors
    /// One of them can't be had.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let api = listen("the API", config.api.listen)?;
        let ingress = listen("the ingress", config.ingress.listen)?;
        let tls = config.ingress.tls_listen.map(|a| listen("TLS to pods", a)).transpose()?;
        let metrics = config.metrics_listen.map(|a| listen("metrics", a)).transpose()?;
        let address = |what, listener: &TcpListener, address| {
            listener.local_addr().map_err(|source| StartError::Listen { what, address, source })
        };
        let addresses = Addresses {
            api: address("the API", &api, config.api.listen)?,
            ingress: address("the ingress", &ingress, config.ingress.listen)?,
            tls: tls.as_ref().and_then(|listener| listener.local_addr().ok()),
            metrics: metrics.as_ref().and_then(|listener| listener.local_addr().ok()),
        };
        let listeners = Listeners { api, ingress, tls, metrics };
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let ingress = ingress::Settings {
            response_timeout: config.ingress.response_timeout.get(),
            connections_max: config.ingress.connections_max,
            tls_client_max: config.ingress.tls_client_connections_max,
            tls_idle: config.ingress.tls_idle.get(),
            threads: threads.min(INGRESS_THREADS_MAX),
        };
        Ok(Self { listeners, addresses, ingress, metrics: Metrics::default() })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Tries until `connect` gives a chain. From the first failure until then, requests are
    /// answered with 503 and the reason, and metrics are served. `None` if `shutdown` turned true
    /// (or its sender is gone) before.
    ///
    /// `node` is the node's address, for the log.
    ///
    /// # Errors
    /// What `connect` says will not be better by itself.
    pub async fn wait_for<C, E, F>(
        &self,
        node: &str,
        rhythm: Rhythm,
        mut connect: impl FnMut() -> F,
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<Option<C>, E>
    where
        F: Future<Output = Result<C, Attempt<E>>>,
    {
        let from = Instant::now();
        let mut pause = rhythm.pause_min;
        let mut stand_in: Option<StandIn> = None;
        let outcome = loop {
            let attempt = tokio::select! {
                attempt = tokio::time::timeout(rhythm.attempt, connect()) => attempt,
                _ = shutdown.wait_for(|stop| *stop) => break Ok(None),
            };
            let found = match attempt {
                Ok(Ok(chain)) => {
                    if stand_in.is_some() {
                        let waited = from.elapsed().as_secs();
                        tracing::info!(node, waited_seconds = waited, "the chain node answers");
                    }
                    break Ok(Some(chain));
                }
                Ok(Err(Attempt::Never(err))) => break Err(err),
                Ok(Err(Attempt::Later(found))) => found,
                Err(_) => format!("no answer within {} s", rhythm.attempt.as_secs()),
            };
            self.metrics.waiting_for_node.set(1);
            self.metrics.failed("node");
            tracing::warn!(
                node,
                found,
                again_in_seconds = pause.as_secs_f32(),
                "no chain node answers: start it, or correct `chain_url` in the configuration; \
                 pods that run go on, but none is started, stopped or claimed for"
            );
            if stand_in.is_none() {
                stand_in = Some(self.stand_in());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                _ = shutdown.wait_for(|stop| *stop) => break Ok(None),
            }
            pause = (pause * 2).min(rhythm.pause_max);
        };
        self.metrics.waiting_for_node.set(0);
        if let Some(stand_in) = stand_in {
            stand_in.end(!matches!(outcome, Ok(Some(_)))).await;
        }
        outcome
    }

    /// Answers in place of the parts that need a chain.
    fn stand_in(&self) -> StandIn {
        let (stop, shutdown) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let listeners = &self.listeners;
        let served = [
            ("the API", Some((&listeners.api, api_router()))),
            ("the ingress", Some((&listeners.ingress, ingress_router()))),
            (
                "metrics",
                listeners.metrics.as_ref().map(|l| (l, api::metrics_router(self.metrics.clone()))),
            ),
        ];
        for (what, served) in served {
            let Some((listener, router)) = served else { continue };
            // The same socket twice: it stays open when this one ends, and nobody is turned away.
            match listener.try_clone().and_then(tokio::net::TcpListener::from_std) {
                Ok(listener) => {
                    tasks.spawn(api::serve(listener, router, shutdown.clone()));
                }
                Err(err) => tracing::error!(%err, "cannot answer for {what} meanwhile"),
            }
        }
        let tls = listeners
            .tls
            .as_ref()
            .map(|listener| listener.try_clone().and_then(tokio::net::TcpListener::from_std));
        match tls {
            Some(Ok(listener)) => {
                // Without routes it says that it does not know yet.
                let ingress = Ingress::new(self.ingress.clone(), self.metrics.clone());
                tasks.spawn(async move { ingress.serve_tls(listener, shutdown).await });
            }
            Some(Err(err)) => tracing::error!(%err, "cannot answer for TLS to pods meanwhile"),
            None => {}
        }
        StandIn { stop, tasks }
    }
}

/// Servers that say "not yet".
struct StandIn {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl StandIn {
    /// Lets requests under way end, unless it has to be `at_once`.
    async fn end(mut self, at_once: bool) {
        self.stop.send_replace(true);
        if at_once {
            self.tasks.abort_all();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

fn api_router() -> Router {
    Router::new().route("/healthz", get(async || not_yet())).fallback(async || {
        let text = "the provider cannot reach its chain node".into();
        Problem(refusal(
            RefusalCode::NotReady,
            text,
            "try again later, or ask another provider; pods that run go on",
        ))
    })
}

fn ingress_router() -> Router {
    Router::new().fallback(async || not_yet())
}

fn not_yet() -> Response {
    let text = "the provider cannot reach its chain node; try again later\n";
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "10")], text).into_response()
}

/// Beyond this the kernel's network stack is what limits.
const INGRESS_THREADS_MAX: usize = 8;

fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source: io::Error| StartError::Listen { what, address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
