use reqwest::Url;

use crate::api::{Refusal, RefusalCode};

/// Why a provider could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The endpoint is no URL that can be asked.
    #[error("`{endpoint}` is no provider's endpoint: {reason}")]
    BadEndpoint {
        /// As given.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// The HTTP client can't be made.
    #[error("cannot set up an HTTP client")]
    Setup {
        /// Cause.
        #[source]
        source: reqwest::Error,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// No connection, or it broke.
    #[error("cannot reach the provider at {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Cause.
        #[source]
        source: reqwest::Error,
    },
    /// The provider refuses.
    #[error("the provider refuses: {}", .0.message)]
    Refused(Refusal),
    /// What came back is not what a provider answers.
    #[error("{url} does not answer as a provider does: {reason}")]
    Malformed {
        /// What was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The provider is another one, or its quote is not for what was asked.
    #[error("the answer of the provider at {endpoint} is not what was asked for: {what} differs")]
    Mismatch {
        /// Who answered.
        endpoint: String,
        /// What differs.
        what: &'static str,
    },
}

impl ProviderError {
    /// What to do next; empty where there is nothing to say.
    pub fn hint(&self) -> &str {
        match self {
            Self::BadEndpoint { .. } => "endpoints look like https://provider.example:8443",
            Self::Setup { .. } => "install the system's root certificates (`ca-certificates`)",
            Self::NoRandomness => "check that /dev/urandom is there",
            Self::Unreachable { .. } => {
                "check that the provider runs and that its registered endpoint is right, or use \
                 another provider"
            }
            Self::Refused(refusal) => &refusal.hint,
            Self::Malformed { .. } => "check the endpoint and that both sides have one version",
            Self::Mismatch { .. } => "use another provider, and report this one",
        }
    }

    /// The refusal's code, where the provider refused.
    pub fn refusal_code(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    pub(super) fn unreachable(url: &Url, source: reqwest::Error) -> Self {
        // The URL is in our own text already.
        Self::Unreachable { url: url.to_string(), source: source.without_url() }
    }
}
