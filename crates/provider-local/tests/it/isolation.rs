//! What a tenant's app can't do.

use std::{net::TcpListener, time::Duration};

use casemate_provider_core::{Backend, ContainerState, PodPhase, PodStatus, conformance::Harness};
use serde_json::json;

use crate::harness::{LocalHarness, expect, lines, pod, pod_id, run};

fn running(status: &PodStatus) -> bool {
    status.phase == PodPhase::Running { ready: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_in_a_container_gets_nowhere() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    // Numbers of system calls on this architecture: keyctl, bpf, unshare, ptrace, io_uring_setup.
    let (keyctl, bpf, unshare, ptrace) = match std::env::consts::ARCH {
        "aarch64" => (219, 280, 97, 117),
        _ => (250, 321, 272, 101),
    };
    let script = format!(
        "id -u
        mount -t tmpfs none /tmp && echo BAD mount
        mknod /tmp/disk b 8 0 && echo BAD mknod
        cat /proc/1/environ && echo BAD environ
        echo x > /proc/1/fd/1 && echo BAD fd write
        cat /proc/1/fd/1 && echo BAD fd read
        kill -KILL 1 && echo the kernel drops it
        kill -STOP 1 && echo the kernel drops it
        cat /proc/1/mem && echo BAD mem
        touch /run/casemate/agent && echo BAD agent
        echo x > /run/casemate/config.json && echo BAD config
        for f in $(find /run/casemate/cgroup -name cgroup.procs -o -name memory.limit_in_bytes); do
            echo 1 > $f && echo BAD cgroup
        done
        mkdir /run/casemate/cgroup/x /run/casemate/cgroup/memory/x && echo BAD new cgroup
        echo x > /proc/sys/kernel/hostname && echo BAD sysctl
        echo x > /sys/kernel/uevent_helper && echo BAD sysfs
        cat /proc/kcore && echo BAD kcore
        perl -e 'print \"keyctl: \", (syscall({keyctl}, 0, -3, 0) == -1 ? \"no $!\" : \"BAD\"), \"\\n\"'
        perl -e 'print \"bpf: \", (syscall({bpf}, 0, 0, 0) == -1 ? \"no $!\" : \"BAD\"), \"\\n\"'
        perl -e 'print \"unshare: \", (syscall({unshare}, 0x10000000) == -1 ? \"no $!\" : \"BAD\"), \"\\n\"'
        perl -e 'print \"ptrace: \", (syscall({ptrace}, 16, 1, 0, 0) == -1 ? \"no $!\" : \"BAD\"), \"\\n\"'
        perl -e 'use Socket; print \"raw: \", (socket(S, PF_INET, SOCK_RAW, 1) ? \"BAD\" : \"no $!\"), \"\\n\"'
        grep ' /run/casemate/' /proc/self/mountinfo
        grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status
        echo end"
    );
    let out = run(&backend, &pod(pod_id(1), &script, &json!({}), &json!({}))).await;
    assert!(!out.contains("BAD"), "{out}");
    for wanted in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "keyctl: no Operation not permitted",
        "bpf: no Operation not permitted",
        "unshare: no Operation not permitted",
        "ptrace: no Operation not permitted",
        "raw: no Operation not permitted",
        "\nend\n",
    ] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
    assert!(out.starts_with("0\n"), "{out}");
    let mounts: Vec<_> =
        out.lines().filter(|l| l.contains(" /run/casemate/") && l.contains(" - ")).collect();
    let (counters, own): (Vec<&&str>, Vec<&&str>) =
        mounts.iter().partition(|line| line.contains(" /run/casemate/cgroup"));
    assert_eq!(own.len(), 2, "{out}");
    // The pod's counters: one hierarchy of version 2, or two of version 1.
    assert!((1..=2).contains(&counters.len()), "{out}");
    assert!(mounts.iter().all(|line| line.contains(" ro,nosuid,nodev")), "{mounts:?}");
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn user_environment_and_read_only_root_are_as_the_manifest_says() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let fields = json!({
        "securityContext": { "runAsUser": 33, "readOnlyRootFilesystem": true },
        "env": [{ "name": "GREETING", "value": "hi there" }],
        "workingDir": "/srv/app",
        "volumeMounts": [{ "name": "v", "mountPath": "/data" }],
    });
    let spec = json!({ "volumes": [{ "name": "v", "empty": { "size": "1Mi" } }] });
    let script = "id -u; id -g; echo $GREETING; echo $HOME; echo at $PWD; cat /etc/hostname; \
                  touch /x 2>/dev/null || echo read-only; touch /data/x && echo data ok; \
                  grep localhost /etc/hosts; grep CapEff /proc/self/status; \
                  perl -e 'use Socket; socket(S, PF_INET, SOCK_STREAM, 6); \
                  print bind(S, sockaddr_in(80, INADDR_ANY)) ? \"port 80 ok\\n\" : \"no: $!\\n\"'";
    let out = run(&backend, &pod(pod_id(1), script, &fields, &spec)).await;
    for wanted in [
        "33\n34\nhi there\n/srv\nat /srv/app\nl1-r0-v1\n",
        "read-only\ndata ok\n",
        "127.0.0.1\tlocalhost",
        "CapEff:\t0000000000000000",
        "port 80 ok",
    ] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_ends_the_app_and_not_the_agent() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    let script = "echo up; perl -e 'my @a; push @a, \"x\" x 1000000 while 1'";
    let greedy = pod(
        id,
        &format!("exec {}", script.replace("echo up; ", "")),
        &json!({}),
        &json!({
            "restartPolicy": "Always",
        }),
    );
    backend.apply(&greedy).await.unwrap();
    let status = expect(&backend, id, |s| {
        s.containers.iter().any(|c| {
            c.restarts >= 1 && matches!(c.state, ContainerState::BackOff { exit_code: 137 })
        })
    })
    .await;
    assert!(matches!(status.phase, PodPhase::Running { .. }), "{status:?}");
    assert_eq!(backend.list().await.unwrap()[0].agent_key, status.agent_key);
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_stays_in_its_container() {
    let mut harness = LocalHarness::new().await;
    let mut config = harness.config();
    config.pids_max = 40;
    let backend = casemate_provider_local::LocalBackend::open(config).await.unwrap();
    let id = pod_id(1);
    // Tries 200 processes at once; with the limit gone it would have them, and end.
    let script = "perl -e 'my ($n, $f) = (0, 0); for (1..200) { my $p = fork; \
                  if (!defined $p) { $f++; next } if (!$p) { sleep 1000; exit } $n++ } \
                  $| = 1; print \"children $n refused $f\\n\"; sleep 1000'";
    backend.apply(&pod(id, script, &json!({}), &json!({}))).await.unwrap();
    expect(&backend, id, running).await;
    let start = std::time::Instant::now();
    let text = loop {
        if let Some(line) =
            lines(&backend, id).await.into_iter().find(|l| l.text.starts_with("children"))
        {
            break line.text;
        }
        assert!(start.elapsed() < crate::harness::PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let numbers: Vec<u32> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] < 40 && numbers[1] >= 160, "{text}");
    // All of them go with the pod, and the agent can still sign.
    backend.delete(id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(backend.usage().await.unwrap().len(), 1);
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_reaches_the_pod_and_the_pod_reaches_nothing() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let serve = "exec perl -e 'use Socket; socket(S, PF_INET, SOCK_STREAM, 6); \
                 setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1); \
                 bind(S, sockaddr_in(8080, INADDR_ANY)) or die; listen(S, 5); \
                 while (accept(C, S)) { syswrite C, \"HTTP/1.1 200 OK\\r\\n\\r\\nhello\"; close C }'";
    let probe = json!({ "readinessProbe": { "tcpSocket": { "port": 8080 } } });
    let server = pod(pod_id(1), serve, &probe, &json!({}));
    backend.apply(&server).await.unwrap();
    let address = expect(&backend, server.id, running).await.address.unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect((address, 8080)).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        text
    })
    .await
    .unwrap();
    assert!(answer.ends_with("hello"), "{answer}");

    // A service of this machine that listens everywhere.
    let host = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let text = address.to_string();
    let gateway = format!("{}.1", text.rsplit_once('.').unwrap().0);
    let try_all = format!(
        "exec perl -e 'use Socket; for ([\"{address}\", 8080], [\"{gateway}\", {port}], \
         [\"192.0.2.1\", 80]) {{ my ($a, $p) = @$_; socket(S, PF_INET, SOCK_STREAM, 6); \
         local $SIG{{ALRM}} = sub {{ die }}; alarm 2; \
         my $ok = eval {{ connect(S, sockaddr_in($p, inet_aton($a))) }}; alarm 0; \
         print \"$a:$p \", ($ok ? \"BAD\" : \"no\"), \"\\n\"; close S }}'"
    );
    let out = run(&backend, &pod(pod_id(2), &try_all, &json!({}), &json!({}))).await;
    assert!(!out.contains("BAD") && out.matches(" no\n").count() == 3, "{out}");
    backend.purge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_over_its_storage_is_ended() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let id = pod_id(1);
    let script = "echo up; dd if=/dev/zero of=/tmp/big bs=1M count=20 2>/dev/null; sleep 1000";
    backend.apply(&pod(id, script, &json!({}), &json!({}))).await.unwrap();
    let over = |s: &PodStatus| matches!(&s.phase, PodPhase::Failed(r) if r.contains("storage") && r.contains("16 MiB"));
    expect(&backend, id, over).await;
    assert!(lines(&backend, id).await.iter().any(|l| l.text == "up"), "its output stays");
    drop(backend);
    let backend = harness.open().await;
    expect(&backend, id, over).await;
    backend.purge().await.unwrap();
    assert_eq!(harness.leftovers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pod_sends_is_in_its_records() {
    let mut harness = LocalHarness::new().await;
    let backend = harness.open().await;
    let serve = "exec perl -e 'use Socket; socket(S, PF_INET, SOCK_STREAM, 6); \
                 bind(S, sockaddr_in(8080, INADDR_ANY)) or die; listen(S, 5); \
                 while (accept(C, S)) { my $x = \"x\" x 1000000; syswrite C, $x for (1..5); close C }'";
    let probe = json!({ "readinessProbe": { "exec": { "command": ["grep", "-q", ":1F90", "/proc/net/tcp"] } } });
    let server = pod(pod_id(1), serve, &probe, &json!({}));
    backend.apply(&server).await.unwrap();
    let address = expect(&backend, server.id, running).await.address.unwrap();
    let received = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect((address, 8080)).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
    });
    assert_eq!(received.await.unwrap(), 5_000_000);
    backend.delete(server.id, Duration::from_secs(1)).await.unwrap();
    let (_, last) = backend.usage().await.unwrap().pop().unwrap();
    assert!((4..=6).contains(&last.record.total.egress_mib), "{last:?}");
    backend.purge().await.unwrap();
}
