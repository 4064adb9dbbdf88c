//! What both sides of a lease have agreed, for people and scripts.

use casemate_client::api::PricesInfo;
use casemate_primitives::{LeaseTerms, WARNINGS};
use serde::Serialize;

use crate::{amount::Amount, asset::Unit, commands::offers::duration_text};

/// The conditions of a quote or lease. Amounts are in the smallest unit of what it is paid in.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TermsInfo {
    prices: PricesInfo,
    second_min: Amount,
    deposit_min: Amount,
    dispute_seconds: u32,
    notice_seconds: u32,
    grace_seconds: u32,
    reclaim_seconds: u32,
    silence_seconds: u32,
    retention_seconds: u32,
    warn_seconds: [u32; WARNINGS],
}

impl TermsInfo {
    pub(crate) fn of(terms: &LeaseTerms) -> Self {
        Self {
            prices: terms.prices.into(),
            second_min: Amount(terms.second_min),
            deposit_min: Amount(terms.deposit_min),
            dispute_seconds: terms.dispute_seconds,
            notice_seconds: terms.notice_seconds,
            grace_seconds: terms.grace_seconds,
            reclaim_seconds: terms.reclaim_seconds,
            silence_seconds: terms.silence_seconds,
            retention_seconds: terms.retention_seconds,
            warn_seconds: terms.warn_seconds,
        }
    }

    /// For [`crate::printer::fields`], in the words of somebody who agrees to it, and in what is paid
    /// in.
    pub(crate) fn lines(&self, unit: &Unit) -> Vec<(&'static str, String)> {
        let time = |seconds: u32| duration_text(u64::from(seconds));
        let mut lines = vec![
            (
                "dispute",
                match self.dispute_seconds {
                    0 => "claims are final at once: none can be contested".to_owned(),
                    seconds => {
                        format!("a claim can be contested for {} to twice as long", time(seconds))
                    }
                },
            ),
            (
                "notice",
                format!("last records are paid for {} after the end", time(self.notice_seconds)),
            ),
            ("grace", format!("pods stay for {} without money", time(self.grace_seconds))),
            (
                "reclaim",
                match self.reclaim_seconds {
                    0 => "the provider may leave at once".to_owned(),
                    seconds => format!("the provider may leave {} after saying so", time(seconds)),
                },
            ),
            (
                "silence",
                match self.silence_seconds {
                    0 => "a provider that proves nothing can't be evicted".to_owned(),
                    seconds => format!("who proves nothing for {} can be evicted", time(seconds)),
                },
            ),
            (
                "retention",
                format!("sealed output is kept for {} after the end", time(self.retention_seconds)),
            ),
        ];
        let levels: Vec<String> =
            self.warn_seconds.into_iter().filter(|level| *level > 0).map(time).collect();
        if !levels.is_empty() {
            lines.push(("warnings", format!("money for less than {}", levels.join(", "))));
        }
        if self.second_min.0 > 0 {
            let least = unit.text(self.second_min.0);
            lines.push(("least price", format!("{least} a running second and replica")));
        }
        lines
    }
}
