use casemate_client::chain::ContestView;

use super::*;
use crate::{
    asset::NATIVE,
    commands::lease::testing::{PUBLISHER, details},
    failure::Report,
};

const NOW: UnixSeconds = 1_050;

fn told(result: anyhow::Result<()>) -> String {
    let report = Report::of(&result.unwrap_err());
    format!("{} | {}", report.causes.join(": "), report.hint.unwrap())
}

#[test]
fn only_the_publisher_contests_and_only_what_is_open_and_once() {
    let own = Address(PUBLISHER);
    check_contest(&details(), own, NOW).unwrap();
    let stranger = told(check_contest(&details(), Address([9; 32]), NOW));
    assert!(stranger.contains("only its publisher"), "{stranger}");
    let late = told(check_contest(&details(), own, 1_200));
    assert!(late.contains("no claim of lease 7") && late.contains("lease complain 7"), "{late}");
    let contest = ContestView { amount: 1, deposit: 1, until: 2_000 };
    let twice = LeaseDetails { contest: Some(contest), ..details() };
    assert!(told(check_contest(&twice, own, NOW)).contains("contested already"));
    let mut at_once = details();
    (at_once.terms.dispute_seconds, at_once.open) = (0, Vec::new());
    assert!(told(check_contest(&at_once, own, NOW)).contains("final at once"));
}

#[test]
fn who_is_silent_for_long_enough_can_be_evicted_and_others_can_not() {
    // The last proof came at 1,040, and 50 seconds may pass.
    check_evict(&details(), 1_091).unwrap();
    let early = told(check_evict(&details(), 1_090));
    assert!(early.contains("proved work 50s ago") && early.contains("again in 1s"), "{early}");
    let mut never = details();
    never.terms.silence_seconds = 0;
    assert!(told(check_evict(&never, 9_999)).contains("names no time"));
    let stage = LeaseStage::Ended { at: 1, reason: EndReason::Stopped };
    let over = LeaseDetails { stage, ..details() };
    assert!(told(check_evict(&over, 9_999)).contains("has ended already"));
}

#[test]
fn what_the_chain_knows_is_shown_with_the_times_that_matter() {
    let contest = ContestView { amount: 11, deposit: 4, until: 1_110 };
    let mut details = details();
    (details.contest, details.reclaim_at) = (Some(contest), Some(1_170));
    let json = serde_json::to_value(shown(&details, &[], NOW, &NATIVE)).unwrap();
    assert_eq!(json["open"], "12");
    assert_eq!(json["due"], "2");
    assert_eq!(json["finalAt"], 1_200);
    assert_eq!(json["evictableAt"], 1_091);
    assert_eq!(json["contested"]["deposit"], "4");
    assert_eq!(json["treasuryShare"], 0.05);
    let text = human(&details, &shown(&details, &[], NOW, &NATIVE), NOW, &NATIVE);
    for part in [
        "12 planck, the last of it final in 2m 30s",
        "11 planck against a deposit of 4 planck; arbiters have 1m left",
        "provider leaves:  in 2m",
        "evictable:        in 41s",
        "10s ago",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Later the older period is final, and the arbiters are late.
    let json = serde_json::to_value(shown(&details, &[], 1_120, &NATIVE)).unwrap();
    assert_eq!((&json["open"], &json["due"]), (&"7".into(), &"7".into()));
    let text = human(&details, &shown(&details, &[], 1_120, &NATIVE), 1_120, &NATIVE);
    assert!(text.contains("lease expire-contest 7"), "{text}");
}

#[test]
fn an_ended_lease_says_why() {
    let stage = LeaseStage::Ended { at: 1, reason: EndReason::ProviderSilent };
    let details = LeaseDetails { stage, ..details() };
    let shown = shown(&details, &[], NOW, &NATIVE);
    let text = human(&details, &shown, NOW, &NATIVE);
    assert!(text.contains("ended, its provider was silent"), "{text}");
    assert_eq!(serde_json::to_value(&shown).unwrap()["endReason"], "providerSilent");
}

#[test]
fn a_lease_in_an_asset_is_shown_in_it() {
    let contest = ContestView { amount: 11, deposit: 4, until: 1_110 };
    let mut details = details();
    details.contest = Some(contest);
    details.terms.asset = casemate_primitives::Asset::Registered(1);
    details.terms.second_min = 7;
    details.escrow = 1_500_000;
    let unit = Unit::of_tests();
    let shown = shown(&details, &[], NOW, &unit);
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!((&json["asset"], &json["escrow"]), (&"tUSD".into(), &"1500000".into()));
    let text = human(&details, &shown, NOW, &unit);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "per hour: 0.0504 tUSD",
        "escrow: 1.5 tUSD",
        "paid out: 0.000003 tUSD",
        "due: 0.000002 tUSD",
        "0.000012 tUSD, the last of it final",
        "0.000011 tUSD against a deposit of 0.000004 tUSD",
        "0.000007 tUSD a running second",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("planck") && !text.contains("CASE"), "{text}");
}
