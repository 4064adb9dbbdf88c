//! `casemate init` and `casemate manifest`

use crate::run::Home;

#[test]
fn what_init_writes_is_valid() {
    let home = Home::new();
    let run = home.run(&["init", "--name", "shop"]);
    assert_eq!(
        run.text(),
        "exit: 0\nstdout:\ncasemate.yaml\nstderr:\nLook through it, then see who would run it: \
         casemate deploy --dry-run casemate.yaml"
    );
    let run = home.run(&["manifest", "validate", "--output", "json"]);
    let value = run.json();
    assert_eq!(value["name"], "shop");
    assert_eq!(value["pinned"], false);
    assert_eq!(value["resources"]["cpuMillicores"], 250);
    assert!(value["hash"].as_str().unwrap().starts_with("0x"));
}

#[test]
fn init_takes_the_folders_name_and_overwrites_nothing() {
    let home = Home::new();
    std::fs::create_dir(home.path("My Shop_2")).unwrap();
    let path = "My Shop_2/casemate.yaml";
    assert_eq!(home.run(&["init", path, "--output", "json"]).json()["name"], "my-shop-2");
    home.run(&["init", path]).fails(1, &["is there already; it was not changed", "--force"]);
    assert_eq!(home.run(&["init", path, "--force"]).code, 0);
    home.run(&["init", "none/casemate.yaml"]).fails(1, &["cannot write `none/casemate.yaml`"]);
}

#[test]
fn init_writes_nothing_that_deploy_would_refuse() {
    let home = Home::new();
    home.run(&["init", "--name", "No Name"]).fails(2, &["makes no valid manifest", "hint: "]);
    home.run(&["init", "--name", "a", "--image", "UPPER"]).fails(2, &["makes no valid manifest"]);
    assert!(!home.path("casemate.yaml").exists());
}

#[test]
fn a_wrong_manifest_is_refused_with_line_path_and_what_is_allowed() {
    let home = Home::new();
    home.run(&["init", "--name", "shop"]);
    let text = std::fs::read_to_string(home.path("casemate.yaml")).unwrap();
    home.write("bad.yaml", &text.replace("cpu: 250m", "cpu: 250k"));
    home.run(&["manifest", "validate", "bad.yaml"])
        .fails(1, &["`bad.yaml` is not a valid manifest", "line ", "cpu", "hint: "]);
    home.write("unknown.yaml", &text.replace("replicas:", "replica:"));
    home.run(&["manifest", "validate", "unknown.yaml"]).fails(1, &["replica"]);
    home.run(&["manifest", "validate", "none.yaml"]).fails(2, &["casemate init"]);
    let large = "#".repeat(300 * 1024);
    home.write("large.yaml", &large);
    home.run(&["manifest", "validate", "large.yaml"]).fails(1, &["not a valid manifest"]);
}

#[test]
fn a_manifest_is_read_from_standard_input() {
    let home = Home::new();
    home.run(&["init", "--name", "shop"]);
    let text = std::fs::read_to_string(home.path("casemate.yaml")).unwrap();
    let run = home.run_fed(&["manifest", "validate", "-", "--output", "json"], &text);
    assert_eq!(run.json()["name"], "shop");
}

#[test]
fn the_schema_is_json() {
    let schema = Home::new().run(&["manifest", "schema"]).json();
    assert!(schema["properties"]["spec"].is_object());
}

/// What the page on tasks begins with.
#[test]
fn the_example_tasks_are_valid() {
    let home = Home::new();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/task");
    for (file, name) in [("task.yaml", "version"), ("periodic.yaml", "nightly")] {
        let path = format!("{examples}/{file}");
        let value = home.run(&["manifest", "validate", &path, "--output", "json"]).json();
        assert_eq!(value["name"], name);
    }
}

/// The hashes that the page computes with `b2sum` are those of results.
#[test]
fn the_page_on_tasks_computes_the_hashes_that_results_have() {
    use casemate_primitives::{blake2_256, task::output_hash};
    const PAGE: &str = include_str!("../../../../docs/book/tasks.md");
    let output = output_hash(&blake2_256(b"hello\n"), &blake2_256(b""));
    for (command, hash) in [
        ("printf 'hello\\n' | b2sum -l 256", output),
        ("printf %s /etc/nginx/nginx.conf | b2sum -l 256", blake2_256(b"/etc/nginx/nginx.conf")),
    ] {
        let (_, after) = PAGE.split_once(command).unwrap();
        let shown = after.split("\n# ").nth(1).and_then(|rest| rest.lines().next());
        assert_eq!(shown, Some(hex::encode(hash).as_str()), "{command}");
    }
}
