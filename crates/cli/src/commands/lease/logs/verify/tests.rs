use std::sync::Arc;

use casemate_client::{
    api::{Hex, LogChunkEntry, LogChunkList, RecordEntry, RecordList},
    chain::{AgentView, LeaseState, LeaseView},
    provider::ProviderClient,
};
use casemate_logs::{ChunkWriter, LogChunk, Stream};
use casemate_primitives::{
    AgentPublicKey, DeploymentId, LeaseId, LeaseTerms, LogHead, Quantities, Resources, UsageRecord,
    merkle,
};
use codec::Encode as _;
use ed25519_dalek::{Signer as _, SigningKey};
use subxt_signer::sr25519::dev;

use super::*;
use crate::{
    commands::testing::{context, provider_endpoint},
    failure::Report,
    keystore::SecretText,
    state::LeaseNotes,
};

const GENESIS: Hash256 = [7; 32];
const LEASE: LeaseId = LeaseId(5);
const PROVIDER: [u8; 32] = [2; 32];

fn agent() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn agent_key() -> AgentPublicKey {
    agent().verifying_key().to_bytes()
}

fn secret(uri: &str) -> LogSecret {
    SecretText::parse_development(uri).unwrap().log_seed().unwrap().secret(&GENESIS)
}

/// A log of some chunks, of which the agent's record covers all but the last.
fn log(lines: u64, dropped: u64) -> (Vec<LogChunk>, LogHead) {
    let to = secret("//Alice").public().unwrap();
    let mut writer = ChunkWriter::new(GENESIS, LEASE, 0, agent_key(), to).unwrap();
    let mut chunks = Vec::new();
    for number in 0..lines {
        if number == 2 {
            chunks.extend(writer.dropped(1000 * number, dropped));
        }
        let text = format!("line {number}");
        chunks.extend(writer.line(1000 * number, Stream::Stdout, text.as_bytes(), false));
        chunks.extend(writer.flush());
    }
    let leaves: Vec<_> = chunks.iter().map(|chunk| merkle::leaf_hash(&chunk.encode())).collect();
    let size = chunks.len() - 1;
    (chunks, LogHead { root: merkle::root(&leaves[..size]), chunks: size as u64 })
}

fn record(sequence: u64, head: LogHead, by: &SigningKey) -> RecordEntry {
    let record = UsageRecord {
        lease: LEASE,
        sequence,
        from: sequence * 10,
        to: sequence * 10 + 10,
        log: head,
        ..UsageRecord::default()
    };
    RecordEntry {
        key: Hex(by.verifying_key().to_bytes()),
        record: Hex(record.encode()),
        signature: Hex(by.sign(&record.signing_payload(&GENESIS)).to_bytes()),
    }
}

fn info(chunks: u64) -> LogInfo {
    LogInfo { replica: 0, key: Hex(agent_key()), chunks, first: 0, refused: None }
}

/// All chunks in one answer.
fn page(chunks: &[LogChunk], size: u64) -> LogChunkList {
    let leaves: Vec<_> = chunks.iter().map(|chunk| merkle::leaf_hash(&chunk.encode())).collect();
    let entry = |chunk: &LogChunk| {
        let index = chunk.header.index;
        let under = leaves.get(..usize::try_from(size).unwrap()).unwrap_or_default();
        let path = merkle::inclusion_path(under, index);
        LogChunkEntry {
            index,
            chunk: Some(Hex(chunk.encode())),
            path: path.map(|path| path.into_iter().map(Hex).collect()),
        }
    };
    let logs = vec![info(chunks.len() as u64)];
    LogChunkList { logs, size, chunks: chunks.iter().map(entry).collect() }
}

fn view(claimed: u64, key: Option<AgentPublicKey>) -> LeaseView {
    LeaseView {
        id: LEASE,
        deployment: DeploymentId(1),
        manifest_hash: [6; 32],
        version: 1,
        publisher: dev::alice().public_key().0,
        provider: PROVIDER,
        resources: Resources::default(),
        replicas: 1,
        terms: LeaseTerms::default(),
        state: LeaseState::Active,
        escrow: 0,
        paid: 0,
        open: Vec::new(),
        contested: 0,
        final_due: 0,
        reclaim_at: None,
        amendments: 0,
        is_task: false,
        task: None,
        spend_rate_max: 0,
        opened_at: 0,
        agents: key
            .map(|key| AgentView {
                replica: 0,
                key,
                sequence: claimed,
                claimed_to: 0,
                claimed_total: Quantities::default(),
                ended_version: None,
                log: casemate_primitives::LogHead::default(),
                standing: None,
            })
            .into_iter()
            .collect(),
    }
}

/// What a provider says, and what this machine has.
struct Setup {
    /// Of a lease that is not over.
    view: Option<LeaseView>,
    /// What the chain keeps of one that is.
    agents_after: Vec<AgentView>,
    records: Vec<RecordEntry>,
    page: LogChunkList,
    kept: Vec<RecordEntry>,
    account: &'static str,
}

impl Setup {
    fn of((chunks, head): &(Vec<LogChunk>, LogHead)) -> Self {
        Self {
            view: Some(view(1, Some(agent_key()))),
            agents_after: Vec::new(),
            records: vec![record(2, *head, &agent())],
            page: page(chunks, head.chunks),
            kept: Vec::new(),
            account: "//Alice",
        }
    }

    /// What is wrong, if anything.
    async fn verify(self) -> Result<(), String> {
        let Self { view, agents_after, records, page, kept: entries, account } = self;
        let logs = LogChunkList { logs: page.logs.clone(), ..LogChunkList::default() };
        let end = LogChunkList { chunks: Vec::new(), ..page.clone() };
        let json = |list: &LogChunkList| (200, serde_json::to_string(list).unwrap());
        let nobody = (404, r#"{"code": "not-found", "message": "no", "hint": "no"}"#.to_owned());
        let records = (200, serde_json::to_string(&RecordList { records }).unwrap());
        // As they are asked for: status, logs, records, pages.
        let answers = vec![nobody, json(&logs), records, json(&page), json(&end)];
        let endpoint = provider_endpoint(answers);
        let key = Arc::new(dev::alice());
        let client = ProviderClient::new(&endpoint, PROVIDER, GENESIS, key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut kept = KeptRecords::open(&folder.path().join("r"), GENESIS, LEASE).unwrap();
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| SignedRecord::check(entry, LEASE, &GENESIS).unwrap())
            .collect();
        kept.add(&entries).unwrap();
        let agents = view.as_ref().map_or(agents_after, |view| view.agents.clone());
        let place = Place { id: LEASE, view, agents, client };
        let notes = LeaseNotes::new(folder.path(), &GENESIS);
        let names = sealed::Names::of(&place, &notes).await;
        let secret = secret(account);
        let done = run(&context(), &place, &names, &kept, (GENESIS, &secret), None).await;
        done.map_err(|error| Report::of(&error).causes.join(": "))
    }
}

#[tokio::test]
async fn a_whole_log_is_proved_and_its_newest_lines_are_not_missing() {
    Setup::of(&log(6, 0)).verify().await.unwrap();
    // Lines that the agent dropped are told, and no error.
    Setup::of(&log(6, 1000)).verify().await.unwrap();
}

#[tokio::test]
async fn whatever_is_missing_or_wrong_fails() {
    let told = async |setup: Setup, words: &str| {
        let told = setup.verify().await.unwrap_err();
        assert!(told.contains(words), "wanted `{words}` in: {told}");
    };
    let log = log(6, 0);
    let good = || Setup::of(&log);
    let (chunks, head) = &log;
    let without = |gone: usize| {
        let mut page = page(chunks, head.chunks);
        page.chunks.remove(gone);
        Setup { page, ..good() }
    };
    told(without(2), "1 chunks from 2 on are missing").await;
    told(without(0), "1 chunks from 0 on are missing").await;
    let mut cut = page(chunks, head.chunks);
    cut.chunks.truncate(3);
    told(Setup { page: cut, ..good() }, "2 chunks from 3 on are missing").await;
    let none = LogChunkList { logs: vec![info(0)], ..LogChunkList::default() };
    told(Setup { page: none, ..good() }, "5 chunks from 0 on are missing").await;
    let mut changed = chunks.clone();
    changed[1].body[40] ^= 1;
    let forged = page(&changed, head.chunks);
    told(Setup { page: forged, ..good() }, "is not proved").await;
    told(Setup { account: "//Bob", ..good() }, "does not open").await;

    // An older record would make the log look shorter: what was claimed is known.
    let claimed = Some(view(9, Some(agent_key())));
    told(Setup { view: claimed, ..good() }, "has claimed 9").await;
    told(Setup { records: vec![], ..good() }, "shows no record").await;
    // A log other than the one that was claimed.
    let anchored = |log: LogHead| {
        let mut view = view(2, Some(agent_key()));
        view.agents[0].log = log;
        Setup { view: Some(view), ..good() }
    };
    anchored(*head).verify().await.unwrap();
    told(anchored(LogHead { root: [9; 32], ..*head }), "has another log than the chain").await;
    let longer = LogHead { chunks: head.chunks + 1, ..*head };
    let mut ahead = anchored(longer);
    ahead.records = vec![record(3, *head, &agent())];
    told(ahead, "has another log than the chain").await;
    // A record that somebody else has signed, or for another agent.
    let forged = vec![record(2, *head, &SigningKey::from_bytes(&[4; 32]))];
    told(Setup { records: forged, ..good() }, "shows no record").await;
    let mut forged = record(2, *head, &agent());
    forged.signature.0[0] ^= 1;
    told(Setup { records: vec![forged], ..good() }, "no agent has signed").await;
    // Two records with one number, of which either could be shown.
    let mut other = *head;
    other.root[0] ^= 1;
    let both = vec![record(2, *head, &agent()), record(2, other, &agent())];
    told(Setup { records: both, ..good() }, "contradict each other").await;
    // Nothing that could be proved is no proof.
    let nobody = Some(view(0, None));
    told(Setup { view: nobody, ..good() }, "can be proved").await;
    let empty = vec![record(2, LogHead::default(), &agent())];
    told(Setup { records: empty, ..good() }, "can be proved").await;
}

/// What the publisher holds counts, whatever the provider shows.
#[tokio::test]
async fn kept_records_prove_what_the_provider_or_the_chain_has_forgotten() {
    let log = log(6, 0);
    let good = || Setup::of(&log);
    let (chunks, head) = &log;
    let newest = record(3, *head, &agent());
    let shorter = page(&chunks[..3], 2);
    let older = LogHead { root: shorter_root(chunks, 2), chunks: 2 };
    let hidden = Setup {
        records: vec![record(2, older, &agent())],
        page: shorter,
        kept: vec![newest.clone()],
        ..good()
    };
    let told = hidden.verify().await.unwrap_err();
    assert!(told.contains("are missing") || told.contains("is not proved"), "{told}");
    // The lease is over, and its agents are gone from the chain.
    let over = Setup { view: None, records: vec![], kept: vec![newest], ..good() };
    over.verify().await.unwrap();
    // It is over, and the chain still has its agents: by what the provider keeps of them.
    let mut agents_after = view(2, Some(agent_key())).agents;
    agents_after[0].log = *head;
    let last = || Setup { view: None, agents_after: agents_after.clone(), ..good() };
    last().verify().await.unwrap();
    let hidden = Setup { records: vec![], ..last() };
    assert!(hidden.verify().await.unwrap_err().contains("shows no record"));
    let unknown = Setup { view: None, records: vec![], ..good() };
    assert!(unknown.verify().await.unwrap_err().contains("can be proved"));
}

fn shorter_root(chunks: &[LogChunk], size: usize) -> Hash256 {
    let leaves: Vec<_> = chunks.iter().map(|chunk| merkle::leaf_hash(&chunk.encode())).collect();
    merkle::root(&leaves[..size])
}
