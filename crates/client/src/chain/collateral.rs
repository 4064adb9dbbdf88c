//! What the chain has verified of the vendors' collateral, as far as a verifier of evidence needs it.
//!
//! It counts as verified as far as the chain does, and the node that is asked.

use casemate_attestation::{
    Grade, TeeKind,
    dcap::{PckCa, PckCrl, QeIdentity, RootCrl, TcbInfo},
    sev_snp::{AmdCrl, Product, TcbVersion},
};
use codec::DecodeAll;
use subxt::utils::Static;

use super::{ChainClient, ChainError, runtime};

/// Intel's collateral for one processor family. What the chain has not is `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IntelCollateral {
    /// Revoked CAs.
    pub root_crl: Option<RootCrl>,
    /// Revoked machine certificates.
    pub pck_crl: Option<PckCrl>,
    /// Judgement of firmware levels.
    pub tcb_info: Option<TcbInfo>,
    /// What the quoting enclave is.
    pub qe_identity: Option<QeIdentity>,
}

impl ChainClient {
    /// What the chain knows for a machine of Intel's: under roots of `grade`, for `kind`, with a
    /// certificate issued by `ca` that names `fmspc`.
    ///
    /// # Errors
    /// When the node does not answer, or with something else; so for all that follow.
    pub async fn intel_collateral(
        &self,
        grade: Grade,
        kind: TeeKind,
        ca: PckCa,
        fmspc: [u8; 6],
    ) -> Result<IntelCollateral, ChainError> {
        // All of one block, so that the parts fit together.
        let at = self.at_finalised().await?;
        let storage = at.storage();
        let endorsements = || runtime::storage().endorsements();
        let root_crl = storage
            .try_fetch(endorsements().root_crls(), (Static(grade),))
            .await
            .map_err(ChainError::reading)?
            .map(|value| value.decode().map_err(ChainError::reading))
            .transpose()?
            .map(|stored| kept(&stored.bytes.0))
            .transpose()?;
        let pck_crl = storage
            .try_fetch(endorsements().pck_crls(), (Static(grade), Static(ca)))
            .await
            .map_err(ChainError::reading)?
            .map(|value| value.decode().map_err(ChainError::reading))
            .transpose()?
            .map(|stored| kept(&stored.bytes.0))
            .transpose()?;
        let tcb_info = storage
            .try_fetch(endorsements().tcb_infos(), (Static(grade), Static(kind), fmspc))
            .await
            .map_err(ChainError::reading)?
            .map(|value| value.decode().map_err(ChainError::reading))
            .transpose()?
            .map(|stored| kept(&stored.bytes.0))
            .transpose()?;
        let qe_identity = storage
            .try_fetch(endorsements().qe_identities(), (Static(grade), Static(kind)))
            .await
            .map_err(ChainError::reading)?
            .map(|value| value.decode().map_err(ChainError::reading))
            .transpose()?
            .map(|stored| kept(&stored.bytes.0))
            .transpose()?;
        Ok(IntelCollateral { root_crl, pck_crl, tcb_info, qe_identity })
    }

    /// What AMD has revoked under this root, by the SHA-256 of its key.
    ///
    /// # Errors
    /// As above.
    pub async fn amd_crl(
        &self,
        grade: Grade,
        root: [u8; 32],
    ) -> Result<Option<AmdCrl>, ChainError> {
        let at = self.at_finalised().await?;
        at.storage()
            .try_fetch(runtime::storage().endorsements().amd_crls(), (Static(grade), root))
            .await
            .map_err(ChainError::reading)?
            .map(|value| value.decode().map_err(ChainError::reading))
            .transpose()?
            .map(|stored| kept(&stored.bytes.0))
            .transpose()
    }

    /// The least firmware of AMD machines of this line that counts as up to date, if governance
    /// has named one.
    ///
    /// # Errors
    /// As above.
    pub async fn amd_minimum(&self, product: Product) -> Result<Option<TcbVersion>, ChainError> {
        let at = self.at_finalised().await?;
        let value = at
            .storage()
            .try_fetch(runtime::storage().endorsements().snp_minimum(), (Static(product),))
            .await
            .map_err(ChainError::reading)?;
        value.map(|value| Ok(value.decode().map_err(ChainError::reading)?.0)).transpose()
    }
}

/// Collateral as the pallet keeps it: its encoding as bytes.
fn kept<V: DecodeAll>(bytes: &[u8]) -> Result<V, ChainError> {
    V::decode_all(&mut &*bytes).map_err(|err| {
        ChainError::Decode(format!("collateral on chain is not of the known form: {err}"))
    })
}
