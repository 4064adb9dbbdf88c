//! From a signed quote to a lease: open, fund, spend rate.

use crate::*;
use casemate_primitives::{Asset, Balance, DeploymentId, LeaseId, Quote, QuoteNonce, REPLICAS_MAX};
use frame_support::{
    ensure,
    traits::{
        fungibles::{hold::Mutate, Inspect},
        tokens::{DepositConsequence, Provenance},
        UnixTime,
    },
};
use pallet_attestation::genesis_hash;
use pallet_deployments::DeploymentRegistry;
use pallet_money::AdmittedAssets;
use pallet_providers::ProviderRegistry;
use sp_runtime::{traits::Verify, AccountId32, MultiSignature};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_open(
        publisher: AccountId32,
        deployment: DeploymentId,
        quote: Quote,
        signature: MultiSignature,
        deposit: Balance,
        spend_rate_max: Balance,
    ) -> DispatchResult {
        let now = Self::now();
        let manifest = T::Deployments::manifest(&publisher, deployment)?;
        ensure!(publisher == quote.publisher.into(), Error::<T>::QuotePublisher);
        ensure!(quote.manifest_hash == manifest.hash, Error::<T>::QuoteManifest);
        ensure!(now <= quote.expires_at, Error::<T>::QuoteExpired);
        let longest = now.saturating_add(T::QuoteSecondsMax::get());
        ensure!(quote.expires_at <= longest, Error::<T>::QuoteTooLong);
        let provider = AccountId32::from(quote.provider);
        ensure!(!UsedNonces::<T>::contains_key(&provider, quote.nonce), Error::<T>::QuoteUsed);
        let payload = quote.signing_payload(&genesis_hash::<T>());
        ensure!(signature.verify(&payload[..], &provider), Error::<T>::QuoteSignature);

        let terms = quote.terms;
        ensure!((1..=REPLICAS_MAX).contains(&quote.replicas), Error::<T>::Replicas);
        ensure!(terms.notice_seconds <= T::NoticeSecondsMax::get(), Error::<T>::TermsTooLong);
        ensure!(terms.grace_seconds <= T::GraceSecondsMax::get(), Error::<T>::TermsTooLong);
        let longest = T::TermSecondsMax::get();
        for seconds in [terms.dispute_seconds, terms.reclaim_seconds, terms.retention_seconds] {
            ensure!(seconds <= longest, Error::<T>::TermsTooLong);
        }
        let least = T::Admission::deposit_min(terms.asset).ok_or(Error::<T>::AssetNotAdmitted)?;
        let least = least.max(terms.deposit_min);
        ensure!(deposit > 0 && deposit >= least, Error::<T>::DepositTooSmall);

        let lease = Lease {
            deployment,
            kind: T::Deployments::kind(deployment).unwrap_or_default(),
            publisher: publisher.clone(),
            provider: provider.clone(),
            resources: quote.resources,
            replicas: quote.replicas,
            terms,
            before: None,
            state: LeaseState::Pending,
            escrow: deposit,
            open: BoundedVec::new(),
            contest: None,
            final_due: 0,
            paid: 0,
            treasury_share: TreasuryShare::<T>::get(),
            spend_rate_max,
            opened_at: now,
            claimed_at: now,
            exhausted_at: None,
            reclaim_at: None,
            warned: 0,
            ended: None,
        };
        let price = lease.price_per_second().ok_or(Error::<T>::Overflow)?;
        ensure!(spend_rate_max >= price, Error::<T>::SpendRateTooLow);
        let resources = lease.resources_total().ok_or(Error::<T>::Overflow)?;

        T::Providers::reserve(&provider, &resources)?;
        ensure!(Self::can_be_paid(terms.asset, &provider), Error::<T>::ProviderWithoutAccount);
        T::Deployments::lease_opened(deployment)?;
        T::Assets::hold(terms.asset, &HoldReason::Escrow.into(), &publisher, deposit)?;
        UsedNonces::<T>::insert(&provider, quote.nonce, quote.expires_at);
        let id = NextId::<T>::get();
        NextId::<T>::put(LeaseId(id.0.checked_add(1).ok_or(Error::<T>::Overflow)?));
        ByProvider::<T>::insert(&provider, id, ());
        ByPublisher::<T>::insert(&publisher, id, ());
        Leases::<T>::insert(id, lease);
        Self::deposit_event(Event::Opened { lease: id, deployment, publisher, provider, deposit });
        Ok(())
    }

    pub(crate) fn do_set_spend_rate(
        who: AccountId32,
        id: LeaseId,
        spend_rate_max: Balance,
    ) -> DispatchResult {
        Self::try_mutate_open(id, |lease| {
            ensure!(lease.publisher == who, Error::<T>::NotPublisher);
            let price = lease.price_per_second().ok_or(Error::<T>::Overflow)?;
            ensure!(spend_rate_max >= price, Error::<T>::SpendRateTooLow);
            lease.spend_rate_max = spend_rate_max;
            Ok(())
        })?;
        Self::deposit_event(Event::SpendRateSet { lease: id, spend_rate_max });
        Ok(())
    }

    pub(crate) fn do_forget_nonce(provider: AccountId32, nonce: QuoteNonce) -> DispatchResult {
        let expires_at = UsedNonces::<T>::get(&provider, nonce).ok_or(Error::<T>::NonceNeeded)?;
        ensure!(expires_at < Self::now(), Error::<T>::NonceNeeded);
        UsedNonces::<T>::remove(&provider, nonce);
        Ok(())
    }

    /// Whether an account takes amounts of any size, so that no small payment gets stuck.
    fn can_be_paid(asset: Asset, who: &AccountId32) -> bool {
        T::Assets::can_deposit(asset, who, 1, Provenance::Extant) == DepositConsequence::Success
    }

    /// Change a lease that is there and not closing.
    pub(crate) fn try_mutate_open<R>(
        id: LeaseId,
        f: impl FnOnce(&mut Lease) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Leases::<T>::try_mutate(id, |slot| {
            let lease = slot.as_mut().ok_or(Error::<T>::NotFound)?;
            ensure!(!lease.is_over(), Error::<T>::Closing);
            f(lease)
        })
    }

    pub(crate) fn now() -> u64 {
        T::Time::now().as_secs()
    }
}
