//! A connection that ends at a set time, however slowly the other side sends.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// A TCP connection that fails with [`io::ErrorKind::TimedOut`] once its time is over, whatever the
/// other side does until then.
#[derive(Debug)]
pub struct DeadlineStream {
    stream: TcpStream,
    end: Instant,
}

impl DeadlineStream {
    /// Counts from now.
    pub fn new(stream: TcpStream, time: Duration) -> Self {
        Self { stream, end: Instant::now() + time }
    }

    /// Sets the end anew, counted from now.
    pub fn extend(&mut self, time: Duration) {
        self.end = Instant::now() + time;
    }

    /// The connection itself.
    pub fn into_inner(self) -> TcpStream {
        self.stream
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// The system tells an elapsed time-out as "would block".
fn timed_out<T>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        other => other,
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        timed_out(self.stream.read(buffer))
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        timed_out(self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
