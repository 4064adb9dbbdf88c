use casemate_primitives::{LeaseTerms, Prices};
use codec::Encode;
use subxt_signer::sr25519::dev;

use super::*;

const NOW: UnixSeconds = 1_800_000_000;
const MANIFEST: &str = "{\"kind\":\"Service\"}";
const RESOURCES: Resources =
    Resources { cpu_millicores: 100, memory_mib: 64, storage_mib: 10, gpus: 0 };

fn client() -> ProviderClient {
    let bob = dev::bob().public_key().0;
    ProviderClient::new("http://127.0.0.1:1", bob, [7; 32], Arc::new(dev::alice())).unwrap()
}

fn quote() -> Quote {
    Quote {
        provider: dev::bob().public_key().0,
        publisher: dev::alice().public_key().0,
        manifest_hash: blake2_256(MANIFEST.as_bytes()),
        resources: RESOURCES,
        replicas: 2,
        terms: LeaseTerms {
            asset: casemate_primitives::Asset::Native,
            prices: Prices { cpu_millicore_second: 3, ..Prices::default() },
            notice_seconds: 60,
            grace_seconds: 60,
            deposit_min: 1,
            ..Default::default()
        },
        expires_at: NOW + 60,
        nonce: [1; 16],
    }
}

fn answer(quote: &Quote, key: &Keypair, genesis_hash: &Hash256) -> QuoteResponse {
    QuoteResponse {
        quote: Hex(quote.encode()),
        signature: Hex(key.sign(&quote.signing_payload(genesis_hash)).0),
        summary: QuoteSummary::of(quote).unwrap(),
    }
}

fn check(answer: &QuoteResponse) -> Result<SignedQuote, ProviderError> {
    let wanted =
        QuoteWanted { manifest: MANIFEST, resources: RESOURCES, replicas: 2, asset: Asset::Native };
    client().check_quote(&wanted, answer, NOW)
}

#[test]
fn a_quote_for_what_was_asked_is_handed_out() {
    let checked = check(&answer(&quote(), &dev::bob(), &[7; 32])).unwrap();
    assert_eq!(checked.quote, quote());
    assert_eq!(checked.summary.cost_per_second.0, 600);
}

#[test]
fn the_summary_is_made_from_the_quote_and_not_from_the_providers_words() {
    let mut lying = answer(&quote(), &dev::bob(), &[7; 32]);
    lying.summary.cost_per_second = crate::api::Amount(1);
    assert_eq!(check(&lying).unwrap().summary.cost_per_second.0, 600);
}

#[test]
fn a_quote_for_anything_else_is_refused() {
    let in_asset = LeaseTerms { asset: Asset::Registered(1), ..quote().terms };
    let changed = [
        (Quote { publisher: [1; 32], ..quote() }, "the publisher's account"),
        (Quote { provider: [1; 32], ..quote() }, "the provider's account"),
        (Quote { manifest_hash: [1; 32], ..quote() }, "the manifest"),
        (Quote { replicas: 1, ..quote() }, "the number of replicas"),
        (Quote { resources: Resources { gpus: 1, ..RESOURCES }, ..quote() }, "the resources"),
        (Quote { expires_at: NOW, ..quote() }, "the expiry"),
        (Quote { terms: in_asset, ..quote() }, "the asset"),
    ];
    for (quote, expected) in changed {
        let err = check(&answer(&quote, &dev::bob(), &[7; 32])).unwrap_err();
        assert!(matches!(err, ProviderError::Mismatch { what, .. } if what == expected), "{err}");
    }
    for (key, genesis) in [(dev::charlie(), [7; 32]), (dev::bob(), [8; 32])] {
        let err = check(&answer(&quote(), &key, &genesis)).unwrap_err();
        assert!(matches!(err, ProviderError::Mismatch { what: "the signature", .. }), "{err}");
    }
    let mut longer = answer(&quote(), &dev::bob(), &[7; 32]);
    longer.quote.0.push(0);
    assert!(matches!(check(&longer), Err(ProviderError::Malformed { .. })));
}

#[test]
fn endpoints_are_checked_and_may_lie_below_a_path() {
    for bad in ["", "provider", "ftp://x", "http://", "http://x/?q=1", "http://x/#f"] {
        assert!(matches!(base_url(bad), Err(ProviderError::BadEndpoint { .. })), "{bad}");
    }
    let url = join(&base_url("https://x.example/casemate/").unwrap(), "/v1/leases/1/logs?tail=2");
    assert_eq!(url.as_str(), "https://x.example/casemate/v1/leases/1/logs?tail=2");
}

#[test]
fn log_options_become_a_query_that_no_parser_rewrites() {
    let options = LogOptions {
        container: Some("a b&c=é".into()),
        replica: Some(1),
        after: [("l1-r1-v1".to_owned(), 7), ("l1-r1-v2".to_owned(), 8)].into(),
        tail: Some(5),
        follow: true,
    };
    let query = options.query();
    let expected = "?container=a%20b%26c%3D%C3%A9&replica=1&after=l1-r1-v1:7,l1-r1-v2:8&tail=5\
                    &follow=true";
    assert_eq!(query, expected);
    let url = join(&base_url("http://x").unwrap(), &format!("/v1/leases/1/logs{query}"));
    assert_eq!(format!("?{}", url.query().unwrap()), expected);
    assert_eq!(LogOptions::default().query(), "");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_an_error_with_a_hint() {
    // A port that was just given out and closed again has nobody behind it.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let err = ProviderClient::info_of(&format!("http://127.0.0.1:{port}")).await.unwrap_err();
    assert!(matches!(err, ProviderError::Unreachable { .. }), "{err}");
    assert!(!err.hint().is_empty());
}

#[test]
fn new_prices_are_taken_with_the_providers_own_signature_for_this_chain_only() {
    let amendment = Amendment {
        lease: LeaseId(1),
        number: 1,
        replaces: Prices::default(),
        prices: Prices { cpu_millicore_second: 5, ..Prices::default() },
        second_min: 0,
        expires_at: NOW + 60,
    };
    let (bob, genesis) = (dev::bob(), [7; 32]);
    let account = bob.public_key().0;
    let signature = bob.sign(&amendment.signing_payload(&genesis)).0;
    assert!(is_signed_amendment(&amendment, &signature, &account, &genesis));
    assert!(!is_signed_amendment(&amendment, &signature, &account, &[8; 32]));
    assert!(!is_signed_amendment(&amendment, &signature, &[0; 32], &genesis));
    let dearer = Amendment { second_min: 1, ..amendment };
    assert!(!is_signed_amendment(&dearer, &signature, &account, &genesis));
    let by_another = dev::charlie().sign(&amendment.signing_payload(&genesis)).0;
    assert!(!is_signed_amendment(&amendment, &by_another, &account, &genesis));
}
