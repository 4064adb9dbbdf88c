//! `casemate fund`, `casemate update` and `casemate stop`

use std::time::Instant;

use casemate_client::chain::{LeaseState, LeaseView};
use casemate_primitives::UnixSeconds;

use super::{POLL, find, find_any, not_own, notes, provider_of, wait_ready};
use crate::{
    address::Address,
    amount::Amount,
    asset::Unit,
    chain_ops::{Chain, Settled, Watch},
    cli::{FundArgs, StopArgs, UpdateArgs},
    commands::{
        cluster::ensure_attested,
        offers::duration_text,
        secret::{Followed, follow, name_releaser},
    },
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    manifest_file,
    printer::fields,
    state::LeaseNote,
};

pub(crate) async fn fund(context: &Context, args: &FundArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let lease = find_any(context, &chain, signer.address, &args.lease).await?;
    let unit = chain.unit(lease.terms.asset).await?;
    let amount = args.amount.as_ref().map(|amount| unit.read(amount)).transpose()?;
    let rate = args.spend_rate.as_ref().map(|rate| unit.read(rate)).transpose()?;
    let mut block = None;
    if let Some(amount) = amount {
        block = Some(match args.from_publisher {
            true => chain.fund_for(&signer, lease.id, amount).await?,
            false => chain.fund(&signer, lease.id, amount, &unit).await?,
        });
        context.printer.note(format!("{} went into lease {}", unit.text(amount), lease.id));
    }
    if let Some(rate) = rate {
        block = Some(chain.set_spend_rate(&signer, lease.id, rate).await?);
        context.printer.note(format!("Lease {} may spend {} a second", lease.id, unit.text(rate)));
    }
    let lease = chain.lease(lease.id).await?.unwrap_or(lease);
    let (escrow, rate) = (Amount(lease.escrow), Amount(lease.spend_rate_max));
    let value = serde_json::json!({
        "lease": lease.id, "amount": amount.map(Amount), "asset": unit.symbol(),
        "escrow": escrow, "spendRateMax": rate, "block": block,
    });
    context.printer.data(&value, || {
        fields(&[
            ("lease", lease.id.to_string()),
            ("escrow", unit.text(escrow.0)),
            ("spend rate", format!("{} a second", unit.text(rate.0))),
        ])
    })
}

pub(crate) async fn update(context: &Context, args: &UpdateArgs) -> anyhow::Result<()> {
    let mut manifest = manifest_file::read(&args.file)?;
    let (signer, passphrase, log_seed) = context.signer_and_log_seed()?;
    let chain = Chain::connect(context).await?;
    let log_secret = log_seed.secret(&chain.genesis_hash());
    manifest_file::seal_logs(context, &mut manifest, &log_secret, args.plain_logs)?;
    let lease = find(context, &chain, signer.address, Some(&args.lease)).await?;
    name_releaser(context, &signer, &passphrase, &mut manifest)?;
    if let LeaseState::Closing { .. } = lease.state {
        return fail(
            Failure::new(format!("lease {} is closing and runs nothing new", lease.id))
                .hint("open another one: casemate deploy"),
        );
    }
    let prepared = manifest_file::prepare(context, manifest, None).await?;
    if prepared.reference.hash == lease.manifest_hash {
        return fail(
            Failure::new(format!("lease {} runs exactly this manifest already", lease.id))
                .hint("change the manifest, or push a new image under the tag"),
        );
    }
    let provider = Address(lease.provider);
    ensure_attested(context, &chain, &prepared.manifest, false, provider).await?;
    let client = provider_of(context, &chain, &signer, provider).await?;
    // First the provider, then the chain: what is on chain can always be run.
    client.put_manifest(lease.id, &prepared.canonical).await.or_fail(|| {
        Failure::new(format!("lease {} was not changed: its provider refuses", lease.id)).hint(
            "a lease keeps its resources and replicas; for others open a new one: casemate deploy",
        )
    })?;
    let block = chain.update(&signer, lease.deployment, prepared.reference).await?;
    let version = chain.lease(lease.id).await?.map_or(lease.version + 1, |lease| lease.version);
    let note = LeaseNote {
        lease: lease.id,
        deployment: lease.deployment,
        name: prepared.manifest.metadata.name.clone(),
        manifest: prepared.canonical.clone(),
    };
    if let Err(error) = notes(context, &chain).put(&note) {
        context.printer.warn(format!("the new name could not be remembered: {error:#}"));
    }
    context.printer.note(format!("Lease {} is to run version {version}", lease.id));
    let timeout = args.timeout.duration();
    let account = (&signer, &passphrase);
    let followed = follow(context, &chain, account, lease.id, &prepared, &args.release, timeout);
    let Followed { infos, mut result } = followed.await;
    if args.wait && result.is_ok() {
        result = wait_ready(context, &client, lease.id, version, timeout).await.map(drop);
    }
    let hash = format!("0x{}", hex::encode(prepared.reference.hash));
    let value = serde_json::json!({
        "lease": lease.id,
        "version": version,
        "manifestHash": hash,
        "block": block,
        "ready": args.wait && result.is_ok(),
        "secrets": infos,
    });
    // The change is made, whatever came of the rest.
    context.printer.data(&value, || {
        fields(&[("lease", lease.id.to_string()), ("version", version.to_string()), ("hash", hash)])
    })?;
    result
}

pub(crate) async fn stop(context: &Context, args: &StopArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    // Before the lease is looked at, so that its end is not missed.
    let watch = chain.watch().await?;
    let lease = find_any(context, &chain, signer.address, &args.lease).await?;
    if lease.is_task && !matches!(lease.state, LeaseState::Closing { .. }) {
        let task = lease.deployment;
        return fail(
            Failure::usage(format!("lease {} runs task {task}", lease.id)).hint(format!(
                "stop the task: casemate task stop {task}; or move it: casemate deploy FILE --task {task}"
            )),
        );
    }
    let unit = chain.unit(lease.terms.asset).await?;
    let mut settled = None;
    let until = match lease.state {
        LeaseState::Closing { until, .. } => {
            context.printer.note(format!("Lease {} is closing already", lease.id));
            until
        }
        LeaseState::Pending | LeaseState::Active => {
            let own = signer.address.0;
            settled = if lease.publisher == own {
                chain.close(&signer, lease.id, lease.deployment).await?
            } else {
                let spenders = chain.lease_money(&lease).await?.spenders;
                if !spenders.iter().any(|(account, _)| *account == own) {
                    return not_own(&lease, signer.address);
                }
                chain.close_for(&signer, lease.id).await?
            };
            context.printer.note(format!("Lease {} is closed", lease.id));
            closing_until(&chain, &lease).await?
        }
    };
    if settled.is_none() && chain.time().await? > until {
        settled = settle(&chain, &signer, &lease).await?;
    }
    // Where the provider was faster, what came of it is among the events already.
    if settled.is_none() && (args.wait || chain.lease(lease.id).await?.is_none()) {
        context.printer.note("Waiting until the provider has brought its last claims");
        settled = Some(wait_settled(&chain, &signer, watch, &lease, until, args).await?);
    }
    if settled.is_some() {
        notes(context, &chain).remove(lease.id)?;
    } else {
        let left = until.saturating_sub(chain.time().await?);
        context.printer.note(format!(
            "The unspent money comes back in at most {}; wait for it: casemate stop {} --wait",
            duration_text(left),
            lease.id
        ));
    }
    show_stopped(context, &lease, settled, until, &unit)
}

/// When a lease that was just closed can be settled by anyone.
async fn closing_until(chain: &Chain, lease: &LeaseView) -> anyhow::Result<UnixSeconds> {
    match chain.lease(lease.id).await? {
        Some(LeaseView { state: LeaseState::Closing { until, .. }, .. }) => Ok(until),
        _ => Ok(chain.time().await?.saturating_add(u64::from(lease.terms.notice_seconds))),
    }
}

/// Waits for the provider to settle; when its time is over, does it in its place.
async fn wait_settled(
    chain: &Chain,
    signer: &Signer,
    mut watch: Watch,
    lease: &LeaseView,
    until: UnixSeconds,
    args: &StopArgs,
) -> anyhow::Result<Settled> {
    let deadline = Instant::now() + args.timeout.duration();
    loop {
        if let Ok(settled) = tokio::time::timeout(POLL, watch.settled(lease.id)).await {
            return settled;
        }
        if chain.time().await? > until
            && let Some(settled) = settle(chain, signer, lease).await?
        {
            return Ok(settled);
        }
        if Instant::now() >= deadline {
            let left = until.saturating_sub(chain.time().await?);
            return fail(
                Failure::new(format!("lease {} is closed, but not settled yet", lease.id)).hint(
                    format!(
                        "its provider has {} left; then this settles it: casemate stop {} --wait",
                        duration_text(left),
                        lease.id
                    ),
                ),
            );
        }
    }
}

/// Settles in the provider's place. The provider may be faster: that is no error.
async fn settle(
    chain: &Chain,
    signer: &Signer,
    lease: &LeaseView,
) -> anyhow::Result<Option<Settled>> {
    match chain.settle(signer, lease.id).await {
        Ok(settled) => Ok(settled),
        Err(_) if chain.lease(lease.id).await?.is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

fn show_stopped(
    context: &Context,
    lease: &LeaseView,
    settled: Option<Settled>,
    until: UnixSeconds,
    unit: &Unit,
) -> anyhow::Result<()> {
    let state = if settled.is_some() { "settled" } else { "closing" };
    let (paid, refunded) = (settled.map(|s| Amount(s.paid)), settled.map(|s| Amount(s.refunded)));
    let value = serde_json::json!({
        "lease": lease.id, "state": state, "asset": unit.symbol(),
        "paid": paid, "refunded": refunded,
        "settlesAt": if settled.is_some() { None } else { Some(until) },
    });
    context.printer.data(&value, || {
        let mut lines = vec![("lease", lease.id.to_string()), ("state", state.to_owned())];
        lines.extend(paid.map(|amount| ("paid", unit.text(amount.0))));
        lines.extend(refunded.map(|amount| ("refunded", unit.text(amount.0))));
        fields(&lines)
    })
}
