//! `casemate image`

use crate::run::Home;

fn packed() -> Home {
    let home = Home::new();
    home.write("root/bin/app", "#!/bin/sh\n");
    let run = home.run(&[
        "image",
        "pack",
        "--root",
        "root",
        "--layout",
        "layout",
        "--tag",
        "v1",
        "--entrypoint",
        "/bin/app,--serve",
        "--cmd",
        "a,b",
        "--env",
        "KEY=a=b",
        "--workdir",
        "/srv",
        "--user",
        "1000:1000",
        "--output",
        "json",
    ]);
    assert_eq!(run.json()["tag"], "v1");
    home
}

#[test]
fn a_folder_becomes_a_layout_with_its_configuration() {
    let home = packed();
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(home.path(path)).unwrap()).unwrap()
    };
    let blob = |value: &serde_json::Value| {
        let digest = value["digest"].as_str().unwrap().replace(':', "/");
        read(&format!("layout/blobs/{digest}"))
    };
    let index = read("layout/index.json");
    let manifest = blob(&index["manifests"][0]);
    let config = &blob(&manifest["config"])["config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["/bin/app", "--serve"]));
    assert_eq!(config["Cmd"], serde_json::json!(["a", "b"]));
    assert_eq!(config["Env"], serde_json::json!(["KEY=a=b"]));
    assert_eq!(config["WorkingDir"], "/srv");
    assert_eq!(config["User"], "1000:1000");
}

#[test]
fn the_same_folder_gives_the_same_digest() {
    let home = packed();
    let digest = |layout: &str| {
        let args = ["image", "pack", "--root", "root", "--layout", layout, "--output", "json"];
        home.run(&args).json()["digest"].clone()
    };
    assert_eq!(digest("one"), digest("two"));
}

#[test]
fn packing_refuses_what_makes_no_image() {
    let home = packed();
    home.run(&["image", "pack", "--root", "none", "--layout", "l"])
        .fails(2, &["`none` is no folder"]);
    home.run(&["image", "pack", "--root", "root", "--layout", "layout"]).fails(1, &["layout"]);
    home.run(&["image", "pack", "--root", "root", "--layout", "l", "--env", "X"])
        .fails(2, &["`X` sets no variable", "NAME=VALUE"]);
    home.run(&["image", "pack", "--root", "root", "--layout", "l", "--tag", "a b"])
        .fails(1, &["tag"]);
}

#[test]
fn registries_that_do_not_answer_are_named() {
    let home = packed();
    // Port 1 of the loopback: nobody listens there.
    home.run(&["image", "push", "layout", "127.0.0.1:1/app:v1"])
        .fails(1, &["cannot push to `127.0.0.1:1/app:v1`", "hint: "]);
    home.run(&["image", "resolve", "127.0.0.1:1/app:v1"])
        .fails(1, &["cannot resolve image `127.0.0.1:1/app:v1`", "--insecure-registry"]);
    home.run(&["image", "resolve", "UPPER"]).fails(2, &["UPPER"]);
    home.run(&["image", "push", "root", "127.0.0.1:1/app"]).fails(1, &["root"]);
    home.run(&["image", "push", "layout", "127.0.0.1:1/app", "--tag", "v2"]).fails(1, &["v2"]);
}
