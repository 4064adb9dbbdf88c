//! Which headers pass.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, EXPECT, FORWARDED, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The protocol that a request wants to switch to, or a response switches to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get_all(CONNECTION).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|list| list.split(',').any(|t| t.trim().eq_ignore_ascii_case("upgrade")))
    });
    if asked { headers.get(UPGRADE).cloned() } else { None }
}

/// Removes what is meant for one connection only (RFC 9110, 7.6.1).
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let listed: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in listed {
            // A sender may not make us drop what frames or routes the message.
            if name != http::header::CONTENT_LENGTH && name != http::header::HOST {
                headers.remove(name);
            }
        }
        headers.remove(CONNECTION);
    }
    for name in [
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// Says who asks. What the client itself says about that is not believed: nobody trusted stands in
/// front of this ingress.
pub(super) fn set_forwarded(headers: &mut HeaderMap, client: &HeaderValue, host: HeaderValue) {
    headers.remove(FORWARDED);
    headers.remove(REAL_IP);
    // We answer `100 Continue` ourselves.
    headers.remove(EXPECT);
    headers.insert(FORWARDED_FOR, client.clone());
    headers.insert(FORWARDED_HOST, host);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
}
