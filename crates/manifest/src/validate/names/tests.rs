use super::*;

#[test]
fn host_names() {
    let long_label = "a".repeat(63);
    let long = format!("{long_label}.{long_label}.{long_label}.{}", "a".repeat(61));
    assert_eq!(long.len(), 253);
    for good in ["web.localhost", "localhost", "a", "1a.b", "xn--bcher-kva.example", "a-b.c", &long]
    {
        assert!(is_host(good), "{good}");
    }
    let too_long = format!("{long}a");
    let bad = [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "Web.localhost",
        "web_1.localhost",
        "-a.b",
        "a-.b",
        "1.2.3.4",
        "1.2",
        "127.1",
        "0x7f.0x1",
        "2130706433",
        "::1",
        "[::1]",
        "a:80",
        "*.a",
        "a/b",
        "bücher.example",
        "a b",
        "a\n",
        &too_long,
    ];
    for bad in bad {
        assert!(!is_host(bad), "{bad}");
    }
}

#[test]
fn paths() {
    for good in ["/", "/a", "/a/b.c/..d"] {
        assert!(is_path(good), "{good}");
    }
    for bad in ["", "a", "./a", "/a/", "//a", "/a//b", "/a/./b", "/a/../b", "/..", "/a\0b", "/a\nb"]
    {
        assert!(!is_path(bad), "{bad}");
    }
    assert!(is_under("/proc", "/proc") && is_under("/proc/1", "/proc"));
    assert!(!is_under("/process", "/proc"));
}

#[test]
fn labels_and_variables() {
    for good in ["a", "app.kubernetes.io/name", "A-1_b.c"] {
        assert!(is_label_key(good), "{good}");
    }
    for bad in ["", "/", "a/", "/a", "a/b/c", "-a", "a b"] {
        assert!(!is_label_key(bad), "{bad}");
    }
    assert!(is_label_value("") && is_label_value("V1.2") && !is_label_value("a b"));
    assert!(is_env_name("_A1") && !is_env_name("1A") && !is_env_name("A=B") && !is_env_name(""));
}
