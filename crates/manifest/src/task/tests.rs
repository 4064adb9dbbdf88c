use super::*;

#[test]
fn a_budget_is_read_in_the_assets_units() {
    let of = |text: &str, decimals| text.parse::<RunBudget>().unwrap().in_units(decimals);
    assert_eq!(of("0.5", 12), Some(500_000_000_000));
    assert_eq!(of("3", 0), Some(3));
    assert_eq!(of("3.10", 1), Some(31));
    assert_eq!(of("0.000001", 6), Some(1));
    assert_eq!(of("0.0000001", 6), None);
    assert_eq!(of("999999999999999999", 255), None, "more than money can be");
}
