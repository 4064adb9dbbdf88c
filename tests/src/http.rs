//! A small HTTP/1.1 client that shows everything: no retries, no redirects, no pool.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
    /// Whether the server closes the connection after it.
    pub closes: bool,
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// One request; a body makes it a POST of a form.
    ///
    /// # Errors
    /// The connection breaks, or what comes is no HTTP.
    pub fn request(&mut self, host: &str, path: &str, form: Option<&str>) -> Result<Response> {
        let (method, form) = form.map_or(("GET", ""), |form| ("POST", form));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).context("cannot send a request")?;
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.context("the answer is no HTTP")?;
        let (mut length, mut chunked, mut closes) = (None, false, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                None if line.is_empty() => break,
                None => bail!("a header is none: `{line}`"),
                Some(("content-length", value)) => length = Some(value.parse()?),
                Some(("transfer-encoding", value)) => chunked = value == "chunked",
                Some(("connection", value)) => closes = value == "close",
                Some(_) => (),
            }
        }
        let body = match length {
            Some(length) => self.bytes(length)?,
            None if chunked => self.chunks()?,
            None => bail!("the answer does not tell its length"),
        };
        Ok(Response { status, body: String::from_utf8_lossy(&body).into_owned(), closes })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).context("cannot read the answer")?;
        if read == 0 {
            bail!("the connection was closed before the answer was whole");
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).context("the answer's body is not whole")?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(&size, 16).context("a chunk has no size")?;
            body.extend(self.bytes(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// See [`Connection`].
pub fn get(address: SocketAddr, host: &str, path: &str) -> Result<Response> {
    Connection::open(address)?.request(host, path, None)
}

const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn reads_answers_of_both_kinds_on_one_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let answers = [
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                 3\r\nnot\r\n5\r\n here\r\n0\r\n\r\n",
            ];
            for answer in answers {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut connection = Connection::open(address).unwrap();
        let first = connection.request("h", "/", None).unwrap();
        assert_eq!((first.status, first.body.as_str(), first.closes), (200, "ok", false));
        let second = connection.request("h", "/", Some("a=b")).unwrap();
        assert_eq!((second.status, second.body.as_str(), second.closes), (404, "not here", true));
        assert!(connection.request("h", "/", None).is_err());
        server.join().unwrap();
    }
}
