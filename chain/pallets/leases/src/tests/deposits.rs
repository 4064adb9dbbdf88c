//! Several accounts' money in one lease, and who may put in the publisher's.

use super::*;
use frame_support::traits::fungibles::{hold::Inspect as _, Inspect as _};
use sp_runtime::{Permill, TokenError};

fn held(asset: Asset, who: &AccountId32) -> Balance {
    Held::balance_on_hold(asset, &HoldReason::Escrow.into(), who)
}

fn parts() -> Vec<(AccountId32, Balance)> {
    let line = crate::Deposits::<Test>::get(LEASE).unwrap_or_default();
    line.0.into_iter().map(|part| (part.who, part.amount)).collect()
}

fn friend() -> AccountId32 {
    accounts()[1].clone()
}

/// Active, paid in `asset`, of which nothing is final for an hour.
fn active_in(asset: Asset) {
    open_with(|terms| {
        terms.asset = asset;
        terms.dispute_seconds = 3_600;
    });
    assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
}

fn fund(who: AccountId32, amount: Balance) -> frame_support::dispatch::DispatchResult {
    Leases::fund(origin(who), LEASE, amount)
}

/// Claims so many seconds more.
fn earn(before: Option<&UsageRecord>, seconds: u64) -> UsageRecord {
    let record = record_after(before, seconds);
    pass(seconds);
    assert_ok!(claim(record));
    record
}

fn end() {
    assert_ok!(Leases::close(origin(publisher()), LEASE));
    assert_ok!(Leases::settle(origin(provider()), LEASE));
}

#[test]
fn the_first_is_spent_first_and_the_last_is_refunded_first() {
    for asset in KINDS {
        build_and_execute(|| {
            assert_ok!(Leases::set_treasury_share(
                RuntimeOrigin::root(),
                Permill::from_percent(10)
            ));
            assert_ok!(Assets::touch_other(origin(stranger()), 1, Treasury::get()));
            active_in(asset);
            let before = Held::balance(asset, &provider());
            assert_ok!(fund(stranger(), DEPOSIT));
            assert_ok!(fund(friend(), DEPOSIT));
            // More of the publisher's joins its own, before the others'.
            assert_ok!(fund(publisher(), 500));
            let first = (publisher(), DEPOSIT + 500);
            let expected = [first, (stranger(), DEPOSIT), (friend(), DEPOSIT)];
            assert_eq!(parts(), expected);
            told(Event::Funded { lease: LEASE, from: friend(), amount: DEPOSIT });
            // What the publisher has put in, and half of what the stranger has.
            let seconds = u64::try_from((3 * DEPOSIT / 2) / PRICE_PER_SECOND).unwrap();
            earn(None, seconds);
            let earned = lease().earned();
            assert!(earned > DEPOSIT + 500 && earned < 2 * DEPOSIT);
            assert_eq!(parts(), expected, "a claim does not touch them");
            end();
            let rest = 2 * DEPOSIT + 500 - earned;
            told(Event::Settled { lease: LEASE, paid: earned, refunded: DEPOSIT + rest });
            told(Event::GivenBack { lease: LEASE, to: friend(), amount: DEPOSIT });
            told(Event::GivenBack { lease: LEASE, to: stranger(), amount: rest });
            assert_eq!(held(asset, &friend()), 0);
            assert_eq!(held(asset, &stranger()), DEPOSIT - rest);
            assert_eq!(held(asset, &publisher()), DEPOSIT + 500);
            check_invariants();
            pass(2 * 3_600);
            assert_ok!(Leases::payout(origin(stranger()), LEASE));
            for who in [publisher(), stranger(), friend()] {
                assert_eq!(held(asset, &who), 0);
            }
            assert_eq!(parts(), []);
            let share = earned / 10;
            assert_eq!(Held::balance(asset, &Treasury::get()), share);
            assert_eq!(Held::balance(asset, &provider()) - before, earned - share);
        });
    }
}

#[test]
fn a_refunded_claim_goes_back_to_whom_it_was_taken_from() {
    build_and_execute(|| {
        active_in(DOLLAR);
        assert_ok!(fund(friend(), DEPOSIT));
        let seconds = u64::try_from((3 * DEPOSIT / 2) / PRICE_PER_SECOND).unwrap();
        earn(None, seconds);
        let earned = lease().earned();
        assert_ok!(Leases::contest(origin(publisher()), LEASE));
        end();
        assert_eq!(held(DOLLAR, &friend()), earned - DEPOSIT);
        // A third of it stands: less than the publisher has put in.
        let (back, stands) = (earned - earned / 3, earned / 3);
        assert_ok!(Leases::decide(
            RuntimeOrigin::root(),
            LEASE,
            Permill::from_rational(back, earned)
        ));
        check_invariants();
        // Many might get something, so that each waits for who asks.
        assert!(held(DOLLAR, &friend()) > 0);
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(held(DOLLAR, &friend()), 0);
        let paid = Held::balance(DOLLAR, &provider()) - ENDOWMENT;
        assert!(paid.abs_diff(stands) <= 1, "{paid} {stands}");
        assert_eq!(Held::balance(DOLLAR, &publisher()), ENDOWMENT - paid);
        assert_eq!(Held::balance(DOLLAR, &friend()), ENDOWMENT);
    });
}

#[test]
fn a_blocked_depositor_keeps_nobody_else_s_money() {
    build_and_execute(|| {
        active_in(DOLLAR);
        assert_ok!(fund(stranger(), DEPOSIT));
        assert_ok!(fund(friend(), DEPOSIT));
        assert_ok!(Assets::block(origin(issuer()), 1, friend()));
        end();
        told(Event::Settled { lease: LEASE, paid: 0, refunded: 2 * DEPOSIT });
        assert_eq!(held(DOLLAR, &friend()), DEPOSIT);
        assert_eq!(held(DOLLAR, &stranger()) + held(DOLLAR, &publisher()), 0);
        assert_eq!(lease().escrow, DEPOSIT);
        check_invariants();
        assert_noop!(Leases::payout(origin(stranger()), LEASE), TokenError::CannotCreate);
        assert_ok!(Assets::thaw(origin(issuer()), 1, friend()));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(Held::balance(DOLLAR, &friend()), ENDOWMENT);
    });
}

#[test]
fn a_lost_contest_costs_the_publisher_alone() {
    build_and_execute(|| {
        active_in(DOLLAR);
        assert_ok!(fund(friend(), DEPOSIT));
        // All of the publisher's is spent and paid out; what follows is the friend's.
        let seconds = u64::try_from(DEPOSIT / PRICE_PER_SECOND).unwrap() + 1;
        let first = earn(None, seconds);
        let earned = lease().earned();
        pass(2 * 3_600);
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        assert_eq!(parts().len(), 1);
        earn(Some(&first), 10);
        let second = lease().open_amount();
        assert_ok!(Leases::contest(origin(publisher()), LEASE));
        let deposit = Held::balance_on_hold(DOLLAR, &HoldReason::Contest.into(), &publisher());
        // The provider can't take what the publisher has lost: it is the first to be paid later.
        assert_ok!(Assets::block(origin(issuer()), 1, provider()));
        assert_ok!(Leases::decide(RuntimeOrigin::root(), LEASE, Permill::zero()));
        assert_eq!(parts(), [(publisher(), deposit), (friend(), lease().held() - deposit)]);
        check_invariants();
        assert_ok!(Assets::thaw(origin(issuer()), 1, provider()));
        assert_ok!(Leases::payout(origin(stranger()), LEASE));
        end();
        let all = |who| Held::total_balance(DOLLAR, &who);
        assert_eq!(all(friend()), ENDOWMENT - (earned - DEPOSIT) - second);
        assert_eq!(all(publisher()), ENDOWMENT - DEPOSIT - deposit);
        assert_eq!(all(provider()), ENDOWMENT + earned + second + deposit);
    });
}

#[test]
fn what_a_won_contest_can_not_give_back_at_once_is_the_last_to_be_spent() {
    build_and_execute(|| {
        active_in(DOLLAR);
        assert_ok!(fund(friend(), DEPOSIT));
        let first = earn(None, 10);
        assert_ok!(Leases::contest(origin(publisher()), LEASE));
        let deposit = Held::balance_on_hold(DOLLAR, &HoldReason::Contest.into(), &publisher());
        assert_ok!(Assets::freeze_asset(origin(issuer()), 1));
        assert_ok!(Leases::decide(RuntimeOrigin::root(), LEASE, Permill::one()));
        told(Event::DepositKept { lease: LEASE, amount: deposit });
        let expected = [(publisher(), DEPOSIT), (friend(), DEPOSIT), (publisher(), deposit)];
        assert_eq!(parts(), expected);
        check_invariants();
        assert_ok!(Assets::thaw_asset(origin(issuer()), 1));
        // All of what was put in is spent, and some of what was not meant to be.
        let seconds = u64::try_from(2 * DEPOSIT / PRICE_PER_SECOND).unwrap();
        earn(Some(&first), seconds);
        end();
        assert_eq!(held(DOLLAR, &publisher()), DEPOSIT);
        assert!(held(DOLLAR, &friend()) > DEPOSIT - PRICE_PER_SECOND);
        let total = Held::total_balance(DOLLAR, &publisher());
        assert_eq!(total, ENDOWMENT, "what was put down came back first");
    });
}

#[test]
fn the_service_of_a_grace_is_not_to_be_had_for_a_unit() {
    for asset in KINDS {
        build_and_execute(|| {
            active_in(asset);
            let all = earn(None, u64::try_from(DEPOSIT / PRICE_PER_SECOND).unwrap() + 1);
            let exhausted_at = lease().exhausted_at;
            assert!(exhausted_at.is_some());
            assert_ok!(Leases::authorise(
                origin(publisher()),
                LEASE,
                stranger(),
                Some(10 * DEPOSIT)
            ));
            let least = 60 * PRICE_PER_SECOND;
            assert!(least > lease().terms.deposit_min);
            for amount in [1, lease().terms.deposit_min, least - 1] {
                let too_small = Error::<Test>::DepositTooSmall;
                assert_noop!(fund(publisher(), amount), too_small);
                let too_small = Error::<Test>::DepositTooSmall;
                assert_noop!(fund(friend(), amount), too_small);
                let for_publisher = Leases::fund_for(origin(stranger()), LEASE, amount);
                assert_noop!(for_publisher, Error::<Test>::DepositTooSmall);
            }
            assert_eq!(lease().exhausted_at, exhausted_at, "nor does the grace begin again");
            // Who pays for one has another.
            pass(60);
            assert_ok!(Leases::fund_for(origin(stranger()), LEASE, least));
            assert_eq!(lease().exhausted_at, None);
            assert_ok!(fund(publisher(), 1));
            earn(Some(&all), 61);
            assert_eq!(lease().earned(), DEPOSIT + least + 1);
            // What its provider or the asset asks for at the least is asked for now, too.
            crate::Leases::<Test>::mutate(LEASE, |lease| {
                lease.as_mut().unwrap().terms.deposit_min = least + 1;
            });
            assert_noop!(fund(publisher(), least), Error::<Test>::DepositTooSmall);
            if let Asset::Registered(id) = asset {
                assert_ok!(MoneyList::set_admission(RuntimeOrigin::root(), id, least + 2, true));
                assert_noop!(fund(publisher(), least + 1), Error::<Test>::DepositTooSmall);
            }
            assert_ok!(fund(publisher(), least + 2));
        });
    }
}

#[test]
fn strangers_can_neither_fill_the_line_for_nothing_nor_keep_the_publisher_out() {
    build_and_execute(|| {
        active_in(EURO);
        crate::Leases::<Test>::mutate(LEASE, |lease| {
            lease.as_mut().unwrap().terms.deposit_min = 500;
        });
        assert_noop!(fund(stranger(), 499), Error::<Test>::DepositTooSmall);
        assert_ok!(fund(stranger(), 500));
        assert_ok!(fund(stranger(), 1));
        assert_noop!(fund(stranger(), 0), Error::<Test>::ZeroAmount);
        for other in 1..crate::OTHERS_MAX {
            let who = AccountId32::new([u8::try_from(other).unwrap(); 32]);
            let amount = 500 + ASSET_MINIMUM;
            assert_ok!(Assets::transfer(origin(stranger()), 2, who.clone(), amount));
            assert_ok!(fund(who, 500));
        }
        assert_noop!(fund(friend(), 500), Error::<Test>::TooManyDepositors);
        assert_ok!(fund(publisher(), 1));
        assert_ok!(fund(stranger(), 1));
        end();
        for other in 1..crate::OTHERS_MAX {
            let who = AccountId32::new([u8::try_from(other).unwrap(); 32]);
            assert_eq!(Held::balance(EURO, &who), 500 + ASSET_MINIMUM);
            assert_ok!(Assets::transfer_all(origin(who), 2, stranger(), false));
        }
    });
}

#[test]
fn a_spender_puts_in_what_the_publisher_allows_and_no_more() {
    build_and_execute(|| {
        active_in(DOLLAR);
        let authorise = |by, allowance| Leases::authorise(origin(by), LEASE, stranger(), allowance);
        let fund_for = |amount| Leases::fund_for(origin(stranger()), LEASE, amount);
        assert_noop!(authorise(stranger(), Some(9)), Error::<Test>::NotPublisher);
        assert_noop!(authorise(publisher(), None), Error::<Test>::NotSpender);
        assert_noop!(fund_for(1), Error::<Test>::NotSpender);
        assert_ok!(authorise(publisher(), Some(1_000)));
        told(Event::Authorised { lease: LEASE, spender: stranger(), allowance: Some(1_000) });
        assert_noop!(fund_for(0), Error::<Test>::ZeroAmount);
        assert_noop!(fund_for(1_001), Error::<Test>::AllowanceTooSmall);
        assert_ok!(fund_for(600));
        told(Event::AllowanceUsed { lease: LEASE, spender: stranger(), left: 400 });
        assert_noop!(fund_for(401), Error::<Test>::AllowanceTooSmall);
        // It is the publisher's money, and comes back to the publisher.
        assert_eq!(held(DOLLAR, &publisher()), DEPOSIT + 600);
        assert_eq!(Held::balance(DOLLAR, &stranger()), ENDOWMENT);
        // A new allowance takes the place of the old one.
        assert_ok!(authorise(publisher(), Some(100)));
        assert_noop!(fund_for(101), Error::<Test>::AllowanceTooSmall);
        assert_ok!(fund_for(100));
        assert_ok!(authorise(publisher(), None));
        assert_noop!(fund_for(1), Error::<Test>::NotSpender);
        let close = Leases::close(origin(stranger()), LEASE);
        assert_noop!(close, Error::<Test>::StillFunded);
        assert_ok!(Leases::close(origin(publisher()), LEASE));
        assert_noop!(authorise(publisher(), Some(1)), Error::<Test>::Closing);
        assert_noop!(fund_for(1), Error::<Test>::Closing);
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        assert_eq!(Held::balance(DOLLAR, &publisher()), ENDOWMENT);
    });
}

#[test]
fn a_spender_closes_and_is_forgotten_with_the_lease() {
    build_and_execute(|| {
        active_in(Asset::Native);
        for other in 0..u8::try_from(crate::SPENDERS_MAX).unwrap() {
            let who = AccountId32::new([other; 32]);
            assert_ok!(Leases::authorise(origin(publisher()), LEASE, who, Some(0)));
        }
        let more = Leases::authorise(origin(publisher()), LEASE, stranger(), Some(1));
        assert_noop!(more, Error::<Test>::TooManySpenders);
        let first = AccountId32::new([0; 32]);
        assert_noop!(
            Leases::authorise(origin(publisher()), LeaseId(9), first.clone(), None),
            Error::<Test>::NotFound
        );
        let nothing = Leases::fund_for(origin(first.clone()), LEASE, 1);
        assert_noop!(nothing, Error::<Test>::AllowanceTooSmall);
        assert_ok!(Leases::close(origin(first), LEASE));
        assert!(matches!(lease().state, LeaseState::Closing { reason: EndReason::Stopped, .. }));
        assert_ok!(Leases::settle(origin(provider()), LEASE));
        pass(u64::from(u32::MAX));
        let _ = Leases::forget(origin(stranger()), LEASE);
        assert!(crate::Leases::<Test>::get(LEASE).is_none());
        assert_eq!(crate::Spenders::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_friend_s_money_brings_a_lease_back_whose_own_is_used_up_and_paid_out() {
    for asset in KINDS {
        build_and_execute(|| {
            open_with(|terms| terms.asset = asset);
            assert_ok!(activate(provider(), LEASE, 0, agent().verifying_key().to_bytes()));
            let before = Held::balance(asset, &provider());
            let all = earn(None, u64::try_from(DEPOSIT / PRICE_PER_SECOND).unwrap() + 1);
            assert_ok!(Leases::payout(origin(stranger()), LEASE));
            assert_eq!((lease().escrow, lease().held(), lease().paid), (0, 0, DEPOSIT));
            assert_ok!(fund(friend(), DEPOSIT));
            assert_eq!(parts(), [(friend(), DEPOSIT)]);
            check_invariants();
            earn(Some(&all), 10);
            assert_ok!(Leases::payout(origin(stranger()), LEASE));
            let earned = 10 * PRICE_PER_SECOND;
            assert_eq!(Held::balance(asset, &provider()) - before, DEPOSIT + earned);
            end();
            assert_eq!(Held::balance(asset, &friend()), ENDOWMENT - earned);
        });
    }
}
