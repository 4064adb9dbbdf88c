//! The everyday verbs on leases.

pub(super) mod amend;
pub(super) mod change;
pub(super) mod complain;
pub(super) mod deploy;
pub(super) mod dispute;
pub(super) mod list;
pub(super) mod logs;
mod place;
pub(super) mod records;
pub(super) mod spenders;
pub(super) mod status;
pub(super) mod task;
pub(super) mod terms;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_client::{
    api::{LeaseStatus, PodPhaseInfo, RefusalCode},
    chain::{LeaseState, LeaseView},
    provider::{ProviderClient, ProviderError},
};
use casemate_primitives::LeaseId;

use crate::{
    address::Address,
    chain_ops::Chain,
    commands::offers::duration_text,
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    printer::printable,
    state::LeaseNotes,
};

/// How often a condition is looked at again: twice for each block of a production chain.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// Notes about leases on this chain.
pub(super) fn notes(context: &Context, chain: &Chain) -> LeaseNotes {
    LeaseNotes::new(&context.settings.state_dir, &chain.genesis_hash())
}

/// Only its publisher, or who it has authorised, does that.
fn not_own<T>(lease: &LeaseView, account: Address) -> anyhow::Result<T> {
    let publisher = Address(lease.publisher);
    fail(
        Failure::new(format!("lease {} belongs to {publisher}, not to {account}", lease.id))
            .hint("choose its key with --account NAME"),
    )
}

/// The lease that a number, a name or nothing means.
pub(super) async fn find(
    context: &Context,
    chain: &Chain,
    publisher: Address,
    lease: Option<&str>,
) -> anyhow::Result<LeaseView> {
    if let Some(id) = lease.and_then(|text| text.parse::<LeaseId>().ok()) {
        let found = chain.lease(id).await?.or_fail(|| {
            Failure::new(format!("there is no lease {id}, or it is settled"))
                .hint("see which you have: casemate list")
        })?;
        if found.publisher != publisher.0 {
            return not_own(&found, publisher);
        }
        return Ok(found);
    }
    let mut leases = chain.leases_of(publisher).await?;
    let wanted = match lease {
        Some(name) => {
            let notes = notes(context, chain);
            leases.retain(|lease| notes.name(lease.id).as_deref() == Some(name));
            format!("lease called `{name}`")
        }
        None => "lease".to_owned(),
    };
    match leases.len() {
        1 => Ok(leases.remove(0)),
        0 => fail(
            Failure::new(format!("{publisher} has no {wanted}"))
                .hint("see which there are: casemate list"),
        ),
        _ => {
            let numbers: Vec<String> = leases.iter().map(|lease| lease.id.to_string()).collect();
            fail(
                Failure::usage(format!("there is more than one {wanted}: {}", numbers.join(", ")))
                    .hint("say which one by its number"),
            )
        }
    }
}

/// The lease that a number means, whosever it is, or a name of one's own.
async fn find_any(
    context: &Context,
    chain: &Chain,
    account: Address,
    lease: &str,
) -> anyhow::Result<LeaseView> {
    let Ok(id) = lease.parse::<LeaseId>() else {
        return find(context, chain, account, Some(lease)).await;
    };
    chain.lease(id).await?.or_fail(|| {
        Failure::new(format!("there is no lease {id}, or it is settled"))
            .hint("ask its publisher; your own: casemate list")
    })
}

/// A client of the provider that runs a lease, at the first of its endpoints that answers.
pub(super) async fn provider_of(
    context: &Context,
    chain: &Chain,
    signer: &Signer,
    account: Address,
) -> anyhow::Result<ProviderClient> {
    let provider = chain.provider(account).await?.or_fail(|| {
        Failure::new(format!("provider {account} is not in the registry any more"))
            .hint("end the lease and deploy elsewhere: casemate stop LEASE")
    })?;
    let key = Arc::new(signer.keypair.clone());
    let mut failed = None;
    for endpoint in provider.endpoints.iter().filter(|e| context.settings.allows_endpoint(e)) {
        let client =
            ProviderClient::new(endpoint, account.0, chain.genesis_hash(), Arc::clone(&key));
        let asked = match client {
            Ok(client) => client.info().await.map(|_| client),
            Err(e) => Err(e),
        };
        match asked {
            Ok(client) => return Ok(client),
            Err(e) => failed = Some(e),
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => fail(
            Failure::new(format!("provider {account} has no endpoint that you allow"))
                .hint("add one of its endpoints to --provider-endpoint"),
        ),
    }
}

/// Waits until every replica of `version` is ready.
async fn wait_ready(
    context: &Context,
    provider: &ProviderClient,
    lease: LeaseId,
    version: u32,
    timeout: Duration,
) -> anyhow::Result<LeaseStatus> {
    context.printer.note("Waiting until it is ready");
    let deadline = Instant::now() + timeout;
    loop {
        let problem = match provider.lease(lease).await {
            Ok(status) => {
                if is_ready(&status, version) {
                    return Ok(status);
                }
                if let Some(reason) = failed_for_good(&status, version) {
                    return fail(
                        Failure::new(format!("lease {lease} does not run: {}", printable(&reason)))
                            .hint(format!(
                                "see what it wrote: casemate logs {lease}; then correct it with \
                                 casemate update {lease}, or end it with casemate stop {lease}"
                            )),
                    );
                }
                status.problems.first().cloned()
            }
            // The provider reads finalised blocks, too, but perhaps a moment later.
            Err(e) if passes_by_itself(&e) => Some(e.to_string()),
            Err(e) => return Err(e.into()),
        };
        if Instant::now() >= deadline {
            let problem = problem.map_or_else(String::new, |p| format!(": {}", printable(&p)));
            return fail(
                Failure::new(format!(
                    "lease {lease} is not ready after {} seconds{problem}",
                    timeout.as_secs()
                ))
                .hint(format!("it goes on starting; look: casemate status {lease}")),
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

fn is_ready(status: &LeaseStatus, version: u32) -> bool {
    let ready = |replica| {
        status.pods.iter().any(|p| p.replica == replica && p.version == version && p.ready)
    };
    status.version == version && (0..status.replicas).all(ready)
}

fn failed_for_good(status: &LeaseStatus, version: u32) -> Option<String> {
    let failed = status
        .pods
        .iter()
        .find(|pod| pod.version == version && pod.phase == PodPhaseInfo::Failed)?;
    Some(failed.reason.clone().unwrap_or_else(|| format!("pod {} failed", failed.pod)))
}

fn passes_by_itself(error: &ProviderError) -> bool {
    match error {
        ProviderError::Unreachable { .. } => true,
        error => matches!(
            error.refusal_code(),
            Some(RefusalCode::NotFound | RefusalCode::NotReady | RefusalCode::Busy)
        ),
    }
}

/// A lease's state in a word.
fn state_text(state: &LeaseState) -> &'static str {
    match state {
        LeaseState::Pending => "pending",
        LeaseState::Active => "active",
        LeaseState::Closing { .. } => "closing",
    }
}

/// Warns a publisher whose money is below a level that was agreed.
fn warn_low_funds(context: &Context, lease: &LeaseView) {
    if let Some(text) = low_funds_text(lease) {
        context.printer.warn(text);
    }
}

fn low_funds_text(lease: &LeaseView) -> Option<String> {
    let low = lease.low_funds()?;
    let id = lease.id;
    let text = match low.seconds_left {
        0 => format!(
            "the money of lease {id} is used up: its pods stay for at most {}, then it is closed",
            duration_text(u64::from(lease.terms.grace_seconds))
        ),
        left => format!(
            "the money of lease {id} lasts for {}, less than the {} of a warning that was agreed",
            duration_text(left),
            duration_text(u64::from(low.below_seconds))
        ),
    };
    Some(format!("{text}; put more in: casemate fund {id} AMOUNT"))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
