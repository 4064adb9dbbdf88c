//! `casemate deploy` and `casemate quotes`

use casemate_client::{api::AddressInfo, chain::TaskView};
use casemate_primitives::{DeploymentId, LeaseId, Schedule, TaskTerms};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{notes, provider_of, task, terms::TermsInfo, wait_ready};
use crate::{
    address::Address,
    amount::Amount,
    asset::{AnyAmount, Unit},
    chain_ops::{Chain, Opened},
    cli::{DeployArgs, OfferArgs, QuotesArgs},
    commands::{
        cluster::ensure_attested,
        offers::{Offer, OfferInfo, Payment, Priced, Verdict, ask, offers_table, terms_text},
        secret::{Followed, Released, follow, name_releaser},
    },
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    manifest_file::{self, Prepared},
    printer::{fields, printable},
    state::LeaseNote,
};

/// A new lease as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deployed {
    lease: LeaseId,
    deployment: DeploymentId,
    name: String,
    provider: Address,
    manifest_hash: String,
    asset: String,
    price_per_hour: Amount,
    deposit: Amount,
    spend_rate_max: Amount,
    terms: TermsInfo,
    block: String,
    ready: bool,
    addresses: Vec<AddressInfo>,
    /// How it ended for each replica, where secrets were released.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Released>,
}

/// Everything that is needed before money is spent.
struct Asked {
    chain: Chain,
    signer: Signer,
    passphrase: Zeroizing<String>,
    prepared: Prepared,
    offers: Vec<Offer>,
    unit: Unit,
    /// What a Task's manifest asks the chain for.
    wanted: Option<(Schedule, TaskTerms)>,
}

pub(crate) async fn quotes(context: &Context, args: &QuotesArgs) -> anyhow::Result<()> {
    let asked = ask_providers(context, &args.file, &args.offer, (None, None)).await?;
    show_offers(context, &asked.offers, &asked.unit)
}

pub(crate) async fn run(context: &Context, args: &DeployArgs) -> anyhow::Result<()> {
    let payment = (args.deposit.as_ref(), args.spend_rate.as_ref());
    let asked = ask_providers(context, &args.file, &args.offer, payment).await?;
    let moved = match args.task {
        Some(task) => Some(to_move(context, &asked, task).await?),
        None => None,
    };
    if args.dry_run {
        return show_offers(context, &asked.offers, &asked.unit);
    }
    context.printer.note(offers_table(&asked.offers, &asked.unit).trim_end());
    let Asked { chain, signer, passphrase, prepared, offers, unit, wanted } = asked;
    let Some((provider, priced)) = cheapest(&offers) else {
        return fail(nobody());
    };
    let attested = args.offer.attested_cluster;
    let terms = TermsInfo::of(&priced.quote.quote.terms);
    context.printer.note(format!("\nTerms:\n{}", fields(&terms.lines(&unit)).trim_end()));
    ensure_attested(context, &chain, &prepared.manifest, attested, provider).await?;
    let opened = open(context, &chain, &signer, &prepared, priced, &unit, (wanted, moved)).await?;
    let name = prepared.manifest.metadata.name.clone();
    let note = LeaseNote {
        lease: opened.lease,
        deployment: opened.deployment,
        name: name.clone(),
        manifest: prepared.canonical.clone(),
    };
    // The money is in: from here on nothing of ours may hide the lease's number.
    notes(context, &chain).remember_provider(opened.lease, provider);
    if let Err(error) = notes(context, &chain).put(&note) {
        context.printer.warn(format!(
            "lease {} is open, but its name could not be remembered: {error:#}",
            opened.lease
        ));
    }
    context.printer.note(format!("Lease {} is open for `{name}`", opened.lease));

    let mut deployed = Deployed {
        lease: opened.lease,
        deployment: opened.deployment,
        name,
        provider,
        manifest_hash: format!("0x{}", hex::encode(prepared.reference.hash)),
        asset: unit.symbol(),
        price_per_hour: Amount(priced.per_hour),
        deposit: Amount(priced.deposit),
        spend_rate_max: Amount(priced.spend_rate_max),
        terms,
        block: opened.block,
        ready: false,
        addresses: Vec::new(),
        secrets: Vec::new(),
    };
    let followed = follow(
        context,
        &chain,
        (&signer, &passphrase),
        opened.lease,
        &prepared,
        &args.release,
        args.timeout.duration(),
    );
    let Followed { infos, result: mut outcome } = followed.await;
    deployed.secrets = infos;
    // Without its secrets it does not get ready.
    let is_task = prepared.manifest.spec.task.is_some();
    if is_task {
        // Between its runs nothing is there to be ready.
        context.printer.note(format!("See how it runs: casemate task runs {}", opened.deployment));
    } else if args.wait && outcome.is_ok() {
        let ready = async {
            let client = provider_of(context, &chain, &signer, provider).await?;
            wait_ready(context, &client, opened.lease, 1, args.timeout.duration()).await
        };
        match ready.await {
            Ok(status) => {
                deployed.ready = true;
                deployed.addresses = status.addresses;
            }
            // The lease is shown all the same.
            Err(error) => outcome = Err(error),
        }
    } else {
        context.printer.note(format!("See how it starts: casemate status {}", opened.lease));
    }
    show_deployed(context, &deployed, &unit)?;
    outcome
}

/// The task that a lease is asked for, whose manifest this is.
async fn to_move(context: &Context, asked: &Asked, task: DeploymentId) -> anyhow::Result<TaskView> {
    let Some(wanted) = &asked.wanted else {
        return fail(
            Failure::usage("--task is for manifests of `kind: Task`")
                .hint("leave it out to deploy a service"),
        );
    };
    let found = task::own(&asked.chain, &asked.signer, task).await?;
    let deployment = asked.chain.client().deployment(task).await?;
    let hash = &asked.prepared.reference.hash;
    if let Some(note) = task::takeover::check(&found, deployment.as_ref(), wanted, hash)? {
        context.printer.note(note);
    }
    Ok(found)
}

/// Opens the lease: of a service with its deployment; of a task after the task was created, or for one
/// that is there, whose lease before is closed with it.
async fn open(
    context: &Context,
    chain: &Chain,
    signer: &Signer,
    prepared: &Prepared,
    priced: &Priced,
    unit: &Unit,
    (wanted, moved): (Option<(Schedule, TaskTerms)>, Option<TaskView>),
) -> anyhow::Result<Opened> {
    let Priced { quote, deposit, spend_rate_max, .. } = priced;
    let manifest = prepared.reference;
    let Some((schedule, terms)) = wanted else {
        return chain.deploy(signer, manifest, quote, (*deposit, unit), *spend_rate_max).await;
    };
    if *deposit < terms.budget_per_run {
        let (deposit, budget) = (unit.text(*deposit), unit.text(terms.budget_per_run));
        return fail(
            Failure::usage(format!(
                "a deposit of {deposit} is less than the budget of one run, {budget}: none would begin"
            ))
            .hint("give more with --deposit, or lower `spec.task.runBudget`"),
        );
    }
    let Some(found) = moved else {
        let id = chain.create_task(signer, manifest, schedule, terms, (*deposit, unit)).await?;
        let opened = chain.open_task_lease(
            signer,
            (id, None, None),
            quote,
            (*deposit, unit),
            *spend_rate_max,
        );
        return opened.await.or_fail(|| {
            Failure::new(format!("task {id} is there, but no lease runs it"))
                .hint(format!("try again: casemate deploy FILE --task {id}"))
        });
    };
    let id = found.id;
    let (found, _) = task::record_lost(context, chain, signer, found).await?;
    // Its runs end with it; from then on the next one is for the new provider.
    let closes = task::live_lease(chain, signer, &found).await?;
    // A budget counts in the asset of the lease that pays it.
    let terms = (found.terms != terms).then_some(terms);
    if let Some(terms) = terms {
        let budget = unit.text(terms.budget_per_run);
        context
            .printer
            .note(format!("Runs of task {id} are paid at most {budget} each from now on"));
    }
    let opened = chain.open_task_lease(
        signer,
        (id, closes, terms),
        quote,
        (*deposit, unit),
        *spend_rate_max,
    );
    opened.await.or_fail(|| {
        let stays = closes.map_or_else(
            || "no lease runs it".to_owned(),
            |lease| format!("lease {lease} goes on as before"),
        );
        Failure::new(format!("task {id} has no new lease; {stays}"))
            .hint("do what the reason above asks for, and try again")
    })
}

async fn ask_providers(
    context: &Context,
    file: &std::path::Path,
    args: &OfferArgs,
    (deposit, spend_rate): (Option<&AnyAmount>, Option<&AnyAmount>),
) -> anyhow::Result<Asked> {
    let mut manifest = manifest_file::read(file)?;
    let (signer, passphrase, log_seed) = context.signer_and_log_seed()?;
    let chain = Chain::connect(context).await?;
    let unit = match args.pay_in.as_deref() {
        Some(symbol) => chain.unit_named(symbol).await?,
        None => Unit::Native,
    };
    let deposit = deposit.map(|amount| unit.read(amount)).transpose()?;
    let spend_rate = spend_rate.map(|amount| unit.read(amount)).transpose()?;
    // What the chain would refuse is told before anybody is asked, also where nothing is opened.
    let wanted = task::wanted(&manifest, &unit, chain.time().await?)?;
    let log_secret = log_seed.secret(&chain.genesis_hash());
    manifest_file::seal_logs(context, &mut manifest, &log_secret, args.plain_logs)?;
    name_releaser(context, &signer, &passphrase, &mut manifest)?;
    let prepared = manifest_file::prepare(context, manifest, args.name.as_deref()).await?;
    let payment = Payment { unit: &unit, deposit, spend_rate };
    let offers = ask(context, &chain, &signer, &prepared, args, payment).await?;
    Ok(Asked { chain, signer, passphrase, prepared, offers, unit, wanted })
}

/// The first of the sorted offers that is one.
fn cheapest(offers: &[Offer]) -> Option<(Address, &Priced)> {
    offers.iter().find_map(|offer| match &offer.verdict {
        Verdict::Quoted(priced) => Some((Address(offer.provider.account), &**priced)),
        Verdict::Refused(_) => None,
    })
}

fn show_offers(context: &Context, offers: &[Offer], unit: &Unit) -> anyhow::Result<()> {
    let infos: Vec<OfferInfo> = offers.iter().map(|offer| OfferInfo::new(offer, unit)).collect();
    context.printer.data(&infos, || offers_table(offers, unit) + &terms_text(offers, unit))?;
    if cheapest(offers).is_none() {
        return fail(nobody());
    }
    Ok(())
}

fn nobody() -> Failure {
    Failure::new("no provider takes this manifest")
        .hint("change what the reasons above name, or try again later")
}

fn show_deployed(context: &Context, deployed: &Deployed, unit: &Unit) -> anyhow::Result<()> {
    context.printer.data(deployed, || {
        let mut lines = vec![
            ("lease", deployed.lease.to_string()),
            ("name", deployed.name.clone()),
            ("provider", deployed.provider.to_string()),
            ("per hour", unit.text(deployed.price_per_hour.0)),
            ("deposit", unit.text(deployed.deposit.0)),
        ];
        for address in &deployed.addresses {
            lines.push(("address", printable(&address.address)));
        }
        fields(&lines)
    })
}
