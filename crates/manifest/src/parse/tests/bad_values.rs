//! Texts of the right shape with wrong values.

use super::{MINIMAL, assert_refused, minimal_with};
use crate::Manifest;

const CONTAINER: &str = "spec.containers[0]";

#[test]
fn bad_host() {
    for host in ["Web.localhost", "10.0.0.1", "web_1.localhost", "\"*.localhost\"", "\"a:80\""] {
        let text = minimal_with(&format!(
            "    ports: [{{containerPort: 80, protocol: HTTP, host: {host}}}]"
        ));
        let path = format!("{CONTAINER}.ports[0].host");
        let found = format!("`{}`", host.trim_matches('"'));
        assert_refused(&text, (9, 55), &path, &[&found, "a host name such as `web.localhost`"]);
    }
    let text = minimal_with("    ports: [{containerPort: 80, protocol: HTTP, hosts: [a, b, A]}]");
    assert_refused(&text, (9, 63), &format!("{CONTAINER}.ports[0].hosts[2]"), &["`A`"]);
}

#[test]
fn duplicate_names() {
    let text = minimal_with(
        "  - name: app\n    image: b\n    resources: {cpu: 1, memory: 64Mi, storage: 1Mi}",
    );
    assert_refused(
        &text,
        (9, 11),
        "spec.containers[1].name",
        &["`app` is there twice", "each container name once"],
    );
    let text = minimal_with("    env: [{name: A, value: x}, {name: A, value: y}]");
    assert_refused(&text, (9, 39), &format!("{CONTAINER}.env[1].name"), &["`A` is there twice"]);
    let text =
        minimal_with("  volumes: [{name: v, empty: {size: 1}}, {name: v, empty: {size: 1}}]");
    assert_refused(&text, (9, 49), "spec.volumes[1].name", &["`v` is there twice"]);
    let text = minimal_with(
        "    ports: [{containerPort: 1, protocol: HTTP, host: a.b}, {containerPort: 2, protocol: HTTP, host: a.b}]",
    );
    assert_refused(
        &text,
        (9, 101),
        &format!("{CONTAINER}.ports[1].host"),
        &["`a.b` is there twice"],
    );
    let text =
        minimal_with("    ports: [{name: p, containerPort: 1}, {name: p, containerPort: 2}]");
    assert_refused(&text, (9, 49), &format!("{CONTAINER}.ports[1].name"), &["`p` is there twice"]);
}

#[test]
fn ports_are_unique_in_the_pod() {
    let text = minimal_with(
        "    ports: [{containerPort: 80}]\n  - name: other\n    image: b\n    \
         resources: {cpu: 1, memory: 64Mi, storage: 1Mi}\n    ports: [{containerPort: 80}]",
    );
    assert_refused(
        &text,
        (13, 29),
        "spec.containers[1].ports[0].containerPort",
        &["`80` is there twice", "share one network"],
    );
    let text = minimal_with(
        "    ports: [{containerPort: 1, hostPort: 2000}, {containerPort: 2, hostPort: 2000}]",
    );
    assert_refused(
        &text,
        (9, 78),
        &format!("{CONTAINER}.ports[1].hostPort"),
        &["`2000` is there twice"],
    );
}

#[test]
fn ports_of_the_wrong_protocol() {
    let table = [
        ("{containerPort: 80, protocol: HTTP}", (9, 13), "", "the host name is missing"),
        (
            "{containerPort: 80, protocol: HTTP, host: a.b, hosts: [c.d]}",
            (9, 67),
            ".hosts",
            "both `host` and `hosts`",
        ),
        (
            "{containerPort: 80, protocol: HTTP, host: a.b, hostPort: 2000}",
            (9, 70),
            ".hostPort",
            "`hostPort` on an HTTP port",
        ),
        ("{containerPort: 80, host: a.b}", (9, 39), ".host", "`host` on a TCP port"),
        ("{containerPort: 80, hosts: [a.b]}", (9, 40), ".hosts", "`hosts` on a TCP port"),
        ("{containerPort: 80, hostPort: 80}", (9, 43), ".hostPort", "from 1024 to 65535"),
        ("{containerPort: 0}", (9, 29), ".containerPort", "from 1 to 65535"),
        ("{containerPort: 80, protocol: UDP}", (9, 43), ".protocol", "`HTTP`, `TCP`"),
    ];
    for (port, at, field, wanted) in table {
        let text = minimal_with(&format!("    ports: [{port}]"));
        assert_refused(&text, at, &format!("{CONTAINER}.ports[0]{field}"), &[wanted]);
    }
}

#[test]
fn volume_mounts() {
    let table = [
        (
            "{name: w, mountPath: /w}",
            (9, 27),
            "name",
            "there is no volume `w` (allowed: a volume of `spec.volumes`: `v`)",
        ),
        ("{name: v, mountPath: w}", (9, 41), "mountPath", "an absolute path"),
        (
            "{name: v, mountPath: /w/../x}",
            (9, 41),
            "mountPath",
            "an absolute path without `.`, `..`",
        ),
        ("{name: v, mountPath: /w/}", (9, 41), "mountPath", "a final `/`"),
        ("{name: v, mountPath: /}", (9, 41), "mountPath", "a path other than `/`"),
        ("{name: v, mountPath: /proc/1}", (9, 41), "mountPath", "not under `/proc`"),
        ("{name: v, mountPath: /sys}", (9, 41), "mountPath", "not under `/proc`, `/sys`"),
        ("{name: v, mountPath: /dev/shm}", (9, 41), "mountPath", "`/dev`"),
        ("{name: v, mountPath: /run}", (9, 41), "mountPath", "`/run/casemate`"),
        ("{name: v, mountPath: /run/casemate/x}", (9, 41), "mountPath", "`/run/casemate`"),
    ];
    for (mount, at, field, wanted) in table {
        let text = minimal_with(&format!(
            "    volumeMounts: [{mount}]\n  volumes: [{{name: v, empty: {{size: 1Mi}}}}]"
        ));
        assert_refused(&text, at, &format!("{CONTAINER}.volumeMounts[0].{field}"), &[wanted]);
    }
    let text = minimal_with("    volumeMounts: [{name: v, mountPath: /v}]");
    let path = format!("{CONTAINER}.volumeMounts[0].name");
    assert_refused(&text, (9, 27), &path, &["`spec.volumes`, which has none"]);
}

#[test]
fn volumes() {
    let table = [
        ("{name: v}", (9, 13), "", "neither `empty` nor `persistent`"),
        ("{name: v, empty: {size: 1}, persistent: {size: 1}}", (9, 13), "", "both `empty` and"),
        ("{name: V, empty: {size: 1}}", (9, 20), ".name", "lower-case"),
        ("{name: v, persistent: {size: 0}}", (9, 42), ".persistent.size", "at least 1Mi"),
        ("{name: v, hostPath: {path: /}}", (9, 23), ".hostPath", "`empty`, `persistent`"),
    ];
    for (volume, at, field, wanted) in table {
        let text = minimal_with(&format!("  volumes: [{volume}]"));
        assert_refused(&text, at, &format!("spec.volumes[0]{field}"), &[wanted]);
    }
}

#[test]
fn probes() {
    let table = [
        ("{periodSeconds: 1}", (9, 20), "", "0 actions (allowed: exactly one of `httpGet`"),
        ("{tcpSocket: {port: 1}, exec: {command: [a]}}", (9, 20), "", "2 actions"),
        ("{tcpSocket: {port: 0}}", (9, 39), ".tcpSocket.port", "from 1 to 65535"),
        ("{httpGet: {port: 1, path: x}}", (9, 46), ".httpGet.path", "a path from `/` on"),
        ("{httpGet: {port: web}}", (9, 37), ".httpGet.port", "`web`"),
        ("{exec: {command: []}}", (9, 37), ".exec.command", "the program to run"),
        ("{tcpSocket: {port: 1}, periodSeconds: 0}", (9, 58), ".periodSeconds", "from 1 to 3600"),
        ("{tcpSocket: {port: 1}, timeoutSeconds: 0}", (9, 59), ".timeoutSeconds", "from 1"),
        ("{tcpSocket: {port: 1}, failureThreshold: 0}", (9, 61), ".failureThreshold", "from 1"),
        (
            "{tcpSocket: {port: 1}, successThreshold: 2}",
            (9, 61),
            ".successThreshold",
            "only readiness",
        ),
    ];
    for (probe, at, field, wanted) in table {
        let text = minimal_with(&format!("    livenessProbe: {probe}"));
        assert_refused(&text, at, &format!("{CONTAINER}.livenessProbe{field}"), &[wanted]);
    }
}

#[test]
fn zero_bytes_and_sizes() {
    let text = minimal_with(r#"    args: ["a\0b"]"#);
    assert_refused(&text, (9, 12), &format!("{CONTAINER}.args[0]"), &["without zero bytes"]);
    let text = minimal_with(r#"    env: [{name: A, value: "\0"}]"#);
    assert_refused(&text, (9, 28), &format!("{CONTAINER}.env[0].value"), &["without zero bytes"]);
    let text = minimal_with(r#"    env: [{name: "A=B", value: x}]"#);
    assert_refused(
        &text,
        (9, 18),
        &format!("{CONTAINER}.env[0].name"),
        &["letters, digits and `_`"],
    );
    let text = minimal_with(&format!("    args: [{}]", "x".repeat(100_000)));
    assert_refused(&text, (6, 5), CONTAINER, &["100001 bytes together", "at most 98304 bytes"]);
    let text = minimal_with(&format!("    args: [{}]", "x,".repeat(300)));
    assert_refused(&text, (9, 11), &format!("{CONTAINER}.args"), &["300 items", "at most 256"]);
}

#[test]
fn resources_that_can_not_be() {
    let text = MINIMAL.replace("storage: 1Mi", "storage: 0");
    let path = format!("{CONTAINER}.resources.storage");
    assert_refused(&text, (8, 48), &path, &["`0`", "readOnlyRootFilesystem"]);
    let text = MINIMAL.replace("storage: 1Mi", "storage: 4294967295Mi");
    let text = format!("{text}  volumes: [{{name: v, empty: {{size: 1Mi}}}}]\n");
    assert_refused(&text, (5, 3), "spec", &["more than can be counted", "4096Ti"]);
    assert_eq!(Manifest::parse(MINIMAL).unwrap().checked_pod_resources().unwrap().storage_mib, 1);
}

#[test]
fn counts() {
    let text = MINIMAL.split("  containers:").next().unwrap().to_owned() + "  containers: []\n";
    assert_refused(&text, (5, 15), "spec.containers", &["no container", "1 to 16"]);
    let container = |n| {
        format!("  - {{name: c{n}, image: a, resources: {{cpu: 1, memory: 4Mi, storage: 1}}}}\n")
    };
    let text = MINIMAL.split("  - ").next().unwrap().to_owned()
        + &(0..17).map(container).collect::<String>();
    assert_refused(&text, (6, 5), "spec.containers", &["17 items", "at most 16"]);
    let text = MINIMAL.replace("spec:\n", "spec:\n  terminationGracePeriodSeconds: 301\n");
    assert_refused(&text, (5, 34), "spec.terminationGracePeriodSeconds", &["from 0 to 300"]);
}

#[test]
fn labels() {
    let text = MINIMAL.replace("{name: web}", "{name: web, labels: {\"a.b/c d\": x}}");
    assert_refused(&text, (3, 43), "metadata.labels[\"a.b/c d\"]", &["`a.b/c d`", "`domain/name`"]);
}

#[test]
fn security_context() {
    let text = minimal_with("    securityContext: {runAsUser: 4294967295}");
    let path = format!("{CONTAINER}.securityContext.runAsUser");
    assert_refused(&text, (9, 34), &path, &["from 0 to 2147483647"]);
    let text = minimal_with("    securityContext: {privileged: true}");
    let path = format!("{CONTAINER}.securityContext.privileged");
    assert_refused(&text, (9, 23), &path, &["unknown field `privileged`"]);
}
