//! Collateral and evidence on their way to the chain, and what the chain says of them.

use casemate_attestation::{Grade, TcbStatus, TeeKind, TrustRoots};
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex, UnixSeconds};
use subxt::utils::Static;
use subxt_signer::sr25519::Keypair;

use super::{
    ChainClient, ChainError, ChainEvent, Included,
    read::AtBlock,
    runtime::{
        self,
        runtime_types::{
            bounded_collections::bounded_vec::BoundedVec,
            casemate_runtime::RuntimeCall,
            pallet_attestation::{
                pallet::{Call as AttestationCall, Event},
                types::{Keys as OnChainKeys, Submission as OnChainSubmission},
            },
        },
    },
};

/// Collateral of a vendor, as it is submitted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Endorsement {
    /// Intel's list of revoked CAs (DER), with the root certificate (PEM).
    RootCrl {
        /// DER.
        crl: Vec<u8>,
        /// PEM.
        issuer_chain: String,
    },
    /// The list of a PCK CA (DER), with its chain (PEM).
    PckCrl {
        /// DER.
        crl: Vec<u8>,
        /// PEM.
        issuer_chain: String,
    },
    /// TCB info.
    TcbInfo {
        /// JSON, byte for byte as signed.
        body: String,
        /// `r || s`.
        signature: [u8; 64],
        /// PEM.
        issuer_chain: String,
    },
    /// Identity of a quoting enclave.
    QeIdentity {
        /// JSON, byte for byte as signed.
        body: String,
        /// `r || s`.
        signature: [u8; 64],
        /// PEM.
        issuer_chain: String,
    },
    /// Certificate of an Intel machine, with its chain (PEM).
    Pck {
        /// PEM.
        chain: String,
    },
    /// AMD's revocation list of a product line, with the root that signed it (DER).
    AmdCrl {
        /// DER.
        crl: Vec<u8>,
        /// ARK.
        ark: Vec<u8>,
    },
    /// Certificate of an AMD machine, with what vouches for it (DER).
    Vek {
        /// VCEK or VLEK.
        vek: Vec<u8>,
        /// ASK or ASVK.
        ask: Vec<u8>,
        /// ARK.
        ark: Vec<u8>,
    },
}

impl Endorsement {
    /// What it is, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RootCrl { .. } => "root CA revocation list",
            Self::PckCrl { .. } => "PCK CA revocation list",
            Self::TcbInfo { .. } => "TCB info",
            Self::QeIdentity { .. } => "QE identity",
            Self::Pck { .. } => "PCK certificate",
            Self::AmdCrl { .. } => "AMD revocation list",
            Self::Vek { .. } => "VCEK or VLEK certificate",
        }
    }
}

/// Evidence, as it is submitted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Submission {
    /// What it is.
    pub kind: TeeKind,
    /// The vendor's bytes.
    pub evidence: Vec<u8>,
    /// SHA-256 of the DER of the machine's certificate.
    pub certificate: [u8; 32],
}

/// The public keys of an agent that its evidence names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttestedKeys {
    /// Ed25519: signs usage records.
    pub agent: AgentPublicKey,
    /// X25519: secrets are sealed to it.
    pub hpke: [u8; 32],
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub tls_spki_sha256: Hash256,
}

/// Why the chain lets an agent's key count.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StandingView {
    /// Kind of TEE.
    pub kind: TeeKind,
    /// Grade of the root.
    pub grade: Grade,
    /// State of the firmware when it was verified.
    pub tcb_status: TcbStatus,
    /// What runs, as `casemate_attestation::Measurements::workload` says it.
    pub workload: Vec<u8>,
    /// BLAKE2b-256 of the manifest that it runs.
    pub manifest_hash: Hash256,
    /// X25519 key that secrets are sealed to.
    pub hpke_key: [u8; 32],
    /// BLAKE2b-256 of the evidence, which is in the block.
    pub evidence_hash: Hash256,
    /// When it was verified.
    pub verified_at: UnixSeconds,
    /// First second at which it counts no more.
    pub expires_at: UnixSeconds,
}

/// What the runtime found evidence to say.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Appraised {
    /// BLAKE2b-256 of the evidence, which is in the block.
    pub evidence_hash: Hash256,
    /// Kind of TEE.
    pub kind: TeeKind,
    /// Grade of the root.
    pub grade: Grade,
    /// State of the firmware.
    pub tcb_status: TcbStatus,
    /// Whether a debugger may be attached.
    pub debug: bool,
    /// What runs, as `casemate_attestation::Measurements::workload` says it.
    pub workload: Vec<u8>,
    /// What the enclave put into it.
    pub report_data: Vec<u8>,
    /// The block.
    pub block_hash: Hash256,
}

impl ChainClient {
    /// Submits collateral. `Ok(false)` when the chain has it, or newer, already.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn endorse(
        &self,
        signer: &Keypair,
        endorsement: Endorsement,
    ) -> Result<bool, ChainError> {
        let tx = runtime::tx().endorsements();
        let body = |bytes: Vec<u8>| BoundedVec(bytes);
        let text = |text: String| BoundedVec(text.into_bytes());
        let result = match endorsement {
            Endorsement::RootCrl { crl, issuer_chain } => {
                let call = tx.submit_root_crl(body(crl), text(issuer_chain));
                self.send(signer, &call).await
            }
            Endorsement::PckCrl { crl, issuer_chain } => {
                let call = tx.submit_pck_crl(body(crl), text(issuer_chain));
                self.send(signer, &call).await
            }
            Endorsement::TcbInfo { body: json, signature, issuer_chain } => {
                let call = tx.submit_tcb_info(text(json), signature, text(issuer_chain));
                self.send(signer, &call).await
            }
            Endorsement::QeIdentity { body: json, signature, issuer_chain } => {
                let call = tx.submit_qe_identity(text(json), signature, text(issuer_chain));
                self.send(signer, &call).await
            }
            Endorsement::Pck { chain } => self.send(signer, &tx.submit_pck(text(chain))).await,
            Endorsement::AmdCrl { crl, ark } => {
                self.send(signer, &tx.submit_amd_crl(body(crl), body(ark))).await
            }
            Endorsement::Vek { vek, ask, ark } => {
                let call = tx.submit_vek(body(vek), body(ask), body(ark));
                self.send(signer, &call).await
            }
        };
        match result {
            Ok(_) => Ok(true),
            Err(ChainError::Refused { pallet, name, .. })
                if pallet == "Endorsements" && (name == "NotNewer" || name == "Known") =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Has the runtime verify evidence.
    ///
    /// # Errors
    /// As [`ChainClient::submit`]: [`ChainError::Refused`] names the runtime's reason.
    pub async fn appraise(
        &self,
        signer: &Keypair,
        submission: Submission,
    ) -> Result<Appraised, ChainError> {
        let call = runtime::tx().attestation().appraise(submission.into());
        let Included { block_hash, events } = self.send(signer, &call).await?;
        events
            .into_iter()
            .find_map(|event| match event {
                ChainEvent::Appraised(appraised) => Some(appraised),
                _ => None,
            })
            .map(|appraised| Appraised { block_hash, ..appraised })
            .ok_or_else(|| ChainError::Decode("the block has no `Appraised` event".into()))
    }

    /// Lets an agent's key count for a replica, on its evidence over the hash of `block`.
    ///
    /// # Errors
    /// As [`ChainClient::submit`].
    pub async fn attest(
        &self,
        signer: &Keypair,
        lease: LeaseId,
        replica: ReplicaIndex,
        keys: AttestedKeys,
        block: u32,
        submission: Submission,
    ) -> Result<Included, ChainError> {
        let keys = OnChainKeys {
            agent: keys.agent,
            hpke: keys.hpke,
            tls_spki_sha256: keys.tls_spki_sha256,
        };
        let tx = runtime::tx().attestation();
        let call = tx.attest(Static(lease), replica, keys, block, submission.into());
        self.send(signer, &call).await
    }

    /// Ends the standing of a replica's key if the chain no longer accepts what it rests on. Without
    /// `evidence`, only the workload and the revocation of the machine's certificate are looked at;
    /// with it (that of the standing, from its block), all.
    ///
    /// # Errors
    /// As [`ChainClient::submit`]; [`ChainError::Refused`] names `Sound` if nothing speaks against it.
    pub async fn recheck(
        &self,
        signer: &Keypair,
        lease: LeaseId,
        replica: ReplicaIndex,
        evidence: Option<Submission>,
    ) -> Result<(), ChainError> {
        let tx = runtime::tx().attestation();
        let call = tx.recheck(Static(lease), replica, evidence.map(Into::into));
        self.send(signer, &call).await.map(|_| ())
    }

    /// Approves an agent release as the only member of a technical committee: what a development
    /// chain has. With `software` it is accepted from a software TEE, too.
    ///
    /// # Errors
    /// As [`ChainClient::submit`]; also when the committee has more members.
    pub async fn approve_workload_as_committee(
        &self,
        signer: &Keypair,
        workload: Vec<u8>,
        software: bool,
    ) -> Result<(), ChainError> {
        let grade = if software { Grade::Software } else { Grade::Hardware };
        let call = RuntimeCall::Attestation(AttestationCall::approve_workload {
            workload: BoundedVec(workload),
            grade: Static(grade),
        });
        // Longer than the call is; the committee's own bound.
        let length = 1_024;
        let call = runtime::tx().technical_committee().propose(1, call, length);
        self.send(signer, &call).await.map(|_| ())
    }

    /// The lowest grade at which a workload is approved, if it is.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn approved_workload(&self, workload: &[u8]) -> Result<Option<Grade>, ChainError> {
        let at = self.at_finalised().await?;
        let address = runtime::storage().attestation().workloads();
        let value = at
            .storage()
            .try_fetch(address, (BoundedVec(workload.to_vec()),))
            .await
            .map_err(ChainError::reading)?;
        value.map(|value| Ok(value.decode().map_err(ChainError::reading)?.0)).transpose()
    }

    /// The roots that the chain trusts.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn trust_roots(&self) -> Result<TrustRoots, ChainError> {
        let at = self.at_finalised().await?;
        let value = at
            .storage()
            .try_fetch(runtime::storage().endorsements().roots(), ())
            .await
            .map_err(ChainError::reading)?;
        let Some(value) = value else { return Ok(TrustRoots::default()) };
        let roots = value.decode().map_err(ChainError::reading)?;
        Ok(TrustRoots::new(roots.0.into_iter().map(|root| root.0)))
    }
}

impl From<Submission> for OnChainSubmission {
    fn from(submission: Submission) -> Self {
        Self {
            kind: Static(submission.kind),
            evidence: BoundedVec(submission.evidence),
            certificate: submission.certificate,
        }
    }
}

/// The standing of a replica's agent, if it has one.
pub(super) async fn standing(
    at: &AtBlock,
    lease: LeaseId,
    replica: ReplicaIndex,
) -> Result<Option<(AgentPublicKey, StandingView)>, ChainError> {
    let address = runtime::storage().attestation().standings();
    let value = at
        .storage()
        .try_fetch(address, (Static(lease), replica))
        .await
        .map_err(ChainError::reading)?;
    let Some(value) = value else { return Ok(None) };
    let found = value.decode().map_err(ChainError::reading)?;
    Ok(Some((
        found.keys.agent,
        StandingView {
            kind: found.kind.0,
            grade: found.grade.0,
            tcb_status: found.tcb_status.0,
            workload: found.workload.0,
            manifest_hash: found.manifest_hash,
            hpke_key: found.keys.hpke,
            evidence_hash: found.evidence_hash,
            verified_at: found.verified_at,
            expires_at: found.expires_at,
        },
    )))
}

/// What an event of the pallet means to who watches leases or waits for an appraisal, who fills in
/// the block.
pub(super) fn event(event: Event) -> Option<ChainEvent> {
    Some(match event {
        Event::Attested { lease, .. } | Event::StandingEnded { lease, .. } => {
            ChainEvent::LeaseChanged { lease: lease.0 }
        }
        Event::Appraised {
            evidence_hash,
            kind,
            grade,
            tcb_status,
            debug,
            workload,
            report_data,
        } => ChainEvent::Appraised(Appraised {
            evidence_hash,
            kind: kind.0,
            grade: grade.0,
            tcb_status: tcb_status.0,
            debug,
            workload: workload.0,
            report_data: report_data.to_vec(),
            block_hash: [0; 32],
        }),
        _ => return None,
    })
}
