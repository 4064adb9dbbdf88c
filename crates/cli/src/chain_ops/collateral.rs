//! Collateral from the chain, for verifiers that can't wait for a future.

use casemate_attestation::{
    Grade, TeeKind,
    dcap::PckCa,
    sev_snp::{AmdCrl, Product, TcbVersion},
};
use casemate_client::chain::{ChainClient, IntelCollateral};
use tokio::runtime::Handle;

use crate::appraisal::CollateralOnChain;

/// Asks the chain in the runtime of who made it. For threads that may block.
#[derive(Debug)]
pub(super) struct FromChain {
    client: ChainClient,
    runtime: Handle,
}

impl FromChain {
    /// Must be called within the runtime.
    pub(super) fn new(client: ChainClient) -> Self {
        Self { client, runtime: Handle::current() }
    }
}

impl CollateralOnChain for FromChain {
    fn intel(
        &self,
        grade: Grade,
        kind: TeeKind,
        ca: PckCa,
        fmspc: [u8; 6],
    ) -> Result<IntelCollateral, String> {
        self.runtime
            .block_on(self.client.intel_collateral(grade, kind, ca, fmspc))
            .map_err(|err| err.to_string())
    }

    fn amd_crl(&self, grade: Grade, root: [u8; 32]) -> Result<Option<AmdCrl>, String> {
        self.runtime.block_on(self.client.amd_crl(grade, root)).map_err(|err| err.to_string())
    }

    fn amd_minimum(&self, product: Product) -> Result<Option<TcbVersion>, String> {
        self.runtime.block_on(self.client.amd_minimum(product)).map_err(|err| err.to_string())
    }
}
