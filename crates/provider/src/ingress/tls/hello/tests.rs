use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{DnsName, IpAddr, Ipv4Addr, ServerName},
};
use tokio::io::AsyncWriteExt as _;

use super::*;

/// What a client sends first, with this many protocol names in it.
fn hello_of(name: ServerName<'static>, protocols: usize) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![vec![b'x'; 250]; protocols];
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn dns(name: &str) -> ServerName<'static> {
    ServerName::DnsName(DnsName::try_from(name.to_owned()).unwrap())
}

async fn of(bytes: &[u8]) -> Result<Hello, HelloError> {
    read(&mut io::Cursor::new(bytes.to_vec())).await
}

#[tokio::test]
async fn the_name_is_found_and_every_byte_kept() {
    let bytes = hello_of(dns("App.Example.ORG"), 0);
    let hello = of(&bytes).await.unwrap();
    assert_eq!(hello.name.as_deref(), Some("app.example.org"));
    assert_eq!(hello.bytes, bytes);
    // What comes with it, such as early data, is the pod's.
    let more = [bytes.clone(), vec![23, 3, 3, 0, 2, 1, 1]].concat();
    assert_eq!(of(&more).await.unwrap().bytes, more);
    let nameless = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([192, 0, 2, 1])));
    assert_eq!(of(&hello_of(nameless, 0)).await.unwrap().name, None);
}

#[tokio::test]
async fn a_hello_may_come_in_pieces_and_be_long() {
    // 8 kB: more than a packet, and as long as with several post-quantum keys.
    let bytes = hello_of(dns("app.example.org"), 32);
    assert!(bytes.len() > 8_000);
    let (mut client, mut stream) = tokio::io::duplex(1);
    let sent = bytes.clone();
    let sending = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client
    });
    let hello = read(&mut stream).await.unwrap();
    assert_eq!(hello.name.as_deref(), Some("app.example.org"));
    assert_eq!(hello.bytes, bytes);
    drop(sending.await.unwrap());

    // The same in records of a byte each.
    let body = hello_of(dns("app.example.org"), 0).split_off(5);
    let records: Vec<u8> = body.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    let hello = of(&records).await.unwrap();
    assert_eq!(hello.name.as_deref(), Some("app.example.org"));
    assert_eq!(hello.bytes, records);
}

#[tokio::test]
async fn what_has_no_end_is_given_up() {
    let too_long = hello_of(dns("app.example.org"), 70);
    assert!(too_long.len() > HELLO_BYTES_MAX);
    assert!(matches!(of(&too_long).await, Err(HelloError::TooLong | HelloError::Malformed(_))));
    // A message that says it is 65535 bytes, in records of a byte each.
    let endless: Vec<u8> = [1, 0, 0xff, 0xff]
        .into_iter()
        .chain(std::iter::repeat_n(0, 100_000))
        .flat_map(|byte| [22, 3, 1, 0, 1, byte])
        .collect();
    assert!(matches!(of(&endless).await, Err(HelloError::TooLong | HelloError::Malformed(_))));
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    let refused = async |bytes: &[u8]| match of(bytes).await {
        Err(HelloError::Malformed(alert)) => alert,
        Err(other) => panic!("{other:?}"),
        Ok(hello) => panic!("{:?}", hello.name),
    };
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        &b"SSH-2.0-OpenSSH_10.0\r\n"[..],
        &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        &[22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3],
        &[23, 3, 3, 0, 1, 1],
        &[0xff; 100],
    ] {
        // Where there is one it is a fatal alert, in one record.
        let alert = refused(garbage).await;
        assert!(alert.is_empty() || (alert[0] == 21 && alert[3..6] == [0, 2, 2]), "{alert:?}");
    }
    assert!(matches!(of(&[]).await, Err(HelloError::Gone)));
    let cut = hello_of(dns("app.example.org"), 0);
    assert!(matches!(of(&cut[..cut.len() - 1]).await, Err(HelloError::Gone)));
}

/// Nothing that a stranger sends makes it panic or read on without end.
#[tokio::test]
async fn damaged_hellos_do_no_harm() {
    let bytes = hello_of(dns("app.example.org"), 1);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let _ = of(&damaged).await;
        }
    }
}
