//! Registries that misbehave, as a script on loopback.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{Digest, Error, Limits, Reference, testing::Fixture};

/// Answers each request with what `script` makes of its head.
async fn serve(script: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = std::sync::Arc::new(script);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let script = script.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = stream.write_all(&script(&String::from_utf8_lossy(&head))).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn reference(port: u16) -> Reference {
    format!("127.0.0.1:{port}/a:b").parse().unwrap()
}

async fn pull_from(script: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Error {
    let f = Fixture::new();
    let port = serve(script).await;
    pull(&f.store, &reference(port), &RegistryOptions::default(), &f.limits).await.unwrap_err()
}

#[test]
fn plain_http_is_for_loopback_and_listed_hosts_alone() {
    let options = RegistryOptions {
        insecure_hosts: vec!["lab.example".to_owned(), "other.example:5000".to_owned()],
        ..RegistryOptions::default()
    };
    for plain in [
        "localhost",
        "localhost:5000",
        "127.0.0.1:5000",
        "127.9.9.9",
        "[::1]:5000",
        "[::1]",
        "lab.example",
        "LAB.example:80",
        "other.example:5000",
    ] {
        assert!(options.is_plain(plain), "{plain}");
    }
    for secure in [
        "ghcr.io",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "xlab.example",
        "other.example",
        "other.example:5001",
        "10.0.0.1:5000",
        "[::2]:5000",
    ] {
        assert!(!options.is_plain(secure), "{secure}");
    }
}

/// Certificates of the system are found, and no second crypto provider gets in the way.
#[test]
fn a_client_for_https_can_be_made() {
    for name in ["ghcr.io/a/b:c", "nginx"] {
        let reference: Reference = name.parse().unwrap();
        let options = RegistryOptions::default();
        let connection = http::Connection::new(&reference, &options, http::Scope::Pull).unwrap();
        assert_eq!(connection.url("x").unwrap().scheme(), "https");
    }
}

#[test]
fn credentials_are_never_shown() {
    let auth = RegistryAuth::Basic { username: "u".to_owned(), password: "secret".to_owned() };
    let options = RegistryOptions { auth, ..RegistryOptions::default() };
    assert!(!format!("{options:?}").contains("secret"));
}

#[tokio::test]
async fn a_manifest_of_ten_gigabytes_is_not_read() {
    let claims = |_: &str| b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n{".to_vec();
    let err = pull_from(claims).await;
    assert!(matches!(err, Error::LimitExceeded { found: 10_000_000_000, .. }), "{err}");
    // Without a length, reading stops at the limit.
    let endless = |_: &str| {
        let mut answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        answer.resize(8 << 20, b'{');
        answer
    };
    let err = pull_from(endless).await;
    assert!(matches!(err, Error::LimitExceeded { .. }), "{err}");
}

fn manifest(layer_size: u64) -> Vec<u8> {
    let descriptor = |size| {
        serde_json::json!({
            "mediaType": crate::spec::OCI_LAYER, "digest": Digest::of(b"layer"), "size": size,
        })
    };
    serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "config": descriptor(5), "layers": [descriptor(layer_size)],
    }))
    .unwrap()
}

#[tokio::test]
async fn blobs_of_another_size_are_refused() {
    // Declared ten gigabytes: the blob is never asked for.
    let err = pull_from(|head| {
        assert!(head.contains("/manifests/"), "{head}");
        answer("200 OK", "", &manifest(10_000_000_000))
    })
    .await;
    assert!(matches!(err, Error::LimitExceeded { .. }), "{err}");
    // Sent ten gigabytes where five bytes were declared.
    let err = pull_from(|head| match head.contains("/manifests/") {
        true => answer("200 OK", "", &manifest(5)),
        false => b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\nlayer".to_vec(),
    })
    .await;
    assert!(matches!(err, Error::SizeMismatch { expected: 5, .. }), "{err}");
    // More than declared, without a length.
    let err = pull_from(|head| match head.contains("/manifests/") {
        true => answer("200 OK", "", &manifest(5)),
        false => b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nlayer and more".to_vec(),
    })
    .await;
    assert!(matches!(err, Error::SizeMismatch { expected: 5, .. }), "{err}");
}

#[tokio::test]
async fn a_cut_transfer_is_tried_again_and_then_given_up() {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = count.clone();
    let err = pull_from(move |head| {
        if head.contains("/manifests/") {
            let mut value: serde_json::Value = serde_json::from_slice(&manifest(5)).unwrap();
            value["layers"] = serde_json::json!([]);
            return answer("200 OK", "", &serde_json::to_vec(&value).unwrap());
        }
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nlay".to_vec()
    })
    .await;
    assert!(matches!(err, Error::Unreachable { .. }), "{err}");
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_header_that_lies_about_the_manifest_is_noticed() {
    let header = format!("docker-content-digest: {}\r\n", Digest::of(b"other"));
    let err = pull_from(move |_| answer("200 OK", &header, &manifest(5))).await;
    let Error::DigestMismatch { expected, actual, .. } = err else { panic!("{err}") };
    assert_eq!((expected, actual), (Digest::of(b"other"), Digest::of(&manifest(5))));
    // Pinned: the registry's header counts for nothing.
    let header = format!("docker-content-digest: {}\r\n", Digest::of(b"pinned"));
    let port = serve(move |_| answer("200 OK", &header, &manifest(5))).await;
    let f = Fixture::new();
    let pinned = reference(port).pinned(Digest::of(b"pinned"));
    let options = RegistryOptions::default();
    let err = pull(&f.store, &pinned, &options, &Limits::default()).await.unwrap_err();
    assert!(matches!(err, Error::DigestMismatch { .. }), "{err}");
}

#[tokio::test]
async fn nothing_sends_us_or_our_password_to_plain_http_elsewhere() {
    let redirect =
        |_: &str| answer("307 Temporary Redirect", "location: http://plain.example/v2/\r\n", b"");
    let err = pull_from(redirect).await;
    let cause = std::error::Error::source(&err).map(|err| format!("{err:?}")).unwrap_or_default();
    assert!(cause.contains("plain HTTP"), "{err}: {cause}");

    let realm = "www-authenticate: Bearer realm=\"http://plain.example/token\"\r\n";
    let port = serve(move |_| answer("401 Unauthorized", realm, b"")).await;
    let f = Fixture::new();
    let options = RegistryOptions {
        auth: RegistryAuth::Basic { username: "u".to_owned(), password: "secret".to_owned() },
        ..RegistryOptions::default()
    };
    let err = pull(&f.store, &reference(port), &options, &f.limits).await.unwrap_err();
    assert!(err.to_string().contains("plain HTTP"), "{err}");
    assert!(!err.to_string().contains("secret"));
}

#[tokio::test]
async fn tokens_and_passwords_are_sent_when_asked_for() {
    // A token server and a registry in one; the script plays both.
    let port = serve(|head| {
        let line = head.lines().next().unwrap_or_default();
        let header = |name: &str| {
            head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix(name).map(str::to_owned))
        };
        let host = header("host: ").unwrap_or_default();
        if line.contains("/token?") {
            // u:secret
            assert_eq!(header("authorization: ").as_deref(), Some("basic dtpzzwnyzxq="));
            assert!(line.contains("service=s&scope=repository%3Aa%3Apull"), "{line}");
            return answer("200 OK", "", br#"{"token":"abc"}"#);
        }
        match header("authorization: ").as_deref() {
            Some("bearer abc") => answer("200 OK", "", &manifest(5)),
            _ => {
                let challenge = format!(
                    "www-authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n"
                );
                answer("401 Unauthorized", &challenge, b"")
            }
        }
    })
    .await;
    let options = RegistryOptions {
        auth: RegistryAuth::Basic { username: "u".to_owned(), password: "secret".to_owned() },
        ..RegistryOptions::default()
    };
    let digest = resolve(&reference(port), &options).await.unwrap();
    assert_eq!(digest, Digest::of(&manifest(5)));

    let port = serve(|_| {
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"who are\u001b you?"}]}"#;
        answer("401 Unauthorized", "www-authenticate: Basic\r\n", body)
    })
    .await;
    let err = resolve(&reference(port), &options).await.unwrap_err();
    let text = err.to_string();
    assert!(
        matches!(err, Error::Unauthorized { .. }) && text.contains("who are\u{fffd} you?"),
        "{text}"
    );
}
