//! All that the chain keeps of a lease's money and times, settled or not: what disputes, notices and
//! evictions turn on.

use casemate_primitives::{
    AccountBytes, Balance, DeploymentId, DeploymentKind, EndReason, LeaseId, LeaseTerms, Prices,
    Resources, UnixSeconds,
};
use subxt::utils::Static;

use super::{ChainClient, ChainError, PeriodView, read::periods, runtime};

/// Where a lease stands, settled or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeaseStage {
    /// Opened; no agent has been activated yet.
    Pending,
    /// At least one agent is activated.
    Active,
    /// Closed: last records may be claimed until `until`.
    Closing {
        /// Nothing after this second is paid.
        at: UnixSeconds,
        /// When anyone may settle it.
        until: UnixSeconds,
        /// Why it ended.
        reason: EndReason,
    },
    /// Settled: the unspent rest went back.
    Ended {
        /// When it was closed.
        at: UnixSeconds,
        /// Why it ended.
        reason: EndReason,
    },
}

/// Claims that the publisher contests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ContestView {
    /// How much.
    pub amount: Balance,
    /// What the publisher put down for it.
    pub deposit: Balance,
    /// Last second for the arbiters.
    pub until: UnixSeconds,
}

/// What it costs to contest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ContestRules {
    /// The part of the amount that is put down, in millionths.
    pub share: u32,
    /// The least.
    pub deposit_min: Balance,
}

impl ContestRules {
    /// What is put down to contest `amount`, as the chain computes it: rounded to the nearest unit.
    pub fn deposit(&self, amount: Balance) -> Balance {
        const MILLION: Balance = 1_000_000;
        let share = Balance::from(self.share);
        let (whole, rest) = (amount / MILLION, amount % MILLION);
        // The chain rounds what is exactly half down.
        let rounded = (rest.saturating_mul(share) + MILLION / 2 - 1) / MILLION;
        whole.saturating_mul(share).saturating_add(rounded).max(self.deposit_min)
    }
}

/// Prices that both sides have replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

/// A lease's money and times.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaseDetails {
    /// Its id.
    pub id: LeaseId,
    /// Of which deployment.
    pub deployment: DeploymentId,
    /// Whether it runs a task, of which nothing is heard between its runs.
    pub is_task: bool,
    /// Who pays.
    pub publisher: AccountBytes,
    /// Who is paid.
    pub provider: AccountBytes,
    /// Resources of one replica.
    pub resources: Resources,
    /// Number of replicas.
    pub replicas: u16,
    /// Agreed conditions.
    pub terms: LeaseTerms,
    /// The prices before the last change.
    pub before: Option<PricesBefore>,
    /// Where it stands.
    pub stage: LeaseStage,
    /// Unspent money.
    pub escrow: Balance,
    /// Claims that are not final; some of them may have become so since they were last touched.
    pub open: Vec<PeriodView>,
    /// Claims that the publisher contests.
    pub contest: Option<ContestView>,
    /// Final claims that are not paid out.
    pub final_due: Balance,
    /// Money paid out so far.
    pub paid: Balance,
    /// The treasury's share of what is paid out, in millionths.
    pub treasury_share: u32,
    /// Most that may be spent in one second.
    pub spend_rate_max: Balance,
    /// When it was opened.
    pub opened_at: UnixSeconds,
    /// When the provider last proved work; before that, when it was opened.
    pub claimed_at: UnixSeconds,
    /// When the escrow was used up, if it is.
    pub exhausted_at: Option<UnixSeconds>,
    /// When its provider may take the machine back, if it has given notice.
    pub reclaim_at: Option<UnixSeconds>,
}

impl LeaseDetails {
    /// What can be contested at `now`: claims whose period is not final.
    pub fn open_at(&self, now: UnixSeconds) -> Balance {
        let is_open = |period: &&PeriodView| !self.terms.is_final(period.number, now);
        let open = self.open.iter().filter(is_open).map(|period| period.amount);
        open.fold(0, Balance::saturating_add)
    }

    /// When all that is open now is final, and can't be contested any more.
    pub fn final_at(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        let length = u64::from(self.terms.dispute_seconds);
        let ends = self.open.iter().map(|period| period.number.saturating_add(2));
        ends.map(|number| number.saturating_mul(length)).filter(|end| *end > now).max()
    }

    /// First second at which anyone may evict the provider; `None` where that was not agreed, or the
    /// lease is over.
    pub fn evictable_at(&self) -> Option<UnixSeconds> {
        let silence = u64::from(self.terms.silence_seconds);
        let is_live = matches!(self.stage, LeaseStage::Pending | LeaseStage::Active);
        let at = self.claimed_at.saturating_add(silence).saturating_add(1);
        (is_live && !self.is_task && silence > 0).then_some(at)
    }
}

impl ChainClient {
    /// A lease's money and times, also after it was settled; `None` once it is forgotten.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn lease_details(&self, id: LeaseId) -> Result<Option<LeaseDetails>, ChainError> {
        use runtime::runtime_types::pallet_leases::types::LeaseState as State;
        let at = self.at_finalised().await?;
        let address = runtime::storage().leases().leases();
        let value =
            at.storage().try_fetch(address, (Static(id),)).await.map_err(ChainError::reading)?;
        let Some(value) = value else { return Ok(None) };
        let found = value.decode().map_err(ChainError::reading)?;
        Ok(Some(LeaseDetails {
            id,
            deployment: found.deployment.0,
            is_task: found.kind.0 == DeploymentKind::Task,
            publisher: found.publisher.0,
            provider: found.provider.0,
            resources: found.resources.0,
            replicas: found.replicas,
            terms: found.terms.0,
            before: found.before.map(|before| PricesBefore {
                number: before.number,
                until: before.until,
                prices: before.prices.0,
                second_min: before.second_min,
            }),
            stage: match found.state {
                State::Pending => LeaseStage::Pending,
                State::Active => LeaseStage::Active,
                State::Closing { at, until, reason } => {
                    LeaseStage::Closing { at, until, reason: reason.0 }
                }
                State::Ended { at, reason } => LeaseStage::Ended { at, reason: reason.0 },
            },
            escrow: found.escrow,
            open: periods(&found.open),
            contest: found.contest.map(|contest| ContestView {
                amount: contest.amount,
                deposit: contest.deposit,
                until: contest.until,
            }),
            final_due: found.final_due,
            paid: found.paid,
            treasury_share: found.treasury_share.0,
            spend_rate_max: found.spend_rate_max,
            opened_at: found.opened_at,
            claimed_at: found.claimed_at,
            exhausted_at: found.exhausted_at,
            reclaim_at: found.reclaim_at,
        }))
    }

    /// What the chain asks of who contests.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn contest_rules(&self) -> Result<ContestRules, ChainError> {
        let at = self.at_finalised().await?;
        let constants = at.constants();
        let share = constants
            .entry(runtime::constants().leases().contest_deposit_share())
            .map_err(ChainError::reading)?;
        let deposit_min = constants
            .entry(runtime::constants().leases().contest_deposit_min())
            .map_err(ChainError::reading)?;
        Ok(ContestRules { share: share.0, deposit_min })
    }
}

#[cfg(test)]
mod tests;
