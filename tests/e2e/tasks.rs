//! Tasks: what runs to its end, is proved, and is paid by that proof only.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use casemate_client::chain::{ChainClient, LeaseState, RunEntry};
use casemate_primitives::{Balance, DeploymentId, LeaseId, RunId, blake2_256, task::output_hash};
use casemate_tests::{Fatal, Options, Provider, User, until, with_cluster};
use serde_json::Value;

use crate::common::{amount, deployed};

/// How many runs the periodic task has altogether.
const RUNS: usize = 20;

/// A manifest with `task` under `spec.task`, `container` in its one container.
fn manifest(name: &str, image: &str, replicas: u16, task: &str, container: &str) -> String {
    format!(
        "apiVersion: casemate.io/v1\nkind: Task\nmetadata:\n  name: {name}\nspec:\n  replicas: \
         {replicas}\n  task: {{{task}}}\n  containers:\n  - name: app\n    image: {image}\n    \
         {container}\n    resources: {{cpu: 100m, memory: 32Mi, storage: 16Mi}}\n"
    )
}

fn task_of(value: &Value) -> Result<DeploymentId> {
    let id = value["deployment"].as_u64().with_context(|| format!("no task in {value}"))?;
    Ok(DeploymentId(id))
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[test]
fn a_run_is_proved_and_paid_by_its_result() {
    with_cluster(Options::new(1, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ann = &cluster.publishers[0];
        // It fails at once, each time: three tries, with pauses of one and two seconds.
        let task = "deadlineSeconds: 60, runBudget: \"0.5\", retries: 2, backoffSeconds: 1, \
                    artefacts: [/guestbook, /no/such/file]";
        let env = "env: [{name: PORT, value: x}]";
        let yaml = manifest("once", &cluster.first.reference, 1, task, env);
        let file = ann.write("once.yaml", &yaml)?;
        let value = ann.json(&["deploy", &file, "--deposit", "5 CASE"])?;
        let (lease, task) = (deployed(&value)?.lease, task_of(&value)?.to_string());

        let result = ann.json(&["task", "result", &task, "--wait", "--logs"])?;
        assert_eq!(result["run"], 1, "{result}");
        assert_eq!(result["outcome"]["exited"], 1, "{result}");
        assert_eq!(result["tries"], 3, "{result}");
        // Checked by the node's word for the key, and against the log's lines.
        let checked = &result["checked"];
        assert_eq!((&checked["agent"], &checked["output"]), (&"inSlot".into(), &true.into()));
        let said = b"error: PORT is `x`; it must be a number from 0 to 65535\n";
        let output = output_hash(&blake2_256(b""), &blake2_256(said));
        assert_eq!(result["outputHash"], hex_of(&output), "{result}");
        let guestbook = std::fs::read(&cluster.binaries.guestbook)?;
        let artefact = serde_json::json!([{
            "name": hex_of(&blake2_256(b"/guestbook")),
            "content": hex_of(&blake2_256(&guestbook)),
        }]);
        assert_eq!(result["artefacts"], artefact, "{result}");
        // Its output is proved under the head that the result has.
        assert_eq!(result["logs"]["complete"], true, "{result}");
        ensure!(result["logs"]["lines"].to_string().contains("PORT is `x`"), "{result}");
        let paid = amount(&result, "paid")?;
        ensure!(paid > 0, "the run took seconds: {result}");
        let view = chain.lease(lease).await?.context("the lease is gone")?;
        assert_eq!(view.earned(), paid, "nothing else was paid");

        // Once more, by hand; the pod of the first run makes room.
        let again = ann.json(&["task", "run", &task, "--wait"])?;
        assert_eq!((&again["run"], &again["tries"]), (&2.into(), &3.into()), "{again}");
        ensure!(again["agentKey"] != result["agentKey"], "each run has an agent of its own");
        let all = ann.json(&["task", "list"])?;
        assert_eq!((&all[0]["runs"], &all[0]["open"]), (&2.into(), &0.into()), "{all}");

        let view = chain.lease(lease).await?.context("the lease is gone")?;
        assert_eq!(view.earned(), paid + amount(&again, "paid")?);
        let stopped = ann.json(&["task", "stop", &task, "--forget"])?;
        assert_eq!(stopped["forgotten"], true, "{stopped}");
        until("the lease is settled", async || {
            ensure!(chain.lease(lease).await?.is_none(), "it is not");
            Ok(())
        })
        .await
    });
}

/// Run by [`crate::long`]: its runs are ten seconds apart.
pub(crate) fn a_periodic_task_outlives_its_provider() {
    with_cluster(Options::new(2, &["ann"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let task = "deadlineSeconds: 60, runBudget: \"0.01\", startSecondsMax: 10, schedule: \
                    {every: 10}";
        let command = "command: [/run/casemate/agent, --version]";
        let yaml = manifest("tick", &cluster.first.reference, 2, task, command);
        let file = cluster.publishers[0].write("tick.yaml", &yaml)?;
        let at = |provider: &Provider| provider.user.address();
        let first = at(&cluster.providers[0]);
        let args = ["deploy", &file, "--deposit", "5 CASE", "--provider", &first];
        let value = cluster.publishers[0].json(&args)?;
        let (lease, task) = (deployed(&value)?.lease, task_of(&value)?);

        // Killed while runs are open, and away for longer than a run may be late.
        ended(&chain, task, RUNS / 4).await?;
        until("a run is open", async || {
            ensure!(!chain.open_runs(lease).await?.is_empty(), "none is");
            Ok(())
        })
        .await?;
        cluster.providers[0].kill()?;
        let due = chain.time().await? + 25;
        until("time passes", async || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            ensure!(now.as_secs() > due, "not yet");
            Ok(())
        })
        .await?;
        cluster.providers[0].start()?;
        let runs = ended(&chain, task, RUNS / 2).await?;
        ensure!(runs.missed > 0, "what nobody began is recorded: {runs:?}");

        // Its provider is gone for good: another takes over, by the publisher's wish.
        cluster.providers[0].kill()?;
        let id = task.to_string();
        let second = at(&cluster.providers[1]);
        // An edited manifest closes nothing.
        let edited = yaml.replace("startSecondsMax: 10", "startSecondsMax: 11");
        let edited = cluster.publishers[0].write("edited.yaml", &edited)?;
        let args = ["deploy", &edited, "--deposit", "5 CASE", "--provider", &second, "--task", &id];
        cluster.publishers[0].run(&args)?.refuses(&["another manifest", "nothing was changed"])?;
        let view = chain.lease(lease).await?.context("the lease is gone")?;
        ensure!(view.state == LeaseState::Active, "{view:?}");
        let args = ["deploy", &file, "--deposit", "5 CASE", "--provider", &second, "--task", &id];
        let other = deployed(&cluster.publishers[0].json(&args)?)?.lease;
        let runs = ended(&chain, task, RUNS).await?;
        ensure!(runs.leases == [lease, other].into(), "{runs:?}");

        let ann = &cluster.publishers[0];
        check_results(ann, &chain, task, &runs).await?;
        for lease in [lease, other] {
            let earned = chain.lease(lease).await?.map(|lease| lease.earned());
            let of_runs = runs.paid.iter().filter(|(of, _)| *of == lease);
            let sum: Balance = of_runs.map(|(_, paid)| paid).sum();
            // The second one goes on meanwhile.
            ensure!(earned.is_none_or(|earned| earned >= sum), "{earned:?} {sum}");
        }
        ann.json(&["task", "stop", &id])?;
        cluster.providers[0].start()?;
        until("both leases are settled", async || {
            for lease in [lease, other] {
                ensure!(chain.lease(lease).await?.is_none(), "lease {lease} is not");
            }
            Ok(())
        })
        .await
    });
}

/// What the history says.
#[derive(Debug, Default)]
struct Runs {
    numbers: Vec<RunId>,
    times: BTreeSet<u64>,
    missed: u64,
    leases: BTreeSet<LeaseId>,
    paid: Vec<(LeaseId, Balance)>,
}

/// Waits until so many runs have ended well. No number and no scheduled time occurs twice.
async fn ended(chain: &ChainClient, task: DeploymentId, count: usize) -> Result<Runs> {
    // One after the other: all of them together take longer than anything is waited for.
    let mut runs = Runs::default();
    while runs.numbers.len() < count {
        let wanted = runs.numbers.len() + 1;
        runs = until(&format!("{wanted} runs of task {task} have ended"), async || {
            let runs = history(chain, task).await?;
            ensure!(runs.numbers.len() >= wanted, "{} have", runs.numbers.len());
            Ok(runs)
        })
        .await?;
    }
    Ok(runs)
}

async fn history(chain: &ChainClient, task: DeploymentId) -> Result<Runs> {
    let mut runs = Runs::default();
    for entry in chain.task_history(task).await? {
        match entry {
            RunEntry::Ended { result, paid, .. } => {
                let twice = || Fatal(format!("{result:?} is there twice"));
                ensure!(!runs.numbers.contains(&result.run), twice());
                ensure!(runs.times.insert(result.scheduled_at), twice());
                runs.numbers.push(result.run);
                runs.leases.insert(result.lease);
                runs.paid.push((result.lease, paid));
            }
            RunEntry::Missed { count, .. } => runs.missed += count,
            RunEntry::Lost { .. } => (),
        }
    }
    Ok(runs)
}

/// The command line takes each result for signed, and each scheduled time is one of the schedule's.
async fn check_results(
    ann: &User,
    chain: &ChainClient,
    task: DeploymentId,
    runs: &Runs,
) -> Result<()> {
    let since = chain.task(task).await?.context("the task is gone")?.since;
    ensure!(runs.times.iter().all(|at| (at - since) % 10 == 0), "{runs:?}");
    let id = task.to_string();
    let version = concat!("casemate-agent ", env!("CARGO_PKG_VERSION"), "\n");
    let output = hex_of(&output_hash(&blake2_256(version.as_bytes()), &blake2_256(b"")));
    for run in &runs.numbers {
        let result = ann.json(&["task", "result", &id, &run.to_string()])?;
        assert_eq!(result["checked"]["signature"], true, "{result}");
        // The ones that were killed with their provider's daemon ended all the same; a run that was
        // stopped with its lease says so.
        if result["outcome"] != "stopped" {
            ensure!(amount(&result, "paid")? > 0, "a second that has begun is paid: {result}");
            assert_eq!(result["outcome"]["exited"], 0, "{result}");
            assert_eq!(result["outputHash"], output, "{result}");
        }
    }
    let shown = ann.json(&["task", "runs", &id])?;
    let off = shown.as_array().context("no list")?.iter().any(|run| run["offSchedule"] == true);
    ensure!(!off, "{shown}");
    Ok(())
}
