use casemate_client::chain::{ChainSnapshot, LeaseState, PeriodView};
use casemate_primitives::{AccountBytes, DeploymentId, Hash256, LeaseTerms, Prices, Resources};

use super::*;

const GENESIS: Hash256 = [1; 32];
const ACCOUNT: AccountBytes = [2; 32];

/// Two replicas at ten planck a second each, some of which were paid for already.
fn lease(escrow: u128) -> LeaseView {
    LeaseView {
        id: LeaseId(7),
        deployment: DeploymentId(1),
        manifest_hash: [0; 32],
        version: 1,
        amendments: 0,
        publisher: [9; 32],
        provider: ACCOUNT,
        resources: Resources { cpu_millicores: 10, ..Resources::default() },
        replicas: 2,
        terms: LeaseTerms {
            prices: Prices { cpu_millicore_second: 1, ..Prices::default() },
            grace_seconds: 60,
            warn_seconds: [100, 50, 0],
            ..LeaseTerms::default()
        },
        state: LeaseState::Active,
        escrow,
        open: vec![PeriodView { number: 1, amount: 1 }],
        contested: 0,
        final_due: 0,
        paid: 0,
        spend_rate_max: 40,
        opened_at: 0,
        reclaim_at: None,
        agents: Vec::new(),
        is_task: false,
        task: None,
    }
}

struct Rig {
    folder: tempfile::TempDir,
    watcher: FundsWatcher,
    world: watch::Sender<Arc<World>>,
}

impl Rig {
    fn new(low_funds: &[&str], timeout: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = watch::Sender::new(Arc::<World>::default());
        let low_funds = low_funds.iter().map(|text| (*text).to_owned()).collect();
        let hooks = HooksConfig { low_funds, timeout: timeout.parse().unwrap() };
        let watcher = FundsWatcher::new(Parts {
            world: world.subscribe(),
            spool: Spool::open(folder.path(), &GENESIS, &ACCOUNT).unwrap(),
            clock: Arc::new(|| 5),
            metrics: Metrics::default(),
            hooks,
        });
        Self { folder, watcher, world }
    }

    async fn look(&mut self, lease: LeaseView) -> Vec<String> {
        let leases = [(lease.id, lease)].into();
        let snapshot = Arc::new(ChainSnapshot { leases, ..ChainSnapshot::default() });
        let world = World { snapshot, is_ready: true, ..World::default() };
        self.watcher.look(&world).await;
        self.events().await
    }

    async fn events(&self) -> Vec<String> {
        let events = self.watcher.parts.spool.events(LeaseId(7), 0).await.unwrap();
        events.into_iter().map(|event| event.message).collect()
    }

    fn runs(&self, kind: &'static str) -> u64 {
        self.watcher.parts.metrics.hooks.get_or_create(&Kind { kind }).get()
    }
}

#[tokio::test]
async fn each_level_is_told_once_and_again_after_more_money_was_spent() {
    let mut rig = Rig::new(&[], "1s");
    assert_eq!(rig.look(lease(2_000)).await.len(), 0);
    assert_eq!(rig.look(lease(1_500)).await.len(), 1);
    assert_eq!(rig.look(lease(1_400)).await.len(), 1);
    let told = rig.look(lease(0)).await;
    assert_eq!(told.len(), 2);
    assert!(told[0].contains("75 s") && told[0].contains("100 s"), "{told:?}");
    assert!(told[1].contains("used up") && told[1].contains("60 s"), "{told:?}");
    assert_eq!(rig.watcher.parts.metrics.low_funds.get(), 1);
    assert_eq!(rig.look(lease(5_000)).await.len(), 2);
    assert_eq!(rig.watcher.parts.metrics.low_funds.get(), 0);
    assert_eq!(rig.look(lease(1_500)).await.len(), 3);
}

#[tokio::test]
async fn what_a_lease_began_with_is_no_news() {
    let mut rig = Rig::new(&[], "1s");
    let fresh = LeaseView { open: Vec::new(), ..lease(1_500) };
    assert_eq!(rig.look(fresh).await.len(), 0);
    assert_eq!(rig.look(lease(1_400)).await.len(), 0);
    assert_eq!(rig.look(lease(900)).await.len(), 1);
    // After a restart, a lease that was in use is told of again.
    let mut rig = Rig::new(&[], "1s");
    assert_eq!(rig.look(lease(1_400)).await.len(), 1);
}

/// Runs the whole loop until a program has ended.
async fn run_until_ended(mut rig: Rig, kind: &'static str) -> Rig {
    let leases = [(LeaseId(7), lease(999))].into();
    let snapshot = Arc::new(ChainSnapshot { leases, ..ChainSnapshot::default() });
    rig.world.send_replace(Arc::new(World { snapshot, is_ready: true, ..World::default() }));
    let metrics = rig.watcher.parts.metrics.clone();
    let spare = Rig::new(&[], "1s").watcher;
    let watcher = std::mem::replace(&mut rig.watcher, spare);
    let (stop, shutdown) = watch::channel(false);
    let running = tokio::spawn(watcher.run(shutdown));
    let ended = async {
        while metrics.hooks.get_or_create(&Kind { kind }).get() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    stop.send_replace(true);
    running.await.unwrap();
    rig.watcher.parts.metrics = metrics;
    rig
}

#[tokio::test]
async fn the_operators_program_is_told_what_is_low_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told; touch evil").display().to_string();
    let script = "env > \"$1\"";
    let rig = Rig::new(&["/bin/sh", "-c", script, "hook", &file], "30s");
    let rig = run_until_ended(rig, "low-funds-ok").await;
    let told = std::fs::read_to_string(&file).unwrap();
    let nines = "09".repeat(32);
    for line in [
        "CASEMATE_LEASE=7",
        &format!("CASEMATE_PUBLISHER=0x{nines}"),
        "CASEMATE_LEVEL=2",
        "CASEMATE_BELOW_SECONDS=50",
        "CASEMATE_SECONDS_LEFT=49",
    ] {
        assert!(told.lines().any(|found| found == line), "{line}: {told}");
    }
    // Nothing of the daemon's own environment goes over: its seed may be there.
    let own = told.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let shells = ["PATH", "PWD", "SHLVL", "OLDPWD", "_"];
    let others: Vec<&str> =
        own.filter(|name| !name.starts_with("CASEMATE_") && !shells.contains(name)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(!told.contains("CASEMATE_PROVIDER_SEED"), "{told}");
    assert_eq!(rig.runs("low-funds-failed"), 0);
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_and_one_that_is_not_there_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid").display().to_string();
    let script = "echo $$ > \"$1\"; exec sleep 1000";
    let rig = Rig::new(&["/bin/sh", "-c", script, "hook", &file], "5s");
    let rig = run_until_ended(rig, "low-funds-failed").await;
    let pid = std::fs::read_to_string(&file).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "{pid} goes on");
    assert!(rig.folder.path().exists());
    let rig = Rig::new(&["/nonexistent/program"], "1s");
    run_until_ended(rig, "low-funds-failed").await;
}
