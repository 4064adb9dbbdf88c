//! Quotes, manifests and new prices.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
};
use casemate_client::{
    api::{
        AmendRequest, AmendResponse, Hex, MANIFEST_BYTES_MAX, QuoteRequest, QuoteResponse,
        QuoteSummary, RefusalCode,
    },
    chain::LeaseState,
};
use casemate_primitives::{Amendment, Asset, Hash256, Resources, blake2_256};
use casemate_provider_core::Backend;
use codec::{DecodeAll as _, Encode};
use http::{Request, StatusCode};
use serde::Deserialize;

use super::{Api, Problem, Shared, signed::Signed};
use crate::{
    Chain, amendments,
    quotes::{self, Asked, refusal},
    spool::OpenQuote,
};

pub(super) async fn quote<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    request: Request<Body>,
) -> Result<Json<QuoteResponse>, Problem> {
    let Signed { account, body } = api.authenticate(request).await?;
    let asked: QuoteRequest = serde_json::from_slice(&body).map_err(|err| {
        refusal(RefusalCode::BadRequest, format!("the request's body: {err}"), "see the API")
    })?;
    let asset = asked.asset.map_or(Asset::Native, Asset::Registered);
    let bytes = asked.manifest.into_bytes();
    let (_, facts) = read_bounded(&bytes, api.parts.config.tee.is_some())?;
    let asked = Asked { publisher: &account, manifest: &bytes, asset };

    let _one_at_a_time = api.orders.lock().await;
    let world = api.world();
    if !world.is_ready {
        return Err(not_ready("the provider has not read the chain yet"));
    }
    let provider = api.parts.chain.provider().await.map_err(|err| {
        tracing::warn!(%err, "cannot read the registry");
        not_ready("the provider cannot reach the chain at the moment")
    })?;
    let Some(provider) = provider else {
        return Err(not_ready("the provider is not registered on this chain"));
    };
    let config = &api.parts.config;
    let now = (api.parts.clock)();
    let spool_failed = |err| Problem::internal("the provider cannot use its disk", &err);
    // An offer may have been used in a block that is not finalised yet.
    let open = api.parts.spool.open_quotes(now.saturating_sub(FINALITY_SLACK_SECONDS)).await;
    let open = open.map_err(spool_failed)?;
    let hash = blake2_256(&bytes);
    let mine: Vec<&OpenQuote> = open.iter().filter(|quote| quote.publisher == account).collect();
    let same: Vec<[u8; 16]> =
        mine.iter().filter(|q| q.manifest_hash == hash).map(|q| q.nonce).collect();
    let too_many = mine.len() - same.len() >= config.rules.quotes_per_account_max
        || open.len() - same.len() >= config.rules.quotes_max;
    if too_many {
        let text = "too many quotes are open".into();
        let hint = format!("use one, or wait {} until they expire", config.pricing.quote_ttl);
        return Err(refusal(RefusalCode::Busy, text, &hint).into());
    }
    let taken = quotes::taken(&world, provider.used, &open, &api.parts.facts, (&account, &hash));
    quotes::assess(&facts, &account, &provider, &taken, &config.rules, &config.ingress)?;
    let facts_cache = &api.parts.facts;
    quotes::check_held(&facts, (&account, &hash), &open, facts_cache, &world, config)?;

    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)
        .map_err(|err| Problem::internal("the provider has no random bytes", &Text(err)))?;
    let quote = quotes::offer(config, api.account, &asked, &facts, nonce, now)?;
    let summary = QuoteSummary::of(&quote).ok_or_else(|| {
        refusal(RefusalCode::NoCapacity, "the cost cannot be expressed".into(), "ask for less")
    })?;
    keep(&api, bytes).await?;
    let open = OpenQuote {
        nonce,
        publisher: account,
        manifest_hash: hash,
        replicas: facts.replicas,
        expires_at: quote.expires_at,
    };
    api.parts.spool.add_quote(open, same).await.map_err(spool_failed)?;
    let signature = api.parts.key.sign(&quote.signing_payload(&api.genesis_hash)).0;
    Ok(Json(QuoteResponse { quote: Hex(quote.encode()), signature: Hex(signature), summary }))
}

/// `POST /v1/leases/{id}/amendments`
pub(super) async fn amend<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Json<AmendResponse>, Problem> {
    let Signed { account, body } = api.authenticate(request).await?;
    let bad = |text: String| {
        refusal(RefusalCode::BadRequest, format!("the request's body: {text}"), "see the API")
    };
    let asked: AmendRequest = serde_json::from_slice(&body).map_err(|err| bad(err.to_string()))?;
    let amendment = Amendment::decode_all(&mut asked.amendment.0.as_slice())
        .map_err(|err| bad(format!("`amendment`: {err}")))?;
    let lease = api.lease(&api.world(), &id, &account)?;
    let now = (api.parts.clock)();
    amendments::check(&amendment, &lease, &api.parts.config.pricing, now)?;
    // The chain takes it from the publisher only, once, and for these very prices.
    let signature = api.parts.key.sign(&amendment.signing_payload(&api.genesis_hash)).0;
    tracing::info!(lease = %lease.id, prices = ?amendment.prices, "signed new prices");
    Ok(Json(AmendResponse { signature: Hex(signature) }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutQuery {
    lease: String,
}

pub(super) async fn put_manifest<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    Path(hash): Path<String>,
    query: Result<Query<PutQuery>, axum::extract::rejection::QueryRejection>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let Signed { account, body } = api.authenticate(request).await?;
    let Query(query) = query.map_err(|err| {
        refusal(RefusalCode::BadRequest, err.body_text(), "add `?lease=` and the lease's number")
    })?;
    let _one_at_a_time = api.orders.lock().await;
    let world = api.world();
    let lease = api.lease(&world, &query.lease, &account)?;
    if matches!(lease.state, LeaseState::Closing { .. }) {
        let text = "the lease is closing".into();
        return Err(refusal(RefusalCode::DoesNotFitLease, text, "deploy anew").into());
    }
    if hash.parse::<Hex<Hash256>>().ok() != Some(Hex(blake2_256(&body))) {
        let text = "the manifest does not have this hash".into();
        let hint = "the hash is BLAKE2b-256 over the body";
        return Err(refusal(RefusalCode::BadRequest, text, hint).into());
    }
    let (_, facts) = read_bounded(&body, api.parts.config.tee.is_some())?;
    quotes::check_fits(&facts, &lease.resources, lease.replicas)?;
    let now = (api.parts.clock)();
    let spool_failed = |err| Problem::internal("the provider cannot use its disk", &err);
    let open = api.parts.spool.open_quotes(now).await.map_err(spool_failed)?;
    let hash = blake2_256(&body);
    let mut taken = quotes::taken(
        &world,
        Resources::default(),
        &open,
        &api.parts.facts,
        (&lease.publisher, &hash),
    );
    // The lease's own ports are its to keep.
    if let Some(own) = api.parts.facts.get(&lease.manifest_hash) {
        for port in own.tcp.iter().filter_map(|port| port.host_port) {
            taken.ports.remove(&port);
        }
    }
    for (_, port) in world.tcp_ports.iter().filter(|((of, ..), _)| *of == lease.id) {
        taken.ports.remove(port);
    }
    let config = &api.parts.config;
    quotes::check_names(&facts, &lease.publisher, &taken, &config.rules, &config.ingress)?;
    keep(&api, body.to_vec()).await?;
    let until = now.saturating_add(UPLOAD_SECONDS);
    api.parts.spool.add_upload(lease.id, hash, until).await.map_err(spool_failed)?;
    api.parts.wake.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

fn read_bounded(
    bytes: &[u8],
    attests: bool,
) -> Result<(casemate_manifest::Manifest, crate::facts::Facts), Problem> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        let text = format!("the manifest is longer than {MANIFEST_BYTES_MAX} bytes");
        return Err(refusal(RefusalCode::TooLarge, text, "put large data into the image").into());
    }
    Ok(quotes::read_manifest(bytes, attests)?)
}

async fn keep<C: Chain, B: Backend>(api: &Arc<Api<C, B>>, bytes: Vec<u8>) -> Result<(), Problem> {
    let store = api.parts.facts.store().clone();
    let kept = tokio::task::spawn_blocking(move || store.put(&bytes)).await;
    match kept {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(err)) => Err(Problem::internal("the provider cannot keep the manifest", &err)),
        Err(err) => Err(Problem::internal("the provider cannot keep the manifest", &err)),
    }
}

fn not_ready(text: &str) -> Problem {
    refusal(RefusalCode::NotReady, text.into(), "try again later, or ask another provider").into()
}

/// An error that is known by its text alone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Text(getrandom::Error);

/// How long a manifest that was put waits for its update on chain.
const UPLOAD_SECONDS: u64 = 3600;
const FINALITY_SLACK_SECONDS: u64 = 60;
