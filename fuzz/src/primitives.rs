//! What both sides of the chain encode with SCALE.

use casemate_primitives::{
    Amendment, Hash256, PriceList, ProviderInfo, Quote, Resources, UsageRecord, merkle,
};
use codec::{Decode, DecodeAll, Encode};

const GENESIS: [u8; 32] = [7; 32];

/// Decodes, and checks that what was read has exactly one encoding. Signatures are over it: with
/// two of them, one content would have two hashes.
fn decoded<T: Decode + Encode + PartialEq + std::fmt::Debug>(data: &[u8]) -> Option<T> {
    let mut rest = data;
    let value = T::decode(&mut rest).ok()?;
    let used = &data[..data.len() - rest.len()];
    assert_eq!(value.encode(), used, "another encoding of {value:?}");
    assert_eq!(T::decode_all(&mut &used[..]).unwrap(), value);
    assert_eq!(T::decode_all(&mut &data[..]).is_ok(), rest.is_empty());
    Some(value)
}

/// A provider's offer, or a publisher's proposal of new prices.
pub(crate) fn quote(data: &[u8]) {
    if let Some(amendment) = decoded::<Amendment>(data) {
        let payload = amendment.signing_payload(&GENESIS);
        assert!(payload.starts_with(&Amendment::SIGNING_CONTEXT.encode()));
        assert_ne!(payload, amendment.signing_payload(&[8; 32]));
    }
    let Some(quote) = decoded::<Quote>(data) else { return };
    assert!(quote.signing_payload(&GENESIS).starts_with(&Quote::SIGNING_CONTEXT.encode()));
    let all: Option<Resources> = quote.resources.checked_mul(u32::from(quote.replicas));
    let _ = all.and_then(|all| quote.terms.prices.per_second(&all));
    let other = Quote { expires_at: quote.expires_at ^ 1, ..quote };
    assert_ne!(quote.signing_payload(&GENESIS), other.signing_payload(&GENESIS));
}

/// An agent's usage records, one after the other.
pub(crate) fn usage_record(data: &[u8]) {
    let Some(record) = decoded::<UsageRecord>(data) else { return };
    assert_ne!(record.signing_payload(&GENESIS), record.signing_payload(&[8; 32]));
    assert!(!record.is_followed_by(&record), "a record follows itself");
    assert!(!record.contradicts(&record), "a record contradicts itself");
    let Some(next) = decoded::<UsageRecord>(&data[record.encode().len()..]) else { return };
    assert_eq!(record.contradiction(&next), next.contradiction(&record), "the order matters");
    if record.is_followed_by(&next) {
        assert!(next.to >= record.to);
        assert!(next.total.checked_sub(&record.total).is_some());
        assert!(!next.is_followed_by(&record));
    }
}

/// New prices for a lease.
pub(crate) fn amendment(data: &[u8]) {
    let Some(amendment) = decoded::<Amendment>(data) else { return };
    let payload = amendment.signing_payload(&GENESIS);
    assert!(payload.starts_with(&Amendment::SIGNING_CONTEXT.encode()));
    let other = Amendment { number: amendment.number ^ 1, ..amendment };
    assert_eq!(other == amendment, other.signing_payload(&GENESIS) == payload);
    let _ = amendment.prices.per_second(&Resources { cpu_millicores: u32::MAX, ..<_>::default() });
}

/// A path of a Merkle tree: leaf, index, size and hashes.
pub(crate) fn proof(data: &[u8]) {
    let Ok((leaf, index, size)) = <(Hash256, u64, u64)>::decode(&mut &*data) else { return };
    let path: Vec<Hash256> =
        data[48..].chunks_exact(32).filter_map(|hash| hash.try_into().ok()).collect();
    let Some(root) = merkle::proved_root(&leaf, index, size, &path) else { return };
    assert!(index < size && path.len() <= 64);
    // It proves this leaf under this root, and no other one with the same path.
    let mut other = leaf;
    other[0] ^= 1;
    assert_ne!(merkle::proved_root(&other, index, size, &path), Some(root));
    let longer = [path.as_slice(), &[leaf]].concat();
    assert_eq!(merkle::proved_root(&leaf, index, size, &longer), None);
    if let Some((_, shorter)) = path.split_last() {
        assert_eq!(merkle::proved_root(&leaf, index, size, shorter), None);
    }
}

/// What a provider says of itself.
pub(crate) fn registry(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 2 {
        0 => drop(decoded::<ProviderInfo>(data)),
        _ => drop(decoded::<PriceList>(data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_seeds_decode() {
        let native = include_bytes!("../corpus/primitives_quote/native");
        Quote::decode_all(&mut native.as_slice()).unwrap();
        let asset = include_bytes!("../corpus/primitives_quote/asset");
        Quote::decode_all(&mut asset.as_slice()).unwrap();
        let mut two = include_bytes!("../corpus/primitives_usage_record/two").as_slice();
        let first = UsageRecord::decode(&mut two).unwrap();
        assert!(first.is_followed_by(&UsageRecord::decode_all(&mut two).unwrap()));
        let amendment = include_bytes!("../corpus/primitives_amendment/dearer");
        Amendment::decode_all(&mut amendment.as_slice()).unwrap();
        let data = include_bytes!("../corpus/primitives_merkle/leaf_4_of_13");
        let (leaf, index, size) = <(Hash256, u64, u64)>::decode(&mut data.as_slice()).unwrap();
        let path: Vec<Hash256> =
            data[48..].chunks_exact(32).map(|hash| hash.try_into().unwrap()).collect();
        let leaves: Vec<_> = (0..13u8).map(|i| merkle::leaf_hash(&[i])).collect();
        assert_eq!(merkle::proved_root(&leaf, index, size, &path), Some(merkle::root(&leaves)));
        let info = include_bytes!("../corpus/primitives_registry/info");
        ProviderInfo::decode_all(&mut &info[1..]).unwrap();
        let prices = include_bytes!("../corpus/primitives_registry/prices");
        PriceList::decode_all(&mut &prices[1..]).unwrap();
    }
}
