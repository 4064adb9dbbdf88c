//! Four validators, one of which goes and comes back.

use anyhow::{Result, ensure};
use casemate_tests::{Binaries, Node, Rpc, Validator, print_log, until};

const NAMES: [&str; 4] = ["alice", "bob", "charlie", "dave"];
/// Charlie, who is no more than the others.
const VICTIM: usize = 2;

/// Shows what the nodes wrote when the test fails.
struct Nodes(Vec<Node>);

impl Drop for Nodes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.iter().for_each(|node| print_log(node.log()));
        }
    }
}

#[test]
fn four_validators() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let program = Binaries::find().unwrap().node;
        let validators: Vec<Validator> = NAMES
            .iter()
            .map(|name| Validator::new(&program, folder.path(), name).unwrap())
            .collect();
        let start = |me| Node::validator(&program, folder.path(), me, &validators).unwrap();
        let mut nodes = Nodes(validators.iter().map(start).collect());
        run(&mut nodes.0).await.unwrap();
    });
}

/// The production preset is a template: nobody may believe that it runs.
#[test]
fn a_chain_without_validators_does_not_start_and_says_why() {
    let program = Binaries::find().unwrap().node;
    let output = std::process::Command::new(program)
        .args(["--chain", "production", "--tmp", "--no-telemetry", "--no-prometheus", "--no-mdns"])
        .args(["--listen-addr", "/ip4/127.0.0.1/tcp/0", "--rpc-port", "0"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(!told.contains("panicked") && !told.contains("This is a bug"), "{told}");
    assert!(told.contains("has no validators") && told.contains("export-chain-spec"), "{told}");
}

async fn run(nodes: &mut [Node]) -> Result<()> {
    let mut rpcs = Vec::new();
    for node in &mut *nodes {
        rpcs.push(node.rpc().await?);
    }
    for rpc in &rpcs {
        until("everybody is connected", async || {
            let peers = rpc.peers().await?;
            ensure!(peers == 3, "{peers} peers");
            Ok(())
        })
        .await?;
    }
    let before = finalised_beyond(nodes, &rpcs[0], 2).await?;
    same_chain(&rpcs, before).await?;

    // Blocks and finality go on with three of four.
    nodes[VICTIM].kill()?;
    let gone = rpcs.remove(VICTIM);
    until("the victim is gone", async || {
        ensure!(gone.best().await.is_err(), "it still answers");
        Ok(())
    })
    .await?;
    let at_kill = rpcs[0].best().await?;
    let without = finalised_beyond(nodes, &rpcs[0], at_kill + 3).await?;
    same_chain(&rpcs, without).await?;

    // It returns, catches up to the very same finalised block, and finality goes on for it, too.
    nodes[VICTIM].start()?;
    let back = nodes[VICTIM].rpc().await?;
    finalised_beyond(nodes, &back, without).await?;
    rpcs.push(back);
    same_chain(&rpcs, without).await?;
    let best = rpcs[0].best().await?;
    for rpc in &rpcs {
        finalised_beyond(nodes, rpc, best + 2).await?;
    }
    same_chain(&rpcs, best + 2).await
}

/// Waits until a block is final, and gives its number.
async fn finalised_beyond(nodes: &mut [Node], rpc: &Rpc, number: u32) -> Result<u32> {
    until(&format!("block {number} is final"), async || {
        for node in &mut *nodes {
            node.check()?;
        }
        let (finalised, _) = rpc.finalised().await?;
        ensure!(finalised >= number, "block {finalised} is the newest final one");
        Ok(finalised)
    })
    .await
}

/// Waits until block `number` is final for all, and checks that it is one and the same.
async fn same_chain(rpcs: &[Rpc], number: u32) -> Result<()> {
    let mut hashes = Vec::new();
    for rpc in rpcs {
        let what = format!("block {number} is final for everybody");
        let hash = until(&what, async || {
            let (finalised, _) = rpc.finalised().await?;
            ensure!(finalised >= number, "block {finalised} is the newest final one");
            rpc.hash(number).await
        });
        hashes.push(hash.await?);
    }
    ensure!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "block {number}: {hashes:?}");
    Ok(())
}
