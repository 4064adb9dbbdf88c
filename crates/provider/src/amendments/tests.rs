use casemate_primitives::{Asset, DeploymentId, EndReason, LeaseId, Resources};

use super::*;
use crate::{Config, config::AssetPrices};

const NOW: UnixSeconds = 1_000;

fn pricing() -> PricingConfig {
    Config::parse(Config::SAMPLE).unwrap().pricing
}

fn lease() -> LeaseView {
    let prices = Prices { cpu_millicore_second: 900, ..pricing().prices() };
    LeaseView {
        id: LeaseId(3),
        deployment: DeploymentId(1),
        manifest_hash: [1; 32],
        version: 1,
        amendments: 0,
        publisher: [2; 32],
        provider: [3; 32],
        resources: Resources { cpu_millicores: 100, memory_mib: 1, storage_mib: 1, gpus: 0 },
        replicas: 2,
        terms: LeaseTerms { prices, ..LeaseTerms::default() },
        state: LeaseState::Active,
        escrow: 1,
        open: Vec::new(),
        contested: 0,
        final_due: 0,
        paid: 0,
        spend_rate_max: 1,
        opened_at: 0,
        reclaim_at: None,
        agents: Vec::new(),
        is_task: false,
        task: None,
    }
}

fn amendment() -> Amendment {
    Amendment {
        lease: LeaseId(3),
        number: 1,
        replaces: lease().terms.prices,
        prices: pricing().prices(),
        second_min: u128::from(pricing().second_min),
        expires_at: NOW + 60,
    }
}

fn code(amendment: Amendment, lease: &LeaseView) -> Option<RefusalCode> {
    check(&amendment, lease, &pricing(), NOW).err().map(|refusal| refusal.code)
}

#[test]
fn what_is_at_least_the_list_price_is_signed() {
    assert_eq!(code(amendment(), &lease()), None);
    let dearer = Prices { egress_mib: u128::from(u64::MAX), ..amendment().prices };
    assert_eq!(code(Amendment { prices: dearer, ..amendment() }, &lease()), None);
}

#[test]
fn nothing_below_the_list_price_is_signed() {
    let changes: [fn(&mut Prices); 5] = [
        |p| p.cpu_millicore_second -= 1,
        |p| p.memory_mib_second -= 1,
        |p| p.storage_mib_second -= 1,
        |p| p.egress_mib -= 1,
        |p| *p = Prices::default(),
    ];
    for change in changes {
        let mut low = amendment();
        change(&mut low.prices);
        assert_eq!(code(low, &lease()), Some(RefusalCode::AgainstRules), "{low:?}");
    }
    // Each price counts for itself: a dear one does not make up for a cheap one.
    let mut mixed = amendment();
    mixed.prices.cpu_millicore_second *= 1_000;
    mixed.prices.memory_mib_second = 0;
    assert_eq!(code(mixed, &lease()), Some(RefusalCode::AgainstRules));
    let pricing = PricingConfig { second_min: 7, ..pricing() };
    assert!(check(&amendment(), &lease(), &pricing, NOW).is_err());
    let enough = Amendment { second_min: 7, ..amendment() };
    assert!(check(&enough, &lease(), &pricing, NOW).is_ok());
}

#[test]
fn a_proposal_is_for_this_lease_as_it_is_now() {
    let bad = Some(RefusalCode::BadRequest);
    let unfit = Some(RefusalCode::DoesNotFitLease);
    assert_eq!(code(Amendment { lease: LeaseId(4), ..amendment() }, &lease()), bad);
    let other = Prices { gpu_second: 1, ..amendment().replaces };
    assert_eq!(code(Amendment { replaces: other, ..amendment() }, &lease()), unfit);
    // A change of the least price alone leaves the others as they were: the number tells.
    assert_eq!(code(amendment(), &LeaseView { amendments: 1, ..lease() }), unfit);
    assert_eq!(code(Amendment { number: 2, ..amendment() }, &lease()), unfit);
    let state = LeaseState::Closing { at: 1, until: 2, reason: EndReason::Stopped };
    assert_eq!(code(amendment(), &LeaseView { state, ..lease() }), unfit);
    let mut foreign = lease();
    foreign.terms.asset = Asset::Registered(1);
    assert_eq!(code(amendment(), &foreign), Some(RefusalCode::AgainstRules));
}

#[test]
fn a_signature_is_good_for_as_long_as_a_quote_at_most() {
    let at = |expires_at| code(Amendment { expires_at, ..amendment() }, &lease());
    let bad = Some(RefusalCode::BadRequest);
    assert_eq!(at(NOW), bad);
    assert_eq!(at(NOW + 1), None);
    assert_eq!(at(NOW + 120), None);
    assert_eq!(at(NOW + 121), bad);
    assert_eq!(at(u64::MAX), bad);
}

#[test]
fn prices_that_no_number_holds_are_refused() {
    let prices = Prices { cpu_millicore_second: u128::MAX, ..amendment().prices };
    let refused = code(Amendment { prices, ..amendment() }, &lease());
    assert_eq!(refused, Some(RefusalCode::BadRequest));
}

#[test]
fn a_lease_in_an_asset_is_amended_by_the_assets_own_price_list() {
    let list = AssetPrices {
        asset: 1,
        cpu_millicore_second: 3,
        memory_mib_second: 2,
        egress_mib: 40,
        second_min: 500,
        ..AssetPrices::default()
    };
    // Neither another asset's list nor the native one has a say in it.
    let other = AssetPrices { asset: 2, cpu_millicore_second: 1, ..list.clone() };
    let pricing = PricingConfig { assets: vec![other, list.clone()], ..pricing() };
    let mut lease = lease();
    lease.terms.asset = Asset::Registered(1);
    lease.terms.prices = Prices { cpu_millicore_second: 2, ..Prices::default() };
    let listed = Amendment {
        number: 1,
        replaces: lease.terms.prices,
        prices: Prices {
            cpu_millicore_second: 3,
            memory_mib_second: 2,
            egress_mib: 40,
            ..Prices::default()
        },
        second_min: 500,
        ..amendment()
    };
    let code = |amendment: &Amendment, lease: &LeaseView| {
        check(amendment, lease, &pricing, NOW).err().map(|refusal| refusal.code)
    };
    assert!(pricing.prices().cpu_millicore_second > 3, "the native list would refuse it");
    assert_eq!(code(&listed, &lease), None);
    let changes: [fn(&mut Amendment); 4] = [
        |a| a.prices.cpu_millicore_second -= 1,
        |a| a.prices.memory_mib_second -= 1,
        |a| a.prices.egress_mib -= 1,
        |a| a.second_min -= 1,
    ];
    for change in changes {
        let mut low = listed;
        change(&mut low);
        assert_eq!(code(&low, &lease), Some(RefusalCode::AgainstRules), "{low:?}");
    }
    // What is too little in this asset is not too little in the other one, and the reverse.
    lease.terms.asset = Asset::Registered(2);
    let mut low = listed;
    low.prices.cpu_millicore_second = 1;
    assert_eq!(code(&low, &lease), None);
    // An asset that is not taken any more has no list to be measured by.
    lease.terms.asset = Asset::Registered(3);
    let refused = check(&listed, &lease, &pricing, NOW).unwrap_err();
    assert_eq!(refused.code, RefusalCode::AgainstRules);
    assert!(refused.message.contains("no price list any more"), "{refused:?}");
}
