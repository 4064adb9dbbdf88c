use super::*;

#[test]
fn only_an_exit_that_nobody_had_a_part_in_is_the_apps_own() {
    for code in [0, 1, 126, 127, 128, 193, 255] {
        assert_eq!(ended_by_itself(code, false), u8::try_from(code).ok());
        assert_eq!(ended_by_itself(code, true), None, "{code}");
    }
    for code in [-1, 129, 137, 143, 192, 256] {
        assert_eq!(ended_by_itself(code, false), None, "{code}");
    }
}
