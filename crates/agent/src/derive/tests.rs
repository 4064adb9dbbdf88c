use casemate_manifest::Manifest;

use super::*;

const RESOURCES: &str = r#""resources":{"cpu":"1","memory":"64Mi","storage":"10Mi"}"#;

fn manifest(containers: &str, spec: &str) -> Manifest {
    let text = format!(
        r#"{{"apiVersion":"casemate.io/v1","kind":"Service","metadata":{{"name":"x"}},
        "spec":{{"containers":[{containers}]{spec}}}}}"#
    );
    Manifest::from_json(text.as_bytes()).unwrap()
}

fn with(fields: &str) -> Manifest {
    manifest(&format!(r#"{{"name":"web","image":"registry.example/web",{RESOURCES}{fields}}}"#), "")
}

fn image() -> ImageConfig {
    let mut image = ImageConfig::default();
    image.entrypoint = vec!["/entry".into()];
    image.cmd = vec!["cmd".into()];
    image.env = vec!["A=1".into(), "PATH=/x".into(), "broken".into(), "=y".into()];
    image.working_dir = "srv".into();
    image
}

fn app_of(fields: &str) -> AppConfig {
    let manifest = with(fields);
    app(&manifest.spec.containers[0], &image(), &Users::default(), "l3-r1-v2").unwrap()
}

#[test]
fn command_and_args_replace_the_images() {
    for (fields, command) in [
        ("", vec!["/entry", "cmd"]),
        (r#","args":["a"]"#, vec!["/entry", "a"]),
        (r#","command":["c"]"#, vec!["c"]),
        (r#","command":["c"],"args":["a"]"#, vec!["c", "a"]),
    ] {
        assert_eq!(app_of(fields).command, command, "{fields}");
    }
}

#[test]
fn the_environment_is_the_images_with_the_manifests_over_it() {
    let app = app_of(r#","env":[{"name":"A","value":"2=3"},{"name":"B","value":""}]"#);
    let env = app.env;
    for wanted in ["A=2=3", "B=", "PATH=/x", "HOSTNAME=l3-r1-v2", "HOME=/"] {
        assert!(env.iter().any(|e| e == wanted), "{wanted} in {env:?}");
    }
    assert_eq!(env.len(), 5);
    assert_eq!(app.working_dir, "/srv");
}

#[test]
fn a_variable_that_is_a_secret_is_left_to_the_agent() {
    let fields = r#","env":[{"name":"A","valueFrom":{"secretRef":{"name":"a"}}}],
        "secrets":[{"name":"k","file":"key"},{"name":"a","file":"a.txt"},{"name":"t"}]"#;
    let env = app_of(fields).env;
    assert!(!env.iter().any(|e| e.starts_with("A=")), "nor the image's own: {env:?}");
    let key = "07".repeat(32);
    let container =
        format!(r#"{{"name":"web","image":"registry.example/web",{RESOURCES}{fields}}}"#);
    let side = format!(r#"{{"name":"side","image":"registry.example/b",{RESOURCES}}}"#);
    let manifest = manifest(&format!("{container},{side}"), &format!(r#","releasedBy":["{key}"]"#));
    let secrets = terms(&manifest, &manifest.spec.containers[0]).secrets.unwrap();
    let item = |name: &str, env: Option<&str>, file: Option<&str>| SecretItem {
        name: name.into(),
        env: env.map(Into::into),
        file: file.map(Into::into),
    };
    let wanted =
        [item("a", Some("A"), Some("a.txt")), item("k", None, Some("key")), item("t", None, None)];
    assert_eq!(secrets.items, wanted);
    assert_eq!(secrets.senders, [[7; 32]]);
    assert!(secrets.wait);
    assert_eq!(secrets.dir.as_deref(), Some(std::path::Path::new("/run/secrets")));
    assert_eq!(secrets.socket.as_deref(), Some(std::path::Path::new("/run/secrets/.socket")));
    assert_eq!(terms(&manifest, &manifest.spec.containers[1]).secrets, None);
}

#[test]
fn names_that_manifests_take_are_names_of_secrets() {
    for name in ["a", "A.b_c-1", "-a", "_", &"n".repeat(128)] {
        with(&format!(r#","secrets":[{{"name":"{name}","file":"{name}"}}]"#));
        casemate_ra_tls::SecretName::new(name).unwrap();
    }
}

#[test]
fn the_first_agent_signs_for_the_whole_pod_and_ends_its_tls() {
    let one = format!(
        r#"{{"name":"one","image":"registry.example/a",{RESOURCES},
        "ports":[{{"containerPort":1}},{{"containerPort":80,"protocol":"HTTP","host":"a.b"}}]}}"#
    );
    let two = format!(
        r#"{{"name":"two","image":"registry.example/a",{RESOURCES},
        "ports":[{{"containerPort":81,"protocol":"HTTP","host":"c.d"}}]}}"#
    );
    let manifest = manifest(&format!("{one},{two}"), "");
    let first = terms(&manifest, &manifest.spec.containers[0]);
    let quota = first.quota.unwrap();
    assert_eq!((quota.cpu_millicores, quota.memory_mib), (2000, 128));
    assert_eq!(first.tls_forward, Some(80));
    let second = terms(&manifest, &manifest.spec.containers[1]);
    assert_eq!((second.quota, second.tls_forward), (None, None));
}

#[test]
fn a_volume_over_etc_hides_the_images_users_on_both_sides() {
    let users = Users { passwd: "www:x:33:34::/srv:/bin/sh\n".into(), group: String::new() };
    let mut image = image();
    image.user = "www".into();
    let plain = with("");
    let found = app(&plain.spec.containers[0], &image, &users, "h").unwrap();
    assert_eq!(found.user.map(|user| (user.uid, user.gid)), Some((33, 34)));
    let container = format!(
        r#"{{"name":"web","image":"registry.example/web",{RESOURCES},
        "volumeMounts":[{{"name":"v","mountPath":"/etc"}}]}}"#
    );
    let hidden = manifest(&container, r#","volumes":[{"name":"v","empty":{"size":"1Mi"}}]"#);
    let err = app(&hidden.spec.containers[0], &image, &users, "h").unwrap_err();
    assert!(matches!(&err, DeriveError::User { reason, .. } if reason.contains("www")), "{err}");
}

#[test]
fn no_program_is_an_error() {
    let manifest = with("");
    let none = ImageConfig::default();
    let err = app(&manifest.spec.containers[0], &none, &Users::default(), "h").unwrap_err();
    assert_eq!(err, DeriveError::NoProgram { container: "web".into() });
}
