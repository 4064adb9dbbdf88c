//! What metering costs: cpu of a pod's agent under load, beside the same agent that meters nothing.
//!
//! Both run at once, in containers of their own (as far as the agent can see), over the same app: it
//! burns a core and prints. The one signs a record each second, which is the most that a provider may
//! ask for; the other signs none, so it neither samples nor signs. All else is the same.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    bench::{Goal, ROUNDS, Row},
    paths::Paths,
    process::{Step, command, tie},
    signals,
    temp::TempDir,
};

/// A share of one core that metering may take, in percent.
const SHARE_MAX: f64 = 0.5;

/// Long enough for ten records and samples, and for the clock's ticks not to matter.
const ROUND: Duration = Duration::from_secs(10);

/// Until the app runs and the first record is signed.
const WARM_UP: Duration = Duration::from_secs(2);

/// A busy loop, with a line twenty times a second.
const APP: &str = "(while :; do echo a line of what an app prints; sleep 0.05; done) & \
                   while :; do :; done";

/// Percent of one core, metering beside not.
pub(super) fn cpu(paths: &Paths) -> Result<Vec<Row>> {
    let dir = TempDir::new("bench-metering")?;
    let agent = paths.static_dir().join("casemate-agent");
    let metering = Agent::start(&agent, &dir.0, "metering", true)?;
    let plain = Agent::start(&agent, &dir.0, "plain", false)?;
    let step = Step::start(format!("measuring metering for {} s", ROUND.as_secs() * ROUNDS as u64));
    wait(WARM_UP)?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (started, before) = (Instant::now(), (metering.cpu()?, plain.cpu()?));
        wait(ROUND)?;
        let after = (metering.cpu()?, plain.cpu()?);
        let seconds = started.elapsed().as_secs_f64();
        let percent = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() / seconds * 100.0
        };
        ours.push(percent(before.0, after.0));
        reference.push(percent(before.1, after.1));
    }
    step.done();
    metering.has_signed(ROUND.as_secs() * ROUNDS as u64 / 2)?;
    let goal = Goal::AtMost { factor: 1.0, plus: SHARE_MAX };
    Ok(vec![Row::new("metering.cpu", "% core", &ours, &reference, goal)?])
}

fn wait(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if signals::interrupted() {
            return Err(signals::Interrupted.into());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
    Ok(())
}

/// An agent with its app, in namespaces of its own.
struct Agent {
    unshare: Child,
    events: PathBuf,
}

impl Agent {
    fn start(program: &Path, dir: &Path, name: &str, meters: bool) -> Result<Self> {
        let config = dir.join(format!("{name}.json"));
        let events = dir.join(format!("{name}.events"));
        fs::write(&config, configuration(meters).to_string())
            .with_context(|| format!("failed to write `{}`", config.display()))?;
        let out = fs::File::options()
            .append(true)
            .create(true)
            .open(&events)
            .with_context(|| format!("failed to make `{}`", events.display()))?;
        let mut start: Command = command("unshare");
        start.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        start.arg(program).arg(&config).stdin(Stdio::null()).stdout(out);
        let unshare = tie(&mut start).spawn().context(
            "failed to start `unshare` of util-linux, which puts the agent into namespaces",
        )?;
        Ok(Self { unshare, events })
    }

    /// Of the agent alone: its threads that run, in the scheduler's own count.
    fn cpu(&self) -> Result<Duration> {
        let above = self.unshare.id();
        let children = format!("/proc/{above}/task/{above}/children");
        let agent = fs::read_to_string(&children).context("the agent's parent has ended")?;
        let tasks = format!("/proc/{}/task", agent.trim());
        let mut nanoseconds = 0;
        let listed = fs::read_dir(&tasks)
            .with_context(|| format!("the agent has ended; it said: {}", self.said()))?;
        for task in listed.flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let on_cpu = text.split(' ').next().and_then(|text| text.parse::<u64>().ok());
            nanoseconds += on_cpu.unwrap_or(0);
        }
        if nanoseconds == 0 {
            bail!("the kernel does not count threads' time (no `{tasks}/*/schedstat`)");
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn said(&self) -> String {
        let text = fs::read_to_string(&self.events).unwrap_or_default();
        text.lines().last().unwrap_or("nothing").chars().take(300).collect()
    }

    /// Nothing was measured if it signs nothing.
    fn has_signed(&self, records: u64) -> Result<()> {
        let text = fs::read_to_string(&self.events).context("the events are gone")?;
        let signed = text.lines().filter(|line| line.contains(r#""event":"record""#)).count();
        if (signed as u64) < records {
            bail!("the agent has signed {signed} records only; it said: {}", self.said());
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // With it the kernel ends all in its namespace.
        self.unshare.kill().ok();
        self.unshare.wait().ok();
    }
}

/// As the local backend writes it.
fn configuration(meters: bool) -> Value {
    let signer = json!({
        "genesis_hash": "11".repeat(32),
        "lease": 1,
        "replica": 0,
        "quota": { "cpu_millicores": 1000, "memory_mib": 64, "storage_mib": 64, "gpus": 0 },
        "record_interval_ms": 1000,
    });
    json!({
        "container": "app",
        "signer": if meters { signer } else { Value::Null },
        "app": {
            "command": ["/bin/sh", "-c", APP],
            "env": ["PATH=/usr/bin:/bin"],
            "working_dir": "/",
            "user": null,
        },
        "restart": "always",
        "grace_ms": 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_run_the_same_but_for_the_signer() {
        let (mut with, without) = (configuration(true), configuration(false));
        assert!(with["signer"].is_object() && without["signer"].is_null());
        with["signer"] = Value::Null;
        assert_eq!(with, without);
    }
}
