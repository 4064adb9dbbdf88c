//! What the chain keeps of a lease.

use alloc::vec::Vec;
use casemate_primitives::{
    AgentPublicKey, Balance, DeploymentId, DeploymentKind, EndReason, Hash256, LeaseTerms, LogHead,
    Prices, Quantities, Resources, UnixSeconds,
};
use frame_support::pallet_prelude::*;
use sp_runtime::{AccountId32, Permill};

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
        /// Why it ended.
        reason: EndReason,
    },
    /// Settled: the unspent rest went back. It stays until its periods are final and paid out, and
    /// what its logs are proved against is kept for the agreed time.
    Ended {
        /// When it was closed.
        at: UnixSeconds,
        /// Why it ended.
        reason: EndReason,
    },
}

/// What was claimed in one period of `dispute_seconds` and is not final.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Period {
    /// The period: seconds since the Unix epoch divided by its length.
    pub number: u64,
    /// Sum of its claims.
    pub amount: Balance,
}

/// Claims that the publisher contests.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Contest {
    /// How much is contested.
    pub amount: Balance,
    /// What the publisher put down for it.
    pub deposit: Balance,
    /// Without a decision up to this second the provider is right.
    pub until: UnixSeconds,
}

/// Prices that both sides have replaced.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct PricesBefore {
    /// How many changes the lease has had.
    pub number: u32,
    /// Until when they held.
    pub until: UnixSeconds,
    /// Which they were.
    pub prices: Prices,
    /// Least that a running second cost.
    pub second_min: Balance,
}

/// Replicas whose app has ended by itself, as their agents have signed.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct EndedReplicas {
    /// The version of the deployment's manifest that they ran, the newest of all. Those of an older
    /// one are not counted.
    pub version: u32,
    /// How many.
    pub count: u16,
}

/// Most accounts that a publisher authorises for a lease.
pub const SPENDERS_MAX: u32 = 8;

/// Who may put the publisher's money into a lease, and close it.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Spender {
    /// Which account.
    pub who: AccountId32,
    /// How much more it may put in.
    pub allowance: Balance,
}

/// A lease that is still known.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Lease {
    /// What it runs.
    pub deployment: DeploymentId,
    /// Service or task.
    pub kind: DeploymentKind,
    /// Who pays.
    pub publisher: AccountId32,
    /// Who is paid.
    pub provider: AccountId32,
    /// Resources of one replica.
    pub resources: Resources,
    /// Number of replicas.
    pub replicas: u16,
    /// Prices and conditions, as quoted or as amended since.
    pub terms: LeaseTerms,
    /// The prices before the last amendment.
    pub before: Option<PricesBefore>,
    /// Where it stands.
    pub state: LeaseState,
    /// Unspent money, held on the accounts that have put it in ([`crate::Deposits`]), like the next
    /// three.
    pub escrow: Balance,
    /// Claims that are not final, the older first.
    pub open: BoundedVec<Period, ConstU32<2>>,
    /// Claims that the publisher contests.
    pub contest: Option<Contest>,
    /// Final claims that are not paid out.
    pub final_due: Balance,
    /// Money paid out so far, the treasury's share among it.
    pub paid: Balance,
    /// The treasury's share of what is paid out, as it was when the lease was opened.
    pub treasury_share: Permill,
    /// Most that may be paid for one second of all replicas together.
    pub spend_rate_max: Balance,
    /// When it was opened.
    pub opened_at: UnixSeconds,
    /// When the provider last proved work; before that, when the lease was opened, or when money came
    /// back into it after its grace.
    pub claimed_at: UnixSeconds,
    /// When the escrow was used up, if it is.
    pub exhausted_at: Option<UnixSeconds>,
    /// When the provider may take its machine back, once it has given notice.
    pub reclaim_at: Option<UnixSeconds>,
    /// At how many of the agreed levels the publisher was warned that money runs low.
    pub warned: u8,
    /// Replicas whose app has ended by itself, if there are any.
    pub ended: Option<EndedReplicas>,
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
    /// Running seconds of its newest claimed record.
    pub claimed_running: u64,
    /// Totals of its newest claimed record, without traffic that still may be paid.
    pub claimed_total: Quantities,
    /// The log up to its newest claimed record: what log chunks are proved against.
    pub log: LogHead,
    /// The evidence that its newest claimed record names.
    pub evidence: Hash256,
    /// What the spend rate allows for this key's last paid seconds and was not spent in them.
    /// Traffic that comes without new seconds is paid out of it.
    pub allowance: Balance,
    /// Beginnings of the keys that signed before, the newest last: none of them may come back, for its
    /// totals begin with what was paid for already. Only as many are kept as the bound says.
    pub earlier: BoundedVec<KeyBeginning, ConstU32<EARLIER_KEYS_MAX>>,
    /// Those of them that had claims which were not final or not decided on when the present key came,
    /// the newest last: another agent hides no contradiction of one before it.
    pub replaced: BoundedVec<ReplacedKey, ConstU32<REPLACED_KEYS_MAX>>,
    /// The version of the deployment's manifest when its key was attested.
    pub version: u32,
    /// Whether its app has ended by itself: no record of it follows.
    pub has_ended: bool,
}

/// A key that has claimed, and that another one has replaced.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct ReplacedKey {
    /// Which.
    pub key: AgentPublicKey,
    /// Nothing after this second was claimed with it.
    pub until: UnixSeconds,
}

/// How many replaced keys of a replica can be shown to have contradicted themselves. Each has claimed in
/// the last two periods; to push one out takes as many attested agents, each with a claim, and until
/// then its records can be shown, and contested after that.
pub const REPLACED_KEYS_MAX: u32 = 16;

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
        self.terms.per_second(&self.resources, self.replicas)
    }

    /// Resources of all replicas, as reserved at the provider.
    pub fn resources_total(&self) -> Option<Resources> {
        self.resources.checked_mul(self.replicas.into())
    }

    /// Claims that are not final and not contested.
    pub fn open_amount(&self) -> Balance {
        self.open.iter().fold(0, |sum: Balance, period| sum.saturating_add(period.amount))
    }

    /// Claims that are contested.
    pub fn contested(&self) -> Balance {
        self.contest.as_ref().map_or(0, |contest| contest.amount)
    }

    /// Sum of all claims that were not given back: open, contested, due and paid out.
    pub fn earned(&self) -> Balance {
        [self.contested(), self.final_due, self.paid]
            .into_iter()
            .fold(self.open_amount(), Balance::saturating_add)
    }

    /// What is held for it.
    pub fn held(&self) -> Balance {
        [self.open_amount(), self.contested(), self.final_due]
            .into_iter()
            .fold(self.escrow, Balance::saturating_add)
    }

    /// Whether it was closed, settled or not.
    pub fn is_over(&self) -> bool {
        matches!(self.state, LeaseState::Closing { .. } | LeaseState::Ended { .. })
    }

    /// How long the escrow lasts at the full price; `None` where that is free.
    pub fn seconds_left(&self) -> Option<u64> {
        let price = self.price_per_second().filter(|price| *price > 0)?;
        Some(u64::try_from(self.escrow / price).unwrap_or(u64::MAX))
    }

    /// At how many of the agreed levels money is low now.
    pub fn warnings_due(&self) -> u8 {
        let Some(left) = self.seconds_left() else { return 0 };
        let is_below = |level: &&u32| **level > 0 && left < u64::from(**level);
        let count = self.terms.warn_seconds.iter().filter(is_below).count();
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// What the grace would cost at the full price.
    pub fn grace_price(&self) -> Balance {
        let price = self.price_per_second().unwrap_or_default();
        price.saturating_mul(self.terms.grace_seconds.into())
    }

    /// Whether money and grace are over at `now`. Only claims use money up: what nobody has claimed is
    /// there, however long ago it was put in, and whose work is not proved is silent.
    pub fn is_out_of_funds(&self, now: UnixSeconds) -> bool {
        let grace = u64::from(self.terms.grace_seconds);
        self.exhausted_at.is_some_and(|at| now > at.saturating_add(grace))
    }

    /// Whether the provider has proved nothing for longer than agreed, and still had to.
    pub fn is_silent(&self, now: UnixSeconds) -> bool {
        let allowed = self.terms.silence_seconds;
        allowed > 0 && self.has_no_proof_for(allowed, now) && !self.is_out_of_funds(now)
    }

    /// Whether nothing was proved for `longest`, where no time was agreed after which a provider is
    /// silent.
    pub(crate) fn is_forsaken(&self, longest: u32, now: UnixSeconds) -> bool {
        self.terms.silence_seconds == 0 && self.has_no_proof_for(longest, now)
    }

    /// Of a task nothing is heard between its runs.
    fn has_no_proof_for(&self, seconds: u32, now: UnixSeconds) -> bool {
        self.kind == DeploymentKind::Service && now > self.claimed_at.saturating_add(seconds.into())
    }

    /// The keys of `agent` and of those before it whose claims could still go back, for the agent that
    /// now takes over.
    pub(crate) fn keys_behind_claims(
        &self,
        agent: &Agent,
        now: UnixSeconds,
    ) -> BoundedVec<ReplacedKey, ConstU32<REPLACED_KEYS_MAX>> {
        let is_open = |of: &ReplacedKey| {
            self.contest.is_some() || !self.terms.is_final(self.terms.period_of(of.until), now)
        };
        let newest = ReplacedKey { key: agent.key, until: now };
        let newest = Some(newest).filter(|of| agent.sequence > 0 && is_open(of));
        let mut keys: Vec<_> = agent.replaced.iter().copied().filter(is_open).collect();
        keys.extend(newest);
        let over = keys.len().saturating_sub(REPLACED_KEYS_MAX as usize);
        keys.drain(..over);
        BoundedVec::truncate_from(keys)
    }

    /// Adds a claim: to the present period, whenever its record was signed or put into a batch, so that
    /// nobody is paid for what the publisher had no whole period to contest.
    pub(crate) fn add_claim(&mut self, amount: Balance, now: UnixSeconds) {
        self.mature(now);
        let number = self.terms.period_of(now);
        if self.terms.is_final(number, now) {
            self.final_due = self.final_due.saturating_add(amount);
            return;
        }
        if let Some(period) = self.open.iter_mut().find(|period| period.number == number) {
            period.amount = period.amount.saturating_add(amount);
            return;
        }
        // At most the present and the last period are not final, so there is room.
        let at = self.open.iter().position(|period| period.number > number);
        let period = Period { number, amount };
        if self.open.try_insert(at.unwrap_or(self.open.len()), period).is_err() {
            self.final_due = self.final_due.saturating_add(amount);
        }
    }

    /// Makes final what nobody contested in time.
    pub(crate) fn mature(&mut self, now: UnixSeconds) {
        let Self { terms, open, final_due, .. } = self;
        open.retain(|period| {
            let is_open = !terms.is_final(period.number, now);
            if !is_open {
                *final_due = final_due.saturating_add(period.amount);
            }
            is_open
        });
    }
}
