//! Carries secrets from a vault to a pod. The carrier sees ciphertext, and needs no trust of either.

use casemate_ra_tls::client::{Session, SessionError};

use crate::client::{Client, ClientError};

/// Why a pod got nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarryError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] ClientError),
    /// The pod's agent gives no evidence.
    #[error("the pod's agent gives no evidence for the vault")]
    Evidence(#[source] SessionError),
    /// The pod's agent does not take what the vault gave.
    #[error("the pod's agent does not take what the vault released")]
    Deliver(#[source] SessionError),
}

/// Takes a nonce from the vault to the agent, its evidence to the vault, and the vault's answer to
/// the agent. Gives the release's number.
///
/// # Errors
/// The step that failed.
pub fn carry(
    vault: &Client,
    agent: &mut Session,
    collateral: &[Vec<u8>],
) -> Result<u64, CarryError> {
    carry_with(vault, agent, |_| collateral.to_vec())
}

/// The same with collateral that is looked up once the evidence is there.
///
/// # Errors
/// The step that failed.
pub fn carry_with(
    vault: &Client,
    agent: &mut Session,
    collateral: impl FnOnce(&[u8]) -> Vec<Vec<u8>>,
) -> Result<u64, CarryError> {
    let nonce = vault.nonce()?;
    let evidence = agent.release_evidence(&nonce).map_err(CarryError::Evidence)?;
    let sealed = vault.release(&evidence, &collateral(&evidence))?;
    agent.deliver(&sealed).map_err(CarryError::Deliver)
}
