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
        address: Ipv4Addr::new(10, 1, 2, 3),
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
    record.agent_config(container, &image(), root.path(), 1000).unwrap()
}

#[test]
fn it_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pod.json");
    let record = with("");
    assert!(PodRecord::read(record.id, &path).unwrap().is_none());
    record.write(&path).unwrap();
    let read = PodRecord::read(record.id, &path).unwrap().unwrap();
    assert_eq!(read.manifest, record.manifest);
    assert_eq!(read.genesis_hash, record.genesis_hash);
    assert_eq!((read.address, read.record_interval), (record.address, record.record_interval));
    std::fs::write(&path, "{").unwrap();
    assert!(PodRecord::read(record.id, &path).is_err());
}

#[test]
fn command_and_args_replace_the_images() {
    for (fields, command) in [
        ("", vec!["/entry", "cmd"]),
        (r#","args":["a"]"#, vec!["/entry", "a"]),
        (r#","command":["c"]"#, vec!["c"]),
        (r#","command":["c"],"args":["a"]"#, vec!["c", "a"]),
    ] {
        assert_eq!(agent(&with(fields)).app.command, command, "{fields}");
    }
}

#[test]
fn the_environment_is_the_images_with_the_manifests_over_it() {
    let config = agent(&with(r#","env":[{"name":"A","value":"2=3"},{"name":"B","value":""}]"#));
    let env = config.app.env;
    for wanted in ["A=2=3", "B=", "PATH=/x", "HOSTNAME=l3-r1-v2", "HOME=/"] {
        assert!(env.iter().any(|e| e == wanted), "{wanted} in {env:?}");
    }
    assert_eq!(env.len(), 5);
    assert_eq!(config.app.working_dir, "/srv");
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
        .map(|c| record.agent_config(c, &image(), root.path(), 1000).unwrap())
        .collect();
    let signer = configs[0].signer.as_ref().unwrap();
    assert_eq!((signer.quota.cpu_millicores, signer.quota.memory_mib), (2000, 128));
    assert_eq!((signer.lease, signer.replica), (LeaseId(3), 1));
    assert!(configs[1].signer.is_none());
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
