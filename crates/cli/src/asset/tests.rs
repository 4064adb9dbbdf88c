use proptest::prelude::*;

use super::*;

fn list() -> Vec<AssetView> {
    let asset = |id, symbol: &str, decimals| AssetView {
        id,
        symbol: symbol.into(),
        decimals,
        deposit_min: 1,
        open: true,
    };
    vec![asset(1, "tUSD", 6), asset(2, "WHOLE", 0), asset(3, "DEEP", 18)]
}

fn read(text: &str) -> anyhow::Result<Balance> {
    let list = list();
    match text.parse()? {
        AnyAmount::Native(_) => panic!("{text} is in no asset"),
        AnyAmount::Named { number, symbol } => {
            AssetAmount::read(&number, &symbol, &list).map(|amount| amount.value)
        }
    }
}

#[test]
fn amounts_in_assets_have_the_assets_own_decimals() {
    for (text, value) in [
        ("1 tUSD", 1_000_000),
        ("1.5tUSD", 1_500_000),
        ("0.000001 TUSD", 1),
        ("1.50000000 tusd", 1_500_000),
        ("7 WHOLE", 7),
        ("7.0 whole", 7),
        ("340282366920938463463 DEEP", 340_282_366_920_938_463_463 * 10u128.pow(18)),
    ] {
        assert_eq!(read(text).unwrap(), value, "{text}");
    }
}

#[test]
fn what_the_chain_does_not_list_or_an_asset_cannot_express_is_refused() {
    for (text, why) in [
        ("1 EUR", "lists no asset `EUR`"),
        ("0.0000001 tUSD", "at most 6 decimals"),
        ("1.5 WHOLE", "at most 0 decimals"),
        ("340282366920938463464 DEEP", "more money than there can be"),
    ] {
        let error = format!("{:#}", read(text).unwrap_err());
        assert!(error.contains(why), "{text}: {error}");
    }
    for text in ["", "tUSD", "1.tUSD", ".5 tUSD", "1 t-USD", "1 t", "1 ABCDEFGHIJKLM", "-1 tUSD"] {
        assert!(text.parse::<AnyAmount>().is_err(), "{text}");
    }
}

#[test]
fn the_native_token_stays_what_it_was() {
    for text in ["1.5 CASE", "20 uCASE", "7"] {
        assert_eq!(text.parse(), Ok(AnyAmount::Native(text.parse().unwrap())));
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(value: Balance, index in 0..3usize) {
        let list = list();
        let text = AssetAmount { value, asset: &list[index] }.to_string();
        prop_assert_eq!(read(&text).unwrap(), value, "{}", text);
    }

    #[test]
    fn no_text_breaks_it(text in ".{0,40}") {
        if let Ok(AnyAmount::Named { number, symbol }) = text.parse() {
            let _ = AssetAmount::read(&number, &symbol, &list());
        }
    }
}

#[test]
fn an_amount_in_another_unit_is_not_converted() {
    let list = list();
    let dollars = Unit::of(Asset::Registered(1), &list);
    let read = |unit: &Unit, text: &str| unit.read(&text.parse().unwrap());
    assert_eq!(read(&dollars, "1.5 tusd").unwrap(), 1_500_000);
    assert_eq!(read(&Unit::Native, "2 planck").unwrap(), 2);
    for (unit, text) in [
        (&dollars, "1.5 CASE"),
        (&dollars, "7"),
        (&dollars, "1 WHOLE"),
        (&Unit::Native, "1 tUSD"),
        (&Unit::Unlisted(9), "1 tUSD"),
    ] {
        let told = read(unit, text).unwrap_err().to_string();
        assert!(told.contains(&unit.symbol()), "{told}");
    }
    assert_eq!(dollars.text(1_500_000), "1.5 tUSD");
    assert_eq!(Unit::of(Asset::Registered(9), &list).text(7), "7 units of asset 9");
    assert_eq!(Unit::of(Asset::Native, &list), NATIVE);
}
