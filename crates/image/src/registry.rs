//! Pulling from and pushing to registries (OCI distribution specification).
//!
//! Written on `reqwest` directly, since what a registry sends must be bounded *before* it is held
//! in memory, and since neither credentials nor a tag's answer may travel in the clear: the client
//! crates that exist buffer manifests and errors of any size, and follow redirects and token
//! realms to `http`.

mod auth;
mod http;
mod pull;
mod push;

use std::{fmt, net::IpAddr, time::Duration};

pub use self::{
    pull::{pull, resolve},
    push::push,
};

/// How to talk to registries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegistryOptions {
    /// Hosts (`name` or `name:port`) that are spoken to over plain HTTP. Loopback always is;
    /// everything else is HTTPS.
    pub insecure_hosts: Vec<String>,
    /// Who we are.
    pub auth: RegistryAuth,
    /// For the TCP and TLS handshakes.
    pub connect_timeout: Duration,
    /// Between any two packets of an answer.
    pub read_timeout: Duration,
    /// For one blob from its first to its last byte.
    pub blob_timeout: Duration,
    /// Blobs transferred at the same time.
    pub parallel_max: usize,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            insecure_hosts: Vec::new(),
            auth: RegistryAuth::Anonymous,
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(60),
            blob_timeout: Duration::from_secs(3600),
            // What Docker does; more only helps where the registry slows down each connection.
            parallel_max: 3,
        }
    }
}

impl RegistryOptions {
    /// Whether this host (with its port, if any) is spoken to over plain HTTP.
    fn is_plain(&self, authority: &str) -> bool {
        let (host, _) = split_port(authority);
        let loopback = host.eq_ignore_ascii_case("localhost")
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        loopback
            || self.insecure_hosts.iter().any(|allowed| {
                allowed.eq_ignore_ascii_case(authority) || allowed.eq_ignore_ascii_case(host)
            })
    }
}

/// Credentials for a registry. Never shown by `Debug`.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum RegistryAuth {
    /// None.
    Anonymous,
    /// User name and password (or access token).
    Basic {
        /// User name.
        username: String,
        /// Password or access token.
        password: String,
    },
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(..)",
        })
    }
}

/// Host and port of an authority; an IPv6 address keeps its brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests;
