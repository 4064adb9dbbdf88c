//! How long a lease's money lasts, as the chain computes it.

use casemate_primitives::Balance;

use super::{LeaseState, LeaseView};

/// A lease's money pays for less time than was agreed as a level of warning.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LowFunds {
    /// At how many of the agreed levels it is low: 1 is the first warning.
    pub level: usize,
    /// The newest of them.
    pub below_seconds: u32,
    /// How long the money lasts at the full price.
    pub seconds_left: u64,
}

impl LeaseView {
    /// What all replicas cost each second, traffic not included; `None` where that is more money than
    /// there can be.
    pub fn cost_per_second(&self) -> Option<Balance> {
        self.terms.per_second(&self.resources, self.replicas)
    }

    /// How long the escrow lasts at the full price; `None` where that is free.
    pub fn seconds_left(&self) -> Option<u64> {
        let seconds = self.escrow.checked_div(self.cost_per_second()?)?;
        Some(u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// Whether the money is low now, and how far. A lease that is closing needs none.
    pub fn low_funds(&self) -> Option<LowFunds> {
        if matches!(self.state, LeaseState::Closing { .. }) {
            return None;
        }
        let seconds_left = self.seconds_left()?;
        let is_low = |level: &u32| *level > 0 && seconds_left < u64::from(*level);
        let reached: Vec<u32> = self.terms.warn_seconds.into_iter().filter(is_low).collect();
        let below_seconds = reached.iter().copied().min()?;
        Some(LowFunds { level: reached.len(), below_seconds, seconds_left })
    }
}

#[cfg(test)]
mod tests;
