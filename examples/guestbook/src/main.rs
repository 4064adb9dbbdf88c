//! A guest book: a small web app that keeps its entries on a volume.
//!
//! It uses threads and the standard library's sockets only, so that its static binary is the whole
//! image. See the README for what it serves.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod app;
mod clock;
mod form;
mod http;
mod page;
mod server;
mod store;

use nix::sys::signal::{SigSet, Signal};
use std::{
    ffi::OsString,
    io::{self, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nothing is left to do where stderr is closed.
            _ = writeln!(io::stderr(), "error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    // Before the first thread, which all others inherit it from: only `wait` takes the signals.
    let mut stop_signals = SigSet::empty();
    stop_signals.add(Signal::SIGTERM);
    stop_signals.add(Signal::SIGINT);
    stop_signals.thread_block().map_err(|error| format!("can't block signals: {error}"))?;

    let port = match std::env::var("PORT") {
        Ok(text) => text
            .parse::<u16>()
            .map_err(|_| format!("PORT is `{text}`; it must be a number from 0 to 65535"))?,
        Err(_) => 8080,
    };
    let data = PathBuf::from(std::env::var_os("DATA_DIR").unwrap_or_else(|| "/data".into()));
    let store = store::Store::open(&data).map_err(|error| error.to_string())?;

    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .map_err(|error| format!("can't listen on port {port}: {error}; set PORT to a free one"))?;
    let address =
        listener.local_addr().map_err(|error| format!("can't read the own address: {error}"))?;
    server::log_line(&format!("listening on {address}, {} entries in {data:?}", store.count()));

    // Released to the pod as a secret; see casemate-password.yaml.
    let password = std::env::var_os("GUESTBOOK_PASSWORD").map(OsString::into_vec);
    let app = Arc::new(app::App::new(store, password.and_then(app::Password::new)));
    let server = server::Server::start(listener, move |request| app.answer(request))
        .map_err(|error| format!("can't start the server: {error}"))?;
    stop_signals.wait().map_err(|error| format!("can't wait for signals: {error}"))?;
    server::log_line("stopping: requests under way are finished first");
    server.stop();
    server::log_line("stopped");
    Ok(())
}
