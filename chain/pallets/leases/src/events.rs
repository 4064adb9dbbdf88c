//! What calls tell.

use frame_support::pallet_macros::pallet_section;

/// Names are resolved where it is imported.
#[pallet_section]
mod events {
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A lease was opened.
        Opened {
            /// Its id.
            lease: LeaseId,
            /// What it runs.
            deployment: DeploymentId,
            /// Who pays.
            publisher: AccountId32,
            /// Who is paid.
            provider: AccountId32,
            /// Money locked for it.
            deposit: Balance,
        },
        /// More money was locked.
        Funded {
            /// For which.
            lease: LeaseId,
            /// Whose.
            from: AccountId32,
            /// How much more.
            amount: Balance,
        },
        /// The publisher has said what another account may do for it.
        Authorised {
            /// For which lease.
            lease: LeaseId,
            /// Which account.
            spender: AccountId32,
            /// How much of the publisher's money it may still put in; nothing any more if `None`.
            allowance: Option<Balance>,
        },
        /// An authorised account has put the publisher's money in.
        AllowanceUsed {
            /// Into which.
            lease: LeaseId,
            /// Which account.
            spender: AccountId32,
            /// How much more it may.
            left: Balance,
        },
        /// An account that is not the publisher got back what was not spent of its money.
        GivenBack {
            /// Of which.
            lease: LeaseId,
            /// Which account.
            to: AccountId32,
            /// How much.
            amount: Balance,
        },
        /// The publisher changed how much may be spent in a second.
        SpendRateSet {
            /// Of which.
            lease: LeaseId,
            /// From now on.
            spend_rate_max: Balance,
        },
        /// An attested agent may sign for a replica.
        Activated {
            /// Of which.
            lease: LeaseId,
            /// Which replica.
            replica: ReplicaIndex,
            /// Its key.
            agent_key: AgentPublicKey,
        },
        /// What a usage record earns was moved out of the escrow.
        Claimed {
            /// Of which.
            lease: LeaseId,
            /// Which replica.
            replica: ReplicaIndex,
            /// Sequence of the record.
            sequence: u64,
            /// What it earned. It is final when its period is.
            paid: Balance,
            /// What the record would have cost without the spend rate and the end of the money.
            due: Balance,
        },
        /// The app of a replica has ended by itself: nothing more is paid for it.
        AppEnded {
            /// Of which.
            lease: LeaseId,
            /// Which replica.
            replica: ReplicaIndex,
            /// Its exit code, or 128 and the signal's number.
            code: u8,
        },
        /// The escrow is used up: the grace time runs.
        FundsExhausted {
            /// Of which.
            lease: LeaseId,
        },
        /// A lease ends: last records may be claimed until `until`.
        Closed {
            /// Which.
            lease: LeaseId,
            /// By whom.
            by: AccountId32,
            /// Nothing after this second is paid.
            at: u64,
            /// When anyone may settle it.
            until: u64,
            /// Why.
            reason: EndReason,
        },
        /// A lease is over: the unspent rest is free again.
        Settled {
            /// Which.
            lease: LeaseId,
            /// All that was claimed, final or not.
            paid: Balance,
            /// What the publisher and who else has put money in got back.
            refunded: Balance,
        },
        /// What could not be given back when it was due has been given back.
        Refunded {
            /// Of which.
            lease: LeaseId,
            /// How much.
            amount: Balance,
        },
        /// The deposit of a contest can't be moved now: it stays held with the lease's money.
        DepositKept {
            /// Of which.
            lease: LeaseId,
            /// How much.
            amount: Balance,
        },
        /// Final claims were paid out.
        PaidOut {
            /// Of which.
            lease: LeaseId,
            /// What the provider got.
            amount: Balance,
            /// What the treasury got.
            treasury: Balance,
        },
        /// An ended lease is forgotten: nothing of it is owed, and its retention is over.
        Forgotten {
            /// Which.
            lease: LeaseId,
        },
        /// The escrow pays for less time than agreed as a level of warning.
        FundsLow {
            /// Of which.
            lease: LeaseId,
            /// How long it lasts at the full price.
            seconds_left: u64,
        },
        /// The provider wants its machine back.
        NoticeGiven {
            /// Of which.
            lease: LeaseId,
            /// When it may close the lease.
            at: u64,
        },
        /// The provider was silent for longer than agreed, and its stake has paid for it.
        ProviderSlashed {
            /// In which.
            lease: LeaseId,
            /// What was taken.
            amount: Balance,
            /// What the publisher got of it. The rest is burnt.
            rewarded: Balance,
        },
        /// Both sides have changed the prices.
        Amended {
            /// Of which.
            lease: LeaseId,
            /// From now on.
            prices: Prices,
        },
        /// The publisher contests all claims that were not final.
        Contested {
            /// Of which.
            lease: LeaseId,
            /// How much.
            amount: Balance,
            /// Until when arbiters may decide.
            until: u64,
        },
        /// What was contested is decided, by arbiters or by time.
        ContestDecided {
            /// Of which.
            lease: LeaseId,
            /// What goes back to the publisher; the rest is final.
            refunded: Balance,
            /// Who was right, and gets the deposit.
            is_provider_right: bool,
        },
        /// The agent's key signed records that contradict each other.
        Misconduct {
            /// Of which.
            lease: LeaseId,
            /// Which replica.
            replica: ReplicaIndex,
            /// What goes back to the publisher.
            refunded: Balance,
        },
        /// The provider lost a challenge.
        Penalised {
            /// About which.
            lease: LeaseId,
            /// What goes back to the publisher.
            refunded: Balance,
        },
        /// The treasury's share was set.
        TreasuryShareSet {
            /// For leases that are opened from now on.
            share: Permill,
        },
    }
}
