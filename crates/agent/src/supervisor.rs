//! The agent's main loop: one app, its signals, its restarts, its probes, its records.

mod ending;

use std::{
    io,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use casemate_primitives::RunOutcome;
use nix::{
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::{SigSet, Signal, kill, killpg},
    },
    unistd::{Pid, getpid},
};

use crate::{
    Backoff, Signer,
    check::{Field, Given, Refusal, check},
    children::{Children, Spawned},
    config::{Config, ConfigError, Probe, RelayedLogs},
    derive::Users,
    event::{EventKind, Stream},
    lines::read_lines,
    meter::{Meter, SAMPLE},
    output::{Output, now_ms},
    probe::{ProbeCommand, ProbeKind, Prober, Verdict},
    relay::Relayed,
    spawn::{self, StartedWith},
    task::{Hashed, Next, Run, StreamHash},
    tee::{Tee, TeeError},
};
use ending::Ending;

/// How long the app's last output is waited for after it has ended. It is there at once, unless a
/// process outside of the container holds the other end.
const DRAIN: Duration = Duration::from_secs(1);

/// Why the agent can't run. An app that can't be started is not among these: that is told as an event
/// and follows the restart policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration does not follow from the manifest that evidence would cover.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Output can't be sealed to whom the configuration names.
    #[error("the output can't be sealed; correct `logs.recipient` in the manifest")]
    Logs(#[source] casemate_logs::RecipientError),
    /// The evidence, secrets or TLS that the configuration asks for can't be served.
    #[error(transparent)]
    Tee(#[from] TeeError),
    /// The kernel refused something that the agent can't do without.
    #[error("failed to {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// What wakes the loop.
#[derive(Debug)]
pub(crate) enum Message {
    Signal {
        signal: Signal,
        /// Whether it was sent from within the container: the host had no part in it.
        from_within: bool,
    },
    Probe(Verdict),
    /// Secrets were released and are there for the app.
    Secrets,
    /// The files that a run has left are hashed.
    Hashed,
}

/// Room for a core dump: none, and not even one that the kernel pipes into a program of the host's.
/// That one it starts whatever the limit is, 0 among them, but for this very number (`fs/coredump.c`:
/// it marks such a program's own crash).
const CORE_BYTES_MAX: u64 = 1;

/// Runs the app to its end; returns the exit code for the agent.
///
/// # Errors
/// Where the configuration can't be read, or the kernel gives no random numbers or threads.
pub fn run(config_path: &Path) -> Result<i32, AgentError> {
    // First of all: from here on no other process of the same user can look into this one.
    system("make the agent undumpable", prctl::set_dumpable(false).map_err(io::Error::from))?;
    // The app inherits it: a dump would put its memory, secrets and all, on the host's disk.
    let core = setrlimit(Resource::RLIMIT_CORE, CORE_BYTES_MAX, CORE_BYTES_MAX);
    system("switch core dumps off", core.map_err(io::Error::from))?;
    spawn::close_on_exec_all();
    let signals = signals();
    system("block signals", signals.thread_block().map_err(io::Error::from))?;

    let config = Config::load(config_path)?;
    let output = system("open standard output", Output::new(&config.container, &config.log))?;
    if let Err(refusal) = hold_to_manifest(&config, config_path) {
        let Refusal { field, reason } = refusal.clone();
        // As of every agent: the host forgets what one before it has said, its evidence too.
        output.emit(EventKind::Started { key: None });
        output.emit(EventKind::Refused { field, reason });
        return Err(refusal.into());
    }
    let (sender, messages) = channel();
    let signal_sender = sender.clone();
    let name = || thread::Builder::new();
    system(
        "start a thread",
        name().spawn(move || {
            loop {
                if let Some((signal, from_within)) = spawn::wait_signal(&signals)
                    && signal_sender.send(Message::Signal { signal, from_within }).is_err()
                {
                    return;
                }
            }
        }),
    )?;
    let supervisor = Supervisor::new(config, output, messages, &sender)?;
    Ok(supervisor.run())
}

/// Before anything is made that evidence could cover.
fn hold_to_manifest(config: &Config, config_path: &Path) -> Result<(), Refusal> {
    if config.attestation.is_none() {
        return Ok(());
    }
    let given = Given::read(config_path.parent().unwrap_or_else(|| Path::new("/")))?;
    let users = Users::of_own_root().map_err(|err| Refusal {
        field: Field::User,
        reason: format!("the image's /etc/passwd or /etc/group can't be read: {err}"),
    })?;
    check(config, &given, &users)
}

/// All but those that a fault raises in the agent itself, and SIGPIPE, which is ignored.
fn signals() -> SigSet {
    let mut set = SigSet::all();
    for signal in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
        Signal::SIGABRT,
        Signal::SIGSYS,
        Signal::SIGPIPE,
    ] {
        set.remove(signal);
    }
    set
}

fn system<T>(what: &'static str, result: io::Result<T>) -> Result<T, AgentError> {
    result.map_err(|source| AgentError::System { what, source })
}

#[derive(Debug)]
enum State {
    /// Not started yet: its secrets have not come.
    Awaiting,
    Running {
        app: Spawned,
        since: Instant,
        readers: Vec<Receiver<()>>,
        /// Set once it was asked to end: when it is killed.
        kill_at: Option<Instant>,
    },
    Paused {
        until: Instant,
    },
    /// The run's app has ended for good; what it has left is being hashed.
    Hashing(Ending),
    /// It has ended by itself and said so, or the run of a task has ended; nothing is metered any more.
    /// Evidence is served until the host stops the pod: who was quicker than its registration is paid,
    /// and ends its lease, too.
    Ended,
}

#[derive(Debug)]
struct Supervisor {
    config: Config,
    output: Arc<Output>,
    messages: Receiver<Message>,
    children: Arc<Children>,
    probes: Vec<(ProbeKind, Sender<ProbeCommand>)>,
    signer: Option<Signer>,
    tee: Option<Tee>,
    /// Variables that the app and its probes get.
    secrets: StartedWith,
    start: Instant,
    next_record: Option<Instant>,
    meter: Option<Meter>,
    next_sample: Option<Instant>,
    backoff: Backoff,
    run: Option<Run>,
    /// Of a run: says that its artefacts are hashed.
    hashed: Option<Sender<Message>>,
    /// What comes once and is worth money, where it could not be written yet, and when that is tried
    /// again.
    unwritten: Option<(EventKind, Instant)>,
    restarts: u32,
    generation: u64,
    ready: bool,
    stopping: bool,
    /// The host, or the agent itself, may have had a part in the end of the app that runs.
    is_disturbed: bool,
    /// The host has sent the app a signal: what comes of it is not the app's own end.
    is_signalled: bool,
    /// The app has ended by itself, with this code, and is not started again.
    ended: Option<u8>,
    /// Where the other containers' output comes in.
    relayed: Option<Arc<Relayed>>,
    code: i32,
}

impl Supervisor {
    fn new(
        config: Config,
        output: Output,
        messages: Receiver<Message>,
        sender: &Sender<Message>,
    ) -> Result<Self, AgentError> {
        let children = Arc::new(Children::default());
        let secrets = StartedWith::default();
        let mut probes = Vec::new();
        let all: [(ProbeKind, &Option<Probe>); 3] = [
            (ProbeKind::Startup, &config.probes.startup),
            (ProbeKind::Readiness, &config.probes.readiness),
            (ProbeKind::Liveness, &config.probes.liveness),
        ];
        for (kind, probe) in all {
            let Some(probe) = probe.clone() else { continue };
            let (commands, receiver) = channel();
            let prober = Prober {
                kind,
                probe,
                app: config.app.clone(),
                secrets: secrets.clone(),
                children: Arc::clone(&children),
                commands: receiver,
                verdicts: sender.clone(),
            };
            system("start a thread", thread::Builder::new().spawn(move || prober.run()))?;
            probes.push((kind, commands));
        }
        let signer = match config.signer.clone() {
            Some(config) => {
                Some(Signer::new(config, now_ms() / 1000).map_err(|err| AgentError::System {
                    what: "get random numbers for the key",
                    source: io::Error::other(err.to_string()),
                })?)
            }
            None => None,
        };
        if let (Some(recipient), Some(signer)) = (config.log.recipient, &signer) {
            output.seal(signer.log(recipient).map_err(AgentError::Logs)?);
        }
        let output = Arc::new(output);
        let relayed = match config.log.relayed.clone() {
            Some(RelayedLogs { socket, containers }) => Some(system(
                "listen for the other containers' output",
                Relayed::start(&socket, containers, &output),
            )?),
            None => None,
        };
        let start = Instant::now();
        let meter = config.signer.as_ref().map(|s| Meter::new(s.quota.storage_mib, start));
        // An agent that signs no records has no key to register, and says so by zeros.
        let agent_key = signer.as_ref().map(Signer::public_key).unwrap_or_default();
        // First of all events: it tells the host to forget what an agent before this one has said,
        // its evidence too.
        output.emit(EventKind::Started { key: signer.as_ref().map(|_| hex::encode(agent_key)) });
        let tee = Tee::start(&config, agent_key, &output, sender)?;
        let run = config.task.clone().map(Run::new);
        let hashed = run.as_ref().map(|_| sender.clone());
        Ok(Self {
            config,
            output,
            messages,
            children,
            probes,
            signer,
            tee,
            secrets,
            start,
            next_record: None,
            next_sample: meter.as_ref().and_then(|_| start.checked_add(SAMPLE)),
            meter,
            backoff: Backoff::default(),
            run,
            hashed,
            unwritten: None,
            restarts: 0,
            generation: 0,
            ready: false,
            stopping: false,
            is_disturbed: false,
            is_signalled: false,
            ended: None,
            relayed,
            // Stopped before the app ever ran: as if SIGTERM had ended it.
            code: 128 + Signal::SIGTERM as i32,
        })
    }

    fn run(mut self) -> i32 {
        let mut state = match self.tee.as_ref().and_then(Tee::awaited) {
            Some(names) => {
                self.output.emit(EventKind::AwaitingSecrets { names });
                State::Awaiting
            }
            None => self.start_app(),
        };
        self.record();
        loop {
            let due = [
                self.next_record,
                self.next_sample,
                self.run.as_ref().and_then(Run::deadline),
                self.unwritten.as_ref().map(|(_, at)| *at),
                match &state {
                    // It was stopped while it ended.
                    State::Ended if self.is_done() => Some(Instant::now()),
                    State::Awaiting | State::Ended => None,
                    State::Running { kill_at, .. } => *kill_at,
                    State::Paused { until } => Some(*until),
                    State::Hashing(ending) => Some(ending.until),
                },
            ];
            let message = match due.into_iter().flatten().min() {
                Some(due) => {
                    self.messages.recv_timeout(due.saturating_duration_since(Instant::now()))
                }
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Signal { signal: Signal::SIGCHLD, .. }) => self.children.reap(),
                // Only the host stops a pod. What the app asks for is done to the app.
                Ok(Message::Signal { signal: Signal::SIGTERM, from_within: false }) => {
                    if !std::mem::replace(&mut self.stopping, true) {
                        self.output.emit(EventKind::Stopping);
                        self.set_ready(Err("the pod is being stopped".into()));
                        self.end_app(&mut state);
                    } else if let State::Running { kill_at: Some(at), .. } = &mut state {
                        // The second one: whoever stops the pod waits no longer for the app.
                        *at = Instant::now();
                    }
                    if let State::Hashing(ending) = &mut state {
                        ending.hurry();
                    }
                }
                Ok(Message::Signal { signal, from_within }) => {
                    self.is_disturbed |= !from_within;
                    self.is_signalled |= !from_within;
                    if let State::Running { app, .. } = &state
                        && app.pid.as_raw() > 0
                    {
                        let _ = kill(app.pid, signal);
                    }
                }
                Ok(Message::Probe(verdict)) => self.judge(verdict, &mut state),
                Ok(Message::Secrets) => {
                    if matches!(state, State::Awaiting) && !self.stopping {
                        state = self.start_app();
                    }
                }
                Ok(Message::Hashed) => {
                    if let State::Hashing(ending) = &mut state {
                        ending.until = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The signal thread has died: without it nothing can be reaped or stopped.
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            let now = Instant::now();
            if self.run.as_mut().is_some_and(|run| run.is_over(now)) {
                match state {
                    State::Running { .. } => {
                        self.output.say("the run's time is over: the app is asked to end");
                        self.end_app(&mut state);
                    }
                    State::Paused { .. } => {
                        state = self.end_run(RunOutcome::DeadlineExceeded);
                    }
                    State::Awaiting | State::Hashing(_) | State::Ended => {}
                }
            }
            if let Some((kind, _)) = self.unwritten.take_if(|(_, at)| *at <= now) {
                self.emit_surely(kind);
            }
            if self.next_record.is_some_and(|due| due <= now) {
                self.output.report_dropped();
                self.record();
            } else if self.next_sample.is_some_and(|due| due <= now) {
                self.sample(now);
            }
            match &mut state {
                State::Running { app, kill_at, .. } => {
                    if let Ok(code) = app.exit.try_recv() {
                        match self.app_ended(state, code) {
                            Some(next) => state = next,
                            None if self.ended.is_some() && self.tee.is_some() => {
                                self.last_record();
                                state = State::Ended;
                            }
                            None => return self.finish(),
                        }
                    } else if kill_at.is_some_and(|at| at <= now) {
                        *kill_at = None;
                        self.output.say("the app did not end in time and is killed");
                        kill_all(app.pid);
                    }
                }
                State::Hashing(ending) if ending.until <= now => state = self.end_hashed(state),
                State::Ended if self.is_done() => return self.finish(),
                State::Awaiting | State::Paused { .. } if self.stopping && self.run.is_some() => {
                    state = self.end_run(RunOutcome::Stopped);
                }
                State::Awaiting | State::Paused { .. } if self.stopping => return self.finish(),
                State::Paused { until } if *until <= now => {
                    self.restarts = self.restarts.saturating_add(1);
                    state = self.start_app();
                }
                State::Awaiting | State::Paused { .. } | State::Hashing(_) | State::Ended => {}
            }
        }
    }

    /// Starts the app, or pauses (or ends, by the next wake-up) where it can't be started.
    fn start_app(&mut self) -> State {
        self.generation += 1;
        self.is_disturbed = false;
        self.is_signalled = false;
        let since = Instant::now();
        let hashes = self.run.as_mut().map(|run| run.starts(now_ms() / 1000, since));
        let [of_stdout, of_stderr] = hashes.map_or([None, None], |hashes| hashes.map(Some));
        let mut command = spawn::command(&self.config.app, &self.config.app.command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.secrets.set(self.tee.as_ref().map(Tee::environment).unwrap_or_default());
        self.secrets.give(&mut command);
        let mut app = match self.children.spawn(&mut command) {
            Ok(app) => app,
            Err(err) => {
                let program = self.config.app.command.first().map_or("", String::as_str);
                self.output.say(&format!("`{program}` can't be started: {err}"));
                // As a shell would.
                let code = if err.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
                // The host may have left it without memory.
                let is_apps = [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied];
                self.is_disturbed |= !is_apps.contains(&err.kind());
                let (sender, exit) = std::sync::mpsc::sync_channel(1);
                let _ = sender.try_send(code);
                let app = Spawned { pid: Pid::from_raw(0), stdout: None, stderr: None, exit };
                // Wakes the loop at once.
                return State::Running { app, since, readers: Vec::new(), kill_at: Some(since) };
            }
        };
        let mut readers = Vec::new();
        if let Some(stdout) = app.stdout.take() {
            readers.extend(self.read(stdout, Stream::Stdout, of_stdout));
        }
        if let Some(stderr) = app.stderr.take() {
            readers.extend(self.read(stderr, Stream::Stderr, of_stderr));
        }
        self.output.emit(EventKind::AppStarted { restarts: self.restarts });
        if self.has(ProbeKind::Startup) {
            self.tell(ProbeKind::Startup, ProbeCommand::Run(self.generation));
        } else {
            self.app_is_up();
        }
        State::Running { app, since, readers, kill_at: None }
    }

    fn read(
        &self,
        input: impl io::Read + Send + 'static,
        stream: Stream,
        hash: Option<StreamHash>,
    ) -> Option<Receiver<()>> {
        let output = Arc::clone(&self.output);
        let input = Hashed::new(input, hash);
        let (done, receiver) = std::sync::mpsc::sync_channel(1);
        let reader = thread::Builder::new().spawn(move || {
            if let Err(err) = read_lines(input, |line, partial| output.log(stream, line, partial)) {
                output.say(&format!("the app's output can't be read: {err}"));
            }
            let _ = done.try_send(());
        });
        if let Err(err) = reader {
            self.output.say(&format!("no thread to read the app's output: {err}"));
            return None;
        }
        Some(receiver)
    }

    /// The startup probe has passed, or there is none.
    fn app_is_up(&mut self) {
        self.tell(ProbeKind::Startup, ProbeCommand::Pause);
        self.tell(ProbeKind::Readiness, ProbeCommand::Run(self.generation));
        self.tell(ProbeKind::Liveness, ProbeCommand::Run(self.generation));
        if !self.has(ProbeKind::Readiness) {
            self.set_ready(Ok(()));
        }
    }

    fn judge(&mut self, verdict: Verdict, state: &mut State) {
        if verdict.generation != self.generation || self.stopping || self.ended.is_some() {
            return;
        }
        match (verdict.kind, verdict.result) {
            (ProbeKind::Startup, Ok(())) => self.app_is_up(),
            (ProbeKind::Readiness, result) => self.set_ready(result),
            (ProbeKind::Liveness, Ok(())) => {}
            (ProbeKind::Startup | ProbeKind::Liveness, Err(reason)) => {
                self.output.say(&format!("the {:?} probe failed: {reason}", verdict.kind));
                self.set_ready(Err(reason));
                self.end_app(state);
            }
        }
    }

    /// Asks the app to end, and sets when it is killed.
    fn end_app(&mut self, state: &mut State) {
        self.is_disturbed = true;
        if let State::Running { app, kill_at, .. } = state
            && kill_at.is_none()
            && app.pid.as_raw() > 0
        {
            let _ = kill(app.pid, Signal::SIGTERM);
            *kill_at = Some(Instant::now() + self.config.grace());
        }
    }

    /// The app has ended: the pause before its next start, or `None` where there is none.
    fn app_ended(&mut self, state: State, code: i32) -> Option<State> {
        let State::Running { app, since, readers, .. } = state else { return Some(state) };
        self.code = code;
        for (kind, _) in &self.probes {
            self.tell(*kind, ProbeCommand::Pause);
        }
        // What it has left behind must not meet its successor.
        kill_all(app.pid);
        let deadline = Instant::now() + DRAIN;
        for reader in readers {
            let _ = reader.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        self.output.report_dropped();
        self.set_ready(Err(format!("the app ended with exit code {code}")));
        if let Some(run) = &self.run {
            let next = run.next(code, self.stopping || self.is_signalled);
            let last = matches!(next, Next::End(_));
            self.output.emit(EventKind::AppExited { code, last });
            return match next {
                Next::Retry(delay) => Some(self.pause(code, delay)),
                Next::End(outcome) => Some(self.end_run(outcome)),
            };
        }
        let last = self.stopping || !self.config.restart.restarts(code);
        self.output.emit(EventKind::AppExited { code, last });
        if last {
            self.ended = ended_by_itself(code, self.is_disturbed || self.stopping);
            return None;
        }
        let delay = self.backoff.next(since.elapsed());
        Some(self.pause(code, delay))
    }

    fn pause(&self, code: i32, delay: Duration) -> State {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.output.emit(EventKind::BackOff { code, delay_ms });
        State::Paused { until: Instant::now() + delay }
    }

    fn set_ready(&mut self, result: Result<(), String>) {
        let ready = result.is_ok();
        if self.ready != ready {
            self.ready = ready;
            self.output.emit(match result {
                Ok(()) => EventKind::Ready,
                Err(reason) => EventKind::Unready { reason: reason.chars().take(500).collect() },
            });
        }
    }

    fn has(&self, kind: ProbeKind) -> bool {
        self.probes.iter().any(|(k, _)| *k == kind)
    }

    fn tell(&self, kind: ProbeKind, command: ProbeCommand) {
        for (_, sender) in self.probes.iter().filter(|(k, _)| *k == kind) {
            let _ = sender.send(command);
        }
    }
}

/// The exit code of an app that has ended by itself, and of none that somebody may have ended.
///
/// The chain pays no penalty for the silence after such an end, so the host must not be able to bring
/// it about: not by a signal, to the agent or the app, nor by so little time that a probe fails. Of an
/// app that ended by a signal nobody can tell who has sent it; shells give such an end on as a code.
fn ended_by_itself(code: i32, is_disturbed: bool) -> Option<u8> {
    let is_signal = (129..=192).contains(&code);
    u8::try_from(code).ok().filter(|_| !is_disturbed && !is_signal)
}

/// Kills all processes of the container but the agent; outside of a container, the app's group.
fn kill_all(app: Pid) {
    if getpid().as_raw() == 1 {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    } else if app.as_raw() > 1 {
        let _ = killpg(app, Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests;
