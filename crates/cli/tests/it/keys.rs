//! `casemate key`

use crate::run::{Home, is_private};

const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn home_with_passphrase() -> Home {
    let home = Home::new();
    home.write_private("pass", "correct horse\n");
    home
}

fn with_pass<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["--passphrase-file", "pass"], args].concat()
}

#[test]
fn a_new_key_is_listed_shown_and_exported() {
    let home = home_with_passphrase();
    let new = home.run(&with_pass(&["key", "new"]));
    assert_eq!(new.code, 0, "{}", new.text());
    let address = new.stdout.trim();
    assert_eq!(
        new.stderr,
        "Key `default` is in [HOME]/.local/share/casemate/keys/default.json\n\
         Write its secret down and keep it off this machine: casemate key export default\n"
    );
    assert!(is_private(&home.path(".local/share/casemate/keys/default.json")));

    let list = home.run(&["key", "list", "--output", "json"]).json();
    assert_eq!(list[0]["address"], address);
    assert_eq!(list[0]["development"], false);
    assert!(home.run(&["key", "list"]).stdout.contains(address));
    assert!(home.run(&["key", "show"]).stdout.contains(address));

    let export = home.run(&with_pass(&["key", "export"]));
    assert_eq!(export.stdout.split_whitespace().count(), 24, "{}", export.code);
    let again = home.run_fed(&with_pass(&["key", "import", "copy"]), &export.stdout);
    assert_eq!(again.stdout.trim(), address, "{}", again.text());
}

#[test]
fn quiet_and_json_leave_data_alone() {
    let home = home_with_passphrase();
    let run = home.run(&with_pass(&["-q", "key", "new", "--output", "json"]));
    assert_eq!(run.stderr, "");
    assert_eq!(run.json()["name"], "default");
    assert!(!run.stdout.contains("horse"));
}

#[test]
fn a_key_is_never_overwritten() {
    let home = home_with_passphrase();
    home.run(&with_pass(&["key", "new"]));
    let run = home.run(&with_pass(&["key", "new"]));
    assert_eq!(
        run.text(),
        "exit: 1\nstdout:\nstderr:\nerror: there is a key `default` already; it was not \
         changed\n\nhint: choose another name"
    );
}

#[test]
fn secrets_are_imported_from_standard_input_or_a_private_file() {
    let home = home_with_passphrase();
    let piped = home.run_fed(&with_pass(&["key", "import", "piped"]), PHRASE);
    home.write_private("secret", PHRASE);
    let read = home.run(&with_pass(&["key", "import", "read", "--file", "secret"]));
    assert_eq!(piped.stdout, read.stdout, "{}", read.text());
    assert_eq!(piped.code, 0);
    home.write("open", PHRASE);
    home.run(&with_pass(&["key", "import", "open", "--file", "open"]))
        .fails(1, &["others may read `open`", "chmod 600 open"]);
}

#[test]
fn what_is_no_secret_is_refused_without_being_repeated() {
    let home = home_with_passphrase();
    for text in ["", "legal winner", "0x1234", "not a secret at all"] {
        let run = home.run_fed(&with_pass(&["key", "import", "x"]), text);
        run.fails(2, &["that is no secret", "hint: "]);
        assert!(text.is_empty() || !run.stderr.contains(text), "{}", run.text());
    }
    assert_eq!(home.run(&["key", "list", "--output", "json"]).json(), serde_json::json!([]));
}

#[test]
fn a_development_key_must_be_asked_for_and_is_marked() {
    let home = home_with_passphrase();
    for text in ["//Alice", "bottom drive obey lake curtain smoke basket hold race lonely fit walk"]
    {
        home.run_fed(&with_pass(&["key", "import", "alice"]), text)
            .fails(2, &["known to everybody", "--dev-uri //Alice"]);
    }
    let run = home.run(&with_pass(&["-q", "key", "import", "alice", "--dev-uri", "//Alice"]));
    assert_eq!(run.stdout.trim(), "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
    assert_eq!(
        run.stderr.trim(),
        "warning: everybody knows the secret of `//Alice`: use it on development networks only"
    );
    assert_eq!(home.run(&["key", "list", "--output", "json"]).json()[0]["development"], true);
}

#[test]
fn passphrases_are_never_empty_wrong_or_open() {
    let home = home_with_passphrase();
    home.write_private("empty", "\n");
    home.run(&["--passphrase-file", "empty", "key", "new"]).fails(2, &["empty passphrase", "hint"]);
    home.run(&["key", "new"]).fails(2, &["no terminal to ask", "--passphrase-file"]);
    home.write("open", "x");
    home.run(&["--passphrase-file", "open", "key", "new"]).fails(1, &["others may read", "chmod"]);
    assert_eq!(home.run(&with_pass(&["key", "new"])).code, 0);
    home.write_private("wrong", "correct Horse");
    home.run(&["--passphrase-file", "wrong", "key", "export"])
        .fails(1, &["the passphrase is wrong, or the file of key `default` was changed"]);
}

#[test]
fn one_broken_file_does_not_hide_the_other_keys() {
    let home = home_with_passphrase();
    home.run(&with_pass(&["key", "new", "good"]));
    home.write_private(".local/share/casemate/keys/bad.json", "{}");
    let run = home.run(&["key", "list"]);
    assert!(run.stdout.contains("good"), "{}", run.text());
    assert!(run.stderr.contains("warning: key `bad` is left out"), "{}", run.text());
    home.run(&["key", "show", "bad"]).fails(1, &["is no key file of this program"]);
    home.run(&["key", "show", "none"]).fails(1, &["there is no key `none`", "casemate key list"]);
    home.run(&["key", "show", "../x"]).fails(2, &["no name for a key"]);
}

#[test]
fn with_several_keys_one_must_be_named() {
    let home = home_with_passphrase();
    home.run(&with_pass(&["key", "new", "a"]));
    home.run(&with_pass(&["key", "new", "b"]));
    home.run(&["key", "show"]).fails(2, &["several keys: a, b", "--account NAME"]);
    assert_eq!(
        home.run(&["--account", "a", "key", "show", "--output", "json"]).json()["name"],
        "a"
    );
}
