//! Attacks on the road between a publisher, a provider and a pod. Each begins with what the attacker
//! would have in truth, shows that his tools work, and then that they get him nothing.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use casemate_attestation::{Binding, TeeKind};
use casemate_client::{
    api::PodInfo,
    chain::{AttestedKeys, Call, ChainClient, ChainError, Submission},
};
use casemate_primitives::{AgentPublicKey, CASE, LeaseId, ReplicaIndex};
use casemate_ra_tls::SECRETS_PATH;
use casemate_tests::{
    Careless, Cluster, Ledger, Options, Provider, Run, Service, User, until, with_cluster,
};
use codec::Decode as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use subxt_signer::sr25519::{Keypair, dev};

use crate::{
    attestation::says,
    common::{deploy, deployed, paid_more},
    middle::{Middle, Way, identity, ordinary},
    rogue::{Rogue, binding_of, certificate, evidence_in, session_answer},
    secrets::{SOFTWARE, canary, in_memory, keep, named, with_password, write},
};

/// A submission as the block has it that took it.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) keys: AttestedKeys,
    pub(crate) block: u32,
    pub(crate) submission: Submission,
}

/// More blocks than a nonce is good for.
const NONCE_BLOCKS: u32 = 257;

#[test]
fn evidence_that_was_accepted_once_is_of_no_use_to_anybody_else() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let before = ledger.height().await?;
        let (ann, provider) = (&cluster.publishers[0], &mut cluster.providers[0]);
        let mut service = Service::new("book", &cluster.first);
        service.replicas = 2;
        let book = deploy(ann, &service, &[])?.lease;
        let other = deploy(ann, &Service::new("other", &cluster.first), &[])?.lease;
        // The daemon would spend its account's nonces; its pods go on.
        provider.stop()?;
        let recorded = recorded(&ledger, before, book, 0).await?;
        let provider_key = &*provider.user.key;
        let again = async |signer: &Keypair, lease, replica, block| {
            let Recorded { keys, submission, .. } = recorded.clone();
            chain.attest(signer, lease, replica, keys, block, submission).await
        };

        // Whole as it is, it is taken: what follows is refused for what is said of it.
        again(provider_key, book, 0, recorded.block).await?;
        let key = on_chain(&chain, book, 1).await?;
        let stranger = again(&ann.key, book, 0, recorded.block).await;
        refused(stranger, "Leases.NotProvider")?;
        let for_another_lease = again(provider_key, other, 0, recorded.block).await;
        refused(for_another_lease, "Attestation.Binding")?;
        let for_another_replica = again(provider_key, book, 1, recorded.block).await;
        refused(for_another_replica, "Attestation.Binding")?;
        let as_if_it_were_new = again(provider_key, book, 0, ledger.height().await?).await;
        refused(as_if_it_were_new, "Attestation.Binding")?;
        let of_a_block_to_come = again(provider_key, book, 0, u32::MAX).await;
        refused(of_a_block_to_come, "Attestation.BlockTooOld")?;

        // In time it is of no use to its own agent either.
        while ledger.height().await? < recorded.block + NONCE_BLOCKS {
            let to = ann.account;
            let call = Call::Transfer { to, amount: CASE / 1_000 };
            chain.submit(&dev::alice(), call).await?;
        }
        let old = again(provider_key, book, 0, recorded.block).await;
        refused(old, "Attestation.BlockTooOld")?;
        assert_eq!(on_chain(&chain, book, 0).await?, recorded.keys.agent);
        assert_eq!(on_chain(&chain, book, 1).await?, key);
        Ok(())
    });
}

#[test]
fn a_recorded_session_gets_no_secret() {
    let middle = Middle::start().unwrap();
    with_cluster(behind(&middle), async |cluster| {
        let pod = Pod::deploy(cluster, &middle).await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let rogue = Arc::new(pod.rogue(cluster, "rogue", &cluster.binaries.agent, None)?);

        // The tools work: who makes evidence for each question is believed in a development network,
        // and the release comes to him, though sealed to the agent. He keeps what he has said.
        let (fresh, kept) = (Arc::clone(&rogue), Arc::new(Mutex::new(Vec::new())));
        let keeps = Arc::clone(&kept);
        let answer = move |asked: &_| {
            let answer = fresh.answer(asked)?;
            keeps.lock().unwrap().push(answer.1.clone());
            Ok(answer)
        };
        middle.now(Way::Answers(rogue.identity()?, Box::new(answer)));
        pod.visited(ann, &middle)?.json()?;
        ensure!(pod.release(ann)?.code == 1, "the rogue has opened it");
        let asked = middle.take_asked();
        ensure!(asked.iter().any(|asked| asked.starts_with("PUT ")), "nothing came: {asked:?}");
        let said = kept.lock().unwrap().first().context("he was asked nothing")?.clone();

        // The same words to another question, and those of the real agent to somebody else.
        let real = session_answer(&mut pod.connect(provider)?, [7; 32])?;
        for words in [said, real] {
            let again = move |_: &_| Ok((200, words.clone()));
            middle.now(Way::Answers(rogue.identity()?, Box::new(again)));
            let shown = pod.visited(ann, &middle)?;
            shown.refuses(&["is refused"])?;
            ensure!(shown.stdout.contains("replay"), "{}", shown.text());
            nothing_was_sent(&pod.release(ann)?, "replay")?;
            let asked = middle.take_asked();
            ensure!(asked.iter().all(|asked| asked.starts_with("GET ")), "{asked:?}");
        }
        pod.has_nothing(provider, &middle)
    });
}

#[test]
fn who_ends_tls_in_the_middle_is_refused_and_hears_no_secret() {
    let middle = Middle::start().unwrap();
    with_cluster(behind(&middle), async |cluster| {
        let pod = Pod::deploy(cluster, &middle).await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let decoy = canary()?;

        // The tools work: the careless reach the real agent through him, and he reads along.
        middle.now(Way::Ends(ordinary(HOST)?, provider.tls()));
        let mut careless = Careless::connect(middle.address(), &pod.name)?;
        let (status, body) = careless.request("PUT", SECRETS_PATH, decoy.as_bytes())?;
        let body = String::from_utf8_lossy(&body);
        ensure!(status == 400 && body.contains("no sealed secrets"), "{status} {body}");
        ensure!(middle.has_seen(&decoy), "he has not read along");

        // His own certificate, the real agent's without its key, and the real agent's evidence in his
        // own certificate.
        let shown = pod.connect(provider)?.certificate()?;
        let key = rcgen::KeyPair::generate()?;
        let copied = certificate(&key, &evidence_in(&shown)?)?;
        for (certificate, words) in [
            (ordinary(HOST)?, "proves nothing"),
            (identity(shown, &key)?, "handshake"),
            (identity(copied, &key)?, "another TLS key"),
        ] {
            middle.now(Way::Ends(certificate, provider.tls()));
            let visited = pod.visited(ann, &middle)?;
            visited.refuses(&["is refused"])?;
            ensure!(visited.stdout.contains(words), "{words}: {}", visited.text());
            nothing_was_sent(&pod.release(ann)?, words)?;
            pod.has_nothing(provider, &middle)?;
        }

        // Without him it works, and what goes through his hands is sealed.
        middle.now(Way::Through(provider.tls()));
        ensure!(pod.release(ann)?.code == 0, "it is not released to the real agent either");
        pod.has_password(provider).await?;
        ensure!(pod.visited(ann, &middle)?.json()?["accepted"] == true, "visitors are refused");
        ensure!(!middle.has_seen(&pod.password), "the proxy has seen it");
        Ok(())
    });
}

#[test]
fn a_pod_that_was_swapped_gets_neither_secret_nor_money() {
    let (middle, folder) = (Middle::start().unwrap(), tempfile::tempdir().unwrap());
    let other_agent = crate::attestation::other_agent(&folder).unwrap();
    with_cluster(behind(&middle), async |cluster| {
        let (chain, ledger) = (cluster.node.chain().await?, cluster.ledger().await?);
        let before = ledger.height().await?;
        let pod = Pod::deploy(cluster, &middle).await?;
        let (ann, binaries) = (&cluster.publishers[0], &cluster.binaries);
        let plain = deploy(ann, &Service::new("plain", &cluster.first), &[])?.lease;
        let paid = paid_more(&chain, plain, 0).await?;
        let key = on_chain(&chain, plain, 0).await?;

        // Behind the same address, under the same keys: another agent, then another image. With
        // neither he would get the release.
        let root_fs = unpacked(&cluster.providers[0])?;
        let attempts = [
            ("same", &binaries.agent, &root_fs, None),
            ("agent", &other_agent, &root_fs, Some("workload")),
            ("image", &binaries.agent, &folder.path().to_owned(), Some("root file system")),
        ];
        for (id, agent, root_fs, words) in attempts {
            let rogue = pod.rogue(cluster, id, agent, Some(root_fs))?;
            let certificate = rogue.identity()?;
            middle.now(Way::Answers(certificate, Box::new(move |asked| rogue.answer(asked))));
            let (visited, released) = (pod.visited(ann, &middle)?, pod.release_of_image(ann)?);
            let asked = middle.take_asked();
            let came = asked.iter().any(|asked| asked.starts_with("PUT "));
            ensure!(came == words.is_none(), "{id}: {asked:?}\n{}", released.text());
            let Some(words) = words else { continue };
            nothing_was_sent(&released, words)?;
            // Visitors know no image: what they are told is whether the agent is approved.
            ensure!((visited.code == 1) == (id == "agent"), "{id}: {}", visited.text());
        }

        // In earnest: all pods start anew with the other agent, whose keys are its own.
        let provider = &mut cluster.providers[0];
        middle.now(Way::Through(provider.tls()));
        provider.stop()?;
        let (old, new) = (binaries.agent.display(), other_agent.display());
        let (old, new) = (old.to_string(), new.to_string());
        provider.edit_config(|text| text.replace(&old, &new))?;
        for process in provider.traces().containers()?.into_values().flatten() {
            kill(Pid::from_raw(process), Signal::SIGKILL)?;
        }
        let swapped_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 1;
        provider.start()?;
        let client = provider.client(ann, &chain)?;
        until("the other agent counts usage", async || {
            let status = client.lease(plain).await?;
            let pod = status.pods.first().context("it has no pod")?;
            let new = pod.agent_key.as_ref().is_some_and(|new| new.0 != key);
            let counts = pod.usage.as_ref().is_some_and(|usage| usage.sequence > 2);
            ensure!(new && pod.ready && counts, "{status:?}");
            Ok(())
        })
        .await?;
        says(provider, ann, &chain, plain, "WorkloadNotApproved").await?;

        // Neither visitors nor the publisher take it for the one that was attested.
        let visited = visit(ann, "plain.localhost", plain, provider.tls())?;
        visited.refuses(&["is refused"])?;
        ensure!(visited.stdout.contains("the agent's key on chain"), "{}", visited.text());
        let refused = pod.release(ann)?;
        refused.refuses(&["released to 0 of 1 replicas"])?;
        ensure!(
            refused.stdout.contains("the agent that the chain has attested"),
            "{}",
            refused.text()
        );
        pod.has_nothing(provider, &middle)?;

        // The bill ends with the old agent.
        ann.json(&["stop", "plain", "--wait"])?;
        let books = ledger.read(before, ledger.height().await?).await?;
        let claims: Vec<_> = books.claims_of(plain).collect();
        ensure!(books.paid(plain) >= paid && !claims.is_empty(), "{claims:?}");
        for claim in claims {
            ensure!(claim.agent == key && claim.record.to <= swapped_at, "{claim:?}");
        }
        Ok(())
    });
}

/// In front of the provider, from the beginning.
fn behind(middle: &Middle) -> Options {
    let mut options = Options::new(1, &["ann"]);
    options.providers[0].tls_public = Some(middle.address());
    options
}

/// Host name of the app with the password.
const HOST: &str = "book.localhost";

/// The guest book with a password that was not released yet, and an agent that the chain has
/// attested.
struct Pod {
    lease: LeaseId,
    password: String,
    /// TLS name of its agent.
    name: String,
    /// What its agent's evidence says.
    binding: Binding,
}

impl Pod {
    async fn deploy(cluster: &Cluster, middle: &Middle) -> Result<Self> {
        let chain = ChainClient::connect(&cluster.node.url()).await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        middle.now(Way::Through(provider.tls()));
        let password = canary()?;
        keep(ann, &password)?;
        let file = ann.write("book.yaml", &with_password(cluster).yaml())?;
        let lease = deployed(&ann.json(&["deploy", &file, "--no-release"])?)?.lease;
        let name = attested(&chain, provider, ann, lease).await?;
        let binding = binding_of(&mut Careless::connect(provider.tls(), &name)?, [1; 32])?;
        let pod = Self { lease, password, name, binding };
        ensure!(on_chain(&chain, lease, 0).await? == pod.binding.agent_key, "another agent");
        Ok(pod)
    }

    /// A connection to its real agent.
    fn connect(&self, provider: &Provider) -> Result<Careless> {
        Careless::connect(provider.tls(), &self.name)
    }

    /// Somebody in its agent's place.
    fn rogue(
        &self,
        cluster: &Cluster,
        id: &str,
        agent: &Path,
        root_fs: Option<&Path>,
    ) -> Result<Rogue> {
        Rogue::launch(cluster, id, self.binding.clone(), agent, root_fs)
    }

    /// `casemate attest URL`, which reaches whoever is in the middle.
    fn visited(&self, user: &User, middle: &Middle) -> Result<Run> {
        visit(user, HOST, self.lease, middle.address())
    }

    /// `casemate secret release` of what the agent is, whatever the image.
    fn release(&self, user: &User) -> Result<Run> {
        user.run(&["secret", "release", "book", SOFTWARE, "--no-image"])
    }

    /// The same with the image.
    fn release_of_image(&self, user: &User) -> Result<Run> {
        user.run(&["secret", "release", "book", SOFTWARE])
    }

    fn has_nothing(&self, provider: &Provider, middle: &Middle) -> Result<()> {
        let processes: Vec<i32> = provider.traces().containers()?.into_values().flatten().collect();
        ensure!(!in_memory(&processes, &self.password)?, "it was released all the same");
        ensure!(!middle.has_seen(&self.password), "who is in the middle has seen it");
        Ok(())
    }

    async fn has_password(&self, provider: &Provider) -> Result<()> {
        until("the app has its password", async || {
            let status = write(provider.ingress(), &self.password)?;
            ensure!(status == 303, "it answers {status}");
            Ok(())
        })
        .await
    }
}

/// `casemate attest URL` of a visitor who knows the lease.
fn visit(user: &User, host: &str, lease: LeaseId, at: SocketAddr) -> Result<Run> {
    let (url, lease, at) = (format!("https://{host}/"), lease.to_string(), at.to_string());
    let attest = ["--output", "json", "attest", &url, "--connect", &at, "--lease", &lease];
    user.run(&[&attest[..], &[SOFTWARE]].concat())
}

/// As a person should see it: exit status, one error, and why.
fn nothing_was_sent(run: &Run, words: &str) -> Result<()> {
    run.refuses(&["released to 0 of 1 replicas"])?;
    ensure!(run.code == 1, "{}", run.text());
    for words in ["REFUSED, nothing was sent", words] {
        ensure!(run.stdout.contains(words), "`{words}` is missing: {}", run.text());
    }
    Ok(())
}

/// The TLS name of a lease's agent, once the chain has attested it and the provider leads to it.
async fn attested(
    chain: &ChainClient,
    provider: &Provider,
    user: &User,
    lease: LeaseId,
) -> Result<String> {
    let client = provider.client(user, chain)?;
    until("the chain has attested the agent", async || {
        let key = on_chain(chain, lease, 0).await?;
        let status = client.lease(lease).await?;
        let its = |pod: &&PodInfo| pod.agent_key.as_ref().is_some_and(|found| found.0 == key);
        let endpoint = status.pods.iter().find(its).and_then(|pod| pod.agent.clone());
        Ok(endpoint.with_context(|| format!("{status:?}"))?.server_name)
    })
    .await
}

/// Key of a replica's agent with standing.
async fn on_chain(
    chain: &ChainClient,
    lease: LeaseId,
    replica: ReplicaIndex,
) -> Result<AgentPublicKey> {
    let view = chain.lease(lease).await?.context("the lease is gone")?;
    let agent = view.agents.iter().find(|agent| agent.replica == replica);
    let agent = agent.context("no agent is attested")?;
    ensure!(agent.standing.is_some(), "its key has no standing: {agent:?}");
    Ok(agent.key)
}

/// The folder of the unpacked image that has the guest book.
fn unpacked(provider: &Provider) -> Result<PathBuf> {
    let mut programs = Vec::new();
    named(provider.data_dir(), "guestbook", &mut programs)?;
    let program = programs.first().context("the provider has no unpacked image")?;
    Ok(program.parent().context("a program in no folder")?.to_owned())
}

fn refused<T: std::fmt::Debug>(result: Result<T, ChainError>, wanted: &str) -> Result<()> {
    match result {
        Err(ChainError::Refused { pallet, name, .. }) if format!("{pallet}.{name}") == wanted => {
            Ok(())
        }
        other => anyhow::bail!("it should be refused with {wanted}, but: {other:?}"),
    }
}

/// The first submission that was taken for a replica, from the block itself.
pub(crate) async fn recorded(
    ledger: &Ledger,
    after: u32,
    lease: LeaseId,
    replica: ReplicaIndex,
) -> Result<Recorded> {
    for number in after + 1..=ledger.height().await? {
        let at = ledger.api.at_block(number).await?;
        let extrinsics = at.extrinsics().fetch().await?;
        for extrinsic in extrinsics.iter() {
            let extrinsic = extrinsic?;
            if (extrinsic.pallet_name(), extrinsic.call_name()) != ("Attestation", "attest") {
                continue;
            }
            // lease, replica, keys, block, submission
            type Keys = ([u8; 32], [u8; 32], [u8; 32]);
            type Fields = (LeaseId, ReplicaIndex, Keys, u32, (TeeKind, Vec<u8>, [u8; 32]));
            let mut fields = extrinsic.call_data_field_bytes();
            let (of, at, keys, block, (kind, evidence, certificate)) = Fields::decode(&mut fields)?;
            if (of, at) == (lease, replica) {
                let (agent, hpke, tls_spki_sha256) = keys;
                let keys = AttestedKeys { agent, hpke, tls_spki_sha256 };
                return Ok(Recorded {
                    keys,
                    block,
                    submission: Submission { kind, evidence, certificate },
                });
            }
        }
    }
    anyhow::bail!("no block has evidence for lease {lease}")
}
