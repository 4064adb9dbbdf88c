//! A small HTTP load generator: as many requests as a server answers over kept connections.

use std::{
    io::Write as _,
    net::TcpStream,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

/// What is asked, of whom, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    /// `host:port` to connect to.
    pub(crate) address: &'a str,
    /// `Host` header.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// Each has one request under way at a time.
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
}

impl Load<'_> {
    /// Requests answered with 200, per second.
    ///
    /// # Errors
    /// At the first other answer or broken connection: a server that drops requests is not fast.
    pub(crate) fn requests_per_second(&self) -> Result<f64> {
        let barrier = Barrier::new(self.connections + 1);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.connections)
                .map(|_| scope.spawn(|| self.client(&barrier, &stop)))
                .collect();
            barrier.wait();
            let started = Instant::now();
            thread::sleep(self.duration);
            stop.store(true, Ordering::Relaxed);
            let mut count = 0u32;
            for client in clients {
                match client.join() {
                    Ok(answered) => count += answered?,
                    Err(_) => bail!("a client of the load generator panicked"),
                }
            }
            Ok(f64::from(count) / started.elapsed().as_secs_f64())
        })
    }

    fn client(&self, barrier: &Barrier, stop: &AtomicBool) -> Result<u32> {
        let first = self.open();
        // All wait here, those that failed too, or the others would wait for ever.
        barrier.wait();
        let (mut stream, request) = first?;
        let mut buffer = vec![0u8; 16 * 1024];
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            stream.write_all(request.as_bytes()).context("failed to send a request")?;
            read_answer(&mut stream, &mut buffer)?;
            count += 1;
        }
        Ok(count)
    }

    /// Connects and has one request answered, so that the connection behind it is there too.
    fn open(&self) -> Result<(TcpStream, String)> {
        let mut stream = TcpStream::connect(self.address)
            .with_context(|| format!("failed to connect to {}", self.address))?;
        stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).context("failed to set a limit")?;
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.path, self.host);
        stream.write_all(request.as_bytes()).context("failed to send a request")?;
        read_answer(&mut stream, &mut vec![0u8; 16 * 1024])?;
        Ok((stream, request))
    }
}

/// Reads one answer with a `Content-Length` to its end.
fn read_answer(stream: &mut impl std::io::Read, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).context("failed to read an answer")?;
        ensure!(read > 0, "the server closed a connection, or its answer is too long");
        filled += read;
        if let Some(length) = answer_length(&buffer[..filled])?
            && filled >= length
        {
            ensure!(filled == length, "the server sent more than it was asked for");
            return Ok(());
        }
    }
}

/// Bytes of head and body, once the head is there.
fn answer_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("the server answered `{}`", head.lines().next().unwrap_or_default());
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer has no `Content-Length`")?;
    let length: usize = length.1.trim().parse().context("`Content-Length` is no number")?;
    Ok(Some(end.saturating_add(4).saturating_add(length)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Cursor, Read as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn answers_are_read_to_their_end_and_no_further() {
        let mut buffer = vec![0; 1024];
        let good = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        read_answer(&mut Cursor::new(good), &mut buffer).expect("whole");
        for bad in [
            &b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\n\r\nok",
            b"",
        ] {
            assert!(read_answer(&mut Cursor::new(bad), &mut buffer).is_err());
        }
    }

    #[test]
    fn counts_answers_of_a_real_server() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let address = listener.local_addr().expect("address").to_string();
        let load = Load {
            address: &address,
            host: "a.localhost",
            path: "/",
            connections: 2,
            duration: Duration::from_millis(200),
        };
        let server = thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.expect("connection");
                thread::spawn(move || {
                    let mut buffer = [0; 1024];
                    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(answer).expect("client reads");
                    }
                });
            }
        });
        assert!(load.requests_per_second().expect("all answered") > 0.0);
        server.join().expect("server ends");
        assert!(load.requests_per_second().is_err(), "nobody listens any more");
    }
}
