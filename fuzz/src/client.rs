//! The provider's API: what a provider reads of strangers, and a client of providers.

use std::{collections::BTreeMap, fmt::Debug};

use casemate_client::{
    api::{
        EventList, LeaseStatus, LogChunkList, LogEntry, ProviderInfo, QuoteRequest, QuoteResponse,
        QuoteSummary, RecordList, Refusal,
    },
    auth::{LIFETIME_SECONDS_MAX, ReplayCache, RequestParts, RequestSignature, verify},
    records::SignedRecord,
};
use casemate_primitives::LeaseId;
use serde::{Serialize, de::DeserializeOwned};

/// Headers, one `name: value` a line.
pub(crate) fn auth_headers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let headers: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let read = RequestSignature::from_headers(|name| headers.get(name).copied());
    let signed = match read {
        Ok(signed) => signed,
        Err(err) => {
            assert!(!err.hint().is_empty() && err.to_string().len() < 1000);
            return;
        }
    };
    let sent = signed.headers();
    let again = RequestSignature::from_headers(|name| {
        sent.iter().find(|(sent, _)| *sent == name).map(|(_, value)| value.as_str())
    });
    assert_eq!(again, Ok(signed));
    // Nothing was ever signed for this chain and provider.
    let parts = RequestParts {
        genesis_hash: &[0xEE; 32],
        provider: &[0xDD; 32],
        method: "GET",
        path_and_query: "/v1/leases/1",
        body: data,
    };
    for now in [0, signed.expires, signed.expires.saturating_sub(LIFETIME_SECONDS_MAX), u64::MAX] {
        assert!(verify(&parts, &signed, now).is_err());
        let mut cache = ReplayCache::new(4);
        if cache.accept(&signed, true, now).is_ok() {
            assert!(cache.accept(&signed, true, now).is_err(), "replayed");
        }
    }
}

/// JSON of every kind that goes over the wire.
pub(crate) fn answers(data: &[u8]) {
    round_trip::<QuoteRequest>(data);
    round_trip::<QuoteResponse>(data);
    round_trip::<QuoteSummary>(data);
    round_trip::<ProviderInfo>(data);
    round_trip::<LeaseStatus>(data);
    round_trip::<LogEntry>(data);
    round_trip::<EventList>(data);
    round_trip::<Refusal>(data);
    round_trip::<LogChunkList>(data);
    round_trip::<RecordList>(data);
    let records = serde_json::from_slice::<RecordList>(data).unwrap_or_default().records;
    for entry in records {
        // Nothing was ever signed for this chain.
        assert!(SignedRecord::check(&entry, LeaseId(1), &[0xEE; 32]).is_err());
    }
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(data) else { return };
    let text = serde_json::to_vec(&value).unwrap();
    assert_eq!(serde_json::from_slice::<T>(&text).unwrap(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_seeds_are_read() {
        fn read<T: DeserializeOwned>(seed: &str) {
            drop(serde_json::from_str::<T>(seed).unwrap_or_else(|err| panic!("{seed}: {err}")));
        }
        read::<QuoteRequest>(include_str!("../corpus/client_answers/quote_request.json"));
        read::<ProviderInfo>(include_str!("../corpus/client_answers/info.json"));
        read::<EventList>(include_str!("../corpus/client_answers/events.json"));
        read::<Refusal>(include_str!("../corpus/client_answers/refusal.json"));
        read::<LogEntry>(include_str!("../corpus/client_answers/log.json"));
        read::<LeaseStatus>(include_str!("../corpus/client_answers/status.json"));
        read::<LogChunkList>(include_str!("../corpus/client_answers/log_chunks.json"));
        read::<RecordList>(include_str!("../corpus/client_answers/records.json"));
    }
}
