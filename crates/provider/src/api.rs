//! The HTTP API for publishers (see [`casemate_client::api`] for what it speaks).
//!
//! Nobody is trusted here: but for three open paths every request is signed, bounded in size and
//! used once. Who may not see a lease is told what somebody is told who asks for one that does not
//! exist.

mod leases;
mod listener;
mod logs;
mod orders;
mod proofs;
mod signed;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use casemate_client::{
    api::{Hex, IngressInfo, ProviderInfo, Refusal, RefusalCode},
    auth::ReplayCache,
};
use casemate_primitives::{AccountBytes, Hash256};
use casemate_provider_core::Backend;
use subxt_signer::sr25519::Keypair;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore, watch},
};

use crate::{
    Chain, Clock, Config, facts::FactsCache, metrics::Metrics, quotes::refusal, spool::Spool,
    world::World,
};

/// What the API works with.
pub struct Parts<C, B> {
    /// Configuration.
    pub config: Arc<Config>,
    /// Where the ingress really listens.
    pub ingress_address: SocketAddr,
    /// `host:port` where TLS is taken, as others know it.
    pub tls_address: Option<String>,
    /// The provider's key, which signs quotes.
    pub key: Keypair,
    /// The registry is read here.
    pub chain: Arc<C>,
    /// Logs are read here.
    pub backend: Arc<B>,
    /// What the reconciler saw.
    pub world: watch::Receiver<Arc<World>>,
    /// Offers and events.
    pub spool: Spool,
    /// Manifests.
    pub facts: FactsCache,
    /// The wall clock.
    pub clock: Clock,
    /// Wakes the reconciler.
    pub wake: Arc<Notify>,
}

impl<C, B> std::fmt::Debug for Parts<C, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

pub(crate) struct Api<C, B> {
    parts: Parts<C, B>,
    account: AccountBytes,
    genesis_hash: Hash256,
    replays: Mutex<ReplayCache>,
    /// Offers are made one after the other: two of them must not promise the same thing.
    orders: tokio::sync::Mutex<()>,
    followers: Arc<Semaphore>,
    /// Requests that were not checked yet: each may hold a whole body in memory.
    unchecked: Semaphore,
}

/// The API's routes.
pub fn router<C: Chain, B: Backend>(parts: Parts<C, B>) -> Router {
    let api = Arc::new(Api {
        account: parts.chain.account(),
        genesis_hash: parts.chain.genesis_hash(),
        replays: Mutex::new(ReplayCache::new(REPLAYS_MAX)),
        orders: tokio::sync::Mutex::new(()),
        followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
        unchecked: Semaphore::new(UNCHECKED_MAX),
        parts,
    });
    Router::new()
        .route("/healthz", get(healthz::<C, B>))
        .route("/v1/info", get(info::<C, B>))
        .route("/v1/quotes", post(orders::quote::<C, B>))
        .route("/v1/manifests/{hash}", put(orders::put_manifest::<C, B>))
        .route("/v1/leases/{id}", get(leases::status::<C, B>))
        .route("/v1/leases/{id}/amendments", post(orders::amend::<C, B>))
        .route("/v1/leases/{id}/events", get(leases::events::<C, B>))
        .route("/v1/leases/{id}/logs", get(logs::logs::<C, B>))
        .route("/v1/leases/{id}/log-chunks", get(proofs::chunks::<C, B>))
        .route("/v1/leases/{id}/records", get(proofs::records::<C, B>))
        .fallback(async || {
            let text = "there is no such path".into();
            Problem(refusal(RefusalCode::NotFound, text, "the API's paths begin with /v1"))
        })
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

/// Serves until `shutdown` turns true; then requests under way get a few seconds.
pub async fn serve(listener: TcpListener, router: Router, shutdown: watch::Receiver<bool>) {
    let stop = |mut shutdown: watch::Receiver<bool>| async move {
        // A sender that is gone means the same as a stop.
        let _ = shutdown.wait_for(|stop| *stop).await;
    };
    let served = axum::serve(listener::Bounded::new(listener), router)
        .with_graceful_shutdown(stop(shutdown.clone()))
        .into_future();
    let deadline = async {
        stop(shutdown).await;
        tokio::time::sleep(SHUTDOWN_LIMIT).await;
    };
    tokio::select! {
        result = served => if let Err(err) = result {
            tracing::error!(%err, "the HTTP API stopped");
        },
        () = deadline => (),
    }
}

/// The routes of the metrics' own address.
pub fn metrics_router(metrics: Metrics) -> Router {
    let render = move || {
        let metrics = metrics.clone();
        async move {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([("content-type", kind)], metrics.render())
        }
    };
    Router::new().route("/metrics", get(render))
}

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl Problem {
    /// Something failed here. The cause is for the operator, not for who asks.
    pub(crate) fn internal(what: &'static str, err: &dyn std::error::Error) -> Self {
        tracing::error!(err = crate::chain_of(err), "{what}");
        Self(refusal(RefusalCode::Internal, what.into(), "try again, or tell the provider"))
    }

    pub(crate) fn no_lease() -> Self {
        Self(refusal(
            RefusalCode::NotFound,
            "this account has no such lease here".into(),
            "check the lease's number, the provider and the account; a lease shows up when its \
             block is finalised",
        ))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            RefusalCode::BadRequest => StatusCode::BAD_REQUEST,
            RefusalCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalCode::Unauthorised => StatusCode::UNAUTHORIZED,
            RefusalCode::NotFound => StatusCode::NOT_FOUND,
            RefusalCode::InvalidManifest
            | RefusalCode::ImageNotPinned
            | RefusalCode::AgainstRules
            | RefusalCode::DoesNotFitLease => StatusCode::UNPROCESSABLE_ENTITY,
            RefusalCode::NoCapacity | RefusalCode::HostTaken | RefusalCode::PortTaken => {
                StatusCode::CONFLICT
            }
            RefusalCode::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            RefusalCode::Busy => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

type Shared<C, B> = State<Arc<Api<C, B>>>;

async fn healthz<C: Chain, B: Backend>(State(api): Shared<C, B>) -> Response {
    if api.parts.world.borrow().is_ready {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the chain was not read yet\n").into_response()
    }
}

async fn info<C: Chain, B: Backend>(State(api): Shared<C, B>) -> Json<ProviderInfo> {
    let world = Arc::clone(&api.parts.world.borrow());
    let ingress = &api.parts.config.ingress;
    let snapshot = world.is_ready.then_some(&world.snapshot);
    Json(ProviderInfo {
        account: Hex(api.account),
        genesis_hash: Hex(api.genesis_hash),
        version: env!("CARGO_PKG_VERSION").into(),
        ingress: IngressInfo {
            domain: ingress.domain.clone(),
            http_port: api.parts.ingress_address.port(),
            tls: api.parts.tls_address.clone(),
            tcp_ports: ingress.tcp_ports,
        },
        block_number: snapshot.map(|snapshot| snapshot.block_number),
        block_time: snapshot.map(|snapshot| snapshot.time),
    })
}

/// Ten signed requests a second for as long as a nonce lives.
const REPLAYS_MAX: usize = 100_000;
/// Logs that may be followed at a time.
const FOLLOWERS_MAX: usize = 256;
/// 128 MiB of bodies at most.
const UNCHECKED_MAX: usize = 256;
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
