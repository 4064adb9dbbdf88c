use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::entry::Entry;

fn entry(name: u8, version: u64, content: u8) -> SignedEntry {
    let body = (content > 0).then(|| Body::Collateral(vec![content]));
    let key = Key::Collateral(format!("n{name}"));
    Entry { vault: [0; 32], version, key, body }.sign(&SigningKey::from_bytes(&[1; 32]))
}

#[test]
fn the_higher_version_counts_and_a_removal_stays() {
    let mut catalogue = Catalogue::default();
    assert_eq!(catalogue.put(entry(1, 5, 1)), Ok(Put::New));
    assert_eq!(catalogue.put(entry(1, 5, 1)), Ok(Put::Same));
    let older = Err(EntryError::Older { have: 5, found: 4 });
    assert_eq!(catalogue.put(entry(1, 4, 2)), older);
    assert_eq!(catalogue.put(entry(1, 6, 0)), Ok(Put::New));
    assert!(catalogue.put(entry(1, 5, 1)).is_err());
    assert_eq!((catalogue.len(), catalogue.newest()), (1, 6));
}

#[test]
fn it_is_bounded_in_names_and_bytes_and_counts_what_is_replaced() {
    let mut catalogue = Catalogue::default();
    let big = |version, bytes| {
        let mut big = entry(1, version, 1);
        big.entry.body = Some(Body::Collateral(vec![1; bytes]));
        big
    };
    for version in 1..10 {
        catalogue.put(big(version, BYTES_MAX - 1000)).unwrap();
    }
    assert!(matches!(catalogue.put(entry(2, 1, 1)), Ok(Put::New)));
    assert!(matches!(catalogue.put(big(10, BYTES_MAX)), Err(EntryError::Full(_))));
    assert_eq!(catalogue.put(entry(1, 11, 0)), Ok(Put::New));
    assert!(catalogue.bytes < 1000);
    let mut many = Catalogue::default();
    for n in 0..KEYS_MAX {
        let mut entry = entry(1, 1, 0);
        entry.entry.key = Key::Secret(format!("{n}"));
        many.put(entry).unwrap();
    }
    assert!(matches!(many.put(entry(9, 1, 0)), Err(EntryError::Full(_))));
}

proptest! {
    /// Replicas that hear of entries in any order, and more than once, agree.
    #[test]
    fn the_order_does_not_matter(
        entries in prop::collection::vec((0u8..4, 0u64..6, 0u8..4), 0..24),
        seed: u64,
    ) {
        let entries: Vec<_> = entries.into_iter().map(|(n, v, c)| entry(n, v, c)).collect();
        let put_all = |entries: &[SignedEntry]| {
            let mut catalogue = Catalogue::default();
            entries.iter().for_each(|entry| drop(catalogue.put(entry.clone())));
            catalogue.iter().cloned().collect::<Vec<_>>()
        };
        let mut other = entries.clone();
        other.extend(entries.iter().take(3).cloned());
        let length = other.len().max(1);
        for n in 0..length.saturating_sub(1) {
            let with = (seed as usize).wrapping_mul(n + 7) % length;
            other.swap(n, with);
        }
        prop_assert_eq!(put_all(&entries), put_all(&other));
    }
}
