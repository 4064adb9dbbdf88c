//! `casemate provider`

mod change;
mod profile;

use casemate_client::chain::ProviderView;
use casemate_primitives::{Resources, UnixSeconds};
use serde::Serialize;

use crate::{
    address::Address,
    amount::Amount,
    chain_ops::Chain,
    cli::ProviderCommand,
    commands::{cluster::ClusterInfo, offers::duration_text},
    context::Context,
    failure::{Failure, OrFail as _, fail},
    manifest_file::resources_text,
    printer::{fields, printable, table},
};
use profile::Profile;

/// A provider as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderInfo {
    account: Address,
    name: String,
    regions: Vec<String>,
    endpoints: Vec<String>,
    tee_kinds: Vec<String>,
    capacity: ResourcesInfo,
    used: ResourcesInfo,
    stake: Amount,
    unbonding: Vec<UnbondingInfo>,
    live_leases: u32,
    cluster: ClusterInfo,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UnbondingInfo {
    amount: Amount,
    unlocks_at: u64,
}

use casemate_client::api::ResourcesInfo;

impl ProviderInfo {
    /// At this time of the chain's clock.
    fn of(view: &ProviderView, now: UnixSeconds) -> Self {
        let texts = |list: &[String]| list.iter().map(|text| printable(text)).collect();
        Self {
            account: Address(view.account),
            name: printable(&view.name),
            regions: texts(&view.regions),
            endpoints: texts(&view.endpoints),
            tee_kinds: texts(&view.tee_kinds),
            capacity: view.capacity.into(),
            used: view.used.into(),
            stake: Amount(view.stake),
            unbonding: view
                .unbonding
                .iter()
                .map(|u| UnbondingInfo { amount: Amount(u.amount), unlocks_at: u.unlocks_at })
                .collect(),
            live_leases: view.live_leases,
            cluster: ClusterInfo::of(view, now),
        }
    }
}

pub(super) async fn run(context: &Context, command: ProviderCommand) -> anyhow::Result<()> {
    match command {
        ProviderCommand::List => list(context).await,
        ProviderCommand::Notice { lease } => change::notice(context, &lease).await,
        ProviderCommand::Amend(args) => change::amend(context, &args).await,
        ProviderCommand::Status { account } => status(context, account).await,
        ProviderCommand::Register(args) => {
            let profile = Profile::read(&args.profile, args.stake)?;
            // All that can be wrong is found before a passphrase is asked for.
            let stake = profile.stake()?;
            let (info, capacity, price_lists) = profile.build(None)?;
            let signer = context.signer()?;
            let chain = Chain::connect(context).await?;
            let block = chain.register(&signer, info, capacity, price_lists, stake.0).await?;
            done(context, signer.address, &block, &format!("Registered with {stake} at stake"))
        }
        ProviderCommand::Update(args) => {
            let profile = Profile::read(&args, None)?;
            let signer = context.signer()?;
            let chain = Chain::connect(context).await?;
            let now = registered(&chain, signer.address).await?;
            let (info, capacity, price_lists) = profile.build(Some(&now))?;
            let block = chain.update_provider(&signer, info, capacity, price_lists).await?;
            done(context, signer.address, &block, "The registry has what you offer now")
        }
        ProviderCommand::Bond { amount } => {
            let signer = context.signer()?;
            let chain = Chain::connect(context).await?;
            let block = chain.bond(&signer, amount.0).await?;
            done(context, signer.address, &block, &format!("{amount} more at stake"))
        }
        ProviderCommand::Unbond { amount } => {
            let signer = context.signer()?;
            let chain = Chain::connect(context).await?;
            let block = chain.unbond(&signer, amount.0).await?;
            done(
                context,
                signer.address,
                &block,
                &format!("{amount} is on its way out of the stake; see: casemate provider status"),
            )
        }
        ProviderCommand::Withdraw => {
            let signer = context.signer()?;
            let chain = Chain::connect(context).await?;
            let block = chain.withdraw(&signer).await?;
            done(context, signer.address, &block, "What had unlocked is yours to spend")
        }
        ProviderCommand::Retire => {
            let signer = context.signer()?;
            let chain = Chain::connect(context).await?;
            let block = chain.retire(&signer).await?;
            done(
                context,
                signer.address,
                &block,
                "Retired; get the stake when it has unlocked: casemate provider withdraw",
            )
        }
    }
}

fn done(context: &Context, account: Address, block: &str, note: &str) -> anyhow::Result<()> {
    context.printer.note(note);
    let value = serde_json::json!({ "account": account, "block": block });
    context.printer.data(&value, || format!("in block {block}"))
}

async fn registered(chain: &Chain, account: Address) -> anyhow::Result<ProviderView> {
    chain.provider(account).await?.or_fail(|| {
        Failure::new(format!("{account} is not registered as a provider"))
            .hint("register it: casemate provider register --file provider.toml")
    })
}

async fn status(context: &Context, account: Option<Address>) -> anyhow::Result<()> {
    let account = match account {
        Some(account) => account,
        None => context.own_address()?,
    };
    let chain = Chain::connect(context).await?;
    let view = registered(&chain, account).await?;
    let now = chain.time().await?;
    let info = ProviderInfo::of(&view, now);
    context.printer.data(&info, || {
        let mut lines = vec![
            ("account", info.account.to_string()),
            ("name", info.name.clone()),
            ("regions", info.regions.join(", ")),
            ("endpoints", info.endpoints.join(", ")),
            ("tee kinds", info.tee_kinds.join(", ")),
            ("capacity", resources_text(&view.capacity)),
            ("in leases", resources_text(&view.used)),
            ("leases", info.live_leases.to_string()),
            ("stake", info.stake.to_string()),
        ];
        lines.extend(info.cluster.lines(now));
        for part in &info.unbonding {
            let left = part.unlocks_at.saturating_sub(now);
            let when = match left {
                0 => "unlocked: casemate provider withdraw".to_owned(),
                left => format!("unlocks in {}", duration_text(left)),
            };
            lines.push(("unbonding", format!("{}, {when}", part.amount)));
        }
        fields(&lines)
    })
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let mut views = chain.providers().await?;
    views.sort_by_key(|view| view.account);
    let now = chain.time().await?;
    let infos: Vec<ProviderInfo> = views.iter().map(|view| ProviderInfo::of(view, now)).collect();
    if infos.is_empty() {
        context.printer.note("No provider is registered. Be one: casemate provider register");
    }
    context.printer.data(&infos, || {
        if infos.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<String>> = views
            .iter()
            .zip(&infos)
            .map(|(view, info)| {
                let free = view.capacity.checked_sub(&view.used).unwrap_or_default();
                vec![
                    info.name.clone(),
                    info.account.to_string(),
                    info.regions.join(","),
                    resources_text(&free),
                    info.cluster.cell(),
                    info.live_leases.to_string(),
                    info.stake.to_string(),
                ]
            })
            .collect();
        table(&["NAME", "ACCOUNT", "REGIONS", "FREE", "CLUSTER", "LEASES", "STAKE"], &rows)
    })
}

/// Nothing on offer is a mistake, not an offer.
fn check_capacity(capacity: &Resources) -> anyhow::Result<()> {
    if capacity.cpu_millicores == 0 || capacity.memory_mib == 0 {
        return fail(
            Failure::usage("a provider without cpu or memory can run nothing")
                .hint("give --cpu and --memory, or [capacity] in the file"),
        );
    }
    Ok(())
}
