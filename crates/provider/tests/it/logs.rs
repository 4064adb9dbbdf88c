//! Sealed output: from the pod to whoever proves it, and what a provider cannot do about it.

use std::sync::Mutex;

use casemate_client::{
    api::{Hex, LogChunkList, LogInfo, RefusalCode},
    chain::LeaseState,
    provider::{LogOptions, ProviderClient, ProviderError},
    records::SignedRecord,
    sealed_logs::{LogProblem, LogReport, LogSource, LogWalk, OpenedLine, Standing},
};
use casemate_logs::{ChunkWriter, Stream, Tree, open, public_key};
use casemate_manifest::{LogKey, Manifest};
use casemate_primitives::{AgentPublicKey, LeaseId, LogChunk, LogHead, ReplicaIndex};
use casemate_provider_core::{Backend as _, PodId};
use codec::{DecodeAll as _, Encode as _};
use futures::StreamExt as _;
use subxt_signer::sr25519::dev;

use crate::world::{GENESIS, World, manifest, now, provider_key, until};

const SECRET: [u8; 32] = [0x42; 32];

pub(crate) fn sealed(name: &str, replicas: u16) -> String {
    let plain = manifest(name, &format!("{name}.localhost"), 8000, replicas, "");
    let mut manifest = Manifest::from_json(plain.as_bytes()).unwrap();
    let key = LogKey::new(public_key(&SECRET).unwrap()).unwrap();
    assert!(manifest.fill_log_recipient(key));
    String::from_utf8(manifest.to_canonical_json()).unwrap()
}

pub(crate) fn pod(lease: LeaseId, replica: ReplicaIndex) -> PodId {
    PodId { lease, replica, version: 1 }
}

/// Lets a pod write this many lines, each in a chunk of its own. Returns its agent's log.
pub(crate) async fn write(world: &World, id: PodId, lines: std::ops::Range<u64>) -> Tree {
    let running = async || {
        let pods = world.backend.list().await.unwrap();
        pods.iter().find(|pod| pod.id == id)?.agent_key
    };
    let key = until("the pod runs", running).await;
    for line in lines {
        world.backend.print(id, "app", &format!("line {line}"));
        world.backend.advance(2);
        world.backend.usage().await.unwrap();
    }
    let head = world.backend.log_head(id).unwrap();
    Tree { lease: id.lease, replica: id.replica, key, head }
}

/// Waits until the provider keeps as many chunks as the agent has sealed.
pub(crate) async fn kept(client: &ProviderClient, tree: &Tree) -> LogInfo {
    until("the chunks are spooled", async || {
        let logs = client.kept_logs(tree.lease).await.ok()?;
        logs.into_iter().find(|log| log.key.0 == tree.key && log.chunks >= tree.head.chunks)
    })
    .await
}

async fn walk<S: LogSource>(source: &S, tree: &Tree) -> (LogReport, Vec<OpenedLine>) {
    let mut walk = LogWalk::proving(source, *tree, GENESIS);
    let mut lines = Vec::new();
    while let Some(page) = walk.page(&SECRET).await.unwrap() {
        lines.extend(page);
    }
    (walk.report().clone(), lines)
}

fn texts(lines: &[OpenedLine], standing: Standing) -> Vec<String> {
    let of = lines.iter().filter(|line| line.standing == standing);
    of.map(|line| String::from_utf8(line.line.text.clone()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_proved_after_pod_and_lease_are_gone_until_its_retention_is_over() {
    let mut world = World::start_with(|config| {
        config.pricing.retention = "1h".parse().unwrap();
    })
    .await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 1)).await;
    let early = write(&world, pod(lease, 0), 0..3).await;
    let alice = world.client(dev::alice());
    kept(&alice, &early).await;
    world.kill().await;
    let tree = write(&world, pod(lease, 0), 3..70).await;
    world.run().await;
    let alice = world.client(dev::alice());
    let info = kept(&alice, &tree).await;
    assert_eq!((info.first, info.refused), (0, None));

    // The head is in what the agent has signed.
    let entries = alice.records(lease, Some(0), 0).await.unwrap();
    let signed = entries.iter().map(|entry| SignedRecord::check(entry, lease, &GENESIS).unwrap());
    let newest = signed.max_by_key(|signed| signed.record().sequence).unwrap();
    assert_eq!((*newest.key(), newest.record().log), (tree.key, tree.head));
    let (report, lines) = walk(&alice, &tree).await;
    assert_eq!(report.problems, []);
    assert_eq!((report.proved_lines, report.unproved_lines), (71, 0));
    let [span] = report.spans.as_slice() else { panic!("{report:?}") };
    assert_eq!((span.first, span.last), (0, tree.head.chunks - 1));
    let proved = texts(&lines, Standing::Proved);
    assert_eq!(proved.len(), 71);
    assert_eq!((proved[0].as_str(), proved[70].as_str()), ("hello", "line 69"));
    // Under an older head, what came after is there, and not proved.
    let (report, lines) = walk(&alice, &early).await;
    assert_eq!(report.problems, []);
    assert_eq!(texts(&lines, Standing::Proved).len(), 4);
    assert_eq!(report.unproved_lines, 67);

    // Nobody else reads it, the provider itself included, whatever it does.
    let plain = alice.logs(lease, &LogOptions::default()).await.unwrap();
    let plain: Vec<_> = plain.map(Result::unwrap).collect().await;
    assert!(plain.iter().all(|line| !line.text.contains("line")), "{plain:?}");
    let page = world.client(provider_key());
    let page = page.log_chunks(lease, 0, &tree.key, 0, tree.head.chunks).await.unwrap();
    let chunk = page.chunks[1].chunk.clone().unwrap();
    let chunk = LogChunk::decode_all(&mut chunk.0.as_slice()).unwrap();
    open(&chunk, &GENESIS, &[9; 32]).unwrap_err();
    open(&chunk, &[8; 32], &SECRET).unwrap_err();

    // The lease ends, its pod goes, and the chain forgets it.
    let records = alice.records(lease, None, 0).await.unwrap();
    assert!(!records.is_empty());
    let ended_at = now();
    let mut view = world.chain.lease(lease).unwrap();
    view.state = LeaseState::Closing {
        at: ended_at,
        until: ended_at + 10,
        reason: casemate_primitives::EndReason::Stopped,
    };
    world.chain.put_lease(view);
    until("the pod is gone", async || world.backend.list().await.unwrap().is_empty().then_some(()))
        .await;
    world.chain.block(|snapshot| {
        snapshot.leases.remove(&lease);
        snapshot.time = ended_at + 20;
    });
    until("the lease is gone", async || alice.lease(lease).await.err()).await;
    world.kill().await;
    world.run().await;
    let alice = world.client(dev::alice());
    until("the chain was read", async || alice.info().await.unwrap().block_number).await;
    assert_eq!(walk(&alice, &tree).await.0.problems, []);
    let last = alice.records(lease, Some(0), 0).await.unwrap();
    assert!(last.iter().any(|entry| entry.key.0 == tree.key), "{last:?}");
    let charlie = world.client(dev::charlie()).kept_logs(lease).await.unwrap_err();
    assert_eq!(charlie.refusal_code(), Some(RefusalCode::NotFound));
    let charlie = world.client(dev::charlie()).records(lease, None, 0).await.unwrap_err();
    assert_eq!(charlie.refusal_code(), Some(RefusalCode::NotFound));

    // The spool is swept at each start, and each minute; an hour after the retention, as a challenge may
    // be open at its end.
    world.chain.block(|snapshot| snapshot.time = ended_at + 2 * 3600 + 1);
    world.kill().await;
    world.run().await;
    let alice = world.client(dev::alice());
    let over = until("the retention is over", async || alice.kept_logs(lease).await.err()).await;
    assert_eq!(over.refusal_code(), Some(RefusalCode::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hostile_agent_writes_is_refused_and_told_once() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 2)).await;
    let other = world.deploy(2, dev::charlie(), &sealed("b", 1)).await;
    let (id, alice) = (pod(lease, 0), world.client(dev::alice()));
    let tree = write(&world, id, 0..2).await;
    kept(&alice, &tree).await;
    let recipient = public_key(&SECRET).unwrap();
    let chunk = |lease, replica, key: AgentPublicKey, index| {
        let mut writer = ChunkWriter::new(GENESIS, lease, replica, key, recipient).unwrap();
        drop(writer.line(1, Stream::Stdout, b"lie", false));
        let mut chunk = writer.flush().unwrap();
        chunk.header.index = index;
        chunk
    };
    let theirs = write(&world, pod(other, 0), 0..1).await;
    for _ in 0..3 {
        world.backend.write_chunk(id, None);
        // Another lease's log, and another replica's.
        world.backend.write_chunk(id, Some(chunk(other, 0, theirs.key, theirs.head.chunks)));
        world.backend.write_chunk(id, Some(chunk(lease, 1, [5; 32], 0)));
        // Out of order, in place of what was there, and too long.
        world.backend.write_chunk(id, Some(chunk(lease, 0, [6; 32], 7)));
        world.backend.write_chunk(id, Some(chunk(lease, 0, tree.key, 0)));
        let mut long = chunk(lease, 0, [7; 32], 0);
        long.body = vec![0; 20_000];
        world.backend.write_chunk(id, Some(long));
    }
    let refused = until("all of it is refused", async || {
        let events = alice.events(lease, 0).await.unwrap();
        let refused: Vec<_> =
            events.into_iter().filter(|event| event.kind == "log-refused").collect();
        (refused.len() >= 6 && world.backend.logged().await.unwrap().is_empty()).then_some(refused)
    })
    .await;
    assert_eq!(refused.len(), 6, "each is told once: {refused:?}");
    // What was there before can be proved, and others' logs are untouched.
    assert_eq!(walk(&alice, &tree).await.0.problems, []);
    let charlie = world.client(dev::charlie());
    kept(&charlie, &theirs).await;
    assert_eq!(walk(&charlie, &theirs).await.0.problems, []);
    assert_eq!(
        charlie.events(other, 0).await.unwrap().iter().filter(|e| e.kind == "log-refused").count(),
        0
    );
}

/// What a provider makes of its answers.
type Change = Box<dyn FnMut(&mut LogChunkList, u64) + Send>;

/// A provider that tampers with what it keeps. Its answers are short, so that there are several.
struct Tampering<'a> {
    client: &'a ProviderClient,
    change: Mutex<Change>,
}

impl LogSource for Tampering<'_> {
    async fn chunks(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: &AgentPublicKey,
        from: u64,
        size: u64,
    ) -> Result<LogChunkList, ProviderError> {
        let mut page = self.client.log_chunks(lease, replica, key, from, size).await?;
        page.chunks.truncate(4);
        (self.change.lock().unwrap())(&mut page, from);
        Ok(page)
    }
}

fn at(page: &mut LogChunkList, index: u64) -> Option<&mut casemate_client::api::LogChunkEntry> {
    page.chunks.iter_mut().find(|entry| entry.index == index)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_provider_does_to_a_log_is_seen() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 2)).await;
    let alice = world.client(dev::alice());
    let tree = write(&world, pod(lease, 0), 0..13).await;
    let second = write(&world, pod(lease, 1), 0..13).await;
    let count = tree.head.chunks;
    assert!(count >= 13, "{count}");
    kept(&alice, &tree).await;
    kept(&alice, &second).await;
    let others = alice.log_chunks(lease, 1, &second.key, 0, second.head.chunks).await.unwrap();
    let own = alice.log_chunks(lease, 0, &tree.key, 0, count).await.unwrap();
    let older = alice.log_chunks(lease, 0, &tree.key, 0, 9).await.unwrap();

    let tampered = |change: Change| {
        let source = Tampering { client: &alice, change: Mutex::new(change) };
        let tree = &tree;
        async move {
            let (report, lines) = walk(&source, tree).await;
            // Whatever is shown as proved is what the pod wrote, each line once and in its order.
            let proved = texts(&lines, Standing::Proved);
            let written: Vec<String> = std::iter::once("hello".to_owned())
                .chain((0..13).map(|line| format!("line {line}")))
                .collect();
            let mut rest = written.iter();
            assert!(proved.iter().all(|line| rest.any(|w| w == line)), "{proved:?}");
            (report, proved.len())
        }
    };
    let missing = |first, count| LogProblem::Missing { first, count };
    let honest = tampered(Box::new(|_, _| ())).await;
    assert_eq!((honest.0.problems, honest.0.spans.len()), (vec![], 1));
    let all = honest.1;

    type Case = (&'static str, Change, Vec<LogProblem>);
    let remove = |gone: std::ops::Range<u64>| -> Change {
        Box::new(move |page, _| page.chunks.retain(|entry| !gone.contains(&entry.index)))
    };
    let change_chunk = |index: u64, change: fn(&mut Vec<u8>)| -> Change {
        Box::new(move |page, _| {
            if let Some(entry) = at(page, index) {
                change(&mut entry.chunk.as_mut().unwrap().0);
            }
        })
    };
    let (own_5, own_6) = (own.chunks[5].clone(), own.chunks[6].clone());
    let (other_5, old_5) = (others.chunks[5].clone(), older.chunks[5].clone());
    let header = LogChunk::decode_all(&mut own_5.chunk.clone().unwrap().0.as_slice()).unwrap();
    let cases: Vec<Case> = vec![
        ("withheld in a page", remove(5..6), vec![missing(5, 1)]),
        ("withheld at a page's end", remove(3..4), vec![missing(3, 1)]),
        ("the first withheld", remove(0..1), vec![missing(0, 1)]),
        ("the last withheld", remove(count - 1..count), vec![missing(count - 1, 1)]),
        ("cut off", remove(6..u64::MAX), vec![missing(6, count - 6)]),
        ("all withheld", remove(0..u64::MAX), vec![missing(0, count)]),
        (
            "dropped",
            Box::new(|page, _| {
                if let Some(entry) = at(page, 5) {
                    entry.chunk = None;
                }
            }),
            vec![LogProblem::Dropped { index: 5 }],
        ),
        (
            "a byte of the sealed lines changed",
            change_chunk(5, |bytes| *bytes.last_mut().unwrap() ^= 1),
            vec![LogProblem::NotProved { index: 5 }],
        ),
        (
            "the time in the header changed",
            change_chunk(5, |bytes| {
                let mut chunk = LogChunk::decode_all(&mut bytes.as_slice()).unwrap();
                chunk.header.to_ms += 1000;
                *bytes = chunk.encode();
            }),
            vec![LogProblem::NotProved { index: 5 }],
        ),
        (
            "forged path",
            Box::new(|page, _| {
                if let Some(entry) = at(page, 5) {
                    entry.path.as_mut().unwrap()[0].0[0] ^= 1;
                }
            }),
            vec![LogProblem::NotProved { index: 5 }],
        ),
        (
            "no path",
            Box::new(|page, _| {
                if let Some(entry) = at(page, 5) {
                    entry.path = None;
                }
            }),
            vec![LogProblem::NotProved { index: 5 }],
        ),
        (
            "path of an older tree",
            Box::new(move |page, _| {
                if let Some(entry) = at(page, 5) {
                    entry.path.clone_from(&old_5.path);
                }
            }),
            vec![LogProblem::NotProved { index: 5 }],
        ),
        (
            "two chunks in each other's place",
            Box::new(move |page, _| {
                if let Some(entry) = at(page, 5) {
                    (entry.chunk, entry.path) = (own_6.chunk.clone(), own_6.path.clone());
                }
                if let Some(entry) = at(page, 6) {
                    (entry.chunk, entry.path) = (own_5.chunk.clone(), own_5.path.clone());
                }
            }),
            vec![LogProblem::Foreign { index: 5 }, LogProblem::Foreign { index: 6 }],
        ),
        (
            "another replica's chunk",
            Box::new(move |page, _| {
                if let Some(entry) = at(page, 5) {
                    *entry = other_5.clone();
                }
            }),
            vec![LogProblem::Foreign { index: 5 }],
        ),
        (
            "another lease's chunk",
            Box::new(move |page, _| {
                if let Some(entry) = at(page, 5) {
                    let mut foreign = header.clone();
                    foreign.header.lease = LeaseId(77);
                    entry.chunk = Some(Hex(foreign.encode()));
                }
            }),
            vec![LogProblem::Foreign { index: 5 }],
        ),
        (
            "no chunk at all",
            Box::new(|page, _| {
                if let Some(entry) = at(page, 5) {
                    entry.chunk = Some(Hex(vec![1, 2, 3]));
                }
            }),
            vec![LogProblem::Malformed {
                index: 5,
                reason: "these bytes are no chunk of a log".into(),
            }],
        ),
    ];
    for (what, change, problems) in cases {
        let (report, proved) = tampered(change).await;
        assert_eq!(report.problems, problems, "{what}");
        assert!(proved < all, "{what}");
    }

    // Neither is any harm: answers in another order, twice, or from before.
    let harmless: Vec<(&str, Change)> = vec![
        ("turned", Box::new(|page, _| page.chunks.reverse())),
        ("twice", Box::new(|page, _| page.chunks.extend(page.chunks.clone()))),
        (
            "once more from the beginning",
            Box::new(move |page, from| {
                if from > 0 {
                    page.chunks.insert(0, own.chunks[0].clone());
                }
            }),
        ),
    ];
    for (what, change) in harmless {
        let (report, proved) = tampered(change).await;
        assert_eq!((report.problems, proved), (vec![], all), "{what}");
    }

    // The same page for ever does not keep a client for ever.
    let first = alice.log_chunks(lease, 0, &tree.key, 0, count).await.unwrap();
    let first: LogChunkList = LogChunkList { chunks: first.chunks[..4].to_vec(), ..first };
    let (report, _) = tampered(Box::new(move |page, _| *page = first.clone())).await;
    assert_eq!(report.problems, [missing(4, count - 4)]);
    // Nor one that claims a chunk at the end of the world.
    let far = tampered(Box::new(|page, _| {
        if let Some(entry) = page.chunks.last_mut() {
            entry.index = u64::MAX;
        }
    }));
    assert_eq!(far.await.0.problems, [missing(0, count)]);

    // A wrong head proves nothing, and neither does the right one for another key.
    for head in [LogHead { root: [1; 32], ..tree.head }, LogHead { chunks: count - 1, ..tree.head }]
    {
        let (report, lines) = walk(&alice, &Tree { head, ..tree }).await;
        assert_eq!(texts(&lines, Standing::Proved), Vec::<String>::new());
        assert!(!report.problems.is_empty());
    }
    let wrong = Tree { key: second.key, ..tree };
    assert!(!walk(&alice, &wrong).await.0.problems.is_empty());
    // And the wrong secret opens nothing.
    let mut walk = LogWalk::proving(&alice, tree, GENESIS);
    while let Some(page) = walk.page(&[1; 32]).await.unwrap() {
        assert_eq!(page, []);
    }
    assert!(matches!(walk.report().problems[0], LogProblem::Sealed(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_chunks_are_bounded_and_checked() {
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &sealed("a", 1)).await;
    let alice = world.client(dev::alice());
    let tree = write(&world, pod(lease, 0), 0..70).await;
    kept(&alice, &tree).await;
    let page = alice.log_chunks(lease, 0, &tree.key, 0, tree.head.chunks).await.unwrap();
    assert_eq!(page.chunks.len(), 64);
    let none = alice.log_chunks(lease, 0, &tree.key, u64::MAX, u64::MAX).await.unwrap();
    assert_eq!(none.chunks, []);
    let ahead = alice.log_chunks(lease, 0, &tree.key, 0, u64::MAX).await.unwrap();
    assert!(ahead.chunks.iter().all(|entry| entry.path.is_none() && entry.chunk.is_some()));
    let unknown = alice.log_chunks(lease, 0, &[1; 32], 0, 1).await.unwrap();
    assert_eq!((unknown.logs, unknown.chunks), (vec![], vec![]));
    let absent = alice.kept_logs(LeaseId(99)).await.unwrap_err();
    assert_eq!(absent.refusal_code(), Some(RefusalCode::NotFound));
}
