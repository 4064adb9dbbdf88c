//! From the finality of a lease to the first 200 of its app.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use casemate_tests::{Connection, Ledger, PATIENCE};
use serde_json::{Value, json};

/// Short beside what is measured, long enough to leave the processor to those who are measured.
const PAUSE: Duration = Duration::from_millis(4);

/// Says `ready`, waits for the next lease that is opened, then asks for `path` until it is there.
pub(crate) async fn run(rpc: &str, ingress: SocketAddr, host: &str, path: &str) -> Result<Value> {
    let ledger = Ledger::connect(rpc).await?;
    let mut blocks = ledger.api.stream_blocks().await?;
    crate::print("ready");
    let finalised = loop {
        let next = tokio::time::timeout(PATIENCE, blocks.next()).await;
        let block = next.context("no lease was opened")?.context("the node ended the stream")??;
        // When the news of its finality came: what is looked up from here on is not waited for.
        let finalised = Instant::now();
        let events = block.at().await?.events().fetch().await?;
        let mut opened = false;
        for event in events.iter() {
            let event = event?;
            opened |= (event.pallet_name(), event.event_name()) == ("Leases", "Opened");
        }
        if opened {
            break finalised;
        }
    };
    let mut connection = None;
    loop {
        if finalised.elapsed() > PATIENCE {
            bail!("http://{host}{path} did not answer with 200 within {} s", PATIENCE.as_secs());
        }
        let status = ask(&mut connection, ingress, host, path);
        if status.is_ok_and(|status| status == 200) {
            return Ok(json!({ "seconds": finalised.elapsed().as_secs_f64() }));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn ask(kept: &mut Option<Connection>, to: SocketAddr, host: &str, path: &str) -> Result<u16> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::open(to)?,
    };
    let response = connection.request(host, path, None)?;
    if !response.closes {
        *kept = Some(connection);
    }
    Ok(response.status)
}
