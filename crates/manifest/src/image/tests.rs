use crate::ImageReference;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn references_are_split_into_their_parts() {
    let pinned = format!("registry.example:5000/team/app:1.2@{DIGEST}");
    let good = [
        ("nginx", None, "nginx", None, None),
        ("library/nginx:1", None, "library/nginx", Some("1"), None),
        ("localhost/app", Some("localhost"), "app", None, None),
        (
            "127.0.0.1:5000/guestbook:latest",
            Some("127.0.0.1:5000"),
            "guestbook",
            Some("latest"),
            None,
        ),
        ("[::1]:5000/a/b", Some("[::1]:5000"), "a/b", None, None),
        (pinned.as_str(), Some("registry.example:5000"), "team/app", Some("1.2"), Some(DIGEST)),
        ("a.b/c__d.e-f--g_h", Some("a.b"), "c__d.e-f--g_h", None, None),
    ];
    for (text, registry, repository, tag, digest) in good {
        let image: ImageReference = text.parse().unwrap();
        assert_eq!(image.registry(), registry, "{text}");
        assert_eq!(image.repository(), repository, "{text}");
        assert_eq!(image.tag(), tag, "{text}");
        assert_eq!(image.digest(), digest, "{text}");
        assert_eq!(image.is_pinned(), digest.is_some());
        assert_eq!(image.as_str(), text);
    }
}

#[test]
fn wrong_references_are_refused() {
    let long = format!("a/{}", "b".repeat(254));
    let bad = [
        "",
        "/",
        "UPPER",
        "a//b",
        "a/",
        "/a",
        "a b",
        "a:b:c",
        "a@sha256:12",
        "a@md5:00",
        "a:",
        "a@",
        "a..b",
        "a___b",
        "-a",
        "a-",
        "http://a/b",
        "reg.example:0/a",
        "reg.example:99999/a",
        "reg.example:/a",
        "reg.example:+80/a",
        "-x.y/a",
        "../a",
        "a/../b",
        "a:-tag",
        "a\n",
        "a\0",
        "[::1/a",
        "[zz]/a",
        &long,
        "a@sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "ä",
    ];
    for text in bad {
        let error = text.parse::<ImageReference>().unwrap_err().to_string();
        assert!(error.contains("not an image reference"), "{text}: {error}");
    }
}

#[test]
fn pinning_sets_or_replaces_the_digest() {
    let image: ImageReference = "a.b:5/c:1".parse().unwrap();
    let pinned = image.pinned(DIGEST).unwrap();
    assert_eq!(pinned.as_str(), format!("a.b:5/c:1@{DIGEST}"));
    let other = DIGEST.replace('e', "f");
    assert_eq!(pinned.pinned(&other).unwrap().digest(), Some(other.as_str()));
    assert!(image.pinned("latest").is_err());
}
