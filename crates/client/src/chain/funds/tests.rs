use casemate_primitives::{DeploymentId, EndReason, LeaseId, LeaseTerms, Prices, Resources};

use crate::chain::{LeaseState, LeaseView};

/// Two replicas at ten planck a second each.
fn lease(escrow: u128) -> LeaseView {
    LeaseView {
        id: LeaseId(7),
        deployment: DeploymentId(1),
        manifest_hash: [0; 32],
        version: 1,
        amendments: 0,
        publisher: [9; 32],
        provider: [2; 32],
        resources: Resources { cpu_millicores: 10, ..Resources::default() },
        replicas: 2,
        terms: LeaseTerms {
            prices: Prices { cpu_millicore_second: 1, ..Prices::default() },
            grace_seconds: 60,
            warn_seconds: [100, 50, 0],
            ..LeaseTerms::default()
        },
        state: LeaseState::Active,
        escrow,
        open: Vec::new(),
        contested: 0,
        final_due: 0,
        paid: 0,
        spend_rate_max: 40,
        opened_at: 0,
        reclaim_at: None,
        agents: Vec::new(),
        is_task: false,
        task: None,
    }
}

#[test]
fn the_levels_are_those_of_the_quote_at_the_full_price() {
    let level = |escrow| lease(escrow).low_funds().map(|low| (low.level, low.below_seconds));
    assert_eq!(level(2_000), None);
    assert_eq!(level(1_999), Some((1, 100)));
    assert_eq!(level(1_000), Some((1, 100)));
    assert_eq!(level(999), Some((2, 50)));
    assert_eq!(level(0), Some((2, 50)));
    assert_eq!(lease(999).low_funds().unwrap().seconds_left, 49);
    // Where a second has a least price, the money lasts for less time.
    let mut dear = lease(2_000);
    dear.terms.second_min = 11;
    assert_eq!(dear.low_funds().unwrap().seconds_left, 90);
}

#[test]
fn nothing_is_low_where_nothing_was_agreed_costs_anything_or_runs() {
    let mut silent = lease(0);
    silent.terms.warn_seconds = [0; 3];
    assert_eq!(silent.low_funds(), None);
    let mut free = lease(0);
    free.terms.prices = Prices::default();
    assert_eq!(free.low_funds(), None);
    let state = LeaseState::Closing { at: 0, until: 1, reason: EndReason::Stopped };
    assert_eq!(LeaseView { state, ..lease(0) }.low_funds(), None);
}
