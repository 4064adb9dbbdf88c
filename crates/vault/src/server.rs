//! The vault's HTTP: bounded in connections, time, size and rate.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use casemate_ra_tls::{
    DeadlineStream, Problem,
    http::{self, HttpError, Message},
};
use serde::Serialize;

use crate::{
    NONCE_SECONDS, Refused, Vault,
    appraise::{PIECE_BYTES_MAX, PIECES_MAX},
    limiter::Limiter,
    vault::chain,
    wire::{self, Ask, Health, Merged, Nonce, REQUEST_BYTES_MAX, Sealed, from_base64, to_base64},
};

/// Connections at once; more wait in the port's queue.
const CONNECTIONS_MAX: usize = 32;

/// Time for a connection, from first to last byte.
const CONNECTION: Duration = Duration::from_secs(30);

/// Requests on one connection.
const REQUESTS_MAX: usize = 64;

/// What strangers may ask: a burst, and so many a second. Judging evidence takes one to two
/// milliseconds of a core.
const RATE: (u16, f64) = (200, 50.0);

/// The same for snapshots, which are up to a megabyte each.
const SNAPSHOT_RATE: (u16, f64) = (8, 0.5);

/// A thread parses JSON and evidence of bounded size.
const STACK_BYTES: usize = 1024 * 1024;

type Answer = (u16, Vec<u8>);

/// How often strangers may ask, all together. What must open under the master's keys is not counted,
/// so that no crowd keeps a publisher from revoking a grant.
struct Limits {
    all: Mutex<Limiter>,
    snapshots: Mutex<Limiter>,
}

impl Limits {
    fn new() -> Self {
        let limiter = |rate: (u16, f64)| Mutex::new(Limiter::new(rate.0, rate.1, Instant::now()));
        Self { all: limiter(RATE), snapshots: limiter(SNAPSHOT_RATE) }
    }
}

fn take(limiter: &Mutex<Limiter>) -> bool {
    limiter.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
}

/// Serves for ever.
pub fn serve(listener: &TcpListener, vault: &Arc<Vault>) {
    let slots = Arc::new((Mutex::new(CONNECTIONS_MAX), Condvar::new()));
    let limits = Arc::new(Limits::new());
    loop {
        let slot = Slot::take(&slots);
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, or a client that is gone already.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let (vault, limits) = (Arc::clone(vault), Arc::clone(&limits));
        let handle = move || {
            // Whatever ends it concerns the other side alone.
            let _ = connection(stream, &vault, &limits);
            drop(slot);
        };
        // Where there is no thread the connection is closed, and its client tries again.
        let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(handle);
    }
}

struct Slot(Arc<(Mutex<usize>, Condvar)>);

impl Slot {
    fn take(slots: &Arc<(Mutex<usize>, Condvar)>) -> Self {
        let mut free = slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = slots.1.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Self(Arc::clone(slots))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.1.notify_one();
    }
}

fn connection(stream: TcpStream, vault: &Vault, limits: &Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = DeadlineStream::new(stream, CONNECTION);
    let mut read_ahead = Vec::new();
    for left in (0..REQUESTS_MAX).rev() {
        let request = match http::read(&mut stream, &mut read_ahead, REQUEST_BYTES_MAX, true) {
            Ok(request) => request,
            Err(HttpError::End | HttpError::Io(_)) => return Ok(()),
            Err(err) => {
                let is_long = matches!(err, HttpError::BodyTooLong(_) | HttpError::HeadTooLong);
                let (status, body) = problem(if is_long { 413 } else { 400 }, "badRequest", &err);
                return http::answer(&mut stream, status, &body, true);
            }
        };
        let close = request.close || left == 0;
        let (status, body) = answer(vault, limits, &request);
        http::answer(&mut stream, status, &body, close)?;
        if close {
            return Ok(());
        }
    }
    Ok(())
}

fn answer(vault: &Vault, limits: &Limits, request: &Message) -> Answer {
    let [method, target, _] = &request.start;
    let path = target.split_once('?').map_or(target.as_str(), |(path, _)| path);
    if path == "/v1/health" {
        return json(200, &Health { vault: hex::encode(vault.keys().id()) });
    }
    let result = match (method.as_str(), path) {
        ("POST", "/v1/nonce") if take(&limits.all) => {
            let nonce = |nonce| Nonce { nonce: hex::encode(nonce), seconds: NONCE_SECONDS };
            vault.nonce().map(|n| json(200, &nonce(n)))
        }
        ("POST", "/v1/release") if take(&limits.all) => release(vault, &request.body),
        ("GET", "/v1/snapshot") if take(&limits.snapshots) => {
            vault.snapshot().map(|bytes| sealed(&bytes))
        }
        ("POST", "/v1/nonce" | "/v1/release") | ("GET", "/v1/snapshot") => Ok(busy()),
        ("POST", "/v1/publisher") => command(vault, &request.body),
        ("POST", "/v1/snapshot") => match read_sealed(&request.body) {
            Some(bytes) => vault.merge(&bytes).map(|added| json(200, &Merged { added })),
            None => Ok(malformed()),
        },
        (_, "/v1/nonce" | "/v1/release" | "/v1/publisher" | "/v1/snapshot") => {
            Ok(problem(405, "method", &"this path is for another method"))
        }
        _ => Ok(problem(404, "notFound", &"a vault has nothing at this path")),
    };
    result.unwrap_or_else(|err| {
        let status = match &err {
            Refused::Store(_) | Refused::Random(_) => 503,
            Refused::Nonce(_) | Refused::Changed => 409,
            Refused::Evidence(_) | Refused::Entry(_) => 400,
            _ => 403,
        };
        problem(status, err.code(), &chain(&err))
    })
}

fn release(vault: &Vault, body: &[u8]) -> Result<Answer, Refused> {
    let Ok(ask) = serde_json::from_slice::<Ask>(body) else { return Ok(malformed()) };
    let collateral: Option<Vec<Vec<u8>>> =
        ask.collateral.iter().map(|piece| from_base64(piece)).collect();
    let (Some(evidence), Some(collateral)) = (from_base64(&ask.evidence), collateral) else {
        return Ok(malformed());
    };
    if collateral.len() > PIECES_MAX || collateral.iter().any(|p| p.len() > PIECE_BYTES_MAX) {
        return Ok(problem(413, "tooMuch", &"at most 16 pieces of collateral, of 256 KiB each"));
    }
    let released = vault.release(&evidence, &collateral)?;
    Ok(sealed(&released.sealed))
}

fn command(vault: &Vault, body: &[u8]) -> Result<Answer, Refused> {
    let Some(bytes) = read_sealed(body) else { return Ok(malformed()) };
    let (id, command) = wire::open_command(vault.keys(), &bytes)?;
    let reply = vault.command(command);
    Ok(sealed(&wire::seal_reply(vault.keys(), &id, &reply)?))
}

fn read_sealed(body: &[u8]) -> Option<Vec<u8>> {
    from_base64(&serde_json::from_slice::<Sealed>(body).ok()?.sealed)
}

fn sealed(bytes: &[u8]) -> Answer {
    json(200, &Sealed { sealed: to_base64(bytes) })
}

fn busy() -> Answer {
    problem(429, "busy", &"too many requests: try again in a second")
}

fn malformed() -> Answer {
    problem(400, "malformed", &"the body is not the JSON that this path takes")
}

fn json(status: u16, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => (status, body),
        Err(_) => (500, b"{}".to_vec()),
    }
}

fn problem(status: u16, code: &str, error: &dyn std::fmt::Display) -> Answer {
    json(status, &Problem { code: code.to_owned(), error: error.to_string() })
}
