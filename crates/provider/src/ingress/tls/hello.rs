//! The first message of a TLS connection, read and kept.

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a client begins with.
pub(super) struct Hello {
    /// The server name, in lower case; `None` where it asks for none.
    pub(super) name: Option<String>,
    /// All that was read, for who answers it.
    pub(super) bytes: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum HelloError {
    /// It is no TLS, or none that anybody here would take; with the alert to answer, if there is one
    /// for what is wrong.
    Malformed(Vec<u8>),
    /// It does not end.
    TooLong,
    /// The client has closed.
    Gone,
}

/// Reads until the message is complete, and little more.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, HelloError> {
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::new();
    loop {
        let known = bytes.len();
        let room = HELLO_BYTES_MAX.saturating_sub(known);
        if room == 0 {
            return Err(HelloError::TooLong);
        }
        bytes.reserve(room.min(READ_BYTES));
        // Never more than there is room for, whatever the buffer's capacity has become.
        let mut limited = (&mut *stream).take(room as u64);
        match limited.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Err(HelloError::Gone),
            Ok(_) => {}
        }
        let mut fresh = bytes.get(known..).unwrap_or_default();
        while !fresh.is_empty() {
            if !acceptor.read_tls(&mut fresh).is_ok_and(|taken| taken > 0) {
                return Err(HelloError::TooLong);
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_owned);
                    return Ok(Hello { name, bytes });
                }
                Ok(None) => {}
                Err((_, mut alert)) => {
                    let mut answer = Vec::new();
                    // Writing to memory does not fail.
                    let _ = alert.write_all(&mut answer);
                    return Err(HelloError::Malformed(answer));
                }
            }
        }
    }
}

/// Room for the longest that clients send, with several post-quantum key shares; nginx reads as much.
const HELLO_BYTES_MAX: usize = 16 * 1024;
/// More than most need.
const READ_BYTES: usize = 2048;

#[cfg(test)]
mod tests;
