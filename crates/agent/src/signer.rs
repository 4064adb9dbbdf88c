//! Makes and signs usage records. The key lives in this value only, and is wiped with it.

use std::time::Duration;

use casemate_logs::{ChunkWriter, RecipientError};
use casemate_primitives::{
    AgentPublicKey, AgentSignature, Hash256, HostMeasured, LeaseId, LogHead, PodState, Quantities,
    ReplicaIndex, RunResult, UnixSeconds, UsageRecord,
};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::{
    config::{PreviousRecord, SignerConfig},
    event::{decode_key, decode_record},
};

/// What was used since the record before, as measured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Microseconds of a core.
    pub cpu_usec: u64,
    /// Bytes of memory × milliseconds.
    pub memory_byte_ms: u128,
    /// Bytes of disk × milliseconds.
    pub storage_byte_ms: u128,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// What of it the host has said. Such traffic is told, and not charged.
    pub host_measured: HostMeasured,
}

/// What a record says besides its time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// What was used since the record before.
    pub usage: Usage,
    /// What the pod did since then. Nothing is metered while it sleeps.
    pub state: PodState,
    /// The log so far.
    pub log: LogHead,
    /// What the key's evidence is about; zeros before there is any.
    pub evidence: Hash256,
}

/// An agent's key and the newest link of its chain of records.
///
/// Clocks are arguments: the wall clock's second, and how long the agent has run by a clock that is
/// never set.
pub struct Signer {
    config: SignerConfig,
    key: SigningKey,
    start: UnixSeconds,
    /// Hash of the last record of the agent before this one.
    previous: Hash256,
    last: Option<UsageRecord>,
    metered: Metered,
}

/// Sums over all spans in which the pod ran.
#[derive(Clone, Copy, Debug, Default)]
struct Metered {
    cpu_usec: u128,
    memory_byte_ms: u128,
    storage_byte_ms: u128,
    sent_bytes: u64,
    received_bytes: u64,
    charged_sent_bytes: u64,
    charged_received_bytes: u64,
    host_measured: HostMeasured,
}

impl Metered {
    fn add(&mut self, usage: &Usage) {
        self.cpu_usec = self.cpu_usec.saturating_add(usage.cpu_usec.into());
        self.memory_byte_ms = self.memory_byte_ms.saturating_add(usage.memory_byte_ms);
        self.storage_byte_ms = self.storage_byte_ms.saturating_add(usage.storage_byte_ms);
        self.sent_bytes = self.sent_bytes.saturating_add(usage.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(usage.received_bytes);
        self.host_measured = self.host_measured.and(usage.host_measured);
        if !usage.host_measured.has(HostMeasured::TRAFFIC) {
            self.charged_sent_bytes = self.charged_sent_bytes.saturating_add(usage.sent_bytes);
            self.charged_received_bytes =
                self.charged_received_bytes.saturating_add(usage.received_bytes);
        }
    }

    fn actual(&self, gpu_seconds: u64) -> Quantities {
        let whole = |amount: u128, unit: u128| u64::try_from(amount / unit).unwrap_or(u64::MAX);
        const MIB_SECOND: u128 = (1 << 20) * 1000;
        Quantities {
            cpu_millicore_seconds: whole(self.cpu_usec, 1000),
            memory_mib_seconds: whole(self.memory_byte_ms, MIB_SECOND),
            storage_mib_seconds: whole(self.storage_byte_ms, MIB_SECOND),
            gpu_seconds,
            egress_mib: self.sent_bytes >> 20,
            ingress_mib: self.received_bytes >> 20,
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("lease", &self.config.lease).finish_non_exhaustive()
    }
}

impl Signer {
    /// Makes a new key from the kernel's random numbers. The first record begins at `now`, but never
    /// before the last one of the agent before it has ended: no second is charged twice.
    ///
    /// # Errors
    /// Where the kernel gives no random numbers.
    pub fn new(config: SignerConfig, now: UnixSeconds) -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let key = SigningKey::from_bytes(&seed);
        // Best effort against a copy that stays on the stack; the key itself is wiped on drop.
        seed.fill(0);
        std::hint::black_box(&seed);
        let before = config.previous.as_ref().and_then(|previous| of_same_pod(previous, &config));
        let start = before.as_ref().map_or(now, |record| now.max(record.to));
        let previous = before.as_ref().map(UsageRecord::hash).unwrap_or_default();
        Ok(Self { config, key, start, previous, last: None, metered: Metered::default() })
    }

    /// The public half of the key.
    pub fn public_key(&self) -> AgentPublicKey {
        self.key.verifying_key().to_bytes()
    }

    /// Chain that the records are for.
    pub fn genesis_hash(&self) -> &Hash256 {
        &self.config.genesis_hash
    }

    /// Which pod it signs for.
    pub fn pod(&self) -> (LeaseId, ReplicaIndex) {
        (self.config.lease, self.config.replica)
    }

    /// Signs how a run has ended.
    pub fn sign_result(&self, result: &RunResult) -> AgentSignature {
        self.key.sign(&result.signing_payload(&self.config.genesis_hash)).to_bytes()
    }

    /// An empty log of this key, sealed to `recipient`.
    ///
    /// # Errors
    /// Where nothing can be sealed to the recipient.
    pub fn log(&self, recipient: [u8; 32]) -> Result<ChunkWriter, RecipientError> {
        let SignerConfig { genesis_hash, lease, replica, .. } = &self.config;
        ChunkWriter::new(*genesis_hash, *lease, *replica, self.public_key(), recipient)
    }

    /// Makes the next record.
    ///
    /// Its end is `now`, but never before the last record's (the clock was set back) nor after the
    /// start plus `elapsed` (the clock was set forward: nobody pays for time that did not pass).
    pub fn record(
        &mut self,
        now: UnixSeconds,
        elapsed: Duration,
        observed: &Observed,
    ) -> (UsageRecord, AgentSignature) {
        let last = self.last.unwrap_or(UsageRecord { to: self.start, ..UsageRecord::default() });
        let from = last.to;
        let to = now.min(self.start.saturating_add(elapsed.as_secs())).max(from);
        let mut running_seconds = last.running_seconds;
        if observed.state.has_run() {
            running_seconds = running_seconds.saturating_add(to - from);
            self.metered.add(&observed.usage);
        }
        // It overflows only after more seconds than a clock can count; the total stands still then.
        let held = Quantities::quota(&self.config.quota, running_seconds).unwrap_or(last.total);
        let total = Quantities {
            egress_mib: self.metered.charged_sent_bytes >> 20,
            ingress_mib: self.metered.charged_received_bytes >> 20,
            ..held
        };
        let record = UsageRecord {
            lease: self.config.lease,
            replica: self.config.replica,
            sequence: last.sequence.saturating_add(1),
            previous: self.last.as_ref().map_or(self.previous, UsageRecord::hash),
            from,
            to,
            state: observed.state,
            running_seconds,
            total,
            actual: self.metered.actual(held.gpu_seconds),
            host_measured: self.metered.host_measured,
            log: observed.log,
            evidence: observed.evidence,
        };
        let payload = record.signing_payload(&self.config.genesis_hash);
        let signature = self.key.sign(&payload).to_bytes();
        self.last = Some(record);
        (record, signature)
    }
}

/// The record, if it is one of this pod that its key has signed.
fn of_same_pod(previous: &PreviousRecord, config: &SignerConfig) -> Option<UsageRecord> {
    let key = decode_key(&previous.key).ok()?;
    let genesis_hash = &config.genesis_hash;
    let (record, _) =
        decode_record(&previous.record, &previous.signature, &key, genesis_hash).ok()?;
    ((record.lease, record.replica) == (config.lease, config.replica)).then_some(record)
}

#[cfg(test)]
mod tests;
