//! Command line, settings and the unreachable node.

use crate::run::Home;

#[test]
fn a_wrong_command_line_is_an_error_of_usage() {
    let home = Home::new();
    let run = home.run(&["deploi"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("error: unrecognized subcommand 'deploi'"), "{}", run.text());
    assert!(run.stderr.contains("deploy"), "a near miss is named: {}", run.text());
    assert_eq!(home.run(&[]).code, 2);
    assert_eq!(home.run(&["--version"]).code, 0);
    assert_eq!(home.run(&["fund", "1"]).code, 2);
    let run = home.run(&["fund", "1", "1.5"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("did you mean `1.5 CASE`?"), "{}", run.text());
}

#[test]
fn every_command_has_help_and_json() {
    let home = Home::new();
    for command in [
        "init",
        "deploy",
        "quotes",
        "list",
        "status",
        "logs",
        "events",
        "lease",
        "fund",
        "update",
        "stop",
        "task",
        "attest",
        "challenge",
        "secret",
        "manifest",
        "image",
        "key",
        "account",
        "provider",
        "reputation",
        "arbiter",
        "dev",
        "config",
        "completions",
    ] {
        let run = home.run(&[command, "--help"]);
        assert_eq!(run.code, 0, "{}", run.text());
        assert!(run.stdout.contains("--output <FORMAT>"), "{}", run.text());
    }
}

#[test]
fn disputes_are_asked_for_rightly_or_not_at_all() {
    let home = Home::new();
    for command in [
        "show",
        "contest",
        "expire-contest",
        "misconduct",
        "evict",
        "amend",
        "complain",
        "complaints",
        "withdraw-complaint",
        "expire-complaint",
    ] {
        assert_eq!(home.run(&["lease", command, "--help"]).code, 0, "{command}");
        assert_eq!(home.run(&["lease", command]).code, 2, "{command} of what?");
    }
    for (wrong, told) in [
        (&["lease", "complain", "1", "--kind", "data-lost"][..], "--text"),
        (&["lease", "complain", "1", "--kind", "boredom", "--text", "x"], "boredom"),
        (&["lease", "complain", "1", "--text", "x"], "--kind"),
        (&["lease", "amend", "1", "--signed", "f", "--price-cpu", "1"], "cannot be used with"),
        (&["lease", "amend", "1", "--price-cpu", "1.5"], "did you mean"),
        (&["lease", "withdraw-complaint", "mine"], "mine"),
        (&["arbiter", "decide", "1"], "--to-publisher"),
        (&["arbiter", "decide", "1", "--to-publisher", "101%"], "0% to 100%"),
        (&["arbiter", "resolve", "1"], "--upheld"),
        (&["arbiter", "resolve", "1", "--upheld", "--rejected"], "cannot be used with"),
        (&["provider", "notice"], "LEASE"),
        (&["reputation", "nobody"], "nobody"),
    ] {
        let run = home.run(wrong);
        assert_eq!(run.code, 2, "{}", run.text());
        assert!(run.stderr.contains(told), "{told}: {}", run.text());
    }
    // What is wrong with a text or a time is found before a key or a node is asked for.
    let run = home.run(&["lease", "complain", "1", "--kind", "other", "--text", " "]);
    assert_eq!(run.code, 2, "{}", run.text());
    assert!(run.stderr.contains("says nothing"), "{}", run.text());
    let run = home.run(&["provider", "amend", "1", "--price-cpu", "1", "--valid-for", "3601"]);
    assert_eq!(run.code, 2, "{}", run.text());
    assert!(run.stderr.contains("3600 seconds"), "{}", run.text());
}

#[test]
fn completions_are_scripts() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = home.run(&["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.text());
        assert!(run.stdout.contains("casemate"));
    }
}

#[test]
fn settings_come_from_file_then_variable_then_flag() {
    let home = Home::new();
    assert_eq!(
        home.run(&["config", "show", "--output", "json"]).json()["rpc"],
        "ws://127.0.0.1:9944"
    );
    home.write(".config/casemate/config.toml", "rpc = 'ws://file'\noutput = 'json'\nquiet = true");
    let rpc = |run: crate::run::Run| run.json()["rpc"].as_str().unwrap().to_owned();
    assert_eq!(rpc(home.run(&["config", "show"])), "ws://file");
    let variable = [("CASEMATE_RPC", "ws://variable")];
    assert_eq!(rpc(home.run_with(&["config", "show"], &variable)), "ws://variable");
    let flag = ["--rpc", "ws://flag", "config", "show"];
    assert_eq!(rpc(home.run_with(&flag, &variable)), "ws://flag");
    let lists = [("CASEMATE_PROVIDER_ENDPOINTS", "http://a,http://b")];
    let shown = home.run_with(&["config", "show"], &lists).json();
    assert_eq!(shown["providerEndpoints"], serde_json::json!(["http://a", "http://b"]));
}

#[test]
fn a_wrong_configuration_is_an_error_of_usage() {
    let home = Home::new();
    let config = home.write("c.toml", "rcp = 'ws://x'");
    let config = config.to_str().unwrap();
    home.run(&["--config", config, "list"]).fails(2, &["unknown field `rcp`", "hint: "]);
    home.run(&["--config", "none.toml", "list"]).fails(2, &["none.toml", "hint: "]);
    home.run(&["--rpc", "localhost:1", "list"]).fails(2, &["not a WebSocket address", "hint: "]);
}

#[test]
fn an_unreachable_node_is_named_with_what_to_do() {
    let home = Home::new();
    // Port 1 of the loopback: nobody listens there.
    let rpc = "ws://127.0.0.1:1";
    home.write_private("pass", "correct horse\n");
    let account = ["--passphrase-file", "pass"];
    assert_eq!(home.run(&[&account[..], &["key", "new"]].concat()).code, 0);
    home.run(&["init", "app.yaml", "--name", "app"]);
    let address = home.run(&["key", "show", "--output", "json"]).json();
    let address = address["address"].as_str().unwrap();
    for command in [
        &["list"][..],
        &["status"],
        &["logs", "1"],
        &["logs", "1", "--verify"],
        &["lease", "records", "1"],
        &["lease", "records", "1", "--check"],
        &["events", "1"],
        &["fund", "1", "1 CASE"],
        &["stop", "1"],
        &["update", "1", "app.yaml"],
        &["deploy", "app.yaml"],
        &["quotes", "app.yaml"],
        &["quotes", "app.yaml", "--attested-cluster"],
        &["account", "balance"],
        &["account", "transfer", address, "1 CASE"],
        &["provider", "list"],
        &["provider", "status"],
        &["provider", "status", address],
        &["provider", "bond", "1 CASE"],
        &["provider", "retire"],
    ] {
        let run = home.run(&[&["--rpc", rpc][..], &account, command].concat());
        run.fails(1, &["cannot use the chain node at ws://127.0.0.1:1", "hint: ", "casemate dev"]);
    }
}

#[test]
fn without_a_key_the_next_command_is_named() {
    let home = Home::new();
    home.run(&["list"]).fails(
        1,
        &[
            "there is no key in `[HOME]/.local/share/casemate/keys`",
            "hint: make one: casemate key new",
        ],
    );
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let home = Home::new();
    let mut child = home
        .command(&["manifest", "schema"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
