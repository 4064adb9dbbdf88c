use super::*;

#[test]
fn what_visitors_write_is_text_never_markup() {
    let attack = r#"<script>alert("1")</script><img src=x onerror='alert(2)'>&amp;"#;
    let entry = Entry { id: 7, time: 0, name: attack.to_owned(), message: attack.to_owned() };
    let html = render(&[entry], 1, false);
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("onerror='"));
    let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&lt;img src=x \
                   onerror=&#39;alert(2)&#39;&gt;&amp;amp;";
    assert_eq!(html.matches(escaped).count(), 2);
}

#[test]
fn page_shows_entries_and_how_many_there_are() {
    assert!(render(&[], 0, false).contains("No entries yet"));
    let entry = Entry { id: 1, time: 0, name: "Ann".to_owned(), message: "a\nb".to_owned() };
    let html = render(&[entry], 3, false);
    assert!(html.contains("3 entries") && html.contains("<strong>Ann</strong>"));
    assert!(html.contains("<p>a\nb</p>") && html.contains("1970-01-01T00:00:00Z"));
}

#[test]
fn the_form_asks_for_a_password_where_there_is_one() {
    assert!(!render(&[], 0, false).contains("password"));
    let html = render(&[], 0, true);
    let (field, end) = (html.find(r#"name="password""#).unwrap(), html.find("</form>").unwrap());
    assert!(field < end, "{html}");
}
