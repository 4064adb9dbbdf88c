//! Checks of one probe.

use super::{Faults, container};
use crate::{Probe, ProbeAction, path::Path};

const SECONDS_MAX: u32 = 3600;
const TRIES_MAX: u32 = 1000;
const PATH_BYTES_MAX: usize = 1024;

pub(super) fn check(probe: &Probe, success_max: u32, at: &Path, faults: &mut Faults) {
    match probe.action() {
        Some(ProbeAction::HttpGet(get)) => {
            let at = at.at("httpGet");
            faults.range(at.at("port"), get.port.into(), 1, 65535);
            let allowed = "a path from `/` on, of visible ASCII characters without `#`, at most \
                 1024 bytes";
            faults.text(at.at("path"), &get.path, is_request_path, allowed);
        }
        Some(ProbeAction::TcpSocket(socket)) => {
            faults.range(at.at("tcpSocket").at("port"), socket.port.into(), 1, 65535);
        }
        Some(ProbeAction::Exec(exec)) => {
            let at = at.at("exec").at("command");
            if exec.command.first().is_none_or(String::is_empty) {
                faults.add(at.clone(), "no program", "the program to run and its arguments");
            }
            container::words(&exec.command, &at, faults);
        }
        None => {
            let count = usize::from(probe.http_get.is_some())
                + usize::from(probe.tcp_socket.is_some())
                + usize::from(probe.exec.is_some());
            let allowed = "exactly one of `httpGet`, `tcpSocket`, `exec`";
            faults.add(at.clone(), format!("a probe with {count} actions"), allowed);
        }
    }
    faults.range(at.at("initialDelaySeconds"), probe.initial_delay_seconds, 0, SECONDS_MAX);
    faults.range(at.at("periodSeconds"), probe.period_seconds, 1, SECONDS_MAX);
    faults.range(at.at("timeoutSeconds"), probe.timeout_seconds, 1, SECONDS_MAX);
    faults.range(at.at("failureThreshold"), probe.failure_threshold, 1, TRIES_MAX);
    let success_max = success_max.min(TRIES_MAX);
    if success_max == 1 && probe.success_threshold != 1 {
        let found = format!("`{}`", probe.success_threshold);
        faults.add(at.at("successThreshold"), found, "1 here; only readiness may need more");
    } else {
        faults.range(at.at("successThreshold"), probe.success_threshold, 1, success_max);
    }
}

fn is_request_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= PATH_BYTES_MAX
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}
