//! Whether the daemon signs new prices that a publisher proposes.
//!
//! It never signs what is below its own price list; an operator who wants that signs by hand
//! (`casemate provider amend`).

use casemate_client::{
    api::{Refusal, RefusalCode},
    chain::{LeaseState, LeaseView},
};
use casemate_primitives::{Amendment, Balance, LeaseTerms, Prices, UnixSeconds};

use crate::{config::PricingConfig, quotes::refusal};

/// Checks what the publisher of `lease` proposes against the price list.
///
/// # Errors
/// Says what stands against it, and what to do.
pub fn check(
    amendment: &Amendment,
    lease: &LeaseView,
    pricing: &PricingConfig,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    if amendment.lease != lease.id {
        let text = format!("the proposal is for lease {}, not {}", amendment.lease, lease.id);
        return Err(refusal(RefusalCode::BadRequest, text, "ask under the lease's own number"));
    }
    if matches!(lease.state, LeaseState::Closing { .. }) {
        let text = format!("lease {} is closing", lease.id);
        return Err(refusal(RefusalCode::DoesNotFitLease, text, "deploy anew"));
    }
    let next = lease.amendments.saturating_add(1);
    if (amendment.number, amendment.replaces) != (next, lease.terms.prices) {
        let text =
            format!("lease {} has other prices than those that are to be replaced", lease.id);
        let hint = "read the lease's prices again; a change shows when its block is final";
        return Err(refusal(RefusalCode::DoesNotFitLease, text, hint));
    }
    let list = pricing.prices_in(lease.terms.asset).ok_or_else(|| {
        let text =
            format!("lease {} is paid in an asset that has no price list any more", lease.id);
        let hint = "ask the provider's operator, who can sign by hand";
        refusal(RefusalCode::AgainstRules, text, hint)
    })?;
    let latest = now.saturating_add(pricing.quote_ttl.as_secs());
    if amendment.expires_at <= now || amendment.expires_at > latest {
        return Err(refusal(
            RefusalCode::BadRequest,
            "the proposal's expiry has passed or is too far ahead".into(),
            &format!("let it expire at most {} from now", pricing.quote_ttl),
        ));
    }
    if let Some((what, proposed, list)) = below(amendment, &list) {
        return Err(refusal(
            RefusalCode::AgainstRules,
            format!("{proposed} smallest units for {what} are below the list price of {list}"),
            "propose at least the list price, or ask the provider's operator, who can sign less by hand",
        ));
    }
    let terms =
        LeaseTerms { prices: amendment.prices, second_min: amendment.second_min, ..lease.terms };
    if terms.per_second(&lease.resources, lease.replicas).is_none() {
        let text = "what it would cost is beyond all numbers".into();
        return Err(refusal(RefusalCode::BadRequest, text, "propose less"));
    }
    Ok(())
}

/// The first price that is below the list: what for, the proposed one, the list's.
fn below(
    amendment: &Amendment,
    (list, second_min): &(Prices, Balance),
) -> Option<(&'static str, Balance, Balance)> {
    let of = |what, price: fn(&Prices) -> Balance| (what, price(&amendment.prices), price(list));
    [
        of("a millicore and second", |p| p.cpu_millicore_second),
        of("a MiB of memory and second", |p| p.memory_mib_second),
        of("a MiB of disk and second", |p| p.storage_mib_second),
        of("a GPU and second", |p| p.gpu_second),
        of("a MiB sent", |p| p.egress_mib),
        of("a MiB received", |p| p.ingress_mib),
        ("a running second", amendment.second_min, *second_min),
    ]
    .into_iter()
    .find(|(_, proposed, list)| proposed < list)
}

#[cfg(test)]
mod tests;
