//! Leases for tests.

use casemate_client::chain::{LeaseDetails, LeaseStage, LeaseState, LeaseView, PeriodView};
use casemate_primitives::{DeploymentId, LeaseId, LeaseTerms, Prices, Resources};

pub(super) const PUBLISHER: [u8; 32] = [1; 32];

fn terms() -> LeaseTerms {
    LeaseTerms {
        prices: Prices { cpu_millicore_second: 1, egress_mib: 3, ..Prices::default() },
        dispute_seconds: 100,
        grace_seconds: 600,
        silence_seconds: 50,
        warn_seconds: [3_600, 60, 0],
        ..LeaseTerms::default()
    }
}

/// It costs ten planck a second.
pub(super) fn lease(escrow: u128) -> LeaseView {
    LeaseView {
        id: LeaseId(7),
        deployment: DeploymentId(1),
        manifest_hash: [0; 32],
        version: 1,
        publisher: PUBLISHER,
        provider: provider().public_key().0,
        resources: Resources { cpu_millicores: 5, ..Resources::default() },
        replicas: 2,
        terms: terms(),
        amendments: 0,
        state: LeaseState::Active,
        escrow,
        open: Vec::new(),
        contested: 0,
        final_due: 0,
        paid: 0,
        spend_rate_max: 20,
        opened_at: 0,
        reclaim_at: None,
        agents: Vec::new(),
        is_task: false,
        task: None,
    }
}

/// The same with a claim in the present and the last period of second 1,050.
pub(super) fn details() -> LeaseDetails {
    let view = lease(0);
    LeaseDetails {
        id: view.id,
        deployment: view.deployment,
        is_task: false,
        publisher: view.publisher,
        provider: view.provider,
        resources: view.resources,
        replicas: view.replicas,
        terms: view.terms,
        before: None,
        stage: LeaseStage::Active,
        escrow: 1_000,
        open: vec![PeriodView { number: 9, amount: 5 }, PeriodView { number: 10, amount: 7 }],
        contest: None,
        final_due: 2,
        paid: 3,
        treasury_share: 50_000,
        spend_rate_max: view.spend_rate_max,
        opened_at: 900,
        claimed_at: 1_040,
        exhausted_at: None,
        reclaim_at: None,
    }
}

pub(super) fn provider() -> subxt_signer::sr25519::Keypair {
    subxt_signer::sr25519::dev::bob()
}
