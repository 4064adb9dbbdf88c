//! Talks to a vault: for publishers, and for who carries between a vault and pods.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_ra_tls::{DeadlineStream, Problem, http};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    entry::SignedEntry,
    master::Keys,
    seal::{OpenError, SealError},
    wire::{
        self, Ask, Command, Health, Merged, Nonce, REQUEST_BYTES_MAX, Reply, Sealed, from_base64,
        to_base64,
    },
};

/// Most addresses of a name that are tried. Whoever owns a name may give it hundreds.
const ADDRESSES_MAX: usize = 4;

/// Why a vault has not done what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not an address of a vault.
    #[error("`{0}` is not the address of a vault: `http://HOST[:PORT]`")]
    Address(String),
    /// Not an address that is gone to.
    #[error("the vault's address leads to {0}, where this program does not go")]
    Forbidden(IpAddr),
    /// No connection.
    #[error("failed to connect to the vault at `{address}`")]
    Connect {
        /// Where.
        address: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It broke.
    #[error("failed to talk to the vault at `{address}`: {reason}")]
    Http {
        /// Where.
        address: String,
        /// What happened.
        reason: String,
    },
    /// It says no.
    #[error("the vault refuses ({}): {}", .problem.code, .problem.error)]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        problem: Problem,
    },
    /// Not what a vault says.
    #[error("the answer is not a vault's")]
    Answer,
    /// Not this vault's.
    #[error("the answer is not of this vault, or was changed on its way")]
    Open(#[from] OpenError),
    /// No random numbers.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl ClientError {
    /// Whether the same may work later without anybody's doing.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 409 | 429 | 500..),
            Self::Connect { .. } | Self::Http { .. } => true,
            _ => false,
        }
    }
}

/// A vault by its address.
#[derive(Clone)]
pub struct Client {
    /// `host:port`.
    address: String,
    host: String,
    /// For each request, from the name's resolution to the answer's end.
    timeout: Duration,
    /// When all requests must be done.
    end: Option<Instant>,
    /// Which addresses it goes to.
    takes: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// `http://HOST[:PORT]`. Plain HTTP, because what goes over it is sealed and signed: whoever sits
    /// in between can delay. Each request must be done within `timeout`, which only the system's
    /// resolver may overrun: it can't be interrupted.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ClientError> {
        let bad = || ClientError::Address(url.chars().take(300).collect());
        let authority = url.strip_prefix("http://").ok_or_else(bad)?.trim_end_matches('/');
        let good = |b: u8| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b);
        if authority.is_empty() || !authority.bytes().all(good) {
            return Err(bad());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
        });
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let (host, takes) = (authority.to_owned(), Arc::new(|_| true));
        Ok(Self { address, host, timeout, end: None, takes })
    }

    /// The same, but no request goes on after `end`.
    #[must_use]
    pub fn until(self, end: Instant) -> Self {
        Self { end: Some(end), ..self }
    }

    /// The same, but it connects to no address that `takes` does not take: for who goes where others
    /// send him.
    #[must_use]
    pub fn only_to(self, takes: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { takes: Arc::new(takes), ..self }
    }

    /// Whether it works, and which it is.
    ///
    /// # Errors
    /// Where it does not.
    pub fn health(&self) -> Result<Health, ClientError> {
        self.ask("GET", "/v1/health", &())
    }

    /// A nonce for a pod's evidence.
    ///
    /// # Errors
    /// Where it gives none.
    pub fn nonce(&self) -> Result<[u8; 32], ClientError> {
        let answer: Nonce = self.ask("POST", "/v1/nonce", &())?;
        let mut nonce = [0; 32];
        hex::decode_to_slice(&answer.nonce, &mut nonce).map_err(|_| ClientError::Answer)?;
        Ok(nonce)
    }

    /// Brings a pod's evidence, and collateral for it; gives what to bring to the pod's agent.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn release(&self, evidence: &[u8], collateral: &[Vec<u8>]) -> Result<Vec<u8>, ClientError> {
        let ask = Ask {
            evidence: to_base64(evidence),
            collateral: collateral.iter().map(|piece| to_base64(piece)).collect(),
        };
        let answer: Sealed = self.ask("POST", "/v1/release", &ask)?;
        from_base64(&answer.sealed).ok_or(ClientError::Answer)
    }

    /// A publisher's command.
    ///
    /// # Errors
    /// Where no answer of this vault's comes. What the vault says no to is in the [`Reply`].
    pub fn command(&self, keys: &Keys, command: &Command) -> Result<Reply, ClientError> {
        let (id, sealed) = wire::seal_command(keys, command)?;
        let ask = Sealed { sealed: to_base64(&sealed) };
        let answer: Sealed = self.ask("POST", "/v1/publisher", &ask)?;
        let sealed = from_base64(&answer.sealed).ok_or(ClientError::Answer)?;
        Ok(wire::open_reply(keys, &id, &sealed)?)
    }

    /// All entries, for the publisher. They are not checked yet.
    ///
    /// # Errors
    /// Where they do not come.
    pub fn entries(&self, keys: &Keys) -> Result<Vec<SignedEntry>, ClientError> {
        match self.command(keys, &Command::Snapshot)? {
            Reply::Snapshot(snapshot) => Ok(snapshot.entries),
            _ => Err(ClientError::Answer),
        }
    }

    /// All entries, sealed for another replica.
    ///
    /// # Errors
    /// Where they do not come.
    pub fn snapshot(&self) -> Result<Vec<u8>, ClientError> {
        let answer: Sealed = self.ask("GET", "/v1/snapshot", &())?;
        from_base64(&answer.sealed).ok_or(ClientError::Answer)
    }

    /// Brings another replica's entries; says how many were newer.
    ///
    /// # Errors
    /// Where they are refused.
    pub fn merge(&self, snapshot: &[u8]) -> Result<u32, ClientError> {
        let ask = Sealed { sealed: to_base64(snapshot) };
        Ok(self.ask::<Merged>("POST", "/v1/snapshot", &ask)?.added)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|_| ClientError::Answer)?;
        let body = if method == "GET" { Vec::new() } else { body };
        let end = Instant::now() + self.timeout;
        let end = self.end.map_or(end, |all| all.min(end));
        let stream = self.connect(end)?;
        let failed = |reason: String| ClientError::Http { address: self.address.clone(), reason };
        let left = end.saturating_duration_since(Instant::now());
        let mut stream = DeadlineStream::new(stream, left);
        http::request(&mut stream, method, path, &self.host, &body)
            .map_err(|err| failed(err.to_string()))?;
        let answer = http::read(&mut stream, &mut Vec::new(), REQUEST_BYTES_MAX, false)
            .map_err(|err| failed(err.to_string()))?;
        let [_, status, _] = &answer.start;
        match status.parse::<u16>() {
            Ok(200) => serde_json::from_slice(&answer.body).map_err(|_| ClientError::Answer),
            Ok(status) => {
                let problem = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Problem {
                    code: "unknown".to_owned(),
                    error: format!("HTTP status {status}, which gives no reason"),
                });
                Err(ClientError::Refused { status, problem })
            }
            Err(_) => Err(ClientError::Answer),
        }
    }

    fn connect(&self, end: Instant) -> Result<TcpStream, ClientError> {
        let failed = |source| ClientError::Connect { address: self.address.clone(), source };
        let mut forbidden = None;
        let mut takes = |address: &SocketAddr| {
            let takes = (self.takes)(address.ip());
            if !takes {
                forbidden = Some(address.ip());
            }
            takes
        };
        let found = resolvable(&self.address).to_socket_addrs().map_err(failed)?;
        let addresses: Vec<SocketAddr> =
            found.filter(|address| takes(address)).take(ADDRESSES_MAX).collect();
        if let (true, Some(address)) = (addresses.is_empty(), forbidden) {
            return Err(ClientError::Forbidden(address));
        }
        let stream = first(&addresses, end, TcpStream::connect_timeout).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }
}

/// The first of `addresses` that answers. One that does not leaves their share of the time to the
/// others.
fn first<T>(
    addresses: &[SocketAddr],
    end: Instant,
    dial: impl Fn(&SocketAddr, Duration) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let time = end.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let share = time / u32::try_from(left).unwrap_or(u32::MAX);
        // Not none at all, which is an error of the caller's.
        match dial(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(err) => last = err,
        }
    }
    Err(last)
}

/// Names below `localhost` are this machine's (RFC 6761, section 6.3), which not every resolver knows.
fn resolvable(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, port)) if host.ends_with(".localhost") => format!("localhost:{port}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, net::TcpListener};

    use super::*;

    #[test]
    fn addresses_that_do_not_answer_share_the_time_and_the_next_is_tried() {
        let addresses: Vec<SocketAddr> =
            (1..=3).map(|n| SocketAddr::from(([127, 0, 0, n], 1))).collect();
        let tried = RefCell::new(Vec::new());
        let dial = |wanted: u8| {
            let tried = &tried;
            move |address: &SocketAddr, time| {
                tried.borrow_mut().push(time);
                let good = address.ip() == IpAddr::from([127, 0, 0, wanted]);
                if good { Ok(wanted) } else { Err(io::ErrorKind::TimedOut.into()) }
            }
        };
        let hour = Duration::from_secs(3600);
        let end = || Instant::now() + hour;
        assert_eq!(first(&addresses, end(), dial(3)).unwrap(), 3);
        let times = tried.take();
        assert_eq!(times.len(), 3);
        assert!(times[0] <= hour / 3 && times[1] <= hour / 2, "{times:?}");
        first(&addresses, end(), dial(9)).unwrap_err();
        assert_eq!(tried.take().len(), 3);
        // No time, no try.
        first(&addresses, Instant::now(), dial(1)).unwrap_err();
        assert_eq!(tried.take().len(), 0);
        first(&[], end(), dial(1)).unwrap_err();
    }

    #[test]
    fn a_vault_that_says_nothing_is_waited_for_until_the_end_only() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let client = Client::new(&url, Duration::from_secs(3600)).unwrap();
        let soon = Instant::now() + Duration::from_millis(50);
        let err = client.clone().until(soon).health().unwrap_err();
        assert!(matches!(err, ClientError::Http { .. }), "{err}");
        // The end was before it began: nobody is called.
        silent.accept().unwrap();
        let err = client.until(soon).health().unwrap_err();
        assert!(matches!(err, ClientError::Connect { .. }), "{err}");
        silent.set_nonblocking(true).unwrap();
        assert!(silent.accept().is_err());
    }

    #[test]
    fn names_below_localhost_are_this_machine() {
        assert_eq!(resolvable("keys.localhost:80"), "localhost:80");
        assert_eq!(resolvable("localhost.example:80"), "localhost.example:80");
    }

    #[test]
    fn addresses_are_http_with_or_without_a_port() {
        let address = |url| Client::new(url, Duration::from_secs(1)).map(|client| client.address);
        assert_eq!(address("http://vault.example").unwrap(), "vault.example:80");
        assert_eq!(address("http://vault.example:8200/").unwrap(), "vault.example:8200");
        assert_eq!(address("http://[::1]:82").unwrap(), "[::1]:82");
        assert_eq!(address("http://[::1]").unwrap(), "[::1]:80");
        for bad in ["", "vault", "https://a", "http://", "http://a/b", "http://a b", "http://a\r\n"]
        {
            assert!(matches!(address(bad), Err(ClientError::Address(_))), "{bad}");
        }
    }
}
