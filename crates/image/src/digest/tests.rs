use super::*;

#[test]
fn round_trips_and_refuses_other_spellings() {
    let digest = Digest::of(b"");
    let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(digest.to_string(), text);
    assert_eq!(text.parse::<Digest>().unwrap(), digest);
    let sha512 = format!("sha512:{}", "0".repeat(128));
    let upper = text.to_uppercase().replace("SHA256", "sha256");
    for bad in [
        "",
        "sha256:",
        &text[7..],
        &text[..70],
        &format!("{text}0"),
        &upper,
        &sha512,
        &text.replace('e', "g"),
        &format!(" {text}"),
        &format!("{text}\n"),
        "sha256:../../../../../../../../../../../../../../../../../../../etc/passwd",
    ] {
        assert!(bad.parse::<Digest>().is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn json_is_the_same_text() {
    let digest = Digest::of(b"x");
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(json, format!("\"{digest}\""));
    assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    assert!(serde_json::from_str::<Digest>("\"md5:00\"").is_err());
}
