//! Why calls are refused.

use frame_support::pallet_macros::pallet_section;

/// Names are resolved where it is imported.
#[pallet_section]
mod errors {
    #[pallet::error]
    pub enum Error<T> {
        /// There is no such lease (any more).
        NotFound,
        /// Only the lease's publisher may do this.
        NotPublisher,
        /// Only the lease's provider may do this.
        NotProvider,
        /// The quote is for another publisher.
        QuotePublisher,
        /// The quote is for another manifest.
        QuoteManifest,
        /// The quote has expired: ask the provider for a new one.
        QuoteExpired,
        /// The quote's expiry is too far ahead.
        QuoteTooLong,
        /// The quote was used before: ask the provider for a new one.
        QuoteUsed,
        /// The signature is not the provider's over this quote on this chain.
        QuoteSignature,
        /// Replicas must be from 1 to 64.
        Replicas,
        /// Notice or grace is longer than the chain allows.
        TermsTooLong,
        /// The asset is not admitted, or takes no new money: choose another one.
        AssetNotAdmitted,
        /// The provider can't take the asset: it has to open an account in it (`assets.touch`).
        ProviderWithoutAccount,
        /// Less than the quote's or the asset's least deposit, or, where the money is used up, than the
        /// grace time costs.
        DepositTooSmall,
        /// As many accounts have money in the lease as can have.
        TooManyDepositors,
        /// As many accounts are authorised as can be: take one off first.
        TooManySpenders,
        /// The publisher has not authorised this account.
        NotSpender,
        /// The publisher has authorised less.
        AllowanceTooSmall,
        /// The spend rate is below the price of the resources.
        SpendRateTooLow,
        /// A product of prices and quantities is too large.
        Overflow,
        /// The lease is closing.
        Closing,
        /// The lease is not closed.
        NotClosing,
        /// The notice window is still open.
        NoticeRunning,
        /// The lease still has money or grace: only its two sides may close it.
        StillFunded,
        /// No such replica in this lease.
        NoSuchReplica,
        /// This key signed for the replica before another took over: start a new agent.
        KeyUsedBefore,
        /// No agent was activated for the replica.
        NotActivated,
        /// The agent's attestation has ended: renew it first (`attestation.attest`).
        NotAttested,
        /// The record ends after the agent's attestation does: renew it first.
        RecordBeyondAttestation,
        /// The signature is not the activated agent's over this record on this chain.
        RecordSignature,
        /// This record or a newer one was claimed before.
        RecordOld,
        /// The record's span begins before what was claimed, or ends before it begins.
        RecordOverlap,
        /// The record ends in the future.
        RecordInFuture,
        /// The record says more than the lease's resources allow in its time.
        RecordAboveQuota,
        /// The record's totals are below what was claimed.
        RecordTotals,
        /// An amount of zero changes nothing.
        ZeroAmount,
        /// The nonce is not known, or its quote has not expired.
        NonceNeeded,
        /// The lease is settled: nothing more can be claimed.
        Ended,
        /// The lease is not settled.
        NotEnded,
        /// Claims are not final yet, or the time for which logs can be proved is not over.
        StillNeeded,
        /// Nothing is final that was not paid out.
        NothingDue,
        /// No claim is open that could be contested.
        NothingOpen,
        /// Claims are contested already: wait for the decision.
        Contested,
        /// Nothing is contested.
        NotContested,
        /// The arbiters' time is not over.
        ArbitersHaveTime,
        /// Both records can be true.
        NoContradiction,
        /// Records of an agent that contradicted itself are not paid.
        NoRecordsAfterMisconduct,
        /// The provider has to give notice (`give_notice`), and wait for the agreed time.
        ReclaimNotice,
        /// The provider's last proof is not as long ago as agreed.
        NotSilent,
        /// Notice was given before.
        NoticeGiven,
        /// The amendment was made for other prices than the lease has.
        AmendmentOutdated,
        /// Prices were changed before, and what was used under the older ones is not claimed yet.
        ClaimFirst,
        /// The share is above the chain's limit.
        ShareTooLarge,
        /// The replica's app has ended by itself: it is paid again after an update of the manifest.
        AppEnded,
        /// A task's lease is paid by the results of its runs (`tasks.submit_result`), nothing else.
        PaidByRun,
    }
}
