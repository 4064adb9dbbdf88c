use casemate_primitives::{LeaseId, Resources, RunId};
use serde_json::{Value, json};

use super::*;
use crate::config::{
    LogLimits, Probe, ProbeAction, RestartPolicy, RunLimits, SecretItem, SignerConfig, TaskConfig,
    TlsConfig, User,
};

const SENDER: [u8; 32] = [7; 32];

/// A pod that is started as its manifest says.
struct Pod {
    config: Config,
    given: Given,
    users: Users,
}

impl Pod {
    fn check(&self) -> Result<(), Refusal> {
        self.config.check().unwrap();
        check(&self.config, &self.given, &self.users)
    }

    /// What is refused after a change of what the host chooses.
    #[track_caller]
    fn refused(change: impl FnOnce(&mut Self)) -> Refusal {
        let mut pod = pod();
        change(&mut pod);
        check(&pod.config, &pod.given, &pod.users).unwrap_err()
    }
}

fn image_documents(program: &str) -> Documents {
    let bytes = |value: &Value| serde_json::to_vec(value).unwrap();
    let descriptor = |bytes: &[u8]| {
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": Digest::of(bytes), "size": bytes.len() })
    };
    let diff_ids: [Digest; 0] = [];
    let config = bytes(&json!({
        "config": {
            "Entrypoint": [program], "Cmd": ["--serve"], "Env": ["MODE=image", "LANG=C"],
            "User": "www", "WorkingDir": "/srv",
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }));
    let manifest =
        bytes(&json!({ "schemaVersion": 2, "config": descriptor(&config), "layers": [] }));
    let index = bytes(&json!({ "schemaVersion": 2, "manifests": [descriptor(&manifest)] }));
    Documents { index: Some(index), manifest, config }
}

fn manifest_json(image: &str) -> Value {
    json!({
        "apiVersion": "casemate.io/v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": {
            "releasedBy": [hex::encode(SENDER)],
            "containers": [{
                "name": "app", "image": image,
                "resources": { "cpu": "1", "memory": "64Mi", "storage": "10Mi" },
                "env": [
                    { "name": "PORT", "value": "8080" },
                    { "name": "DB", "valueFrom": { "secretRef": { "name": "db" } } },
                ],
                "secrets": [{ "name": "key", "file": "key.pem" }],
                "ports": [
                    { "containerPort": 9000 },
                    { "containerPort": 8080, "protocol": "HTTP", "host": "a.b" },
                    { "containerPort": 8081, "protocol": "HTTP", "host": "admin.b" },
                ],
                "livenessProbe": { "exec": { "command": ["/bin/check"] } },
            }],
        },
    })
}

fn parsed(value: &Value) -> Manifest {
    Manifest::from_json(value.to_string().as_bytes()).unwrap()
}

/// What an honest host makes of a manifest.
fn pod_of(manifest: &Manifest, documents: Documents) -> Pod {
    let container = &manifest.spec.containers[0];
    let passwd = "root:x:0:0::/root:/bin/sh\nwww:x:33:34::/home/www:/bin/sh\n".to_owned();
    let users = Users { passwd, group: "web:x:40:www\n".into() };
    let pinned = Digest::of(documents.index.as_ref().unwrap());
    let image = documents.check(&pinned).unwrap();
    let terms = derive::terms(manifest, container);
    let canonical = manifest.to_canonical_json();
    let config = Config {
        container: "app".into(),
        signer: terms.quota.map(|quota| SignerConfig {
            genesis_hash: [1; 32],
            lease: LeaseId(5),
            replica: 2,
            quota,
            record_interval_ms: 5000,
            previous: None,
        }),
        app: derive::app(container, &image, &users, "l5-r2-v3").unwrap(),
        restart: terms.restart,
        task: terms.run.map(|limits| TaskConfig { run: RunId(1), scheduled_at: 1000, limits }),
        probes: terms.probes,
        grace_ms: terms.grace_ms,
        log: LogLimits::default(),
        attestation: Some(AttestationConfig {
            genesis_hash: [1; 32],
            lease: LeaseId(5),
            replica: 2,
            manifest_hash: blake2_256(&canonical),
            port: 8443,
            software_tee: None,
        }),
        secrets: terms.secrets,
        tls: Some(TlsConfig {
            port: 8444,
            forward: 8080,
            http: true,
            connections_max: 4,
            idle_ms: 1000,
        }),
    };
    Pod { config, given: Given { manifest: canonical, image: Some(documents) }, users }
}

fn pod() -> Pod {
    let documents = image_documents("/app");
    let digest = Digest::of(documents.index.as_ref().unwrap());
    pod_of(&parsed(&manifest_json(&format!("registry.example/app@{digest}"))), documents)
}

#[test]
fn what_follows_from_the_manifest_is_taken() {
    let pod = pod();
    pod.check().unwrap();
    assert_eq!(pod.config.app.command, ["/app", "--serve"]);
    assert_eq!(pod.config.app.user, Some(User { uid: 33, gid: 34, groups: vec![40] }));
}

/// Each of these would let a host run other code, look at a secret, or be paid for something else.
#[test]
fn every_change_by_the_host_is_refused_for_what_it_changes() {
    type Change = fn(&mut Config);
    let changes: [(&str, Field, Change); 31] = [
        ("another program", Field::Command, |c| c.app.command[0] = "/bin/sh".into()),
        ("an argument more", Field::Command, |c| c.app.command.push("-v".into())),
        ("LD_PRELOAD", Field::Env, |c| c.app.env.push("LD_PRELOAD=/data/x.so".into())),
        ("a variable in front", Field::Env, |c| c.app.env.insert(0, "GLIBC_TUNABLES=x".into())),
        ("a variable's value", Field::Env, |c| {
            let port = c.app.env.iter_mut().find(|e| e.starts_with("PORT=")).unwrap();
            *port = "PORT=1".into();
        }),
        ("a variable left out", Field::Env, |c| c.app.env.retain(|e| !e.starts_with("LANG="))),
        ("a secret's variable", Field::Env, |c| c.app.env.push("DB=known".into())),
        ("another pod's name", Field::Env, |c| {
            let name = c.app.env.iter_mut().find(|e| e.starts_with("HOSTNAME=")).unwrap();
            *name = "HOSTNAME=l6-r2-v3".into();
        }),
        ("another directory", Field::WorkingDir, |c| c.app.working_dir = "/tmp".into()),
        ("root", Field::User, |c| c.app.user = Some(User { uid: 0, gid: 0, groups: vec![] })),
        ("the agent's user", Field::User, |c| c.app.user = None),
        ("a group more", Field::User, |c| c.app.user.as_mut().unwrap().groups.push(0)),
        ("no restarts", Field::Restart, |c| c.restart = RestartPolicy::Never),
        ("another exec probe", Field::Probes, |c| {
            let probe = c.probes.liveness.as_mut().unwrap();
            probe.action = ProbeAction::Exec { command: vec!["/bin/leak".into()] };
        }),
        ("a probe left out", Field::Probes, |c| c.probes.liveness = None),
        ("a probe more", Field::Probes, |c| {
            c.probes.startup = Some(Probe {
                action: ProbeAction::Exec { command: vec!["/bin/leak".into()] },
                initial_delay_ms: 0,
                period_ms: 1,
                timeout_ms: 1,
                success_threshold: 1,
                failure_threshold: 1,
            });
        }),
        ("another grace", Field::Grace, |c| c.grace_ms = 0),
        ("no records", Field::Signer, |c| c.signer = None),
        ("a larger quota", Field::Quota, |c| {
            c.signer.as_mut().unwrap().quota =
                Resources { cpu_millicores: 9000, ..c.signer.as_ref().unwrap().quota };
        }),
        ("the app's port", Field::Port, |c| c.attestation.as_mut().unwrap().port = 9000),
        ("the app's port for TLS", Field::Port, |c| c.tls.as_mut().unwrap().port = 8080),
        ("TLS to another port", Field::TlsForward, |c| c.tls.as_mut().unwrap().forward = 9000),
        ("TLS to the administrator's port", Field::TlsForward, |c| {
            c.tls.as_mut().unwrap().forward = 8081;
        }),
        ("no secrets", Field::Secrets, |c| c.secrets = None),
        ("no waiting", Field::Secrets, |c| c.secrets.as_mut().unwrap().wait = false),
        ("secrets on a volume", Field::Secrets, |c| {
            c.secrets.as_mut().unwrap().dir = Some("/data".into());
        }),
        ("another socket", Field::Secrets, |c| {
            c.secrets.as_mut().unwrap().socket = Some("/data/s".into());
        }),
        ("a secret left out", Field::SecretItems, |c| {
            c.secrets.as_mut().unwrap().items.remove(0);
        }),
        ("a secret as LD_PRELOAD", Field::SecretItems, |c| {
            c.secrets.as_mut().unwrap().items[0].env = Some("LD_PRELOAD".into());
        }),
        ("a secret more", Field::SecretItems, |c| {
            let item = SecretItem { name: "x".into(), env: None, file: Some("x".into()) };
            c.secrets.as_mut().unwrap().items.push(item);
        }),
        ("another sender", Field::SecretSenders, |c| {
            c.secrets.as_mut().unwrap().senders.push([9; 32]);
        }),
    ];
    for (what, field, change) in changes {
        let refusal = Pod::refused(|pod| change(&mut pod.config));
        assert_eq!(refusal.field, field, "{what}: {refusal}");
    }
}

/// Which run it is, is the host's to say; how long it may take, how often it is tried and what it has to
/// leave is not.
#[test]
fn a_runs_limits_are_the_manifests() {
    let documents = image_documents("/app");
    let digest = Digest::of(documents.index.as_ref().unwrap());
    let mut value = manifest_json(&format!("registry.example/app@{digest}"));
    value["kind"] = json!("Task");
    value["spec"]["task"] = json!({
        "deadlineSeconds": 60, "runBudget": "1", "retries": 2, "artefacts": ["/out"],
    });
    let container = value["spec"]["containers"][0].as_object_mut().unwrap();
    container.remove("ports");
    container.remove("livenessProbe");
    let mut pod = pod_of(&parsed(&value), documents);
    pod.config.tls = None;
    pod.check().unwrap();
    pod.config.task.as_mut().unwrap().run = RunId(9);
    pod.check().unwrap();
    let changes: [fn(&mut RunLimits); 4] = [
        |limits| limits.deadline_ms += 1,
        |limits| limits.retries = 0,
        |limits| limits.backoff_ms = 0,
        |limits| limits.artefacts.clear(),
    ];
    for change in changes {
        let mut config = pod.config.clone();
        change(&mut config.task.as_mut().unwrap().limits);
        let refusal = check(&config, &pod.given, &pod.users).unwrap_err();
        assert_eq!(refusal.field, Field::Run, "{refusal}");
    }
    pod.config.task = None;
    assert_eq!(check(&pod.config, &pod.given, &pod.users).unwrap_err().field, Field::Run);
}

#[test]
fn a_variable_is_named_and_its_value_is_not() {
    let change = |pod: &mut Pod| pod.config.app.env.push("LD_PRELOAD=/canary.so".into());
    let text = Pod::refused(change).to_string();
    assert!(text.contains("LD_PRELOAD") && !text.contains("canary"), "{text}");
}

#[test]
fn the_manifest_is_the_one_that_evidence_covers() {
    // Same name, other content.
    let other = |pod: &mut Pod| {
        let mut value: Value = serde_json::from_slice(&pod.given.manifest).unwrap();
        value["spec"]["containers"][0]["command"] = json!(["/bin/sh"]);
        pod.given.manifest = parsed(&value).to_canonical_json();
        pod.config.app.command = vec!["/bin/sh".into()];
    };
    assert_eq!(Pod::refused(other).field, Field::ManifestHash);
    let container = Pod::refused(|pod| pod.config.container = "other".into());
    assert_eq!(container.field, Field::Container);
    let no_manifest = Pod::refused(|pod| {
        pod.given.manifest = b"{}".to_vec();
        pod.config.attestation.as_mut().unwrap().manifest_hash = blake2_256(b"{}");
    });
    assert_eq!(no_manifest.field, Field::Manifest);
}

#[test]
fn the_image_is_the_one_that_the_manifest_pins() {
    for change in [
        |pod: &mut Pod| pod.given.image = None,
        |pod: &mut Pod| pod.given.image = Some(image_documents("/evil")),
        |pod: &mut Pod| {
            pod.given.image.as_mut().unwrap().config = image_documents("/evil").config;
            pod.config.app.command[0] = "/evil".into();
        },
    ] {
        assert_eq!(Pod::refused(change).field, Field::Image);
    }
}

#[test]
fn a_user_is_who_the_image_says() {
    let change = |pod: &mut Pod| pod.users.passwd = "www:x:0:0::/home/www:/bin/sh\n".into();
    assert_eq!(Pod::refused(change).field, Field::User);
    let refusal = Pod::refused(|pod| pod.users = Users::default());
    assert_eq!(refusal.field, Field::User);
    assert!(refusal.reason.contains("www"), "{refusal}");
}

#[test]
fn secrets_need_a_pinned_image_and_somebody_who_releases_them() {
    let given = |value: &Value| {
        let manifest = parsed(value);
        let mut pod = pod();
        pod.given.manifest = manifest.to_canonical_json();
        pod.config.attestation.as_mut().unwrap().manifest_hash = blake2_256(&pod.given.manifest);
        pod.check().unwrap_err()
    };
    let refusal = given(&manifest_json("registry.example/app:1"));
    assert_eq!(refusal.field, Field::Manifest);
    assert!(refusal.reason.contains("not pinned"), "{refusal}");
    let digest = Digest::of(b"x");
    let mut value = manifest_json(&format!("registry.example/app@{digest}"));
    value["spec"].as_object_mut().unwrap().remove("releasedBy");
    let refusal = given(&value);
    assert!(refusal.reason.contains("`releasedBy` is missing"), "{refusal}");
}

/// A tag says nothing about the image: what the manifest itself says still holds, and no secret.
#[test]
fn of_an_image_that_is_not_pinned_the_manifests_own_words_hold() {
    let mut value = manifest_json("registry.example/app:1");
    let spec = value["spec"].as_object_mut().unwrap();
    spec.remove("releasedBy");
    let container = spec["containers"][0].as_object_mut().unwrap();
    container.remove("secrets");
    container["env"].as_array_mut().unwrap().remove(1);
    container.insert("command".into(), json!(["/app"]));
    container.insert("securityContext".into(), json!({ "runAsUser": 33 }));
    let plain = || pod_of(&parsed(&value), image_documents("/app"));
    let mut pod = plain();
    pod.given.image = None;
    pod.check().unwrap();
    type Change = fn(&mut Config);
    let secrets: Change = |c| {
        c.secrets = Some(SecretsConfig {
            wait: false,
            items: vec![],
            dir: None,
            socket: None,
            senders: vec![[9; 32]],
        });
    };
    let changes: [(Field, Change); 5] = [
        (Field::Command, |c| c.app.command = vec!["/bin/sh".into()]),
        (Field::Env, |c| c.app.env.push("PORT=1".into())),
        (Field::User, |c| c.app.user.as_mut().unwrap().uid = 0),
        (Field::Probes, |c| c.probes.liveness = None),
        (Field::Secrets, secrets),
    ];
    for (field, change) in changes {
        let mut pod = plain();
        change(&mut pod.config);
        assert_eq!(pod.check().unwrap_err().field, field);
    }
}

#[test]
fn another_container_neither_signs_nor_takes_secrets() {
    let documents = image_documents("/app");
    let digest = Digest::of(documents.index.as_ref().unwrap());
    let image = format!("registry.example/app@{digest}");
    let mut value = manifest_json(&image);
    value["spec"]["containers"].as_array_mut().unwrap().push(json!({
        "name": "side", "image": image, "resources": { "cpu": "1", "memory": "4Mi", "storage": "1Mi" },
    }));
    let manifest = parsed(&value);
    let side = || {
        let mut pod = pod_of(&manifest, documents.clone());
        let container = &manifest.spec.containers[1];
        let configured = documents.check(&digest).unwrap();
        pod.config.container = "side".into();
        pod.config.app = derive::app(container, &configured, &pod.users, "l5-r2-v3").unwrap();
        pod.config.probes = Probes::default();
        pod.config.tls = None;
        pod
    };
    assert_eq!(side().check().unwrap_err().field, Field::Signer);
    let mut pod = side();
    pod.config.signer = None;
    assert_eq!(pod.check().unwrap_err().field, Field::Secrets);
    pod.config.secrets = None;
    pod.check().unwrap();
}

#[test]
fn documents_are_read_from_the_configurations_folder() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Given::read(dir.path()).unwrap_err().field, Field::Manifest);
    let given = pod().given;
    for (name, bytes) in given.files() {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    assert_eq!(Given::read(dir.path()).unwrap(), given);
    let long = vec![b' '; MANIFEST_BYTES_MAX + 1];
    std::fs::write(dir.path().join(MANIFEST_FILE), long).unwrap();
    let refusal = Given::read(dir.path()).unwrap_err();
    assert!(refusal.reason.contains("longer"), "{refusal}");
}

#[test]
fn an_agent_without_attestation_is_held_to_nothing() {
    let mut pod = pod();
    (pod.config.attestation, pod.config.secrets, pod.config.tls) = (None, None, None);
    pod.given.manifest.clear();
    pod.check().unwrap();
}
