//! Lines in, lines out, whoever is at the other end.

use crate::wire::{self, REQUEST_BYTES_MAX};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, BufReader, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Most connections to one socket at a time. An agent has one at a time; more are from somebody who
/// wants to use up our threads.
const CONNECTIONS_MAX: usize = 32;

/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The connections that are open, to close them all at once.
#[derive(Debug, Default)]
pub(super) struct Open(Mutex<Streams>);

#[derive(Debug, Default)]
struct Streams {
    closed: bool,
    next: u64,
    streams: BTreeMap<u64, UnixStream>,
}

impl Open {
    fn streams(&self) -> std::sync::MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.streams().closed
    }

    /// Closes all, and whatever comes later.
    pub(super) fn close(&self) {
        let mut streams = self.streams();
        streams.closed = true;
        for stream in streams.streams.values() {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// `None` if there are too many, or no more are wanted.
    fn add(&self, stream: &UnixStream) -> Option<u64> {
        let mut streams = self.streams();
        if streams.closed || streams.streams.len() >= CONNECTIONS_MAX {
            return None;
        }
        let number = streams.next;
        streams.next += 1;
        streams.streams.insert(number, stream.try_clone().ok()?);
        Some(number)
    }

    fn remove(&self, number: u64) {
        self.streams().streams.remove(&number);
    }
}

/// Accepts until [`Open::close`].
pub(super) fn listen<F>(listener: &UnixListener, open: &Arc<Open>, serve: &Arc<F>)
where
    F: Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
{
    loop {
        let accepted = listener.accept();
        if open.is_closed() {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors or memory: others will be given back.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let Some(number) = open.add(&stream) else {
            // Best effort: nobody waits for it.
            let _ = send(&stream, error("too many connections; close some and try again"));
            continue;
        };
        let (open_too, serve) = (open.clone(), serve.clone());
        let spawned = std::thread::Builder::new().spawn(move || {
            // Whatever ends a connection is the other end's matter.
            let _ = converse(&stream, &*serve);
            let _ = stream.shutdown(Shutdown::Both);
            open_too.remove(number);
        });
        if spawned.is_err() {
            open.remove(number);
        }
    }
}

fn converse(stream: &UnixStream, serve: &impl Fn(&[u8]) -> Vec<u8>) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream);
    loop {
        match wire::read_line(&mut reader, REQUEST_BYTES_MAX) {
            Ok(Some(line)) => send(stream, serve(&line))?,
            Ok(None) => return Ok(()),
            Err(err) => {
                if err.kind() == io::ErrorKind::InvalidData {
                    send(stream, error(&err.to_string()))?;
                }
                return Err(err);
            }
        }
    }
}

fn send(mut stream: &UnixStream, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    stream.write_all(&line)
}

/// An answer that says why not.
pub(super) fn error(reason: &str) -> Vec<u8> {
    json!({ "error": reason }).to_string().into_bytes()
}
