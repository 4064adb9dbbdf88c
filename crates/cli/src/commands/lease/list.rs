//! `casemate list`

use casemate_client::chain::LowFunds;
use casemate_primitives::LeaseId;
use serde::Serialize;

use super::{dispute::in_time, notes, state_text, warn_low_funds};
use crate::{
    address::Address, amount::Amount, asset::Unit, chain_ops::Chain,
    commands::offers::duration_text, context::Context, printer::table,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeaseInfo {
    lease: LeaseId,
    name: Option<String>,
    state: &'static str,
    version: u32,
    replicas: u16,
    provider: Address,
    asset: String,
    price_per_hour: Option<Amount>,
    escrow: Amount,
    paid: Amount,
    seconds_left: Option<u64>,
    /// Where the money is below an agreed level of warning.
    low_funds: Option<LowFunds>,
    /// When the provider takes its machine back, if it has given notice.
    reclaim_at: Option<u64>,
    #[serde(skip)]
    unit: Unit,
}

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    let publisher = context.own_address()?;
    let chain = Chain::connect(context).await?;
    let notes = notes(context, &chain);
    let views = chain.leases_of(publisher).await?;
    let now = chain.time().await?;
    for lease in &views {
        warn_low_funds(context, lease);
        if let Some(at) = lease.reclaim_at {
            context.printer.warn(format!(
                "the provider of lease {} takes its machine back {}; deploy elsewhere in time",
                lease.id,
                in_time(at, now)
            ));
        }
    }
    let list = chain.assets().await?;
    let leases: Vec<LeaseInfo> = views
        .iter()
        .map(|lease| (lease, Unit::of(lease.terms.asset, &list)))
        .map(|(lease, unit)| LeaseInfo {
            lease: lease.id,
            name: notes.name(lease.id),
            state: state_text(&lease.state),
            version: lease.version,
            replicas: lease.replicas,
            provider: Address(lease.provider),
            asset: unit.symbol(),
            price_per_hour: lease
                .cost_per_second()
                .and_then(|cost| cost.checked_mul(3600))
                .map(Amount),
            escrow: Amount(lease.escrow),
            paid: Amount(lease.earned()),
            seconds_left: lease.seconds_left(),
            low_funds: lease.low_funds(),
            reclaim_at: lease.reclaim_at,
            unit,
        })
        .collect();
    if leases.is_empty() {
        context.printer.note(format!("{publisher} has no lease. Make one: casemate deploy"));
    }
    context.printer.data(&leases, || {
        if leases.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<String>> = leases
            .iter()
            .map(|lease| {
                vec![
                    lease.lease.to_string(),
                    lease.name.clone().unwrap_or_else(|| "-".to_owned()),
                    lease.state.to_owned(),
                    lease.version.to_string(),
                    lease.replicas.to_string(),
                    lease.unit.text(lease.escrow.0),
                    lease.unit.text(lease.paid.0),
                    lease.seconds_left.map_or_else(|| "-".to_owned(), duration_text),
                ]
            })
            .collect();
        let heading =
            ["LEASE", "NAME", "STATE", "VERSION", "REPLICAS", "ESCROW", "PAID", "MONEY LASTS"];
        table(&heading, &rows)
    })
}
