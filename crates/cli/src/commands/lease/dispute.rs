//! `casemate lease show`, `contest`, `expire-contest`, `misconduct` and `evict`

use casemate_client::chain::{ComplaintView, LeaseDetails, LeaseStage};
use casemate_primitives::{Balance, EndReason, UnixSeconds};
use serde::Serialize;

use super::{complain::ComplaintInfo, find, notes, terms::TermsInfo};
use crate::{
    address::Address,
    amount::Amount,
    chain_ops::Chain,
    cli::{MisconductArgs, OfLeaseArgs},
    commands::{offers::duration_text, secret::unix_now},
    context::Context,
    failure::{Failure, OrFail as _, fail},
    kept_records::{evidence_beside, read_evidence},
    manifest_file::resources_text,
    printer::fields,
};

/// A lease of anybody's by its number, also when it is settled; or an own one by its name.
pub(crate) async fn any_lease(
    context: &Context,
    chain: &Chain,
    lease: &str,
) -> anyhow::Result<LeaseDetails> {
    let id = match lease.parse() {
        Ok(id) => id,
        Err(_) => find(context, chain, context.own_address()?, Some(lease)).await?.id,
    };
    chain.details(id).await?.or_fail(|| {
        Failure::new(format!("there is no lease {id}, or the chain has forgotten it"))
            .hint("see which you have: casemate list")
    })
}

/// A lease as the chain has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    lease: casemate_primitives::LeaseId,
    state: &'static str,
    end_reason: Option<EndReason>,
    publisher: Address,
    provider: Address,
    replicas: u16,
    price_per_second: Option<Amount>,
    terms: TermsInfo,
    /// Prices were changed at this second; what was used before costs what it did.
    prices_changed_at: Option<u64>,
    spend_rate_max: Amount,
    treasury_share: f64,
    escrow: Amount,
    /// Claims that can be contested.
    open: Amount,
    /// When none of them can be any more.
    final_at: Option<u64>,
    contested: Option<ContestInfo>,
    due: Amount,
    paid: Amount,
    opened_at: u64,
    claimed_at: u64,
    exhausted_at: Option<u64>,
    reclaim_at: Option<u64>,
    evictable_at: Option<u64>,
    settles_at: Option<u64>,
    complaints: Vec<ComplaintInfo>,
}

#[derive(Clone, Copy, Serialize)]
struct ContestInfo {
    amount: Amount,
    deposit: Amount,
    until: u64,
}

pub(crate) async fn show(context: &Context, args: &OfLeaseArgs) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let complaints = chain.complaints_about(details.id).await?;
    let now = chain.time().await?;
    let shown = shown(&details, &complaints, now);
    context.printer.data(&shown, || human(&details, &shown, now))
}

fn shown(details: &LeaseDetails, complaints: &[ComplaintView], now: UnixSeconds) -> Shown {
    let (state, end_reason, settles_at) = match details.stage {
        LeaseStage::Pending => ("pending", None, None),
        LeaseStage::Active => ("active", None, None),
        LeaseStage::Closing { until, reason, .. } => ("closing", Some(reason), Some(until)),
        LeaseStage::Ended { reason, .. } => ("ended", Some(reason), None),
    };
    let open = details.open_at(now);
    let all_open = details.open.iter().map(|period| period.amount);
    let matured = all_open.fold(0, Balance::saturating_add).saturating_sub(open);
    Shown {
        lease: details.id,
        state,
        end_reason,
        publisher: Address(details.publisher),
        provider: Address(details.provider),
        replicas: details.replicas,
        price_per_second: per_second(details).map(Amount),
        terms: TermsInfo::of(&details.terms),
        prices_changed_at: details.before.map(|before| before.until),
        spend_rate_max: Amount(details.spend_rate_max),
        treasury_share: f64::from(details.treasury_share) / 1_000_000.0,
        escrow: Amount(details.escrow),
        open: Amount(open),
        final_at: details.final_at(now),
        contested: details.contest.map(|contest| ContestInfo {
            amount: Amount(contest.amount),
            deposit: Amount(contest.deposit),
            until: contest.until,
        }),
        due: Amount(details.final_due.saturating_add(matured)),
        paid: Amount(details.paid),
        opened_at: details.opened_at,
        claimed_at: details.claimed_at,
        exhausted_at: details.exhausted_at,
        reclaim_at: details.reclaim_at,
        evictable_at: details.evictable_at(),
        settles_at,
        complaints: complaints.iter().map(ComplaintInfo::of).collect(),
    }
}

/// What all replicas cost each second.
pub(super) fn per_second(details: &LeaseDetails) -> Option<Balance> {
    let LeaseDetails { terms, resources, replicas, .. } = details;
    casemate_client::api::cost_per_second(terms, resources, *replicas)
}

fn human(details: &LeaseDetails, shown: &Shown, now: UnixSeconds) -> String {
    let hour = per_second(details).and_then(|second| second.checked_mul(3_600)).map(Amount);
    let mut lines = vec![
        ("lease", shown.lease.to_string()),
        (
            "state",
            match shown.end_reason {
                Some(reason) => format!("{}, {}", shown.state, reason_text(reason)),
                None => shown.state.to_owned(),
            },
        ),
        ("publisher", shown.publisher.to_string()),
        ("provider", shown.provider.to_string()),
        ("size", format!("{} × {}", shown.replicas, resources_text(&details.resources))),
        ("per hour", hour.map_or_else(|| "-".to_owned(), |hour| hour.to_string())),
        ("escrow", shown.escrow.to_string()),
        ("paid out", shown.paid.to_string()),
        ("due", shown.due.to_string()),
        (
            "open",
            match shown.final_at {
                Some(at) => format!(
                    "{}, the last of it final in {}",
                    shown.open,
                    duration_text(at.saturating_sub(now))
                ),
                None => shown.open.to_string(),
            },
        ),
    ];
    if let Some(contest) = shown.contested {
        let time = match contest.until.checked_sub(now) {
            Some(left) => format!("arbiters have {} left", duration_text(left)),
            None => {
                format!("the arbiters' time is over: casemate lease expire-contest {}", shown.lease)
            }
        };
        let text = format!("{} against a deposit of {}; {time}", contest.amount, contest.deposit);
        lines.push(("contested", text));
    }
    let ago = duration_text(now.saturating_sub(shown.claimed_at));
    let is_first = shown.claimed_at <= shown.opened_at;
    lines.push((
        "last proof",
        if is_first { format!("none since it was opened {ago} ago") } else { format!("{ago} ago") },
    ));
    if let Some(at) = shown.evictable_at {
        lines.push(("evictable", in_time(at, now)));
    }
    if let Some(at) = shown.reclaim_at {
        lines.push(("provider leaves", in_time(at, now)));
    }
    if let Some(at) = shown.settles_at {
        lines.push(("settles", in_time(at, now)));
    }
    lines.extend(shown.terms.lines());
    for complaint in &shown.complaints {
        lines.push(("complaint", complaint.text(now)));
    }
    fields(&lines)
}

/// `in 3m`, or `now`.
pub(super) fn in_time(at: UnixSeconds, now: UnixSeconds) -> String {
    match at.saturating_sub(now) {
        0 => "now".to_owned(),
        left => format!("in {}", duration_text(left)),
    }
}

pub(super) fn reason_text(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Stopped => "stopped by its publisher",
        EndReason::Reclaimed => "taken back by its provider after notice",
        EndReason::NeverStarted => "never started",
        EndReason::OutOfFunds => "out of money",
        EndReason::ProviderSilent => "its provider was silent",
        EndReason::Misconduct => "misconduct",
        EndReason::AppEnded => "all apps ended by themselves",
    }
}

pub(crate) async fn contest(context: &Context, args: &OfLeaseArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let now = chain.time().await?;
    check_contest(&details, signer.address, now)?;
    let amount = details.open_at(now);
    let deposit = chain.contest_rules().await?.deposit(amount);
    let lease = details.id;
    let block = chain.contest(&signer, lease, deposit).await?;
    // Claims may have come or become final in between.
    let contest = chain.details(lease).await?.and_then(|details| details.contest);
    let contest = contest.or_fail(|| {
        Failure::new(format!("the contest in block {block} is decided already"))
            .hint(format!("look: casemate lease show {lease}"))
    })?;
    context.printer.note(format!(
        "Arbiters have {} to decide; without a decision the claims stand. The chain tells them no \
         reason: show them your records (casemate lease records {lease}) and logs (casemate logs \
         {lease} --verify)",
        duration_text(contest.until.saturating_sub(now)),
    ));
    let info = ContestInfo {
        amount: Amount(contest.amount),
        deposit: Amount(contest.deposit),
        until: contest.until,
    };
    let value = serde_json::json!({ "lease": lease, "contested": info, "block": block });
    context.printer.data(&value, || {
        fields(&[
            ("lease", lease.to_string()),
            ("contested", info.amount.to_string()),
            ("deposit", info.deposit.to_string()),
            ("block", block.clone()),
        ])
    })
}

/// What is known before anything is paid for.
fn check_contest(details: &LeaseDetails, own: Address, now: UnixSeconds) -> anyhow::Result<()> {
    let lease = details.id;
    if details.publisher != own.0 {
        return fail(
            Failure::new(format!(
                "lease {lease} belongs to {}, not to {own}: only its publisher may contest",
                Address(details.publisher)
            ))
            .hint("choose its key with --account NAME"),
        );
    }
    if details.contest.is_some() {
        return fail(
            Failure::new(format!("claims of lease {lease} are contested already"))
                .hint(format!("wait for the decision: casemate lease show {lease}")),
        );
    }
    if details.open_at(now) == 0 {
        let why = match details.terms.dispute_seconds {
            0 => "its claims are final at once, as was agreed".to_owned(),
            agreed => format!(
                "none was made in the last one to two times {}, as was agreed",
                duration_text(u64::from(agreed))
            ),
        };
        return fail(
            Failure::new(format!("no claim of lease {lease} can be contested: {why}"))
                .hint(format!("a complaint is always possible: casemate lease complain {lease}")),
        );
    }
    Ok(())
}

pub(crate) async fn expire_contest(context: &Context, args: &OfLeaseArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let (lease, now) = (details.id, late_now(&chain).await?);
    let contest = details.contest.or_fail(|| {
        Failure::new(format!("nothing of lease {lease} is contested"))
            .hint(format!("look: casemate lease show {lease}"))
    })?;
    if now <= contest.until {
        let left = duration_text((contest.until - now).saturating_add(1));
        return fail(
            Failure::new(format!("the arbiters of lease {lease} have time left"))
                .hint(format!("do this again in {left}")),
        );
    }
    let block = chain.expire_contest(&signer, lease).await?;
    context.printer.note("The claims stand, and the deposit is the provider's");
    done(context, lease, "final", Amount(contest.amount), &block)
}

pub(crate) async fn misconduct(context: &Context, args: &MisconductArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let lease = details.id;
    let file = match &args.evidence {
        Some(file) => file.clone(),
        None => {
            let mut found = evidence_beside(&notes(context, &chain).records(lease));
            if found.len() > 1 {
                let names: Vec<_> = found.iter().map(|path| path.display().to_string()).collect();
                return fail(
                    Failure::usage(format!(
                        "there are several contradictions: {}",
                        names.join(", ")
                    ))
                    .hint("say which one: --evidence FILE"),
                );
            }
            found.pop().or_fail(|| {
                Failure::new(format!("no contradiction in lease {lease} is known here")).hint(
                    format!("fetch its records, which finds one: casemate lease records {lease}"),
                )
            })?
        }
    };
    let [first, second] = read_evidence(&file, &chain.genesis_hash(), lease)?;
    let (refunded, block) = chain.prove_misconduct(&signer, [&first, &second]).await?;
    context.printer.note(format!("Lease {lease} has ended for misconduct"));
    done(context, lease, "refunded", Amount(refunded), &block)
}

pub(crate) async fn evict(context: &Context, args: &OfLeaseArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let now = late_now(&chain).await?;
    check_evict(&details, now)?;
    let lease = details.id;
    let evicted = chain.evict(&signer, &details).await?;
    let settles_at = match chain.details(lease).await?.map(|details| details.stage) {
        Some(LeaseStage::Closing { until, .. }) => Some(until),
        _ => None,
    };
    let rest = match settles_at {
        Some(at) => format!("the unspent rest goes back {}", in_time(at, now)),
        None => match evicted.refunded {
            Some(refunded) => format!("the unspent {} went back", Amount(refunded)),
            None => "the unspent rest went back".to_owned(),
        },
    };
    context.printer.note(format!(
        "The provider's stake pays {}, {} of it to the publisher; {rest}",
        Amount(evicted.slashed),
        Amount(evicted.rewarded)
    ));
    let (slashed, rewarded) = (Amount(evicted.slashed), Amount(evicted.rewarded));
    let value = serde_json::json!({
        "lease": lease, "slashed": slashed, "rewarded": rewarded,
        "refunded": evicted.refunded.map(Amount), "settlesAt": settles_at,
        "block": evicted.block,
    });
    context.printer.data(&value, || {
        fields(&[
            ("lease", lease.to_string()),
            ("slashed", slashed.to_string()),
            ("to publisher", rewarded.to_string()),
            ("block", evicted.block.clone()),
        ])
    })
}

/// The later one of the chain's clock and this machine's: a chain that makes blocks on demand stands
/// still, and what comes too early the chain refuses by itself.
async fn late_now(chain: &Chain) -> anyhow::Result<UnixSeconds> {
    Ok(chain.time().await?.max(unix_now()))
}

fn check_evict(details: &LeaseDetails, now: UnixSeconds) -> anyhow::Result<()> {
    let lease = details.id;
    let look = format!("look: casemate lease show {lease}");
    if matches!(details.stage, LeaseStage::Closing { .. } | LeaseStage::Ended { .. }) {
        return fail(Failure::new(format!("lease {lease} has ended already")).hint(look));
    }
    let Some(at) = details.evictable_at() else {
        return fail(
            Failure::new(format!("lease {lease} names no time after which silence ends it"))
                .hint(format!("its publisher can end it at any time: casemate stop {lease}")),
        );
    };
    if now < at {
        return fail(
            Failure::new(format!(
                "the provider of lease {lease} proved work {} ago, and may be silent for {}",
                duration_text(now.saturating_sub(details.claimed_at)),
                duration_text(u64::from(details.terms.silence_seconds)),
            ))
            .hint(format!("if it stays silent, do this again in {}", duration_text(at - now))),
        );
    }
    Ok(())
}

fn done(
    context: &Context,
    lease: casemate_primitives::LeaseId,
    what: &'static str,
    amount: Amount,
    block: &str,
) -> anyhow::Result<()> {
    let value = serde_json::json!({ "lease": lease, what: amount, "block": block });
    context.printer.data(&value, || {
        fields(&[
            ("lease", lease.to_string()),
            (what, amount.to_string()),
            ("block", block.to_owned()),
        ])
    })
}

#[cfg(test)]
mod tests;
