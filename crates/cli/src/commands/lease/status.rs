//! `casemate status`

use casemate_client::{
    api::{LeaseStatus, PodInfo, PodPhaseInfo},
    chain::{LeaseMoney, LeaseState, LeaseView, LowFunds},
};
use casemate_primitives::UnixSeconds;
use serde::Serialize;

use super::{
    dispute::in_time, find, notes, provider_of, state_text, terms::TermsInfo, warn_low_funds,
};
use crate::{
    address::Address,
    amount::Amount,
    asset::Unit,
    chain_ops::Chain,
    cli::StatusArgs,
    commands::{
        attest::lease::{ReplicaStanding, replicas},
        offers::duration_text,
    },
    context::Context,
    manifest_file::resources_text,
    printer::{fields, printable, table},
};

/// A lease as the chain and its provider know it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    lease: casemate_primitives::LeaseId,
    deployment: casemate_primitives::DeploymentId,
    name: Option<String>,
    state: &'static str,
    /// While closing: when the unspent money goes back at the latest.
    settles_at: Option<u64>,
    version: u32,
    manifest_hash: String,
    provider: Address,
    replicas: u16,
    asset: String,
    price_per_hour: Option<Amount>,
    spend_rate_max: Amount,
    escrow: Amount,
    paid: Amount,
    /// Claims that can still be contested, or have just become final.
    open: Amount,
    contested: Amount,
    /// Whose money it is, the first spent first; empty where all is the publisher's.
    depositors: Vec<Depositor>,
    /// Who may put the publisher's money in.
    spenders: Vec<Spender>,
    seconds_left: Option<u64>,
    /// Where the money is below an agreed level of warning.
    low_funds: Option<LowFunds>,
    /// When the provider takes its machine back, if it has given notice.
    reclaim_at: Option<u64>,
    terms: TermsInfo,
    opened_at: u64,
    /// What the chain knows of each replica's agent: only an attested one is paid.
    attestation: Vec<ReplicaStanding>,
    /// `null` while the provider does not answer.
    pods: Option<LeaseStatus>,
}

/// Somebody's money in a lease, claimed or not.
#[derive(Serialize)]
struct Depositor {
    account: Address,
    amount: Amount,
}

/// Who may put the publisher's money in, and how much more.
#[derive(Serialize)]
struct Spender {
    account: Address,
    allowance: Amount,
}

pub(crate) async fn run(context: &Context, args: &StatusArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let lease = find(context, &chain, signer.address, args.lease.as_deref()).await?;
    let asked = async {
        let client = provider_of(context, &chain, &signer, Address(lease.provider)).await?;
        anyhow::Ok(client.lease(lease.id).await?)
    };
    let pods = match asked.await {
        Ok(pods) => Some(pods),
        // What the chain knows is worth showing while the provider is away.
        Err(error) => {
            let error = printable(&format!("{error:#}"));
            context.printer.warn(format!("only what the chain knows is shown: {error}"));
            None
        }
    };
    warn_low_funds(context, &lease);
    let name = notes(context, &chain).name(lease.id);
    let now = chain.time().await?;
    let money = chain.lease_money(&lease).await?;
    let unit = chain.unit(lease.terms.asset).await?;
    let status = status(&lease, now, name, (money, &unit), pods);
    context.printer.data(&status, || human(&lease, now, &status, &unit))
}

fn status(
    lease: &LeaseView,
    now: UnixSeconds,
    name: Option<String>,
    (money, unit): (LeaseMoney, &Unit),
    pods: Option<LeaseStatus>,
) -> Status {
    let depositor =
        |(account, amount)| Depositor { account: Address(account), amount: Amount(amount) };
    let spender =
        |(account, allowance)| Spender { account: Address(account), allowance: Amount(allowance) };
    Status {
        lease: lease.id,
        deployment: lease.deployment,
        name,
        state: state_text(&lease.state),
        settles_at: match lease.state {
            LeaseState::Closing { until, .. } => Some(until),
            _ => None,
        },
        version: lease.version,
        manifest_hash: format!("0x{}", hex::encode(lease.manifest_hash)),
        provider: Address(lease.provider),
        replicas: lease.replicas,
        asset: unit.symbol(),
        price_per_hour: lease.cost_per_second().and_then(|cost| cost.checked_mul(3600)).map(Amount),
        spend_rate_max: Amount(lease.spend_rate_max),
        escrow: Amount(lease.escrow),
        paid: Amount(lease.earned()),
        depositors: money.parts.into_iter().map(depositor).collect(),
        spenders: money.spenders.into_iter().map(spender).collect(),
        open: Amount(lease.open.iter().map(|period| period.amount).fold(0, u128::saturating_add)),
        contested: Amount(lease.contested),
        seconds_left: lease.seconds_left(),
        low_funds: lease.low_funds(),
        reclaim_at: lease.reclaim_at,
        terms: TermsInfo::of(&lease.terms),
        opened_at: lease.opened_at,
        attestation: replicas(lease, now),
        pods,
    }
}

fn human(lease: &LeaseView, now: UnixSeconds, status: &Status, unit: &Unit) -> String {
    let unknown = || "-".to_owned();
    let mut lines = vec![
        ("lease", status.lease.to_string()),
        ("name", status.name.clone().unwrap_or_else(unknown)),
        ("state", status.state.to_owned()),
        ("version", status.version.to_string()),
        ("provider", status.provider.to_string()),
        ("each replica", resources_text(&lease.resources)),
        ("per hour", status.price_per_hour.map_or_else(unknown, |a| unit.text(a.0))),
        ("escrow", unit.text(status.escrow.0)),
        ("paid", unit.text(status.paid.0)),
        ("money lasts", status.seconds_left.map_or_else(unknown, duration_text)),
    ];
    if status.open.0 > 0 {
        lines.push(("not final", unit.text(status.open.0)));
    }
    if status.contested.0 > 0 {
        lines.push(("contested", unit.text(status.contested.0)));
    }
    if let Some(at) = status.reclaim_at {
        lines.push(("provider leaves", in_time(at, now)));
    }
    for Depositor { account, amount } in &status.depositors {
        lines.push(("money of", format!("{account}: {}", unit.text(amount.0))));
    }
    for Spender { account, allowance } in &status.spenders {
        let text = format!("{account}: up to {}", unit.text(allowance.0));
        lines.push(("may put in", text));
    }
    for replica in &status.attestation {
        let standing = replica.standing_text(now);
        let text = match replica.tee_text().as_str() {
            "-" => standing,
            tee => format!("{tee}, {standing}"),
        };
        lines.push(("attested", format!("replica {}: {text}", replica.replica)));
    }
    let Some(pods) = &status.pods else { return fields(&lines) };
    for address in &pods.addresses {
        lines.push(("address", printable(&address.address)));
    }
    for agent in pods.pods.iter().filter_map(|pod| pod.agent.as_ref()) {
        let text = format!("{} at {}", agent.server_name, agent.address);
        lines.push(("agent", printable(&text)));
    }
    for problem in &pods.problems {
        lines.push(("problem", printable(problem)));
    }
    let rows: Vec<Vec<String>> = pods.pods.iter().map(pod_row).collect();
    let heading = ["POD", "PHASE", "READY", "RESTARTS", "RECORDS", "CLAIMED", "REASON"];
    format!("{}\n{}", fields(&lines), table(&heading, &rows))
}

fn pod_row(pod: &PodInfo) -> Vec<String> {
    let phase = match pod.phase {
        PodPhaseInfo::Starting => "starting",
        PodPhaseInfo::Running => "running",
        PodPhaseInfo::Failed => "failed",
        _ => "unknown",
    };
    let restarts: u64 = pod.containers.iter().map(|c| u64::from(c.restarts)).sum();
    let usage = |f: fn(&casemate_client::api::UsageInfo) -> u64| {
        pod.usage.as_ref().map_or_else(|| "-".to_owned(), |u| f(u).to_string())
    };
    vec![
        printable(&pod.pod),
        phase.to_owned(),
        if pod.ready { "yes" } else { "no" }.to_owned(),
        restarts.to_string(),
        usage(|u| u.sequence),
        usage(|u| u.claimed_sequence),
        pod.reason.as_deref().map(printable).unwrap_or_default(),
    ]
}
