use casemate_client::api::QuoteSummary;
use casemate_primitives::{CASE, LeaseTerms, Prices, Quote, Resources};

use super::*;

fn quote(change: impl FnOnce(&mut LeaseTerms)) -> SignedQuote {
    let mut terms = LeaseTerms {
        asset: Asset::Native,
        prices: Prices { cpu_millicore_second: 10, egress_mib: 5, ..Prices::default() },
        notice_seconds: 60,
        grace_seconds: 60,
        deposit_min: 1_000,
        ..Default::default()
    };
    change(&mut terms);
    let quote = Quote {
        provider: [1; 32],
        publisher: [2; 32],
        manifest_hash: [3; 32],
        resources: Resources { cpu_millicores: 100, ..Resources::default() },
        replicas: 3,
        terms,
        expires_at: 1,
        nonce: [0; 16],
    };
    SignedQuote { signature: [0; 64], summary: QuoteSummary::of(&quote).unwrap(), quote }
}

fn reason(quote: SignedQuote, payment: Payment<'_>) -> String {
    try_price(quote, payment).unwrap_err()
}

#[test]
fn defaults_are_an_hour_and_twice_the_price() {
    let priced = try_price(quote(|_| ()), Payment::default()).unwrap();
    assert_eq!(priced.per_second, 3_000);
    assert_eq!(priced.per_hour, 3_000 * 3600);
    assert_eq!(priced.deposit, 3_000 * 3600);
    assert_eq!(priced.spend_rate_max, 6_000);
    let dear = try_price(quote(|t| t.deposit_min = 3_000 * 3601), Payment::default()).unwrap();
    assert_eq!(dear.deposit, 3_000 * 3601);
}

#[test]
fn terms_that_nobody_would_sign_are_not_taken_unseen() {
    let none = Payment::default();
    assert!(reason(quote(|t| t.notice_seconds = u32::MAX), none).contains("unspent"));
    assert!(reason(quote(|t| t.deposit_min = CASE), none).contains("--deposit"));
    assert!(reason(quote(|t| t.asset = Asset::Registered(1)), none).contains("asset"));
    let agreed = Payment { deposit: Some(CASE), ..none };
    assert_eq!(try_price(quote(|t| t.deposit_min = CASE), agreed).unwrap().deposit, CASE);
}

#[test]
fn what_the_publisher_names_is_kept() {
    let too_little = Payment { deposit: Some(999), ..Payment::default() };
    assert!(reason(quote(|_| ()), too_little).contains("at least"));
    let too_slow = Payment { spend_rate: Some(2_999), ..Payment::default() };
    assert!(reason(quote(|_| ()), too_slow).contains("--spend-rate"));
    let exact = Payment { deposit: Some(1_000), spend_rate: Some(3_000), ..Payment::default() };
    let priced = try_price(quote(|_| ()), exact).unwrap();
    assert_eq!((priced.deposit, priced.spend_rate_max), (1_000, 3_000));
}

#[test]
fn durations_are_short() {
    let texts = [0, 59, 60, 61, 3600, 3661, 86_400, 90_000].map(duration_text);
    assert_eq!(texts, ["0s", "59s", "1m", "1m 1s", "1h", "1h 1m", "1d", "1d 1h"]);
}

const GENESIS: [u8; 32] = [9; 32];

fn prepared() -> Prepared {
    let text = "apiVersion: casemate.io/v1\nkind: Service\nmetadata: {name: app}\nspec:\n  \
                containers:\n    - name: app\n      image: registry.example/app@sha256:DIGEST\n      \
                resources: {cpu: 100m, memory: 64Mi, storage: 16Mi}\n";
    let text = text.replace("DIGEST", &"ab".repeat(32));
    let manifest = casemate_manifest::Manifest::parse(&text).unwrap();
    let canonical = String::from_utf8(manifest.to_canonical_json()).unwrap();
    let reference = casemate_primitives::ManifestRef {
        hash: casemate_primitives::blake2_256(canonical.as_bytes()),
        size: u32::try_from(canonical.len()).unwrap(),
    };
    Prepared { manifest, canonical, reference }
}

/// What a provider with this key answers: a quote at this price, for this chain.
fn signed(key: &Keypair, prepared: &Prepared, price: u128, genesis: [u8; 32]) -> (u16, String) {
    use casemate_client::api::{Hex, QuoteResponse};
    let mut offer = quote(|terms| terms.prices.cpu_millicore_second = price).quote;
    offer.provider = key.public_key().0;
    offer.publisher = publisher().address.0;
    offer.manifest_hash = prepared.reference.hash;
    offer.resources = resources(&prepared.manifest);
    offer.replicas = 1;
    offer.expires_at = u64::MAX;
    let response = QuoteResponse {
        quote: Hex(codec::Encode::encode(&offer)),
        signature: Hex(key.sign(&offer.signing_payload(&genesis)).0),
        summary: QuoteSummary::of(&offer).unwrap(),
    };
    (200, serde_json::to_string(&response).unwrap())
}

fn publisher() -> Signer {
    let keypair = subxt_signer::sr25519::dev::alice();
    let address = Address(keypair.public_key().0);
    Signer { keypair, address }
}

fn view(name: &str, key: &Keypair, endpoint: String) -> ProviderView {
    ProviderView {
        account: key.public_key().0,
        name: name.into(),
        regions: Vec::new(),
        endpoints: vec![endpoint],
        tee_kinds: Vec::new(),
        capacity: Resources { cpu_millicores: 100, memory_mib: 64, storage_mib: 16, gpus: 0 },
        used: Resources::default(),
        price_lists: Vec::new(),
        stake: 0,
        unbonding: Vec::new(),
        live_leases: 0,
        cluster: None,
    }
}

async fn ask_any(
    context: &Context,
    providers: Vec<ProviderView>,
    prepared: &Prepared,
    demand: Option<&ClusterDemand>,
) -> Vec<Offer> {
    let signer = publisher();
    let asset = Asset::Native;
    let asked = Asked { genesis_hash: GENESIS, signer: &signer, prepared, demand, asset };
    ask_each(context, providers, asked, Payment::default()).await
}

#[tokio::test]
async fn all_are_asked_and_the_cheapest_honest_one_comes_first() {
    use casemate_client::api::{Refusal, RefusalCode};
    use subxt_signer::sr25519::dev;
    let prepared = prepared();
    let serve = |answer| crate::commands::testing::provider_endpoint(vec![answer]);
    let refusal = Refusal {
        code: RefusalCode::HostTaken,
        message: "the name is taken\x1b[2J".into(),
        hint: "choose another".into(),
    };
    let dear = view("dear", &dev::bob(), serve(signed(&dev::bob(), &prepared, 20, GENESIS)));
    let cheap =
        view("cheap", &dev::charlie(), serve(signed(&dev::charlie(), &prepared, 10, GENESIS)));
    let refuses =
        view("refuses", &dev::dave(), serve((409, serde_json::to_string(&refusal).unwrap())));
    // Cheaper than all, but signed by somebody else, and for another chain.
    let forged = view("forged", &dev::eve(), serve(signed(&dev::bob(), &prepared, 1, GENESIS)));
    let elsewhere =
        view("elsewhere", &dev::ferdie(), serve(signed(&dev::ferdie(), &prepared, 1, [8; 32])));
    let mut full = view("full", &dev::one(), "http://127.0.0.1:1".into());
    full.used.memory_mib = 1;
    let away = view("away", &dev::two(), "http://127.0.0.1:1".into());

    let context = crate::commands::testing::context();
    let providers = vec![full, forged, dear, away, refuses, elsewhere, cheap];
    let offers = ask_any(&context, providers, &prepared, None).await;
    let names: Vec<&str> = offers.iter().map(|offer| offer.provider.name.as_str()).collect();
    assert_eq!(names[..2], ["cheap", "dear"]);
    let reason = |name: &str| {
        let offer = offers.iter().find(|offer| offer.provider.name == name).unwrap();
        match &offer.verdict {
            Verdict::Refused(reason) => reason.clone(),
            Verdict::Quoted(_) => panic!("{name} was taken"),
        }
    };
    assert!(reason("refuses").contains("the name is taken"));
    assert!(reason("refuses").contains("choose another"));
    assert!(!reason("refuses").contains('\x1b'));
    assert!(reason("forged").contains("signature"), "{}", reason("forged"));
    assert!(reason("elsewhere").contains("signature"), "{}", reason("elsewhere"));
    assert!(reason("full").contains("not enough free capacity"), "{}", reason("full"));
    assert!(reason("away").contains("cannot reach"), "{}", reason("away"));
    let table = offers_table(&offers, &NATIVE);
    assert_eq!(table.lines().count(), 8, "{table}");
    assert!(table.lines().nth(1).unwrap().starts_with("cheap "), "{table}");
}

#[tokio::test]
async fn only_allowed_endpoints_are_spoken_to() {
    let key = subxt_signer::sr25519::dev::bob();
    let prepared = prepared();
    let answer = signed(&key, &prepared, 1, GENESIS);
    let endpoint = crate::commands::testing::provider_endpoint(vec![answer]);
    let mut context = crate::commands::testing::context();
    context.settings.provider_endpoints = Some(vec!["http://other.example".into()]);
    let ask = async |context: &Context| {
        let providers = vec![view("p", &key, endpoint.clone())];
        ask_any(context, providers, &prepared, None).await
    };
    assert!(matches!(&ask(&context).await[0].verdict, Verdict::Refused(r) if r.contains("allow")));
    context.settings.provider_endpoints = Some(vec![format!("{endpoint}/")]);
    assert!(matches!(&ask(&context).await[0].verdict, Verdict::Quoted(_)));
}

#[tokio::test]
async fn who_is_left_out_for_its_cluster_is_not_asked() {
    use crate::commands::cluster::attested_view;
    use subxt_signer::sr25519::dev;
    let prepared = prepared();
    let serve = |key: &Keypair, price| {
        crate::commands::testing::provider_endpoint(vec![signed(key, &prepared, price, GENESIS)])
    };
    // Nobody listens there: it would be said.
    let unattested = view("unattested", &dev::bob(), "http://127.0.0.1:1".into());
    let mut ended = view("ended", &dev::charlie(), "http://127.0.0.1:1".into());
    ended.cluster = Some(attested_view(100));
    let mut attested = view("attested", &dev::dave(), serve(&dev::dave(), 20));
    attested.cluster = Some(attested_view(101));
    let providers = vec![unattested, ended, attested];
    let context = crate::commands::testing::context();
    let demand = ClusterDemand::any_at(100);
    let offers = ask_any(&context, providers.clone(), &prepared, Some(&demand)).await;
    let verdicts: Vec<(&str, &Verdict)> =
        offers.iter().map(|offer| (offer.provider.name.as_str(), &offer.verdict)).collect();
    assert!(matches!(verdicts[0], ("attested", Verdict::Quoted(_))), "{verdicts:?}");
    for (name, verdict) in &verdicts[1..] {
        let Verdict::Refused(reason) = verdict else { panic!("{name} was taken") };
        let expected =
            if *name == "ended" { "attestation has ended" } else { "cluster is not attested" };
        assert!(reason.contains(expected), "{name}: {reason}");
    }
    // Who does not ask for it is told what else is wrong with them.
    let offers = ask_any(&context, providers, &prepared, None).await;
    assert!(
        offers_table(&offers, &NATIVE).contains("cannot reach"),
        "{}",
        offers_table(&offers, &NATIVE)
    );
}

#[test]
fn a_publisher_sees_what_it_agrees_to_and_whom_it_trusts() {
    use casemate_primitives::reputation::{Score, Tally};
    let offer = |name: &str, score: u128, silence: u32| {
        let quote = quote(|terms| {
            terms.dispute_seconds = 3_600;
            terms.silence_seconds = silence;
            terms.reclaim_seconds = 86_400;
            terms.retention_seconds = 7 * 86_400;
            terms.warn_seconds = [86_400, 3_600, 0];
        });
        let provider = Tally { work: score, ..Tally::default() };
        let score = Score { provider, ..Score::default() };
        Offer {
            provider: view(name, &subxt_signer::sr25519::dev::bob(), String::new()),
            reputation: ReputationView { score, open_complaints: 1 },
            verdict: price(quote, Payment::default()),
        }
    };
    let offers = vec![offer("one", 2 * CASE, 0), offer("two", 0, 0), offer("three", 0, 600)];
    let table = offers_table(&offers, &NATIVE);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].contains("REPUTATION"), "{table}");
    assert!(rows[1].contains("2 CASE, 1 complaints open"), "{table}");
    assert!(rows[2].contains("none, 1 complaints open"), "{table}");
    let terms = terms_text(&offers, &NATIVE);
    assert_eq!(terms.matches("Terms of").count(), 2, "{terms}");
    for part in [
        "Terms of one, two:",
        "Terms of three:",
        "contested for 1h to twice",
        "pods stay for 1m without money",
        "may leave 1d after saying so",
        "can't be evicted",
        "proves nothing for 10m",
        "kept for 7d",
        "less than 1d, 1h",
    ] {
        assert!(terms.contains(part), "{part}: {terms}");
    }
    let json = serde_json::to_value(OfferInfo::new(&offers[0], &NATIVE)).unwrap();
    assert_eq!(json["terms"]["disputeSeconds"], 3_600);
    assert_eq!(json["terms"]["silenceSeconds"], 0);
    assert_eq!(json["reputation"]["score"], (2 * CASE).to_string());
}

#[test]
fn the_least_price_of_a_second_counts_in_what_is_shown_and_allowed() {
    let priced = try_price(quote(|terms| terms.second_min = 5_000), Payment::default()).unwrap();
    // Each of the three replicas costs at least that, and it is told in what is paid in.
    let terms = TermsInfo::of(&priced.quote.quote.terms);
    let least = |unit: &Unit| terms.lines(unit).pop().unwrap().1;
    assert_eq!(least(&NATIVE), "5000 planck a running second and replica");
    assert_eq!(least(&Unit::of_tests()), "0.005 tUSD a running second and replica");
    assert_eq!(priced.per_second, 15_000);
    assert_eq!(priced.spend_rate_max, 30_000);
    let low = Payment { spend_rate: Some(14_999), ..Payment::default() };
    assert!(reason(quote(|terms| terms.second_min = 5_000), low).contains("--spend-rate"));
}
