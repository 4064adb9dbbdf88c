//! A network of the software TEE, pods on it, and vaults.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use casemate_attestation::TrustRoots;
use casemate_evidence::{Attester as _, SoftwareTee};
use casemate_primitives::{LeaseId, ReplicaIndex};
use casemate_ra_tls::{
    Binding, EvidenceIssuer, Issued, Keys as PodKeys, PodIdentity, Purpose,
    sealed::{OpenError, Receiver},
};
use casemate_software_tee::{
    Directory, Validity,
    client::{Control, Launch},
    daemon::{self, Daemon},
    wire::Kind,
};
use casemate_vault::{
    Keys, Master, Options, Vault,
    entry::{Body, Entry, Given, Grant, Key, SignedEntry, Source},
};
use ed25519_dalek::SigningKey;

pub(crate) const GENESIS: [u8; 32] = [3; 32];
pub(crate) const MANIFEST: [u8; 32] = [6; 32];
pub(crate) const AGENT_KEY: [u8; 32] = [9; 32];

/// One for all tests: its keys take seconds to make.
pub(crate) struct Network {
    pub(crate) control: Control,
    pub(crate) roots: TrustRoots,
    pub(crate) collateral: Vec<Vec<u8>>,
    _daemon: Daemon,
    _dir: tempfile::TempDir,
}

pub(crate) fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("tee");
        let validity = Validity { certificate_days: 30, collateral_days: 30 };
        Directory::init(&directory, daemon::now().unwrap(), validity).unwrap();
        let socket = dir.path().join("control.sock");
        let options = daemon::Options { directory, control: socket.clone(), misbehave: vec![] };
        let daemon = Daemon::start(&options).unwrap();
        let control = Control::new(socket);
        let collateral = control.collateral().unwrap();
        let roots = serde_json::from_value(collateral["roots"].clone()).unwrap();
        let parts = ["/intel/sgx", "/intel/tdx", "/amd/endorsements"];
        let parts = parts.map(|part| collateral.pointer(part).unwrap().to_string().into_bytes());
        Network { control, roots, collateral: parts.into(), _daemon: daemon, _dir: dir }
    })
}

/// What an agent does for a pod, without its process.
pub(crate) struct Pod {
    pub(crate) issuer: Arc<EvidenceIssuer>,
    pub(crate) socket: PathBuf,
    receiver: Receiver,
    pub(crate) inbox: Mutex<BTreeMap<String, Vec<u8>>>,
}

pub(crate) fn identity(lease: u64, replica: ReplicaIndex) -> PodIdentity {
    PodIdentity { genesis_hash: GENESIS, lease: LeaseId(lease), replica, manifest_hash: MANIFEST }
}

impl Pod {
    /// Starts one that takes releases of `vault` alone.
    pub(crate) fn start(identity: PodIdentity, vault: &Keys) -> Self {
        Self::with(identity, vault, Kind::IntelTdx, &[])
    }

    pub(crate) fn with(identity: PodIdentity, vault: &Keys, kind: Kind, how: &[&str]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let id = format!("pod-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let launched = network()
            .control
            .launch(&Launch {
                id: &id,
                kind,
                version: None,
                agent: Path::new("/bin/true"),
                root_fs: None,
                manifest_hash: &identity.manifest_hash,
                owner: None,
                misbehave: how,
            })
            .unwrap();
        let attester = Arc::new(SoftwareTee::connect(&launched.socket).unwrap());
        let keys = PodKeys::generate().unwrap();
        let issuer = Arc::new(EvidenceIssuer::new(attester, identity, AGENT_KEY, keys));
        let receiver = Receiver::new(Arc::clone(&issuer), vec![vault.id()]);
        Self { issuer, socket: launched.socket, receiver, inbox: Mutex::default() }
    }

    /// Evidence for a vault's nonce, as it travels.
    pub(crate) fn evidence(&self, nonce: [u8; 32]) -> Vec<u8> {
        self.issuer.release(nonce).unwrap().to_cmw()
    }

    /// Genuine evidence for another purpose.
    pub(crate) fn evidence_for(&self, purpose: Purpose, nonce: [u8; 32]) -> Issued {
        let pod = self.issuer.pod();
        let binding = Binding {
            purpose,
            genesis_hash: pod.genesis_hash,
            lease: pod.lease,
            replica: pod.replica,
            manifest_hash: pod.manifest_hash,
            nonce,
            agent_key: AGENT_KEY,
            hpke_key: self.issuer.keys().hpke_key(),
            tls_spki_sha256: self.issuer.keys().tls_spki_sha256(),
            channel: [0; 32],
            gpu_evidence: [0; 32],
        };
        let attester = SoftwareTee::connect(&self.socket).unwrap();
        Issued { evidence: attester.evidence(&binding.report_data()).unwrap(), binding }
    }

    /// Takes what a vault has sealed.
    pub(crate) fn take(&self, sealed: &[u8]) -> Result<(), OpenError> {
        self.receiver.receive(sealed, |received| {
            let secrets = received.secrets.iter();
            *self.inbox.lock().unwrap() =
                secrets.map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            Ok(())
        })
    }

    pub(crate) fn secret(&self, name: &str) -> Option<Vec<u8>> {
        self.inbox.lock().unwrap().get(name).cloned()
    }
}

/// The workload of a pod that does not misbehave.
fn workload(kind: Kind) -> String {
    static KNOWN: OnceLock<BTreeMap<&'static str, String>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let kinds = [("sgx", Kind::IntelSgx), ("tdx", Kind::IntelTdx), ("snp", Kind::AmdSevSnp)];
        let measure = |(name, kind)| {
            let launched = network()
                .control
                .launch(&Launch {
                    id: &format!("measure-{name}"),
                    kind,
                    version: None,
                    agent: Path::new("/bin/true"),
                    root_fs: None,
                    manifest_hash: &MANIFEST,
                    owner: None,
                    misbehave: &[],
                })
                .unwrap();
            (name, launched.measurements["workload"].as_str().unwrap().to_owned())
        };
        kinds.into_iter().map(measure).collect()
    });
    let name = match kind {
        Kind::IntelSgx => "sgx",
        Kind::IntelTdx => "tdx",
        Kind::AmdSevSnp => "snp",
    };
    known[name].clone()
}

/// A policy for pods of the network that do not misbehave.
pub(crate) fn policy() -> String {
    let workloads = [Kind::IntelSgx, Kind::IntelTdx, Kind::AmdSevSnp].map(workload);
    serde_json::json!({ "grades": ["software"], "require": { "workload": workloads } }).to_string()
}

pub(crate) fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[5; 32])
}

/// What a publisher and his vaults have.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) master: Master,
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<AtomicU64>,
    version: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        let master = Master::generate().unwrap();
        let now = daemon::now().unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            keys: master.keys(),
            master,
            clock: Arc::new(AtomicU64::new(now)),
            version: AtomicU64::new((now - 3600) * 1000),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(crate) fn vault(&self, name: &str) -> Vault {
        let clock = Arc::clone(&self.clock);
        let options = Options {
            store: self.dir.path().join(name),
            publisher: publisher().verifying_key().to_bytes(),
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        };
        Vault::open(self.keys.clone(), &options).unwrap()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn secret(&self, name: &str, value: &[u8]) -> SignedEntry {
        Entry::secret(&self.keys, self.version(), name, value).unwrap().sign(&publisher())
    }

    pub(crate) fn entry(&self, key: Key, body: Option<Body>) -> SignedEntry {
        let (vault, version) = (self.keys.id(), self.version());
        Entry { vault, version, key, body }.sign(&publisher())
    }

    pub(crate) fn grant(&self, name: &str, change: impl FnOnce(&mut Grant)) -> SignedEntry {
        let mut grant = Grant {
            genesis_hash: GENESIS,
            manifest_hash: MANIFEST,
            lease: None,
            replica: None,
            secrets: vec![Given {
                name: "DB_PASSWORD".into(),
                from: Source::Secret("shop.db".into()),
            }],
            policy: policy(),
            roots: network().roots.clone(),
            minimum_tcb: None,
            until: self.now() + 1000,
        };
        change(&mut grant);
        self.entry(Key::Grant(name.into()), Some(Body::Grant(Box::new(grant))))
    }

    /// What most tests begin with.
    pub(crate) fn shop(&self) -> Vec<SignedEntry> {
        vec![self.secret("shop.db", b"hunter2"), self.grant("shop", |_| ())]
    }
}

/// The whole way, without a wire.
pub(crate) fn release(vault: &Vault, pod: &Pod) -> Result<u64, String> {
    let nonce = vault.nonce().unwrap();
    let released = vault
        .release(&pod.evidence(nonce), &network().collateral)
        .map_err(|err| err.code().to_owned())?;
    pod.take(&released.sealed).map_err(|err| err.code().to_owned())?;
    Ok(released.sequence)
}
