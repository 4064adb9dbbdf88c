//! `casemate secret`: what is kept, and how.

use std::{fs, io::Write as _, process::Stdio, thread};

use crate::run::{Home, Run, is_private};

const CANARY: &str = "canary-51b7-never-to-be-seen";

fn home() -> Home {
    let home = Home::new();
    home.write_private("pass", "correct horse\n");
    assert_eq!(home.run(&with_pass(&["-q", "key", "new"])).code, 0);
    home
}

fn with_pass<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["--passphrase-file", "pass"], args].concat()
}

fn set(home: &Home, name: &str, value: &str) -> Run {
    home.run_fed(&with_pass(&["secret", "set", name]), value)
}

fn list(home: &Home) -> Vec<(String, u64, u64)> {
    let value = home.run(&with_pass(&["secret", "list", "--output", "json"])).json();
    let one = |item: &serde_json::Value| {
        let number = |name: &str| item[name].as_u64().unwrap();
        (item["name"].as_str().unwrap().to_owned(), number("bytes"), number("version"))
    };
    value.as_array().unwrap().iter().map(one).collect()
}

fn store(home: &Home) -> std::path::PathBuf {
    let folder = home.path(".local/share/casemate/keys/secrets");
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|ext| ext == "json")).unwrap()
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

#[test]
fn secrets_are_set_listed_and_forgotten_and_never_shown() {
    let home = home();
    let run = set(&home, "DB_PASSWORD", CANARY);
    assert_eq!(run.code, 0, "{}", run.text());
    assert!(!run.text().contains(CANARY));
    home.write_private("file", &format!("{CANARY}\n"));
    let run = home.run(&with_pass(&["secret", "set", "KEY", "--from-file", "file"]));
    assert_eq!(run.code, 0, "{}", run.text());
    let size = bytes(CANARY);
    // A file is kept byte for byte.
    assert_eq!(list(&home), [("DB_PASSWORD".into(), size, 1), ("KEY".into(), size + 1, 1)]);
    // A pipe's line end is nobody's secret; the new value takes the old one's place.
    let run = set(&home, "DB_PASSWORD", "other\r\n");
    assert!(run.stderr.contains("A line end after the value was left out"), "{}", run.text());
    assert_eq!(list(&home)[0], ("DB_PASSWORD".into(), 5, 2));
    let human = home.run(&with_pass(&["secret", "list"]));
    assert!(human.stdout.contains("NAME") && human.stdout.contains("all"), "{}", human.text());

    let raw = fs::read(store(&home)).unwrap();
    for place in [raw.clone(), hex::encode(&raw).into_bytes()] {
        for form in [CANARY.to_owned(), hex::encode(CANARY), "DB_PASSWORD".into()] {
            assert!(!place.windows(form.len()).any(|window| window == form.as_bytes()), "{form}");
        }
    }
    assert!(is_private(&store(&home)));

    assert_eq!(home.run(&with_pass(&["secret", "rm", "KEY"])).code, 0);
    home.run(&with_pass(&["secret", "rm", "KEY"]))
        .fails(1, &["there is no secret `KEY` for all apps", "casemate secret list"]);
    assert_eq!(list(&home).len(), 1);
}

#[test]
fn an_app_has_secrets_of_its_own() {
    let home = home();
    set(&home, "TOKEN", "for all");
    let run = home.run_fed(&with_pass(&["secret", "set", "TOKEN", "--app", "shop"]), "shop's");
    assert_eq!(run.code, 0, "{}", run.text());
    let of = |app: &str| {
        let args = with_pass(&["secret", "list", "--app", app, "--output", "json"]);
        home.run(&args).json().as_array().unwrap().len()
    };
    assert_eq!((of("shop"), of("other")), (2, 1));
    home.run(&with_pass(&["secret", "rm", "TOKEN", "--app", "other"]))
        .fails(1, &["for app `other`"]);
    assert_eq!(home.run(&with_pass(&["secret", "rm", "TOKEN", "--app", "shop"])).code, 0);
    assert_eq!((of("shop"), of("other")), (1, 1));
}

#[test]
fn a_value_never_comes_from_the_command_line_and_is_never_empty_or_huge() {
    let home = home();
    assert_eq!(home.run(&with_pass(&["secret", "set", "A", CANARY])).code, 2);
    home.run(&with_pass(&["secret", "set", "A"])).fails(2, &["is empty", "--from-file"]);
    set(&home, "A", "\n").fails(2, &["is empty"]);
    set(&home, "../x", "1").fails(2, &["letters, digits"]);
    home.run(&with_pass(&["secret", "set", "A", "--app", "A B"])).fails(2, &["metadata.name"]);
    let run = home.run(&with_pass(&["secret", "set", "A", "--from-file", "none"]));
    run.fails(2, &["cannot read the value from `none`"]);
    let huge = "x".repeat(1024 * 1024);
    set(&home, "A", &huge).fails(1, &["at most", "not data"]);
    assert_eq!(list(&home), []);
}

#[test]
fn the_release_key_is_made_once() {
    let home = home();
    let key = home.run(&with_pass(&["secret", "key"]));
    assert_eq!(key.code, 0, "{}", key.text());
    assert_eq!(key.stdout.trim().len(), 64);
    assert!(key.stdout.trim().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    set(&home, "A", "1");
    assert_eq!(home.run(&with_pass(&["secret", "key"])).stdout, key.stdout);
    // Another account has another.
    home.run(&with_pass(&["-q", "key", "new", "second"]));
    let args = with_pass(&["--account", "second", "secret", "key"]);
    assert_ne!(home.run(&args).stdout, key.stdout);
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_makes_nothing() {
    let home = home();
    home.write_private("wrong", "correct Horse");
    let wrong =
        |args: &[&str]| home.run_fed(&[&["--passphrase-file", "wrong"], args].concat(), "v");
    // Before there is a store: one under a mistyped passphrase would never open again.
    wrong(&["secret", "set", "A"]).fails(1, &["the passphrase is wrong"]);
    wrong(&["secret", "key"]).fails(1, &["the passphrase is wrong"]);
    assert_eq!(list(&home), []);
    set(&home, "A", CANARY);
    let before = fs::read(store(&home)).unwrap();
    for args in [&["secret", "set", "A"][..], &["secret", "list"], &["secret", "rm", "A"]] {
        let run = wrong(args);
        run.fails(1, &["does not open", "was left as it is"]);
        assert!(!run.text().contains(CANARY));
    }
    assert_eq!(fs::read(store(&home)).unwrap(), before);
}

#[test]
fn a_damaged_store_is_told_and_never_written_over() {
    let home = home();
    set(&home, "A", CANARY);
    let path = store(&home);
    let good = fs::read_to_string(&path).unwrap();
    let value: serde_json::Value = serde_json::from_str(&good).unwrap();
    let account = value["account"].as_str().unwrap();
    let ciphertext = value["sealed"]["ciphertext"].as_str().unwrap();
    let flipped = if ciphertext.ends_with('0') { "1" } else { "0" };
    let flipped = format!("{}{flipped}", &ciphertext[..ciphertext.len() - 1]);
    let damaged = [
        String::new(),
        "{}".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace(ciphertext, &flipped),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace(account, "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
        good.replace("131072", "99999999"),
    ];
    for text in damaged {
        fs::write(&path, &text).unwrap();
        for args in [&["secret", "set", "A"][..], &["secret", "list"], &["secret", "key"]] {
            let run = home.run_fed(&with_pass(args), "new");
            assert_eq!(run.code, 1, "{}", run.text());
            assert!(run.stderr.contains("error: ") && run.stderr.contains("hint: "));
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it was written over");
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(list(&home).len(), 1);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    home.run(&with_pass(&["secret", "list"])).fails(1, &["others may read", "chmod 600"]);
}

#[test]
fn many_at_once_lose_nothing() {
    let home = home();
    let names: Vec<String> = (0..6).map(|number| format!("S{number}")).collect();
    thread::scope(|scope| {
        for name in &names {
            let home = &home;
            scope.spawn(move || {
                let args = with_pass(&["secret", "set", name]);
                let mut child = home
                    .command(&args)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::inherit())
                    .spawn()
                    .unwrap();
                child.stdin.take().unwrap().write_all(b"value").unwrap();
                assert!(child.wait().unwrap().success(), "{name}");
            });
        }
    });
    let listed: Vec<String> = list(&home).into_iter().map(|(name, _, _)| name).collect();
    assert_eq!(listed, names);
}

#[test]
fn a_release_without_a_node_says_so() {
    let home = home();
    let args = ["secret", "release", "5", "--rpc", "ws://127.0.0.1:1"];
    home.run(&with_pass(&args)).fails(1, &["cannot use the chain node at ws://127.0.0.1:1"]);
}
