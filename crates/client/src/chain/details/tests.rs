use super::*;

fn details(dispute_seconds: u32, silence_seconds: u32) -> LeaseDetails {
    LeaseDetails {
        id: LeaseId(1),
        deployment: DeploymentId(1),
        is_task: false,
        publisher: [1; 32],
        provider: [2; 32],
        resources: Resources::default(),
        replicas: 1,
        terms: LeaseTerms { dispute_seconds, silence_seconds, ..LeaseTerms::default() },
        before: None,
        stage: LeaseStage::Active,
        escrow: 0,
        open: vec![PeriodView { number: 9, amount: 5 }, PeriodView { number: 10, amount: 7 }],
        contest: None,
        final_due: 100,
        paid: 0,
        treasury_share: 0,
        spend_rate_max: 0,
        opened_at: 0,
        claimed_at: 1_000,
        exhausted_at: None,
        reclaim_at: None,
    }
}

#[test]
fn what_can_be_contested_shrinks_as_periods_become_final() {
    let details = details(100, 0);
    assert_eq!((details.open_at(1_050), details.final_at(1_050)), (12, Some(1_200)));
    assert_eq!((details.open_at(1_099), details.final_at(1_099)), (12, Some(1_200)));
    assert_eq!((details.open_at(1_100), details.final_at(1_100)), (7, Some(1_200)));
    assert_eq!((details.open_at(1_200), details.final_at(1_200)), (0, None));
    // Without a dispute time claims are final at once.
    assert_eq!(LeaseDetails { open: Vec::new(), ..self::details(0, 0) }.open_at(1), 0);
}

#[test]
fn a_provider_can_be_evicted_after_the_silence_that_was_agreed_and_not_before() {
    assert_eq!(details(0, 0).evictable_at(), None);
    assert_eq!(details(0, 60).evictable_at(), Some(1_061));
    let reason = EndReason::Stopped;
    let over = LeaseDetails { stage: LeaseStage::Ended { at: 1, reason }, ..details(0, 60) };
    assert_eq!(over.evictable_at(), None);
    let task = LeaseDetails { is_task: true, ..details(0, 60) };
    assert_eq!(task.evictable_at(), None, "nothing is heard of it between its runs");
}

#[test]
fn a_contest_costs_a_tenth_and_never_less_than_the_least() {
    let rules = ContestRules { share: 100_000, deposit_min: 50 };
    assert_eq!(rules.deposit(0), 50);
    assert_eq!(rules.deposit(500), 50);
    assert_eq!(rules.deposit(12_345_670), 1_234_567);
    assert_eq!(rules.deposit(12_345_674), 1_234_567);
    assert_eq!(rules.deposit(12_345_676), 1_234_568);
    // The greatest amount does not overflow.
    assert_eq!(rules.deposit(u128::MAX) / 10, u128::MAX / 100);
}
