use super::*;

fn read(text: &str) -> Result<Request, ReadError> {
    read_request(&mut text.as_bytes(), || Ok(()))
}

#[track_caller]
fn status(text: &str) -> u16 {
    match read(text) {
        Err(ReadError::Refused(response)) => response.status,
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn requests_are_read_one_after_the_other() {
    let mut stream = "POST /entries?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
        Content-Type: Application/JSON; charset=utf-8\r\n\r\nhello\
        GET / HTTP/1.1\r\nhost:a\r\nConnection: close\r\n\r\n"
        .as_bytes();
    let first = read_request(&mut stream, || Ok(())).unwrap();
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/entries"));
    assert_eq!(first.content_type, "application/json");
    assert_eq!(first.body, b"hello");
    assert!(first.keep_alive);
    let second = read_request(&mut stream, || Ok(())).unwrap();
    assert_eq!((second.method.as_str(), second.keep_alive), ("GET", false));
    assert!(matches!(read_request(&mut stream, || Ok(())), Err(ReadError::Closed)));
}

#[test]
fn older_and_absolute_forms() {
    assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
    assert!(read("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap().keep_alive);
    let absolute = read("GET http://a.b/c?d HTTP/1.1\r\nHost: a.b\r\n\r\n").unwrap();
    assert_eq!(absolute.path, "/c");
    assert_eq!(read("\r\nGET / HTTP/1.1\nHost: a\n\n").unwrap().path, "/");
}

#[test]
fn leave_to_send_is_given_only_when_asked_for() {
    let mut asked = false;
    let text = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx";
    read_request(&mut text.as_bytes(), || {
        asked = true;
        Ok(())
    })
    .unwrap();
    assert!(asked);
    let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    read_request(&mut text.as_bytes(), || panic!("not asked for")).unwrap();
}

#[test]
fn malformed_requests_are_refused() {
    for text in [
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "G T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{1b}[31m HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    ] {
        assert_eq!(status(text), 400, "{text:?}");
    }
    assert_eq!(status("GET / HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
    assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n"), 417);
}

#[test]
fn sizes_are_bounded() {
    let large = "9".repeat(40);
    for length in ["32769", large.as_str()] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(status(&text), 413);
    }
    assert_eq!(status(&"x".repeat(20_000)), 431);
    assert_eq!(status(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000))), 431);
    let many = "a: b\r\n".repeat(65);
    assert_eq!(status(&format!("GET / HTTP/1.1\r\n{many}\r\n")), 431);
}

#[test]
fn a_stream_that_ends_early_is_no_request() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    assert!(matches!(read(""), Err(ReadError::Closed)));
    for end in 1..text.len() {
        assert!(read(&text[..end]).is_err(), "{end}");
    }
    read(text).unwrap();
}

#[test]
fn responses_are_framed() {
    let mut out = Vec::new();
    Response::text(404, "no").with("allow", "GET").write(&mut out, false, true).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain; charset=utf-8\r\nallow: GET\r\n\
         content-length: 3\r\nx-content-type-options: nosniff\r\nconnection: keep-alive\r\n\r\nno\n"
    );
    let mut out = Vec::new();
    Response::text(200, "no").write(&mut out, true, false).unwrap();
    let head = String::from_utf8(out).unwrap();
    assert!(head.contains("content-length: 3\r\n") && head.ends_with("connection: close\r\n\r\n"));
}
