//! The seeds reach what lies behind digests and checksums.

use super::*;

#[test]
fn good_seeds_are_unpacked() {
    assert!(unpack_lines(include_bytes!("../../corpus/image_layer/plain")));
    for seed in [
        include_bytes!("../../corpus/image_layer_raw/tar").as_slice(),
        include_bytes!("../../corpus/image_layer_raw/gzip"),
        include_bytes!("../../corpus/image_layer_raw/zstd"),
    ] {
        assert!(unpack_raw(seed));
    }
    assert_eq!(load_as_layout(include_bytes!("../../corpus/image_layout/image")), 2);
    assert_eq!(load_as_archive(include_bytes!("../../corpus/image_archive/oci")), 2);
    assert_eq!(load_as_archive(include_bytes!("../../corpus/image_archive/docker")), 2);
}

#[test]
fn bad_seeds_are_refused() {
    assert_eq!(load_as_layout(include_bytes!("../../corpus/image_layout/wrong_size")), 0);
    assert_eq!(load_as_layout(include_bytes!("../../corpus/image_layout/wrong_digest")), 0);
    assert!(!unpack_raw(include_bytes!("../../corpus/image_layer_raw/text")));
    assert!(!unpack_lines(include_bytes!("../../corpus/image_layer/escapes")));
}
