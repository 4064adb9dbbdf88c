//! `casemate provider notice` and `casemate provider amend`

use std::path::PathBuf;

use casemate_client::chain::{LeaseDetails, LeaseStage};

use crate::{
    address::Address,
    amount::Amount,
    chain_ops::Chain,
    cli::ProviderAmendArgs,
    commands::{
        lease::{
            amend::{SignedAmendment, propose},
            dispute::any_lease,
        },
        offers::duration_text,
    },
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::fields,
};

/// Longest time for which the chain takes a signature.
const VALID_SECONDS_MAX: u64 = 3_600;

pub(super) async fn notice(context: &Context, lease: &str) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = own_lease(context, &chain, signer.address, lease).await?;
    let lease = details.id;
    let now = chain.time().await?;
    if let Some(at) = details.reclaim_at {
        return fail(Failure::new(format!("notice was given for lease {lease} already")).hint(
            format!(
                "it can be closed in {}; the daemon does it",
                duration_text(at.saturating_sub(now))
            ),
        ));
    }
    let block = chain.give_notice(&signer, lease).await?;
    let at = chain.details(lease).await?.and_then(|details| details.reclaim_at);
    let agreed = u64::from(details.terms.reclaim_seconds);
    let at = at.unwrap_or_else(|| now.saturating_add(agreed));
    context.printer.note(format!(
        "You may close lease {lease} in {}; your daemon does it then, if it runs",
        duration_text(at.saturating_sub(now))
    ));
    let value = serde_json::json!({ "lease": lease, "reclaimAt": at, "block": block });
    context.printer.data(&value, || {
        fields(&[
            ("lease", lease.to_string()),
            ("closes in", duration_text(at.saturating_sub(now))),
            ("block", block.clone()),
        ])
    })
}

pub(super) async fn amend(context: &Context, args: &ProviderAmendArgs) -> anyhow::Result<()> {
    if args.valid_for == 0 || args.valid_for > VALID_SECONDS_MAX {
        return fail(
            Failure::usage(format!("{} seconds are not from 1 to an hour", args.valid_for))
                .hint("the chain takes no signature that is good for longer than 3600 seconds"),
        );
    }
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = own_lease(context, &chain, signer.address, &args.lease).await?;
    let lease = details.id;
    let expires_at = chain.time().await?.saturating_add(args.valid_for);
    let unit = chain.unit(details.terms.asset).await?;
    let amendment = propose(&details, &args.prices, &unit, expires_at)?;
    let terms = casemate_primitives::LeaseTerms {
        prices: amendment.prices,
        second_min: amendment.second_min,
        ..details.terms
    };
    let per_second = terms.per_second(&details.resources, details.replicas);
    let per_second = per_second.or_fail(|| {
        Failure::usage("the new prices come to more money than there is").hint("ask for less")
    })?;
    let genesis_hash = chain.genesis_hash();
    let signature = signer.keypair.sign(&amendment.signing_payload(&genesis_hash)).0;
    let path = args.to.clone();
    let path = path.unwrap_or_else(|| PathBuf::from(format!("lease-{lease}.amendment.json")));
    SignedAmendment::new(genesis_hash, &amendment, signature).write(&path)?;
    let shown = path.display().to_string();
    context.printer.note(format!(
        "Send `{shown}` to {}, who accepts it within {}: casemate lease amend {lease} --signed FILE",
        Address(details.publisher),
        duration_text(args.valid_for)
    ));
    let value = serde_json::json!({
        "lease": lease, "file": shown, "asset": unit.symbol(),
        "pricePerSecond": Amount(per_second), "expiresAt": expires_at,
    });
    context.printer.data(&value, || {
        fields(&[
            ("lease", lease.to_string()),
            ("per second", unit.text(per_second)),
            ("file", shown.clone()),
        ])
    })
}

/// A live lease of which this account is the provider.
async fn own_lease(
    context: &Context,
    chain: &Chain,
    own: Address,
    lease: &str,
) -> anyhow::Result<LeaseDetails> {
    let details = any_lease(context, chain, lease).await?;
    let id = details.id;
    if details.provider != own.0 {
        return fail(
            Failure::new(format!(
                "lease {id} is run by {}, not by {own}",
                Address(details.provider)
            ))
            .hint("choose the provider's key with --account NAME"),
        );
    }
    if matches!(details.stage, LeaseStage::Closing { .. } | LeaseStage::Ended { .. }) {
        return fail(
            Failure::new(format!("lease {id} has ended already"))
                .hint(format!("look: casemate lease show {id}")),
        );
    }
    Ok(details)
}
