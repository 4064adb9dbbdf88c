use super::*;

struct Pod {
    dir: tempfile::TempDir,
    start: Instant,
}

impl Pod {
    fn new() -> Self {
        let pod = Self { dir: tempfile::tempdir().unwrap(), start: Instant::now() };
        pod.net(0, 0);
        pod
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn net(&self, sent: u64, received: u64) {
        let line = format!("  eth0: {received} 0 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0\n");
        self.write("net", &line);
    }

    fn meter(&self) -> Meter {
        let path = |name| self.dir.path().join(name);
        Meter::of(Some(path("cgroup")), path("net"), path(""), 10, self.start)
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }
}

#[test]
fn the_pods_own_counters_are_summed() {
    let pod = Pod::new();
    pod.write("cgroup/cpu.stat", "usage_usec 1000\nuser_usec 900\n");
    pod.write("cgroup/memory.current", "4096\n");
    let mut meter = pod.meter();
    pod.write("cgroup/cpu.stat", "usage_usec 3500\nuser_usec 900\n");
    pod.net(100, 20);
    meter.sample(pod.at(1000));
    pod.write("cgroup/memory.current", "1\n");
    // The cgroup was made anew.
    pod.write("cgroup/cpu.stat", "usage_usec 7\n");
    meter.sample(pod.at(1500));
    let usage = meter.take(Counts::Inside);
    assert_eq!(usage.cpu_usec, 2507);
    assert_eq!(usage.memory_byte_ms, 4096 * 1000 + 500);
    assert_eq!((usage.sent_bytes, usage.received_bytes), (100, 20));
    // The tests' disk is larger than the 10 MiB that are held.
    assert_eq!(usage.storage_byte_ms, (10 << 20) * 1500);
    assert_eq!(usage.host_measured, HostMeasured::STORAGE);
    assert_eq!(meter.take(Counts::Inside), Usage::default());
}

#[test]
fn version_1_is_read_too() {
    let pod = Pod::new();
    pod.write("cgroup/cpuacct/cpuacct.usage", "1000000\n");
    pod.write("cgroup/memory/memory.usage_in_bytes", "10\n");
    let mut meter = pod.meter();
    pod.write("cgroup/cpuacct/cpuacct.usage", "4000000\n");
    meter.sample(pod.at(10));
    let usage = meter.take(Counts::Inside);
    assert_eq!((usage.cpu_usec, usage.memory_byte_ms), (3000, 100));
}

#[test]
fn what_can_not_be_seen_is_the_hosts() {
    let pod = Pod::new();
    let mut meter = pod.meter();
    meter.sample(pod.at(1000));
    let usage = meter.take(Counts::Inside);
    assert_eq!((usage.cpu_usec, usage.memory_byte_ms), (0, 0));
    for what in [HostMeasured::CPU, HostMeasured::MEMORY] {
        assert!(usage.host_measured.has(what));
    }
    assert!(!usage.host_measured.has(HostMeasured::TRAFFIC));
}

#[test]
fn all_that_an_sgx_enclave_reads_is_the_hosts() {
    let pod = Pod::new();
    pod.write("cgroup/cpu.stat", "usage_usec 0\n");
    pod.write("cgroup/memory.current", "1\n");
    let mut meter = pod.meter();
    pod.net(9, 9);
    meter.sample(pod.at(1));
    let usage = meter.take(Counts::of(Some(TeeKind::IntelSgx)));
    for what in
        [HostMeasured::CPU, HostMeasured::MEMORY, HostMeasured::STORAGE, HostMeasured::TRAFFIC]
    {
        assert!(usage.host_measured.has(what));
    }
    assert_eq!(usage.sent_bytes, 9);
}

#[test]
fn what_was_measured_waits_until_the_tee_is_known() {
    let pod = Pod::new();
    let mut meter = pod.meter();
    pod.net(9, 0);
    meter.sample(pod.at(1));
    assert_eq!(meter.take(Counts::of(None)), Usage::default());
    pod.net(10, 0);
    meter.sample(pod.at(2));
    for kind in [TeeKind::IntelTdx, TeeKind::AmdSevSnp] {
        assert_eq!(Counts::of(Some(kind)), Counts::Inside);
    }
    assert_eq!(meter.take(Counts::Inside).sent_bytes, 10);
}

#[test]
fn a_disk_of_the_pods_own_is_measured() {
    let (_, is_own) = storage(Path::new("/"), u64::MAX);
    assert!(is_own);
    assert_eq!(storage(Path::new("/no/such"), 7), (7, false));
}
