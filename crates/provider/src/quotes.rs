//! Whether a manifest is taken on, and for how much.
//!
//! [`assess`] is pure. What an open offer promises (capacity, host names, TCP ports) is held back
//! until it expires or becomes a lease. Anybody can ask, so offers are short-lived, and bounded for
//! each account and in all: in number, and in the names that they keep from others
//! ([`check_held`]).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use casemate_client::{
    api::{AgentName, Refusal, RefusalCode},
    chain::{LeaseState, ProviderView},
};
use casemate_manifest::Manifest;
use casemate_primitives::{
    AccountBytes, Asset, Hash256, LeaseTerms, Quote, QuoteNonce, Resources, UnixSeconds,
};

use crate::{
    config::{Config, IngressConfig, RulesConfig},
    facts::{Facts, FactsCache, normal_host},
    spool::OpenQuote,
    world::World,
};

/// What is taken already.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Resources in leases and offers.
    pub resources: Resources,
    /// Host names and whose they are.
    pub hosts: HashMap<Box<str>, AccountBytes>,
    /// TCP ports.
    pub ports: BTreeSet<u16>,
}

/// One request for a quote.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub publisher: &'a AccountBytes,
    /// The manifest's bytes.
    pub manifest: &'a [u8],
    /// What is to be paid in.
    pub asset: Asset,
}

/// Reads a manifest that was handed over.
///
/// # Errors
/// It is not valid, not canonical, its images are not pinned, or it asks for secrets where
/// nothing `attests` pods.
pub fn read_manifest(bytes: &[u8], attests: bool) -> Result<(Manifest, Facts), Refusal> {
    let manifest = Manifest::from_json(bytes).map_err(|err| {
        refusal(
            RefusalCode::InvalidManifest,
            err.to_string(),
            "correct the manifest; `casemate deploy --dry-run` checks it without sending it",
        )
    })?;
    // The hash on chain is over these bytes: another spelling would be another hash.
    if manifest.to_canonical_json() != bytes {
        return Err(refusal(
            RefusalCode::InvalidManifest,
            "the manifest is not in its canonical form".into(),
            "send what `Manifest::to_canonical_json` gives; the CLI does",
        ));
    }
    if !manifest.is_pinned() {
        let images = manifest.spec.containers.iter().map(|container| &container.image);
        let loose: Vec<_> = images.filter(|i| !i.is_pinned()).map(|i| format!("`{i}`")).collect();
        return Err(refusal(
            RefusalCode::ImageNotPinned,
            format!("not pinned by digest: {}", loose.join(", ")),
            "write `image@sha256:…`; `casemate deploy` pins tags by itself",
        ));
    }
    manifest.validate_deployable().map_err(|err| {
        refusal(
            RefusalCode::InvalidManifest,
            err.to_string(),
            "name in `releasedBy` who releases the secrets; `casemate deploy` names you",
        )
    })?;
    if manifest.asks_for_secrets() && !attests {
        return Err(refusal(
            RefusalCode::AgainstRules,
            "the manifest asks for secrets, and this provider has no TEE for its pods".into(),
            "choose a provider whose pods are attested",
        ));
    }
    let facts = Facts::of(&manifest);
    Ok((manifest, facts))
}

/// What leases (`used` on chain) and offers hold, the publisher's own offers for the same manifest left out: a new
/// offer takes their place.
pub fn taken(
    world: &World,
    used: Resources,
    quotes: &[OpenQuote],
    facts: &FactsCache,
    asked: (&AccountBytes, &Hash256),
) -> Taken {
    let mut taken = Taken { resources: used, ..Taken::default() };
    for lease in world.snapshot.leases.values() {
        if matches!(lease.state, LeaseState::Closing { .. }) {
            continue;
        }
        if let Some(facts) = facts.get(&lease.manifest_hash) {
            taken.take_names(&facts, lease.publisher);
        }
    }
    taken.ports.extend(world.tcp_ports.values());
    for quote in quotes {
        if (&quote.publisher, &quote.manifest_hash) == asked {
            continue;
        }
        let Some(facts) = facts.get(&quote.manifest_hash) else { continue };
        taken.take_names(&facts, quote.publisher);
        let all = facts.resources.checked_mul(u32::from(quote.replicas));
        let sum = all.and_then(|all| taken.resources.checked_add(&all));
        // What overflows is more than there is.
        taken.resources = sum.unwrap_or(EVERYTHING);
    }
    taken
}

impl Taken {
    fn take_names(&mut self, facts: &Arc<Facts>, owner: AccountBytes) {
        for route in &facts.http {
            self.hosts.entry(route.host.clone()).or_insert(owner);
        }
        self.ports.extend(facts.tcp.iter().filter_map(|port| port.host_port));
    }
}

/// Checks a manifest against rules, names and capacity.
///
/// # Errors
/// Says what stands against it, and what to do.
pub fn assess(
    facts: &Facts,
    publisher: &AccountBytes,
    provider: &ProviderView,
    taken: &Taken,
    rules: &RulesConfig,
    ingress: &IngressConfig,
) -> Result<(), Refusal> {
    if facts.replicas > rules.replicas_max {
        return Err(refusal(
            RefusalCode::AgainstRules,
            format!(
                "{} replicas are asked for, at most {} are taken",
                facts.replicas, rules.replicas_max
            ),
            "ask for fewer replicas, or another provider",
        ));
    }
    if let Some(max) = &rules.pod_resources_max
        && !facts.resources.fits_in(max)
    {
        return Err(refusal(
            RefusalCode::AgainstRules,
            format!("a pod asks for {}; at most {} are taken", shown(&facts.resources), shown(max)),
            "ask for less, or another provider",
        ));
    }
    check_names(facts, publisher, taken, rules, ingress)?;
    let free = provider.capacity.checked_sub(&taken.resources).unwrap_or_default();
    let wanted = facts.resources.checked_mul(u32::from(facts.replicas));
    if !wanted.is_some_and(|wanted| wanted.fits_in(&free)) {
        return Err(refusal(
            RefusalCode::NoCapacity,
            format!(
                "{} × {} are asked for, {} are free",
                facts.replicas,
                shown(&facts.resources),
                shown(&free)
            ),
            "ask for less, wait, or ask another provider",
        ));
    }
    Ok(())
}

/// Checks that host names and ports can be had.
///
/// # Errors
/// One of them can't.
pub fn check_names(
    facts: &Facts,
    publisher: &AccountBytes,
    taken: &Taken,
    rules: &RulesConfig,
    ingress: &IngressConfig,
) -> Result<(), Refusal> {
    for route in &facts.http {
        let host: &str = &route.host;
        let is_ours = host
            .strip_suffix(ingress.domain.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|label| !label.is_empty());
        let is_reserved = ingress.is_own(host)
            || AgentName::is_reserved(host)
            || rules.reserved_hosts.iter().any(|reserved| normal_host(reserved) == host);
        if is_reserved || !(is_ours || rules.custom_hosts) {
            return Err(refusal(
                RefusalCode::AgainstRules,
                format!("host name `{host}` is not given out here"),
                &format!("use a name such as `app.{}`", ingress.domain),
            ));
        }
        if taken.hosts.get(&route.host).is_some_and(|owner| owner != publisher) {
            return Err(refusal(
                RefusalCode::HostTaken,
                format!("host name `{host}` belongs to another account"),
                "choose another name, or ask another provider",
            ));
        }
    }
    let (first, last) = ingress.tcp_ports;
    for port in facts.tcp.iter().filter_map(|port| port.host_port) {
        if !(first..=last).contains(&port) {
            return Err(refusal(
                RefusalCode::AgainstRules,
                format!("TCP port {port} is not given out here"),
                &format!("use a port from {first} to {last}, or leave `hostPort` out"),
            ));
        }
        if taken.ports.contains(&port) {
            return Err(refusal(
                RefusalCode::PortTaken,
                format!("TCP port {port} is in use"),
                "use another port, or leave `hostPort` out to get a free one",
            ));
        }
    }
    Ok(())
}

/// Checks that open offers do not hold too many names back from others, with this one added in
/// place of the publisher's own for the same manifest. Names that are in a lease are its publisher's
/// already and do not count.
///
/// # Errors
/// The account, or all accounts together, would have too many.
pub fn check_held(
    facts: &Facts,
    asked: (&AccountBytes, &Hash256),
    quotes: &[OpenQuote],
    cache: &FactsCache,
    world: &World,
    config: &Config,
) -> Result<(), Refusal> {
    let rules = &config.rules;
    let (publisher, _) = asked;
    let (mut own, mut leased) = (Names::default(), Names::default());
    for lease in world.snapshot.leases.values() {
        if matches!(lease.state, LeaseState::Closing { .. }) {
            continue;
        }
        let Some(facts) = cache.get(&lease.manifest_hash) else { continue };
        leased.add(&facts);
        if lease.publisher == *publisher {
            own.add(&facts);
        }
    }
    let wanted = Names::of(facts).without(&own);
    if wanted.len() > rules.names_per_account_max {
        return Err(refusal(
            RefusalCode::AgainstRules,
            format!(
                "the manifest has {} host names and host ports, at most {} are held for a quote",
                wanted.len(),
                rules.names_per_account_max
            ),
            "deploy with fewer; an update of the lease may add more",
        ));
    }
    let (mut mine, mut all) = (wanted.clone(), wanted.clone());
    for quote in quotes {
        if (&quote.publisher, &quote.manifest_hash) == asked {
            continue;
        }
        let Some(facts) = cache.get(&quote.manifest_hash) else { continue };
        all.add(&facts);
        if quote.publisher == *publisher {
            mine.add(&facts);
        }
    }
    let (mine, all) = (mine.without(&own).len(), all.without(&leased).len());
    if mine > rules.names_per_account_max {
        return Err(refusal(
            RefusalCode::Busy,
            format!(
                "this account's open quotes would hold {mine} host names and host ports back, at \
                 most {} are held for one account",
                rules.names_per_account_max
            ),
            &format!("use a quote, or wait {} until they expire", config.pricing.quote_ttl),
        ));
    }
    // Anybody can make accounts: those without a lease here may fill only half, so that customers
    // get through a flood. A manifest without names takes nothing from anybody.
    let is_customer = world.snapshot.leases.values().any(|lease| lease.publisher == *publisher);
    let names_max = if is_customer { rules.names_max } else { rules.names_max.div_ceil(2) };
    if wanted.len() > 0 && all > names_max {
        return Err(refusal(
            RefusalCode::Busy,
            "open quotes hold too many host names and host ports back".into(),
            &format!(
                "wait {} until some expire, or ask another provider",
                config.pricing.quote_ttl
            ),
        ));
    }
    Ok(())
}

/// Host names and host ports.
#[derive(Clone, Debug, Default)]
struct Names {
    hosts: BTreeSet<Box<str>>,
    ports: BTreeSet<u16>,
}

impl Names {
    fn of(facts: &Facts) -> Self {
        let mut names = Self::default();
        names.add(facts);
        names
    }

    fn add(&mut self, facts: &Facts) {
        self.hosts.extend(facts.http.iter().map(|route| route.host.clone()));
        self.ports.extend(facts.tcp.iter().filter_map(|port| port.host_port));
    }

    fn without(mut self, others: &Self) -> Self {
        self.hosts.retain(|host| !others.hosts.contains(host));
        self.ports.retain(|port| !others.ports.contains(port));
        self
    }

    fn len(&self) -> usize {
        self.hosts.len() + self.ports.len()
    }
}

/// Checks that an update fits a lease.
///
/// # Errors
/// It asks for more than was agreed.
pub fn check_fits(facts: &Facts, resources: &Resources, replicas: u16) -> Result<(), Refusal> {
    if facts.replicas == replicas && facts.resources.fits_in(resources) {
        return Ok(());
    }
    Err(refusal(
        RefusalCode::DoesNotFitLease,
        format!(
            "the manifest asks for {} × {}, the lease is for {replicas} × {}",
            facts.replicas,
            shown(&facts.resources),
            shown(resources)
        ),
        "keep to the lease's size, or deploy anew and stop this one",
    ))
}

/// Makes the offer.
///
/// # Errors
/// The provider has no prices in the asset, or what it would cost can't be expressed.
pub fn offer(
    config: &Config,
    provider: AccountBytes,
    asked: &Asked<'_>,
    facts: &Facts,
    nonce: QuoteNonce,
    now: UnixSeconds,
) -> Result<Quote, Refusal> {
    let pricing = &config.pricing;
    let (prices, second_min) = pricing.prices_in(asked.asset).ok_or_else(|| {
        let text = "leases are not taken in this asset".into();
        let known = pricing.assets.iter().map(|list| format!(", asset {}", list.asset));
        let known: String = known.collect();
        refusal(RefusalCode::AgainstRules, text, &format!("pay in what is taken: CASE{known}"))
    })?;
    let mut terms = LeaseTerms {
        asset: asked.asset,
        prices,
        second_min,
        notice_seconds: pricing.notice.as_secs_u32(),
        grace_seconds: pricing.grace.as_secs_u32(),
        retention_seconds: pricing.retention.as_secs_u32(),
        dispute_seconds: pricing.dispute.as_secs_u32(),
        reclaim_seconds: pricing.reclaim.as_secs_u32(),
        silence_seconds: pricing.silence.as_secs_u32(),
        warn_seconds: WARN_SECONDS,
        deposit_min: 0,
    };
    terms.deposit_min = terms
        .per_second(&facts.resources, facts.replicas)
        .and_then(|rate| rate.checked_mul(u128::from(pricing.deposit_covers.as_secs())))
        .ok_or_else(|| {
            let text = "what it would cost is beyond all numbers".into();
            refusal(RefusalCode::NoCapacity, text, "ask for less")
        })?;
    Ok(Quote {
        provider,
        publisher: *asked.publisher,
        manifest_hash: casemate_primitives::blake2_256(asked.manifest),
        resources: facts.resources,
        replicas: facts.replicas,
        terms,
        expires_at: now.saturating_add(pricing.quote_ttl.as_secs()),
        nonce,
    })
}

/// A refusal with its parts.
pub(crate) fn refusal(code: RefusalCode, message: String, hint: &str) -> Refusal {
    Refusal { code, message, hint: hint.into() }
}

fn shown(r: &Resources) -> String {
    let mut text =
        format!("{}m CPU, {}Mi memory, {}Mi disk", r.cpu_millicores, r.memory_mib, r.storage_mib);
    if r.gpus > 0 {
        text.push_str(&format!(", {} GPU", r.gpus));
    }
    text
}

/// A publisher is warned a day, six hours and one hour before the money is out.
const WARN_SECONDS: [u32; 3] = [24 * 3_600, 6 * 3_600, 3_600];
const EVERYTHING: Resources = Resources {
    cpu_millicores: u32::MAX,
    memory_mib: u32::MAX,
    storage_mib: u32::MAX,
    gpus: u32::MAX,
};
