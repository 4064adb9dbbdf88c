use casemate_primitives::Prices;

use super::*;
use crate::{
    asset::NATIVE,
    commands::lease::testing::{details, provider},
    failure::Report,
};

const NOW: UnixSeconds = 1_050;
const GENESIS: Hash256 = [7; 32];

fn amendment() -> Amendment {
    let terms = details().terms;
    Amendment {
        lease: LeaseId(7),
        number: 1,
        replaces: terms.prices,
        prices: Prices { cpu_millicore_second: 2, ..terms.prices },
        second_min: 0,
        expires_at: NOW + 60,
    }
}

fn told<T: std::fmt::Debug>(result: anyhow::Result<T>) -> String {
    let report = Report::of(&result.unwrap_err());
    format!("{} | {}", report.causes.join(": "), report.hint.unwrap())
}

#[test]
fn a_change_is_told_in_what_it_costs() {
    let change = check(&details(), &amendment(), &NATIVE, NOW).unwrap();
    assert_eq!(change, Change { before: 10, after: 20 });
    // A least price of a second counts for each replica.
    let least = Amendment { second_min: 10, ..amendment() };
    assert_eq!(check(&details(), &least, &NATIVE, NOW).unwrap().after, 20);
}

#[test]
fn what_the_chain_would_refuse_is_refused_first() {
    let check = |amendment: Amendment| check(&details(), &amendment, &NATIVE, NOW);
    let dear = Amendment { second_min: 11, ..amendment() };
    let text = told(check(dear));
    assert!(text.contains("--spend-rate '44 planck'"), "{text}");
    let other = Prices { gpu_second: 1, ..Prices::default() };
    assert!(told(check(Amendment { number: 2, ..amendment() })).contains("other prices"));
    let text = told(check(Amendment { replaces: other, ..amendment() }));
    assert!(text.contains("other prices"), "{text}");
    assert!(told(check(Amendment { expires_at: NOW - 1, ..amendment() })).contains("expired"));
    let endless = Prices { cpu_millicore_second: u128::MAX, ..Prices::default() };
    assert!(told(check(Amendment { prices: endless, ..amendment() })).contains("more money"));
    let reason = casemate_primitives::EndReason::Stopped;
    let over = LeaseDetails { stage: LeaseStage::Ended { at: 1, reason }, ..details() };
    assert!(told(super::check(&over, &amendment(), &NATIVE, NOW)).contains("has ended"));
}

#[test]
fn a_proposal_changes_something() {
    let text = told(propose(&details(), &PriceArgs::default(), &NATIVE, NOW));
    assert!(text.contains("exactly these prices"), "{text}");
}

#[test]
fn what_the_operator_signed_by_hand_is_taken_for_this_lease_and_chain_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lease-7.amendment.json");
    let write = |genesis: Hash256, amendment: Amendment, signed_for: Hash256| {
        let signature = provider().sign(&amendment.signing_payload(&signed_for)).0;
        SignedAmendment::new(genesis, &amendment, signature).write(&path).unwrap();
    };
    let read = || SignedAmendment::read(&path, &GENESIS, &details());
    write(GENESIS, amendment(), GENESIS);
    assert_eq!(read().unwrap().0, amendment());
    write([8; 32], amendment(), [8; 32]);
    assert!(told(read()).contains("another chain"));
    write(GENESIS, amendment(), [8; 32]);
    assert!(told(read()).contains("has not signed"));
    let other = Amendment { lease: LeaseId(8), ..amendment() };
    write(GENESIS, other, GENESIS);
    assert!(told(read()).contains("another lease"));
    // What is readable in it does not count.
    write(GENESIS, amendment(), GENESIS);
    let text = std::fs::read_to_string(&path).unwrap();
    let cheaper =
        text.replacen("\"cpuMillicoreSecond\": \"2\"", "\"cpuMillicoreSecond\": \"0\"", 1);
    assert_ne!(cheaper, text);
    std::fs::write(&path, &cheaper).unwrap();
    assert_eq!(read().unwrap().0.prices.cpu_millicore_second, 2);
    for broken in ["{", "{}", &text.replace("0x", "0y")] {
        std::fs::write(&path, broken).unwrap();
        assert!(told(read()).contains("no signed change of prices"), "{broken}");
    }
}

#[test]
fn new_prices_of_a_lease_in_an_asset_are_told_in_it() {
    let unit = Unit::of_tests();
    let change = Change { before: 10, after: 20 };
    let dearer = Prices { egress_mib: 4, ..amendment().prices };
    let amendment = Amendment { prices: dearer, ..amendment() };
    let text = fields(&change_lines(&details(), &amendment, change, &unit));
    for part in
        ["0.00001 tUSD a second", "0.00002 tUSD a second", "0.000004 tUSD, before 0.000003 tUSD"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("planck") && !text.contains("CASE"), "{text}");
    let dear = Amendment { second_min: 11, ..amendment };
    let text = told(check(&details(), &dear, &unit, NOW));
    assert!(text.contains("--spend-rate '0.000044 tUSD'"), "{text}");
    assert!(text.contains("cost 0.000022 tUSD a second, and may spend 0.00002 tUSD"), "{text}");
    let text = told(propose(&details(), &PriceArgs::default(), &unit, NOW));
    assert!(text.contains("--price-cpu '0.002 tUSD'"), "{text}");
}
