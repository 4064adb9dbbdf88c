use std::net::TcpListener;

use super::*;

fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
            if answer.is_empty() {
                // Keeps the connection open and says nothing.
                std::mem::forget(stream);
            }
        }
    });
    port
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn status_200_to_399_is_well() {
    for (answer, ok) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.0 302 Found\r\n\r\n", true),
        ("HTTP/1.1 399 X\r\n\r\n", true),
        ("HTTP/1.1 404 Not Found\r\n\r\n", false),
        ("HTTP/1.1 500 X\r\n\r\n", false),
        ("SSH-2.0-OpenSSH_9\r\n", false),
        ("HTTP/1.1 2", false),
        ("HTTP/1.1 2\u{e9}\u{e9}", false),
    ] {
        let result = http_get(server(answer), "/x", "", LONG);
        assert_eq!(result.is_ok(), ok, "{answer:?}: {result:?}");
    }
}

#[test]
fn a_silent_server_is_not_well() {
    let err = http_get(server(""), "/", "", Duration::from_millis(200)).unwrap_err();
    assert!(err.contains("port"), "{err}");
}

#[test]
fn a_closed_port_is_not_well() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(connect(port, LONG).unwrap_err().contains(&port.to_string()));
}
