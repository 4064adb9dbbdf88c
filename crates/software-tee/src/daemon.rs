//! The daemon: a control socket for the host, a socket for each guest.
//!
//! What is kept on disk before an answer is given is all that a guest is: its content's digests,
//! its registers' extensions. So the daemon can be killed at any moment, and after a start has the
//! same guests with the same measurements at the same sockets.

mod connection;
mod control;
mod guest;

use crate::{
    Error,
    directory::{Directory, private_folder},
    misbehave::Misbehaviour,
};
use guest::Guest;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that `init` made.
    pub directory: PathBuf,
    /// Where to listen for the host.
    pub control: PathBuf,
    /// What shall be wrong with everything.
    pub misbehave: Vec<Misbehaviour>,
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon {
    shared: Arc<Shared>,
    control: Listening,
}

#[derive(Debug)]
struct Shared {
    directory: Directory,
    misbehave: Vec<Misbehaviour>,
    guests: Mutex<BTreeMap<String, Running>>,
    _lock: File,
}

/// A guest and the thread that listens for it.
#[derive(Debug)]
struct Running {
    guest: Arc<Guest>,
    listening: Listening,
}

/// A socket that somebody listens at.
#[derive(Debug)]
struct Listening {
    /// The listening socket once more, to wake its thread.
    socket: UnixStream,
    path: PathBuf,
    connections: Arc<connection::Open>,
    thread: JoinHandle<()>,
}

impl Daemon {
    /// Restores the guests and starts to listen.
    ///
    /// # Errors
    /// If the folder is not what `init` made, or another daemon serves it; if a socket cannot be
    /// made.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let directory = Directory::open(&options.directory)?;
        let lock = directory.lock()?;
        let shared = Arc::new(Shared {
            directory,
            misbehave: options.misbehave.clone(),
            guests: Mutex::default(),
            _lock: lock,
        });
        shared.restore()?;
        let serve = {
            let shared = shared.clone();
            move |line: &[u8]| control::answer(&shared, line)
        };
        let control = Listening::start(&options.control, serve)?;
        Ok(Self { shared, control })
    }

    /// How many guests are alive.
    pub fn guests(&self) -> usize {
        self.shared.guests().len()
    }

    /// Waits until the control socket fails, which it does not on its own.
    pub fn wait(self) {
        // A thread that panicked has nothing left to tell.
        let _ = self.control.thread.join();
    }

    /// Stops listening. The guests stay on disk.
    pub fn stop(self) {
        self.control.stop();
        let guests = std::mem::take(&mut *self.shared.guests());
        guests.into_values().for_each(|running| running.listening.stop());
    }
}

impl Shared {
    fn guests(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        // The map is changed by single calls only, so that a panic leaves it whole.
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the guests on disk back to life.
    fn restore(self: &Arc<Self>) -> Result<(), Error> {
        let folder = self.directory.guests();
        private_folder(&folder)?;
        for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
            let path = entry.map_err(Error::file("list", &folder))?.path();
            match guest::State::load(&path)? {
                Some(state) => {
                    let id = state.id.clone();
                    let running = self.start_guest(Guest::new(path, state))?;
                    self.guests().insert(id, running);
                }
                // A launch or an end that was cut short: nobody was told of it.
                None => fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?,
            }
        }
        Ok(())
    }

    fn start_guest(self: &Arc<Self>, guest: Guest) -> Result<Running, Error> {
        let guest = Arc::new(guest);
        let path = guest.make_socket_folder()?;
        let (shared, own) = (self.clone(), guest.clone());
        let listening = Listening::start(&path, move |line| {
            own.answer(&shared.directory, &shared.misbehave, line)
        })?;
        guest.give_socket()?;
        Ok(Running { guest, listening })
    }
}

impl Listening {
    /// Listens at a socket; each line that comes in is answered by `serve`.
    fn start(
        path: &Path,
        serve: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(Error::file("listen at", path))?;
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, mode).map_err(Error::file("restrict", path))?;
        let socket = listener.try_clone().map_err(Error::file("listen at", path))?;
        let connections = Arc::new(connection::Open::default());
        let open = connections.clone();
        let thread = std::thread::Builder::new()
            .spawn(move || connection::listen(&listener, &open, &Arc::new(serve)))
            .map_err(Error::file("start a thread for", path))?;
        Ok(Self {
            socket: UnixStream::from(OwnedFd::from(socket)),
            path: path.to_path_buf(),
            connections,
            thread,
        })
    }

    /// Closes it, and every connection that came in by it.
    fn stop(self) {
        self.connections.close();
        // On Linux this makes `accept` return. The rest is best effort: the socket is of no use to
        // anybody from here on.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.thread.join();
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a socket that a killed daemon left.
fn remove_stale(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(metadata) if metadata.file_type().is_socket() => {
            if UnixStream::connect(path).is_ok() {
                return Err(Error::InUse { path: path.to_path_buf() });
            }
            fs::remove_file(path).map_err(Error::file("remove", path))
        }
        Ok(_) => Err(Error::File {
            action: "listen at",
            path: path.to_path_buf(),
            source: io::Error::new(io::ErrorKind::AlreadyExists, "another file is there"),
        }),
        Err(source) => Err(Error::File { action: "read", path: path.to_path_buf(), source }),
    }
}

/// The system's clock.
///
/// # Errors
/// If it stands before 1970.
pub fn now() -> Result<u64, Error> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| Error::Request("the system's clock stands before 1970".into()))
}
