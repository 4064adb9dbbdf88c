use proptest::prelude::*;

use super::*;

/// `testdata/collection-cbor-ok.cbor` of the crate `cmw` 0.1.2 (Veraison, Apache-2.0).
const VERAISON: &str = "a30183781d6170706c69636174696f6e2f7369676e65642d636f72696d2b63626f72\
                        47d28443a10126a10302da63747632442347da5561738219753144\
                        2347da55";

#[test]
fn another_implementations_collection_is_read_and_written_the_same() {
    let bytes = hex::decode(VERAISON).unwrap();
    let collection = Collection::decode(&bytes).unwrap();
    assert_eq!(collection.len(), 3);
    let Some(Cmw::Record(record)) = collection.get(&Label::Integer(1)) else { panic!() };
    assert_eq!(record.media_type(), "application/signed-corim+cbor");
    assert_eq!((record.value().len(), record.indicator()), (7, 3));
    let Some(Cmw::Tag { number, value }) = collection.get(&Label::Integer(2)) else { panic!() };
    assert_eq!((*number, value.len()), (1_668_576_818, 4));
    assert_eq!(collection.encode(), bytes);
}

#[test]
fn each_kind_of_bad_collection_has_its_error() {
    let error = |hex: &str| Collection::decode(&hex::decode(hex).unwrap()).unwrap_err();
    assert_eq!(error(""), CmwError::Malformed);
    assert_eq!(error("a0"), CmwError::Malformed);
    // Indefinite length.
    assert_eq!(error("bf0182614140ff"), CmwError::Malformed);
    // A length far above what is there.
    assert_eq!(
        error("a101826141 5b7fffffffffffffff".replace(' ', "").as_str()),
        CmwError::Malformed
    );
    assert_eq!(error("b9ffff"), CmwError::TooMany);
    assert_eq!(
        error("a101a101a101a101a101a1018261 4140".replace(' ', "").as_str()),
        CmwError::TooMany
    );
    assert_eq!(error("a20182614140 0182614140".replace(' ', "").as_str()), CmwError::Duplicate);
    assert_eq!(error("a1018261414000"), CmwError::Trailing);
    assert_eq!(Collection::decode(&vec![0; CMW_BYTES_MAX + 1]), Err(CmwError::TooLong));
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_so_that_it_reads_the_same(
        bytes in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        if let Ok(collection) = Collection::decode(&bytes) {
            prop_assert_eq!(Collection::decode(&collection.encode()).unwrap(), collection);
        }
    }

    #[test]
    fn damaged_collections_never_panic(at in 0usize..64, with in any::<u8>(), cut in 0usize..65) {
        let mut bytes = hex::decode(VERAISON).unwrap();
        bytes[at] ^= with;
        bytes.truncate(cut);
        let _ = Collection::decode(&bytes);
    }
}
