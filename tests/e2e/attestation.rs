//! A key is paid because evidence says so.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use casemate_attestation::{Binding, Grade, Purpose, TcbStatus, TeeKind};
use casemate_client::chain::{Call, ChainClient, ChainError, Endorsement};
use casemate_primitives::{CASE, LeaseId};
use casemate_software_tee::{
    client::{Guest, Launch},
    wire::Kind,
};
use casemate_tests::{
    Binaries, Ledger, Node, Options, Provider, Service, User, print_log, until, with_cluster,
};
use codec::Decode as _;
use subxt_signer::sr25519::dev;

use crate::common::{amount, deploy, deployed, paid_more};

#[test]
fn an_agent_is_paid_for_its_evidence() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let workload = cluster.software_tee.workload(&cluster.binaries.agent)?;
        let ann = &cluster.publishers[0];
        let before = ledger.height().await?;
        let lease = deploy(ann, &Service::new("book", &cluster.first), &[])?.lease;
        paid_more(&chain, lease, 0).await?;

        // The chain knows the key, what it runs in and until when it counts.
        let view = chain.lease(lease).await?.context("the lease is gone")?;
        let agent = view.agents.first().context("no agent is attested")?;
        let standing = agent.standing.as_ref().context("its key has no standing")?;
        assert_eq!((standing.kind, standing.grade), (TeeKind::IntelTdx, Grade::Software));
        assert_eq!(standing.tcb_status, TcbStatus::UpToDate);
        assert_eq!(standing.manifest_hash, view.manifest_hash);
        assert_eq!(standing.workload, workload, "the agent that was built, and no other");
        let until = agent.attested_until().context("it counts for ever")?;
        ensure!(until > chain.time().await?, "its standing has ended");
        let (key, grade) = attested_in(&ledger, before, lease).await?;
        assert_eq!((key, grade), (agent.key, Grade::Software));

        // The command line shows the same, also to those who have no part in it.
        let nobody = cluster.new_user("nobody")?;
        for user in [ann, &nobody] {
            let shown = user.json(&["attest", "lease", &lease.to_string()])?;
            let replica = &shown["replicas"][0];
            assert_eq!(replica["attested"], true, "{shown}");
            assert_eq!(replica["grade"], "software", "{shown}");
            assert_eq!(replica["tcbStatus"], "UpToDate", "{shown}");
            assert_eq!(replica["workload"], hex::encode(&workload), "{shown}");
            assert_eq!(replica["key"], format!("0x{}", hex::encode(agent.key)), "{shown}");
        }
        let status = ann.run(&["status", "book"])?;
        ensure!(status.stdout.contains("replica 0: TDX (software), for"), "{}", status.text());
        Ok(())
    });
}

#[test]
fn another_agent_is_never_paid() {
    let mut options = Options::new(1, &["ann"]);
    let folder = tempfile::tempdir().unwrap();
    let other = other_agent(&folder).unwrap();
    options.providers[0].agent = Some(other);
    with_cluster(options, async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let file = ann.write("book.yaml", &Service::new("book", &cluster.first).yaml())?;
        let opened = deployed(&ann.json(&["deploy", &file])?)?;
        says(provider, ann, &chain, opened.lease, "WorkloadNotApproved").await?;
        never_attested(ann, &chain, opened.lease).await?;
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        assert_eq!(amount(&stopped, "paid")?, 0, "{stopped}");
        assert_eq!(amount(&stopped, "refunded")?, opened.deposit, "{stopped}");
        Ok(())
    });
}

/// AMD revokes the key that certified a provider's machine, while its pod runs.
#[test]
fn a_machine_that_amd_revokes_is_paid_no_more() {
    let mut options = Options::new(1, &["ann"]);
    options.providers[0].tee_kind = "amdSevSnp";
    with_cluster(options, async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let lease = deploy(ann, &Service::new("book", &cluster.first), &[])?.lease;
        // The measurement of such a guest covers its root file system, too.
        let control = cluster.software_tee.control_client();
        let digits = until("the pod's guest runs", async || {
            let guest = control.list()?.into_iter().next().context("there is none")?;
            let digits = guest.measurements["measurement"].as_str().map(str::to_owned);
            digits.with_context(|| format!("not measured: {}", guest.measurements))
        });
        let workload = hex::decode(digits.await?)?;
        let anyone = dev::alice();
        chain.approve_workload_as_committee(&anyone, workload, true).await?;
        paid_more(&chain, lease, 0).await?;
        let view = async || chain.lease(lease).await?.context("the lease is gone");
        let standing = view().await?.agents.first().and_then(|agent| agent.standing.clone());
        let standing = standing.context("its key has no standing")?;
        assert_eq!((standing.kind, standing.grade), (TeeKind::AmdSevSnp, Grade::Software));
        refused(chain.recheck(&anyone, lease, 0, None).await, "Sound")?;

        // Anyone brings the list, and then nobody a list from before.
        let now = chain.time().await?;
        let list = |at, revokes_all| -> Result<Endorsement> {
            let (crl, ark) = cluster.software_tee.amd_list(at, revokes_all)?;
            Ok(Endorsement::AmdCrl { crl, ark })
        };
        ensure!(
            !chain.endorse(&anyone, list(now - 86_400, false)?).await?,
            "an older list is taken"
        );
        ensure!(chain.endorse(&anyone, list(now, true)?).await?, "the newest list is not taken");
        ensure!(!chain.endorse(&anyone, list(now, false)?).await?, "an equal list is taken");
        chain.recheck(&anyone, lease, 0, None).await?;
        let condemned = view().await?;
        ensure!(condemned.agents.iter().all(|agent| agent.standing.is_none()), "{condemned:?}");

        // A list that is newer still does not bring it back: the provider tries, is told why not,
        // and is paid nothing from now on.
        let newer = list(now + 60, false)?;
        ensure!(chain.endorse(&anyone, newer).await?, "a newer list is not taken");
        says(provider, ann, &chain, lease, "CertificateRevoked").await?;
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        assert_eq!(amount(&stopped, "paid")?, condemned.earned(), "{stopped}");
        Ok(())
    });
}

/// That the chain refuses, for this reason.
fn refused(result: Result<(), ChainError>, reason: &str) -> Result<()> {
    match result {
        Err(ChainError::Refused { name, .. }) if name == reason => Ok(()),
        other => anyhow::bail!("not refused as `{reason}`: {other:?}"),
    }
}

#[test]
fn a_chain_that_does_not_know_the_root_refuses() {
    let mut options = Options::new(1, &["ann"]);
    options.distrusts_software_tee = true;
    with_cluster(options, async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        let file = ann.write("book.yaml", &Service::new("book", &cluster.first).yaml())?;
        let opened = deployed(&ann.json(&["deploy", &file])?)?;

        // Genuine in all else: the chain itself does not take it, whoever brings it.
        let (evidence, collateral) = guest_evidence(cluster, &chain, opened.lease)?;
        let submit = ["attest", "submit", "--kind", "tdx", "--evidence", &evidence];
        let submit = [&submit[..], &["--collateral", &collateral]].concat();
        let refused = ann.run(&submit)?;
        refused
            .refuses(&["did not take the root CA revocation list", "Endorsements.NotVerified"])?;
        assert_eq!(refused.code, 1);

        // The provider's own cluster is not attested either, and the provider runs all the same.
        until("the provider says that its cluster is not attested", async || {
            let log = fs::read_to_string(provider.log())?;
            ensure!(log.contains("the control plane is not attested"), "{log}");
            Ok(())
        })
        .await?;
        let view = chain.provider(&provider.account()).await?.context("it is registered")?;
        ensure!(view.cluster.is_none(), "{view:?}");
        let asking = ["deploy", &file, "--attested-cluster"];
        ann.run(&asking)?.refuses(&["its cluster is not attested", "no provider takes"])?;

        // The provider says so to the publisher, and is never paid.
        says(provider, ann, &chain, opened.lease, "root").await?;
        never_attested(ann, &chain, opened.lease).await?;
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        assert_eq!(amount(&stopped, "paid")?, 0, "{stopped}");
        assert_eq!(amount(&stopped, "refunded")?, opened.deposit, "{stopped}");
        Ok(())
    });
}

/// A second at which Intel's published collateral is valid: 2026-10-15.
const COLLATERAL_IS_VALID: u64 = 1_792_022_400;

#[test]
fn the_chain_verifies_intel_s_real_evidence() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let binaries = Binaries::find().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let clock = Some(COLLATERAL_IS_VALID);
        let mut node = Node::vendors_dev(&binaries.node, folder.path(), clock).unwrap();
        let result = real_evidence(&binaries, folder.path(), &mut node).await;
        if let Err(error) = result {
            print_log(node.log());
            panic!("{error:?}");
        }
    });
}

async fn real_evidence(
    binaries: &Binaries,
    folder: &std::path::Path,
    node: &mut Node,
) -> Result<()> {
    let chain = node.chain().await?;
    // No image is taken from anywhere.
    let ann = User::new(&binaries.cli, folder, "ann", &node.url(), "127.0.0.1:1")?;
    let call = Call::Transfer { to: ann.account, amount: 100 * CASE };
    chain.submit(&dev::alice(), call).await?;
    let now = chain.time().await?;
    ensure!((COLLATERAL_IS_VALID..COLLATERAL_IS_VALID + 3_600).contains(&now), "it is {now}");

    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/attestation/tests/data/dcap/");
    let evidence = format!("{data}tdx_quote_td15ex");
    let collateral = format!("{data}tdx_quote_td15ex_collateral.json");
    let submit = |evidence: &str| {
        let args = ["attest", "submit", "--kind", "tdx", "--evidence", evidence];
        [&args[..], &["--collateral", collateral.as_str()]].concat().join("\n")
    };
    let run = |args: &str| ann.json(&args.lines().collect::<Vec<_>>());
    let first = run(&submit(&evidence))?;
    assert_eq!(first["kind"], "intelTdx", "{first}");
    assert_eq!(first["grade"], "hardware", "{first}");
    assert_eq!(first["tcbStatus"], "UpToDate", "{first}");
    assert_eq!(first["debug"], false, "{first}");
    let bytes = fs::read(&evidence)?;
    let hash = format!("0x{}", hex::encode(casemate_primitives::blake2_256(&bytes)));
    assert_eq!(first["evidenceHash"], hash, "{first}");
    ensure!(first["blockHash"].as_str().is_some_and(|hash| hash.len() == 66), "{first}");
    let new = |value: &serde_json::Value| -> Vec<bool> {
        let pieces = value["collateral"].as_array().into_iter().flatten();
        pieces.map(|piece| piece["new"] == true).collect()
    };
    assert_eq!(new(&first), [true; 5], "{first}");
    // What the chain has is not taken twice, and evidence may be shown again.
    let second = run(&submit(&evidence))?;
    assert_eq!(new(&second), [false; 5], "{second}");
    assert_eq!(second["evidenceHash"], hash);

    // One bit of the measured workload: the runtime itself says no.
    let mut forged = bytes;
    forged[200] ^= 1;
    let forged_file = folder.join("forged");
    fs::write(&forged_file, forged)?;
    let forged = submit(&forged_file.display().to_string());
    let refused = ann.run(&forged.lines().collect::<Vec<_>>())?;
    refused.refuses(&["did not accept the evidence", "Attestation.NotVerified"])?;
    assert_eq!(refused.code, 1);
    Ok(())
}

/// The agent's binary with a byte more: it runs just as well.
pub(crate) fn other_agent(folder: &tempfile::TempDir) -> Result<PathBuf> {
    let mut bytes = fs::read(Binaries::find()?.agent)?;
    bytes.push(0);
    let path = folder.path().join("other-agent");
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    let usage = Command::new(&path).output().context("the changed agent does not start")?;
    ensure!(usage.status.code().is_some(), "the changed agent crashes: {usage:?}");
    Ok(path)
}

/// Evidence of a guest that this test launches for the lease, and the software TEE's collateral, in
/// files.
fn guest_evidence(
    cluster: &casemate_tests::Cluster,
    chain: &ChainClient,
    lease: LeaseId,
) -> Result<(String, String)> {
    let control = cluster.software_tee.control_client();
    let guest = control.launch(&Launch {
        id: "test",
        kind: Kind::IntelTdx,
        version: None,
        agent: &cluster.binaries.agent,
        root_fs: None,
        manifest_hash: &[1; 32],
        owner: None,
        misbehave: &[],
    })?;
    let binding = Binding {
        purpose: Purpose::Registration,
        genesis_hash: chain.genesis_hash(),
        lease,
        replica: 0,
        manifest_hash: [1; 32],
        nonce: [2; 32],
        agent_key: [3; 32],
        hpke_key: [4; 32],
        tls_spki_sha256: [5; 32],
        channel: [0; 32],
        gpu_evidence: [0; 32],
    };
    let answer = Guest::new(guest.socket).evidence(&binding.report_data())?;
    let evidence = cluster.path("evidence");
    fs::write(&evidence, answer.evidence)?;
    let collateral = cluster.path("collateral.json");
    fs::write(&collateral, control.collateral()?["intel"]["tdx"].to_string())?;
    control.destroy("test")?;
    Ok((evidence.display().to_string(), collateral.display().to_string()))
}

/// Waits until one of the provider's events about a lease has these words.
pub(crate) async fn says(
    provider: &Provider,
    user: &User,
    chain: &ChainClient,
    lease: LeaseId,
    words: &str,
) -> Result<()> {
    let client = provider.client(user, chain)?;
    until(&format!("the provider's events say `{words}`"), async || {
        let events = client.events(lease, 0).await?;
        ensure!(events.iter().any(|event| event.message.contains(words)), "{events:?}");
        Ok(())
    })
    .await
}

/// On chain, and as the command line shows it.
async fn never_attested(user: &User, chain: &ChainClient, lease: LeaseId) -> Result<()> {
    let view = chain.lease(lease).await?.context("the lease is gone")?;
    ensure!(view.agents.is_empty() && view.earned() == 0, "{view:?}");
    let shown = user.json(&["attest", "lease", &lease.to_string()])?;
    assert_eq!(shown["replicas"][0]["attested"], false, "{shown}");
    assert_eq!(shown["replicas"][0]["key"], serde_json::Value::Null, "{shown}");
    Ok(())
}

/// Key and grade of the first event about evidence for a lease, from the block itself.
async fn attested_in(ledger: &Ledger, after: u32, lease: LeaseId) -> Result<([u8; 32], Grade)> {
    for number in after + 1..=ledger.height().await? {
        let events = ledger.api.at_block(number).await?.events().fetch().await?;
        for event in events.iter() {
            let event = event?;
            if (event.pallet_name(), event.event_name()) == ("Attestation", "Attested") {
                // lease, replica, key, kind, grade, …
                type Fields = (LeaseId, u16, [u8; 32], TeeKind, Grade);
                let (of, _, key, _, grade) = Fields::decode(&mut event.field_bytes())?;
                if of == lease {
                    return Ok((key, grade));
                }
            }
        }
    }
    anyhow::bail!("no block tells of evidence for lease {lease}")
}
