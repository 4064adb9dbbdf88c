use crate::{Manifest, ManifestError, PodResources, Protocol, RestartPolicy};

mod bad_shape;
mod bad_values;
mod logs;
mod placement;
mod properties;
mod secrets;
mod task;

/// The least that is valid, with holes to put things in.
const MINIMAL: &str = "\
apiVersion: casemate.io/v1
kind: Service
metadata: {name: web}
spec:
  containers:
  - name: app
    image: app:1
    resources: {cpu: 1, memory: 64Mi, storage: 1Mi}
";

const FULL: &str = r#"
apiVersion: casemate.io/v1
kind: Service
metadata:
  name: web
  labels: {app.kubernetes.io/name: web, tier: front}
  annotations: {note: "any text"}
spec:
  replicas: 3
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 0
  containers:
  - name: nginx
    image: registry.example:5000/nginx:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    command: [nginx, -g, "daemon off;"]
    args: ["-q"]
    workingDir: /srv
    env:
    - {name: MODE, value: "0755"}
    ports:
    - {name: web, containerPort: 80, protocol: HTTP, hosts: [web.localhost, www.example.org]}
    - {containerPort: 81, protocol: HTTP, host: admin.localhost}
    resources: {cpu: 500m, memory: 128Mi, storage: 256Mi, gpu: 1}
    volumeMounts:
    - {name: cache, mountPath: /var/cache}
    - {name: data, mountPath: /data, readOnly: true}
    readinessProbe: {httpGet: {path: /healthz, port: 80}, periodSeconds: 2, successThreshold: 2}
    livenessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 5}
    startupProbe: {exec: {command: [/bin/check]}, failureThreshold: 30, timeoutSeconds: 3}
    securityContext: {runAsUser: 1000, runAsGroup: 1000, readOnlyRootFilesystem: true}
  - name: redis
    image: redis
    ports: [{containerPort: 6379, hostPort: 16379}, {containerPort: 6380}]
    resources: {cpu: 0.25, memory: 1G, storage: 1}
  volumes:
  - {name: cache, empty: {size: 64Mi}}
  - {name: data, persistent: {size: 1Gi}}
"#;

/// The only violation, as it is shown.
#[track_caller]
fn refused(yaml: &str) -> String {
    let error = Manifest::parse(yaml).unwrap_err();
    assert_eq!(error.violations().len(), 1, "{error}");
    assert!(error.to_string().starts_with("the manifest is refused: "), "{error}");
    error.violations()[0].to_string()
}

/// Asserts position, path, what was found and what is allowed of the only violation.
#[track_caller]
fn assert_refused(yaml: &str, (line, column): (u64, u64), path: &str, texts: &[&str]) {
    let shown = refused(yaml);
    let start = format!("line {line}, column {column}: {path}: ");
    assert!(shown.starts_with(&start), "wanted `{start}`\n   got `{shown}`");
    for text in texts {
        assert!(shown.contains(text), "wanted `{text}`\n   in `{shown}`");
    }
}

fn minimal_with(container_lines: &str) -> String {
    format!("{MINIMAL}{container_lines}\n")
}

#[test]
fn minimal_has_the_documented_defaults() {
    let manifest = Manifest::parse(MINIMAL).unwrap();
    assert_eq!(manifest.spec.replicas, 1);
    assert_eq!(manifest.spec.restart_policy, RestartPolicy::Always);
    assert_eq!(manifest.spec.termination_grace_period_seconds, 10);
    assert!(!manifest.is_pinned());
    assert_eq!(
        manifest.pod_resources(),
        PodResources { cpu_millicores: 1000, memory_mib: 64, storage_mib: 1, gpus: 0 }
    );
}

#[test]
fn full_example_is_read_as_it_is_written() {
    let manifest = Manifest::parse(FULL).unwrap();
    assert_eq!(manifest.spec.replicas, 3);
    assert_eq!(
        manifest.http_hosts().collect::<Vec<_>>(),
        ["web.localhost", "www.example.org", "admin.localhost"]
    );
    let tcp: Vec<_> = manifest.tcp_host_ports().collect();
    assert_eq!((tcp[0].container.as_str(), tcp[0].container_port), ("redis", 6379));
    assert_eq!((tcp[0].host_port, tcp[1].host_port), (Some(16379), None));
    // 1G is 954 MiB, one byte is 1 MiB.
    assert_eq!(
        manifest.pod_resources(),
        PodResources {
            cpu_millicores: 750,
            memory_mib: 128 + 954,
            storage_mib: 256 + 1 + 64 + 1024,
            gpus: 1
        }
    );
    let nginx = &manifest.spec.containers[0];
    assert_eq!(nginx.env[0].value.as_deref(), Some("0755"));
    assert_eq!(nginx.command, ["nginx", "-g", "daemon off;"]);
    assert_eq!(nginx.ports[0].protocol, Protocol::Http);
    assert_eq!(nginx.readiness_probe.as_ref().unwrap().period_seconds, 2);
    assert_eq!(nginx.liveness_probe.as_ref().unwrap().failure_threshold, 3);
}

#[test]
fn other_good_ones() {
    let anchors = "\
apiVersion: casemate.io/v1
kind: Service
metadata: {name: web}
spec:
  containers:
  - {name: a, image: app, resources: &small {cpu: 1, memory: 64Mi, storage: 1Mi}}
  - {name: b, image: app, resources: *small}
";
    let json = r#"{"apiVersion": "casemate.io/v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "app", "image": "app:1",
        "resources": {"cpu": 1, "memory": "64Mi", "storage": "1Mi"}}]}}"#;
    let read_only = MINIMAL.replace(
        "storage: 1Mi}",
        "storage: 0}\n    securityContext: {readOnlyRootFilesystem: true}",
    );
    let texts = [
        ("aliases", anchors.to_owned()),
        ("JSON is YAML", json.to_owned()),
        ("document start", format!("---\n{MINIMAL}")),
        ("comments", format!("# hello\n{MINIMAL}# bye\n")),
        ("CRLF", MINIMAL.replace('\n', "\r\n")),
        ("no disk", read_only),
        ("words that look like booleans", minimal_with("    args: [yes, no, on, off, 0755, 1_0]")),
        ("mount below a mount", {
            minimal_with(
                "    volumeMounts: [{name: v, mountPath: /v}, {name: v, mountPath: /v/w}]\n  \
                 volumes: [{name: v, empty: {size: 1Mi}}]",
            )
        }),
    ];
    for (what, text) in texts {
        Manifest::parse(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn same_meaning_gives_the_same_bytes() {
    let other = MINIMAL
        .replace("cpu: 1,", "cpu: 1000m,")
        .replace("memory: 64Mi", "memory: \"67108864\"")
        .replace("spec:\n", "spec:\n  replicas: 1\n  restartPolicy: Always\n");
    let bytes = Manifest::parse(MINIMAL).unwrap().to_canonical_json();
    assert_eq!(Manifest::parse(&other).unwrap().to_canonical_json(), bytes);
    // What is hashed on chain must never change by accident.
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        r#"{"apiVersion":"casemate.io/v1","kind":"Service","metadata":{"name":"web"},"spec":{"containers":[{"image":"app:1","name":"app","resources":{"cpu":"1","gpu":0,"memory":"64Mi","storage":"1Mi"}}],"replicas":1,"restartPolicy":"Always","terminationGracePeriodSeconds":10}}"#
    );
}

#[test]
fn canonical_json_is_read_back() {
    for text in [MINIMAL, FULL] {
        let manifest = Manifest::parse(text).unwrap();
        let bytes = manifest.to_canonical_json();
        let back = Manifest::from_json(&bytes).unwrap();
        assert_eq!(back, manifest);
        assert_eq!(back.to_canonical_json(), bytes);
    }
}

/// The example that the tutorial starts with.
#[test]
fn the_guest_books_manifest_is_valid() {
    let manifest =
        Manifest::parse(include_str!("../../../../examples/guestbook/casemate.yaml")).unwrap();
    assert_eq!(manifest.http_hosts().collect::<Vec<_>>(), ["guestbook.localhost"]);
    let text = include_str!("../../../../examples/guestbook/casemate-password.yaml");
    let mut manifest = Manifest::parse(text).unwrap();
    assert_eq!(manifest.secret_names().into_iter().collect::<Vec<_>>(), ["guestbook-password"]);
    // As the command line deploys it.
    manifest.pin_images(|image| image.pinned(&format!("sha256:{}", "0".repeat(64)))).unwrap();
    manifest.fill_released_by([1; 32]);
    manifest.validate_deployable().unwrap();
}

#[test]
fn images_are_pinned_once() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let mut manifest = Manifest::parse(FULL).unwrap();
    let mut asked = Vec::new();
    manifest
        .pin_images(|image| {
            asked.push(image.to_string());
            image.pinned(&digest)
        })
        .unwrap();
    assert_eq!(asked, ["redis"]);
    assert!(manifest.is_pinned());
    assert_eq!(manifest.spec.containers[1].image.as_str(), format!("redis@{digest}"));
    manifest.validate().unwrap();
}

#[test]
fn all_faults_are_told_at_once() {
    let text = "\
apiVersion: casemate.io/v1
kind: Service
metadata: {name: Web}
spec:
  replicas: 0
  containers:
  - name: app
    image: app:1
    ports:
    - containerPort: 80
      protocol: HTTP
      host: 10.0.0.1
    resources: {cpu: 0, memory: 1Mi, storage: 1Mi}
";
    let error: ManifestError = Manifest::parse(text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manifest is refused, 5 things are wrong:\n  \
         - line 3, column 18: metadata.name: `Web` (allowed: 1 to 63 lower-case letters, digits and `-`, first and last no `-`)\n  \
         - line 5, column 13: spec.replicas: `0` (allowed: a number from 1 to 64)\n  \
         - line 13, column 22: spec.containers[0].resources.cpu: `0` (allowed: at least 1m)\n  \
         - line 13, column 33: spec.containers[0].resources.memory: `1Mi` (allowed: at least 4Mi)\n  \
         - line 12, column 13: spec.containers[0].ports[0].host: `10.0.0.1` (allowed: a host name such as `web.localhost`: lower-case labels of letters, digits and `-`, joined by dots, at most 253 characters, no IP address, no port, no wildcard)"
    );
}

#[test]
fn thousands_of_faults_are_counted_not_listed() {
    let error =
        Manifest::parse(&minimal_with(&format!("    args: [{}]", r#""\0","#.repeat(3_000))));
    let error = error.unwrap_err();
    assert_eq!(error.violations().len(), 50);
    let shown = error.to_string();
    assert!(shown.contains("3001 things are wrong") && shown.ends_with("and 2951 more"), "{shown}");
}

/// The chain is not a dependency, so its source is read.
#[test]
fn most_replicas_are_what_the_chain_allows() {
    let chain = include_str!("../../../../chain/primitives/src/lib.rs");
    let line = format!("pub const REPLICAS_MAX: u16 = {};", crate::limits::REPLICAS_MAX);
    assert!(chain.contains(&line), "`{line}` is not in chain/primitives/src/lib.rs");
}

#[test]
fn validate_works_without_a_text() {
    let mut manifest = Manifest::parse(MINIMAL).unwrap();
    manifest.spec.replicas = 65;
    let error = manifest.validate().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manifest is refused: spec.replicas: `65` (allowed: a number from 1 to 64)"
    );
}
