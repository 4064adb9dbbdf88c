//! Connections on which both sides show evidence.

use std::{io, net::TcpListener, sync::Arc, thread};

use casemate_primitives::LeaseId;
use casemate_ra_tls::{
    Expected, Peer, PeerError, PodIdentity, Resolver, Verifier,
    client::{Options, Session},
    server::{Connection, mutual_tls_config},
};

use crate::fake::{Agent, FakeTee, PATIENCE, POD, verifier};

/// What a server that expects `expected` makes of a client with `identity`.
fn meet(
    expected: Expected,
    identity: Option<Arc<Resolver>>,
) -> (io::Result<Connection>, Option<Result<Peer, PeerError>>) {
    let server = Agent::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client_options = Options { identity, ..server.options() };
    let client = thread::spawn(move || {
        // TLS 1.3: the client is done before the server has judged it, and learns later.
        drop(Session::connect(&address, verifier(1), client_options));
    });
    let judge = Verifier::new(verifier(1), expected, server.clock.clock());
    let config = mutual_tls_config(&server.resolver, judge.clone()).unwrap();
    let connection = Connection::accept(listener.accept().unwrap().0, config, PATIENCE);
    client.join().unwrap();
    (connection, judge.take())
}

#[test]
fn a_client_with_evidence_is_known_to_the_server() {
    let pod = PodIdentity { lease: LeaseId(77), ..POD };
    let client = Agent::with(FakeTee::new(1), pod);
    let (connection, peer) = meet(Expected::default(), Some(client.resolver.clone()));
    connection.unwrap();
    let peer = peer.unwrap().unwrap();
    assert_eq!(peer.binding.lease, LeaseId(77));
    assert_eq!(peer.binding.hpke_key, client.issuer.keys().hpke_key());
}

#[test]
fn a_client_without_evidence_of_another_vendor_or_pod_is_refused() {
    let (connection, peer) = meet(Expected::default(), None);
    assert!(connection.is_err() && peer.is_none());
    let client = Agent::with(FakeTee::new(2), POD);
    let (connection, peer) = meet(Expected::default(), Some(client.resolver));
    assert!(connection.is_err());
    assert!(matches!(peer, Some(Err(PeerError::Refused(_)))));
    let client = Agent::start();
    let expected = Expected { lease: Some(LeaseId(6)), ..Expected::default() };
    let (connection, peer) = meet(expected, Some(client.resolver));
    assert!(connection.is_err());
    assert!(matches!(peer, Some(Err(PeerError::Unexpected { field: "lease", .. }))));
}
