//! Asking providers for quotes, and choosing among them.

use std::{cmp::Reverse, sync::Arc};

use casemate_client::{
    chain::{ProviderView, ReputationView},
    provider::{ProviderClient, QuoteWanted, SignedQuote},
};
use casemate_primitives::{Asset, Balance, Hash256, Quote};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use subxt_signer::sr25519::Keypair;

use crate::{
    address::Address,
    amount::Amount,
    asset::{NATIVE, Unit},
    chain_ops::Chain,
    cli::OfferArgs,
    commands::{
        cluster::ClusterDemand,
        lease::terms::TermsInfo,
        reputation::{self, ReputationInfo},
    },
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    manifest_file::{Prepared, resources, resources_text},
    printer::{fields, printable, table},
};

/// Requests under way at once: enough to hide the slow ones, few enough for any machine.
const REQUESTS_MAX: usize = 32;

/// Longest notice that is taken unasked: so long may a provider keep the unspent money after the
/// end.
const NOTICE_SECONDS_MAX: u32 = 24 * 3600;

/// Hours that a provider may want paid ahead, unless the publisher names a deposit.
const DEPOSIT_HOURS_MAX: Balance = 24;

/// What one provider says.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) provider: ProviderView,
    /// What it has earned and lost so far.
    pub(crate) reputation: ReputationView,
    pub(crate) verdict: Verdict,
}

/// Whether it would take the manifest.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It signed a quote.
    Quoted(Box<Priced>),
    /// It would not, or it was not asked.
    Refused(String),
}

/// A quote and what it comes to.
#[derive(Debug)]
pub(crate) struct Priced {
    pub(crate) quote: SignedQuote,
    /// Of all replicas, without traffic.
    pub(crate) per_second: Balance,
    pub(crate) per_hour: Balance,
    /// What the lease is opened with.
    pub(crate) deposit: Balance,
    /// Most that may be spent in a second.
    pub(crate) spend_rate_max: Balance,
}

/// What the publisher wants to pay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payment<'a> {
    /// What in.
    pub(crate) unit: &'a Unit,
    /// Deposit, if named.
    pub(crate) deposit: Option<Balance>,
    /// Spend rate, if named.
    pub(crate) spend_rate: Option<Balance>,
}

impl Default for Payment<'_> {
    fn default() -> Self {
        Self { unit: &NATIVE, deposit: None, spend_rate: None }
    }
}

/// Asks every provider that could take it, the cheapest first in the answer.
pub(crate) async fn ask(
    context: &Context,
    chain: &Chain,
    signer: &Signer,
    prepared: &Prepared,
    wanted: &OfferArgs,
    payment: Payment<'_>,
) -> anyhow::Result<Vec<Offer>> {
    let providers = match wanted.provider {
        Some(account) => {
            let found = chain.provider(account).await?.or_fail(|| {
                Failure::new(format!("{account} is not registered as a provider"))
                    .hint("see who is: casemate provider list")
            })?;
            vec![found]
        }
        None => chain.providers().await?,
    };
    if providers.is_empty() {
        return fail(
            Failure::new("no provider is registered on this chain")
                .hint("be one yourself: casemate provider register; or run casemate dev"),
        );
    }
    // After the providers were read, so that what has ended since does not count.
    let demand = ClusterDemand::read(chain, &prepared.manifest, wanted.attested_cluster).await?;
    context.printer.note(format!("Asking {}", count(providers.len(), "provider")));
    let genesis_hash = chain.genesis_hash();
    let asked = Asked {
        genesis_hash,
        signer,
        prepared,
        demand: demand.as_ref(),
        asset: payment.unit.asset(),
    };
    let accounts: Vec<_> = providers.iter().map(|provider| provider.account).collect();
    let reputations = chain.reputations(&accounts).await?;
    let mut offers = ask_each(context, providers, asked, payment).await;
    for offer in &mut offers {
        offer.reputation = reputations.get(&offer.provider.account).copied().unwrap_or_default();
    }
    Ok(offers)
}

/// What providers are asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    genesis_hash: Hash256,
    signer: &'a Signer,
    prepared: &'a Prepared,
    /// What must hold of their clusters.
    demand: Option<&'a ClusterDemand>,
    /// What they are paid in.
    asset: Asset,
}

/// Asks these providers at once.
async fn ask_each(
    context: &Context,
    providers: Vec<ProviderView>,
    asked: Asked<'_>,
    payment: Payment<'_>,
) -> Vec<Offer> {
    let key = Arc::new(asked.signer.keypair.clone());
    let mut offers: Vec<Offer> = stream::iter(providers)
        .map(|provider| {
            let key = Arc::clone(&key);
            async move {
                let verdict = match ask_one(context, &provider, key, asked).await {
                    Ok(quote) => price(quote, payment),
                    Err(reason) => Verdict::Refused(reason),
                };
                Offer { provider, reputation: ReputationView::default(), verdict }
            }
        })
        .buffer_unordered(REQUESTS_MAX)
        .collect()
        .await;
    offers.sort_by_key(|offer| {
        let cost = match &offer.verdict {
            Verdict::Quoted(priced) => Some(Reverse(priced.per_second)),
            Verdict::Refused(_) => None,
        };
        (Reverse(cost), offer.provider.account)
    });
    offers
}

/// One provider's quote, or why there is none.
async fn ask_one(
    context: &Context,
    provider: &ProviderView,
    key: Arc<Keypair>,
    asked: Asked<'_>,
) -> Result<SignedQuote, String> {
    let Asked { genesis_hash, prepared, demand, asset, .. } = asked;
    // Who is left out does not get to see the manifest.
    demand.map_or(Ok(()), |demand| demand.check(provider))?;
    let needs = resources(&prepared.manifest);
    let replicas = prepared.manifest.spec.replicas;
    let all = needs.checked_mul(u32::from(replicas)).ok_or("it needs more than there can be")?;
    let free = provider.capacity.checked_sub(&provider.used).unwrap_or_default();
    if !all.fits_in(&free) {
        return Err(format!(
            "not enough free capacity: {} wanted, {} free",
            resources_text(&all),
            resources_text(&free)
        ));
    }
    if provider.endpoints.is_empty() {
        return Err("it has registered no endpoint".to_owned());
    }
    let mut reason = "its endpoints are not among those that you allow".to_owned();
    let wanted = QuoteWanted { manifest: &prepared.canonical, resources: needs, replicas, asset };
    for endpoint in provider.endpoints.iter().filter(|e| context.settings.allows_endpoint(e)) {
        let answer =
            match ProviderClient::new(endpoint, provider.account, genesis_hash, Arc::clone(&key)) {
                Ok(client) => client.quote(&wanted).await,
                Err(e) => Err(e),
            };
        match answer {
            Ok(quote) => return Ok(quote),
            // Another endpoint of the same provider would refuse, too.
            Err(e) if e.refusal_code().is_some() => return Err(with_hint(&e)),
            Err(e) => reason = with_hint(&e),
        }
    }
    Err(reason)
}

fn with_hint(error: &casemate_client::provider::ProviderError) -> String {
    let hint = error.hint();
    let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
    printable(&format!("{error}{hint}"))
}

/// What a quote comes to, and whether its terms are those that a publisher would take unseen.
fn price(quote: SignedQuote, payment: Payment<'_>) -> Verdict {
    match try_price(quote, payment) {
        Ok(priced) => Verdict::Quoted(Box::new(priced)),
        Err(reason) => Verdict::Refused(reason),
    }
}

fn try_price(quote: SignedQuote, payment: Payment<'_>) -> Result<Priced, String> {
    let terms = &quote.quote.terms;
    let unit = payment.unit;
    if terms.asset != unit.asset() {
        return Err("it wants to be paid in another asset".to_owned());
    }
    if terms.notice_seconds > NOTICE_SECONDS_MAX {
        return Err(format!(
            "it would keep the unspent money for {} after the end; more than {} is not taken",
            duration_text(u64::from(terms.notice_seconds)),
            duration_text(u64::from(NOTICE_SECONDS_MAX)),
        ));
    }
    let overflow = || "its price is more money than there is".to_owned();
    let Quote { resources, replicas, .. } = &quote.quote;
    let per_second = terms.per_second(resources, *replicas).ok_or_else(overflow)?;
    let per_hour = per_second.checked_mul(3600).ok_or_else(overflow)?;
    let deposit = match payment.deposit {
        Some(deposit) if deposit < terms.deposit_min => {
            return Err(format!("it wants a deposit of at least {}", unit.text(terms.deposit_min)));
        }
        Some(deposit) => deposit,
        None if terms.deposit_min > per_hour.saturating_mul(DEPOSIT_HOURS_MAX) => {
            return Err(format!(
                "it wants a deposit of {}, more than {DEPOSIT_HOURS_MAX} hours' price; agree with \
                 --deposit",
                unit.text(terms.deposit_min)
            ));
        }
        None => per_hour.max(terms.deposit_min).max(unit.deposit_min()),
    };
    let spend_rate_max = match payment.spend_rate {
        Some(rate) if rate < per_second => {
            return Err(format!(
                "it costs {} a second, more than your --spend-rate",
                unit.text(per_second)
            ));
        }
        Some(rate) => rate,
        // A little headroom for traffic.
        None => per_second.checked_mul(2).ok_or_else(overflow)?,
    };
    Ok(Priced { quote, per_second, per_hour, deposit, spend_rate_max })
}

/// An offer as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfferInfo {
    provider: Address,
    name: String,
    regions: Vec<String>,
    accepted: bool,
    asset: Option<String>,
    price_per_second: Option<Amount>,
    price_per_hour: Option<Amount>,
    deposit: Option<Amount>,
    deposit_min: Option<Amount>,
    spend_rate_max: Option<Amount>,
    notice_seconds: Option<u32>,
    grace_seconds: Option<u32>,
    /// All that the publisher agrees to.
    terms: Option<TermsInfo>,
    reputation: ReputationInfo,
    expires_at: Option<u64>,
    reason: Option<String>,
}

impl OfferInfo {
    pub(crate) fn new(offer: &Offer, unit: &Unit) -> Self {
        let (priced, reason) = match &offer.verdict {
            Verdict::Quoted(priced) => (Some(priced), None),
            Verdict::Refused(reason) => (None, Some(reason.clone())),
        };
        let terms = priced.map(|p| p.quote.quote.terms);
        Self {
            provider: Address(offer.provider.account),
            name: printable(&offer.provider.name),
            regions: offer.provider.regions.iter().map(|r| printable(r)).collect(),
            accepted: priced.is_some(),
            asset: priced.map(|_| unit.symbol()),
            price_per_second: priced.map(|p| Amount(p.per_second)),
            price_per_hour: priced.map(|p| Amount(p.per_hour)),
            deposit: priced.map(|p| Amount(p.deposit)),
            deposit_min: terms.map(|t| Amount(t.deposit_min)),
            spend_rate_max: priced.map(|p| Amount(p.spend_rate_max)),
            notice_seconds: terms.map(|t| t.notice_seconds),
            grace_seconds: terms.map(|t| t.grace_seconds),
            terms: terms.map(|terms| TermsInfo::of(&terms)),
            reputation: ReputationInfo::of(&offer.reputation),
            expires_at: priced.map(|p| p.quote.quote.expires_at),
            reason,
        }
    }
}

/// The terms of the quotes, those that are the same once.
pub(crate) fn terms_text(offers: &[Offer], unit: &Unit) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for offer in offers {
        let Verdict::Quoted(priced) = &offer.verdict else { continue };
        let terms = fields(&TermsInfo::of(&priced.quote.quote.terms).lines(unit));
        let name = printable(&offer.provider.name);
        match groups.iter_mut().find(|(known, _)| *known == terms) {
            Some((_, names)) => names.push(name),
            None => groups.push((terms, vec![name])),
        }
    }
    let text = groups.iter().map(|(terms, names)| {
        let lines: Vec<String> = terms.lines().map(|line| format!("  {line}\n")).collect();
        format!("\nTerms of {}:\n{}", names.join(", "), lines.concat())
    });
    text.collect()
}

/// All offers as a table.
pub(crate) fn offers_table(offers: &[Offer], unit: &Unit) -> String {
    let rows: Vec<Vec<String>> = offers
        .iter()
        .map(|offer| {
            let (price, deposit, verdict) = match &offer.verdict {
                Verdict::Quoted(p) => {
                    (unit.text(p.per_hour), unit.text(p.deposit), "takes it".into())
                }
                Verdict::Refused(reason) => ("-".to_owned(), "-".to_owned(), reason.clone()),
            };
            let name = printable(&offer.provider.name);
            let score = reputation::cell(&offer.reputation);
            vec![name, Address(offer.provider.account).to_string(), price, deposit, score, verdict]
        })
        .collect();
    table(&["PROVIDER", "ACCOUNT", "PER HOUR", "DEPOSIT", "REPUTATION", "VERDICT"], &rows)
}

/// `1 thing`, `2 things`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Seconds for people, by the two largest units.
pub(crate) fn duration_text(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, 0) => format!("{m}m"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, 0, _) => format!("{h}h"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, 0, _, _) => format!("{d}d"),
        (d, h, _, _) => format!("{d}d {h}h"),
    }
}

#[cfg(test)]
mod tests;
