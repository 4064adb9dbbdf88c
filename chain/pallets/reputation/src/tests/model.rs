//! Random calls of a crowd; every invariant after each, and the bounds of decision 0012.

use super::*;
use crate::{Complaints, OpenAgainst};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    Paid { publisher: AccountId, provider: AccountId, fee: Balance },
    Ended { publisher: AccountId, provider: AccountId, reason: EndReason, seconds: u64 },
    Contested { publisher: AccountId, provider: AccountId, is_provider_right: bool },
    Challenged { provider: AccountId, is_lost: bool },
    Open { lease: u64, publisher: AccountId, provider: AccountId },
    Close { lease: u64, is_forgotten: bool },
    Complain { lease: u64, by: AccountId },
    CloseComplaint { id: ComplaintId, by: AccountId },
    Resolve { id: ComplaintId, upheld: bool },
    Expire { id: ComplaintId },
    Forget { publisher: AccountId, provider: AccountId },
    Pass { seconds: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    // Few accounts, on both sides, so that they meet.
    let who = || 0..5u64;
    let fee = prop_oneof![Just(0), 0..100u128, 0..10 * CASE, Just(u128::MAX)];
    let reason = prop_oneof![
        Just(EndReason::Stopped),
        Just(EndReason::Reclaimed),
        Just(EndReason::NeverStarted),
        Just(EndReason::OutOfFunds),
        Just(EndReason::ProviderSilent),
        Just(EndReason::Misconduct),
    ];
    prop_oneof![
        4 => (who(), who(), fee).prop_map(|(publisher, provider, fee)| Paid { publisher, provider, fee }),
        2 => (who(), who(), reason, 0..100 * DAY).prop_map(|(publisher, provider, reason, seconds)| {
            Ended { publisher, provider, reason, seconds }
        }),
        1 => (who(), who(), any::<bool>()).prop_map(|(publisher, provider, is_provider_right)| {
            Contested { publisher, provider, is_provider_right }
        }),
        1 => (who(), any::<bool>())
            .prop_map(|(provider, is_lost)| Challenged { provider, is_lost }),
        2 => (0..4u64, who(), who())
            .prop_map(|(lease, publisher, provider)| Open { lease, publisher, provider }),
        1 => (0..4u64, any::<bool>())
            .prop_map(|(lease, is_forgotten)| Close { lease, is_forgotten }),
        4 => (0..4u64, who()).prop_map(|(lease, by)| Complain { lease, by }),
        1 => (0..12u64, who()).prop_map(|(id, by)| CloseComplaint { id, by }),
        2 => (0..12u64, any::<bool>()).prop_map(|(id, upheld)| Resolve { id, upheld }),
        1 => (0..12u64).prop_map(|id| Expire { id }),
        1 => (who(), who()).prop_map(|(publisher, provider)| Forget { publisher, provider }),
        2 => prop_oneof![0..DAY, 0..20 * DAY, 0..20 * HALF_LIFE]
            .prop_map(|seconds| Pass { seconds }),
    ]
}

fn apply(action: Action) {
    use frame_support::{dispatch::DispatchResult, storage::with_storage_layer};
    // As the dispatch does it: what fails leaves nothing.
    let call = |call: &dyn Fn() -> DispatchResult| {
        let _ = with_storage_layer(call);
    };
    match action {
        Action::Paid { publisher, provider, fee } => paid_saturating(publisher, provider, fee),
        Action::Ended { publisher, provider, reason, seconds } => {
            ended(publisher, provider, reason, seconds);
        }
        Action::Contested { publisher, provider, is_provider_right } => {
            <Reputation as LeaseObserver<_>>::contested(&publisher, &provider, is_provider_right);
        }
        Action::Challenged { provider, is_lost: true } => {
            <Reputation as ChallengeObserver<_>>::lost(&provider);
        }
        Action::Challenged { provider, is_lost: false } => {
            <Reputation as ChallengeObserver<_>>::won(&provider);
        }
        Action::Open { lease, publisher, provider } => {
            // Ids are never used again.
            if crate::OpenFor::<Test>::iter_prefix(LeaseId(lease)).next().is_none() {
                open(lease, publisher, provider);
            }
        }
        Action::Close { lease, is_forgotten } => {
            if Known::get().contains_key(&lease) {
                close(LeaseId(lease));
                if is_forgotten {
                    forget(LeaseId(lease));
                }
            }
        }
        Action::Complain { lease, by } => call(&|| {
            Reputation::complain(signed(by), LeaseId(lease), ComplaintKind::Other, [0; 32])
        }),
        Action::CloseComplaint { id, by } => call(&|| Reputation::close_complaint(signed(by), id)),
        Action::Resolve { id, upheld } => {
            call(&|| Reputation::resolve_complaint(RuntimeOrigin::root(), id, upheld));
        }
        Action::Expire { id } => call(&|| Reputation::expire_complaint(signed(STRANGER), id)),
        Action::Forget { publisher, provider } => {
            call(&|| Reputation::forget_pair(signed(STRANGER), publisher, provider));
            call(&|| Reputation::forget_score(signed(STRANGER), provider));
        }
        Action::Pass { seconds } => pass(seconds),
    }
}

fn paid_saturating(publisher: AccountId, provider: AccountId, fee: Balance) {
    let native = Asset::Native;
    <Reputation as LeaseObserver<_>>::paid(&publisher, &provider, native, 0, fee);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_whatever_is_called(actions in prop::collection::vec(action(), 1..80)) {
        new_test_ext().execute_with(|| {
            for action in actions {
                apply(action);
                check_invariants();
            }
            // Whoever has put something down can have it back.
            pass(ARBITRATION + 1);
            for id in Complaints::<Test>::iter_keys().collect::<Vec<_>>() {
                assert_ok!(Reputation::expire_complaint(signed(STRANGER), id));
            }
            check_invariants();
            assert_eq!(ACCOUNTS.map(held).sum::<Balance>(), 0);
            assert_eq!(OpenAgainst::<Test>::iter().count(), 0);
        });
    }

    /// One owner of all accounts does what it likes, in any order: what its providers score never is more
    /// than one and a half of the fees that it has lost.
    #[test]
    fn no_self_dealing_scores_more_than_it_loses(
        actions in prop::collection::vec(action(), 1..80),
    ) {
        new_test_ext().execute_with(|| {
            let mut lost = 0f64;
            let mut touches = 1_000.0;
            for action in actions {
                match &action {
                    Action::Paid { fee, .. } if *fee == u128::MAX => continue,
                    Action::Paid { fee, .. } => lost += *fee as f64,
                    Action::Pass { seconds } => {
                        lost *= (-(*seconds as f64) / HALF_LIFE as f64).exp2();
                    }
                    _ => {}
                }
                apply(action);
                touches += 100.0;
                let rounding = touches + lost * 1e-9;
                let sum = |of: &dyn Fn(AccountId) -> Balance| ACCOUNTS.map(of).sum::<Balance>() as f64;
                let providers = sum(&score);
                let publishers = sum(&|who| Reputation::score_now(&who).publisher.score());
                assert!(providers <= 1.5 * lost + rounding, "{providers} > 1.5 * {lost}");
                assert!(publishers <= lost + rounding, "{publishers} > {lost}");
            }
        });
    }
}
