use std::sync::Arc;

use casemate_client::{
    api::{Hex, LogChunkEntry, LogChunkList},
    provider::ProviderClient,
};
use casemate_logs::ChunkWriter;
use codec::Encode as _;
use subxt_signer::sr25519::dev;

use super::*;
use crate::{commands::testing::provider_endpoint, keystore::SecretText};

const GENESIS: Hash256 = [7; 32];
const LEASE: LeaseId = LeaseId(5);
const KEY: AgentPublicKey = [3; 32];

fn secret(uri: &str) -> LogSecret {
    SecretText::parse_development(uri).unwrap().log_seed().unwrap().secret(&GENESIS)
}

/// A line in each chunk.
fn chunks(count: u64) -> Vec<LogChunkEntry> {
    let to = secret("//Alice").public().unwrap();
    let mut writer = ChunkWriter::new(GENESIS, LEASE, 0, KEY, to).unwrap();
    let mut chunk = |number: u64| {
        let text = format!("line {number}");
        drop(writer.line(number, Stream::Stdout, text.as_bytes(), false));
        let chunk = writer.flush().unwrap();
        LogChunkEntry { index: number, chunk: Some(Hex(chunk.encode())), path: None }
    };
    (0..count).map(&mut chunk).collect()
}

fn list(count: u64, chunks: &[LogChunkEntry]) -> (u16, String) {
    let log = LogInfo { replica: 0, key: Hex(KEY), chunks: count, first: 0, refused: None };
    let list = LogChunkList { logs: vec![log], size: 0, chunks: chunks.to_vec() };
    (200, serde_json::to_string(&list).unwrap())
}

fn place(answers: Vec<(u16, String)>) -> Place {
    let endpoint = provider_endpoint(answers);
    let client = ProviderClient::new(&endpoint, [2; 32], GENESIS, Arc::new(dev::alice())).unwrap();
    Place { id: LEASE, view: None, agents: Vec::new(), client }
}

fn names() -> Names {
    let pods = [((0, KEY), "l5-r0-v2".to_owned())].into();
    Names { lease: LEASE, pods, container: "web".into(), only: None }
}

fn texts(lines: &[ShownLine]) -> Vec<&str> {
    lines.iter().map(|line| line.entry.text.as_str()).collect()
}

#[tokio::test]
async fn the_newest_lines_come_first_then_what_is_new_and_nothing_twice() {
    let all = chunks(8);
    let busy = (429, r#"{"code": "busy", "message": "no", "hint": "no"}"#.to_owned());
    let place = place(vec![
        list(6, &[]),
        list(6, &all[..6]),
        list(6, &[]),
        // The listing works, the chunks do not come: nothing may be lost by that.
        list(8, &[]),
        busy,
        list(8, &[]),
        list(8, &all[6..]),
        list(8, &[]),
        list(8, &[]),
    ]);
    let secret = secret("//Alice");
    let mut reader = Reader::new(&place, names(), GENESIS, &secret);
    let first = reader.read(Some(2)).await.unwrap();
    assert_eq!(texts(&first), ["line 4", "line 5"]);
    assert_eq!(
        (first[0].entry.pod.as_str(), first[0].entry.container.as_str()),
        ("l5-r0-v2", "web")
    );
    reader.read(None).await.unwrap_err();
    assert_eq!(texts(&reader.read(None).await.unwrap()), ["line 6", "line 7"]);
    assert_eq!(texts(&reader.read(None).await.unwrap()), Vec::<&str>::new());
}

#[tokio::test]
async fn none_of_what_is_there_and_all_that_comes() {
    let all = chunks(3);
    let place = place(vec![list(2, &[]), list(3, &[]), list(3, &all[2..]), list(3, &[])]);
    let secret = secret("//Alice");
    let mut reader = Reader::new(&place, names(), GENESIS, &secret);
    assert_eq!(texts(&reader.read(Some(0)).await.unwrap()), Vec::<&str>::new());
    assert_eq!(texts(&reader.read(None).await.unwrap()), ["line 2"]);
}

#[tokio::test]
async fn another_accounts_output_is_not_shown_as_nothing() {
    let all = chunks(2);
    let place = place(vec![list(2, &[]), list(2, &all), list(2, &[])]);
    let secret = secret("//Bob");
    let mut reader = Reader::new(&place, names(), GENESIS, &secret);
    let told = reader.read(None).await.unwrap_err().to_string();
    assert!(told.contains("cannot be read") && told.contains("another key"), "{told}");
}

/// A provider without such an API keeps none.
#[tokio::test]
async fn an_older_provider_has_no_sealed_logs() {
    let nothing = (404, r#"{"code": "not-found", "message": "no", "hint": "no"}"#.to_owned());
    assert_eq!(kept_logs(&place(vec![nothing])).await.unwrap(), []);
    let broken = (500, r#"{"code": "internal", "message": "no", "hint": "no"}"#.to_owned());
    kept_logs(&place(vec![broken])).await.unwrap_err();
}

#[test]
fn only_the_lines_of_one_container_are_shown_where_that_is_asked_for() {
    let (db, web) = ("db".to_owned(), "web".to_owned());
    assert!(names().shows(None) && names().shows(Some(&db)));
    let first = names().only(Some(web));
    assert!(first.shows(None) && !first.shows(Some(&db)));
    let other = names().only(Some(db.clone()));
    assert!(!other.shows(None) && other.shows(Some(&db)));
}
