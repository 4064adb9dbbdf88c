use casemate_primitives::CASE;

use super::*;
use crate::failure::Report;

#[test]
fn what_cannot_be_paid_is_refused_with_what_is_there_and_what_is_needed() {
    let account = Address([1; 32]);
    check_funds(account, 5 * CASE + 1, "the transfer", 5 * CASE, 0).unwrap();
    check_funds(account, 6 * CASE + 1, "the deposit", 5 * CASE, CASE).unwrap();
    let report = |free, amount, besides| {
        Report::of(&check_funds(account, free, "the deposit", amount, besides).unwrap_err())
    };
    let short = report(2 * CASE, 5 * CASE, CASE);
    let text = short.causes.join(": ");
    for part in [
        "was not done",
        "it has 2 CASE free",
        "the deposit is 5 CASE",
        "1 CASE must be there besides",
        "4 CASE and the fee are missing",
        &account.to_string(),
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(short.hint.unwrap().ends_with("below 1 CASE"));
    assert_eq!(short.exit_code, 1);
    // All of it leaves nothing for the fee.
    let text = report(CASE, CASE, 0).causes.join(": ");
    assert!(text.contains("nothing is left for the fee"), "{text}");
    // No sum overflows, and with nothing there is no smaller amount to choose.
    let all = report(0, Balance::MAX, CASE);
    assert!(all.causes.join(": ").contains("missing"), "{all:?}");
    assert_eq!(all.hint.unwrap(), "get more money to the account");
}
