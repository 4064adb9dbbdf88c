//! From inside the pod: evidence, and extending run-time registers.

use super::{ClientError, call, text};
use crate::wire::{Kind, from_hex, from_hex_array, to_hex};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};

/// Evidence is signed with curves only and comes in milliseconds; machines that run other things
/// at full load have been 15 times slower.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A guest's socket.
#[derive(Clone, Debug)]
pub struct Guest {
    socket: PathBuf,
}

/// One entry of the event log: replaying all of a register's in order, from zeros, gives the
/// register's value (`new = SHA-384(old || digest)`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventLogEntry {
    /// Which run-time register, from 0.
    pub register: u8,
    /// What it was extended with.
    pub digest: [u8; 48],
    /// What that is, for people.
    pub event: String,
}

/// What the guest has asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Which format the evidence has.
    pub kind: Kind,
    /// The quote or report, as the vendor's hardware gives it.
    pub evidence: Vec<u8>,
    /// TDX only; empty for others.
    pub event_log: Vec<EventLogEntry>,
    /// SEV-SNP only: the certificates that real firmware gives with an extended report, as JSON
    /// `{"vek", "ask", "ark", "crl"}`.
    pub endorsements: Option<Value>,
}

impl Guest {
    /// Uses this socket. Nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Evidence over these 64 bytes.
    ///
    /// # Errors
    /// If the daemon is not there, or has destroyed this guest.
    pub fn evidence(&self, report_data: &[u8; 64]) -> Result<Answer, ClientError> {
        let answer = call(&self.socket, TIMEOUT, &json!({ "reportData": to_hex(report_data) }))?;
        let kind = Kind::parse(text(&answer, "kind")?).ok_or(ClientError::BadAnswer("kind"))?;
        let evidence =
            from_hex(text(&answer, "evidence")?).ok_or(ClientError::BadAnswer("evidence"))?;
        let event_log = match answer.get("eventLog") {
            None | Some(Value::Null) => Vec::new(),
            Some(log) => log
                .as_array()
                .ok_or(ClientError::BadAnswer("eventLog"))?
                .iter()
                .map(entry)
                .collect::<Result<_, _>>()?,
        };
        Ok(Answer { kind, evidence, event_log, endorsements: answer.get("endorsements").cloned() })
    }

    /// Extends TDX's run-time register 2 or 3.
    ///
    /// # Errors
    /// If the daemon is not there, or this guest has no such register.
    pub fn extend(&self, register: u8, digest: &[u8; 48], event: &str) -> Result<(), ClientError> {
        let extend = json!({ "register": register, "digest": to_hex(digest), "event": event });
        call(&self.socket, TIMEOUT, &json!({ "extend": extend })).map(drop)
    }
}

fn entry(value: &Value) -> Result<EventLogEntry, ClientError> {
    let register = value.get("register").and_then(Value::as_u64);
    Ok(EventLogEntry {
        register: register
            .and_then(|r| u8::try_from(r).ok())
            .ok_or(ClientError::BadAnswer("register"))?,
        digest: from_hex_array(text(value, "digest")?).ok_or(ClientError::BadAnswer("digest"))?,
        event: text(value, "event")?.to_owned(),
    })
}
