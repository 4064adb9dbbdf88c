//! The vault itself: takes entries, judges pods, seals what they get, writes down what it did.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use casemate_attestation::UnixSeconds;
use casemate_primitives::TeeKind;
pub(crate) use casemate_primitives::chain_of as chain;
use casemate_ra_tls::{
    Clock, Expected, Peer, PeerError, ReleaseEvidence, SecretName, Secrets,
    sealed::{Header, SealedSecrets},
};
use ed25519_dalek::VerifyingKey;
use zeroize::Zeroizing;

use crate::{
    appraise,
    audit::{self, AuditEntry, Event, Level, Pod, Released, Trail},
    catalogue::{Catalogue, Put},
    entry::{EntryError, Grant, Key, SignedEntry, Source},
    limiter::Limiter,
    master::Keys,
    nonces::{NonceError, Nonces},
    seal::{OpenError, SealError},
    store::{Record, Store, StoreError},
    wire::{AUDIT_MAX, Command, Listed, Reply, Snapshot, Status},
};

/// How far a publisher's clock may be ahead of the vault's. Entries push the vault's clock: one of a
/// far future would end all grants.
const AHEAD_SECONDS: u64 = 24 * 60 * 60;

/// Refusals that are written down: a burst, then one in five minutes, so that strangers need weeks to
/// push the trail's other lines out. More are counted.
const REFUSALS: (u16, f64) = (30, 1.0 / 300.0);

/// The file is written anew when it has grown by so much, and is more than twice what it was then.
const GROWTH_BYTES: u64 = 4 * 1024 * 1024;

/// What a vault is made from.
#[derive(Clone)]
pub struct Options {
    /// Its file.
    pub store: PathBuf,
    /// Whose entries it takes: Ed25519.
    pub publisher: [u8; 32],
    /// The machine's clock.
    pub clock: Clock,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("store", &self.store)
            .field("publisher", &hex::encode(self.publisher))
            .finish_non_exhaustive()
    }
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The publisher's key.
    #[error("the publisher's key is not a valid Ed25519 key")]
    Publisher,
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the file.
    #[error("`{path}` holds an entry that can't be: {reason}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Why a pod gets nothing, or a message is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The nonce.
    #[error("{0}")]
    Nonce(String),
    /// The evidence does not read, or is for something else.
    #[error("the evidence is none that secrets are released for")]
    Evidence(#[source] PeerError),
    /// No grant names the pod.
    #[error("no grant of this vault is for that manifest, lease and replica")]
    NoGrant,
    /// The grant's time is over.
    #[error("the grant `{name}` ended at {until} (Unix time): the publisher must renew it")]
    Expired {
        /// Which.
        name: String,
        /// Its end.
        until: UnixSeconds,
    },
    /// The policy or the verifier says no.
    #[error("the evidence is not what the grant `{name}` asks for")]
    Appraisal {
        /// Which.
        name: String,
        /// What it says.
        #[source]
        source: PeerError,
    },
    /// The collateral is older than one that was relied on.
    #[error(
        "the collateral is number {found} of the vendor's statements about this product's firmware; \
         number {known} was relied on before"
    )]
    OldCollateral {
        /// What came.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// The grant gives what the vault has not.
    #[error("the grant `{grant}` gives the secret `{name}`, and this vault has none of that name")]
    Missing {
        /// Which grant.
        grant: String,
        /// Which secret.
        name: String,
    },
    /// The grant was changed while its pod was judged.
    #[error("the grant was changed meanwhile: ask again")]
    Changed,
    /// Too much.
    #[error("the secrets of that grant are more than a release can be")]
    TooMuch,
    /// Can't be sealed.
    #[error("the secrets can't be sealed")]
    Seal(#[source] casemate_ra_tls::sealed::SealError),
    /// An entry is not taken.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A message is not of this vault.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It can't be written down, so it is not done.
    #[error("the vault can't write it down, and so does not do it")]
    Store(#[from] StoreError),
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] SealError),
}

impl Refused {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nonce(_) => "nonce",
            Self::Evidence(_) => "evidence",
            Self::NoGrant => "noGrant",
            Self::Expired { .. } => "grantExpired",
            Self::Appraisal { .. } => "refused",
            Self::OldCollateral { .. } => "oldCollateral",
            Self::Missing { .. } => "secretMissing",
            Self::Changed => "changed",
            Self::TooMuch => "tooMuch",
            Self::Seal(_) => "notSealed",
            Self::Entry(err) => err.code(),
            Self::Open(_) => "notOpened",
            Self::Store(_) => "store",
            Self::Random(_) => "random",
        }
    }

    /// Whether the same may work a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Nonce(_) | Self::Changed | Self::Store(_) | Self::Random(_))
    }
}

/// A running vault.
#[derive(Debug)]
pub struct Vault {
    keys: Keys,
    publisher: VerifyingKey,
    clock: ClockDebug,
    nonces: Nonces,
    state: Mutex<State>,
}

/// What becomes of entries that are older than what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Older {
    Refused,
    Skipped,
}

struct ClockDebug(Clock);

impl std::fmt::Debug for ClockDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

#[derive(Debug)]
struct State {
    store: Store,
    /// Its length when it was written anew.
    base_bytes: u64,
    catalogue: Catalogue,
    trail: Trail,
    /// Number of the last release.
    sequence: u64,
    /// When it was.
    released_at: UnixSeconds,
    levels: BTreeMap<(u8, String), u32>,
    refusals: Limiter,
    suppressed: u32,
}

/// What a pod gets.
#[derive(Clone, Debug)]
pub struct Release {
    /// For the pod's agent.
    pub sealed: Vec<u8>,
    /// What was sealed.
    pub names: Vec<String>,
    /// Number of the release.
    pub sequence: u64,
    /// By which grant.
    pub grant: String,
}

impl Vault {
    /// Opens the file. `snapshots` are sealed ones that came with the master; empty ones are none.
    ///
    /// # Errors
    /// Where the file can't be used, or a snapshot is not this vault's.
    pub fn open(keys: Keys, options: &Options) -> Result<Self, StartError> {
        let publisher =
            VerifyingKey::from_bytes(&options.publisher).map_err(|_| StartError::Publisher)?;
        let (store, records) = Store::open(&options.store, &keys)?;
        let now = Instant::now();
        let base_bytes = store.length();
        let mut state = State {
            store,
            base_bytes,
            catalogue: Catalogue::default(),
            trail: Trail::default(),
            sequence: 0,
            released_at: 0,
            levels: BTreeMap::new(),
            refusals: Limiter::new(REFUSALS.0, REFUSALS.1, now),
            suppressed: 0,
        };
        let content = |reason: String| StartError::Content { path: options.store.clone(), reason };
        for record in records {
            match record {
                Record::Head { .. } => return Err(content("a second head".into())),
                // Older ones of a key lie before newer ones.
                Record::Entry(entry) => {
                    entry.check(&keys, &publisher).map_err(|err| content(err.to_string()))?;
                    state.catalogue.put(*entry).map_err(|err| content(err.to_string()))?;
                }
                Record::Audit(entry) => {
                    audit::verify([&entry], state.trail.last())
                        .map_err(|err| content(err.to_string()))?;
                    state.note(entry);
                }
            }
        }
        let nonces = Nonces::new(now).map_err(StartError::Random)?;
        let clock = ClockDebug(options.clock.clone());
        Ok(Self { keys, publisher, clock, nonces, state: Mutex::new(state) })
    }

    /// Its keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through a change: what is in memory follows what is on disk.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock, never behind what the store has seen.
    fn now(&self, state: &State) -> UnixSeconds {
        (self.clock.0)().max(state.catalogue.newest_time()).max(state.released_at)
    }

    /// A nonce to make evidence over.
    ///
    /// # Errors
    /// Without random numbers.
    pub fn nonce(&self) -> Result<[u8; 32], Refused> {
        Ok(self.nonces.make(Instant::now()).map_err(SealError::from)?)
    }

    /// Judges evidence, and seals what the pod gets.
    ///
    /// # Errors
    /// The check that fails. What a genuine pod may have done wrong is written down.
    pub fn release(&self, cmw: &[u8], collateral: &[Vec<u8>]) -> Result<Release, Refused> {
        let evidence = ReleaseEvidence::read(cmw).map_err(Refused::Evidence)?;
        let claimed = evidence.claimed().clone();
        let nonce = |err: NonceError| Refused::Nonce(err.to_string());
        self.nonces.check(&claimed.nonce, Instant::now()).map_err(nonce)?;
        let pod = Pod {
            lease: claimed.lease,
            replica: claimed.replica,
            manifest_hash: claimed.manifest_hash,
        };
        let digest = evidence.digest();
        let result = self.judge(&evidence, collateral).and_then(|(name, grant, peer)| {
            self.nonces.take(&claimed.nonce, Instant::now()).map_err(nonce)?;
            self.give(&name, &grant, &peer, pod.clone())
        });
        if let Err(err) = &result
            && !err.is_passing()
        {
            let mut state = self.state();
            if state.refusals.take(Instant::now()) {
                let (code, suppressed) = (err.code().to_owned(), state.suppressed);
                let event = Event::Refused { pod, code, evidence: digest, suppressed };
                // That it was refused does not hang on its being written down.
                if self.append(&mut state, vec![event], Vec::new()).is_ok() {
                    state.suppressed = 0;
                }
            } else {
                state.suppressed = state.suppressed.saturating_add(1);
            }
        }
        result
    }

    /// The grant whose policy accepts the evidence. Without the lock: this takes a millisecond, and
    /// strangers may ask for it.
    fn judge(
        &self,
        evidence: &ReleaseEvidence,
        collateral: &[Vec<u8>],
    ) -> Result<(String, Grant, Peer), Refused> {
        let claimed = evidence.claimed();
        let (grants, own, now) = {
            let state = self.state();
            let grants = state.catalogue.grants_for(
                &claimed.genesis_hash,
                &claimed.manifest_hash,
                claimed.lease,
                claimed.replica,
            );
            (grants, state.catalogue.collateral(), self.now(&state))
        };
        let mut refused = Refused::NoGrant;
        for (name, grant) in grants {
            let err = if grant.until < now {
                Refused::Expired { name, until: grant.until }
            } else {
                let expected = Expected {
                    genesis_hash: Some(grant.genesis_hash),
                    lease: grant.lease,
                    replica: grant.replica,
                    manifest_hash: Some(grant.manifest_hash),
                    agent_key: None,
                };
                let appraiser = appraise::appraiser(&grant, &own, collateral)?;
                match evidence.appraise(&claimed.nonce, &expected, &appraiser, now) {
                    Ok(peer) => return Ok((name, grant, peer)),
                    Err(source) => Refused::Appraisal { name, source },
                }
            };
            // The most precise grant's reason is the one to tell.
            if matches!(refused, Refused::NoGrant) {
                refused = err;
            }
        }
        Err(refused)
    }

    /// Seals, writes down, and only then gives away.
    fn give(&self, name: &str, grant: &Grant, peer: &Peer, pod: Pod) -> Result<Release, Refused> {
        let mut state = self.state();
        let now = self.now(&state);
        let binding = &peer.binding;
        // It may have been revoked since it was looked up.
        let key = Key::Grant(name.to_owned());
        let is_same = state.catalogue.get(&key).is_some_and(|signed| {
            matches!(&signed.entry.body, Some(crate::entry::Body::Grant(now)) if **now == *grant)
        });
        if !is_same {
            return Err(Refused::Changed);
        }
        let claims = &peer.appraisal.claims;
        let level = claims.tcb.evaluation.map(|evaluation| Level {
            kind: claims.kind,
            product: claims.product.clone(),
            evaluation,
        });
        if let Some(level) = &level {
            state.check_level(level)?;
        }
        let secrets = self.gather(&state, name, grant)?;
        let names: Vec<String> = secrets.names().map(str::to_owned).collect();
        let sequence = now.saturating_mul(1000).max(state.sequence.saturating_add(1));
        let header = Header {
            genesis_hash: binding.genesis_hash,
            lease: binding.lease,
            replica: binding.replica,
            manifest_hash: binding.manifest_hash,
            evidence_digest: peer.evidence.digest(),
            policy_id: grant.policy_id(),
            sequence,
        };
        let sealed =
            SealedSecrets::seal(&secrets, header, &binding.hpke_key, Some(&self.keys.release))
                .map_err(Refused::Seal)?;
        let event = Event::Released(Box::new(Released {
            pod,
            grant: name.to_owned(),
            policy: grant.policy_id(),
            names: names.clone(),
            evidence: peer.evidence.digest(),
            sequence,
            level,
        }));
        self.append(&mut state, vec![event], Vec::new())?;
        Ok(Release { sealed: sealed.to_bytes(), names, sequence, grant: name.to_owned() })
    }

    fn gather(&self, state: &State, grant: &str, of: &Grant) -> Result<Secrets, Refused> {
        let mut secrets = Secrets::new();
        for given in &of.secrets {
            let missing =
                |name: &str| Refused::Missing { grant: grant.to_owned(), name: name.to_owned() };
            let value = match &given.from {
                Source::Secret(name) => {
                    let entry = state.catalogue.get(&Key::Secret(name.clone()));
                    let value = entry.map(|signed| signed.entry.value(&self.keys)).transpose()?;
                    value.flatten().ok_or_else(|| missing(name))?
                }
                Source::Master => self.keys.master.to_text(),
                Source::Snapshot => Zeroizing::new(state.snapshot().seal(&self.keys)?),
            };
            let name = SecretName::new(&given.name).map_err(|_| missing(&given.name))?;
            secrets.insert(name, value).map_err(|_| Refused::TooMuch)?;
        }
        Ok(secrets)
    }

    /// All entries, sealed for the other replicas.
    ///
    /// # Errors
    /// Without random numbers.
    pub fn snapshot(&self) -> Result<Vec<u8>, Refused> {
        Ok(self.state().snapshot().seal(&self.keys)?)
    }

    /// Takes from another replica, or from what came with the master, what is newer here. Says how
    /// much was.
    ///
    /// # Errors
    /// Where it is not of this vault, or an entry in it is not the publisher's: then nothing is
    /// taken.
    pub fn merge(&self, sealed: &[u8]) -> Result<u32, Refused> {
        let snapshot = Snapshot::open(&self.keys, sealed)?;
        self.check(&snapshot.entries)?;
        let mut state = self.state();
        // The replica that sent it need not know the newest.
        let new = self.new_ones(&state, snapshot.entries, Older::Skipped)?;
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        if count > 0 {
            self.append(&mut state, vec![Event::Merged { count }], new)?;
        }
        Ok(count)
    }

    /// Does what the publisher asks. Commands carry no proof beyond the key that they are sealed
    /// under, which all replicas have: they read; what changes something is signed.
    pub fn command(&self, command: Command) -> Reply {
        let result = match command {
            Command::Put(entries) => self.put(entries).map(Reply::Taken),
            Command::Status => Ok(Reply::Status(self.status())),
            Command::List => Ok(Reply::List(self.list())),
            Command::Audit { from, count } => {
                let state = self.state();
                let wanted = state.trail.iter().filter(|entry| entry.index >= from);
                let count = count.min(AUDIT_MAX) as usize;
                Ok(Reply::Audit(wanted.take(count).cloned().collect()))
            }
            Command::Snapshot => Ok(Reply::Snapshot(self.state().snapshot())),
        };
        result.unwrap_or_else(|err| Reply::Problem {
            code: err.code().to_owned(),
            error: chain(&err),
        })
    }

    /// Takes entries, all or none. Says how many were new.
    ///
    /// # Errors
    /// The first that can't be taken, and why.
    pub fn put(&self, entries: Vec<SignedEntry>) -> Result<u32, Refused> {
        self.check(&entries)?;
        let mut state = self.state();
        let new = self.new_ones(&state, entries, Older::Refused)?;
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        if count > 0 {
            let written = |signed: &SignedEntry| Event::Written {
                key: signed.entry.key.clone(),
                version: signed.entry.version,
            };
            let events = new.iter().map(written).collect();
            self.append(&mut state, events, new)?;
        }
        Ok(count)
    }

    /// Without the lock: signatures take time.
    fn check(&self, entries: &[SignedEntry]) -> Result<(), EntryError> {
        entries.iter().try_for_each(|signed| signed.check(&self.keys, &self.publisher))
    }

    /// Those that are new here, if all can be taken.
    fn new_ones(
        &self,
        state: &State,
        entries: Vec<SignedEntry>,
        older: Older,
    ) -> Result<Vec<SignedEntry>, EntryError> {
        let newest = self.now(state).saturating_add(AHEAD_SECONDS).saturating_mul(1000);
        let mut trial = state.catalogue.clone();
        let mut new = Vec::new();
        for signed in entries {
            if signed.entry.version > newest {
                return Err(EntryError::Future);
            }
            match trial.put(signed.clone()) {
                Ok(Put::New) => new.push(signed),
                Ok(Put::Same) => {}
                Err(EntryError::Older { .. }) if older == Older::Skipped => {}
                Err(err) => return Err(err),
            }
        }
        Ok(new)
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let state = self.state();
        Status {
            time: self.now(&state),
            entries: u32::try_from(state.catalogue.len()).unwrap_or(u32::MAX),
            newest: state.catalogue.newest(),
            audit_next: state.trail.next_index(),
            audit_head: state.trail.head(),
        }
    }

    /// What it has.
    pub fn list(&self) -> Vec<Listed> {
        let state = self.state();
        let listed = state.catalogue.iter().map(|signed| Listed {
            key: signed.entry.key.clone(),
            version: signed.entry.version,
            is_removed: signed.entry.body.is_none(),
            grant: match &signed.entry.body {
                Some(crate::entry::Body::Grant(grant)) => Some(grant.clone()),
                _ => None,
            },
        });
        listed.collect()
    }

    /// Writes events and entries that are known to fit, in one batch, then takes them over.
    fn append(
        &self,
        state: &mut State,
        events: Vec<Event>,
        entries: Vec<SignedEntry>,
    ) -> Result<(), StoreError> {
        let lines = state.trail.make(self.now(state), events);
        let mut records: Vec<Record> =
            entries.iter().map(|entry| Record::Entry(Box::new(entry.clone()))).collect();
        records.extend(lines.iter().cloned().map(Record::Audit));
        state.store.append(&records)?;
        lines.into_iter().for_each(|line| state.note(line));
        for entry in entries {
            // Looked at before: it fits.
            let _ = state.catalogue.put(entry);
        }
        let length = state.store.length();
        if length > state.base_bytes * 2 && length > state.base_bytes + GROWTH_BYTES {
            // What is on disk is whole, so that a failure here is no failure of the caller's. It is
            // tried again when the file has grown once more.
            let entries = state.catalogue.iter().map(|e| Record::Entry(Box::new(e.clone())));
            let lines = state.trail.iter().map(|line| Record::Audit(line.clone()));
            let all: Vec<Record> = entries.chain(lines).collect();
            let _ = state.store.rewrite(&self.keys, &all);
            state.base_bytes = state.store.length();
        }
        Ok(())
    }
}

impl State {
    fn snapshot(&self) -> Snapshot {
        Snapshot { entries: self.catalogue.iter().cloned().collect() }
    }

    /// A carrier may bring collateral that has not expired and yet is not the vendor's last word.
    fn check_level(&self, level: &Level) -> Result<(), Refused> {
        match self.levels.get(&level_key(level)) {
            Some(known) if level.evaluation < *known => {
                Err(Refused::OldCollateral { found: level.evaluation, known: *known })
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, line: AuditEntry) {
        if let Event::Released(released) = &line.event {
            self.sequence = self.sequence.max(released.sequence);
            self.released_at = self.released_at.max(line.time);
            if let Some(level) = &released.level {
                let known = self.levels.entry(level_key(level)).or_default();
                *known = level.evaluation.max(*known);
            }
        }
        self.trail.push(line);
    }
}

fn level_key(level: &Level) -> (u8, String) {
    let kind = match level.kind {
        TeeKind::IntelSgx => 0,
        TeeKind::IntelTdx => 1,
        TeeKind::AmdSevSnp => 2,
        TeeKind::NvidiaGpu => 3,
    };
    (kind, level.product.clone())
}

#[cfg(test)]
mod tests;
