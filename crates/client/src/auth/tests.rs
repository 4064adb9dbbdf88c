use super::*;
use subxt_signer::sr25519::dev;

const NOW: UnixSeconds = 1_800_000_000;

fn parts<'a>() -> RequestParts<'a> {
    RequestParts {
        genesis_hash: &[1; 32],
        provider: &[2; 32],
        method: "GET",
        path_and_query: "/v1/leases/1?x=y",
        body: b"body",
    }
}

fn signed() -> RequestSignature {
    sign(&dev::alice(), &parts(), NOW + 60, [3; 16])
}

#[test]
fn a_signed_request_is_its_accounts_even_after_the_headers() {
    let sent = signed();
    let headers = sent.headers();
    let read = RequestSignature::from_headers(|name| {
        headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    })
    .unwrap();
    assert_eq!(read, sent);
    assert_eq!(verify(&parts(), &read, NOW).unwrap(), dev::alice().public_key().0);
}

#[test]
fn any_change_of_what_is_covered_is_noticed() {
    let changed = [
        RequestParts { genesis_hash: &[9; 32], ..parts() },
        RequestParts { provider: &[9; 32], ..parts() },
        RequestParts { method: "PUT", ..parts() },
        RequestParts { path_and_query: "/v1/leases/2?x=y", ..parts() },
        RequestParts { path_and_query: "/v1/leases/1?x=z", ..parts() },
        RequestParts { body: b"", ..parts() },
    ];
    for parts in changed {
        assert_eq!(verify(&parts, &signed(), NOW), Err(AuthError::BadSignature), "{parts:?}");
    }
    let bob = dev::bob().public_key().0;
    let forged = [
        RequestSignature { account: bob, ..signed() },
        RequestSignature { account: [0xff; 32], ..signed() },
        RequestSignature { expires: NOW + 61, ..signed() },
        RequestSignature { nonce: [4; 16], ..signed() },
        RequestSignature { signature: [0; 64], ..signed() },
        RequestSignature { signature: [0xff; 64], ..signed() },
    ];
    for signed in forged {
        assert_eq!(verify(&parts(), &signed, NOW), Err(AuthError::BadSignature), "{signed:?}");
    }
}

#[test]
fn a_request_is_good_until_its_expiry_and_not_for_longer_than_the_limit() {
    assert!(verify(&parts(), &signed(), NOW + 60).is_ok());
    let late = verify(&parts(), &signed(), NOW + 61);
    assert_eq!(late, Err(AuthError::Expired { expires: NOW + 60, now: NOW + 61 }));
    let at_limit = sign(&dev::alice(), &parts(), NOW + LIFETIME_SECONDS_MAX, [3; 16]);
    assert!(verify(&parts(), &at_limit, NOW).is_ok());
    let past_limit = sign(&dev::alice(), &parts(), NOW + LIFETIME_SECONDS_MAX + 1, [3; 16]);
    assert!(matches!(verify(&parts(), &past_limit, NOW), Err(AuthError::TooFarAhead { .. })));
    let for_ever = sign(&dev::alice(), &parts(), u64::MAX, [3; 16]);
    assert!(matches!(verify(&parts(), &for_ever, NOW), Err(AuthError::TooFarAhead { .. })));
}

#[test]
fn missing_and_malformed_headers_are_named() {
    let none = RequestSignature::from_headers(|_| None);
    assert_eq!(none, Err(AuthError::MissingHeader { name: ACCOUNT_HEADER }));
    for (name, _) in signed().headers() {
        for bad in ["", "zz", "0x00", "-1", "٣", "99999999999999999999999999999999999999"] {
            let headers = signed().headers();
            let read = RequestSignature::from_headers(|wanted| {
                if wanted == name {
                    return Some(bad);
                }
                headers.iter().find(|(n, _)| *n == wanted).map(|(_, v)| v.as_str())
            });
            assert_eq!(read, Err(AuthError::BadHeader { name }), "{bad:?}");
        }
    }
}

#[test]
fn a_nonce_is_used_once_until_it_expires() {
    let mut cache = ReplayCache::new(8);
    cache.accept(&signed(), true, NOW).unwrap();
    assert_eq!(cache.accept(&signed(), true, NOW), Err(AuthError::Replayed));
    assert_eq!(cache.accept(&signed(), true, NOW + 60), Err(AuthError::Replayed));
    let other_account = RequestSignature { account: [7; 32], ..signed() };
    cache.accept(&other_account, true, NOW).unwrap();
    let newer = RequestSignature { expires: NOW + 100, nonce: [8; 16], ..signed() };
    cache.accept(&newer, true, NOW + 61).unwrap();
    assert_eq!(cache.len(), 1);
    // The expired ones are forgotten, but a clock that is set back does not let them in again.
    assert!(matches!(cache.accept(&signed(), true, NOW), Err(AuthError::Expired { .. })));
}

#[test]
fn a_full_cache_refuses_rather_than_forgets_and_keeps_half_for_customers() {
    let mut cache = ReplayCache::new(4);
    let request = |n: u8| RequestSignature { nonce: [n; 16], ..signed() };
    cache.accept(&request(1), false, NOW).unwrap();
    cache.accept(&request(2), false, NOW).unwrap();
    assert_eq!(cache.accept(&request(3), false, NOW), Err(AuthError::Busy));
    cache.accept(&request(3), true, NOW).unwrap();
    cache.accept(&request(4), true, NOW).unwrap();
    assert_eq!(cache.accept(&request(5), true, NOW), Err(AuthError::Busy));
    for n in 1..=4 {
        assert_eq!(cache.accept(&request(n), true, NOW), Err(AuthError::Replayed));
    }
    let later = RequestSignature { expires: NOW + 99, ..request(5) };
    cache.accept(&later, false, NOW + 61).unwrap();
}
