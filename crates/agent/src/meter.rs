//! Measures what the pod uses, from counters that the agent can read.
//!
//! CPU and memory come from the pod's cgroup where the host shows it to the container, else from the
//! container's own. In a virtual machine (TDX, SEV-SNP) the kernel that counts is inside the TEE; in an
//! SGX enclave all of it is the host's word, and told as such.
//!
//! # Limits
//! Storage is what the root's file system has in use, where that is the pod's own. One that is larger
//! than what the pod holds is shared with others: only the host can know what of it is the pod's, and
//! what the pod holds is told, marked so.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use casemate_primitives::{HostMeasured, TeeKind};
use nix::sys::statvfs::statvfs;

use crate::{
    net_dev::{Traffic, since},
    signer::Usage,
};

/// Time between two looks at memory and storage, whose use is summed over time.
pub(crate) const SAMPLE: Duration = Duration::from_secs(1);

/// Where the pod's cgroup is, if the host shows it; else the container's own.
const CGROUPS: [&str; 2] = [crate::CGROUP_PATH, "/sys/fs/cgroup"];

/// Who counts what the agent reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Counts {
    /// A kernel that evidence covers, or there is no evidence at all.
    Inside,
    /// The host.
    Host,
    /// Not known yet: what was measured waits until it is.
    Unknown,
}

impl Counts {
    /// Of an agent that has found this TEE, or none yet.
    pub(crate) fn of(kind: Option<TeeKind>) -> Self {
        match kind {
            Some(TeeKind::IntelTdx | TeeKind::AmdSevSnp) => Self::Inside,
            Some(TeeKind::IntelSgx | TeeKind::NvidiaGpu) => Self::Host,
            None => Self::Unknown,
        }
    }
}

/// Counters of the pod, and their sums since they were taken last.
#[derive(Debug)]
pub(crate) struct Meter {
    cgroup: Option<PathBuf>,
    net_dev: PathBuf,
    root: PathBuf,
    storage_held_bytes: u64,
    cpu_usec: Option<u64>,
    traffic: Traffic,
    at: Instant,
    usage: Usage,
}

impl Meter {
    /// Begins at zero. `storage_mib` is what the pod holds.
    pub(crate) fn new(storage_mib: u32, now: Instant) -> Self {
        let cgroup = CGROUPS.iter().map(PathBuf::from).find(|dir| cpu_usec(dir).is_some());
        Self::of(cgroup, "/proc/self/net/dev".into(), "/".into(), storage_mib, now)
    }

    fn of(
        cgroup: Option<PathBuf>,
        net_dev: PathBuf,
        root: PathBuf,
        storage_mib: u32,
        at: Instant,
    ) -> Self {
        let cpu_usec = cgroup.as_deref().and_then(cpu_usec);
        let traffic = Traffic::starting_at(&read(&net_dev));
        let storage_held_bytes = u64::from(storage_mib) << 20;
        let usage = Usage::default();
        Self { cgroup, net_dev, root, storage_held_bytes, cpu_usec, traffic, at, usage }
    }

    /// Reads all counters.
    pub(crate) fn sample(&mut self, now: Instant) {
        let passed_ms = now.saturating_duration_since(self.at).as_millis();
        self.at = now;
        let usage = &mut self.usage;
        let cgroup = self.cgroup.as_deref();
        match (cgroup.and_then(cpu_usec), self.cpu_usec) {
            (Some(now), Some(last)) => {
                usage.cpu_usec = usage.cpu_usec.saturating_add(since(last, now));
                self.cpu_usec = Some(now);
            }
            (now, last) => {
                self.cpu_usec = now.or(last);
                usage.host_measured = usage.host_measured.and(HostMeasured::CPU);
            }
        }
        match cgroup.and_then(memory_bytes) {
            Some(bytes) => usage.memory_byte_ms += u128::from(bytes) * passed_ms,
            None => usage.host_measured = usage.host_measured.and(HostMeasured::MEMORY),
        }
        let (bytes, is_own) = storage(&self.root, self.storage_held_bytes);
        usage.storage_byte_ms += u128::from(bytes) * passed_ms;
        if !is_own {
            usage.host_measured = usage.host_measured.and(HostMeasured::STORAGE);
        }
        let added = self.traffic.update(&read(&self.net_dev));
        usage.sent_bytes = usage.sent_bytes.saturating_add(added.sent);
        usage.received_bytes = usage.received_bytes.saturating_add(added.received);
    }

    /// The sums since they were taken last, or nothing as long as nobody knows who has counted.
    pub(crate) fn take(&mut self, counts: Counts) -> Usage {
        if counts == Counts::Unknown {
            return Usage::default();
        }
        let mut usage = std::mem::take(&mut self.usage);
        if counts == Counts::Host {
            let all = [HostMeasured::CPU, HostMeasured::MEMORY, HostMeasured::STORAGE];
            let all = all.into_iter().fold(HostMeasured::TRAFFIC, HostMeasured::and);
            usage.host_measured = usage.host_measured.and(all);
        }
        usage
    }
}

/// Empty where it can't be read: that counts as nothing.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Microseconds of a core that a cgroup has used, of version 2 or 1.
fn cpu_usec(dir: &Path) -> Option<u64> {
    let stat = read(&dir.join("cpu.stat"));
    let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
    let nanoseconds = || number(&dir.join("cpuacct/cpuacct.usage"));
    usage.and_then(|text| text.trim().parse().ok()).or_else(|| Some(nanoseconds()? / 1000))
}

/// Bytes of memory that a cgroup has in use, of version 2 or 1.
fn memory_bytes(dir: &Path) -> Option<u64> {
    number(&dir.join("memory.current"))
        .or_else(|| number(&dir.join("memory/memory.usage_in_bytes")))
}

fn number(path: &Path) -> Option<u64> {
    read(path).trim().parse().ok()
}

/// Bytes in use on the root's file system, and whether that is the pod's own.
fn storage(root: &Path, held_bytes: u64) -> (u64, bool) {
    let Ok(stat) = statvfs(root) else { return (held_bytes, false) };
    let unit = u64::from(stat.fragment_size());
    let size = u64::from(stat.blocks()).saturating_mul(unit);
    let used = u64::from(stat.blocks().saturating_sub(stat.blocks_free())).saturating_mul(unit);
    if size <= held_bytes { (used, true) } else { (held_bytes, false) }
}

#[cfg(test)]
mod tests;
