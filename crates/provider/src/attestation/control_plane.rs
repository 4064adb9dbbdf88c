//! Evidence of this daemon itself, the control plane of its cluster.
//!
//! Who must not choose what: the machine chooses neither roots nor block, and the daemon verifies its
//! own evidence as anybody's before it pays a fee for it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use casemate_attestation::{Binding, Purpose, TrustRoots};
use casemate_client::{chain::Submission, collateral::MachineCollateral};
use casemate_evidence::{Attester as _, RawEvidence, SoftwareTee, Sources, detect};
use casemate_primitives::{AccountBytes, Hash256, LeaseId, TeeKind};
use casemate_ra_tls::{Appraiser as _, PolicyAppraiser};
use casemate_software_tee::{
    client::{ClientError, Control, Launch},
    wire::Kind,
};
use futures::future::BoxFuture;

use super::{CollateralFrom, Evidence, EvidenceError, chain_policy, collateral};
use crate::Clock;

/// Over what a cluster's evidence is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterWanted {
    /// Chain that it must be for.
    pub genesis_hash: Hash256,
    /// Provider whose cluster it is.
    pub account: AccountBytes,
    /// The nonce: hash of a recent finalised block.
    pub block_hash: Hash256,
    /// What the chain trusts.
    pub roots: TrustRoots,
}

impl ClusterWanted {
    /// What the evidence must be bound to, as the chain computes it.
    pub fn binding(&self) -> Binding {
        Binding {
            purpose: Purpose::Cluster,
            genesis_hash: self.genesis_hash,
            lease: LeaseId(0),
            replica: 0,
            manifest_hash: self.account,
            nonce: self.block_hash,
            agent_key: [0; 32],
            hpke_key: [0; 32],
            tls_spki_sha256: [0; 32],
            channel: [0; 32],
            gpu_evidence: [0; 32],
        }
    }
}

/// Where a cluster's evidence comes from. A trait, so that tests need no TEE.
pub trait ClusterAttestor: Send + Sync + 'static {
    /// Makes evidence of the control plane, and verifies it.
    fn evidence(&self, wanted: ClusterWanted) -> BoxFuture<'_, Result<Evidence, EvidenceError>>;
}

/// The machine that the daemon runs on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Machine {
    /// The TEE that is found there: configfs-tsm or Gramine.
    Hardware(Sources),
    /// A software TEE, for development: it protects nothing.
    Software(SoftwareGuest),
}

/// The daemon as a guest of a software TEE, which launches guests and measures their programs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SoftwareGuest {
    /// Control socket of `casemate-software-tee serve`.
    pub control: PathBuf,
    /// Which hardware it imitates.
    pub kind: TeeKind,
    /// The guest's name, one for each data directory.
    pub id: String,
    /// The program that is measured: the daemon's own.
    pub program: PathBuf,
}

impl SoftwareGuest {
    /// Ends the guest; one that is not there is no error.
    ///
    /// # Errors
    /// The software TEE does not answer, or refuses.
    pub fn end(&self) -> Result<(), ClientError> {
        let daemon = Control::new(&self.control);
        match daemon.destroy(&self.id) {
            // The daemon's refusals have no codes: it is asked whether the guest is there.
            Err(ClientError::Refused(_))
                if daemon.list()?.iter().all(|guest| guest.id != self.id) =>
            {
                Ok(())
            }
            result => result,
        }
    }

    /// Launches it in place of one of an earlier start, whose program may have been another. Gives
    /// its socket.
    fn launch(&self, account: &AccountBytes) -> Result<PathBuf, EvidenceError> {
        let kind = match self.kind {
            TeeKind::IntelSgx => Kind::IntelSgx,
            TeeKind::IntelTdx => Kind::IntelTdx,
            TeeKind::AmdSevSnp => Kind::AmdSevSnp,
            TeeKind::NvidiaGpu => return Err(EvidenceError::Unusable("a GPU runs no daemon")),
        };
        let launch = Launch {
            id: &self.id,
            kind,
            version: None,
            agent: &self.program,
            root_fs: None,
            // What the guest is for, as a pod's is for its manifest.
            manifest_hash: account,
            owner: None,
            misbehave: &[],
        };
        self.end()
            .and_then(|()| Control::new(&self.control).launch(&launch))
            .map(|launched| launched.socket)
            .map_err(EvidenceError::Launch)
    }
}

/// The control plane on this machine.
pub struct ControlPlane {
    inner: Arc<Inner>,
}

struct Inner {
    machine: Machine,
    collateral: CollateralFrom,
    clock: Clock,
    /// Socket of this process' guest, once it is launched: its program is measured once, as a
    /// machine's is, also when the file is replaced later.
    guest: Mutex<Option<PathBuf>>,
}

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlPlane")
            .field("machine", &self.inner.machine)
            .field("collateral", &self.inner.collateral)
            .finish_non_exhaustive()
    }
}

impl ControlPlane {
    /// Nothing is opened yet. `clock` is what certificates are compared with.
    pub fn new(machine: Machine, collateral: CollateralFrom, clock: Clock) -> Self {
        let guest = Mutex::default();
        Self { inner: Arc::new(Inner { machine, collateral, clock, guest }) }
    }
}

impl ClusterAttestor for ControlPlane {
    fn evidence(&self, wanted: ClusterWanted) -> BoxFuture<'_, Result<Evidence, EvidenceError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let asked = move || inner.evidence(&wanted);
            tokio::task::spawn_blocking(asked).await.unwrap_or(Err(EvidenceError::BrokeOff))
        })
    }
}

impl Inner {
    fn evidence(&self, wanted: &ClusterWanted) -> Result<Evidence, EvidenceError> {
        let report_data = wanted.binding().report_data();
        let raw = self.raw_evidence(&wanted.account, &report_data)?;
        let source = self.collateral.load().map_err(EvidenceError::Collateral)?;
        PolicyAppraiser::new(
            chain_policy(),
            wanted.roots.clone(),
            Arc::clone(&source),
            Some(wanted.account),
        )
        .appraise(&raw, &report_data, (self.clock)())
        .map_err(EvidenceError::Refused)?;
        let MachineCollateral { endorsements, certificate } =
            collateral::for_chain(&*source, &raw)?;
        let submission = Submission { kind: raw.kind, evidence: raw.evidence, certificate };
        Ok(Evidence { submission, endorsements })
    }

    fn raw_evidence(
        &self,
        account: &AccountBytes,
        report_data: &[u8; 64],
    ) -> Result<RawEvidence, EvidenceError> {
        let guest = match &self.machine {
            Machine::Hardware(sources) => {
                return detect(sources)
                    .and_then(|machine| machine.evidence(report_data))
                    .map_err(EvidenceError::Machine);
            }
            Machine::Software(guest) => guest,
        };
        // One at a time: a second launch would end the first one's guest.
        let mut socket = self.guest.lock().unwrap_or_else(PoisonError::into_inner);
        let path = match socket.take() {
            Some(path) => path,
            None => guest.launch(account)?,
        };
        let raw = SoftwareTee::connect(&path)
            .and_then(|guest| guest.evidence(report_data))
            .map_err(EvidenceError::Machine)?;
        // Kept only while it answers: otherwise the next try launches it anew.
        *socket = Some(path);
        Ok(raw)
    }
}
