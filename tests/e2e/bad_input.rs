//! What goes wrong, as a user sees it: a clear error with a hint, and nothing is lost.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::symlink,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use casemate_client::{
    api::RefusalCode,
    provider::{ProviderClient, QuoteWanted},
};
use casemate_primitives::{Asset, CASE, LeaseId, Resources};
use casemate_tests::{Options, ProviderOptions, Service, get, until, with_cluster};

use crate::common::{amount, answers, deploy, deployed, total};

#[test]
fn users_are_told_what_is_wrong_and_lose_nothing() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        cluster.add_publisher(&chain, "poor", CASE / 10).await?;
        let ledger = cluster.ledger().await?;
        let start = ledger.height().await?;
        let (ann, poor) = (&cluster.publishers[0], &cluster.publishers[1]);
        let provider = &cluster.providers[0];
        let before = ledger.balance(start, &ann.account).await?;
        let service = Service::new("book", &cluster.first);
        let file = ann.write("book.yaml", &service.yaml())?;

        // Money.
        ann.run(&["deploy", &file, "--deposit", "1 planck"])?
            .refuses(&["it wants a deposit of at least", "no provider takes this manifest"])?;
        ann.run(&["deploy", &file, "--spend-rate", "1 planck"])?
            .refuses(&["more than your --spend-rate", "no provider takes this manifest"])?;
        // Another name: for as long as Ann's offers hold, hers is reserved.
        let poors = Service::new("poor-book", &cluster.first);
        let poors_file = poor.write("book.yaml", &poors.yaml())?;
        poor.run(&["deploy", &poors_file, "--deposit", "5 CASE"])?
            .refuses(&["the deposit is 5 CASE", "get more money"])?;
        let more = format!("{} CASE", before.free / CASE + 1);
        let to = poor.address();
        ann.run(&["account", "transfer", &to, &more])?.refuses(&["was not done"])?;

        // What is not there.
        let nowhere = ["--rpc", "ws://127.0.0.1:1"];
        ann.run(&[nowhere[0], nowhere[1], "deploy", &file])?
            .refuses(&["cannot use the chain node at ws://127.0.0.1:1", "casemate dev"])?;
        ann.run(&["status", "17"])?.refuses(&["there is no lease 17", "casemate list"])?;
        ann.run(&["deploy", &file, "--provider", &poor.address()])?
            .refuses(&["is not registered as a provider", "casemate provider list"])?;
        let mut missing = service.clone();
        missing.image = format!("{}/nothing:here", cluster.registry.host);
        let missing = ann.write("missing.yaml", &missing.yaml())?;
        ann.run(&["deploy", &missing])?.refuses(&["cannot resolve image"])?;

        // Manifests.
        for (name, from, to, words) in [
            ("typo", "replicas:", "replica:", &["replica", "replicas"][..]),
            ("unit", "memory: 32Mi", "memory: 32 megs", &["memory"][..]),
            ("host", "host: book.localhost", "host: 'not a host'", &["host"][..]),
        ] {
            let text = service.yaml().replace(from, to);
            let bad = ann.write(&format!("{name}.yaml"), &text)?;
            ann.run(&["deploy", &bad])?.refuses(words)?;
        }
        let mut reserved = service.clone();
        reserved.host = "localhost".to_owned();
        let reserved = ann.write("reserved.yaml", &reserved.yaml())?;
        ann.run(&["deploy", &reserved])?.refuses(&["is not given out here"])?;
        let huge = service.yaml().replace("cpu: 100m", "cpu: 64");
        let huge = ann.write("huge.yaml", &huge)?;
        ann.run(&["deploy", &huge])?.refuses(&["not enough free capacity"])?;

        // The ingress.
        for (host, status, words) in [
            ("nobody.localhost", 404, "No app has this host name here"),
            ("127.0.0.1", 404, "No app has this host name here"),
            ("not a host", 404, "No app has this host name here"),
        ] {
            let answer = get(provider.ingress(), host, "/")?;
            ensure!(answer.status == status && answer.body.contains(words), "{host}: {answer:?}");
        }

        // Requests that were signed for another chain or another provider.
        let key = || Arc::clone(&ann.key);
        let endpoint = provider.endpoint();
        let other_chain = ProviderClient::new(&endpoint, provider.account(), [9; 32], key())?;
        wrong_address(&other_chain, "genesis hash").await?;
        let other = ProviderClient::new(&endpoint, [9; 32], chain.genesis_hash(), key())?;
        wrong_address(&other, "account").await?;

        // All of that has cost nothing but the fee of the one transaction that the chain refused,
        // and the way is still open.
        let now = ledger.height().await?;
        let fees = ledger.read(start, now).await?.fees_of(&ann.account);
        let after = ledger.balance(now, &ann.account).await?;
        assert_eq!((after.free + fees, after.held), (before.free, 0));
        assert_eq!(chain.balance(&poor.account).await?.free, CASE / 10);
        ensure!(chain.leases_of_publisher(&ann.account).await?.is_empty());
        deploy(ann, &service, &[])?;
        answers(provider, "book.localhost").await?;

        // A TCP port is somebody's, too.
        let mut by_port = Service::new("by-port", &cluster.first);
        by_port.tcp = Some(provider.tcp_port());
        deploy(ann, &by_port, &[])?;
        let address = (Ipv4Addr::LOCALHOST, provider.tcp_port()).into();
        until("the port answers", async || {
            let page = get(address, "any.name", "/")?;
            ensure!(page.status == 200 && page.body.contains("Guest book"), "{page:?}");
            Ok(())
        })
        .await?;
        by_port.name = "thief".to_owned();
        let thief = poor.write("thief.yaml", &by_port.yaml())?;
        poor.run(&["deploy", &thief])?
            .refuses(&[&format!("TCP port {} is in use", provider.tcp_port())])?;
        by_port.tcp = Some(1024);
        let privileged = poor.write("privileged.yaml", &by_port.yaml())?;
        poor.run(&["deploy", &privileged])?.refuses(&["TCP port 1024 is not given out here"])?;

        // An update that does not fit changes nothing.
        let mut bigger = service.clone();
        bigger.replicas = 2;
        let bigger = ann.write("bigger.yaml", &bigger.yaml())?;
        ann.run(&["update", "book", &bigger])?.refuses(&[
            "was not changed",
            "the lease is for 1",
            "casemate deploy",
        ])?;
        ann.run(&["update", "book", &file])?.refuses(&["runs exactly this manifest already"])?;
        let view = chain.lease(LeaseId(0)).await?.context("the lease is gone")?;
        ensure!(view.version == 1, "{view:?}");
        ensure!(get(provider.ingress(), "book.localhost", "/")?.status == 200);
        Ok(())
    });
}

/// Neither is the answer taken for the provider's, nor the request for one to it.
async fn wrong_address(client: &ProviderClient, what: &str) -> Result<()> {
    let error = client.info().await.err().context("the provider is another one")?;
    ensure!(error.to_string().contains(what) && !error.hint().is_empty(), "{error}");
    let wanted = QuoteWanted {
        manifest: "{}",
        resources: Resources::default(),
        replicas: 1,
        asset: Asset::Native,
    };
    let refused = [client.quote(&wanted).await.err(), client.lease(LeaseId(0)).await.err()];
    for error in refused {
        let error = error.context("the request was signed for another")?;
        ensure!(error.refusal_code() == Some(RefusalCode::Unauthorised), "{error}");
        ensure!(!error.hint().is_empty(), "{error}");
    }
    Ok(())
}

/// What is said of bytes that are not those of their digest.
const SPOILT: &str = "is corrupt or was tampered with";

#[test]
fn a_spoilt_image_does_not_run_and_costs_nothing() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        cluster.registry.flip_bit(&cluster.first)?;
        let start = ledger.height().await?;
        let before = total(ledger.balance(start, &ann.account).await?);

        let file = ann.write("book.yaml", &Service::new("book", &cluster.first).yaml())?;
        let opened = deployed(&ann.json(&["deploy", &file])?)?;
        let client = provider.client(ann, &chain)?;
        until("the provider says why it does not run", async || {
            let status = client.lease(opened.lease).await?;
            let events = client.events(opened.lease, 0).await?;
            let text = format!("{status:?} {events:?}");
            ensure!(text.contains(SPOILT) && text.contains("guestbook"), "{text}");
            Ok(())
        })
        .await?;
        let events = ann.run(&["events", "book"])?;
        ensure!(events.code == 0 && events.stdout.contains(SPOILT), "{}", events.text());
        let page = get(provider.ingress(), "book.localhost", "/")?;
        ensure!(page.status == 503, "{page:?}");
        // Once it is whole again, the provider goes on by itself.
        cluster.registry.flip_bit(&cluster.first)?;
        answers(provider, "book.localhost").await?;

        let stopped = ann.json(&["stop", "book", "--wait"])?;
        let (paid, refunded) = (amount(&stopped, "paid")?, amount(&stopped, "refunded")?);
        assert_eq!(paid + refunded, opened.deposit);
        let end = ledger.height().await?;
        let books = ledger.read(start, end).await?;
        let after = ledger.balance(end, &ann.account).await?;
        assert_eq!(after.held, 0);
        assert_eq!(total(after) + books.fees_of(&ann.account) + paid, before);
        Ok(())
    });
}

#[test]
fn a_provider_that_cannot_start_says_why() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        deploy(&cluster.publishers[0], &Service::new("book", &cluster.first), &[])?;

        // A port that somebody else has.
        let mut second = cluster.new_provider(ProviderOptions::new("second"))?;
        let port = second.endpoint().rsplit(':').next().map(str::to_owned).unwrap_or_default();
        let holder = TcpListener::bind(format!("127.0.0.1:{port}"))?;
        let words = second.start_in_vain()?;
        ensure!(words.contains(&port) && words.contains("cannot listen"), "{words}");
        ensure!(words.contains("choose another address"), "{words}");
        drop(holder);

        // The data of another daemon.
        let ours = cluster.providers[0].data_dir().display().to_string();
        let theirs = second.data_dir().display().to_string();
        second.edit_config(|text| text.replace(&theirs, &ours))?;
        let words = second.start_in_vain()?;
        ensure!(words.contains("another provider uses it"), "{words}");
        second.edit_config(|text| text.replace(&ours, &theirs))?;

        // A field that is not known.
        second
            .edit_config(|text| text.replace("[timing]", "[timing]\nclaim_intervall = \"1s\""))?;
        let words = second.start_in_vain()?;
        ensure!(words.contains("claim_intervall") && words.contains("claim_interval`"), "{words}");
        second.edit_config(|text| text.replace("claim_intervall = \"1s\"\n", ""))?;

        // A key that others can read.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(&second.user.secret, open)?;
        let words = second.start_in_vain()?;
        ensure!(words.contains("chmod 600"), "{words}");
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&second.user.secret, closed)?;

        // A node that is not there: it may come, so the provider waits, and says for what.
        let url = cluster.node.url();
        second.edit_config(|text| text.replace(&url, "ws://127.0.0.1:1"))?;
        second.start()?;
        until("it says what it waits for", async || {
            let words = fs::read_to_string(second.log())?;
            ensure!(words.contains("no chain node answers"), "{words}");
            ensure!(words.contains("ws://127.0.0.1:1") && words.contains("start it"), "{words}");
            Ok(())
        })
        .await?;
        second.stop()?;
        second.edit_config(|text| text.replace("ws://127.0.0.1:1", &url))?;

        // No OCI runtime; all else that it needs is there.
        let tools = cluster.path("tools");
        fs::create_dir(&tools)?;
        for tool in ["ip", "nft"] {
            let found = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
                .iter()
                .map(|folder| std::path::Path::new(folder).join(tool))
                .find(|path| path.is_file());
            let found = found.with_context(|| format!("these tests need `{tool}`"))?;
            symlink(found, tools.join(tool))?;
        }
        let mut options = ProviderOptions::new("third");
        options.path = Some(tools.display().to_string());
        let mut third = cluster.new_provider(options)?;
        let words = third.start_in_vain()?;
        ensure!(words.contains("OCI runtime"), "{words}");
        ensure!(words.contains("apt-get install crun runc"), "{words}");

        // Nobody else was disturbed, and what had begun to start leaves nothing behind.
        answers(&cluster.providers[0], "book.localhost").await?;
        second.purge()?;
        for provider in [&second, &third] {
            let leftovers = provider.traces().leftovers()?;
            ensure!(leftovers.is_empty(), "{leftovers:?}");
        }
        Ok(())
    });
}
