//! As much of HTTP/1.1 (RFC 9112) as this app needs, strictly.

use std::{
    io::{self, BufRead, Write},
    str,
};

/// Longest request line and headers together.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Most headers.
const HEADERS_MAX: usize = 64;

/// Longest body: a form's longest message, each byte of it percent-encoded, is below.
const BODY_BYTES_MAX: usize = 32 * 1024;

/// A request, read whole.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Visible ASCII from `/` on, without the query.
    pub(crate) path: String,
    /// Without parameters, in lower case; empty where there is none.
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// Whether the client keeps the connection for another request.
    pub(crate) keep_alive: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The client closed the connection between requests.
    Closed,
    /// The connection failed, or the client was too slow.
    Io(io::Error),
    /// The request is refused with this response; the connection can't go on.
    Refused(Response),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn refused(status: u16, reason: &str) -> ReadError {
    ReadError::Refused(Response::text(status, reason))
}

/// Reads one request. `go_on` is called where the client waits for leave to send the body.
pub(crate) fn read_request(
    reader: &mut impl BufRead,
    go_on: impl FnOnce() -> io::Result<()>,
) -> Result<Request, ReadError> {
    let mut left = HEAD_BYTES_MAX;
    let mut line = read_line(reader, &mut left)?.ok_or(ReadError::Closed)?;
    if line.is_empty() {
        // One empty line before a request is allowed (RFC 9112, section 2.2).
        line = read_line(reader, &mut left)?.ok_or(ReadError::Closed)?;
    }
    let (method, path, is_1_1) = request_line(&line)?;

    let mut head = Head::default();
    for count in 0.. {
        let line = read_line(reader, &mut left)?
            .ok_or_else(|| refused(400, "the request ends within its headers"))?;
        if line.is_empty() {
            break;
        }
        if count == HEADERS_MAX {
            return Err(refused(431, "too many headers"));
        }
        head.add(&line)?;
    }
    if is_1_1 && head.hosts != 1 {
        return Err(refused(400, "exactly one Host header is needed"));
    }

    let length = head.content_length.unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Err(refused(413, "the body is too large: at most 32 KiB"));
    }
    if head.expects_continue && length > 0 {
        go_on()?;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let keep_alive = if is_1_1 { !head.close } else { head.keep_alive && !head.close };
    Ok(Request { method, path, content_type: head.content_type, body, keep_alive })
}

/// What the headers say, as far as it matters here.
#[derive(Default)]
struct Head {
    hosts: usize,
    content_length: Option<usize>,
    content_type: String,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Head {
    fn add(&mut self, line: &[u8]) -> Result<(), ReadError> {
        let malformed = || refused(400, "malformed header");
        let colon = line.iter().position(|b| *b == b':').ok_or_else(malformed)?;
        let name = str::from_utf8(&line[..colon]).map_err(|_| malformed())?;
        // A space before the colon is how requests are smuggled past a proxy.
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(malformed());
        }
        let value = String::from_utf8_lossy(&line[colon + 1..]);
        let value = value.trim_matches([' ', '\t']);
        if value.contains(|c: char| c.is_control() && c != '\t') {
            return Err(malformed());
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => self.hosts += 1,
            "content-length" => {
                let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                if !is_number || self.content_length.is_some() {
                    return Err(refused(400, "malformed Content-Length"));
                }
                // What does not fit is too large in any case.
                self.content_length = Some(value.parse().unwrap_or(usize::MAX));
            }
            "transfer-encoding" => {
                return Err(refused(411, "send the body with a Content-Length"));
            }
            "content-type" => {
                let kind = value.split(';').next().unwrap_or_default();
                self.content_type = kind.trim().to_ascii_lowercase();
            }
            "connection" => {
                for option in value.split(',').map(str::trim) {
                    self.close |= option.eq_ignore_ascii_case("close");
                    self.keep_alive |= option.eq_ignore_ascii_case("keep-alive");
                }
            }
            "expect" if value.eq_ignore_ascii_case("100-continue") => self.expects_continue = true,
            "expect" => return Err(refused(417, "only `100-continue` may be expected")),
            _ => {}
        }
        Ok(())
    }
}

/// A line without its end; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead, left: &mut usize) -> Result<Option<Vec<u8>>, ReadError> {
    let mut line = Vec::new();
    let limit = *left as u64;
    let read = io::Read::take(reader, limit).read_until(b'\n', &mut line)?;
    *left -= read;
    match line.pop() {
        Some(b'\n') => {}
        _ if *left == 0 => return Err(too_long()),
        None => return Ok(None),
        Some(_) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

fn too_long() -> ReadError {
    refused(431, "request line and headers are too long: at most 16 KiB")
}

fn request_line(line: &[u8]) -> Result<(String, String, bool), ReadError> {
    let malformed = || refused(400, "malformed request line");
    let line = str::from_utf8(line).map_err(|_| malformed())?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed());
    };
    // Visible characters only: the target goes into the log.
    let is_method = !method.is_empty() && method.len() <= 16 && method.bytes().all(is_token);
    if !is_method || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(malformed());
    }
    let is_1_1 = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(refused(505, "this server speaks HTTP/1.1 and HTTP/1.0")),
    };
    // The absolute form is what a proxy gets, but servers must take it too.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    if !target.starts_with('/') {
        return Err(malformed());
    }
    let path = target.split('?').next().unwrap_or_default();
    Ok((method.to_owned(), path.to_owned(), is_1_1))
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// What is sent back.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// A response of that type.
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// One line of text.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }

    /// The same with one more header. `value` must be a valid one.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Writes it in one piece; without the body where the request was for the head only.
    pub(crate) fn write(
        &self,
        writer: &mut impl Write,
        head_only: bool,
        keep_alive: bool,
    ) -> io::Result<()> {
        let mut out = Vec::with_capacity(256 + self.body.len());
        write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status))?;
        for (name, value) in &self.headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        write!(
            out,
            "content-length: {}\r\nx-content-type-options: nosniff\r\nconnection: {}\r\n\r\n",
            self.body.len(),
            if keep_alive { "keep-alive" } else { "close" }
        )?;
        if !head_only {
            out.extend_from_slice(&self.body);
        }
        writer.write_all(&out)?;
        writer.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        303 => "See Other",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
