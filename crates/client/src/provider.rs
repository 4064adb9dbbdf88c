//! Client of a provider's HTTP API.
//!
//! A provider is not trusted: its answers are bounded in size, a quote is handed out only when it
//! is the provider's own over exactly what was asked for, and redirects are not followed (a signed
//! request is for one provider only).

mod error;
mod logs;

pub use error::ProviderError;
pub use logs::LogOptions;

use std::{
    sync::{Arc, Once},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use casemate_primitives::{
    AccountBytes, AgentPublicKey, Amendment, Asset, Hash256, LeaseId, Quote, ReplicaIndex,
    Resources, UnixSeconds, blake2_256,
};
use codec::{DecodeAll, Encode as _};
use futures::stream::BoxStream;
use reqwest::{Client, Method, Response, Url, header::CONTENT_TYPE, redirect};
use serde::de::DeserializeOwned;
use subxt_signer::sr25519::{self, Keypair, PublicKey, Signature};

use crate::{
    api::{
        AmendRequest, AmendResponse, EventEntry, EventList, Hex, LeaseStatus, LogChunkList,
        LogEntry, LogInfo, ProviderInfo, QuoteRequest, QuoteResponse, QuoteSummary, RecordEntry,
        RecordList, Refusal,
    },
    auth::{self, RequestParts},
};

/// What a quote is asked for. All but the manifest itself is computed by the asker from that
/// manifest, and the provider's answer is compared with it.
#[derive(Clone, Copy, Debug)]
pub struct QuoteWanted<'a> {
    /// Canonical JSON of the manifest, its images pinned by digest.
    pub manifest: &'a str,
    /// Resources of one replica.
    pub resources: Resources,
    /// Number of replicas.
    pub replicas: u16,
    /// What is to be paid in.
    pub asset: Asset,
}

/// A quote whose signature and contents were checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedQuote {
    /// The offer.
    pub quote: Quote,
    /// The provider's sr25519 signature.
    pub signature: [u8; 64],
    /// The offer for people, made from the quote itself and not from the provider's words.
    pub summary: QuoteSummary,
}

/// Whether new prices of a lease are signed by this provider, for this chain.
pub fn is_signed_amendment(
    amendment: &Amendment,
    signature: &[u8; 64],
    provider: &AccountBytes,
    genesis_hash: &Hash256,
) -> bool {
    let payload = amendment.signing_payload(genesis_hash);
    sr25519::verify(&Signature(*signature), payload, &PublicKey(*provider))
}

/// Talks to one provider in the name of one account.
#[derive(Clone)]
pub struct ProviderClient {
    http: Client,
    base: Url,
    provider: AccountBytes,
    genesis_hash: Hash256,
    key: Arc<Keypair>,
}

impl std::fmt::Debug for ProviderClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderClient").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl ProviderClient {
    /// A client for the provider with account `provider`, reached at `endpoint` (one of its
    /// endpoints on chain), that signs with `key`. Nothing is sent yet.
    ///
    /// # Errors
    /// `endpoint` is no `http` or `https` URL, or TLS can't be set up on this machine.
    pub fn new(
        endpoint: &str,
        provider: AccountBytes,
        genesis_hash: Hash256,
        key: Arc<Keypair>,
    ) -> Result<Self, ProviderError> {
        let base = base_url(endpoint)?;
        let http = http_client(&base)?;
        Ok(Self { http, base, provider, genesis_hash, key })
    }

    /// Asks who a provider says it is, unsigned and without knowing its account. What is believed
    /// is the registry on chain.
    ///
    /// # Errors
    /// The endpoint is malformed, can't be reached, or is no provider's.
    pub async fn info_of(endpoint: &str) -> Result<ProviderInfo, ProviderError> {
        let base = base_url(endpoint)?;
        let http = http_client(&base)?;
        let url = join(&base, "/v1/info");
        let sent = http.get(url.clone()).timeout(REQUEST_TIMEOUT).send().await;
        json(sent.map_err(|source| ProviderError::unreachable(&url, source))?).await
    }

    /// The provider's account, as given to [`ProviderClient::new`].
    pub fn provider(&self) -> &AccountBytes {
        &self.provider
    }

    /// Who the provider says it is.
    ///
    /// # Errors
    /// It can't be reached, or it is another provider or on another chain than this client's.
    pub async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        let response = self.send(Method::GET, "/v1/info", Vec::new(), false).await?;
        let info: ProviderInfo = json(response).await?;
        if info.genesis_hash.0 != self.genesis_hash {
            return Err(self.mismatch("the chain's genesis hash"));
        }
        if info.account.0 != self.provider {
            return Err(self.mismatch("the provider's account"));
        }
        Ok(info)
    }

    /// Asks for a price and hands the manifest over.
    ///
    /// # Errors
    /// The provider can't be reached, refuses (its [`Refusal`] says why), or answers with a quote
    /// that is not its own or not for what was asked.
    pub async fn quote(&self, wanted: &QuoteWanted<'_>) -> Result<SignedQuote, ProviderError> {
        let request = QuoteRequest {
            manifest: wanted.manifest.to_owned(),
            asset: match wanted.asset {
                Asset::Native => None,
                Asset::Registered(id) => Some(id),
            },
        };
        let body = serde_json::to_vec(&request).map_err(|err| self.malformed(&err.to_string()))?;
        let answer: QuoteResponse =
            json(self.send(Method::POST, "/v1/quotes", body, false).await?).await?;
        self.check_quote(wanted, &answer, unix_now())
    }

    /// Hands over the manifest that a lease is to run after an update (before the update goes on
    /// chain), or again if the provider lost it.
    ///
    /// # Errors
    /// The provider can't be reached or refuses: the manifest must fit the lease.
    pub async fn put_manifest(&self, lease: LeaseId, manifest: &str) -> Result<(), ProviderError> {
        let hash = Hex(blake2_256(manifest.as_bytes()));
        let path = format!("/v1/manifests/{hash}?lease={lease}");
        accepted(self.send(Method::PUT, &path, manifest.into(), false).await?).await?;
        Ok(())
    }

    /// What the provider knows about a lease of this account.
    ///
    /// # Errors
    /// The provider can't be reached, or has no such lease of this account.
    pub async fn lease(&self, lease: LeaseId) -> Result<LeaseStatus, ProviderError> {
        json(self.send(Method::GET, &format!("/v1/leases/{lease}"), Vec::new(), false).await?).await
    }

    /// Asks the provider to sign new prices for a lease of this account; gives its signature, which was
    /// checked. Nothing changes until both are brought on chain.
    ///
    /// # Errors
    /// The provider can't be reached, refuses these prices, or answers with another signature.
    pub async fn amend(&self, amendment: &Amendment) -> Result<[u8; 64], ProviderError> {
        let request = AmendRequest { amendment: Hex(amendment.encode()) };
        let body = serde_json::to_vec(&request).map_err(|err| self.malformed(&err.to_string()))?;
        let path = format!("/v1/leases/{}/amendments", amendment.lease);
        let answer: AmendResponse =
            json(self.send(Method::POST, &path, body, false).await?).await?;
        let signature = answer.signature.0;
        if !is_signed_amendment(amendment, &signature, &self.provider, &self.genesis_hash) {
            return Err(self.mismatch("the signature"));
        }
        Ok(signature)
    }

    /// What the provider did for a lease, those after event number `after`, oldest first.
    ///
    /// # Errors
    /// The provider can't be reached, or has no such lease of this account.
    pub async fn events(
        &self,
        lease: LeaseId,
        after: u64,
    ) -> Result<Vec<EventEntry>, ProviderError> {
        let path = format!("/v1/leases/{lease}/events?after={after}");
        let list: EventList = json(self.send(Method::GET, &path, Vec::new(), false).await?).await?;
        Ok(list.events)
    }

    /// Lines of output. With [`LogOptions::follow`] the stream ends only with the lease or the
    /// connection; go on from the last line's cursor then.
    ///
    /// # Errors
    /// The provider can't be reached, or has no such lease of this account. The stream's own
    /// errors are those of the connection.
    pub async fn logs(
        &self,
        lease: LeaseId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogEntry, ProviderError>>, ProviderError> {
        let path = format!("/v1/leases/{lease}/logs{}", options.query());
        let response = self.send(Method::GET, &path, Vec::new(), options.follow).await?;
        Ok(logs::lines(accepted(response).await?))
    }

    /// Which sealed logs of a lease the provider keeps, also when the lease is over.
    ///
    /// # Errors
    /// The provider can't be reached, or keeps nothing of such a lease of this account.
    pub async fn kept_logs(&self, lease: LeaseId) -> Result<Vec<LogInfo>, ProviderError> {
        let path = format!("/v1/leases/{lease}/log-chunks");
        let list: LogChunkList =
            json(self.send(Method::GET, &path, Vec::new(), false).await?).await?;
        Ok(list.logs)
    }

    /// Chunks of one sealed log from index `from` on, as many as fit an answer, with their paths in
    /// the tree of its first `size` chunks. Nothing of it was verified.
    ///
    /// # Errors
    /// The provider can't be reached, or keeps nothing of such a lease of this account.
    pub async fn log_chunks(
        &self,
        lease: LeaseId,
        replica: ReplicaIndex,
        key: &AgentPublicKey,
        from: u64,
        size: u64,
    ) -> Result<LogChunkList, ProviderError> {
        let key = Hex(key);
        let path = format!(
            "/v1/leases/{lease}/log-chunks?replica={replica}&key={key}&from={from}&size={size}"
        );
        json(self.send(Method::GET, &path, Vec::new(), false).await?).await
    }

    /// Signed usage records that the provider holds, of a replica or of all, those of each agent
    /// after sequence `after`. Nothing of them was verified.
    ///
    /// # Errors
    /// The provider can't be reached, or keeps nothing of such a lease of this account.
    pub async fn records(
        &self,
        lease: LeaseId,
        replica: Option<ReplicaIndex>,
        after: u64,
    ) -> Result<Vec<RecordEntry>, ProviderError> {
        let replica = replica.map_or_else(String::new, |replica| format!("replica={replica}&"));
        let path = format!("/v1/leases/{lease}/records?{replica}after={after}");
        let list: RecordList =
            json(self.send(Method::GET, &path, Vec::new(), false).await?).await?;
        Ok(list.records)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        endless: bool,
    ) -> Result<Response, ProviderError> {
        let url = join(&self.base, path);
        let parts = RequestParts {
            genesis_hash: &self.genesis_hash,
            provider: &self.provider,
            method: method.as_str(),
            path_and_query: path,
            body: &body,
        };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| ProviderError::NoRandomness)?;
        let expires = unix_now().saturating_add(auth::LIFETIME_SECONDS_DEFAULT);
        let signature = auth::sign(&self.key, &parts, expires, nonce);
        let mut request = self.http.request(method, url.clone());
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        if !endless {
            request = request.timeout(REQUEST_TIMEOUT);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request.send().await.map_err(|source| ProviderError::unreachable(&url, source))
    }

    fn check_quote(
        &self,
        wanted: &QuoteWanted<'_>,
        answer: &QuoteResponse,
        now: UnixSeconds,
    ) -> Result<SignedQuote, ProviderError> {
        let quote = Quote::decode_all(&mut answer.quote.0.as_slice())
            .map_err(|err| self.malformed(&format!("quote: {err}")))?;
        let signature = answer.signature.0;
        let payload = quote.signing_payload(&self.genesis_hash);
        if !sr25519::verify(&Signature(signature), payload, &PublicKey(self.provider)) {
            return Err(self.mismatch("the signature"));
        }
        let differs = [
            (quote.provider == self.provider, "the provider's account"),
            (quote.publisher == self.key.public_key().0, "the publisher's account"),
            (quote.manifest_hash == blake2_256(wanted.manifest.as_bytes()), "the manifest"),
            (quote.resources == wanted.resources, "the resources"),
            (quote.replicas == wanted.replicas, "the number of replicas"),
            (quote.terms.asset == wanted.asset, "the asset"),
            (quote.expires_at > now, "the expiry"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|(same, _)| !same) {
            return Err(self.mismatch(what));
        }
        let summary = QuoteSummary::of(&quote)
            .ok_or_else(|| self.malformed("the quote's prices overflow"))?;
        Ok(SignedQuote { quote, signature, summary })
    }

    fn mismatch(&self, what: &'static str) -> ProviderError {
        ProviderError::Mismatch { endpoint: self.base.to_string(), what }
    }

    fn malformed(&self, reason: &str) -> ProviderError {
        ProviderError::Malformed { url: self.base.to_string(), reason: reason.to_owned() }
    }
}

fn base_url(endpoint: &str) -> Result<Url, ProviderError> {
    let bad = |reason: String| ProviderError::BadEndpoint { endpoint: endpoint.into(), reason };
    let url = Url::parse(endpoint).map_err(|err| bad(err.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("it must begin with http:// or https:// and name a host".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it must not have a query or a fragment".into()));
    }
    Ok(url)
}

/// `path` below `base`, which may itself be below a path of a web server in front.
fn join(base: &Url, path_and_query: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let joined = format!("{}{path}", base.path().trim_end_matches('/'));
    url.set_path(&joined);
    url.set_query((!query.is_empty()).then_some(query));
    url
}

fn http_client(base: &Url) -> Result<Client, ProviderError> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that the program has chosen one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .tcp_nodelay(true);
    if base.scheme() == "http" {
        // Plain HTTP must work on a machine without any root certificates, too.
        builder = builder.tls_certs_only([]);
    }
    if base.host_str().is_some_and(is_loopback) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|source| ProviderError::Setup { source })
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

async fn json<T: DeserializeOwned>(response: Response) -> Result<T, ProviderError> {
    let response = accepted(response).await?;
    let url = response.url().to_string();
    let body = read_bounded(response).await?;
    serde_json::from_slice(&body)
        .map_err(|err| ProviderError::Malformed { url, reason: err.to_string() })
}

/// The response itself where its status is good, else the refusal in it.
async fn accepted(response: Response) -> Result<Response, ProviderError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = response.url().to_string();
    let body = read_bounded(response).await?;
    match serde_json::from_slice::<Refusal>(&body) {
        Ok(refusal) => Err(ProviderError::Refused(refusal)),
        Err(_) => Err(ProviderError::Malformed { url, reason: format!("status {status}") }),
    }
}

async fn read_bounded(mut response: Response) -> Result<Vec<u8>, ProviderError> {
    let url = response.url().clone();
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        let Some(chunk) = chunk.map_err(|source| ProviderError::unreachable(&url, source))? else {
            return Ok(body);
        };
        if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
            let reason = format!("the answer is longer than {RESPONSE_BYTES_MAX} bytes");
            return Err(ProviderError::Malformed { url: url.into(), reason });
        }
        body.extend_from_slice(&chunk);
    }
}

fn unix_now() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A quote takes well below a second; the rest is for slow links and busy machines.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A followed log carries an empty line at least every 15 seconds: two may be lost.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// 64 pods of 16 containers are about 300 KiB; 1,000 events about 200 KiB.
const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
