//! One HTTP/1.1 request over a fresh connection, for the demo: no dependency, no TLS.

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// A page of the demo's apps is a few kilobytes.
const BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// Content type and content.
    pub(crate) body: Option<(&'a str, &'a str)>,
}

/// Sends `request` to `address` and reads the whole answer.
pub(crate) fn send(address: &str, request: Request<'_>) -> Result<Response> {
    let limit = Duration::from_secs(10);
    let target = address
        .to_socket_addrs()
        .with_context(|| format!("`{address}` is no address"))?
        .next()
        .with_context(|| format!("`{address}` is no address"))?;
    let mut stream = TcpStream::connect_timeout(&target, limit)
        .with_context(|| format!("failed to connect to {address}"))?;
    stream.set_read_timeout(Some(limit)).context("failed to set a time-out")?;
    stream.set_write_timeout(Some(limit)).context("failed to set a time-out")?;
    let Request { method, host, path, body } = request;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    let (kind, content) = body.unwrap_or_default();
    if body.is_some() {
        head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", content.len());
    }
    head += "\r\n";
    head += content;
    stream.write_all(head.as_bytes()).with_context(|| format!("failed to write to {address}"))?;
    let mut bytes = Vec::new();
    stream
        .take(BODY_BYTES_MAX)
        .read_to_end(&mut bytes)
        .with_context(|| format!("failed to read from {address}"))?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Response> {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the answer has no end of its head")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status =
        head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).with_context(|| {
            format!("no status in `{}`", head.lines().next().unwrap_or_default())
        })?;
    let body = &bytes[end + 4..];
    let chunked = head.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    let body = if chunked { dechunk(body)? } else { body.to_vec() };
    Ok(Response { status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else {
            bail!("a chunk has no size");
        };
        let line = String::from_utf8_lossy(&rest[..end]);
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("a chunk's size is no number")?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        let chunk = rest.get(..size).context("a chunk ends early")?;
        body.extend_from_slice(chunk);
        rest = rest.get(size..).and_then(|r| r.strip_prefix(b"\r\n")).context("a chunk runs on")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_and_chunked_answers() {
        let plain = parse(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").expect("valid");
        assert_eq!((plain.status, plain.body.as_str()), (404, "no"));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).expect("valid").body, "abcd");
    }

    #[test]
    fn bad_answers_are_errors() {
        for bytes in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"hello\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\na",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na",
        ] {
            assert!(parse(bytes).is_err());
        }
    }
}
