use super::*;
use crate::spool::tests::{ACCOUNT, GENESIS, KEY, record};

fn open(dir: &tempfile::TempDir) -> Spool {
    Spool::open(dir.path(), &GENESIS, &ACCOUNT).unwrap()
}

#[tokio::test]
async fn leaves_outlive_the_process_and_are_proved_until_they_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<_> = (1..=5).map(record).collect();
    let root = open(&dir).keep_batch(records.clone(), 1000).await.unwrap();
    let spool = open(&dir);
    // A crash between keeping and submitting: the same again.
    assert_eq!(spool.keep_batch(records.clone(), 1010).await.unwrap(), root);
    for (index, expected) in (0..).zip(&records) {
        let (found, path) = spool.batch_leaf(root, index).await.unwrap().unwrap();
        assert_eq!(found, *expected);
        let leaf = batch_leaf(&found.record, &found.signature);
        assert_eq!(merkle::proved_root(&leaf, index, 5, &path), Some(root));
    }
    assert_eq!(spool.batch_leaf(root, 5).await.unwrap(), None);
    assert_eq!(spool.batch_leaf([9; 32], 0).await.unwrap(), None);
    let places = spool.batched(KEY, 3).await.unwrap();
    let place = |index, sequence| LeafPlace { root, index, sequence };
    assert_eq!(places, [place(4, 5), place(3, 4)]);
    spool.sweep_batches(1010).await.unwrap();
    assert!(spool.batch_leaf(root, 0).await.unwrap().is_some());
    spool.sweep_batches(1011).await.unwrap();
    assert_eq!(spool.batch_leaf(root, 0).await.unwrap(), None);
    assert_eq!(spool.batched(KEY, 0).await.unwrap(), []);
}
