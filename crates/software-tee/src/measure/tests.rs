use super::*;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

fn content() -> Content {
    let mut tree = Tree::default();
    tree.insert("", 0o755, Node::Folder);
    tree.insert("etc", 0o755, Node::Folder);
    tree.insert("etc/name", 0o644, Node::File(Sha384::digest(b"casemate").into()));
    Content::new(b"agent", Some(&tree), [7; 32])
}

#[test]
fn each_part_of_the_content_shows_in_some_register_of_each_kind() {
    let base = content();
    let others = [
        Content { agent: [1; 48], ..base },
        Content { root_fs: None, ..base },
        Content { root_fs: Some([0; 48]), ..base },
        Content { manifest_hash: [8; 32], ..base },
    ];
    for kind in Kind::ALL {
        for other in &others {
            assert_ne!(expected(kind, &base), expected(kind, other), "{kind} {other:?}");
        }
    }
}

#[test]
fn one_agent_is_one_td_workload_whatever_its_pods_run() {
    let workload = |content: &Content| expected(Kind::IntelTdx, content).workload();
    let base = content();
    for other in [
        Content { root_fs: None, ..base },
        Content { root_fs: Some([0; 48]), ..base },
        Content { manifest_hash: [8; 32], ..base },
    ] {
        assert_eq!(workload(&base), workload(&other), "{other:?}");
    }
    assert_ne!(workload(&base), workload(&Content { agent: [1; 48], ..base }));
    let extended = |register| {
        let entry = EventLogEntry { register, digest: [5; 48], event: String::new() };
        measurements(Kind::IntelTdx, &base, &[entry]).workload()
    };
    assert_ne!(workload(&base), extended(2), "no longer what was booted");
    assert_eq!(workload(&base), extended(3));
}

#[test]
fn the_registers_are_what_the_table_says() {
    let base = content();
    let Measurements::Tdx { mr_td, rtmr, mr_config_id } = expected(Kind::IntelTdx, &base) else {
        panic!("not TDX")
    };
    let agent = Sha384::digest(b"agent");
    let domain: &[u8] = b"casemate/software-tee/mrtd/v1";
    assert_eq!(mr_td[..], Sha384::digest([domain, &agent].concat())[..]);
    assert_eq!(mr_config_id, [[7; 16], [7; 16], [0; 16]].concat()[..]);
    let zeros = [0; 48];
    let root_fs = base.root_fs.unwrap();
    let manifest = Sha384::digest([7; 32]);
    assert_eq!(rtmr[..3], [zeros; 3]);
    let unpacked = Sha384::digest([zeros, root_fs].concat());
    assert_eq!(rtmr[3][..], Sha384::digest([&unpacked[..], &manifest].concat())[..]);
}

#[test]
fn a_folder_and_the_same_tree_by_hand_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/file"), b"content").unwrap();
    fs::write(root.join("a.b"), b"").unwrap();
    // A link that leads nowhere and one that leads out: neither is followed.
    symlink("/does/not/exist", root.join("link")).unwrap();
    symlink("..", root.join("a/out")).unwrap();
    for (path, mode) in
        [("", 0o755), ("a", 0o711), ("a/b", 0o700), ("a/b/file", 0o4755), ("a.b", 0o600)]
    {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut tree = Tree::default();
    tree.insert("link", 0o777, Node::Link(b"/does/not/exist".to_vec()));
    tree.insert("", 0o755, Node::Folder);
    tree.insert("a", 0o711, Node::Folder);
    tree.insert("a/b", 0o700, Node::Folder);
    tree.insert("a/b/file", 0o4755, Node::File(Sha384::digest(b"content").into()));
    tree.insert("a/out", 0o777, Node::Link(b"..".to_vec()));
    tree.insert("a.b", 0o600, Node::File(Sha384::digest(b"").into()));
    let read = Tree::read(&root).unwrap();
    assert_eq!(read, tree);
    assert_eq!(read.digest(), tree.digest());
    let mut removed = tree.clone();
    removed.remove(b"a");
    fs::remove_dir_all(root.join("a")).unwrap();
    assert_eq!(Tree::read(&root).unwrap(), removed);

    let before = tree.digest();
    let changes: [fn(&mut Tree); 6] = [
        |tree| tree.insert("a.b", 0o601, Node::File(Sha384::digest(b"").into())),
        |tree| tree.insert("a.b", 0o600, Node::File(Sha384::digest(b"x").into())),
        |tree| tree.insert("a.b", 0o600, Node::Pipe),
        |tree| tree.insert("new", 0o600, Node::Folder),
        |tree| tree.insert("link", 0, Node::Link(b"elsewhere".to_vec())),
        |tree| tree.remove(b"a/out"),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = tree.clone();
        change(&mut changed);
        assert_ne!(changed.digest(), before, "change {index}");
    }
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(Content::read(&pipe, None, [0; 32]), Err(Error::Unmeasurable { .. })));
    assert!(matches!(Content::read(folder.path(), None, [0; 32]), Err(Error::Unmeasurable { .. })));
    assert!(matches!(Tree::read(&pipe), Err(Error::Unmeasurable { .. })));
    assert!(matches!(Tree::read(&folder.path().join("no")), Err(Error::File { .. })));
    // An agent may be named by a link; what it leads to is measured.
    let (link, file) = (folder.path().join("link"), folder.path().join("file"));
    fs::write(&file, b"agent").unwrap();
    symlink(&file, &link).unwrap();
    assert_eq!(Content::read(&link, None, [0; 32]).unwrap(), Content::new(b"agent", None, [0; 32]));
}
