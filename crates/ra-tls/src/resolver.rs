//! Gives TLS a certificate that is always fresh.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use casemate_attestation::UnixSeconds;
use casemate_evidence::EvidenceError;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};

use crate::{Clock, EvidenceIssuer, certificate};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is no evidence to put into it.
    #[error("failed to get evidence for the certificate")]
    Evidence(#[source] EvidenceError),
    /// The kernel gives no random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// The evidence can't be encoded.
    #[error("failed to encode the evidence: {0}")]
    Der(der::Error),
    /// It can't be signed.
    #[error("failed to sign the certificate")]
    Sign(#[source] rcgen::Error),
    /// TLS does not take the key.
    #[error("TLS does not take the key")]
    Key(#[source] rustls::Error),
}

/// Holds the newest certificate and makes the next one in time: from half of its life on in the
/// background, and while a handshake waits where there is none that is valid. Without evidence there
/// is no certificate, and handshakes fail.
pub struct Resolver {
    issuer: Arc<EvidenceIssuer>,
    key: Arc<dyn SigningKey>,
    clock: Clock,
    current: Mutex<Option<Current>>,
    /// Held while one is made, so that waiting handshakes make one together. Knows when that has
    /// failed last.
    making: Mutex<Option<UnixSeconds>>,
    renewing: AtomicBool,
    observer: OnceLock<Observer>,
}

/// Hears of each renewal.
type Observer = Box<dyn Fn(Renewal<'_>) + Send + Sync>;

/// How a renewal has ended.
#[derive(Clone, Copy, Debug)]
pub enum Renewal<'a> {
    /// There is a new certificate.
    Done,
    /// There is none.
    Failed {
        /// Why.
        cause: &'a CertificateError,
        /// Whether the certificate before it is valid still, so that handshakes go well.
        serves: bool,
    },
}

#[derive(Clone)]
struct Current {
    key: Arc<CertifiedKey>,
    not_after: UnixSeconds,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Resolver {
    /// Makes no certificate yet.
    ///
    /// # Errors
    /// Where TLS does not take the key.
    pub fn new(issuer: Arc<EvidenceIssuer>, clock: Clock) -> Result<Arc<Self>, CertificateError> {
        // TLS parses the key and keeps its own copy of the number; the encoding is wiped.
        let encoded = zeroize::Zeroizing::new(issuer.keys().tls().serialize_der());
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(encoded.as_slice()));
        let key =
            rustls::crypto::ring::sign::any_supported_type(&der).map_err(CertificateError::Key)?;
        Ok(Arc::new(Self {
            issuer,
            key,
            clock,
            current: Mutex::default(),
            making: Mutex::default(),
            renewing: AtomicBool::new(false),
            observer: OnceLock::new(),
        }))
    }

    /// Lets `observer` hear of each renewal, one after the other; only the first one that is set.
    /// Renewals are made while handshakes wait or in the background, where there is nobody to tell
    /// otherwise. It must not call the resolver.
    pub fn observe(&self, observer: impl Fn(Renewal<'_>) + Send + Sync + 'static) {
        let _ = self.observer.set(Box::new(observer));
    }

    /// The newest certificate, where there is a valid one.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.valid((self.clock)()).and_then(|current| current.key.cert.first().cloned())
    }

    /// Makes a new certificate, unless there is one in the first half of its life.
    ///
    /// # Errors
    /// Where it can't be made; the old one stays.
    pub fn renew(&self) -> Result<(), CertificateError> {
        let mut failed = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        if self.valid(now).is_some_and(|current| !is_old(&current, now)) {
            return Ok(());
        }
        self.make(now, &mut failed)
    }

    fn make(
        &self,
        now: UnixSeconds,
        failed: &mut Option<UnixSeconds>,
    ) -> Result<(), CertificateError> {
        let made = certificate::make(&self.issuer, now).map(|(der, not_after)| {
            let key = Arc::new(CertifiedKey::new(vec![der], Arc::clone(&self.key)));
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Current { key, not_after });
        });
        // Evidence may have taken long.
        let now = (self.clock)();
        *failed = made.is_err().then_some(now);
        if let Some(observer) = self.observer.get() {
            observer(match &made {
                Ok(()) => Renewal::Done,
                Err(cause) => Renewal::Failed { cause, serves: self.valid(now).is_some() },
            });
        }
        made
    }

    fn valid(&self, now: UnixSeconds) -> Option<Current> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|current| {
            // A clock that was set back must not keep an old one alive for ever.
            now < current.not_after
                && current.not_after <= now.saturating_add(certificate::LIFETIME_SECONDS)
        })
    }

    /// What a handshake gets.
    fn get(self: &Arc<Self>) -> Option<Arc<CertifiedKey>> {
        let now = (self.clock)();
        if let Some(current) = self.valid(now) {
            if is_old(&current, now) {
                self.renew_in_background(now);
            }
            return Some(current.key);
        }
        let mut failed = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.clock)();
        if self.valid(now).is_none() {
            // Those who have waited for it would fail as slowly, one after the other.
            if has_just_failed(*failed, now) {
                return None;
            }
            self.make(now, &mut failed).ok()?;
        }
        drop(failed);
        self.valid((self.clock)()).map(|current| current.key)
    }

    fn renew_in_background(self: &Arc<Self>, now: UnixSeconds) {
        // Where it is locked, one is being made.
        let idle = self.making.try_lock().is_ok_and(|failed| !has_just_failed(*failed, now));
        if !idle || self.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().spawn(move || {
            // On failure a later handshake tries again.
            let _ = this.renew();
            this.renewing.store(false, Ordering::Release);
        });
        if thread.is_err() {
            self.renewing.store(false, Ordering::Release);
        }
    }
}

/// How long handshakes are answered from the last failure, in seconds.
const FAILED_SECONDS: u64 = 1;

fn has_just_failed(failed: Option<UnixSeconds>, now: UnixSeconds) -> bool {
    // A clock that was set back must not keep a failure alive.
    failed.is_some_and(|at| now.abs_diff(at) <= FAILED_SECONDS)
}

fn is_old(current: &Current, now: UnixSeconds) -> bool {
    current.not_after.saturating_sub(now) < certificate::LIFETIME_SECONDS / 2
}

/// What TLS holds: the resolver, in a type of its own because renewal needs the shared pointer.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) Arc<Resolver>);

impl ResolvesServerCert for Shared {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get()
    }
}
