//! What several tests do.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use casemate_client::{
    api::LeaseStatus,
    chain::{AccountBalance, ChainClient},
};
use casemate_primitives::{Balance, LeaseId, Quantities};
use casemate_tests::{Provider, Service, User, get, until};
use serde_json::Value;

/// A lease that was just opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deployed {
    pub(crate) lease: LeaseId,
    pub(crate) deposit: Balance,
}

/// `casemate deploy --wait`
pub(crate) fn deploy(user: &User, service: &Service, more: &[&str]) -> Result<Deployed> {
    let file = user.write(&format!("{}.yaml", service.name), &service.yaml())?;
    let mut args = vec!["deploy", file.as_str(), "--wait"];
    args.extend(more);
    let value = user.json(&args)?;
    ensure!(value["ready"] == true, "`deploy --wait` ended before it was ready: {value}");
    deployed(&value)
}

/// What `casemate deploy` tells.
pub(crate) fn deployed(value: &Value) -> Result<Deployed> {
    let lease = value["lease"].as_u64().with_context(|| format!("no lease in {value}"))?;
    Ok(Deployed { lease: LeaseId(lease), deposit: amount(value, "deposit")? })
}

/// An amount of money in JSON.
pub(crate) fn amount(value: &Value, name: &str) -> Result<Balance> {
    let text = value[name].as_str().with_context(|| format!("no amount `{name}` in {value}"))?;
    Ok(text.parse()?)
}

/// All money of an account.
pub(crate) fn total(balance: AccountBalance) -> Balance {
    balance.free + balance.held
}

/// Quantities as the provider's API tells them.
pub(crate) fn quantities(info: casemate_client::api::QuantitiesInfo) -> Quantities {
    Quantities {
        cpu_millicore_seconds: info.cpu_millicore_seconds,
        memory_mib_seconds: info.memory_mib_seconds,
        storage_mib_seconds: info.storage_mib_seconds,
        gpu_seconds: info.gpu_seconds,
        egress_mib: info.egress_mib,
        ingress_mib: info.ingress_mib,
    }
}

/// The containers that these pods should have, with the processes that they have now.
pub(crate) fn containers(
    provider: &Provider,
    names: &[&str],
) -> Result<BTreeMap<String, Vec<i32>>> {
    let found = provider.traces().containers()?;
    ensure!(
        found.keys().map(String::as_str).eq(names.iter().copied()),
        "containers are {found:?}, but should be {names:?}"
    );
    Ok(found)
}

/// Waits until a host name answers with 200.
pub(crate) async fn answers(provider: &Provider, host: &str) -> Result<()> {
    let what = format!("{host} answers");
    until(&what, async || {
        let response = get(provider.ingress(), host, "/")?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    })
    .await
}

/// Waits until a lease's pods are all ready in this version, and nothing else is there.
pub(crate) async fn settled_down(
    provider: &Provider,
    user: &User,
    chain: &ChainClient,
    lease: LeaseId,
    version: u32,
) -> Result<LeaseStatus> {
    let client = provider.client(user, chain)?;
    until(&format!("lease {lease} runs version {version} only"), async || {
        let status = client.lease(lease).await?;
        let replicas: Vec<u16> = status.pods.iter().map(|pod| pod.replica).collect();
        let all_ready = status.pods.iter().all(|pod| pod.ready && pod.version == version);
        if !all_ready || !replicas.into_iter().eq(0..status.replicas) {
            bail!("{status:?}");
        }
        Ok(status)
    })
    .await
}

/// Waits until more was paid for a lease than `paid`.
pub(crate) async fn paid_more(
    chain: &ChainClient,
    lease: LeaseId,
    paid: Balance,
) -> Result<Balance> {
    until(&format!("more than {paid} was paid for lease {lease}"), async || {
        let now = chain.lease(lease).await?.context("the lease is gone")?.earned();
        ensure!(now > paid, "it is {now}");
        Ok(now)
    })
    .await
}
