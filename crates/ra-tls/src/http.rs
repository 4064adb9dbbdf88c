//! As much of HTTP/1.1 (RFC 9112) as a few endpoints need: bounded heads, bodies with a length, no
//! transfer codings. For agents, vaults, and who talks to them.

use std::io::{self, Read, Write};

/// Longest head of a request or an answer.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// What came.
#[derive(Debug)]
pub struct Message {
    /// The request line or status line, in its three parts.
    pub start: [String; 3],
    /// What came after the head.
    pub body: Vec<u8>,
    /// Whether the other side wants no more on this connection.
    pub close: bool,
}

/// Why nothing usable came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Closed before a message began.
    #[error("the connection ended")]
    End,
    /// Broke.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// Not HTTP/1.1, or cut off.
    #[error("this is no HTTP/1.1 message")]
    Malformed,
    /// Request line and fields.
    #[error("the head is longer than {HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// More than the caller takes.
    #[error("the body is longer than {0} bytes")]
    BodyTooLong(usize),
    /// A transfer coding.
    #[error("bodies are taken with Content-Length only")]
    NoLength,
}

/// Reads one message; `answer_100` where the other side may wait for leave to send its body.
/// `read_ahead` holds what was read of the next one.
///
/// # Errors
/// Where nothing usable comes.
pub fn read<S: Read + Write>(
    stream: &mut S,
    read_ahead: &mut Vec<u8>,
    body_bytes_max: usize,
    answer_100: bool,
) -> Result<Message, HttpError> {
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = read_ahead.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if read_ahead.len() > HEAD_BYTES_MAX {
            return Err(HttpError::HeadTooLong);
        }
        match stream.read(&mut buffer) {
            Ok(0) if read_ahead.is_empty() => return Err(HttpError::End),
            Ok(0) => return Err(HttpError::Malformed),
            Ok(read) => read_ahead.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            // Peers often close without TLS's farewell.
            Err(err) if err.kind() == io::ErrorKind::UnexpectedEof && read_ahead.is_empty() => {
                return Err(HttpError::End);
            }
            Err(err) => return Err(err.into()),
        }
    };
    if end > HEAD_BYTES_MAX {
        return Err(HttpError::HeadTooLong);
    }
    let head: Vec<u8> = read_ahead.drain(..end + 4).take(end).collect();
    let head = String::from_utf8(head).map_err(|_| HttpError::Malformed)?;
    // Others could take these for the end of a line, or of a text.
    if head.split("\r\n").any(|line| line.contains(['\r', '\n', '\0'])) {
        return Err(HttpError::Malformed);
    }
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let mut parts = start.splitn(3, ' ').map(str::to_owned);
    let (Some(a), Some(b)) = (parts.next(), parts.next()) else {
        return Err(HttpError::Malformed);
    };
    let start = [a, b, parts.next().unwrap_or_default()];
    if !start.iter().any(|part| part == "HTTP/1.1") {
        return Err(HttpError::Malformed);
    }
    let (mut length, mut close, mut expects) = (None, false, false);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(HttpError::Malformed)?;
        // "A server MUST reject [...] whitespace between a header field name and colon" (section 5.1).
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HttpError::Malformed);
        }
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                // Not `+5`, which the standard library takes.
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let parsed = value.parse().ok().filter(|_| digits).ok_or(HttpError::Malformed)?;
                if length.replace(parsed).is_some() {
                    return Err(HttpError::Malformed);
                }
            }
            "transfer-encoding" => return Err(HttpError::NoLength),
            "connection" => close = value.eq_ignore_ascii_case("close"),
            "expect" => expects = value.eq_ignore_ascii_case("100-continue"),
            _ => {}
        }
    }
    let length = length.unwrap_or(0);
    if length > body_bytes_max {
        return Err(HttpError::BodyTooLong(body_bytes_max));
    }
    if expects && answer_100 && read_ahead.len() < length {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.flush()?;
    }
    while read_ahead.len() < length {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(HttpError::Malformed),
            Ok(read) => read_ahead.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err.into()),
        }
    }
    let body = read_ahead.drain(..length).collect();
    Ok(Message { start, body, close })
}

/// Writes an answer of JSON.
///
/// # Errors
/// Those of the connection.
pub fn answer(stream: &mut impl Write, status: u16, body: &[u8], close: bool) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Error",
    };
    let connection = if close { "connection: close\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncache-control: \
         no-store\r\ncontent-length: {}\r\n{connection}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()
}

/// Writes a request.
///
/// # Errors
/// Those of the connection.
pub fn request(
    stream: &mut impl Write,
    method: &str,
    target: &str,
    host: &str,
    body: &[u8],
) -> io::Result<()> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {host}\r\ncontent-type: \
         application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length_of(fields: &str) -> Option<usize> {
        let text = format!("PUT /x HTTP/1.1\r\n{fields}\r\n\r\n12345678");
        let mut ahead = text.into_bytes();
        let mut silent = io::Cursor::new(Vec::new());
        read(&mut silent, &mut ahead, 100, false).ok().map(|message| message.body.len())
    }

    #[test]
    fn heads_that_could_be_read_in_two_ways_are_refused() {
        assert_eq!(length_of("Content-Length: 5"), Some(5));
        assert_eq!(length_of("x-a: b\r\ncontent-length:\t5 "), Some(5));
        assert_eq!(length_of("x-a:"), Some(0));
        for bad in [
            "content-length: +5",
            "content-length: -5",
            "content-length: 5, 5",
            "content-length:",
            "content-length: 5\r\ncontent-length: 5",
            "content-length : 5",
            " content-length: 5",
            ": 5",
            "x-a: b\ncontent-length: 5",
            "x-a: b\rcontent-length: 5",
            "x-a: b\0",
            "x-a: b\r\n folded",
            "transfer-encoding: chunked",
        ] {
            assert_eq!(length_of(bad), None, "{bad:?}");
        }
    }
}
