//! The reverse proxy for HTTP.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, UPGRADE},
};
use hyper::{
    body::{Body, Incoming},
    client::conn::TrySendError,
    server::conn::http1,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use super::{
    Pick, Shared,
    body::{RequestBody, ResponseBody, Returning},
    endpoint::InFlight,
    headers,
};
use crate::metrics::Kind;

type Reply = Response<ResponseBody>;

pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    worker: usize,
    mut shutdown: watch::Receiver<bool>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(err) => return tracing::error!(%err, "the ingress cannot listen"),
    };
    let connections = tokio::task::LocalSet::new();
    let accept = async {
        loop {
            // Without room the kernel queues, and refuses when its own queue is full.
            let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Fails only for a connection that is gone already.
                    let _ = stream.set_nodelay(true);
                    let (shared, stop) = (Arc::clone(&shared), shutdown.clone());
                    tokio::task::spawn_local(async move {
                        connection(&shared, stream, peer, worker, stop).await;
                        drop(permit);
                    });
                }
                Err(err) => {
                    // Out of descriptors, most likely: those in use must come free first.
                    shared.metrics.failed("ingress-accept");
                    tracing::warn!(%err, "the ingress cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let mut stopping = shutdown.clone();
    connections
        .run_until(async {
            tokio::select! {
                () = accept => (),
                _ = stopping.wait_for(|stop| *stop) => (),
            }
        })
        .await;
    // A sender that is gone means the same as a stop.
    let _ = shutdown.wait_for(|stop| *stop).await;
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, connections).await;
}

async fn connection(
    shared: &Arc<Shared>,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    worker: usize,
    mut shutdown: watch::Receiver<bool>,
) {
    let client = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    let service = service_fn(|request| {
        let client = &client;
        async move { Ok::<_, Infallible>(answer(shared, request, client, worker).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        // A connection that ends badly is the client's affair.
        _ = connection.as_mut() => return,
        _ = shutdown.wait_for(|stop| *stop) => (),
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    client: &HeaderValue,
    worker: usize,
) -> Reply {
    let reply = match forward(shared, request, client, worker).await {
        Ok(reply) => reply,
        Err(problem) => problem.reply(),
    };
    let metrics = &shared.metrics;
    match reply.status().as_u16() {
        ..400 => {
            metrics.requests_ok.inc();
        }
        code => {
            let kind = if code < 500 { "client-error" } else { "server-error" };
            metrics.requests.get_or_create(&Kind { kind }).inc();
        }
    }
    reply
}

#[derive(Clone, Copy, Debug)]
enum Problem {
    BadHost,
    Connect,
    UnknownHost,
    NoPod,
    BadGateway,
    Timeout,
}

impl Problem {
    fn reply(self) -> Reply {
        let (status, text) = match self {
            Self::BadHost => (StatusCode::BAD_REQUEST, "The request names no valid host.\n"),
            Self::Connect => (StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here.\n"),
            Self::UnknownHost => (StatusCode::NOT_FOUND, "No app has this host name here.\n"),
            Self::NoPod => {
                (StatusCode::SERVICE_UNAVAILABLE, "The app is not ready. Try again soon.\n")
            }
            Self::BadGateway => (StatusCode::BAD_GATEWAY, "The app broke the connection off.\n"),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "The app takes too long to answer.\n"),
        };
        let mut reply = Response::new(ResponseBody::Text(Some(text)));
        *reply.status_mut() = status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        reply
    }
}

async fn forward(
    shared: &Arc<Shared>,
    mut request: Request<Incoming>,
    client: &HeaderValue,
    worker: usize,
) -> Result<Reply, Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::Connect);
    }
    let host = take_host(&mut request)?;
    let protocol = headers::upgrade(request.headers());
    let on_upgrade = protocol.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let (mut head, body) = request.into_parts();
    headers::remove_hop_by_hop(&mut head.headers);
    headers::set_forwarded(&mut head.headers, client, host.clone());
    head.version = Version::HTTP_11;
    let wants_upgrade = protocol.is_some();
    if let Some(protocol) = protocol {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, protocol);
    }
    let (body, progress) = if body.is_end_stream() {
        (RequestBody::Empty, None)
    } else {
        let frames = Arc::new(AtomicU64::new(0));
        (RequestBody::Streamed(body, Arc::clone(&frames)), Some(frames))
    };
    let can_repeat = progress.is_none() && !wants_upgrade && head.method.is_idempotent();
    let mut request = Request::from_parts(head, body);
    let mut fresh = false;
    let mut moves = 0;
    for _ in 0..TRIES_MAX {
        let in_flight = loop {
            match pick(shared, &host)? {
                Pick::One(in_flight) => break in_flight,
                Pick::Moved if moves < MOVES_MAX => moves += 1,
                Pick::Moved | Pick::Empty => return Err(Problem::NoPod),
            }
        };
        let endpoint = Arc::clone(in_flight.endpoint());
        let reused = if fresh { None } else { endpoint.reuse(worker).await };
        let is_reused = reused.is_some();
        let connected = match reused {
            Some(sender) => Ok(sender),
            None => endpoint.connect().await,
        };
        // Nothing was sent yet: another pod, or the same a moment later, may do.
        let Ok(mut sender) = connected else { continue };
        let copy = (is_reused && can_repeat).then(|| copy_of(&request));
        let sent = sender.try_send_request(request);
        match until_head(sent, shared.settings.response_timeout, progress.as_deref()).await? {
            Ok(response) => {
                let returning = Returning { sender, in_flight, worker };
                return finish(response, returning, on_upgrade);
            }
            Err(mut failed) => {
                // An idle connection that the pod closed meanwhile: its siblings are as old.
                endpoint.forget_idle(worker);
                fresh = true;
                request = match (failed.take_message(), copy) {
                    (Some(unsent), _) => unsent,
                    (None, Some(copy)) => copy,
                    (None, None) => return Err(Problem::BadGateway),
                };
            }
        }
    }
    Err(Problem::BadGateway)
}

/// Waits for the response's head for as long as the pod or the client's body makes progress.
async fn until_head(
    sent: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
    limit: Duration,
    progress: Option<&AtomicU64>,
) -> Result<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>, Problem> {
    let mut sent = pin!(sent);
    let mut seen = 0;
    loop {
        if let Ok(done) = tokio::time::timeout(limit, sent.as_mut()).await {
            return Ok(done);
        }
        let frames = progress.map_or(0, |frames| frames.load(Ordering::Relaxed));
        if frames == seen {
            return Err(Problem::Timeout);
        }
        seen = frames;
    }
}

fn finish(
    mut response: Response<Incoming>,
    returning: Returning,
    on_upgrade: Option<OnUpgrade>,
) -> Result<Reply, Problem> {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = headers::upgrade(response.headers());
    headers::remove_hop_by_hop(response.headers_mut());
    if !switching {
        return Ok(response.map(|body| ResponseBody::streamed(body, returning)));
    }
    let (Some(protocol), Some(client)) = (protocol, on_upgrade) else {
        return Err(Problem::BadGateway);
    };
    let pod = hyper::upgrade::on(&mut response);
    tokio::spawn(tunnel(client, pod, returning.in_flight));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, protocol);
    Ok(response.map(|_| ResponseBody::Text(None)))
}

/// Carries bytes both ways after a switch of protocols, and counts as a request under way.
async fn tunnel(client: OnUpgrade, pod: OnUpgrade, in_flight: InFlight) {
    if let (Ok(client), Ok(pod)) = tokio::join!(client, pod) {
        let (mut client, mut pod) = (TokioIo::new(client), TokioIo::new(pod));
        // However it ends, both sides see it end.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut pod).await;
    }
    drop(in_flight);
}

/// The host that is asked for, after which the request has the form in which a server gets it: the
/// path alone in its first line and one `Host`.
fn take_host(request: &mut Request<Incoming>) -> Result<HeaderValue, Problem> {
    let host = if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Problem::BadHost)?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| Problem::BadHost)?;
        request.headers_mut().insert(HOST, host.clone());
        host
    } else {
        request.headers().get(HOST).cloned().ok_or(Problem::BadHost)?
    };
    let one = request.headers().get_all(HOST).iter().nth(1).is_none();
    if one { Ok(host) } else { Err(Problem::BadHost) }
}

fn pick(shared: &Shared, host: &HeaderValue) -> Result<Pick, Problem> {
    let host = host.to_str().map_err(|_| Problem::BadHost)?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let table = shared.table();
    let service = match table.http.get(name) {
        Some(service) => service,
        None => {
            let name = crate::facts::normal_host(name);
            table.http.get(name.as_str()).ok_or(Problem::UnknownHost)?
        }
    };
    Ok(service.pick())
}

fn copy_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = HeaderMap::clone(request.headers());
    copy
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests may go on after the daemon was told to stop.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
/// For a request's head, and for how long a connection may lie idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of a request; nginx takes 4 × 8 KiB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
const TRIES_MAX: usize = 3;
/// How often the table may change under one request.
const MOVES_MAX: usize = 16;
