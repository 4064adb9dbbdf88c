//! `casemate challenge`

use std::time::{Duration, Instant};

use casemate_client::chain::{ChallengeTarget, ChallengeView, Challenged, Conclusion};
use casemate_primitives::LeaseId;
use serde::Serialize;
use serde_json::json;

use super::lease::{POLL, find};
use crate::{
    address::Address,
    amount::Amount,
    chain_ops::Chain,
    cli::{AskArgs, ChallengeCommand},
    context::Context,
    failure::{Failure, fail},
    printer::{fields, table},
};

pub(super) async fn run(context: &Context, command: ChallengeCommand) -> anyhow::Result<()> {
    match command {
        ChallengeCommand::Evidence(args) => {
            let lease = Asked::Lease(&args.lease);
            let target = |lease| ChallengeTarget::Evidence { lease, replica: args.replica };
            ask(context, lease, target, args.ask).await
        }
        ChallengeCommand::Log(args) => {
            let (replica, index) = (args.replica, args.chunk);
            let target = |lease| ChallengeTarget::LogChunk { lease, replica, index };
            ask(context, Asked::Lease(&args.lease), target, args.ask).await
        }
        ChallengeCommand::Leaf(args) => {
            let provider = args.provider.0;
            let (batch, index) = (args.batch, args.leaf);
            let target = |_| ChallengeTarget::BatchLeaf { provider, batch, index };
            ask(context, Asked::Provider, target, args.ask).await
        }
        ChallengeCommand::List { provider } => list(context, provider).await,
        ChallengeCommand::Conclude { challenge } => conclude(context, challenge).await,
    }
}

/// Who is asked.
enum Asked<'a> {
    /// Whoever runs this lease.
    Lease(&'a str),
    /// A provider that the target names.
    Provider,
}

/// An open challenge as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChallengeInfo {
    challenge: u64,
    #[serde(flatten)]
    target: TargetInfo,
    challenger: Address,
    provider: Address,
    deposit: Amount,
    until_block: u32,
    /// Whether its window is over: it can be concluded.
    is_over: bool,
}

/// What is asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum TargetInfo {
    Evidence { lease: LeaseId, replica: u16 },
    LogChunk { lease: LeaseId, replica: u16, chunk: u64 },
    BatchLeaf { batch: u64, leaf: u64 },
}

impl TargetInfo {
    fn of(target: &ChallengeTarget) -> Self {
        match *target {
            ChallengeTarget::Evidence { lease, replica } => Self::Evidence { lease, replica },
            ChallengeTarget::LogChunk { lease, replica, index } => {
                Self::LogChunk { lease, replica, chunk: index }
            }
            ChallengeTarget::BatchLeaf { batch, index, .. } => {
                Self::BatchLeaf { batch, leaf: index }
            }
        }
    }
}

async fn ask(
    context: &Context,
    asked: Asked<'_>,
    target: impl FnOnce(LeaseId) -> ChallengeTarget,
    args: AskArgs,
) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let lease = match asked {
        // Anybody's, settled or not: the chain says whether it can be asked about.
        Asked::Lease(text) => match text.parse::<LeaseId>() {
            Ok(lease) => lease,
            Err(_) => find(context, &chain, signer.address, Some(text)).await?.id,
        },
        Asked::Provider => LeaseId::default(),
    };
    let target = target(lease);
    let challenged = chain.challenge(&signer, &target, args.deposit_max.map(|most| most.0)).await?;
    let Challenged { challenge, deposit, until, .. } = challenged;
    let (provider, deposit) = (Address(challenged.provider), Amount(deposit));
    context.printer.note(format!(
        "{provider} has until block {until} to show {target}; the deposit of {deposit} is its own then"
    ));
    let outcome = match args.wait {
        true => {
            Some(wait(context, &chain, &challenged, Duration::from_secs(args.wait_timeout)).await?)
        }
        false => None,
    };
    let block = format!("0x{}", hex::encode(challenged.block_hash));
    let mut value = json!({
        "challenge": challenge, "provider": provider, "deposit": deposit, "untilBlock": until,
        "block": block, "outcome": outcome.map(Outcome::name),
    });
    merge(&mut value, &TargetInfo::of(&target))?;
    context.printer.data(&value, || {
        let mut lines = vec![
            ("challenge", challenge.to_string()),
            ("provider", provider.to_string()),
            ("deposit", deposit.to_string()),
            ("until block", until.to_string()),
        ];
        lines.extend(outcome.map(|outcome| ("outcome", outcome.name().to_owned())));
        fields(&lines)
    })?;
    match outcome {
        Some(Outcome::Unanswered) => fail(
            Failure::new(format!("challenge {challenge} was not answered in time"))
                .hint(format!("get the deposit back: casemate challenge conclude {challenge}")),
        ),
        Some(Outcome::Open) => fail(
            Failure::new(format!(
                "challenge {challenge} is not answered after {} seconds; its window is not over",
                args.wait_timeout
            ))
            .hint("see how it stands: casemate challenge list"),
        ),
        _ => Ok(()),
    }
}

/// What was seen of a challenge.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Outcome {
    Answered,
    Unanswered,
    Open,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
            Self::Open => "open",
        }
    }
}

/// Waits for the answer, the end of the window, or until it has waited long enough.
async fn wait(
    context: &Context,
    chain: &Chain,
    challenged: &Challenged,
    timeout: Duration,
) -> anyhow::Result<Outcome> {
    context.printer.note("Waiting for the answer");
    // Without one where it would be after the end of time.
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let (block, open) = chain.open_challenge(challenged.challenge).await?;
        match open {
            // Only an answer ends it before its window is over; and it is looked at far more often
            // than the shortest window is long.
            None => return Ok(Outcome::Answered),
            Some(_) if block > challenged.until => return Ok(Outcome::Unanswered),
            Some(_) if deadline.is_some_and(|at| Instant::now() >= at) => return Ok(Outcome::Open),
            Some(_) => tokio::time::sleep(POLL).await,
        }
    }
}

async fn list(context: &Context, provider: Option<Address>) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let open = chain.challenges(provider).await?;
    let info = |view: &ChallengeView| ChallengeInfo {
        challenge: view.id,
        target: TargetInfo::of(&view.target),
        challenger: Address(view.challenger),
        provider: Address(view.provider),
        deposit: Amount(view.deposit),
        until_block: view.until,
        is_over: open.block > view.until,
    };
    let infos: Vec<ChallengeInfo> = open.challenges.iter().map(info).collect();
    let value = json!({ "block": open.block, "challenges": infos });
    context.printer.data(&value, || {
        if open.challenges.is_empty() {
            return "No challenge is open".to_owned();
        }
        let rows: Vec<Vec<String>> = open.challenges.iter().zip(&infos).map(row).collect();
        let heading = ["ID", "ASKED FOR", "PROVIDER", "CHALLENGER", "DEPOSIT", "UNTIL BLOCK"];
        table(&heading, &rows)
    })
}

fn row((view, info): (&ChallengeView, &ChallengeInfo)) -> Vec<String> {
    let over = if info.is_over { " (over)" } else { "" };
    vec![
        view.id.to_string(),
        view.target.to_string(),
        info.provider.to_string(),
        info.challenger.to_string(),
        info.deposit.to_string(),
        format!("{}{over}", view.until),
    ]
}

async fn conclude(context: &Context, challenge: u64) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let (block, open) = chain.open_challenge(challenge).await?;
    match open {
        None => {
            return fail(
                Failure::new(format!("there is no open challenge {challenge}"))
                    .hint("see which are open: casemate challenge list"),
            );
        }
        // The block that takes the call is a later one than the newest that is final.
        Some(open) if block < open.until => {
            return fail(
                Failure::new(format!(
                    "challenge {challenge} may still be answered: until block {}, and it is {block}",
                    open.until
                ))
                .hint("try again when that block has passed"),
            );
        }
        Some(_) => (),
    }
    let (block, conclusion) = chain.conclude(&signer, challenge).await?;
    let mut value = json!({ "challenge": challenge, "block": block });
    let shown = match conclusion {
        Conclusion::Lost { slashed, rewarded, returned } => {
            let [slashed, rewarded, returned] = [slashed, rewarded, returned].map(Amount);
            context.printer.note("The provider was silent");
            let rest = json!({
                "conclusion": "lost", "slashed": slashed, "rewarded": rewarded,
                "returned": returned,
            });
            merge(&mut value, &rest)?;
            vec![
                ("slashed", slashed.to_string()),
                ("to challenger", rewarded.to_string()),
                ("to lease", returned.to_string()),
            ]
        }
        Conclusion::Void => {
            context
                .printer
                .note("Nobody has lost: the lease was closed, or its agent's standing had ended");
            merge(&mut value, &json!({ "conclusion": "void" }))?;
            vec![("slashed", "nothing".to_owned())]
        }
    };
    context.printer.data(&value, || fields(&shown))
}

/// Puts the fields of one object into another.
fn merge(value: &mut serde_json::Value, more: &impl Serialize) -> anyhow::Result<()> {
    if let (Some(into), serde_json::Value::Object(more)) =
        (value.as_object_mut(), serde_json::to_value(more)?)
    {
        into.extend(more);
    }
    Ok(())
}
