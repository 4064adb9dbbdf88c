//! What a provider's or publisher's score comes to: the same arithmetic for the chain and for those who
//! read its storage.
//!
//! All amounts are native money in planck: fees (the treasury's share of final payments), or what faults
//! cost in the same unit. Nothing here fails or panics: sums saturate, divisions round down. Why it is so,
//! and what self-dealing gets: `docs/decisions/0012-reputation.md`.

use crate::{Balance, UnixSeconds};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

mod decay;
#[cfg(test)]
mod tests;

pub use decay::decayed;

/// The chain's constants for scores.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub struct Rules {
    /// After how long half of everything is forgotten, in seconds.
    pub half_life_seconds: u32,
    /// After how long without a broken lease payments of a pair count half more, in seconds; also the
    /// longest time between two payments that belong together.
    pub uptime_seconds: u32,
    /// Fees of a pair that count in full though its publisher has paid nobody else.
    pub pair_free: Balance,
    /// What the least fault costs.
    pub fault_min: Balance,
}

impl Rules {
    /// Up to this amount an entry is worth nothing to anyone, and may be forgotten.
    pub const fn dust(&self) -> Balance {
        self.pair_free / 1_000
    }
}

/// Which side of a lease somebody is on.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub enum Side {
    /// Who pays.
    Publisher,
    /// Who is paid.
    Provider,
}

impl Side {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Publisher => Self::Provider,
            Self::Provider => Self::Publisher,
        }
    }
}

/// What a complaint is about.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub enum ComplaintKind {
    /// What was leased could not be reached, or did not run.
    Unavailable,
    /// It was slower or smaller than agreed.
    Underperforming,
    /// Data was lost.
    DataLost,
    /// The other side did not keep to what was agreed in another way.
    TermsBroken,
    /// What ran was used against others.
    Abuse,
    /// Said in the text.
    Other,
}

/// What takes from a score.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub enum Fault {
    /// A lease ended because the provider was silent, or its agent's records contradict each other.
    LeaseBroken,
    /// A challenge was not answered, or wrongly.
    ChallengeLost,
    /// Contested claims were decided against this side.
    ContestLost,
    /// Arbiters found a complaint right.
    ComplaintUpheld,
}

/// How often something happened; these never decay, and do not enter the score.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub struct Counts {
    /// Leases that ended as agreed.
    pub leases_kept: u32,
    /// Leases that the provider broke.
    pub leases_broken: u32,
    /// Challenges that were answered.
    pub challenges_won: u32,
    /// Challenges that were not.
    pub challenges_lost: u32,
    /// Contests that were decided against this side.
    pub contests_lost: u32,
    /// Complaints that arbiters found right.
    pub complaints_upheld: u32,
}

/// What an account has earned and lost on one side of its leases.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub struct Tally {
    /// Fees on proved work, as far as they count.
    pub work: Balance,
    /// What they count more for the time without a broken lease.
    pub uptime: Balance,
    /// What broken leases took.
    pub leases_broken: Balance,
    /// What lost challenges took.
    pub challenges_lost: Balance,
    /// What lost contests took.
    pub contests_lost: Balance,
    /// What upheld complaints took.
    pub complaints_upheld: Balance,
    /// How often.
    pub counts: Counts,
}

impl Tally {
    /// All that was earned.
    pub fn earned(&self) -> Balance {
        self.work.saturating_add(self.uptime)
    }

    /// All that faults took.
    pub fn lost(&self) -> Balance {
        self.leases_broken
            .saturating_add(self.challenges_lost)
            .saturating_add(self.contests_lost)
            .saturating_add(self.complaints_upheld)
    }

    /// The score, if the tally is of now (see [`Score::at`]): earned less lost, not below zero.
    pub fn score(&self) -> Balance {
        self.earned().saturating_sub(self.lost())
    }

    /// Takes what a fault costs now, and returns it. `pair` is what the two sides' payments had brought,
    /// for a broken lease.
    pub fn take(&mut self, fault: Fault, pair: Balance, rules: &Rules) -> Balance {
        let (score, least) = (self.score(), rules.fault_min);
        let Self { counts, .. } = self;
        let (amount, sum, count) = match fault {
            Fault::LeaseBroken => (
                least.saturating_add(pair.saturating_mul(2)),
                &mut self.leases_broken,
                &mut counts.leases_broken,
            ),
            Fault::ChallengeLost => (
                least.saturating_mul(10).max(score / 4),
                &mut self.challenges_lost,
                &mut counts.challenges_lost,
            ),
            Fault::ContestLost => (
                least.saturating_mul(5).max(score / 16),
                &mut self.contests_lost,
                &mut counts.contests_lost,
            ),
            Fault::ComplaintUpheld => (
                least.saturating_mul(10).max(score / 8),
                &mut self.complaints_upheld,
                &mut counts.complaints_upheld,
            ),
        };
        *sum = sum.saturating_add(amount);
        *count = count.saturating_add(1);
        amount
    }

    fn amounts(&mut self) -> [&mut Balance; 6] {
        let Self {
            work,
            uptime,
            leases_broken,
            challenges_lost,
            contests_lost,
            complaints_upheld,
            counts: _,
        } = self;
        [work, uptime, leases_broken, challenges_lost, contests_lost, complaints_upheld]
    }

    fn is_dust(mut self, dust: Balance) -> bool {
        self.amounts().into_iter().all(|amount| *amount <= dust)
    }
}

/// What the chain keeps of an account's reputation, as of [`Self::updated_at`].
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub struct Score {
    /// As a provider.
    pub provider: Tally,
    /// As a publisher.
    pub publisher: Tally,
    /// All fees that were paid as a publisher, whether they count or not.
    pub fees: Balance,
    /// When all this was so.
    pub updated_at: UnixSeconds,
}

impl Score {
    /// What is left of it at `now`. A time before [`Self::updated_at`] changes nothing.
    #[must_use]
    pub fn at(mut self, now: UnixSeconds, rules: &Rules) -> Self {
        let seconds = now.saturating_sub(self.updated_at);
        if seconds > 0 {
            let amounts = self.provider.amounts().into_iter().chain(self.publisher.amounts());
            for amount in amounts.chain([&mut self.fees]) {
                *amount = decayed(*amount, seconds, rules.half_life_seconds);
            }
            self.updated_at = now;
        }
        self
    }

    /// One side's part.
    pub fn side(&self, side: Side) -> &Tally {
        match side {
            Side::Publisher => &self.publisher,
            Side::Provider => &self.provider,
        }
    }

    /// One side's part.
    pub fn side_mut(&mut self, side: Side) -> &mut Tally {
        match side {
            Side::Publisher => &mut self.publisher,
            Side::Provider => &mut self.provider,
        }
    }

    /// Whether everything is so small that forgetting it changes nothing. The score must be of now.
    pub fn is_dust(&self, rules: &Rules) -> bool {
        let dust = rules.dust();
        self.provider.is_dust(dust) && self.publisher.is_dust(dust) && self.fees <= dust
    }
}

/// What a publisher has paid for one provider, as of [`Self::updated_at`].
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
pub struct Pair {
    /// All fees.
    pub fees: Balance,
    /// What they have brought the provider, uptime included, and no broken lease took back.
    pub brought: Balance,
    /// Since when there was no broken lease and no long time without payment.
    pub since: UnixSeconds,
    /// When a lease was broken last; 0 for never.
    pub broken_at: UnixSeconds,
    /// When all this was so.
    pub updated_at: UnixSeconds,
}

impl Pair {
    /// What is left of it at `now`. A time before [`Self::updated_at`] changes nothing.
    #[must_use]
    pub fn at(mut self, now: UnixSeconds, rules: &Rules) -> Self {
        let seconds = now.saturating_sub(self.updated_at);
        if seconds > 0 {
            self.fees = decayed(self.fees, seconds, rules.half_life_seconds);
            self.brought = decayed(self.brought, seconds, rules.half_life_seconds);
            if self.updated_at == 0 || seconds > u64::from(rules.uptime_seconds) {
                self.since = now;
            }
            self.updated_at = now;
        }
        self
    }

    /// Whether so little is left that forgetting it changes nothing. The pair must be of now.
    pub fn is_dust(&self, rules: &Rules) -> bool {
        self.fees <= rules.dust()
    }

    /// A lease that lived for so long has ended as agreed, now. A break during its life stays one.
    pub fn kept(&mut self, seconds: u64) {
        let opened_at = self.updated_at.saturating_sub(seconds);
        self.since = self.since.min(opened_at).max(self.broken_at);
    }

    /// A lease was broken now: what the pair has brought is taken back, and the time begins anew.
    /// Returns what it was.
    pub fn broken(&mut self) -> Balance {
        self.since = self.updated_at;
        self.broken_at = self.updated_at;
        core::mem::take(&mut self.brought)
    }
}

/// Counts a final payment of which `fee` is lost to the treasury. The score and pair are brought to `now`
/// first. Returns what the provider's score has gained, uptime included: never more than `fee` and a half.
pub fn pay(
    publisher: &mut Score,
    provider: &mut Score,
    pair: &mut Pair,
    fee: Balance,
    now: UnixSeconds,
    rules: &Rules,
) -> Balance {
    *publisher = publisher.at(now, rules);
    *provider = provider.at(now, rules);
    *pair = pair.at(now, rules);
    let others = publisher.fees.saturating_sub(pair.fees);
    let knee = rules.pair_free.saturating_add(others);
    let fees = pair.fees.saturating_add(fee);
    let work = weighed(fees, knee).saturating_sub(weighed(pair.fees, knee)).min(fee);
    let uptime = half_by(work, now.saturating_sub(pair.since), rules.uptime_seconds);
    let gained = work.saturating_add(uptime);

    pair.fees = fees;
    pair.brought = pair.brought.saturating_add(gained);
    publisher.fees = publisher.fees.saturating_add(fee);
    publisher.publisher.work = publisher.publisher.work.saturating_add(work);
    provider.provider.work = provider.provider.work.saturating_add(work);
    provider.provider.uptime = provider.provider.uptime.saturating_add(uptime);
    gained
}

/// What fees of one pair count: in full up to the knee, by the geometric mean of both beyond.
pub fn weighed(fees: Balance, knee: Balance) -> Balance {
    if fees <= knee {
        return fees;
    }
    match fees.checked_mul(knee) {
        Some(product) => product.isqrt(),
        // More than all money there is: a little less than the root.
        None => fees.isqrt().saturating_mul(knee.isqrt()),
    }
}

/// Half of `amount`, in proportion to how much of `full` has passed.
fn half_by(amount: Balance, seconds: u64, full: u32) -> Balance {
    if full == 0 {
        return 0;
    }
    let passed = Balance::from(seconds.min(full.into()));
    let twice = Balance::from(full).saturating_mul(2);
    // Neither product overflows: the first is at most half of `amount`, the second below 2^65.
    (amount / twice)
        .saturating_mul(passed)
        .saturating_add((amount % twice).saturating_mul(passed) / twice)
}
