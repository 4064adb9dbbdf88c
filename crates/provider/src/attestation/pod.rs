//! Asks the agents in the pods, over RA-TLS.

use std::{sync::Arc, time::Duration};

use casemate_attestation::{
    Grade, TcbStatus,
    policy::{Policy, TcbPolicy},
};
use casemate_client::{
    chain::{AttestedKeys, Submission},
    collateral::MachineCollateral,
};
use casemate_primitives::AccountBytes;
use casemate_ra_tls::{
    Appraiser, Expected, PolicyAppraiser,
    client::{Options, Session},
};
use futures::future::BoxFuture;

use super::{Attestor, CollateralFrom, Evidence, EvidenceError, Wanted, collateral};
use crate::Clock;

/// Time for the connection and for each request. A quote from hardware takes seconds, and machines
/// that start many pods at once are slow.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The agents of pods on this machine's network.
pub struct PodAttestor {
    collateral: CollateralFrom,
    provider: AccountBytes,
    clock: Clock,
}

impl std::fmt::Debug for PodAttestor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodAttestor").field("collateral", &self.collateral).finish_non_exhaustive()
    }
}

impl PodAttestor {
    /// Nothing is opened yet. `clock` is what certificates are compared with.
    pub fn new(collateral: CollateralFrom, provider: AccountBytes, clock: Clock) -> Self {
        Self { collateral, provider, clock }
    }
}

impl Attestor for PodAttestor {
    fn evidence(&self, wanted: Wanted) -> BoxFuture<'_, Result<Evidence, EvidenceError>> {
        let (from, provider) = (self.collateral.clone(), self.provider);
        let clock = Arc::clone(&self.clock);
        Box::pin(async move {
            let asked = move || ask(&from, provider, clock, &wanted);
            tokio::task::spawn_blocking(asked).await.unwrap_or(Err(EvidenceError::BrokeOff))
        })
    }
}

/// As the chain decides: any grade of the roots that it trusts, any firmware that is not revoked,
/// no debugger. Which workloads are approved is left to it.
pub(crate) fn policy() -> Policy {
    let statuses = vec![
        TcbStatus::UpToDate,
        TcbStatus::SwHardeningNeeded,
        TcbStatus::ConfigurationNeeded,
        TcbStatus::ConfigurationAndSwHardeningNeeded,
        TcbStatus::OutOfDate,
        TcbStatus::OutOfDateConfigurationNeeded,
    ];
    Policy {
        grades: vec![Grade::Hardware, Grade::Software],
        tcb: TcbPolicy { statuses, ..TcbPolicy::default() },
        ..Policy::default()
    }
}

fn ask(
    from: &CollateralFrom,
    provider: AccountBytes,
    clock: Clock,
    wanted: &Wanted,
) -> Result<Evidence, EvidenceError> {
    let source = from.load().map_err(EvidenceError::Collateral)?;
    let appraiser: Arc<dyn Appraiser> = Arc::new(PolicyAppraiser::new(
        policy(),
        wanted.roots.clone(),
        Arc::clone(&source),
        Some(provider),
    ));
    let expected = Expected {
        genesis_hash: Some(wanted.genesis_hash),
        lease: Some(wanted.lease),
        replica: Some(wanted.replica),
        manifest_hash: Some(wanted.manifest_hash),
        agent_key: Some(wanted.keys.agent),
    };
    let mut options = Options::new(expected);
    options.timeout = TIMEOUT;
    options.clock = Arc::clone(&clock);
    let session = |err| EvidenceError::Session(Box::new(err));
    let mut pod = Session::connect(&wanted.address.to_string(), Arc::clone(&appraiser), options)
        .map_err(session)?;
    let issued = pod.registration(wanted.block_hash).map_err(session)?;
    let binding = &issued.binding;
    let found = AttestedKeys {
        agent: binding.agent_key,
        hpke: binding.hpke_key,
        tls_spki_sha256: binding.tls_spki_sha256,
    };
    if found != wanted.keys {
        return Err(EvidenceError::OtherKeys);
    }
    appraiser
        .appraise(&issued.evidence, &binding.report_data(), clock())
        .map_err(EvidenceError::Refused)?;
    let MachineCollateral { endorsements, certificate } =
        collateral::for_chain(&*source, &issued.evidence)?;
    let submission =
        Submission { kind: issued.evidence.kind, evidence: issued.evidence.evidence, certificate };
    Ok(Evidence { submission, endorsements })
}
