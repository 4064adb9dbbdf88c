//! TLS for a pod's app, which ends in its agent.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use casemate_attestation::{
    Grade, TrustRoots,
    dcap::{Quote, RawCollateral},
    policy::Policy,
    sev_snp::{RawEndorsements, Report},
};
use casemate_primitives::blake2_256;
use casemate_provider_core::Backend;
use casemate_provider_local::LocalBackend;
use casemate_ra_tls::{
    Appraiser, CollateralSource, Expected, PolicyAppraiser, Verifier,
    client::{Options, Session},
    system_clock,
};
use casemate_software_tee::client::Control;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName, version::TLS13};
use serde_json::json;

use crate::{
    harness::{LocalHarness, PATIENCE, expect, pod, pod_id},
    tee::{Tee, attested, endpoint},
};

/// An app of HTTP's, on the pod's port 80.
const APP: &str = r#"exec perl -e '
    use Socket;
    socket(S, PF_INET, SOCK_STREAM, 6) or die "socket $!";
    bind(S, sockaddr_in(80, INADDR_ANY)) or die "bind $!";
    listen(S, 5) or die "listen $!";
    while (accept(C, S)) {
        sysread(C, $asked, 4096) or next;
        ($path) = $asked =~ m{^GET (\S+)};
        $said = "the app was asked for $path";
        $n = length $said;
        syswrite(C, "HTTP/1.1 200 OK\r\nContent-Length: $n\r\nConnection: close\r\n\r\n$said");
        close C;
    }
'"#;

#[derive(Debug)]
struct Tdx(RawCollateral);

impl CollateralSource for Tdx {
    fn dcap(&self, _: &Quote) -> Result<RawCollateral, String> {
        Ok(self.0.clone())
    }

    fn sev_snp(&self, _: &Report, _: Option<RawEndorsements>) -> Result<RawEndorsements, String> {
        Err("none".into())
    }
}

fn appraiser(tee: &Tee) -> Arc<dyn Appraiser> {
    let collateral = Control::new(tee.socket()).collateral().unwrap();
    let roots: TrustRoots = serde_json::from_value(collateral["roots"].clone()).unwrap();
    let tdx = serde_json::from_value(collateral["intel"]["tdx"].clone()).unwrap();
    let policy = Policy { grades: vec![Grade::Software], ..Policy::default() };
    Arc::new(PolicyAppraiser::new(policy, roots, Arc::new(Tdx(tdx)), None))
}

/// Asks over TLS whose certificate must carry the evidence of who is expected.
fn get(
    at: SocketAddr,
    appraiser: Arc<dyn Appraiser>,
    expected: Expected,
    path: &str,
) -> std::io::Result<String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Verifier::new(appraiser, expected, system_clock()))
        .with_no_client_auth();
    let name = ServerName::try_from("a.localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = StreamOwned::new(client, stream);
    write!(tls, "GET {path} HTTP/1.1\r\nHost: a.localhost\r\n\r\n")?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_of_http_gets_tls_that_ends_in_its_attested_agent() {
    let harness = LocalHarness::new().await;
    let tee = Tee::new();
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    let ports = json!([
        { "containerPort": 8444 },
        { "containerPort": 80, "protocol": "HTTP", "host": "a.localhost" },
    ]);
    let probe = json!({ "tcpSocket": { "port": 80 }, "periodSeconds": 1 });
    let id = pod_id(1);
    let pod = pod(id, APP, &json!({ "ports": ports, "readinessProbe": probe }), &json!({}));
    backend.apply(&pod).await.unwrap();
    let status = expect(&backend, id, attested).await;
    let endpoint = endpoint(&status).unwrap();
    // 8444 is the app's own.
    assert_eq!((endpoint.port, endpoint.app_tls_port), (8443, Some(8445)));
    let at = SocketAddr::new(status.address.unwrap(), 8445);
    let expected = Expected {
        genesis_hash: Some(pod.genesis_hash),
        lease: Some(id.lease),
        replica: Some(id.replica),
        manifest_hash: Some(blake2_256(&pod.manifest.to_canonical_json())),
        agent_key: status.agent_key,
    };
    let appraiser = appraiser(&tee);
    let (clones, wanted) = (Arc::clone(&appraiser), expected.clone());
    let asked = move || get(at, clones, wanted, "/path");
    let answer = tokio::task::spawn_blocking(asked).await.unwrap().unwrap();
    assert!(answer.ends_with("the app was asked for /path"), "{answer}");
    // On the same port visitors ask the agent who it is.
    let options = Options::new(expected);
    let visited = move || {
        let session = Session::connect(&at.to_string(), appraiser, options).unwrap();
        session.attest(Session::nonce().unwrap()).unwrap().peer().binding.tls_spki_sha256
    };
    let spki = tokio::task::spawn_blocking(visited).await.unwrap();
    assert_eq!(spki, endpoint.tls_spki_sha256);

    // A provider that is started again tells the same.
    drop(backend);
    let backend = LocalBackend::open(tee.config(&harness)).await.unwrap();
    let again = expect(&backend, id, attested).await;
    assert_eq!(again.attestation, status.attestation);
    backend.delete(id, Duration::from_secs(10)).await.unwrap();
    backend.purge().await.unwrap();
}
