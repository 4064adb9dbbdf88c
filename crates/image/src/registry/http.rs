//! One registry over HTTP: tokens, redirects, bounded answers, errors for people.

use std::time::Duration;

use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{HeaderMap, WWW_AUTHENTICATE},
    redirect::{self, Policy},
};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{RegistryAuth, RegistryOptions, auth::Challenge};
use crate::{Error, Reference, Result, error::printable, reference::DOCKER_HUB};

/// What the token must allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scope {
    Pull,
    PullAndPush,
}

/// A repository on a registry.
pub(super) struct Connection {
    client: Client,
    options: RegistryOptions,
    /// As the reference has it, for messages.
    pub(super) registry: String,
    repository: String,
    base: Url,
    scope: Scope,
    credentials: Mutex<Credentials>,
}

#[derive(Clone, Debug, Default)]
enum Credentials {
    /// Nothing was asked for yet.
    #[default]
    None,
    Basic,
    Bearer(String),
}

impl Connection {
    pub(super) fn new(
        reference: &Reference,
        options: &RegistryOptions,
        scope: Scope,
    ) -> Result<Self> {
        // Fails where a provider is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = reference.registry().to_owned();
        let plain = options.is_plain(&registry);
        let host = if registry == DOCKER_HUB { DOCKER_HUB_API } else { &registry };
        let scheme = if plain { "http" } else { "https" };
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unreachable {
            registry: registry.clone(),
            what: reference.to_string(),
            source,
        };
        let base = Url::parse(&format!("{scheme}://{host}/v2/"))
            .map_err(|err| unreachable(Box::new(err)))?;
        let mut builder = Client::builder()
            .user_agent(concat!("casemate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .referer(false)
            // Digests are of the bytes as stored, whatever features another crate switches on.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .redirect(redirects(options.clone()));
        if plain {
            // A proxy of the environment is for the world outside.
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build().map_err(|err| unreachable(Box::new(err)))?,
            options: options.clone(),
            repository: reference.repository().to_owned(),
            base,
            scope,
            credentials: Mutex::default(),
            registry,
        })
    }

    /// Address below `/v2/<repository>/`.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        self.join(&self.base, &format!("{}/{path}", self.repository))
    }

    /// A `Location`, which may be relative.
    pub(super) fn join(&self, base: &Url, path: &str) -> Result<Url> {
        let url = base.join(path).map_err(|err| self.failed(path, err.to_string()))?;
        if url.scheme() == "https" || self.options.is_plain(&authority(&url)) {
            Ok(url)
        } else {
            Err(self.failed(path, "it sends us to plain HTTP".to_owned()))
        }
    }

    /// Sends a request, with credentials once the registry has asked for them.
    ///
    /// `build` is called again for the second attempt: a body can't be sent twice.
    pub(super) async fn send(
        &self,
        what: &str,
        method: Method,
        url: &Url,
        build: impl Fn(RequestBuilder) -> Result<RequestBuilder>,
    ) -> Result<Response> {
        let mut again = true;
        loop {
            let mut request = build(self.client.request(method.clone(), url.clone()))?;
            // Uploads may be sent elsewhere; our credentials are for the registry alone.
            if url.origin() == self.base.origin() {
                request = match (&*self.credentials.lock().await, &self.options.auth) {
                    (Credentials::Bearer(token), _) => request.bearer_auth(token),
                    (Credentials::Basic, RegistryAuth::Basic { username, password }) => {
                        request.basic_auth(username, Some(password))
                    }
                    _ => request,
                };
            }
            let response = request.send().await.map_err(|err| self.unreachable(what, err))?;
            if response.status() != StatusCode::UNAUTHORIZED || !again {
                return Ok(response);
            }
            again = false;
            let Some(credentials) = self.answer(what, response.headers()).await? else {
                return Ok(response);
            };
            *self.credentials.lock().await = credentials;
        }
    }

    /// Credentials that fit the challenge, if we have any.
    async fn answer(&self, what: &str, headers: &HeaderMap) -> Result<Option<Credentials>> {
        let challenge = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(Challenge::parse);
        let (realm, service) = match (challenge, &self.options.auth) {
            (Some(Challenge::Basic), RegistryAuth::Basic { .. }) => {
                return Ok(Some(Credentials::Basic));
            }
            (Some(Challenge::Bearer { realm, service }), _) => (realm, service),
            _ => return Ok(None),
        };
        let mut url = self.join(&self.base, &realm)?;
        let actions = match self.scope {
            Scope::Pull => "pull",
            Scope::PullAndPush => "pull,push",
        };
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &format!("repository:{}:{actions}", self.repository));
        let mut request = self.client.get(url);
        if let RegistryAuth::Basic { username, password } = &self.options.auth {
            request = request.basic_auth(username, Some(password));
        }
        let response = request.send().await.map_err(|err| self.unreachable(what, err))?;
        if !response.status().is_success() {
            return Err(self.refused(what, response).await);
        }
        let body = self.body(what, response, TOKEN_BYTES_MAX).await?;
        let token: Token = serde_json::from_slice(&body)
            // The cause is left out: it could quote the token.
            .map_err(|_| self.failed(what, "its token server sent no token".to_owned()))?;
        token
            .token
            .or(token.access_token)
            .map(|token| Some(Credentials::Bearer(token)))
            .ok_or_else(|| self.failed(what, "its token server sent no token".to_owned()))
    }

    /// Reads an answer of at most so many bytes.
    pub(super) async fn body(
        &self,
        what: &str,
        mut response: Response,
        bytes_max: u64,
    ) -> Result<Vec<u8>> {
        let too_big = |found| {
            Error::limit(format!("answer of {} for {what}", self.registry), found, bytes_max)
        };
        if let Some(length) = response.content_length()
            && length > bytes_max
        {
            return Err(too_big(length));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|err| self.unreachable(what, err))? {
            let length = (body.len() + chunk.len()) as u64;
            if length > bytes_max {
                return Err(too_big(length));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// An answer that is no success, as an error.
    pub(super) async fn refused(&self, what: &str, response: Response) -> Error {
        let status = response.status();
        let body = self.body(what, response, ERROR_BYTES_MAX).await.unwrap_or_default();
        let message = serde_json::from_slice::<Failures>(&body)
            .ok()
            .and_then(|failures| failures.errors.into_iter().next())
            .map(|failure| {
                printable(format!("{}: {}", failure.code, failure.message).as_bytes(), 200)
            });
        let (registry, what) = (self.registry.clone(), what.to_owned());
        match status {
            StatusCode::NOT_FOUND => Error::NotFound { registry, what },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Unauthorized {
                registry,
                what,
                reason: message.unwrap_or_else(|| status.to_string()),
            },
            _ => Error::Registry {
                registry,
                what,
                reason: match message {
                    Some(message) => format!("status {status}, {message}"),
                    None => format!("status {status}"),
                },
            },
        }
    }

    pub(super) fn failed(&self, what: &str, reason: String) -> Error {
        Error::Registry {
            registry: self.registry.clone(),
            what: printable(what.as_bytes(), 300),
            reason,
        }
    }

    pub(super) fn unreachable(&self, what: &str, err: reqwest::Error) -> Error {
        Error::Unreachable {
            registry: self.registry.clone(),
            what: what.to_owned(),
            // The address may carry a signed link.
            source: Box::new(err.without_url()),
        }
    }

    pub(super) fn blob_timeout(&self) -> Duration {
        self.options.blob_timeout
    }
}

/// Registries send blobs from elsewhere; never from HTTPS to plain HTTP.
fn redirects(options: RegistryOptions) -> Policy {
    Policy::custom(move |attempt: redirect::Attempt<'_>| {
        if attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error("too many redirects");
        }
        let url = attempt.url();
        if url.scheme() == "https" || (url.scheme() == "http" && options.is_plain(&authority(url)))
        {
            attempt.follow()
        } else {
            attempt.error("redirect to plain HTTP")
        }
    })
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Failures {
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// `docker.io` is a name; this is where it lives.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
const REDIRECTS_MAX: usize = 5;
/// Tokens of large registries are about 5 kB.
const TOKEN_BYTES_MAX: u64 = 1 << 16;
const ERROR_BYTES_MAX: u64 = 1 << 16;
