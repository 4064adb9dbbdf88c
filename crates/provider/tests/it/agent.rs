//! The real attestor, against RA-TLS as agents serve it and the software TEE's evidence.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use casemate_attestation::{TrustRoots, x509::Certificate};
use casemate_client::chain::{AttestedKeys, Endorsement};
use casemate_evidence::SoftwareTee;
use casemate_primitives::{LeaseId, TeeKind};
use casemate_provider::{
    attestation::{Attestor, CollateralFrom, Evidence, EvidenceError, PodAttestor, Wanted},
    system_clock,
};
use casemate_ra_tls::{
    EvidenceIssuer, Keys, PodIdentity, Resolver,
    server::{Connection, Endpoints, tls_config},
};
use casemate_software_tee::{
    Directory, Validity,
    client::{Control, Launch},
    daemon::{self, Daemon},
    wire::Kind,
};

use crate::world::GENESIS;

const MANIFEST: [u8; 32] = [6; 32];
const BLOCK: [u8; 32] = [8; 32];
const AGENT_KEY: [u8; 32] = [9; 32];

/// One network for all tests: its keys take seconds to make.
pub(crate) struct Network {
    pub(crate) socket: PathBuf,
    pub(crate) control: Control,
    pub(crate) roots: TrustRoots,
    dir: tempfile::TempDir,
    _daemon: Daemon,
}

pub(crate) fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("tee");
        let now = daemon::now().unwrap();
        let validity = Validity { certificate_days: 30, collateral_days: 30 };
        Directory::init(&directory, now, validity).unwrap();
        let socket = dir.path().join("control.sock");
        let options = daemon::Options { directory, control: socket.clone(), misbehave: vec![] };
        let daemon = Daemon::start(&options).unwrap();
        let control = Control::new(&socket);
        let collateral = control.collateral().unwrap();
        let roots = serde_json::from_value(collateral["roots"].clone()).unwrap();
        Network { socket, control, roots, dir, _daemon: daemon }
    })
}

/// Serves as an agent does, and gives its keys.
pub(crate) fn serve(
    id: &str,
    kind: Kind,
    misbehave: &[&str],
    pod: PodIdentity,
    listener: TcpListener,
) -> AttestedKeys {
    let network = network();
    let launched = network
        .control
        .launch(&Launch {
            id,
            kind,
            version: None,
            agent: &std::env::current_exe().unwrap(),
            root_fs: None,
            manifest_hash: &pod.manifest_hash,
            owner: None,
            misbehave,
        })
        .unwrap();
    let attester = Arc::new(SoftwareTee::connect(&launched.socket).unwrap());
    let issuer = Arc::new(EvidenceIssuer::new(attester, pod, AGENT_KEY, Keys::generate().unwrap()));
    let keys = AttestedKeys {
        agent: AGENT_KEY,
        hpke: issuer.keys().hpke_key(),
        tls_spki_sha256: issuer.keys().tls_spki_sha256(),
    };
    let resolver = Resolver::new(Arc::clone(&issuer), system_clock()).unwrap();
    let config = tls_config(&resolver).unwrap();
    let endpoints = Endpoints::new(issuer, resolver);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let accepted = Connection::accept(stream, Arc::clone(&config), Duration::from_secs(60));
            // Clients that refuse what they see hang up.
            if let Ok(connection) = accepted {
                connection.serve(&endpoints, Vec::new());
            }
        }
    });
    keys
}

/// An agent, and what a provider would ask it.
fn agent(id: &str, kind: Kind, misbehave: &[&str]) -> Wanted {
    let pod = PodIdentity {
        genesis_hash: GENESIS,
        lease: LeaseId(5),
        replica: 1,
        manifest_hash: MANIFEST,
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let keys = serve(id, kind, misbehave, pod, listener);
    Wanted {
        address,
        genesis_hash: GENESIS,
        lease: pod.lease,
        replica: pod.replica,
        manifest_hash: MANIFEST,
        keys,
        block_hash: BLOCK,
        roots: network().roots.clone(),
    }
}

async fn ask(from: CollateralFrom, wanted: &Wanted) -> Result<Evidence, EvidenceError> {
    PodAttestor::new(from, [1; 32], system_clock()).evidence(wanted.clone()).await
}

fn software() -> CollateralFrom {
    CollateralFrom::Software(network().socket.clone())
}

fn told(err: EvidenceError) -> String {
    casemate_primitives::chain_of(&err)
}

fn names(evidence: &Evidence) -> Vec<&'static str> {
    evidence.endorsements.iter().map(Endorsement::name).collect()
}

const INTEL: [&str; 5] = [
    "root CA revocation list",
    "PCK CA revocation list",
    "TCB info",
    "QE identity",
    "PCK certificate",
];

const AMD: [&str; 2] = ["AMD revocation list", "VCEK or VLEK certificate"];

#[tokio::test(flavor = "multi_thread")]
async fn evidence_comes_with_what_the_chain_needs_to_verify_it() {
    for (id, kind, tee, wanted_names) in [
        ("tdx", Kind::IntelTdx, TeeKind::IntelTdx, &INTEL[..]),
        ("sgx", Kind::IntelSgx, TeeKind::IntelSgx, &INTEL[..]),
        ("snp", Kind::AmdSevSnp, TeeKind::AmdSevSnp, &AMD[..]),
    ] {
        let wanted = agent(id, kind, &[]);
        let evidence = ask(software(), &wanted).await.unwrap();
        assert_eq!(evidence.submission.kind, tee);
        assert_eq!(names(&evidence), wanted_names);
        let certificate = match evidence.endorsements.last().unwrap() {
            Endorsement::Pck { chain } => {
                Certificate::chain_from_pem(chain.as_bytes()).unwrap().remove(0)
            }
            Endorsement::Vek { vek, .. } => Certificate::from_der(vek).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(evidence.submission.certificate, sha256(certificate.der()));
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_would_refuse_costs_no_fee() {
    let wanted = agent("refused", Kind::IntelTdx, &[]);
    let of_vendors = Wanted { roots: TrustRoots::vendors(), ..wanted.clone() };
    let refused = told(ask(software(), &of_vendors).await.unwrap_err());
    assert!(refused.contains("root"), "{refused}");

    let mut other = wanted.clone();
    other.keys.hpke = [1; 32];
    let err = ask(software(), &other).await.unwrap_err();
    assert!(matches!(err, EvidenceError::OtherKeys), "{err:?}");
    let mut other = wanted.clone();
    other.keys.agent = [1; 32];
    let refused = told(ask(software(), &other).await.unwrap_err());
    assert!(refused.contains("agent key"), "{refused}");
    let other = Wanted { manifest_hash: [7; 32], ..wanted };
    let refused = told(ask(software(), &other).await.unwrap_err());
    assert!(refused.contains("manifest"), "{refused}");

    let debug = agent("debug", Kind::IntelTdx, &["debug"]);
    let refused = told(ask(software(), &debug).await.unwrap_err());
    assert!(refused.contains("debugger"), "{refused}");
    // Firmware that is out of date is for publishers to judge: the chain pays for it.
    let old = agent("old", Kind::IntelTdx, &["old-tcb"]);
    ask(software(), &old).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn collateral_of_hardware_comes_from_a_folder() {
    let wanted = agent("folder", Kind::IntelTdx, &[]);
    let folder = network().dir.path().join("collateral");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("README"), "Fetched each night.").unwrap();
    let from = CollateralFrom::Folder(folder.clone());
    let refused = told(ask(from.clone(), &wanted).await.unwrap_err());
    assert!(refused.contains("tee.collateral"), "{refused}");
    let collateral = network().control.collateral().unwrap();
    std::fs::write(folder.join("tdx.json"), collateral["intel"]["tdx"].to_string()).unwrap();
    assert_eq!(names(&ask(from.clone(), &wanted).await.unwrap()), INTEL);

    // A machine of AMD's brings its certificates; the list of those revoked is fetched.
    let wanted = agent("folder-snp", Kind::AmdSevSnp, &[]);
    let refused = told(ask(CollateralFrom::Evidence, &wanted).await.unwrap_err());
    assert!(refused.contains("revocation list"), "{refused}");
    let crl = network().dir.path().join("tee/collateral/amd/crl");
    std::fs::copy(crl, folder.join("crl")).unwrap();
    ask(from, &wanted).await.unwrap();
}
