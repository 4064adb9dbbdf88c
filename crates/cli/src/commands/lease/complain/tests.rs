use super::*;
use crate::{cli::ComplaintKindArg, failure::Report};

fn args(text: Option<&str>, file: Option<&std::path::Path>) -> ComplainArgs {
    ComplainArgs {
        lease: "7".into(),
        kind: ComplaintKindArg::DataLost,
        text: text.map(str::to_owned),
        text_file: file.map(std::path::Path::to_owned),
    }
}

#[test]
fn a_complaint_says_something_and_not_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    fs::write(&file, "the volume is empty\n").unwrap();
    assert_eq!(text(&args(None, Some(&file))).unwrap(), "the volume is empty\n");
    assert_eq!(text(&args(Some("gone"), None)).unwrap(), "gone");
    let told = |args: &ComplainArgs| Report::of(&text(args).unwrap_err()).causes.join(": ");
    assert!(told(&args(Some(" \n"), None)).contains("says nothing"));
    fs::write(&file, vec![b'a'; 70_000]).unwrap();
    assert!(told(&args(None, Some(&file))).contains("longer than"));
    fs::write(&file, [0xff]).unwrap();
    assert!(told(&args(None, Some(&file))).contains("cannot read"));
    assert!(told(&args(None, Some(&folder.path().join("none")))).contains("cannot read"));
}

#[test]
fn an_open_complaint_is_shown_with_its_time() {
    let info = ComplaintInfo::of(&ComplaintView {
        id: 3,
        lease: LeaseId(7),
        by: Side::Publisher,
        author: [1; 32],
        accused: [2; 32],
        kind: ComplaintKind::DataLost,
        text_hash: [5; 32],
        deposit: 9,
        until: 1_000,
    });
    assert_eq!(info.text(940), "3 by the publisher: data lost; arbiters have 1m");
    assert_eq!(info.text(1_001), "3 by the publisher: data lost; the arbiters' time is over");
    let json = serde_json::to_value(&info).unwrap();
    assert_eq!((&json["kind"], &json["by"]), (&"dataLost".into(), &"publisher".into()));
}
