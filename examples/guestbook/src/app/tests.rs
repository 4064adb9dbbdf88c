use super::*;

fn app() -> (tempfile::TempDir, App) {
    let folder = tempfile::tempdir().unwrap();
    let app = App::new(Store::open(folder.path()).unwrap(), None);
    (folder, app)
}

fn request(method: &str, path: &str, content_type: &str, body: &str) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        content_type: content_type.to_owned(),
        body: body.as_bytes().to_vec(),
        keep_alive: true,
    }
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[test]
fn a_form_entry_is_on_the_page_escaped() {
    let (_folder, app) = app();
    let answer =
        app.answer(&request("POST", "/entries", FORM, "name=Ann&message=%3Cb%3Ehi%0D%0Ayou"));
    assert_eq!(answer.status, 303);
    assert!(answer.headers.contains(&("location", "/".to_owned())));
    let page = text(&app.answer(&request("GET", "/", "", "")));
    assert!(page.contains("&lt;b&gt;hi\nyou") && !page.contains("<b>"), "{page}");
}

#[test]
fn a_json_entry_is_in_the_api() {
    let (_folder, app) = app();
    let answer = app.answer(&request("POST", "/entries", JSON, r#"{"name":"Ann","message":"hi"}"#));
    assert_eq!(answer.status, 201);
    let list = app.answer(&request("GET", "/api/entries", "", ""));
    let list: serde_json::Value = serde_json::from_slice(&list.body).unwrap();
    assert_eq!(list["count"], 1);
    assert_eq!(list["entries"][0]["message"], "hi");
}

#[test]
fn wrong_requests_are_refused_and_store_nothing() {
    let (_folder, app) = app();
    let long = format!("name=a&message={}", "x".repeat(2_001));
    for (method, path, kind, body, status) in [
        ("POST", "/entries", FORM, "name=Ann", 400),
        ("POST", "/entries", FORM, "name=Ann&message=+%0D%0A", 422),
        ("POST", "/entries", FORM, long.as_str(), 422),
        ("POST", "/entries", JSON, "{}", 400),
        ("POST", "/entries", JSON, r#"{"name":"a","message":"b","id":1}"#, 400),
        ("POST", "/entries", "text/plain", "name=a&message=b", 415),
        ("GET", "/entries", "", "", 405),
        ("DELETE", "/", "", "", 405),
        ("POST", "/healthz", "", "", 405),
        ("GET", "/nothing", "", "", 404),
    ] {
        let answer = app.answer(&request(method, path, kind, body));
        assert_eq!(answer.status, status, "{method} {path} {body:.40}");
    }
    assert_eq!(app.store.count(), 0);
    assert_eq!(app.answer(&request("GET", "/healthz", "", "")).status, 200);
}

#[test]
fn only_who_knows_the_password_writes() {
    let folder = tempfile::tempdir().unwrap();
    let password = Password::new(b"s3cret".to_vec());
    let app = App::new(Store::open(folder.path()).unwrap(), password);
    for (kind, body) in [
        (FORM, "name=a&message=b"),
        (FORM, "name=a&message=b&password="),
        (FORM, "name=a&message=b&password=s3cre"),
        (FORM, "name=a&message=b&password=s3crets"),
        (JSON, r#"{"name":"a","message":"b"}"#),
        (JSON, r#"{"name":"a","message":"b","password":"S3cret"}"#),
    ] {
        assert_eq!(app.answer(&request("POST", "/entries", kind, body)).status, 403, "{body}");
    }
    assert_eq!(app.store.count(), 0);
    let right = r#"{"name":"a","message":"b","password":"s3cret"}"#;
    let answer = app.answer(&request("POST", "/entries", JSON, right));
    assert_eq!(answer.status, 201);
    assert!(!text(&answer).contains("s3cret") && !format!("{app:?}").contains("s3cret"));
    let form = request("POST", "/entries", FORM, "name=a&message=b&password=s3cret");
    assert_eq!(app.answer(&form).status, 303);
    assert!(Password::new(Vec::new()).is_none());
}
