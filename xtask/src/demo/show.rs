//! The main job, step by step, with the commands that do it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    demo::network::Network,
    http,
    process::{Step, line, output, run_interruptible},
    signals,
};

/// A pod starts in seconds and is paid within a minute; a busy machine is ten times slower.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// An app and its manifest with the image in the demo's registry.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) name: &'static str,
    pub(crate) host: String,
    manifest: PathBuf,
}

impl App {
    /// Copies a manifest with `image` in the place of its own image.
    pub(crate) fn write(
        name: &'static str,
        source: &Path,
        image: &str,
        manifest: PathBuf,
    ) -> Result<Self> {
        let text = fs::read_to_string(source)
            .with_context(|| format!("failed to read `{}`", source.display()))?;
        let text = with_image(&text, image)
            .with_context(|| format!("`{}` has not exactly one `image:`", source.display()))?;
        fs::write(&manifest, text)
            .with_context(|| format!("failed to write `{}`", manifest.display()))?;
        Ok(Self { name, host: format!("{name}.localhost"), manifest })
    }
}

/// Replaces the value of the only `image:`.
fn with_image(manifest: &str, image: &str) -> Option<String> {
    let mut replaced = 0;
    let mut text = String::with_capacity(manifest.len() + image.len());
    for line in manifest.lines() {
        let key = line.trim_start().trim_start_matches("- ");
        if key.starts_with("image:") {
            let indent = &line[..line.len() - key.len()];
            text += &format!("{indent}image: {image}\n");
            replaced += 1;
        } else {
            text += line;
            text.push('\n');
        }
    }
    (replaced == 1).then_some(text)
}

/// Runs a command of the publisher and shows it with its output.
fn shown(network: &Network, args: &[&str]) -> Result<String> {
    let command = network.casemate(args);
    println!("\n$ casemate {}", args.join(" "));
    let text = run_interruptible(command, "the network's log may tell more")?;
    print!("{text}");
    Ok(text)
}

/// Runs a command of the publisher for its data.
fn data(network: &Network, args: &[&str]) -> Result<Value> {
    let mut command = network.casemate(args);
    command.args(["--output", "json"]);
    let text = output(&mut command, "the network's log may tell more")?;
    serde_json::from_str(&text).with_context(|| format!("{} printed no JSON", line(&command)))
}

pub(crate) fn deploy(network: &Network, app: &App) -> Result<()> {
    let step = Step::start(format!("publishing {}", app.name));
    let manifest = app.manifest.display().to_string();
    shown(network, &["deploy", &manifest])?;
    step.done();
    Ok(())
}

fn get<'a>(host: &'a str, path: &'a str) -> http::Request<'a> {
    http::Request { method: "GET", host, path, body: None }
}

pub(crate) fn wait_until_it_answers(network: &mut Network, app: &App) -> Result<()> {
    let step = Step::start(format!("waiting for http://{} to answer", app.host));
    let ingress = network.ingress().to_owned();
    signals::wait_for(&format!("an answer of {}", app.name), WAIT_MAX, || {
        network.check_running()?;
        let answer = http::send(&ingress, get(&app.host, "/"));
        Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
    })?;
    step.done();
    Ok(())
}

/// Writes an entry and reads it back.
pub(crate) fn sign_the_guestbook(network: &Network, app: &App) -> Result<()> {
    let text = "Hello from the demo";
    let entry = serde_json::json!({ "name": "demo", "message": text }).to_string();
    let post = http::Request {
        method: "POST",
        host: &app.host,
        path: "/entries",
        body: Some(("application/json", &entry)),
    };
    let answer = http::send(network.ingress(), post)?;
    ensure!(
        (200..400).contains(&answer.status),
        "the guestbook refused an entry: {} {}",
        answer.status,
        answer.body
    );
    let list = http::send(network.ingress(), get(&app.host, "/api/entries"))?;
    ensure!(list.body.contains(text), "the guestbook lost its entry: {}", list.body);
    println!("\nThe guestbook has: {}", list.body.trim());
    Ok(())
}

pub(crate) fn wait_until_paid(network: &mut Network, app: &App) -> Result<()> {
    let step = Step::start(format!("waiting until the provider has been paid for {}", app.name));
    signals::wait_for(&format!("a payment for {}", app.name), WAIT_MAX, || {
        network.check_running()?;
        let status = data(network, &["status", app.name])?;
        Ok(amount(&status, "paid")?.filter(|paid| *paid > 0))
    })?;
    step.done();
    Ok(())
}

/// That the chain pays the app's agents for their evidence, and that this is not taken for hardware.
fn check_attested(network: &Network, app: &App) -> Result<()> {
    let attested = data(network, &["attest", "lease", app.name])?;
    let replicas = attested["replicas"].as_array().context("no replicas are listed")?;
    ensure!(
        !replicas.is_empty()
            && replicas.iter().all(|one| one["attested"] == true && one["grade"] == "software"),
        "an agent of {} is not attested by the software TEE: {attested}",
        app.name
    );
    println!(
        "Attestation of {}: TDX evidence of the software TEE, verified by the chain.",
        app.name
    );
    Ok(())
}

/// Shows leases, logs, and what the provider earned.
pub(crate) fn everything(network: &Network, apps: &[App]) -> Result<()> {
    shown(network, &["list"])?;
    for app in apps {
        shown(network, &["status", app.name])?;
        shown(network, &["attest", "lease", app.name])?;
        check_attested(network, app)?;
        shown(network, &["logs", app.name, "--tail", "5"])?;
    }
    shown(network, &["provider", "list"])?;
    Ok(())
}

pub(crate) fn addresses(network: &Network, apps: &[App]) {
    let port = network.ingress().rsplit(':').next().unwrap_or_default();
    println!("\nIt runs. Open in a browser:");
    for app in apps {
        println!("  http://{}:{port}/", app.host);
    }
    println!("Chain:        {}", network.dev.rpc);
    println!("Provider API: {}", network.dev.provider_api);
    println!("\nTo try commands of your own, in another terminal (as root):");
    println!("  export CASEMATE_CONFIG={}", network.dev.config.display());
    println!("  {} status guestbook", network.casemate(&[]).get_program().to_string_lossy());
    println!("\nCtrl-C ends all of it.");
}

/// Stops both and checks that what was not spent came back.
pub(crate) fn stop_and_refund(network: &mut Network, apps: &[App]) -> Result<()> {
    for app in apps {
        let step = Step::start(format!("stopping {}", app.name));
        println!("\n$ casemate stop {} --wait", app.name);
        let settled = data(network, &["stop", app.name, "--wait"])?;
        let (paid, refunded) = (amount(&settled, "paid")?, amount(&settled, "refunded")?);
        let (Some(paid), Some(refunded)) = (paid, refunded) else {
            bail!("`casemate stop --wait` tells no payment and refund: {settled}");
        };
        println!("paid      {}\nrefunded  {}", case(paid), case(refunded));
        ensure!(refunded > 0, "nothing of the deposit for {} came back", app.name);
        step.done();
    }
    println!("\nBoth apps ran, were paid for, and their unspent money came back.");
    Ok(())
}

/// The amount under a key, wherever in the document it is: a number, or a text of digits as
/// amounts beyond 2^53 are written.
fn amount(document: &Value, key: &str) -> Result<Option<u128>> {
    let Some(found) = find(document, key) else { return Ok(None) };
    let digits = match found {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    digits.parse().map(Some).with_context(|| format!("`{key}` is `{digits}`, not an amount"))
}

/// The chain's smallest unit is 10^-12 CASE.
fn case(amount: u128) -> String {
    format!("{}.{:012} CASE", amount / 1_000_000_000_000, amount % 1_000_000_000_000)
}

fn find<'a>(document: &'a Value, key: &str) -> Option<&'a Value> {
    match document {
        Value::Object(map) => {
            map.get(key).or_else(|| map.values().find_map(|value| find(value, key)))
        }
        Value::Array(items) => items.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_only_image() {
        let manifest = "spec:\n  containers:\n    - name: a\n      image: old:1\n";
        let expected = "spec:\n  containers:\n    - name: a\n      image: new@sha256:00\n";
        assert_eq!(with_image(manifest, "new@sha256:00").as_deref(), Some(expected));
        let first_key = "  - image: old\n    name: a\n";
        assert_eq!(with_image(first_key, "x").as_deref(), Some("  - image: x\n    name: a\n"));
        assert_eq!(with_image("a: 1\n", "x"), None);
        assert_eq!(with_image("image: a\nimage: b\n", "x"), None);
    }

    #[test]
    fn reads_amounts_as_numbers_and_as_texts() {
        let document = serde_json::json!({ "lease": { "paid": "340282366920938463463374607431768211455" },
            "refunded": 7, "pods": [{ "name": "paid" }] });
        assert_eq!(amount(&document, "paid").expect("valid"), Some(u128::MAX));
        assert_eq!(amount(&document, "refunded").expect("valid"), Some(7));
        assert_eq!(amount(&document, "held").expect("valid"), None);
        assert!(amount(&serde_json::json!({ "paid": "1.5 CASE" }), "paid").is_err());
    }
}
