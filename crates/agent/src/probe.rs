//! Probes: tries on the app, at intervals, on one thread for each probe.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Stdio,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, killpg};

use crate::{
    children::Children,
    config::{AppConfig, Probe, ProbeAction},
    spawn::{self, StartedWith},
    supervisor::Message,
};

/// First pause between early tries; it doubles each time.
const EARLY_PAUSE: Duration = Duration::from_millis(10);

/// Which probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

/// What the supervisor tells a probe.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProbeCommand {
    /// Probe this start of the app, from the beginning.
    Run(u64),
    /// Do nothing until told.
    Pause,
}

/// What a probe tells the supervisor, each time that its verdict changes.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) kind: ProbeKind,
    /// Which start of the app it is about.
    pub(crate) generation: u64,
    /// `Err` with the last try's reason.
    pub(crate) result: Result<(), String>,
}

/// What a probe's thread needs.
#[derive(Debug)]
pub(crate) struct Prober {
    pub(crate) kind: ProbeKind,
    pub(crate) probe: Probe,
    pub(crate) app: AppConfig,
    pub(crate) secrets: StartedWith,
    pub(crate) children: Arc<Children>,
    pub(crate) commands: Receiver<ProbeCommand>,
    pub(crate) verdicts: Sender<Message>,
}

impl Prober {
    /// Runs until the supervisor is gone.
    pub(crate) fn run(self) {
        let Ok(mut command) = self.commands.recv() else { return };
        loop {
            let next = match command {
                ProbeCommand::Run(generation) => self.probe_until_told(generation),
                ProbeCommand::Pause => self.commands.recv().ok(),
            };
            let Some(next) = next else { return };
            command = next;
        }
    }

    fn probe_until_told(&self, generation: u64) -> Option<ProbeCommand> {
        let mut pause = Duration::from_millis(self.probe.initial_delay_ms);
        // The next try that counts when it fails.
        let mut due = Instant::now() + pause;
        let mut early = self.may_be_early().then_some(EARLY_PAUSE);
        let mut verdict = None;
        let (mut successes, mut failures) = (0, 0);
        loop {
            match self.commands.recv_timeout(pause) {
                Ok(command) => return Some(command),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let start = Instant::now();
            let counts = start >= due;
            if counts {
                due = start + Duration::from_millis(self.probe.period_ms);
            }
            let result = self.try_once();
            let now = if result.is_ok() {
                early = None;
                (successes, failures) = (successes + 1, 0);
                (successes >= self.probe.success_threshold).then_some(true)
            } else if !counts {
                None
            } else {
                (successes, failures) = (0, failures + 1);
                (failures >= self.probe.failure_threshold).then_some(false)
            };
            if now.is_some() && now != verdict {
                verdict = now;
                let verdict = Verdict { kind: self.kind, generation, result };
                if self.verdicts.send(Message::Probe(verdict)).is_err() {
                    return None;
                }
            }
            pause = due.saturating_duration_since(Instant::now());
            if let Some(soon) = &mut early {
                pause = pause.min(*soon);
                *soon = soon.saturating_mul(2);
            }
        }
    }

    /// Whether an app that has just started is also tried between the tries that the manifest asks
    /// for: most listen some milliseconds after the first one, and would wait a whole period for
    /// traffic. A failure of such a try is not counted. Only where one success is enough, and not
    /// with programs, which cost more than a connection.
    fn may_be_early(&self) -> bool {
        self.kind != ProbeKind::Liveness
            && self.probe.success_threshold <= 1
            && !matches!(self.probe.action, ProbeAction::Exec { .. })
    }

    fn try_once(&self) -> Result<(), String> {
        let timeout = Duration::from_millis(self.probe.timeout_ms);
        match &self.probe.action {
            ProbeAction::Tcp { port } => connect(*port, timeout).map(drop),
            ProbeAction::Http { port, path, host } => http_get(*port, path, host, timeout),
            ProbeAction::Exec { command } => self.exec(command, timeout),
        }
    }

    fn exec(&self, argv: &[String], timeout: Duration) -> Result<(), String> {
        let mut command = spawn::command(&self.app, argv);
        self.secrets.give(&mut command);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let spawned = self
            .children
            .spawn(&mut command)
            .map_err(|err| format!("`{}` can't be run: {err}", argv.join(" ")))?;
        match spawned.exit.recv_timeout(timeout) {
            Ok(0) => Ok(()),
            Ok(code) => Err(format!("`{}` ended with exit code {code}", argv.join(" "))),
            Err(_) => {
                let _ = killpg(spawned.pid, Signal::SIGKILL);
                Err(format!("`{}` took longer than {timeout:?}", argv.join(" ")))
            }
        }
    }
}

fn connect(port: u16, timeout: Duration) -> Result<TcpStream, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, timeout)
        .map_err(|err| format!("no connection to port {port}: {err}"))
}

fn http_get(port: u16, path: &str, host: &str, timeout: Duration) -> Result<(), String> {
    let deadline = Instant::now() + timeout;
    let failed = |err: std::io::Error| format!("GET {path} on port {port}: {err}");
    let mut stream = connect(port, timeout)?;
    let host = if host.is_empty() { "localhost" } else { host };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: casemate-agent\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
    stream.write_all(request.as_bytes()).map_err(failed)?;
    // `HTTP/1.1 200`: no more of the answer is of interest.
    let mut head = [0; 12];
    let mut filled = 0;
    while filled < head.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("GET {path} on port {port} took longer than {timeout:?}"));
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        match stream.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(failed(err)),
        }
    }
    let status: Option<u16> = std::str::from_utf8(&head[..filled])
        .ok()
        .filter(|head| head.starts_with("HTTP/1."))
        .and_then(|head| head.get(9..12)?.parse().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("GET {path} on port {port} gave status {status}")),
        None => Err(format!("GET {path} on port {port} gave no HTTP answer")),
    }
}

#[cfg(test)]
mod tests;
