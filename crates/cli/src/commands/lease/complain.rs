//! `casemate lease complain`, `complaints`, `withdraw-complaint` and `expire-complaint`

use std::{fs, io::Read as _};

use casemate_client::{api::Hex, chain::ComplaintView};
use casemate_primitives::{
    LeaseId, UnixSeconds, blake2_256,
    reputation::{ComplaintKind, Side},
};
use serde::Serialize;

use super::{dispute::any_lease, notes};
use crate::{
    address::Address,
    amount::Amount,
    chain_ops::Chain,
    cli::{ComplainArgs, ComplaintArgs, OfLeaseArgs},
    commands::offers::duration_text,
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::{fields, table},
};

/// Longest text of a complaint: arbiters are people.
const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// An open complaint as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComplaintInfo {
    complaint: u64,
    lease: LeaseId,
    kind: ComplaintKind,
    by: Side,
    author: Address,
    accused: Address,
    text_hash: String,
    deposit: Amount,
    until: UnixSeconds,
}

impl ComplaintInfo {
    pub(crate) fn of(view: &ComplaintView) -> Self {
        Self {
            complaint: view.id,
            lease: view.lease,
            kind: view.kind,
            by: view.by,
            author: Address(view.author),
            accused: Address(view.accused),
            text_hash: Hex(view.text_hash).to_string(),
            deposit: Amount(view.deposit),
            until: view.until,
        }
    }

    /// In a line.
    pub(super) fn text(&self, now: UnixSeconds) -> String {
        let Self { complaint, kind, by, .. } = self;
        let by = match by {
            Side::Publisher => "publisher",
            Side::Provider => "provider",
        };
        format!("{complaint} by the {by}: {}; {}", kind_text(*kind), self.time_text(now))
    }

    fn time_text(&self, now: UnixSeconds) -> String {
        match self.until.checked_sub(now) {
            Some(left) => format!("arbiters have {}", duration_text(left)),
            None => "the arbiters' time is over".to_owned(),
        }
    }
}

fn kind_text(kind: ComplaintKind) -> &'static str {
    match kind {
        ComplaintKind::Unavailable => "unavailable",
        ComplaintKind::Underperforming => "underperforming",
        ComplaintKind::DataLost => "data lost",
        ComplaintKind::TermsBroken => "terms broken",
        ComplaintKind::Abuse => "abuse",
        ComplaintKind::Other => "other",
    }
}

pub(crate) async fn complain(context: &Context, args: &ComplainArgs) -> anyhow::Result<()> {
    let text = text(args)?;
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let details = any_lease(context, &chain, &args.lease).await?;
    let lease = details.id;
    let own = signer.address.0;
    let accused = if own == details.publisher {
        Address(details.provider)
    } else if own == details.provider {
        Address(details.publisher)
    } else {
        return fail(
            Failure::new(format!("{} is not a side of lease {lease}", signer.address))
                .hint("choose the key of its publisher or provider with --account NAME"),
        );
    };
    let text_hash = blake2_256(text.as_bytes());
    // The arbiters can't do without it: it is written down before anything is paid.
    let path = notes(context, &chain).keep_complaint(lease, &text_hash, text.as_bytes())?;
    let deposit = chain.complaint_deposit(accused).await?;
    let kind = args.kind.into();
    let (complaint, block) = chain.complain(&signer, (lease, kind, text_hash), deposit).await?;
    let until = chain.complaint(complaint).await?.map(|complaint| complaint.until);
    context.printer.note(format!(
        "The text is kept in `{}`: show it to the arbiters, who know it by its hash",
        path.display()
    ));
    let hash = Hex(text_hash).to_string();
    let deposit = Amount(deposit);
    let value = serde_json::json!({
        "complaint": complaint, "lease": lease, "accused": accused, "textHash": hash,
        "deposit": deposit, "until": until, "block": block,
    });
    context.printer.data(&value, || {
        fields(&[
            ("complaint", complaint.to_string()),
            ("lease", lease.to_string()),
            ("accused", accused.to_string()),
            ("text hash", hash.clone()),
            ("deposit", deposit.to_string()),
            ("block", block.clone()),
        ])
    })
}

/// What the author says.
fn text(args: &ComplainArgs) -> anyhow::Result<String> {
    let text = match (&args.text, &args.text_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            let mut text = String::new();
            let file = fs::File::open(path).map(|file| file.take(TEXT_BYTES_MAX + 1));
            let read = file.and_then(|mut file| file.read_to_string(&mut text));
            read.or_fail(|| {
                Failure::usage(format!("cannot read the complaint in `{}`", path.display()))
            })?;
            text
        }
        (None, None) => String::new(),
    };
    if text.trim().is_empty() {
        return fail(
            Failure::usage("the complaint says nothing").hint("say what happened, and when"),
        );
    }
    if text.len() as u64 > TEXT_BYTES_MAX {
        return fail(
            Failure::usage(format!("the complaint is longer than {TEXT_BYTES_MAX} bytes"))
                .hint("say the essential, and where the rest is found"),
        );
    }
    Ok(text)
}

pub(crate) async fn list(context: &Context, args: &OfLeaseArgs) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    // A complaint outlives its lease, so a number is taken as it is.
    let lease = match args.lease.parse() {
        Ok(lease) => lease,
        Err(_) => any_lease(context, &chain, &args.lease).await?.id,
    };
    let found = chain.complaints_about(lease).await?;
    let infos: Vec<ComplaintInfo> = found.iter().map(ComplaintInfo::of).collect();
    if infos.is_empty() {
        context.printer.note(format!("No complaint about lease {lease} is open"));
    }
    let now = chain.time().await?;
    context.printer.data(&infos, || {
        if infos.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<String>> = infos
            .iter()
            .map(|info| {
                vec![
                    info.complaint.to_string(),
                    kind_text(info.kind).to_owned(),
                    info.author.to_string(),
                    info.deposit.to_string(),
                    info.time_text(now),
                    info.text_hash.clone(),
                ]
            })
            .collect();
        table(&["COMPLAINT", "KIND", "AUTHOR", "DEPOSIT", "TIME", "TEXT HASH"], &rows)
    })
}

pub(crate) async fn withdraw(context: &Context, args: ComplaintArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let block = chain.close_complaint(&signer, args.complaint).await?;
    context.printer.note("The deposit is free again, and no score changes");
    done(context, args.complaint, &block)
}

pub(crate) async fn expire(context: &Context, args: ComplaintArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let block = chain.expire_complaint(&signer, args.complaint).await?;
    context.printer.note("Nobody has decided: the deposit is its author's, and no score changes");
    done(context, args.complaint, &block)
}

fn done(context: &Context, complaint: u64, block: &str) -> anyhow::Result<()> {
    let value = serde_json::json!({ "complaint": complaint, "block": block });
    context.printer.data(&value, || format!("in block {block}"))
}

#[cfg(test)]
mod tests;
