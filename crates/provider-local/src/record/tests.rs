use casemate_primitives::LeaseId;

use super::*;

fn record(container: &str) -> PodRecord {
    let text = format!(
        r#"{{"apiVersion":"casemate.io/v1","kind":"Service","metadata":{{"name":"x"}},
        "spec":{{"containers":[{container}]}}}}"#
    );
    PodRecord {
        id: PodId { lease: LeaseId(3), replica: 1, version: 2 },
        genesis_hash: [8; 32],
        manifest: Arc::new(Manifest::from_json(text.as_bytes()).unwrap()),
        record_interval: Duration::from_secs(5),
        run: None,
        address: Ipv4Addr::new(10, 1, 2, 3),
        tee: None,
    }
}

const RESOURCES: &str = r#""resources":{"cpu":"1","memory":"64Mi","storage":"10Mi"}"#;

fn with(fields: &str) -> PodRecord {
    record(&format!(r#"{{"name":"web","image":"registry.example/web",{RESOURCES}{fields}}}"#))
}

fn image() -> ImageConfig {
    let mut image = ImageConfig::default();
    image.entrypoint = vec!["/entry".into()];
    image.cmd = vec!["cmd".into()];
    image.env = vec!["A=1".into(), "PATH=/x".into(), "broken".into(), "=y".into()];
    image.working_dir = "srv".into();
    image
}

fn agent(record: &PodRecord) -> Config {
    let root = tempfile::tempdir().unwrap();
    let container = &record.manifest.spec.containers[0];
    record.agent_config(container, &image(), root.path(), 1000, None).unwrap()
}

#[test]
fn it_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pod.json");
    let tee =
        tee::Ports { attestation: 8443, app_tls: Some(tee::AppTls { port: 8444, forward: 80 }) };
    let record = PodRecord { tee: Some(tee), ..with("") };
    assert!(PodRecord::read(record.id, &path).unwrap().is_none());
    record.write(&path).unwrap();
    let read = PodRecord::read(record.id, &path).unwrap().unwrap();
    assert_eq!(read.manifest, record.manifest);
    assert_eq!(read.genesis_hash, record.genesis_hash);
    assert_eq!(read.tee, record.tee);
    assert_eq!((read.address, read.record_interval), (record.address, record.record_interval));
    std::fs::write(&path, "{").unwrap();
    assert!(PodRecord::read(record.id, &path).is_err());
}

#[test]
fn a_container_is_what_follows_from_its_manifest_and_image() {
    let config = agent(&with(r#","args":["a"],"env":[{"name":"B","value":"2"}]"#));
    assert_eq!(config.app.command, ["/entry", "a"]);
    for wanted in ["A=1", "B=2", "HOSTNAME=l3-r1-v2"] {
        assert!(config.app.env.iter().any(|e| e == wanted), "{wanted} in {:?}", config.app.env);
    }
    assert_eq!(config.secrets, None);
}

#[test]
fn the_first_agent_signs_for_the_whole_pod() {
    let one = format!(r#"{{"name":"one","image":"registry.example/a",{RESOURCES}}}"#);
    let two = format!(r#"{{"name":"two","image":"registry.example/a",{RESOURCES}}}"#);
    let record = record(&format!("{one},{two}"));
    let root = tempfile::tempdir().unwrap();
    let configs: Vec<Config> = record
        .manifest
        .spec
        .containers
        .iter()
        .map(|c| record.agent_config(c, &image(), root.path(), 1000, None).unwrap())
        .collect();
    let signer = configs[0].signer.as_ref().unwrap();
    assert_eq!((signer.quota.cpu_millicores, signer.quota.memory_mib), (2000, 128));
    assert_eq!((signer.lease, signer.replica), (LeaseId(3), 1));
    assert!(configs[1].signer.is_none());
}

#[test]
fn tls_ends_in_the_signer_where_there_is_evidence() {
    let app_tls = Some(tee::AppTls { port: 8444, forward: 80 });
    let tee = Some(tee::Ports { attestation: 8443, app_tls });
    let record = PodRecord { tee, ..with("") };
    let root = tempfile::tempdir().unwrap();
    let container = &record.manifest.spec.containers[0];
    let config = record.agent_config(container, &image(), root.path(), 1000, None).unwrap();
    assert_eq!(config.tls, None, "the provider has no TEE any more");
    let attestation = AttestationConfig {
        genesis_hash: record.genesis_hash,
        lease: record.id.lease,
        replica: record.id.replica,
        manifest_hash: [1; 32],
        port: 8443,
        software_tee: None,
    };
    let config =
        record.agent_config(container, &image(), root.path(), 1000, Some(attestation)).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!((tls.port, tls.forward, tls.http), (8444, 80, true));
}

#[test]
fn volumes_over_the_kernels_and_the_agents_files_are_refused() {
    for (path, ok) in [
        ("/data", true),
        ("/runner", true),
        ("/run/casemate", false),
        ("/run/casemate/agent", false),
        ("/proc/1", false),
        ("/sys", false),
        ("/dev/shm", false),
    ] {
        let fields = format!(r#","volumeMounts":[{{"name":"v","mountPath":"{path}"}}]"#);
        let text = format!(
            r#"{{"apiVersion":"casemate.io/v1","kind":"Service","metadata":{{"name":"x"}},
            "spec":{{"containers":[{{"name":"web","image":"registry.example/web",{RESOURCES}{fields}}}],
            "volumes":[{{"name":"v","empty":{{"size":"1Mi"}}}}]}}}}"#
        );
        // The manifest's own check may refuse it before.
        let Ok(manifest) = Manifest::from_json(text.as_bytes()) else {
            assert!(!ok, "{path}");
            continue;
        };
        let record = PodRecord { manifest: Arc::new(manifest), ..with("") };
        assert_eq!(record.check().is_ok(), ok, "{path}");
    }
}

#[test]
fn a_pod_that_asks_for_secrets_is_started_with_a_tee_or_not_at_all() {
    let key = "07".repeat(32);
    let asks = format!(r#"{RESOURCES},"secrets":[{{"name":"a"}}]"#);
    let of = |image: &str, spec: &str| {
        let text = format!(
            r#"{{"apiVersion":"casemate.io/v1","kind":"Service","metadata":{{"name":"x"}},
            "spec":{{"containers":[{{"name":"web","image":"{image}",{asks}}}]{spec}}}}}"#
        );
        let manifest = Manifest::from_json(text.as_bytes()).unwrap();
        PodRecord { manifest: Arc::new(manifest), ..with("") }
    };
    let (pinned, by) = (
        format!("registry.example/web@sha256:{}", "ab".repeat(32)),
        format!(r#","releasedBy":["{key}"]"#),
    );
    let record = of(&pinned, &by);
    record.check().unwrap();
    let root = tempfile::tempdir().unwrap();
    let container = &record.manifest.spec.containers[0];
    let config =
        |attestation| record.agent_config(container, &image(), root.path(), 1000, attestation);
    let err = config(None).unwrap_err().to_string();
    assert!(err.contains("without a TEE"), "{err}");
    let attestation = AttestationConfig {
        genesis_hash: [8; 32],
        lease: LeaseId(3),
        replica: 1,
        manifest_hash: [0; 32],
        port: 8443,
        software_tee: None,
    };
    let secrets = config(Some(attestation)).unwrap().secrets.unwrap();
    assert_eq!((secrets.items[0].name.as_str(), secrets.senders), ("a", vec![[7; 32]]));
    // What the command line leaves out by mistake is found before anything is fetched.
    let err = of("registry.example/web:1", &by).check().unwrap_err().to_string();
    assert!(err.contains("not pinned"), "{err}");
    let err = of(&pinned, "").check().unwrap_err().to_string();
    assert!(err.contains("releasedBy"), "{err}");
}
