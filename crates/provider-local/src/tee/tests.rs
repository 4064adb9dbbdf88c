use casemate_primitives::LeaseId;

use super::*;

fn manifest(ports: &str) -> Manifest {
    let yaml = format!(
        "apiVersion: casemate.io/v1
kind: Service
metadata: {{name: a}}
spec:
  containers:
    - name: app
      image: registry.example/app@sha256:{}
      resources: {{cpu: 100m, memory: 64Mi, storage: 16Mi}}
      ports: [{ports}]
",
        "0".repeat(64)
    );
    Manifest::parse(&yaml).unwrap()
}

#[test]
fn evidence_is_served_where_no_container_listens() {
    let port = |text: &str| ports(&manifest(text)).map(|ports| ports.attestation);
    assert_eq!(port(""), Some(8443));
    let taken = "{containerPort: 8443, protocol: TCP}, {containerPort: 8444, protocol: TCP}";
    assert_eq!(port(taken), Some(8445));
}

#[test]
fn a_guest_is_of_one_pod_of_one_data_directory() {
    let (ours, other) = (Instance::new("/a".into()), Instance::new("/b".into()));
    let id = PodId { lease: LeaseId(u64::MAX), replica: u16::MAX, version: u32::MAX };
    let name = ours.guest(id);
    assert!(name.len() <= 64, "the daemon takes no longer names: {name}");
    assert_eq!(pod_of(&ours, &name), Some(id));
    assert_eq!(pod_of(&other, &name), None);
    assert_eq!(pod_of(&ours, "lease-7-0"), None);
}

#[test]
fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock");
    let err = Control::new(&socket).list().unwrap_err();
    let text = failed(&socket, &err).to_string();
    assert!(text.starts_with("software TEE: cannot talk to"), "{text}");
    assert!(text.contains("casemate-software-tee serve"), "{text}");
}

#[test]
fn tls_for_the_app_goes_to_its_first_http_port() {
    let app_tls = |text: &str| ports(&manifest(text)).unwrap().app_tls;
    assert_eq!(app_tls(""), None);
    assert_eq!(app_tls("{containerPort: 80, protocol: TCP}"), None);
    let two = "{containerPort: 9, protocol: TCP}, {containerPort: 80, protocol: HTTP, host: a.x}, \
               {containerPort: 81, protocol: HTTP, host: b.x}";
    assert_eq!(app_tls(two), Some(AppTls { port: 8444, forward: 80 }));
    // An app that listens where the agent usually does.
    let usual = "{containerPort: 8443, protocol: HTTP, host: a.x}, {containerPort: 8445}";
    let Ports { attestation, app_tls } = ports(&manifest(usual)).unwrap();
    assert_eq!((attestation, app_tls), (8444, Some(AppTls { port: 8446, forward: 8443 })));
}
