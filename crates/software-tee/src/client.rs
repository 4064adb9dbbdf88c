//! Talks to the daemon: [`Guest`] from inside a pod, [`Control`] from the provider.
//!
//! Blocking, one connection for each request, so that a daemon that was restarted in between is
//! not noticed.

mod control;
mod guest;

pub use control::{Control, Launch, Launched, Owner};
pub use guest::{Answer, EventLogEntry, Guest};

use crate::wire;
use serde_json::Value;
use std::{
    fmt,
    io::{self, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why a request was not answered.
#[derive(Debug)]
pub enum ClientError {
    /// The socket cannot be reached, or the connection broke.
    Io {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon has refused the request, for this reason.
    Refused(String),
    /// The daemon's answer is not what was asked for.
    BadAnswer(&'static str),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { socket, .. } => {
                write!(f, "cannot talk to the software TEE at `{}`", socket.display())
            }
            Self::Refused(reason) => write!(f, "the software TEE refused: {reason}"),
            Self::BadAnswer(what) => write!(f, "the software TEE's answer has no usable `{what}`"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// One request, one answer.
fn call(socket: &Path, timeout: Duration, request: &Value) -> Result<Value, ClientError> {
    let io = |source| ClientError::Io { socket: socket.to_path_buf(), source };
    let mut stream = UnixStream::connect(socket).map_err(io)?;
    stream.set_read_timeout(Some(timeout)).map_err(io)?;
    stream.set_write_timeout(Some(timeout)).map_err(io)?;
    let mut line = request.to_string();
    line.push('\n');
    // A daemon that has too much to do answers and hangs up before it has read anything, so the
    // answer is looked for even if the request could not be written.
    let written = stream.write_all(line.as_bytes());
    let answer = wire::read_line(&mut BufReader::new(stream), wire::ANSWER_BYTES_MAX)
        .and_then(|line| line.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
        .map_err(|err| io(written.err().unwrap_or(err)))?;
    let answer: Value =
        serde_json::from_slice(&answer).map_err(|_| ClientError::BadAnswer("JSON"))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(reason) => Err(ClientError::Refused(reason.to_owned())),
        None => Ok(answer),
    }
}

/// A text of an answer.
fn text<'a>(answer: &'a Value, name: &'static str) -> Result<&'a str, ClientError> {
    answer.get(name).and_then(Value::as_str).ok_or(ClientError::BadAnswer(name))
}
