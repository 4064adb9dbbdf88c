use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::any};
use subxt_signer::sr25519::dev;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::world::{World, loopback, manifest, plain, until};

/// An app that says its name, what it was asked, and streams bodies back.
async fn app(at: IpAddr, port: u16, name: &'static str) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(SocketAddr::new(at, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hello = move |request: Request| async move {
        let headers: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
            .collect();
        format!("{name}\n{} {}\n{}", request.method(), request.uri(), headers.concat())
    };
    let slow = move || async move {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        name.into_response()
    };
    let echo = |request: Request| async { Body::new(request.into_body()).into_response() };
    let router = Router::new()
        .route("/echo", any(echo))
        .route("/slow", any(slow))
        .fallback(hello)
        .layer(axum::extract::DefaultBodyLimit::disable());
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (port, task)
}

async fn wait_for(world: &World, host: &str, text: &str) {
    until(text, async || {
        let response = world.get(host, "/").await;
        response.text().await.unwrap().starts_with(text).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_the_pod_of_its_host_name() {
    let world = World::start().await;
    let at = loopback();
    let (port, _app) = app(at, 0, "one").await;
    let unknown = world.get("nobody.localhost", "/").await;
    assert_eq!(unknown.status(), 404);
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", port, 1, "")).await;
    world.place(lease, 0, 1, at);
    wait_for(&world, "a.localhost", "one").await;

    let url = format!("http://{}/path?q=1", world.addresses().ingress);
    let text = plain()
        .get(&url)
        .header("host", "A.Localhost:8080")
        .header("connection", "x-secret")
        .header("x-secret", "1")
        .header("x-forwarded-for", "8.8.8.8")
        .header("proxy-authorization", "x")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.starts_with("one\nGET /path?q=1\n"), "{text}");
    assert!(text.contains("host: A.Localhost:8080\n"), "{text}");
    assert!(text.contains("x-forwarded-for: 127.0.0.1\n"), "{text}");
    assert!(text.contains("x-forwarded-host: A.Localhost:8080\n"), "{text}");
    assert!(text.contains("x-forwarded-proto: http\n"), "{text}");
    for gone in ["8.8.8.8", "x-secret", "proxy-authorization"] {
        assert!(!text.contains(gone), "{text}");
    }

    // A large body, streamed both ways.
    let body: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    let echo = format!("http://{}/echo", world.addresses().ingress);
    let response =
        plain().post(echo).header("host", "a.localhost").body(body.clone()).send().await.unwrap();
    assert!(response.bytes().await.unwrap() == body);

    // Unready: known, but not served.
    world.backend.set_ready("l1-r0-v1".parse().unwrap(), false);
    until("503", async || {
        let response = world.get("a.localhost", "/").await;
        (response.status() == 503 && response.headers().contains_key("retry-after")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_oversized_heads_are_refused() {
    let world = World::start().await;
    let send = async |text: String| {
        let mut stream = TcpStream::connect(world.addresses().ingress).await.unwrap();
        // It may be closed before all is taken.
        let _ = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        // What was not read when it was closed may cost the client the rest of the answer.
        let _ = stream.take(12).read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(send("GET / HTTP/1.1\r\n\r\n".into()).await, "HTTP/1.1 400");
    let two = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    assert_eq!(send(two.into()).await, "HTTP/1.1 400");
    assert_eq!(send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into()).await, "HTTP/1.1 405");
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let refused = send(long).await;
    assert!(refused.is_empty() || refused == "HTTP/1.1 431", "{refused}");
    let refused = send("nonsense\r\n\r\n".into()).await;
    assert!(refused.is_empty() || refused == "HTTP/1.1 400", "{refused}");
    let absolute = "GET http://b.localhost/ HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(send(absolute.into()).await, "HTTP/1.1 404");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_carried_both_ways() {
    let world = World::start().await;
    let at = loopback();
    let listener = TcpListener::bind((at, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                assert!(head.contains("upgrade: websocket\r\n"), "{head}");
                assert!(head.contains("connection: upgrade\r\n"), "{head}");
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                              Upgrade: websocket\r\n\r\nfirst";
                stream.write_all(answer.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", port, 1, "")).await;
    world.place(lease, 0, 1, at);
    let mut stream = until("the upgrade", async || {
        let mut stream = TcpStream::connect(world.addresses().ingress).await.unwrap();
        let ask = "GET /ws HTTP/1.1\r\nHost: a.localhost\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\n\r\n";
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        head.starts_with(b"HTTP/1.1 101").then_some(stream)
    })
    .await;
    let mut got = [0; 5];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"first");
    stream.write_all(b"there and back").await.unwrap();
    let mut got = [0; 14];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"there and back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_port_reaches_its_pod() {
    let world = World::start_with(|config| config.ingress.tcp_ports = (31_900, 31_999)).await;
    let at = loopback();
    let (port, _app) = app(at, 0, "tcp").await;
    let more = format!("        - {{containerPort: {port}, hostPort: 31950}}\n");
    let text = manifest("a", "a.localhost", 1, 1, &more);
    let lease = world.deploy(1, dev::alice(), &text).await;
    world.place(lease, 0, 1, at);
    until("the port answers", async || {
        let mut stream = TcpStream::connect("127.0.0.1:31950").await.ok()?;
        let ask = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.contains("tcp\nGET /").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_loses_no_request() {
    let world = World::start().await;
    let (old_at, new_at) = (loopback(), loopback());
    let (port, old_app) = app(old_at, 0, "old").await;
    let (_, _new_app) = app(new_at, port, "new").await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", port, 1, "")).await;
    world.place(lease, 0, 1, old_at);
    wait_for(&world, "a.localhost", "old").await;

    let stop = Arc::new(AtomicBool::new(false));
    let (old, new) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let base = format!("http://{}", world.addresses().ingress);
    let clients: Vec<_> = (0..16)
        .map(|n| {
            let (stop, base) = (Arc::clone(&stop), base.clone());
            let (old, new) = (Arc::clone(&old), Arc::clone(&new));
            tokio::spawn(async move {
                let client = plain();
                while !stop.load(Ordering::Relaxed) {
                    let path = if n % 4 == 0 { "/slow" } else { "/" };
                    let request = client.get(format!("{base}{path}")).header("host", "a.localhost");
                    let response = request.send().await.unwrap();
                    assert_eq!(response.status(), 200);
                    let text = response.text().await.unwrap();
                    let counter = if text.starts_with("old") { &old } else { &new };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("load on the old pod", async || (old.load(Ordering::Relaxed) > 200).then_some(())).await;
    world.place(lease, 0, 2, new_at);
    let updated = manifest("a2", "a.localhost", port, 1, "");
    world.update(lease, dev::alice(), &updated).await;
    until("the old pod is gone", async || {
        use casemate_provider_core::Backend;
        let pods = world.backend.list().await.unwrap();
        (pods.len() == 1 && pods[0].id.version == 2).then_some(())
    })
    .await;
    // Nobody uses it any more: that it ends now goes unnoticed.
    old_app.abort();
    let mark = new.load(Ordering::Relaxed);
    until("load on the new pod", async || (new.load(Ordering::Relaxed) > mark + 200).then_some(()))
        .await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}
