//! Evidence of agents that run in this process.

use std::path::Path;

use anyhow::{Context as _, Result};
use casemate_attestation::{Binding, Purpose, TeeKind, TrustRoots, bundle::Bundle, dcap::Quote};
use casemate_client::{
    chain::Endorsement,
    collateral::{MachineCollateral, of_intel},
};
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId};
use casemate_software_tee::{
    Directory, Format, Validity,
    daemon::now,
    measure::{Content, Measurements, expected},
    wire::Kind,
};
use codec::Encode as _;

use crate::claims::MANIFEST;

const FORMAT: Format = Format::TdxV4;

/// A software TEE of its own, and what is measured of an agent in it: this program.
pub(crate) struct EvidenceMaker {
    directory: Directory,
    measurements: Measurements,
    collateral: MachineCollateral,
}

impl EvidenceMaker {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let directory = Directory::init(folder, now()?, Validity::default())?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let content = Content::read(&program, None, MANIFEST.hash)?;
        let measurements = expected(Kind::IntelTdx, &content);
        let evidence = directory.pki().evidence(FORMAT, &measurements, &[0; 64], &[])?;
        let mut bundle = Bundle::default();
        bundle.add(directory.collateral(now()?, &[])?["intel"]["tdx"].to_string().as_bytes())?;
        let collateral = of_intel(bundle.for_dcap(&Quote::parse(&evidence.bytes)?)?)?;
        Ok(Self { directory, measurements, collateral })
    }

    pub(crate) fn roots(&self) -> Result<TrustRoots> {
        let mut collateral = self.directory.collateral(now()?, &[])?;
        serde_json::from_value(collateral["roots"].take()).context("the software TEE's roots")
    }

    /// What the chain approves.
    pub(crate) fn workload(&self) -> Vec<u8> {
        self.measurements.workload()
    }

    /// What the chain needs before it takes a quote, in its order.
    pub(crate) fn endorsements(&self) -> Vec<Endorsement> {
        self.collateral.endorsements.clone()
    }

    /// Arguments of `attestation.attest` for an agent with this key, over the hash of a block.
    pub(crate) fn call(
        &self,
        genesis_hash: Hash256,
        lease: LeaseId,
        agent_key: AgentPublicKey,
        block: u32,
        nonce: Hash256,
    ) -> Result<Vec<u8>> {
        // Nobody seals a secret to these agents, nor connects to them.
        let (hpke_key, tls_spki_sha256) = ([1; 32], [2; 32]);
        let binding = Binding {
            purpose: Purpose::Registration,
            genesis_hash,
            lease,
            replica: 0,
            manifest_hash: MANIFEST.hash,
            nonce,
            agent_key,
            hpke_key,
            tls_spki_sha256,
            channel: [0; 32],
            gpu_evidence: [0; 32],
        };
        let report_data = binding.report_data();
        let evidence =
            self.directory.pki().evidence(FORMAT, &self.measurements, &report_data, &[])?;
        let keys = (agent_key, hpke_key, tls_spki_sha256);
        let submission = (TeeKind::IntelTdx, evidence.bytes, self.collateral.certificate);
        Ok((lease, 0u16, keys, block, submission).encode())
    }
}
