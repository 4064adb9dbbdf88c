//! What a provider's HTTP API speaks: JSON with camelCase names, binary as `0x` and hex digits,
//! amounts of money as decimal strings (JSON's numbers are too small for them).
//!
//! | Request | Signed by | Answer |
//! |---|---|---|
//! | `GET /healthz` | nobody | `ok`, or 503 while the chain has not been read |
//! | `GET /v1/info` | nobody | [`ProviderInfo`] |
//! | `POST /v1/quotes` ([`QuoteRequest`]) | the publisher-to-be | [`QuoteResponse`] |
//! | `PUT /v1/manifests/{hash}?lease=` (canonical JSON) | the lease's publisher | 204 |
//! | `GET /v1/leases/{id}` | its publisher | [`LeaseStatus`] |
//! | `POST /v1/leases/{id}/amendments` ([`AmendRequest`]) | its publisher | [`AmendResponse`] |
//! | `GET /v1/leases/{id}/logs` | its publisher | [`LogEntry`], one JSON object a line |
//! | `GET /v1/leases/{id}/events` | its publisher | [`EventList`] |
//! | `GET /v1/leases/{id}/log-chunks?replica=&key=&from=&limit=&size=` | its publisher | [`LogChunkList`] |
//! | `GET /v1/leases/{id}/records?replica=&after=` | its publisher | [`RecordList`] |
//!
//! A refusal has a 4xx or 5xx status and a [`Refusal`] as its body.

mod agent_name;
mod encoding;
mod proofs;

pub use agent_name::{AGENT_DOMAIN, AgentName, ParseAgentNameError};
pub use encoding::{Amount, Hex, ParseHexError};
pub use proofs::{LOG_CHUNKS_MAX, LogChunkEntry, LogChunkList, LogInfo, RecordEntry, RecordList};

use casemate_primitives::{
    Asset, DeploymentId, LeaseId, Prices, Quantities, Quote, Resources, WARNINGS,
};
use serde::{Deserialize, Serialize};

/// Longest manifest that a provider takes. A manifest of 16 containers with every field in use is
/// below 64 KiB.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;

/// Body of `POST /v1/quotes`. It hands the manifest over, too: the provider keeps it until the
/// quote expires, and for as long as a lease runs it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuoteRequest {
    /// Canonical JSON of the manifest; its hash is over exactly these bytes.
    pub manifest: String,
    /// The registered asset that the publisher wants to pay in; the native token if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<u32>,
}

/// Answer to `POST /v1/quotes`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuoteResponse {
    /// SCALE encoding of the [`Quote`]: this is what counts.
    pub quote: Hex<Vec<u8>>,
    /// The provider's sr25519 signature over [`Quote::signing_payload`].
    pub signature: Hex<[u8; 64]>,
    /// The same in readable form, for people and scripts. Never rely on it.
    pub summary: QuoteSummary,
}

/// A quote in readable form.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuoteSummary {
    /// Who offers.
    pub provider: Hex<[u8; 32]>,
    /// Who may use it.
    pub publisher: Hex<[u8; 32]>,
    /// Hash of the manifest.
    pub manifest_hash: Hex<[u8; 32]>,
    /// Resources of one replica.
    pub resources: ResourcesInfo,
    /// Number of replicas.
    pub replicas: u16,
    /// The registered asset that amounts are in; the native token if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<u32>,
    /// Prices per unit.
    pub prices: PricesInfo,
    /// Least that a second in which a replica runs costs.
    #[serde(default)]
    pub second_min: Amount,
    /// What all replicas cost each second, without traffic.
    pub cost_per_second: Amount,
    /// The least that the lease must be opened with.
    pub deposit_min: Amount,
    /// How long a claim can be contested before it is final; up to twice as long, as claims of one
    /// period become final together.
    #[serde(default)]
    pub dispute_seconds: u32,
    /// How long after a close last records may be claimed.
    pub notice_seconds: u32,
    /// How long the pod stays after the money is used up.
    pub grace_seconds: u32,
    /// How long before it may close the lease the provider has to say so.
    #[serde(default)]
    pub reclaim_seconds: u32,
    /// After how long without a claim anyone may evict the provider; 0 for never.
    #[serde(default)]
    pub silence_seconds: u32,
    /// How long sealed output can be had after the end.
    #[serde(default)]
    pub retention_seconds: u32,
    /// The publisher is warned when the money pays for less time than this; 0 for no warning.
    #[serde(default)]
    pub warn_seconds: [u32; WARNINGS],
    /// Last second at which a lease can be opened with it.
    pub expires_at: u64,
}

impl QuoteSummary {
    /// The readable form of `quote`; `None` where its prices overflow.
    pub fn of(quote: &Quote) -> Option<Self> {
        let terms = &quote.terms;
        Some(Self {
            provider: Hex(quote.provider),
            publisher: Hex(quote.publisher),
            manifest_hash: Hex(quote.manifest_hash),
            resources: quote.resources.into(),
            replicas: quote.replicas,
            asset: match terms.asset {
                Asset::Native => None,
                Asset::Registered(id) => Some(id),
            },
            prices: terms.prices.into(),
            second_min: Amount(terms.second_min),
            cost_per_second: Amount(terms.per_second(&quote.resources, quote.replicas)?),
            deposit_min: Amount(terms.deposit_min),
            dispute_seconds: terms.dispute_seconds,
            notice_seconds: terms.notice_seconds,
            grace_seconds: terms.grace_seconds,
            reclaim_seconds: terms.reclaim_seconds,
            silence_seconds: terms.silence_seconds,
            retention_seconds: terms.retention_seconds,
            warn_seconds: terms.warn_seconds,
            expires_at: quote.expires_at,
        })
    }
}

/// Body of `POST /v1/leases/{id}/amendments`: the publisher asks the provider to sign new prices.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AmendRequest {
    /// SCALE encoding of the [`casemate_primitives::Amendment`].
    pub amendment: Hex<Vec<u8>>,
}

/// Answer to `POST /v1/leases/{id}/amendments`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AmendResponse {
    /// The provider's sr25519 signature over
    /// [`casemate_primitives::Amendment::signing_payload`]. The publisher brings both on chain.
    pub signature: Hex<[u8; 64]>,
}

/// [`Resources`] on the wire.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesInfo {
    /// Thousandths of a core.
    pub cpu_millicores: u32,
    /// MiB of memory.
    pub memory_mib: u32,
    /// MiB of disk.
    pub storage_mib: u32,
    /// Whole GPUs.
    pub gpus: u32,
}

impl From<Resources> for ResourcesInfo {
    fn from(r: Resources) -> Self {
        let Resources { cpu_millicores, memory_mib, storage_mib, gpus } = r;
        Self { cpu_millicores, memory_mib, storage_mib, gpus }
    }
}

/// [`Prices`] on the wire.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PricesInfo {
    /// For a thousandth of a core during one second.
    pub cpu_millicore_second: Amount,
    /// For one MiB of memory during one second.
    pub memory_mib_second: Amount,
    /// For one MiB of disk during one second.
    pub storage_mib_second: Amount,
    /// For one GPU during one second.
    pub gpu_second: Amount,
    /// For one MiB sent.
    pub egress_mib: Amount,
    /// For one MiB received.
    pub ingress_mib: Amount,
}

impl From<Prices> for PricesInfo {
    fn from(p: Prices) -> Self {
        Self {
            cpu_millicore_second: Amount(p.cpu_millicore_second),
            memory_mib_second: Amount(p.memory_mib_second),
            storage_mib_second: Amount(p.storage_mib_second),
            gpu_second: Amount(p.gpu_second),
            egress_mib: Amount(p.egress_mib),
            ingress_mib: Amount(p.ingress_mib),
        }
    }
}

/// [`Quantities`] on the wire.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuantitiesInfo {
    /// Thousandths of a core × seconds.
    pub cpu_millicore_seconds: u64,
    /// MiB of memory × seconds.
    pub memory_mib_seconds: u64,
    /// MiB of disk × seconds.
    pub storage_mib_seconds: u64,
    /// GPUs × seconds.
    pub gpu_seconds: u64,
    /// Whole MiB sent.
    pub egress_mib: u64,
    /// Whole MiB received.
    pub ingress_mib: u64,
}

impl From<Quantities> for QuantitiesInfo {
    fn from(q: Quantities) -> Self {
        Self {
            cpu_millicore_seconds: q.cpu_millicore_seconds,
            memory_mib_seconds: q.memory_mib_seconds,
            storage_mib_seconds: q.storage_mib_seconds,
            gpu_seconds: q.gpu_seconds,
            egress_mib: q.egress_mib,
            ingress_mib: q.ingress_mib,
        }
    }
}

/// Answer to `GET /v1/info`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderInfo {
    /// The provider's account.
    pub account: Hex<[u8; 32]>,
    /// Chain it is on.
    pub genesis_hash: Hex<[u8; 32]>,
    /// Version of the daemon.
    pub version: String,
    /// Where its pods are reached.
    pub ingress: IngressInfo,
    /// Finalised block it has read; `None` while it has read none and takes no orders.
    pub block_number: Option<u32>,
    /// The chain's clock at that block.
    pub block_time: Option<u64>,
}

/// Where pods are reached.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressInfo {
    /// Host names directly below this domain are given out to whoever asks first.
    pub domain: String,
    /// Port for HTTP.
    pub http_port: u16,
    /// `host:port` where TLS goes through to the pods' agents, by the server name that is asked for:
    /// an app's host name, or an [`AgentName`]. Absent where the provider has no such port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// First and last TCP port that a manifest may ask for.
    pub tcp_ports: (u16, u16),
}

/// Answer to `GET /v1/leases/{id}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseStatus {
    /// The lease.
    pub lease: LeaseId,
    /// What it runs.
    pub deployment: DeploymentId,
    /// Where it stands on chain, as this provider has read it.
    pub state: LeasePhase,
    /// Version of the manifest that is to run.
    pub version: u32,
    /// Hash of that manifest.
    pub manifest_hash: Hex<[u8; 32]>,
    /// Whether the provider has that manifest. If not, put it.
    pub manifest_known: bool,
    /// Replicas agreed.
    pub replicas: u16,
    /// Pods that exist, old versions included while an update runs.
    pub pods: Vec<PodInfo>,
    /// Where the app is reached.
    pub addresses: Vec<AddressInfo>,
    /// What keeps it from being as it should, for people; empty when all is well.
    pub problems: Vec<String>,
}

/// State of a lease, as [`crate::chain::LeaseState`] without its times.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum LeasePhase {
    /// No agent activated yet.
    Pending,
    /// At least one agent activated.
    Active,
    /// Closed; last records are claimed.
    Closing,
    /// Something newer than this client.
    #[serde(other)]
    Unknown,
}

/// A pod of a lease.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodInfo {
    /// `l<lease>-r<replica>-v<version>`.
    pub pod: String,
    /// Which replica.
    pub replica: u16,
    /// Which version of the manifest.
    pub version: u32,
    /// Where it stands.
    pub phase: PodPhaseInfo,
    /// Whether it gets traffic.
    pub ready: bool,
    /// Why it failed.
    pub reason: Option<String>,
    /// Its agent's public key.
    pub agent_key: Option<Hex<[u8; 32]>>,
    /// Where its agent is reached from outside, while it has evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentEndpoint>,
    /// Its containers.
    pub containers: Vec<ContainerInfo>,
    /// Its newest usage record that the provider holds.
    pub usage: Option<UsageInfo>,
}

/// Where an agent is reached from outside, by RA-TLS. The provider's word, which need not be believed:
/// who answers there proves by evidence who it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentEndpoint {
    /// `host:port` of the provider's TLS ingress, the same as [`IngressInfo::tls`].
    pub address: String,
    /// TLS server name to ask for: an [`AgentName`] with a version.
    pub server_name: String,
}

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum PodPhaseInfo {
    /// Being fetched, unpacked or started.
    Starting,
    /// All agents run.
    Running,
    /// Ended by itself or can't be started.
    Failed,
    /// Something newer than this client.
    #[serde(other)]
    Unknown,
}

/// A container of a pod.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInfo {
    /// Name in the manifest.
    pub name: String,
    /// `waiting`, `awaitingSecrets`, `running`, `backOff` or `exited`.
    pub state: String,
    /// Exit code where it ended.
    pub exit_code: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether its readiness probe passes.
    pub ready: bool,
}

/// A usage record in short.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageInfo {
    /// Counts up from 1 for each agent key.
    pub sequence: u64,
    /// Last second (exclusive) that it covers.
    pub to: u64,
    /// Sum since the agent's first record.
    pub total: QuantitiesInfo,
    /// Newest sequence of this key that was claimed on chain.
    pub claimed_sequence: u64,
}

/// Where a port of the app is reached.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressInfo {
    /// Container that has the port.
    pub container: String,
    /// `http`, `https` (TLS that ends in the pod, with the agent's certificate) or `tcp`.
    pub protocol: String,
    /// URL for `http` and `https`, `host:port` for `tcp`.
    pub address: String,
}

/// One line of output. Followed logs also carry empty lines, which keep the connection open.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Pod that wrote it.
    pub pod: String,
    /// Where to go on reading in that pod.
    pub cursor: u64,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Which container.
    pub container: String,
    /// `stdout`, `stderr` or `agent`.
    pub stream: String,
    /// The line without its end.
    pub text: String,
}

/// Answer to `GET /v1/leases/{id}/events`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    /// Oldest first.
    pub events: Vec<EventEntry>,
}

/// Something that a provider did or noticed about a lease.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventEntry {
    /// Strictly growing; ask for those `after` the last one seen.
    pub id: u64,
    /// When, in seconds since the Unix epoch.
    pub time: u64,
    /// Short name such as `ready`, `unhealthy`, `claimed`.
    pub kind: String,
    /// Pod concerned.
    pub pod: Option<String>,
    /// For people.
    pub message: String,
}

/// Body of every refusal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// What happened, to what.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default)]
    pub hint: String,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// The request is malformed.
    BadRequest,
    /// The body is longer than is taken.
    TooLarge,
    /// The signature is missing, wrong, too old or was used before.
    Unauthorised,
    /// There is no such thing, or it is none of the asker's business.
    NotFound,
    /// The manifest is not valid.
    InvalidManifest,
    /// The manifest asks for what this provider's rules forbid.
    AgainstRules,
    /// Not enough free capacity.
    NoCapacity,
    /// A host name belongs to another account.
    HostTaken,
    /// A TCP port is in use.
    PortTaken,
    /// An image is not pinned by its digest.
    ImageNotPinned,
    /// An update does not fit the lease.
    DoesNotFitLease,
    /// The provider has not read the chain yet or is not registered on it.
    NotReady,
    /// Too much at once.
    Busy,
    /// The provider has a problem of its own.
    Internal,
    /// Something newer than this client.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests;
