use super::field;

#[test]
fn fields_are_decoded() {
    let body = "name=J%C3%B6rg+K.&message=a%26b%3Dc%0D%0Ad&empty=&flag";
    assert_eq!(field(body, "name").as_deref(), Some("Jörg K."));
    assert_eq!(field(body, "message").as_deref(), Some("a&b=c\r\nd"));
    assert_eq!(field(body, "empty").as_deref(), Some(""));
    assert_eq!(field(body, "flag").as_deref(), Some(""));
    assert_eq!(field(body, "missing"), None);
}

#[test]
fn broken_escapes_do_no_harm() {
    assert_eq!(field("a=100%", "a").as_deref(), Some("100%"));
    assert_eq!(field("a=%4", "a").as_deref(), Some("%4"));
    assert_eq!(field("a=%zz", "a").as_deref(), Some("%zz"));
    assert_eq!(field("a=%ff", "a"), None);
    assert_eq!(field("", "a"), None);
}
