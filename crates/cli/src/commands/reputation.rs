//! `casemate reputation`

use casemate_client::chain::ReputationView;
use casemate_primitives::reputation::Tally;
use serde::Serialize;

use crate::{
    address::Address, amount::Amount, chain_ops::Chain, cli::ReputationArgs, context::Context,
    printer::fields,
};

/// An account's reputation as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    account: Address,
    provider: SideInfo,
    publisher: SideInfo,
    /// Fees that it has lost on proved work as a publisher, whether they count or not.
    fees: Amount,
    open_complaints: u32,
}

/// One side of leases. All amounts fall by half in the chain's half-life.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SideInfo {
    score: Amount,
    work: Amount,
    uptime: Amount,
    lost: Amount,
    leases_kept: u32,
    leases_broken: u32,
    challenges_won: u32,
    challenges_lost: u32,
    contests_lost: u32,
    complaints_upheld: u32,
}

impl SideInfo {
    fn of(tally: &Tally) -> Self {
        let counts = tally.counts;
        Self {
            score: Amount(tally.score()),
            work: Amount(tally.work),
            uptime: Amount(tally.uptime),
            lost: Amount(tally.lost()),
            leases_kept: counts.leases_kept,
            leases_broken: counts.leases_broken,
            challenges_won: counts.challenges_won,
            challenges_lost: counts.challenges_lost,
            contests_lost: counts.contests_lost,
            complaints_upheld: counts.complaints_upheld,
        }
    }

    fn text(&self) -> String {
        format!("{} (work {}, uptime {}, lost {})", self.score, self.work, self.uptime, self.lost)
    }
}

impl Shown {
    fn of(account: Address, view: &ReputationView) -> Self {
        Self {
            account,
            provider: SideInfo::of(&view.score.provider),
            publisher: SideInfo::of(&view.score.publisher),
            fees: Amount(view.score.fees),
            open_complaints: view.open_complaints,
        }
    }

    fn human(&self) -> String {
        let Self { provider, publisher, .. } = self;
        fields(&[
            ("account", self.account.to_string()),
            ("as provider", provider.text()),
            ("leases", format!("{} kept, {} broken", provider.leases_kept, provider.leases_broken)),
            (
                "challenges",
                format!("{} answered, {} lost", provider.challenges_won, provider.challenges_lost),
            ),
            ("as publisher", publisher.text()),
            (
                "contests lost",
                format!(
                    "{} as provider, {} as publisher",
                    provider.contests_lost, publisher.contests_lost
                ),
            ),
            (
                "complaints",
                format!(
                    "{} upheld, {} open",
                    provider.complaints_upheld.saturating_add(publisher.complaints_upheld),
                    self.open_complaints
                ),
            ),
        ])
    }
}

pub(super) async fn run(context: &Context, args: &ReputationArgs) -> anyhow::Result<()> {
    let account = match args.account {
        Some(account) => account,
        None => context.own_address()?,
    };
    let chain = Chain::connect(context).await?;
    let shown = Shown::of(account, &chain.reputation(account).await?);
    context.printer.data(&shown, || shown.human())
}

/// A provider's reputation beside its offer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReputationInfo {
    #[serde(flatten)]
    side: SideInfo,
    open_complaints: u32,
}

impl ReputationInfo {
    pub(super) fn of(view: &ReputationView) -> Self {
        let side = SideInfo::of(&view.score.provider);
        Self { side, open_complaints: view.open_complaints }
    }
}

/// A provider's score in a table's cell: what was earned and not lost, and marks for what speaks
/// against it.
pub(super) fn cell(view: &ReputationView) -> String {
    let tally = &view.score.provider;
    let counts = tally.counts;
    let mut text = match tally.score() {
        0 => "none".to_owned(),
        score => Amount(score).to_string(),
    };
    let faults = [
        (counts.leases_broken, "broken"),
        (counts.challenges_lost, "challenges lost"),
        (counts.contests_lost, "contests lost"),
        (counts.complaints_upheld, "complaints upheld"),
        (view.open_complaints, "complaints open"),
    ];
    for (count, what) in faults.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {what}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use casemate_primitives::{
        CASE,
        reputation::{Counts, Score},
    };

    use super::*;

    fn view(work: u128, lost: u128, counts: Counts) -> ReputationView {
        let provider = Tally { work, challenges_lost: lost, counts, ..Tally::default() };
        let score = Score { provider, ..Score::default() };
        ReputationView { score, open_complaints: 0 }
    }

    #[test]
    fn a_cell_tells_the_score_and_what_speaks_against_it() {
        assert_eq!(cell(&ReputationView::default()), "none");
        assert_eq!(cell(&view(3 * CASE, CASE, Counts::default())), "2 CASE");
        let counts = Counts { leases_kept: 9, leases_broken: 1, ..Counts::default() };
        assert_eq!(cell(&view(CASE, 2 * CASE, counts)), "none, 1 broken");
        let open = ReputationView { open_complaints: 3, ..ReputationView::default() };
        assert_eq!(cell(&open), "none, 3 complaints open");
    }

    #[test]
    fn it_is_shown_by_sides() {
        let counts = Counts { leases_kept: 4, complaints_upheld: 1, ..Counts::default() };
        let shown = Shown::of(Address([1; 32]), &view(3 * CASE, CASE, counts));
        let text = shown.human();
        for part in ["2 CASE (work 3 CASE, uptime 0 CASE, lost 1 CASE)", "4 kept", "1 upheld"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["provider"]["score"], "2000000000000");
        assert_eq!(json["publisher"]["score"], "0");
    }
}
