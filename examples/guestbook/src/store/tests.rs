use super::*;

fn append(store: &Store, message: &str) -> Entry {
    store.append("Ann".to_owned(), message.to_owned()).unwrap()
}

fn messages(store: &Store) -> Vec<String> {
    store.newest(RECENT_MAX).0.into_iter().map(|entry| entry.message).collect()
}

#[test]
fn entries_survive_a_restart_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(append(&store, "one\ntwo \"three\" \u{0}").id, 1);
    assert_eq!(append(&store, "second").id, 2);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.count(), 2);
    assert_eq!(messages(&store), ["second", "one\ntwo \"three\" \u{0}"]);
    assert_eq!(append(&store, "third").id, 3);
}

#[test]
fn a_torn_last_line_is_cut_off_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.jsonl");
    let store = Store::open(folder.path()).unwrap();
    append(&store, "whole");
    let whole = fs::read(&path).unwrap();
    append(&store, "torn");
    let both = fs::read(&path).unwrap();
    drop(store);
    for end in whole.len()..both.len() {
        fs::write(&path, &both[..end]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(messages(&store), ["whole"], "torn at {end}");
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(append(&store, "next").id, 2);
        drop(store);
        assert_eq!(messages(&Store::open(folder.path()).unwrap()), ["next", "whole"]);
    }
}

#[test]
fn a_broken_line_in_the_middle_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.jsonl");
    let store = Store::open(folder.path()).unwrap();
    append(&store, "one");
    append(&store, "two");
    drop(store);
    let good = fs::read_to_string(&path).unwrap();
    let broken = good.replacen('{', "#", 1);
    fs::write(&path, &broken).unwrap();
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("entries.jsonl: line 1 is not an entry"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), broken);
}

#[test]
fn memory_is_bounded_and_all_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entries.jsonl");
    let line = |id| format!("{{\"id\":{id},\"time\":0,\"name\":\"a\",\"message\":\"m{id}\"}}\n");
    fs::write(&path, (1..=250).map(line).collect::<String>()).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.count(), 250);
    let newest = messages(&store);
    assert_eq!((newest.len(), newest[0].as_str()), (RECENT_MAX, "m250"));
    assert_eq!(store.newest(2).0.len(), 2);
}

#[test]
fn a_folder_that_can_not_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("below")).unwrap_err().to_string();
    assert!(error.contains("DATA_DIR must name a folder"), "{error}");
}
