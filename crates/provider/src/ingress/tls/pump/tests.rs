use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn bytes_go_both_ways_and_each_way_ends_by_itself() {
    // Less room than is sent, so that both ways have to wait.
    let (mut client, one) = duplex(100);
    let (other, mut pod) = duplex(100);
    let carried = tokio::spawn(run(one, other, LONG));
    let request = vec![7; 50_000];
    let sent = request.clone();
    let asked = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let mut got = Vec::new();
    pod.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, request);
    // The client has said all and still hears the answer.
    pod.write_all(b"answer").await.unwrap();
    drop(pod);
    assert_eq!(asked.await.unwrap(), b"answer");
    assert!(!carried.await.unwrap());
}

#[tokio::test]
async fn who_breaks_off_ends_it_for_both() {
    let (client, one) = duplex(100);
    let (other, mut pod) = duplex(100);
    let carried = tokio::spawn(run(one, other, LONG));
    drop(client);
    let mut got = Vec::new();
    pod.read_to_end(&mut got).await.unwrap();
    assert!(got.is_empty());
    drop(pod);
    assert!(!carried.await.unwrap());
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_is_closed() {
    let (mut client, one) = duplex(100);
    let (other, mut pod) = duplex(100);
    let carried = tokio::spawn(run(one, other, Duration::from_millis(50)));
    client.write_all(b"last words").await.unwrap();
    let mut got = Vec::new();
    pod.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last words");
    assert!(carried.await.unwrap());
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    // One that has said all and is not answered counts, too.
    let (mut client, one) = duplex(100);
    let (other, _pod) = duplex(100);
    client.shutdown().await.unwrap();
    assert!(run(one, other, Duration::from_millis(50)).await);
}
