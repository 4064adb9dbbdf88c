//! TLS for the app: ends here, and goes on to its port on loopback byte for byte.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd as _,
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_ra_tls::{
    WELL_KNOWN_PREFIX,
    server::{Connection, Endpoints},
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::{ServerConfig, ServerConnection};

use super::{HANDSHAKE, REQUESTS};
use crate::config::TlsConfig;

/// The app is on the same machine.
const CONNECT: Duration = Duration::from_secs(5);

/// How much may wait in each direction before the other side is read no further.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long a client may take to fetch the rest after the app has closed.
const LINGER: Duration = Duration::from_secs(30);

/// One connection, to its end.
pub(super) fn handle(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    tls: &TlsConfig,
    endpoints: &Endpoints,
) {
    let Ok(mut connection) = Connection::accept(stream, config, HANDSHAKE) else { return };
    let mut first = Vec::new();
    if tls.http {
        // Not the idle time: a client that says nothing holds a slot, which others wait for.
        connection.extend(HANDSHAKE.min(Duration::from_millis(tls.idle_ms)));
        match is_ours(&mut connection, &mut first) {
            Ok(true) => {
                connection.extend(REQUESTS);
                return connection.serve(endpoints, first);
            }
            Ok(false) => {}
            Err(_) => return,
        }
    }
    let app = SocketAddr::from((Ipv4Addr::LOCALHOST, tls.forward));
    // An app that does not listen looks as it would without TLS: the connection ends.
    let Ok(app) = TcpStream::connect_timeout(&app, CONNECT) else { return };
    let (server, client) = connection.into_parts();
    let _ =
        Pump { tls: server, client, app, to_app: first, idle: Duration::from_millis(tls.idle_ms) }
            .run();
}

/// Reads until it is clear whether the connection begins with a request for the agent.
fn is_ours(connection: &mut Connection, first: &mut Vec<u8>) -> io::Result<bool> {
    let ours = ["GET", "PUT"].map(|method| format!("{method} {WELL_KNOWN_PREFIX}"));
    let mut buffer = [0; 4096];
    loop {
        if ours.iter().any(|prefix| first.starts_with(prefix.as_bytes())) {
            return Ok(true);
        }
        let undecided = |prefix: &String| prefix.as_bytes().starts_with(first);
        if !ours.iter().any(undecided) {
            return Ok(false);
        }
        match connection.read(&mut buffer)? {
            // The client has said all that it had to say.
            0 => return Ok(false),
            read => first.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Moves bytes between a client's TLS and the app.
struct Pump {
    tls: ServerConnection,
    client: TcpStream,
    app: TcpStream,
    /// What the client has sent and the app has not taken.
    to_app: Vec<u8>,
    idle: Duration,
}

impl Pump {
    fn run(mut self) -> io::Result<()> {
        self.client.set_nonblocking(true)?;
        self.app.set_nonblocking(true)?;
        self.app.set_nodelay(true)?;
        self.tls.set_buffer_limit(Some(BUFFER_BYTES));
        let mut buffer = vec![0; 16 * 1024];
        // Both directions end on their own.
        let (mut client_open, mut app_open, mut app_told) = (true, true, false);
        let mut linger = None;
        let mut moved = Instant::now();
        loop {
            // From the client: what TLS has decrypted already, then the app's share of it.
            while client_open && self.to_app.len() < BUFFER_BYTES {
                match self.tls.reader().read(&mut buffer) {
                    Ok(0) => client_open = false,
                    Ok(read) => {
                        self.to_app.extend_from_slice(buffer.get(..read).unwrap_or_default());
                    }
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                    // Ended without TLS's farewell: whatever came may be cut off, as without TLS.
                    Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => client_open = false,
                    Err(err) => return Err(err),
                }
            }
            while !self.to_app.is_empty() {
                match self.app.write(&self.to_app) {
                    Ok(written) => {
                        self.to_app.drain(..written);
                        moved = Instant::now();
                    }
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                    Err(err) => return Err(err),
                }
            }
            if !client_open && self.to_app.is_empty() && !std::mem::replace(&mut app_told, true) {
                // The app may be gone already.
                let _ = self.app.shutdown(Shutdown::Write);
            }
            // To the client, as far as it takes it.
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut self.client) {
                    Ok(_) => moved = Instant::now(),
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                    Err(err) => return Err(err),
                }
            }
            let flushed = !self.tls.wants_write();
            if !app_open && flushed {
                let _ = self.client.shutdown(Shutdown::Write);
                return Ok(());
            }
            let waited = match linger {
                Some(end) => end,
                None => moved + self.idle,
            };
            let left = waited.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let (mut client_events, mut app_events) = (PollFlags::empty(), PollFlags::empty());
            client_events.set(
                PollFlags::POLLIN,
                client_open && self.to_app.len() < BUFFER_BYTES && self.tls.wants_read(),
            );
            client_events.set(PollFlags::POLLOUT, !flushed);
            // What was read from the app stands in TLS's buffer: no more while it has not gone out.
            app_events.set(PollFlags::POLLIN, app_open && flushed);
            app_events.set(PollFlags::POLLOUT, !self.to_app.is_empty());
            let (client_ready, app_ready) =
                wait((&self.client, client_events), (&self.app, app_events), left)?;
            let ended = PollFlags::POLLHUP | PollFlags::POLLERR;
            if client_open && client_ready.intersects(PollFlags::POLLIN | ended) {
                match self.tls.read_tls(&mut self.client) {
                    Ok(read) => {
                        if read > 0 {
                            moved = Instant::now();
                        }
                        if let Err(err) = self.tls.process_new_packets() {
                            // Tell the client which alert it is.
                            let _ = self.tls.write_tls(&mut self.client);
                            return Err(io::Error::other(err));
                        }
                    }
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                    Err(err) => return Err(err),
                }
            }
            if app_open && flushed && app_ready.intersects(PollFlags::POLLIN | ended) {
                match self.app.read(&mut buffer) {
                    Ok(0) => {
                        app_open = false;
                        linger = Some(Instant::now() + LINGER);
                        self.tls.send_close_notify();
                    }
                    Ok(read) => {
                        moved = Instant::now();
                        self.tls.writer().write_all(buffer.get(..read).unwrap_or_default())?;
                    }
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                    Err(err) => return Err(err),
                }
            }
        }
    }
}

/// Waits for either; gives what each is ready for. Who is waited for in vain is left out: a side that
/// has hung up is always ready, and the loop would spin until the other side moves.
fn wait(
    client: (&TcpStream, PollFlags),
    app: (&TcpStream, PollFlags),
    time: Duration,
) -> io::Result<(PollFlags, PollFlags)> {
    let wanted = |(stream, events): (_, PollFlags)| {
        (!events.is_empty()).then(|| PollFd::new(TcpStream::as_fd(stream), events))
    };
    let mut fds: Vec<PollFd<'_>> = [client, app].into_iter().filter_map(wanted).collect();
    // Rounded up, so that the time is over when nothing has come.
    let time = time.saturating_add(Duration::from_millis(1));
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, time) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok((PollFlags::empty(), PollFlags::empty())),
        Err(err) => return Err(err.into()),
    }
    let mut ready = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
    let mut next = |events: PollFlags| match events.is_empty() {
        true => PollFlags::empty(),
        false => ready.next().unwrap_or(PollFlags::empty()),
    };
    Ok((next(client.1), next(app.1)))
}
