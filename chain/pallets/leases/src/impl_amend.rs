//! Prices that both sides change.

use crate::*;
use casemate_primitives::{Amendment, DeploymentKind};
use frame_support::ensure;
use pallet_attestation::genesis_hash;
use sp_runtime::{traits::Verify, AccountId32, MultiSignature};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_amend(
        who: AccountId32,
        amendment: Amendment,
        signature: MultiSignature,
    ) -> DispatchResult {
        let now = Self::now();
        let id = amendment.lease;
        Self::try_mutate_open(id, |lease| {
            ensure!(lease.publisher == who, Error::<T>::NotPublisher);
            ensure!(now <= amendment.expires_at, Error::<T>::QuoteExpired);
            let longest = now.saturating_add(T::QuoteSecondsMax::get());
            ensure!(amendment.expires_at <= longest, Error::<T>::QuoteTooLong);
            let had = lease.before.map_or(0, |before| before.number);
            // So it holds once, and never out of its order.
            ensure!(had.checked_add(1) == Some(amendment.number), Error::<T>::AmendmentOutdated);
            ensure!(amendment.replaces == lease.terms.prices, Error::<T>::AmendmentOutdated);
            let payload = amendment.signing_payload(&genesis_hash::<T>());
            ensure!(signature.verify(&payload[..], &lease.provider), Error::<T>::QuoteSignature);
            if let Some(before) = &lease.before {
                // Only one change is remembered: what came before the last one has to be claimed. A first
                // agent may still be paid from before its evidence.
                let earliest = now.saturating_sub(T::BackpaySecondsMax::get());
                let earliest = earliest.max(lease.opened_at);
                // The agent of a task's run is paid once.
                let is_task = lease.kind == DeploymentKind::Task;
                let may_be_paid = |agent: &Agent| !is_task || agent.sequence == 0;
                let is_claimed = (0..lease.replicas)
                    .map(|replica| Agents::<T>::get(id, replica).filter(may_be_paid))
                    .map(|agent| agent.map_or(earliest, |agent| agent.claimed_to))
                    .all(|claimed_to| claimed_to >= before.until);
                ensure!(is_claimed, Error::<T>::ClaimFirst);
            }
            lease.before = Some(PricesBefore {
                number: amendment.number,
                until: now,
                prices: lease.terms.prices,
                second_min: lease.terms.second_min,
            });
            lease.terms.prices = amendment.prices;
            lease.terms.second_min = amendment.second_min;
            let price = lease.price_per_second().ok_or(Error::<T>::Overflow)?;
            ensure!(lease.spend_rate_max >= price, Error::<T>::SpendRateTooLow);
            lease.warned = lease.warnings_due();
            Ok(())
        })?;
        Self::deposit_event(Event::Amended { lease: id, prices: amendment.prices });
        Ok(())
    }
}
