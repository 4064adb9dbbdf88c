use super::*;
use crate::failure::Report;

fn with_file(text: &str, flags: GlobalArgs) -> anyhow::Result<Settings> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("casemate")).unwrap();
    fs::write(folder.path().join("casemate/config.toml"), text).unwrap();
    let user = UserFolders { config: Some(folder.path().to_owned()), data: Some("/data".into()) };
    Settings::load(&flags, &user)
}

#[test]
fn defaults_hold_without_a_file() {
    let user = UserFolders { config: Some("/nowhere".into()), data: Some("/data".into()) };
    let settings = Settings::load(&GlobalArgs::default(), &user).unwrap();
    assert_eq!(settings.rpc, RPC_DEFAULT);
    assert_eq!(settings.keystore, Path::new("/data/casemate/keys"));
    assert_eq!(settings.config, None);
    assert!(settings.allows_endpoint("http://any.example"));
}

#[test]
fn a_flag_wins_over_the_file() {
    let text = "rpc = 'ws://file'\naccount = 'file'\nprovider_endpoints = ['http://p/']\n";
    let flags = GlobalArgs { rpc: Some("ws://flag".into()), ..Default::default() };
    let settings = with_file(text, flags).unwrap();
    assert_eq!(settings.rpc, "ws://flag");
    assert_eq!(settings.account.as_deref(), Some("file"));
    assert!(settings.allows_endpoint("http://p"));
    assert!(!settings.allows_endpoint("http://p.example"));
}

#[test]
fn an_unknown_field_is_an_error_of_usage() {
    let error = with_file("acount = 'x'", GlobalArgs::default()).unwrap_err();
    let report = Report::of(&error);
    assert_eq!(report.exit_code, 2);
    assert!(report.causes.iter().any(|c| c.contains("acount")), "{report:?}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let flags = GlobalArgs { config: Some("/nowhere/x.toml".into()), ..Default::default() };
    let user = UserFolders { config: None, data: Some("/data".into()) };
    assert_eq!(Report::of(&Settings::load(&flags, &user).unwrap_err()).exit_code, 2);
}

#[test]
fn paths_in_the_file_start_at_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    fs::write(&config, "keystore = 'keys'\nstate_dir = '/abs'\n").unwrap();
    let flags = GlobalArgs { config: Some(config), ..Default::default() };
    let settings = Settings::load(&flags, &UserFolders::default()).unwrap();
    assert_eq!(settings.keystore, folder.path().join("keys"));
    assert_eq!(settings.state_dir, Path::new("/abs"));
}

#[test]
fn the_node_is_spoken_to_by_websocket() {
    let error = with_file("rpc = 'http://x'", GlobalArgs::default()).unwrap_err();
    assert_eq!(Report::of(&error).exit_code, 2);
}
