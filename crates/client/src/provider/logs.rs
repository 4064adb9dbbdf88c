//! The stream of log lines.

use std::collections::BTreeMap;

use futures::{StreamExt, stream, stream::BoxStream};
use reqwest::Response;

use super::ProviderError;
use crate::api::LogEntry;

/// Which lines to give.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogOptions {
    /// Only this container.
    pub container: Option<String>,
    /// Only this replica.
    pub replica: Option<u16>,
    /// Only lines after these cursors, by pod (from [`LogEntry`]).
    pub after: BTreeMap<String, u64>,
    /// At most this many of each pod, the newest ones.
    pub tail: Option<usize>,
    /// Whether to wait for more.
    pub follow: bool,
}

impl LogOptions {
    pub(super) fn query(&self) -> String {
        let mut fields = Vec::new();
        if let Some(container) = &self.container {
            fields.push(format!("container={}", percent_encode(container)));
        }
        if let Some(replica) = self.replica {
            fields.push(format!("replica={replica}"));
        }
        if !self.after.is_empty() {
            let after: Vec<_> = self
                .after
                .iter()
                .map(|(pod, cursor)| format!("{}:{cursor}", percent_encode(pod)))
                .collect();
            fields.push(format!("after={}", after.join(",")));
        }
        if let Some(tail) = self.tail {
            fields.push(format!("tail={tail}"));
        }
        if self.follow {
            fields.push("follow=true".into());
        }
        if fields.is_empty() { String::new() } else { format!("?{}", fields.join("&")) }
    }
}

/// All but unreserved characters (RFC 3986) as `%XX`, so that neither URL parser changes what was
/// signed.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

struct Lines {
    response: Response,
    buffer: Vec<u8>,
    /// Start of what has not been handed out.
    at: usize,
    ended: bool,
}

pub(super) fn lines(response: Response) -> BoxStream<'static, Result<LogEntry, ProviderError>> {
    let state = Lines { response, buffer: Vec::new(), at: 0, ended: false };
    stream::unfold(state, |mut state| async move { state.next().await.map(|line| (line, state)) })
        .boxed()
}

impl Lines {
    async fn next(&mut self) -> Option<Result<LogEntry, ProviderError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(length) = self.buffer[self.at..].iter().position(|b| *b == b'\n') {
                let line = &self.buffer[self.at..self.at + length];
                self.at += length + 1;
                if line.is_empty() {
                    continue;
                }
                return Some(serde_json::from_slice(line).map_err(|err| {
                    self.ended = true;
                    self.malformed(err.to_string())
                }));
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            if self.buffer.len() > LINE_BYTES_MAX {
                self.ended = true;
                return Some(Err(
                    self.malformed(format!("a line is longer than {LINE_BYTES_MAX} bytes"))
                ));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => {
                    self.ended = true;
                    if !self.buffer.is_empty() {
                        return Some(Err(self.malformed("the last line is cut off".into())));
                    }
                }
                Err(source) => {
                    self.ended = true;
                    return Some(Err(ProviderError::unreachable(self.response.url(), source)));
                }
            }
        }
    }

    fn malformed(&self, reason: String) -> ProviderError {
        ProviderError::Malformed { url: self.response.url().to_string(), reason }
    }
}

/// An agent cuts lines at 16 KiB; JSON may write a byte as six.
const LINE_BYTES_MAX: usize = 256 * 1024;
