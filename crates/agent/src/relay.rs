//! Output of a pod's other containers, on its way to the first one's agent, which seals it.
//!
//! All containers of a pod have one network namespace, and an abstract Unix socket belongs to that: the
//! host has no part in the way, and no file lies anywhere.
//!
//! # Trust
//! Whoever connects is in the pod: an agent, or an app that pretends to be one. It can add lines under
//! the name of another container than the first, within limits, and nothing else: it is the
//! publisher's own app, in the publisher's own log. What was to be sealed is never written readable:
//! while nobody takes it, some is kept, and the rest is dropped and counted.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use codec::{Decode, DecodeAll as _, Encode};

use crate::{event::Stream, lines::PIECE_BYTES_MAX, output::Output};

/// Longest frame: a piece of a line, and what is around it.
const FRAME_BYTES_MAX: usize = PIECE_BYTES_MAX + 64;

/// How much waits while nobody takes it. It counts towards the container's memory.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// Pause between two tries to connect.
const RETRY: Duration = Duration::from_millis(100);

/// Connections at once: more than a pod has containers, and each costs a thread.
const CONNECTIONS_MAX: usize = 64;

/// What is said on the way. Each frame is preceded by its length (u32, little endian).
#[derive(Debug, Decode, Encode, Eq, PartialEq)]
enum Frame {
    /// First of all: the container's name.
    Container(String),
    /// A line of output, or a piece of one.
    Line { stream: Stream, partial: bool, text: Vec<u8> },
    /// So many lines are missing here.
    Dropped(u64),
}

fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

/// The end of another container's agent.
#[derive(Debug)]
pub(crate) struct Relay {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// The frame that is on its way.
    is_sending: bool,
}

impl Relay {
    /// Sends what it is given to the socket of this name, as long as it lives.
    pub(crate) fn start(socket: String, container: String) -> io::Result<Arc<Self>> {
        let relay = Arc::new(Self { waiting: Mutex::default(), changed: Condvar::new() });
        let sender = Arc::clone(&relay);
        thread::Builder::new().spawn(move || {
            loop {
                if let Ok(mut stream) =
                    address(&socket).and_then(|at| UnixStream::connect_addr(&at))
                    && write_frame(&mut stream, &Frame::Container(container.clone())).is_ok()
                {
                    sender.send_all(&mut stream);
                }
                thread::sleep(RETRY);
            }
        })?;
        Ok(relay)
    }

    /// Puts a line on its way; `false` where too much waits.
    pub(crate) fn line(&self, stream: Stream, text: &[u8], partial: bool) -> bool {
        let mut waiting = self.lock();
        if waiting.bytes.saturating_add(text.len()) > WAITING_BYTES_MAX {
            return false;
        }
        waiting.push(Frame::Line { stream, partial, text: text.to_vec() });
        drop(waiting);
        self.changed.notify_all();
        true
    }

    /// Says that lines are missing.
    pub(crate) fn dropped(&self, lines: u64) {
        let mut waiting = self.lock();
        match waiting.frames.back_mut() {
            Some(Frame::Dropped(before)) => *before = before.saturating_add(lines),
            _ => waiting.push(Frame::Dropped(lines)),
        }
        drop(waiting);
        self.changed.notify_all();
    }

    /// Waits until all was taken, but no longer than `patience`; whether it was.
    pub(crate) fn drain(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut waiting = self.lock();
        while waiting.is_sending || !waiting.frames.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_all(&self, stream: &mut UnixStream) {
        loop {
            let mut waiting = self.lock();
            let frame = loop {
                match waiting.frames.pop_front() {
                    Some(frame) => break frame,
                    None => {
                        let woken = self.changed.wait(waiting);
                        waiting = woken.unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            waiting.bytes = waiting.bytes.saturating_sub(frame.bytes());
            waiting.is_sending = true;
            drop(waiting);
            let sent = write_frame(stream, &frame);
            let mut waiting = self.lock();
            waiting.is_sending = false;
            if sent.is_err() {
                // It may have come in part, and is not taken then: the connection is at its end.
                waiting.bytes += frame.bytes();
                waiting.frames.push_front(frame);
                return;
            }
            drop(waiting);
            self.changed.notify_all();
        }
    }
}

impl Waiting {
    fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes();
        self.frames.push_back(frame);
    }
}

impl Frame {
    fn bytes(&self) -> usize {
        match self {
            Self::Line { text, .. } => text.len() + 32,
            Self::Container(_) | Self::Dropped(_) => 32,
        }
    }
}

fn write_frame(stream: &mut UnixStream, frame: &Frame) -> io::Result<()> {
    let bytes = frame.encode();
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_le_bytes(), bytes.as_slice()].concat())
}

fn read_frame(stream: &mut UnixStream) -> io::Result<Frame> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other("a frame that is too long"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Frame::decode_all(&mut bytes.as_slice()).map_err(io::Error::other)
}

/// The end of the agent that seals.
#[derive(Debug, Default)]
pub(crate) struct Relayed {
    connections: Mutex<usize>,
    changed: Condvar,
}

impl Relayed {
    /// Takes lines of these containers at the socket of this name.
    pub(crate) fn start(
        socket: &str,
        containers: Vec<String>,
        output: &Arc<Output>,
    ) -> io::Result<Arc<Self>> {
        let listener = UnixListener::bind_addr(&address(socket)?)?;
        let relayed = Arc::new(Self::default());
        let (of, output) = (Arc::clone(&relayed), Arc::clone(output));
        let containers = Arc::new(containers);
        thread::Builder::new().spawn(move || {
            loop {
                let slot = of.slot();
                let Ok((stream, _)) = listener.accept() else {
                    drop(slot);
                    thread::sleep(RETRY);
                    continue;
                };
                let (output, containers) = (Arc::clone(&output), Arc::clone(&containers));
                // Without a thread the connection is closed, and tried again.
                let _ = thread::Builder::new().spawn(move || {
                    take(stream, &containers, &output);
                    drop(slot);
                });
            }
        })?;
        Ok(relayed)
    }

    /// Waits until all others have ended, but no longer than `patience`.
    pub(crate) fn wait(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut open = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        // One slot waits for whoever comes next.
        while *open > 1 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.changed.wait_timeout(open, left);
            open = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn slot(self: &Arc<Self>) -> Slot {
        let mut open = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        while *open >= CONNECTIONS_MAX {
            open = self.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        *open += 1;
        Slot(Arc::clone(self))
    }
}

struct Slot(Arc<Relayed>);

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.connections.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}

/// One connection, to its end or to the first frame that is none.
fn take(mut stream: UnixStream, containers: &[String], output: &Output) {
    let Ok(Frame::Container(container)) = read_frame(&mut stream) else { return };
    if !containers.contains(&container) {
        return;
    }
    let mut limiter = output.limiter();
    loop {
        match read_frame(&mut stream) {
            Ok(Frame::Line { stream, partial, text }) => {
                output.relayed(&mut limiter, &container, stream, &text, partial);
            }
            Ok(Frame::Dropped(lines)) => output.relayed_dropped(&container, lines),
            Ok(Frame::Container(_)) | Err(_) => break,
        }
    }
    output.report_relayed(&mut limiter, &container);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_as_they_were_sent_and_nothing_else_is_one() {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let frames = [
            Frame::Container("db".into()),
            Frame::Line { stream: Stream::Stderr, partial: true, text: vec![7; PIECE_BYTES_MAX] },
            Frame::Dropped(u64::MAX),
        ];
        for frame in &frames {
            write_frame(&mut a, frame).unwrap();
            assert_eq!(read_frame(&mut b).unwrap(), *frame);
        }
        for bytes in [
            u32::MAX.to_le_bytes().to_vec(),
            [&3u32.to_le_bytes()[..], &[9, 9, 9]].concat(),
            // With something behind it.
            [&10u32.to_le_bytes()[..], &Frame::Dropped(1).encode(), &[0]].concat(),
            vec![1, 0],
        ] {
            let (mut a, mut b) = UnixStream::pair().unwrap();
            a.write_all(&bytes).unwrap();
            drop(a);
            assert!(read_frame(&mut b).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_nobody_takes_is_bounded() {
        let relay = Relay::start(format!("nobody-{}", std::process::id()), "db".into()).unwrap();
        let line = [7; 1000];
        let kept = (0..1000).filter(|_| relay.line(Stream::Stdout, &line, false)).count();
        assert!((100..=260).contains(&kept), "{kept}");
        relay.dropped(3);
        relay.dropped(4);
        assert_eq!(relay.lock().frames.back(), Some(&Frame::Dropped(7)));
        assert!(!relay.drain(Duration::from_millis(10)));
    }
}
