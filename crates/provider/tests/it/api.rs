use casemate_client::{
    api::{LeasePhase, RefusalCode},
    auth::{RequestParts, sign},
    provider::{LogOptions, ProviderClient, ProviderError, QuoteWanted},
};
use casemate_primitives::{Asset, LeaseId, Prices, Resources};
use casemate_provider::config::AssetPrices;
use futures::StreamExt;
use std::sync::Arc;
use subxt_signer::sr25519::dev;

use crate::world::{
    GENESIS, World, manifest, now, plain, provider_key, provider_view, size_of, until,
};

fn code(result: Result<impl std::fmt::Debug, ProviderError>) -> RefusalCode {
    let err = result.unwrap_err();
    let code = err.refusal_code().unwrap_or_else(|| panic!("no refusal: {err:?}"));
    assert!(!err.hint().is_empty(), "no hint: {err}");
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_quote_to_status_events_and_logs() {
    let world = World::start().await;
    let manifest = manifest("a", "a.localhost", 8000, 1, "        - {containerPort: 9000}\n");
    let quote = world.quote(dev::alice(), &manifest).await.unwrap();
    assert_eq!(quote.quote.publisher, dev::alice().public_key().0);
    // 100m × 1000 + 64 MiB × 500 + 16 MiB × 10 a second, for an hour.
    assert_eq!(quote.summary.cost_per_second.0, 132_160);
    assert_eq!(quote.quote.terms.deposit_min, 132_160 * 3600);
    let lease = world.open(1, &quote);
    let alice = world.client(dev::alice());
    let status = until("the pod is ready and activated", async || {
        let status = alice.lease(lease).await.ok()?;
        (status.state == LeasePhase::Active && status.pods.iter().any(|pod| pod.ready))
            .then_some(status)
    })
    .await;
    assert_eq!(status.pods[0].pod, "l1-r0-v1");
    assert_eq!(status.problems, Vec::<String>::new());
    assert!(status.manifest_known);
    let port = world.addresses().ingress.port();
    assert_eq!(status.addresses[0].address, format!("http://a.localhost:{port}/"));
    assert_eq!(status.addresses[1].address, "localhost:30000");
    let events = until("the pod's events", async || {
        let events = alice.events(lease, 0).await.unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
        let wanted = ["leased", "scheduled", "ready", "activated"];
        wanted.iter().all(|kind| kinds.contains(kind)).then_some(events)
    })
    .await;
    let last = events.last().unwrap().id;
    assert!(alice.events(lease, last).await.unwrap().iter().all(|event| event.id > last));

    let pod = "l1-r0-v1".parse().unwrap();
    world.backend.print(pod, "app", "second");
    let lines = |options: LogOptions| {
        let alice = &alice;
        async move {
            let stream = alice.logs(lease, &options).await.unwrap();
            stream.map(|line| line.unwrap()).collect::<Vec<_>>().await
        }
    };
    let all = lines(LogOptions::default()).await;
    assert_eq!(all.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["hello", "second"]);
    let tail = lines(LogOptions { tail: Some(1), ..LogOptions::default() }).await;
    assert_eq!(tail[..], all[1..]);
    let after = [("l1-r0-v1".to_owned(), all[0].cursor)].into();
    assert_eq!(lines(LogOptions { after, ..LogOptions::default() }).await[..], all[1..]);
    let follow = LogOptions { follow: true, tail: Some(0), ..LogOptions::default() };
    let mut followed = alice.logs(lease, &follow).await.unwrap();
    world.backend.print(pod, "app", "third");
    assert_eq!(followed.next().await.unwrap().unwrap().text, "third");
    let none = LogOptions { container: Some("nobody".into()), ..LogOptions::default() };
    assert_eq!(
        alice.logs(lease, &none).await.err().unwrap().refusal_code(),
        Some(RefusalCode::NotFound)
    );

    let metrics = format!("http://{}/metrics", world.addresses().metrics.unwrap());
    let text = plain().get(metrics).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("casemate_provider_pods{kind=\"ready\"} 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_publisher_and_the_provider_see_a_lease() {
    let world = World::start().await;
    let manifest = manifest("a", "a.localhost", 8000, 1, "");
    let lease = world.deploy(1, dev::alice(), &manifest).await;
    until("the lease is known", async || world.client(dev::alice()).lease(lease).await.ok()).await;
    world.client(provider_key()).lease(lease).await.unwrap();
    let charlie = world.client(dev::charlie());
    let theirs = charlie.lease(lease).await.unwrap_err().to_string();
    let absent = charlie.lease(LeaseId(99)).await.unwrap_err().to_string();
    assert_eq!(theirs, absent, "who may not see a lease does not learn that it exists");
    assert_eq!(code(charlie.events(lease, 0).await), RefusalCode::NotFound);
    assert_eq!(code(charlie.put_manifest(lease, &manifest).await), RefusalCode::NotFound);
    let logs = charlie.logs(lease, &LogOptions::default()).await;
    assert_eq!(logs.err().unwrap().refusal_code(), Some(RefusalCode::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_signed_for_this_very_thing_is_refused() {
    let world = World::start().await;
    let manifest = manifest("a", "a.localhost", 8000, 1, "");
    let lease = world.deploy(1, dev::alice(), &manifest).await;
    until("the lease is known", async || world.client(dev::alice()).lease(lease).await.ok()).await;
    let account = provider_key().public_key().0;
    let base = format!("http://{}", world.addresses().api);
    let send = async |signed: &casemate_client::auth::RequestSignature, path: &str| {
        let mut request = plain().get(format!("{base}{path}"));
        for (name, value) in signed.headers() {
            request = request.header(name, value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let path = "/v1/leases/1";
    let parts = RequestParts {
        genesis_hash: &GENESIS,
        provider: &account,
        method: "GET",
        path_and_query: path,
        body: b"",
    };
    let good = sign(&dev::alice(), &parts, now() + 60, [1; 16]);
    assert_eq!(send(&good, path).await, 200);
    assert_eq!(send(&good, path).await, 401, "replayed");
    let of = |parts: &RequestParts<'_>, nonce| sign(&dev::alice(), parts, now() + 60, [nonce; 16]);
    let cases = [
        ("other path", of(&RequestParts { path_and_query: "/v1/leases/2", ..parts }, 2)),
        ("other method", of(&RequestParts { method: "PUT", ..parts }, 3)),
        ("other body", of(&RequestParts { body: b"x", ..parts }, 4)),
        ("other chain", of(&RequestParts { genesis_hash: &[8; 32], ..parts }, 5)),
        ("other provider", of(&RequestParts { provider: &[8; 32], ..parts }, 6)),
        ("expired", sign(&dev::alice(), &parts, now() - 1, [7; 16])),
        ("too far ahead", sign(&dev::alice(), &parts, now() + 1000, [8; 16])),
    ];
    for (what, signed) in cases {
        assert_eq!(send(&signed, path).await, 401, "{what}");
    }
    let mut wrong_key = sign(&dev::charlie(), &parts, now() + 60, [9; 16]);
    wrong_key.account = dev::alice().public_key().0;
    assert_eq!(send(&wrong_key, path).await, 401, "wrong key");
    let unsigned = plain().get(format!("{base}{path}")).send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    let wrong = ProviderClient::new(&base, [8; 32], GENESIS, Arc::new(dev::alice())).unwrap();
    assert!(matches!(wrong.info().await, Err(ProviderError::Mismatch { .. })));
    let big = plain().post(format!("{base}/v1/quotes"));
    let mut big = big.body(vec![b' '; 3 << 20]);
    for (name, value) in good.headers() {
        big = big.header(name, value);
    }
    // It may break the connection off before all is sent.
    if let Ok(response) = big.send().await {
        assert_eq!(response.status(), 413);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_cannot_be_taken_are_refused_with_a_reason() {
    let world = World::start_with(|config| {
        config.rules.replicas_max = 3;
        config.rules.pod_resources_max =
            Some(Resources { cpu_millicores: 200, ..provider_view().capacity });
        config.rules.custom_hosts = false;
    })
    .await;
    let quote = async |manifest: &str| code(world.quote(dev::alice(), manifest).await);
    let good = manifest("a", "a.localhost", 8000, 1, "");
    assert_eq!(quote(&manifest("a", "a.localhost", 8000, 4, "")).await, RefusalCode::AgainstRules);
    assert_eq!(quote(&good.replace("100m", "300m")).await, RefusalCode::AgainstRules);
    assert_eq!(quote(&manifest("a", "a.example", 8000, 1, "")).await, RefusalCode::AgainstRules);
    let port = |p: u16| {
        let more = format!("        - {{containerPort: 9000, hostPort: {p}}}\n");
        manifest("b", "b.localhost", 8000, 1, &more)
    };
    assert_eq!(quote(&port(2000)).await, RefusalCode::AgainstRules);
    let loose = good.replace(&format!("@{}", crate::world::DIGEST), ":1");
    assert_eq!(quote(&loose).await, RefusalCode::ImageNotPinned);
    let wanted = |manifest| QuoteWanted {
        manifest,
        resources: Resources::default(),
        replicas: 1,
        asset: Asset::Native,
    };
    let client = world.client(dev::alice());
    let spaced = format!(" {good}");
    for bad in ["", "{}", "[1]", &spaced, "{\"kind\": \"Service\"", "\u{0}"] {
        let refused = code(client.quote(&wanted(bad)).await);
        assert_eq!(refused, RefusalCode::InvalidManifest, "{bad}");
    }
    let huge = "x".repeat(300 << 10);
    assert_eq!(code(client.quote(&wanted(&huge)).await), RefusalCode::TooLarge);

    // What one account was promised, another does not get: not in an offer, not in a lease.
    let first = world.quote(dev::alice(), &port(30_001)).await.unwrap();
    let other = port(30_001).replace("b.localhost", "c.localhost");
    assert_eq!(code(world.quote(dev::charlie(), &other).await), RefusalCode::PortTaken);
    let host = manifest("x", "b.localhost", 1234, 1, "");
    assert_eq!(code(world.quote(dev::charlie(), &host).await), RefusalCode::HostTaken);
    let lease = world.open(1, &first);
    until("the lease is known", async || client.lease(lease).await.ok()).await;
    assert_eq!(code(world.quote(dev::charlie(), &host).await), RefusalCode::HostTaken);
    assert_eq!(code(world.quote(dev::charlie(), &other).await), RefusalCode::PortTaken);
    world.quote(dev::alice(), &host).await.unwrap();

    // An update must fit.
    let larger = port(30_001).replace("100m", "150m");
    assert_eq!(code(client.put_manifest(lease, &larger).await), RefusalCode::DoesNotFitLease);
    let more = port(30_001).replace("\"replicas\":1", "\"replicas\":2");
    assert_eq!(code(client.put_manifest(lease, &more).await), RefusalCode::DoesNotFitLease);
    client.put_manifest(lease, &port(30_001)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_is_not_promised_twice() {
    let world = World::start().await;
    // 4000 millicores in all: 30 of 100 fit, another 30 do not.
    let of = |name: &str| manifest(name, &format!("{name}.localhost"), 8000, 30, "");
    world.quote(dev::alice(), &of("a")).await.unwrap();
    assert_eq!(code(world.quote(dev::charlie(), &of("b")).await), RefusalCode::NoCapacity);
    // Asking again for the same replaces the offer.
    let quote = world.quote(dev::alice(), &of("a")).await.unwrap();
    let lease = world.open(1, &quote);
    let (resources, replicas) = size_of(&of("a"));
    let mut view = provider_view();
    view.used = resources.checked_mul(u32::from(replicas)).unwrap();
    world.chain.set_provider(Some(view));
    until("the offer has become a lease", async || {
        let events = world.client(dev::alice()).events(lease, 0).await.ok()?;
        events.iter().any(|event| event.kind == "leased").then_some(())
    })
    .await;
    // The rest is free: the offer is not counted on top of its lease.
    let small = manifest("c", "c.localhost", 8000, 10, "");
    world.quote(dev::charlie(), &small).await.unwrap();
    world.chain.set_provider(None);
    assert_eq!(code(world.quote(dev::charlie(), &small).await), RefusalCode::NotReady);
    world.chain.set_reachable(false);
    assert_eq!(code(world.quote(dev::charlie(), &small).await), RefusalCode::NotReady);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_cannot_take_all_quotes() {
    let world = World::start().await;
    let of = |n: u16| manifest("a", &format!("a{n}.localhost"), 8000, 1, "");
    for n in 0..4 {
        world.quote(dev::alice(), &of(n)).await.unwrap();
    }
    assert_eq!(code(world.quote(dev::alice(), &of(4)).await), RefusalCode::Busy);
    world.quote(dev::charlie(), &of(5)).await.unwrap();
}

/// A manifest with `count` host names, from `first` on.
fn with_hosts(name: &str, first: u16, count: u16) -> String {
    let more: String = (first + 1..first + count)
        .map(|n| {
            format!("        - {{containerPort: {n}, protocol: HTTP, host: h{n}.localhost}}\n")
        })
        .collect();
    manifest(name, &format!("h{first}.localhost"), first, 1, &more)
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_hold_a_bounded_number_of_names_back() {
    let world = World::start_with(|config| {
        config.rules.names_per_account_max = 6;
        config.rules.names_max = 18;
    })
    .await;
    let huge = code(world.quote(dev::alice(), &with_hosts("a", 1000, 7)).await);
    assert_eq!(huge, RefusalCode::AgainstRules);
    let first = with_hosts("a", 1000, 4);
    let quote = world.quote(dev::alice(), &first).await.unwrap();
    let second = code(world.quote(dev::alice(), &with_hosts("b", 1010, 3)).await);
    assert_eq!(second, RefusalCode::Busy);
    // The same again takes nothing more, and the same names in another manifest neither.
    world.quote(dev::alice(), &first).await.unwrap();
    world.quote(dev::alice(), &with_hosts("c", 1000, 5)).await.unwrap();
    // All accounts without a lease together.
    world.quote(dev::charlie(), &with_hosts("d", 1020, 4)).await.unwrap();
    assert_eq!(code(world.quote(dev::dave(), &with_hosts("e", 1030, 1)).await), RefusalCode::Busy);
    // What a lease has is no longer held back by a quote.
    let lease = world.open(1, &quote);
    until("the lease is known", async || world.client(dev::alice()).lease(lease).await.ok()).await;
    assert_eq!(code(world.quote(dev::dave(), &with_hosts("e", 1030, 5)).await), RefusalCode::Busy);
    // A customer gets through where a stranger does not.
    world.quote(dev::alice(), &with_hosts("b", 1010, 5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_free_again_when_their_quote_has_expired() {
    let mut world = World::start_with(|config| {
        config.pricing.quote_ttl = "1s".parse().unwrap();
        config.rules.names_per_account_max = 1;
    })
    .await;
    world.quote(dev::alice(), &with_hosts("a", 1000, 1)).await.unwrap();
    assert_eq!(
        code(world.quote(dev::charlie(), &with_hosts("b", 1000, 1)).await),
        RefusalCode::HostTaken
    );
    // Time is the daemon's clock; a lease may be in a block that is not finalised yet, so names
    // are held a minute longer than the quote.
    world.stop().await;
    world.clock_ahead = 62;
    world.run().await;
    world.quote(dev::charlie(), &with_hosts("b", 1000, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_prices_are_signed_for_the_leases_publisher_and_never_below_the_list() {
    use casemate_client::provider::is_signed_amendment;
    use casemate_primitives::{Amendment, Prices};
    let world = World::start().await;
    let lease = world.deploy(1, dev::alice(), &manifest("a", "a.localhost", 80, 1, "")).await;
    let alice = world.client(dev::alice());
    until("the lease is seen", async || alice.lease(lease).await.ok()).await;
    let list = world.config.pricing.prices();
    let amendment = Amendment {
        lease,
        number: 1,
        replaces: world.chain.lease(lease).unwrap().terms.prices,
        prices: Prices { cpu_millicore_second: list.cpu_millicore_second + 1, ..list },
        second_min: 0,
        expires_at: now() + 30,
    };
    let signature = alice.amend(&amendment).await.unwrap();
    let account = provider_key().public_key().0;
    assert!(is_signed_amendment(&amendment, &signature, &account, &GENESIS));

    let prices = Prices { memory_mib_second: list.memory_mib_second - 1, ..list };
    let low = Amendment { prices, ..amendment };
    assert_eq!(code(alice.amend(&low).await), RefusalCode::AgainstRules);
    let long = Amendment { expires_at: now() + 3_600, ..amendment };
    assert_eq!(code(alice.amend(&long).await), RefusalCode::BadRequest);
    // Nobody else gets a signature, nor hears that there is such a lease.
    let bob = world.client(dev::charlie());
    assert_eq!(code(bob.amend(&amendment).await), RefusalCode::NotFound);
    let other = Amendment { lease: LeaseId(2), ..amendment };
    assert_eq!(code(alice.amend(&other).await), RefusalCode::NotFound);

    // What is no amendment is told, under the right path with another one as well.
    let post = async |path: &str, body: &str| {
        let parts = RequestParts {
            genesis_hash: &GENESIS,
            provider: &account,
            method: "POST",
            path_and_query: path,
            body: body.as_bytes(),
        };
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&(body.len() as u64 + 1).to_le_bytes());
        let signature = sign(&dev::alice(), &parts, now() + 60, nonce);
        let url = format!("http://{}{path}", world.addresses().api);
        let mut request = plain().post(url).body(body.to_owned());
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let path = "/v1/leases/1/amendments";
    for body in
        ["", "{}", "{\"amendment\":\"0x\"}", "{\"amendment\":\"0x00ff\"}", "{\"amendment\":7}"]
    {
        assert_eq!(post(path, body).await, 400, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_are_in_the_asset_that_the_publisher_asks_for() {
    let list = AssetPrices { asset: 7, second_min: 10, egress_mib: 3, ..AssetPrices::default() };
    let world = World::start_with(|config| config.pricing.assets = vec![list]).await;
    let manifest = manifest("a", "a.localhost", 8000, 2, "");
    let quote = async |asset| world.quote_in(asset, dev::alice(), &manifest).await;
    let terms = quote(Asset::Registered(7)).await.unwrap().quote.terms;
    assert_eq!((terms.asset, terms.second_min), (Asset::Registered(7), 10));
    assert_eq!(terms.prices, Prices { egress_mib: 3, ..Prices::default() });
    // The least price of a second counts where resources cost nothing.
    assert_eq!(terms.deposit_min, 2 * 10 * 3600);
    let native = quote(Asset::Native).await.unwrap().quote.terms;
    assert_eq!((native.asset, native.prices), (Asset::Native, world.config.pricing.prices()));
    let refused = quote(Asset::Registered(8)).await.unwrap_err();
    assert!(refused.hint().contains("asset 7"), "{}", refused.hint());
    assert_eq!(code(Err::<(), _>(refused)), RefusalCode::AgainstRules);
}
