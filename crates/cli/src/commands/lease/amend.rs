//! `casemate lease amend`, and what `casemate provider amend` hands over for it

use std::{fs, path::Path};

use casemate_client::{
    api::{Hex, PricesInfo},
    chain::{LeaseDetails, LeaseStage},
    provider::is_signed_amendment,
};
use casemate_primitives::{Amendment, Balance, Hash256, LeaseId, LeaseTerms, UnixSeconds};
use codec::{DecodeAll as _, Encode as _};
use serde::{Deserialize, Serialize};

use super::{
    dispute::{any_lease, per_second},
    provider_of,
};
use crate::{
    address::Address,
    amount::Amount,
    asset::Unit,
    chain_ops::Chain,
    cli::{AmendArgs, PriceArgs},
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::fields,
    state::replace,
};

/// How long a proposal holds: the provider signs nothing that is good for longer than its quotes, and
/// the transaction takes seconds.
const PROPOSAL_SECONDS: u64 = 60;

/// New prices that a provider's operator has signed. What is readable in it is for people.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SignedAmendment {
    chain: Hex<[u8; 32]>,
    lease: LeaseId,
    prices: PricesInfo,
    expires_at: UnixSeconds,
    /// SCALE encoding: this is what counts.
    amendment: Hex<Vec<u8>>,
    signature: Hex<[u8; 64]>,
}

impl SignedAmendment {
    pub(crate) fn new(genesis_hash: Hash256, amendment: &Amendment, signature: [u8; 64]) -> Self {
        Self {
            chain: Hex(genesis_hash),
            lease: amendment.lease,
            prices: amendment.prices.into(),
            expires_at: amendment.expires_at,
            amendment: Hex(amendment.encode()),
            signature: Hex(signature),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        replace(path, &bytes).or_fail(|| Failure::new(format!("cannot write `{}`", path.display())))
    }

    /// Reads what the provider of this lease has signed.
    fn read(
        path: &Path,
        genesis_hash: &Hash256,
        details: &LeaseDetails,
    ) -> anyhow::Result<(Amendment, [u8; 64])> {
        let shown = path.display();
        let wrong = |why: &str| {
            Failure::new(format!("`{shown}` can't be used: {why}")).hint(format!(
                "ask the provider's operator for another: casemate provider amend {}",
                details.id
            ))
        };
        let text = fs::read(path).or_fail(|| Failure::usage(format!("cannot read `{shown}`")))?;
        let signed: Self =
            serde_json::from_slice(&text).or_fail(|| wrong("it is no signed change of prices"))?;
        if signed.chain.0 != *genesis_hash {
            return fail(wrong("it is for another chain"));
        }
        let amendment = Amendment::decode_all(&mut signed.amendment.0.as_slice())
            .ok()
            .or_fail(|| wrong("it is no signed change of prices"))?;
        if amendment.lease != details.id {
            return fail(wrong("it is for another lease"));
        }
        let (signature, provider) = (signed.signature.0, details.provider);
        if !is_signed_amendment(&amendment, &signature, &provider, genesis_hash) {
            return fail(wrong("the lease's provider has not signed it"));
        }
        Ok((amendment, signature))
    }
}

pub(crate) async fn run(context: &Context, args: &AmendArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let lease = details.id;
    if details.publisher != signer.address.0 {
        return fail(
            Failure::new(format!(
                "lease {lease} belongs to {}, not to {}",
                Address(details.publisher),
                signer.address
            ))
            .hint("choose its key with --account NAME"),
        );
    }
    let now = chain.time().await?;
    let signed = args.signed.as_deref();
    let signed = signed.map(|file| SignedAmendment::read(file, &chain.genesis_hash(), &details));
    let signed = signed.transpose()?;
    let unit = chain.unit(details.terms.asset).await?;
    let amendment = match &signed {
        Some((amendment, _)) => *amendment,
        None => propose(&details, &args.prices, &unit, now.saturating_add(PROPOSAL_SECONDS))?,
    };
    let change = check(&details, &amendment, &unit, now)?;
    if args.dry_run {
        return show(context, (&details, &unit), &amendment, change, None);
    }
    let signature = match signed {
        Some((_, signature)) => signature,
        None => {
            let provider = Address(details.provider);
            let client = provider_of(context, &chain, &signer, provider).await?;
            client
                .amend(&amendment)
                .await
                .or_fail(|| Failure::new(format!("the prices of lease {lease} were not changed")))?
        }
    };
    let block = chain.amend(&signer, amendment, signature).await?;
    context.printer.note(format!(
        "Lease {lease} has new prices from now on; what was used before costs what it did"
    ));
    show(context, (&details, &unit), &amendment, change, Some(block))
}

/// New prices for a lease as it stands.
pub(crate) fn propose(
    details: &LeaseDetails,
    prices: &PriceArgs,
    unit: &Unit,
    expires_at: UnixSeconds,
) -> anyhow::Result<Amendment> {
    let terms = &details.terms;
    let (new, second_min) = prices.over(terms.prices, terms.second_min, unit)?;
    if (new, second_min) == (terms.prices, terms.second_min) {
        return fail(
            Failure::usage(format!("lease {} has exactly these prices", details.id))
                .hint(format!("say what changes, such as --price-cpu '{}'", unit.text(2_000))),
        );
    }
    let number = next_number(details);
    let (lease, replaces) = (details.id, terms.prices);
    Ok(Amendment { lease, number, replaces, prices: new, second_min, expires_at })
}

/// Of the next change of a lease's prices.
fn next_number(details: &LeaseDetails) -> u32 {
    details.before.map_or(0, |before| before.number).saturating_add(1)
}

/// What all replicas cost each second before and after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    before: Balance,
    after: Balance,
}

/// What the chain would refuse is told before anybody is asked.
fn check(
    details: &LeaseDetails,
    amendment: &Amendment,
    unit: &Unit,
    now: UnixSeconds,
) -> anyhow::Result<Change> {
    let lease = details.id;
    if matches!(details.stage, LeaseStage::Closing { .. } | LeaseStage::Ended { .. }) {
        return fail(
            Failure::new(format!("lease {lease} has ended"))
                .hint("open another one: casemate deploy"),
        );
    }
    if (amendment.number, amendment.replaces) != (next_number(details), details.terms.prices) {
        return fail(
            Failure::new(format!("lease {lease} has other prices than those that are replaced"))
                .hint(format!("look, and propose anew: casemate lease show {lease}")),
        );
    }
    if amendment.expires_at < now {
        return fail(
            Failure::new(format!("the new prices for lease {lease} have expired"))
                .hint(format!("ask for them again: casemate provider amend {lease}")),
        );
    }
    let overflow =
        || Failure::usage("the new prices come to more money than there is").hint("propose less");
    let before = per_second(details).or_fail(overflow)?;
    let terms =
        LeaseTerms { prices: amendment.prices, second_min: amendment.second_min, ..details.terms };
    let changed = LeaseDetails { terms, ..details.clone() };
    let after = per_second(&changed).or_fail(overflow)?;
    if after > details.spend_rate_max {
        return fail(
            Failure::new(format!(
                "lease {lease} would cost {} a second, and may spend {}",
                unit.text(after),
                unit.text(details.spend_rate_max)
            ))
            .hint(format!(
                "allow more first: casemate fund {lease} --spend-rate '{}'",
                unit.text(after.saturating_mul(2))
            )),
        );
    }
    Ok(Change { before, after })
}

fn show(
    context: &Context,
    (details, unit): (&LeaseDetails, &Unit),
    amendment: &Amendment,
    change: Change,
    block: Option<String>,
) -> anyhow::Result<()> {
    let value = serde_json::json!({
        "lease": details.id,
        "asset": unit.symbol(),
        "prices": PricesInfo::from(amendment.prices),
        "secondMin": Amount(amendment.second_min),
        "pricePerSecondBefore": Amount(change.before),
        "pricePerSecond": Amount(change.after),
        "block": block,
    });
    context.printer.data(&value, || {
        let mut lines = change_lines(details, amendment, change, unit);
        lines.extend(block.map(|block| ("block", block)));
        fields(&lines)
    })
}

fn change_lines(
    details: &LeaseDetails,
    amendment: &Amendment,
    change: Change,
    unit: &Unit,
) -> Vec<(&'static str, String)> {
    let (old, new) = (&details.terms.prices, &amendment.prices);
    let price = |before, after| match before == after {
        true => unit.text(after),
        false => format!("{}, before {}", unit.text(after), unit.text(before)),
    };
    vec![
        ("lease", details.id.to_string()),
        ("before", format!("{} a second", unit.text(change.before))),
        ("after", format!("{} a second", unit.text(change.after))),
        ("a MiB sent", price(old.egress_mib, new.egress_mib)),
        ("a MiB received", price(old.ingress_mib, new.ingress_mib)),
    ]
}

#[cfg(test)]
mod tests;
