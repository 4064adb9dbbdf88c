//! Writes events to the host.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use casemate_logs::{ChunkWriter, LOG_CHUNK_BYTES_MAX, LogChunk, LogHead};

use crate::{
    config::LogLimits,
    event::{Event, EventKind, LINE_BYTES_MAX, Stream},
    limiter::Limiter,
    relay::Relay,
};

/// How much is written between two looks at the file's size.
const SIZE_CHECK_BYTES: u64 = 64 * 1024;

/// Room for the other fields of a log event.
const TEXT_JSON_BYTES_MAX: usize = LINE_BYTES_MAX - 1024;

/// The event stream: standard output, shared by the supervisor and the threads that read the app.
#[derive(Debug)]
pub(crate) struct Output {
    container: String,
    limits: LogLimits,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    limiter: Limiter,
    /// The last write was cut short: its line must be ended before the next.
    torn: bool,
    since_check: u64,
    full: bool,
    /// What the app prints goes in here, where it is sealed.
    sealed: Option<ChunkWriter>,
    /// What the app prints goes this way, where another agent of the pod seals it.
    relay: Option<Arc<Relay>>,
}

impl Output {
    /// Takes standard output.
    pub(crate) fn new(container: &str, limits: &LogLimits) -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let limiter = Limiter::new(limits.sustained_bytes, limits.burst_bytes, Instant::now());
        let relay = limits.relay.clone().map(|socket| Relay::start(socket, container.to_owned()));
        let relay = relay.transpose()?;
        let (since_check, sealed) = (SIZE_CHECK_BYTES, None);
        let inner = Inner { file, limiter, torn: false, since_check, full: false, sealed, relay };
        Ok(Self {
            container: container.to_owned(),
            limits: limits.clone(),
            inner: Mutex::new(inner),
        })
    }

    /// Seals all output from now on. What the agent itself says stays readable, too.
    pub(crate) fn seal(&self, writer: ChunkWriter) {
        let mut inner = self.lock();
        inner.limiter.refuse_in_runs(LOG_CHUNK_BYTES_MAX.into());
        inner.sealed = Some(writer);
    }

    /// Writes what was sealed last, and gives the head over all of it.
    pub(crate) fn log_head(&self) -> LogHead {
        let mut inner = self.lock();
        self.write_dropped(&mut inner);
        let chunk = inner.sealed.as_mut().and_then(ChunkWriter::flush);
        self.write_chunks(&mut inner, chunk);
        inner.sealed.as_ref().map(ChunkWriter::head).unwrap_or_default()
    }

    /// Writes an event, whatever the limits. Returns whether all of it was written.
    pub(crate) fn emit(&self, kind: EventKind) -> bool {
        self.write(&mut self.lock(), kind)
    }

    /// Writes a line of the app's output, within the limits.
    pub(crate) fn log(&self, stream: Stream, line: &[u8], partial: bool) {
        let mut inner = self.lock();
        if !inner.limiter.allow(line.len() + 1, Instant::now()) {
            return;
        }
        if self.is_full(&mut inner) {
            inner.limiter.refuse(line.len() + 1);
            return;
        }
        self.write_dropped(&mut inner);
        inner.since_check += line.len() as u64;
        if let Some(relay) = &inner.relay {
            if !relay.line(stream, line, partial) {
                inner.limiter.refuse(line.len() + 1);
            }
            return;
        }
        match &mut inner.sealed {
            Some(writer) => {
                let full = writer.line(now_ms(), stream, line, partial);
                self.write_chunks(&mut inner, full);
            }
            None => self.write_text(&mut inner, stream, &String::from_utf8_lossy(line), partial),
        }
    }

    /// The limits of a container whose agent brings its output here.
    pub(crate) fn limiter(&self) -> Limiter {
        Limiter::new(self.limits.sustained_bytes, self.limits.burst_bytes, Instant::now())
    }

    /// Seals a line of another container, within the limits.
    pub(crate) fn relayed(
        &self,
        limiter: &mut Limiter,
        container: &str,
        stream: Stream,
        line: &[u8],
        partial: bool,
    ) {
        if !limiter.allow(line.len() + 1, Instant::now()) {
            return;
        }
        self.report_relayed(limiter, container);
        let mut inner = self.lock();
        if self.is_full(&mut inner) {
            limiter.refuse(line.len() + 1);
            return;
        }
        inner.since_check += line.len() as u64;
        if let Some(writer) = &mut inner.sealed {
            let full = writer.line_of(container, now_ms(), stream, line, partial);
            self.write_chunks(&mut inner, full);
        }
    }

    /// Seals what another agent says of lines that it has dropped.
    pub(crate) fn relayed_dropped(&self, container: &str, lines: u64) {
        let mut inner = self.lock();
        let Some(writer) = &mut inner.sealed else { return };
        let mut ended: Vec<_> = writer.dropped(now_ms(), lines).into_iter().collect();
        let text = format!("{lines} lines were printed too fast and are missing");
        ended.extend(writer.line_of(container, now_ms(), Stream::Agent, text.as_bytes(), false));
        self.write_chunks(&mut inner, ended);
    }

    /// Says how many lines of another container were dropped here.
    pub(crate) fn report_relayed(&self, limiter: &mut Limiter, container: &str) {
        if let Some(dropped) = limiter.take_dropped() {
            self.relayed_dropped(container, dropped.lines);
        }
    }

    /// Waits until what was printed has come to where it is sealed, for as long as `patience`.
    pub(crate) fn drain(&self, patience: Duration) {
        let relay = self.lock().relay.clone();
        if relay.is_some_and(|relay| !relay.drain(patience)) {
            self.say("the last output did not come to the pod's first container, and is lost");
        }
    }

    /// Says something about the app to its owner.
    pub(crate) fn say(&self, text: &str) {
        let text: String = text.chars().take(2000).collect();
        let mut inner = self.lock();
        if let Some(writer) = &mut inner.sealed {
            let full = writer.line(now_ms(), Stream::Agent, text.as_bytes(), false);
            self.write_chunks(&mut inner, full);
        } else if let Some(relay) = &inner.relay {
            relay.line(Stream::Agent, text.as_bytes(), false);
        }
        self.write(&mut inner, EventKind::Log { stream: Stream::Agent, text, partial: false });
    }

    /// Says how many lines were dropped, if any were since it was last said.
    pub(crate) fn report_dropped(&self) {
        self.write_dropped(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_dropped(&self, inner: &mut Inner) {
        if let Some(dropped) = inner.limiter.take_dropped() {
            if let Some(writer) = &mut inner.sealed {
                let ended = writer.dropped(now_ms(), dropped.lines);
                self.write_chunks(inner, ended);
            } else if let Some(relay) = &inner.relay {
                relay.dropped(dropped.lines);
            }
            let kind = EventKind::Dropped { lines: dropped.lines, bytes: dropped.bytes };
            self.write(inner, kind);
        }
    }

    /// One that can't be written (the disk is full) is missing from then on, and known to be: the tree
    /// has it.
    fn write_chunks(&self, inner: &mut Inner, chunks: impl IntoIterator<Item = LogChunk>) {
        for chunk in chunks {
            self.write(inner, EventKind::log_chunk(&chunk));
        }
    }

    /// Control characters take six bytes in JSON: such a text comes in several events.
    fn write_text(&self, inner: &mut Inner, stream: Stream, text: &str, partial: bool) {
        let json_bytes: usize = text.bytes().map(|b| if b < b' ' { 6 } else { 2 }).sum();
        // The first is an upper bound that is cheap.
        if json_bytes > TEXT_JSON_BYTES_MAX {
            let middle = (text.len() / 2..text.len()).find(|at| text.is_char_boundary(*at));
            if let Some(middle) = middle.filter(|at| *at > 0) {
                self.write_text(inner, stream, &text[..middle], true);
                self.write_text(inner, stream, &text[middle..], partial);
                return;
            }
        }
        self.write(inner, EventKind::Log { stream, text: text.to_owned(), partial });
    }

    /// Whether the file takes too much of the host's disk. Blocks are counted, not length: the host
    /// punches holes.
    fn is_full(&self, inner: &mut Inner) -> bool {
        if inner.full || inner.since_check >= SIZE_CHECK_BYTES {
            inner.since_check = 0;
            inner.full = inner.file.metadata().is_ok_and(|metadata| {
                metadata.is_file() && metadata.blocks() * 512 > self.limits.file_bytes_max
            });
        }
        inner.full
    }

    fn write(&self, inner: &mut Inner, kind: EventKind) -> bool {
        let event = Event { container: self.container.clone(), time_ms: now_ms(), kind };
        let mut line = Vec::with_capacity(256);
        if inner.torn {
            line.push(b'\n');
        }
        if serde_json::to_writer(&mut line, &event).is_err() {
            return false;
        }
        line.push(b'\n');
        // One call for the whole line: with O_APPEND the agents of a pod then never mix.
        let written = loop {
            match inner.file.write(&line) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                result => break result.unwrap_or(0),
            }
        };
        if written == line.len() {
            inner.torn = false;
        } else if written > 0 {
            // A pipe or terminal takes it in parts; a full disk does not take the rest.
            inner.torn = inner.file.write_all(&line[written..]).is_err();
            return !inner.torn;
        }
        written == line.len()
    }
}

/// The wall clock in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
