//! Connections: a bounded pool of threads, deadlines, keep-alive and an orderly end.

use crate::{
    clock,
    http::{self, ReadError, Request, Response},
};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Connections served at the same time: threads wait for disk and network, not for the CPU.
const WORKERS: usize = 32;

/// Connections that wait for a thread; more are told to come back.
const WAITING_MAX: usize = 128;

/// How long a client may take to send a request, and to take a response.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long a connection is kept without a request, while no other waits for its thread.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// How soon an idle connection notices that its thread is needed, or that the server stops.
const IDLE_TICK: Duration = Duration::from_millis(100);

/// Enough for parsing and for a page; 32 stacks of the usual 8 MiB would be much for a small pod.
const STACK_BYTES: usize = 256 * 1024;

#[derive(Default)]
struct State {
    stopping: AtomicBool,
    waiting: AtomicUsize,
}

/// A running server.
pub(crate) struct Server {
    state: Arc<State>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves connections of `listener` until [`Server::stop`].
    pub(crate) fn start(
        listener: TcpListener,
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let answer = Arc::new(answer);
        let (sender, receiver) = mpsc::sync_channel(WAITING_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let spawn = |name: String, body: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(body)
        };
        let mut threads = Vec::with_capacity(WORKERS + 1);
        for number in 0..WORKERS {
            let (state, answer, receiver) = (state.clone(), answer.clone(), receiver.clone());
            let body = move || work(&receiver, &state, &*answer);
            threads.push(spawn(format!("worker-{number}"), Box::new(body))?);
        }
        let accepting = state.clone();
        let body = move || accept(&listener, sender, &accepting);
        threads.push(spawn("accept".to_owned(), Box::new(body))?);
        Ok(Self { state, address, threads })
    }

    /// Takes no more connections, finishes the requests that have begun, and returns.
    pub(crate) fn stop(self) {
        self.state.stopping.store(true, SeqCst);
        // Wakes `accept`, which no signal does. If this fails, others connect, or it sleeps on:
        // that thread is not worth waiting for then.
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, self.address.port()));
        if TcpStream::connect_timeout(&own, REQUEST_TIME).is_err() {
            return;
        }
        for thread in self.threads {
            // A thread that panicked has nothing left to finish.
            _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, sender: SyncSender<TcpStream>, state: &State) {
    loop {
        let accepted = listener.accept();
        let is_stopping = state.stopping.load(SeqCst);
        match accepted {
            Ok((stream, _)) => enqueue(stream, &sender, state),
            // What the kernel had accepted for us has been taken over, or can't be.
            Err(_) if is_stopping => return,
            Err(error) => {
                log_line(&format!("can't accept a connection: {error}"));
                // Out of descriptors: accepting at once again would only burn CPU.
                thread::sleep(IDLE_TICK);
            }
        }
        // Returning drops the sender, which ends the workers once the queue is empty.
        if is_stopping && listener.set_nonblocking(true).is_err() {
            return;
        }
    }
}

fn enqueue(stream: TcpStream, sender: &SyncSender<TcpStream>, state: &State) {
    state.waiting.fetch_add(1, SeqCst);
    if let Err(TrySendError::Full(mut stream) | TrySendError::Disconnected(mut stream)) =
        sender.try_send(stream)
    {
        state.waiting.fetch_sub(1, SeqCst);
        let busy = Response::text(503, "too busy, try again").with("retry-after", "1");
        // This thread must not wait for a slow client: what does not fit at once is lost.
        _ = stream.set_nonblocking(true);
        _ = busy.write(&mut stream, false, false);
    }
}

fn work(
    receiver: &Mutex<Receiver<TcpStream>>,
    state: &State,
    answer: &dyn Fn(&Request) -> Response,
) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(stream) = next else { return };
        state.waiting.fetch_sub(1, SeqCst);
        // A client that goes away is not worth a line in the log.
        _ = serve(stream, state, answer);
    }
}

fn serve(
    stream: TcpStream,
    state: &State,
    answer: &dyn Fn(&Request) -> Response,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(REQUEST_TIME))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(Timed { stream, deadline: Instant::now() });
    let mut is_first = true;
    while wait(&mut reader, state, is_first)? {
        is_first = false;
        let start = Instant::now();
        reader.get_mut().deadline = start + REQUEST_TIME;
        let read =
            http::read_request(&mut reader, || writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n"));
        let (request, response) = match read {
            Ok(request) => {
                let response = answer(&request);
                (Some(request), response)
            }
            Err(ReadError::Refused(response)) => (None, response),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                (None, Response::text(408, "the request took too long"))
            }
            Err(ReadError::Closed) => return Ok(()),
            Err(ReadError::Io(error)) => return Err(error),
        };
        let head_only = request.as_ref().is_some_and(|request| request.method == "HEAD");
        let keep_alive = request.as_ref().is_some_and(|request| request.keep_alive)
            && !state.stopping.load(SeqCst)
            && state.waiting.load(SeqCst) == 0;
        let written = response.write(&mut writer, head_only, keep_alive);
        log_request(request.as_ref(), &response, start.elapsed());
        written?;
        if !keep_alive {
            return close(&writer, &mut reader);
        }
    }
    Ok(())
}

/// Waits for the first byte of a request; `false` where the connection should end instead.
fn wait(reader: &mut BufReader<Timed>, state: &State, is_first: bool) -> io::Result<bool> {
    let end = Instant::now() + if is_first { REQUEST_TIME } else { IDLE_TIME };
    loop {
        reader.get_mut().deadline = (Instant::now() + IDLE_TICK).min(end);
        match reader.fill_buf() {
            Ok(bytes) => return Ok(!bytes.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) => return Err(error),
        }
        // A connection that has just been made is about to send its request.
        let is_needed = state.waiting.load(SeqCst) > 0 && !is_first;
        if is_needed || state.stopping.load(SeqCst) || Instant::now() >= end {
            return Ok(false);
        }
    }
}

/// Ends a connection so that the client still gets the response: closing with unread input would
/// reset it.
fn close(writer: &TcpStream, reader: &mut BufReader<Timed>) -> io::Result<()> {
    const DRAINED_MAX: u64 = 256 * 1024;
    writer.shutdown(std::net::Shutdown::Write)?;
    reader.get_mut().deadline = Instant::now() + Duration::from_secs(1);
    io::copy(&mut reader.take(DRAINED_MAX), &mut io::sink())?;
    Ok(())
}

/// A stream whose reads end at a deadline, however slowly the bytes trickle in.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer).map_err(|error| match error.kind() {
            // What Linux says when the time is over.
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

fn log_request(request: Option<&Request>, response: &Response, took: Duration) {
    let (method, path) =
        request.map_or(("-", "-"), |request| (request.method.as_str(), request.path.as_str()));
    let (status, bytes) = (response.status, response.body.len());
    log_line(&format!("{method} {path} {status} {bytes}B {:.1}ms", took.as_secs_f64() * 1e3));
}

/// Writes a line with the time to standard output.
pub(crate) fn log_line(line: &str) {
    // In one piece, so that lines of threads don't mix; nobody reads it where this fails.
    let line = format!("{} {line}\n", clock::rfc3339(clock::now()));
    let mut stdout = io::stdout().lock();
    _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}
