//! What the chain keeps of a lease.

use casemate_primitives::{
    AgentPublicKey, Balance, DeploymentId, LeaseTerms, Quantities, Resources, UnixSeconds,
};
use frame_support::pallet_prelude::*;
use sp_runtime::AccountId32;

/// Where a lease stands.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub enum LeaseState {
    /// Opened; no agent has been activated.
    Pending,
    /// At least one agent was activated.
    Active,
    /// Closed; last records may be claimed until `until`.
    Closing {
        /// Nothing after this second is paid.
        at: UnixSeconds,
        /// When anyone may settle it.
        until: UnixSeconds,
    },
}

/// A lease that is not settled.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Lease {
    /// What it runs.
    pub deployment: DeploymentId,
    /// Who pays.
    pub publisher: AccountId32,
    /// Who is paid.
    pub provider: AccountId32,
    /// Resources of one replica.
    pub resources: Resources,
    /// Number of replicas.
    pub replicas: u16,
    /// Prices and conditions, as quoted.
    pub terms: LeaseTerms,
    /// Where it stands.
    pub state: LeaseState,
    /// Money held for it now.
    pub escrow: Balance,
    /// Money paid out of it so far.
    pub paid: Balance,
    /// Most that may be paid for one second of all replicas together.
    pub spend_rate_max: Balance,
    /// When it was opened.
    pub opened_at: UnixSeconds,
    /// When the escrow was used up, if it is.
    pub exhausted_at: Option<UnixSeconds>,
}

/// The activated agent of a replica.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Agent {
    /// Its Ed25519 key.
    pub key: AgentPublicKey,
    /// Sequence of its newest claimed record; 0 before the first.
    pub sequence: u64,
    /// Where its newest claimed record ends; 0 before the first.
    pub recorded_to: UnixSeconds,
    /// The replica is paid up to this second, whichever agent signed.
    pub claimed_to: UnixSeconds,
    /// Totals of its newest claimed record, without traffic that still may be paid.
    pub claimed_total: Quantities,
    /// What the spend rate allows for this key's last paid seconds and was not spent in them.
    /// Traffic that comes without new seconds is paid out of it.
    pub allowance: Balance,
    /// Beginnings of the keys that signed before, the newest last: none of them may come back, for its
    /// totals begin with what was paid for already. Only as many are kept as the bound says.
    pub earlier: BoundedVec<KeyBeginning, ConstU32<EARLIER_KEYS_MAX>>,
}

/// The first bytes of a key. That a new agent's happen to be those of one before is as likely as to
/// guess a number of 64 bits; then it is refused, and the next one, with another key, is not.
pub type KeyBeginning = [u8; 8];

/// What is remembered of a key.
pub(crate) fn remembered(key: &AgentPublicKey) -> KeyBeginning {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    [a, b, c, d, e, f, g, h]
}

/// How many keys of a replica are remembered. Each is the key of an agent that was attested, so a
/// provider that wants the oldest back has to run as many agents in between; and even then each
/// second is paid once (`claimed_to`), only not necessarily for what was used in it.
pub(crate) const EARLIER_KEYS_MAX: u32 = 128;

impl Lease {
    /// What all replicas together cost each second, traffic not included.
    pub fn price_per_second(&self) -> Option<Balance> {
        self.terms.prices.per_second(&self.resources.checked_mul(self.replicas.into())?)
    }

    /// Resources of all replicas, as reserved at the provider.
    pub fn resources_total(&self) -> Option<Resources> {
        self.resources.checked_mul(self.replicas.into())
    }

    /// Whether money and grace are over at `now`, even if nobody has claimed: the deposit paid
    /// for so many seconds at the full price, and those have passed.
    pub fn is_out_of_funds(&self, now: UnixSeconds) -> bool {
        let grace = u64::from(self.terms.grace_seconds);
        if let Some(at) = self.exhausted_at {
            return now > at.saturating_add(grace);
        }
        let Some(price) = self.price_per_second().filter(|price| *price > 0) else { return false };
        let seconds = self.escrow.saturating_add(self.paid) / price;
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        now > self.opened_at.saturating_add(seconds).saturating_add(grace)
    }
}
