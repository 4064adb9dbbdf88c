//! Secrets for the app by a unix socket: a JSON line each way.
//!
//! `{"get": "NAME"}` -> `{"name", "value" (base64), "sequence"}`; `{"list": true}` -> `{"names",
//! "sequence"}`; `{"wait": 3}` -> the same, once there is a release with a larger number than 3. What
//! can't be answered is `{"error"}`.
//!
//! Who waits holds none of the connections that others need: waits are counted on their own, and end
//! when their client is gone.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::fd::AsFd as _,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
};
use serde::Deserialize;
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    TeeError,
    delivery::{Current, Delivery},
    slots::{Slot, Slots},
    spawn,
};

/// Connections at once that ask something; more are answered after them.
const CONNECTIONS_MAX: u16 = 16;

/// Connections at once that wait; more are refused. An app needs one.
const WAITS_MAX: u16 = 16;

/// A name and some syntax.
const REQUEST_BYTES_MAX: u64 = 1024;

/// Time for a request to come and its answer to be read.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for a newer release; the app asks again then.
const WAIT: Duration = Duration::from_secs(300);

/// How often a wait looks whether its client is still there.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Get(String),
    #[expect(dead_code, reason = "the value says nothing; JSON has no pair without one")]
    List(bool),
    Wait(u64),
}

/// Opens the socket and serves it on a thread, to the app's user alone.
pub(super) fn serve(
    path: PathBuf,
    owner: Option<(u32, u32)>,
    delivery: Arc<Delivery>,
) -> Result<(), TeeError> {
    let failed = |action| {
        let path = path.clone();
        move |source| TeeError::Path { action, path, source }
    };
    match fs::remove_file(&path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove the old socket")(err));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed("make the socket"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        .map_err(failed("set the permissions of"))?;
    if let Some((uid, gid)) = owner {
        chown(&path, Some(uid), Some(gid)).map_err(failed("change the owner of"))?;
    }
    let user = owner.map_or_else(|| nix::unistd::geteuid().as_raw(), |(uid, _)| uid);
    let (slots, waits) = (Slots::new(CONNECTIONS_MAX), Slots::new(WAITS_MAX));
    spawn(move || {
        loop {
            let slot = slots.take();
            let Ok((stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            // The file's permissions were wider for a moment.
            let asks = getsockopt(&stream, PeerCredentials).map(|peer| peer.uid());
            if asks != Ok(user) && asks != Ok(0) {
                continue;
            }
            let (delivery, slots, waits) = (Arc::clone(&delivery), slots.clone(), waits.clone());
            let _ = spawn(move || {
                let _ = answer_all(stream, &delivery, (&slots, slot), &waits);
            });
        }
    })
    .map_err(TeeError::Thread)
}

fn answer_all(
    mut stream: UnixStream,
    delivery: &Delivery,
    (slots, mut slot): (&Slots, Slot),
    waits: &Slots,
) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = Vec::new();
        (&mut reader).take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(());
        }
        let answer = match serde_json::from_slice(&line) {
            Ok(Request::Wait(sequence)) => match waits.try_take() {
                Some(wait) => {
                    drop(slot);
                    let newer = wait_newer(&stream, delivery, sequence)?;
                    drop(wait);
                    slot = slots.take();
                    names(newer)
                }
                None => error("too many wait already: one connection that waits is enough"),
            },
            Ok(Request::Get(name)) => value(&name, delivery),
            Ok(Request::List(_)) => names(delivery.current()),
            Err(_) => error("ask with {\"get\": NAME}, {\"list\": true} or {\"wait\": SEQUENCE}"),
        };
        stream.write_all(&answer)?;
    }
}

/// Waits for a newer release, as long as the client does.
fn wait_newer(
    stream: &UnixStream,
    delivery: &Delivery,
    sequence: u64,
) -> io::Result<Option<Current>> {
    let end = Instant::now() + WAIT;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let newer = delivery.wait_newer(sequence, left.min(LOOK));
        if newer.is_some() || left.is_zero() {
            return Ok(newer);
        }
        // Without asking for anything: that it has hung up is told in any case. Who has only ended
        // what he sends still wants the answer.
        let mut fds = [PollFd::new(stream.as_fd(), PollFlags::empty())];
        if poll(&mut fds, PollTimeout::ZERO).is_ok_and(|gone| gone > 0) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

type Answer = Zeroizing<Vec<u8>>;

fn say(value: &serde_json::Value) -> Answer {
    Zeroizing::new(format!("{value}\n").into_bytes())
}

fn error(text: &str) -> Answer {
    say(&json!({ "error": text }))
}

fn names(release: Option<Current>) -> Answer {
    match release {
        Some(release) => {
            let names: Vec<&str> = release.secrets.names().collect();
            say(&json!({ "names": names, "sequence": release.sequence }))
        }
        None => error("no such release has come yet"),
    }
}

fn value(name: &str, delivery: &Delivery) -> Answer {
    let Some(current) = delivery.current() else {
        return error("no secrets have been released to this pod yet");
    };
    let Some(value) = current.secrets.get(name) else {
        return error("the newest release holds no secret of that name");
    };
    // Not through a JSON value, which would leave copies: neither name nor base64 needs escapes.
    let mut encoded = STANDARD.encode(value);
    let sequence = current.sequence;
    let mut out = Zeroizing::new(Vec::with_capacity(encoded.len() + name.len() + 80));
    out.extend_from_slice(format!("{{\"name\":\"{name}\",\"value\":\"").as_bytes());
    out.extend_from_slice(encoded.as_bytes());
    out.extend_from_slice(format!("\",\"sequence\":{sequence}}}\n").as_bytes());
    encoded.zeroize();
    out
}
