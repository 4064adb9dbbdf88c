use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::{testing::Fixture, unpack};

fn root(f: &Fixture) -> PathBuf {
    let root = f.dir.path().join("root");
    fs::create_dir_all(root.join("z/y")).unwrap();
    fs::write(root.join("z/y/file"), "content").unwrap();
    fs::write(root.join("a"), "a").unwrap();
    fs::hard_link(root.join("a"), root.join("b")).unwrap();
    std::os::unix::fs::symlink("/abs/../x//y", root.join("link")).unwrap();
    let long = "l".repeat(150);
    fs::write(root.join(&long), "long").unwrap();
    std::os::unix::fs::symlink(&long, root.join("long-link")).unwrap();
    fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o750)).unwrap();
    root
}

#[test]
fn the_same_files_give_the_same_image() {
    let build = || {
        let f = Fixture::new();
        ImageBuilder::from_directory(root(&f))
            .entrypoint(["/a"])
            .build(&f.store, &f.limits)
            .unwrap()
    };
    let first = build();
    // Other inode numbers, times and order on disk.
    assert_eq!(build(), first);
}

#[test]
fn what_goes_in_comes_out() {
    let f = Fixture::new();
    let root = root(&f);
    let image = ImageBuilder::from_directory(&root)
        .entrypoint(["/a", "-x"])
        .cmd(["y"])
        .env("A", "1")
        .env("A", "2")
        .working_dir("/z")
        .user("1000:1000")
        .exposed_port(ExposedPort::tcp(80))
        .stop_signal("SIGQUIT")
        .build(&f.store, &f.limits)
        .unwrap();
    assert_eq!(image.config.entrypoint, ["/a", "-x"]);
    assert_eq!(image.config.cmd, ["y"]);
    assert_eq!(image.config.env, ["A=2"]);
    assert_eq!(image.config.working_dir, "/z");
    assert_eq!(image.config.user, "1000:1000");
    assert_eq!(image.config.exposed_ports, [ExposedPort::tcp(80)]);
    assert_eq!(image.config.stop_signal.as_deref(), Some("SIGQUIT"));
    unpack(&f.store, &image, &f.dest(), &f.limits).unwrap();
    let read = |name: &str| fs::read_to_string(f.dest().join(name)).unwrap();
    assert_eq!(read("z/y/file"), "content");
    assert_eq!(read("long-link"), "long");
    assert_eq!(fs::read_link(f.dest().join("link")).unwrap().to_str(), Some("/abs/../x//y"));
    let meta = fs::metadata(f.dest().join("b")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o750);
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&meta), 2);
}

#[test]
fn layers_go_on_top_of_a_base() {
    let f = Fixture::new();
    let base = ImageBuilder::from_directory(root(&f))
        .entrypoint(["/a"])
        .cmd(["old"])
        .env("PATH", "/bin")
        .build(&f.store, &f.limits)
        .unwrap();
    let agent = |content| BuildFile { path: "/z/agent".to_owned(), content, mode: 0o755 };
    let image = ImageBuilder::new()
        .base(base.clone())
        .files([agent(Content::Bytes(b"agent".to_vec()))])
        .entrypoint(["/z/agent"])
        .env("EXTRA", "1")
        .build(&f.store, &f.limits)
        .unwrap();
    assert_eq!(image.layers[0], base.layers[0]);
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.config.entrypoint, ["/z/agent"]);
    assert!(image.config.cmd.is_empty(), "arguments of another program");
    assert_eq!(image.config.env, ["PATH=/bin", "EXTRA=1"]);
    unpack(&f.store, &image, &f.dest(), &f.limits).unwrap();
    assert_eq!(fs::read(f.dest().join("z/agent")).unwrap(), b"agent");
    assert!(f.dest().join("z/y/file").is_file());
    // The rest of the configuration alone, without any layer.
    let image = ImageBuilder::new().config(image.config).build(&f.store, &f.limits).unwrap();
    assert_eq!(image.config.env, ["PATH=/bin", "EXTRA=1"]);
    assert!(image.layers.is_empty());
}

#[test]
fn what_can_not_go_in_is_named() {
    let f = Fixture::new();
    let refused = |builder: ImageBuilder, name: &str| {
        let err = builder.build(&f.store, &f.limits).unwrap_err();
        assert!(matches!(err, Error::BuildInput { .. }), "{err}");
        assert!(err.to_string().contains(name), "{err}");
    };
    let dir = f.dir.path().join("bad");
    fs::create_dir(&dir).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused(ImageBuilder::from_directory(&dir), "fifo");
    fs::remove_file(dir.join("fifo")).unwrap();
    fs::write(dir.join(".wh.x"), "").unwrap();
    refused(ImageBuilder::from_directory(&dir), ".wh.x");
    refused(ImageBuilder::from_directory(dir.join(".wh.x")), "not a directory");
    for path in ["relative", "/a/../b", "/", "", "/.wh.a"] {
        let file =
            BuildFile { path: path.to_owned(), content: Content::Bytes(Vec::new()), mode: 0o644 };
        refused(ImageBuilder::new().files([file]), path);
    }
    let twice = BuildFile { path: "/a".to_owned(), content: Content::Directory, mode: 0o755 };
    refused(ImageBuilder::new().files([twice.clone(), twice]), "twice");
    let missing = ImageBuilder::from_directory(f.dir.path().join("none"));
    assert!(matches!(missing.build(&f.store, &f.limits), Err(Error::Io { .. })));
}

#[test]
fn dates() {
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
    assert_eq!(rfc3339(1_767_225_599), "2025-12-31T23:59:59Z");
    assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
}
