use proptest::prelude::*;

use super::*;

fn planck(s: &str) -> Balance {
    s.parse::<Amount>().unwrap().0
}

#[test]
fn units_are_read_exactly() {
    assert_eq!(planck("1.5 CASE"), 1_500_000_000_000);
    assert_eq!(planck("1.5CASE"), 1_500_000_000_000);
    assert_eq!(planck("100 mCASE"), 100_000_000_000);
    assert_eq!(planck("1 uCASE"), 1_000_000);
    assert_eq!(planck("0.000000000001 CASE"), 1);
    assert_eq!(planck("1.50000000000000000000 CASE"), 1_500_000_000_000);
    assert_eq!(planck(" 42 "), 42);
    assert_eq!(planck("42 planck"), 42);
    assert_eq!(planck(&Balance::MAX.to_string()), Balance::MAX);
}

#[test]
fn what_is_no_amount_is_refused_with_its_reason() {
    let error = |s: &str| s.parse::<Amount>().unwrap_err();
    assert_eq!(error(""), ParseAmountError::Empty);
    assert_eq!(error("1.5"), ParseAmountError::UnitMissing("1.5".into()));
    assert_eq!(error("1 case"), ParseAmountError::UnknownUnit("case".into()));
    assert_eq!(error("1 CASE 2"), ParseAmountError::UnknownUnit("CASE 2".into()));
    assert_eq!(error("-1"), ParseAmountError::NotANumber("-1".into()));
    assert_eq!(error("1e3"), ParseAmountError::UnknownUnit("e3".into()));
    assert_eq!(error(".5 CASE"), ParseAmountError::NotANumber(".5".into()));
    assert_eq!(error("1.2.3 CASE"), ParseAmountError::NotANumber("1.2.3".into()));
    assert_eq!(error("0.5 planck"), ParseAmountError::TooPrecise("planck", 0));
    assert_eq!(error("0.0000000000001 CASE"), ParseAmountError::TooPrecise("CASE", 12));
    assert_eq!(error("340282366920938463463374607431768211456"), ParseAmountError::TooLarge);
    assert_eq!(error("340282366920938463463374608 CASE"), ParseAmountError::TooLarge);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(amount: Balance) {
        let written = Amount(amount).to_string();
        prop_assert_eq!(written.parse::<Amount>().unwrap().0, amount);
    }

    #[test]
    fn small_amounts_too(amount in 0..10_000_000u128) {
        let written = Amount(amount).to_string();
        prop_assert_eq!(written.parse::<Amount>().unwrap().0, amount);
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = text.parse::<Amount>();
    }

    #[test]
    fn no_amount_like_text_panics(text in "[0-9.]{0,60} ?[a-zA-Z]{0,6}") {
        let _ = text.parse::<Amount>();
    }
}
