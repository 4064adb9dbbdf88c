//! The daemon's configuration file (TOML). Unknown fields are refused; durations have units.

mod duration;

pub use duration::Period;

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use casemate_primitives::{Asset, Balance, Prices, REPLICAS_MAX, Resources, TeeKind};
use serde::{Deserialize, Serialize};

/// Everything that an operator chooses.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// WebSocket address of a node, such as `ws://127.0.0.1:9944`.
    pub chain_url: String,
    /// The registered asset that fees are paid in, by its number; the native token if absent, and
    /// where the asset can't pay (its pool may run dry, and silence costs stake).
    #[serde(default)]
    pub fees_in: Option<u32>,
    /// File with the provider account's seed or phrase, mode 0600.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Where spool, manifests and the backend's data lie.
    pub data_dir: PathBuf,
    /// Where the HTTP API listens.
    pub api: ApiConfig,
    /// Where pods are reached.
    pub ingress: IngressConfig,
    /// Where Prometheus metrics are served; nowhere if absent. Keep it private.
    #[serde(default)]
    pub metrics_listen: Option<SocketAddr>,
    /// What runs pods.
    pub backend: BackendConfig,
    /// Where the pods' evidence comes from. Without it pods run, but no chain pays them.
    #[serde(default)]
    pub tee: Option<TeeConfig>,
    /// Where evidence of the daemon itself comes from, the control plane of the cluster. Without it
    /// the cluster is not attested, and publishers may leave the provider out for that.
    #[serde(default)]
    pub cluster_tee: Option<TeeConfig>,
    /// What is charged.
    pub pricing: PricingConfig,
    /// What is taken on.
    #[serde(default)]
    pub rules: RulesConfig,
    /// Where images come from.
    #[serde(default)]
    pub images: ImagesConfig,
    /// Rhythm of records, claims and updates.
    #[serde(default)]
    pub timing: TimingConfig,
    /// What is kept of the pods' sealed output.
    #[serde(default)]
    pub logs: LogsConfig,
    /// Programs of yours that are told things.
    #[serde(default)]
    pub hooks: HooksConfig,
}

/// Programs of the operator's, each with its arguments. They run without a shell, beside all else, and
/// with no more of the daemon's environment than `PATH`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HooksConfig {
    /// Told of a lease whose money runs low, in `CASEMATE_LEASE`, `CASEMATE_PUBLISHER`,
    /// `CASEMATE_LEVEL` (1 is the first warning), `CASEMATE_BELOW_SECONDS` and
    /// `CASEMATE_SECONDS_LEFT`. Nobody, if empty.
    pub low_funds: Vec<String>,
    /// How long a program may take before it is ended.
    pub timeout: Period,
}

impl Default for HooksConfig {
    fn default() -> Self {
        Self { low_funds: Vec::new(), timeout: Period::seconds(30) }
    }
}

/// Pods by an OCI runtime on this machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BackendConfig {
    /// The static `casemate-agent` binary.
    pub agent: PathBuf,
    /// The OCI runtime; `crun` or `runc`, whichever works, if absent.
    #[serde(default)]
    pub runtime: Option<PathBuf>,
    /// Addresses for pods, such as `10.89.0.0/16`. Two providers on one machine need two.
    #[serde(default)]
    pub subnet: Option<String>,
}

/// Evidence of what runs, in pods or as the control plane. One of `software` and `hardware` must be chosen.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeeConfig {
    /// Control socket of `casemate-software-tee serve`. For development: it protects nothing, and
    /// only chains whose genesis lists its roots accept it.
    pub software: Option<PathBuf>,
    /// Which hardware the software TEE imitates.
    pub kind: TeeKind,
    /// Whether there is a TEE, which is found by itself.
    pub hardware: bool,
    /// Folder with the hardware vendor's collateral. Only what comes with the evidence, if absent.
    pub collateral: Option<PathBuf>,
}

impl Default for TeeConfig {
    fn default() -> Self {
        Self { software: None, kind: TeeKind::IntelTdx, hardware: false, collateral: None }
    }
}

/// The HTTP API.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// Address and port.
    pub listen: SocketAddr,
}

/// Traffic to pods.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IngressConfig {
    /// Address and port for HTTP.
    pub listen: SocketAddr,
    /// Host names of one label below this domain are given to whoever asks first.
    #[serde(default = "default_domain")]
    pub domain: String,
    /// First and last TCP port that pods may get, on the same address.
    #[serde(default = "default_tcp_ports")]
    pub tcp_ports: (u16, u16),
    /// How long a pod may take until its response's head.
    #[serde(default = "default_response_timeout")]
    pub response_timeout: Period,
    /// How long requests may go on in a pod that is being replaced.
    #[serde(default = "default_drain")]
    pub drain: Period,
    /// Most connections from outside at a time; as many again for TLS.
    #[serde(default = "default_connections_max")]
    pub connections_max: usize,
    /// Address and port for TLS that ends in the pods' agents; nowhere if absent.
    #[serde(default)]
    pub tls_listen: Option<SocketAddr>,
    /// `host:port` where others reach `tls_listen`; the domain and its port, if absent.
    #[serde(default)]
    pub tls_public: Option<String>,
    /// Most TLS connections of one client (an IPv4 address or an IPv6 network of 64 bits).
    #[serde(default = "default_tls_client_connections_max")]
    pub tls_client_connections_max: usize,
    /// A TLS connection on which nothing moves for so long is closed.
    #[serde(default = "default_tls_idle")]
    pub tls_idle: Period,
}

impl IngressConfig {
    /// What is told to others of where TLS is taken, `port` being the one that is listened on.
    pub fn tls_address(&self, port: u16) -> String {
        self.tls_public.clone().unwrap_or_else(|| format!("{}:{port}", self.domain))
    }

    /// Whether a host name, in lower case, is the provider's own: the domain, or the name of the TLS
    /// ingress. An app that had it could get certificates for it.
    pub fn is_own(&self, host: &str) -> bool {
        let tls = self.tls_public.as_deref().and_then(|address| address.rsplit_once(':'));
        host == self.domain || tls.is_some_and(|(own, _)| own.eq_ignore_ascii_case(host))
    }
}

/// Prices and terms, in the chain's smallest unit of money.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PricingConfig {
    /// For a thousandth of a core during one second.
    pub cpu_millicore_second: u64,
    /// For one MiB of memory during one second.
    pub memory_mib_second: u64,
    /// For one MiB of disk during one second.
    pub storage_mib_second: u64,
    /// For one GPU during one second.
    #[serde(default)]
    pub gpu_second: u64,
    /// For one MiB sent.
    #[serde(default)]
    pub egress_mib: u64,
    /// For one MiB received.
    #[serde(default)]
    pub ingress_mib: u64,
    /// How long after a close last records may still be claimed.
    #[serde(default = "default_notice")]
    pub notice: Period,
    /// How long a pod stays after the money is used up.
    #[serde(default = "default_grace")]
    pub grace: Period,
    /// Least that a second in which a replica runs costs, where its resources cost less.
    #[serde(default)]
    pub second_min: u64,
    /// How long a publisher may contest a claim. Claims are paid out once or twice this time later.
    #[serde(default = "default_dispute")]
    pub dispute: Period,
    /// How long before you may close a lease you have to say so.
    #[serde(default = "default_reclaim")]
    pub reclaim: Period,
    /// After how long without a claim anyone may end a lease, and your stake pays for as much time; 0
    /// for never. Apps that end by themselves are no silence: their agents sign so.
    #[serde(default = "default_silence")]
    pub silence: Period,
    /// How long after a lease's end its sealed output can be had, and must be shown when challenged.
    #[serde(default = "default_retention")]
    pub retention: Period,
    /// The least deposit, as the time that it must pay for.
    #[serde(default = "default_deposit")]
    pub deposit_covers: Period,
    /// How long a quote holds.
    #[serde(default = "default_quote_ttl")]
    pub quote_ttl: Period,
    /// What is charged in registered assets. Leases are taken in no other.
    #[serde(default)]
    pub assets: Vec<AssetPrices>,
}

/// Prices in a registered asset, in its smallest unit.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AssetPrices {
    /// Its number on chain (`casemate account assets`).
    pub asset: u32,
    /// For a thousandth of a core during one second.
    pub cpu_millicore_second: u64,
    /// For one MiB of memory during one second.
    pub memory_mib_second: u64,
    /// For one MiB of disk during one second.
    pub storage_mib_second: u64,
    /// For one GPU during one second.
    pub gpu_second: u64,
    /// For one MiB sent.
    pub egress_mib: u64,
    /// For one MiB received.
    pub ingress_mib: u64,
    /// Least that a second in which a replica runs costs, where its resources cost less. Where the
    /// asset's smallest unit is too large for a price of a millicore, it is the only price.
    pub second_min: u64,
}

impl AssetPrices {
    /// The prices as the protocol has them.
    fn prices(&self) -> Prices {
        Prices {
            cpu_millicore_second: Balance::from(self.cpu_millicore_second),
            memory_mib_second: Balance::from(self.memory_mib_second),
            storage_mib_second: Balance::from(self.storage_mib_second),
            gpu_second: Balance::from(self.gpu_second),
            egress_mib: Balance::from(self.egress_mib),
            ingress_mib: Balance::from(self.ingress_mib),
        }
    }

    /// Whether a pod could run for nothing.
    fn is_free(&self) -> bool {
        let Self { cpu_millicore_second, memory_mib_second, second_min, .. } = self;
        *second_min == 0 && (*cpu_millicore_second == 0 || *memory_mib_second == 0)
    }
}

impl PricingConfig {
    fn has_twice(&self) -> bool {
        let ids: std::collections::BTreeSet<u32> = self.assets.iter().map(|l| l.asset).collect();
        ids.len() < self.assets.len()
    }

    /// Prices, and the least for a running second, in what a publisher wants to pay in; `None` where
    /// that is not taken.
    pub fn prices_in(&self, asset: Asset) -> Option<(Prices, Balance)> {
        match asset {
            Asset::Native => Some((self.prices(), self.second_min.into())),
            Asset::Registered(id) => {
                let list = self.assets.iter().find(|list| list.asset == id)?;
                Some((list.prices(), list.second_min.into()))
            }
        }
    }

    /// The prices as the protocol has them.
    pub fn prices(&self) -> Prices {
        Prices {
            cpu_millicore_second: Balance::from(self.cpu_millicore_second),
            memory_mib_second: Balance::from(self.memory_mib_second),
            storage_mib_second: Balance::from(self.storage_mib_second),
            gpu_second: Balance::from(self.gpu_second),
            egress_mib: Balance::from(self.egress_mib),
            ingress_mib: Balance::from(self.ingress_mib),
        }
    }
}

/// What the provider takes on.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// Most replicas of a lease.
    pub replicas_max: u16,
    /// Most that one pod may ask for; only capacity limits what is absent.
    pub pod_resources_max: Option<Resources>,
    /// Whether host names outside the ingress domain are taken (their owner points the name here).
    pub custom_hosts: bool,
    /// Whether secrets are fetched from vaults at private addresses and on this machine too, where
    /// manifests name such. Their authors are strangers, and hear of what answers there: say yes only
    /// where nothing else can be reached at these addresses, as on a development machine.
    pub private_vaults: bool,
    /// Host names that nobody gets.
    pub reserved_hosts: Vec<String>,
    /// Most quotes that one account may have open.
    pub quotes_per_account_max: usize,
    /// Most quotes that may be open at a time.
    pub quotes_max: usize,
    /// Most host names and host ports that the open quotes of one account may hold back from
    /// others. They are free again when the quotes have expired.
    pub names_per_account_max: usize,
    /// Most host names and host ports that all open quotes together may hold back. Accounts
    /// without a lease here get only half of it.
    pub names_max: usize,
    /// Least budget of a task's run, in percent of what one costs that takes its whole deadline. No
    /// run begins for less.
    pub run_budget_percent_min: u8,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            replicas_max: REPLICAS_MAX,
            pod_resources_max: None,
            custom_hosts: true,
            private_vaults: false,
            reserved_hosts: Vec::new(),
            quotes_per_account_max: 4,
            quotes_max: 1000,
            // Four quotes of a few names each; an app with more is rare, and can be updated in.
            names_per_account_max: 16,
            names_max: 1000,
            // Most runs end long before their deadline; for half of the price nobody works for nothing.
            run_budget_percent_min: 50,
        }
    }
}

/// Where images come from.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImagesConfig {
    /// Registries (`host:port`) that are spoken to without TLS. Digests are checked all the same.
    pub insecure_registries: Vec<String>,
}

/// Rhythm of things.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingConfig {
    /// How often an agent signs a usage record.
    pub record_interval: Period,
    /// How much time a claim covers.
    pub claim_interval: Period,
    /// How often what is final is paid out, for each lease.
    pub payout_interval: Period,
    /// How long an update may take to become ready before it is rolled back.
    pub update_max: Period,
}

impl Default for TimingConfig {
    fn default() -> Self {
        Self {
            record_interval: Period::seconds(10),
            claim_interval: Period::seconds(600),
            payout_interval: Period::seconds(3_600),
            update_max: Period::seconds(300),
        }
    }
}

/// What is kept of the pods' sealed output. Plain output is the backend's, and goes with the pod.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// Most MiB that the spool keeps for one lease, until its retention is over. The oldest output
    /// goes first; a challenge for what went so is lost.
    pub lease_mib_max: u64,
}

impl LogsConfig {
    /// The same in bytes.
    pub fn lease_bytes_max(&self) -> u64 {
        self.lease_mib_max.saturating_mul(1024 * 1024)
    }
}

impl Default for LogsConfig {
    fn default() -> Self {
        // 30 KiB a second for a day and a half, or half a year of a few lines every ten seconds.
        Self { lease_mib_max: 4096 }
    }
}

/// Why a configuration is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is no such TOML.
    #[error("{0}")]
    Parse(#[from] toml::de::Error),
    /// A value makes no sense.
    #[error("`{field}` {problem}")]
    Value {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Names the field that is unknown, missing or makes no sense.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let nothing = Period::seconds(0);
        let (first, last) = self.ingress.tcp_ports;
        let max = Period::seconds(u64::from(u32::MAX));
        let domain = &self.ingress.domain;
        let [pods, cluster] = [&self.tee, &self.cluster_tee].map(Option::as_ref);
        let has_no_source = |tee: &TeeConfig| tee.hardware == tee.software.is_some();
        let is_gpu = |tee: &TeeConfig| tee.kind == TeeKind::NvidiaGpu;
        let has_idle_folder = |tee: &TeeConfig| tee.software.is_some() && tee.collateral.is_some();
        let source = "needs either `software` (a control socket) or `hardware = true`";
        let kinds = "must be intelSgx, intelTdx or amdSevSnp";
        let idle_folder = "is for hardware: a software TEE makes its own";
        let checks = [
            (pods.is_some_and(has_no_source), "tee", source),
            (pods.is_some_and(is_gpu), "tee.kind", kinds),
            (pods.is_some_and(has_idle_folder), "tee.collateral", idle_folder),
            (cluster.is_some_and(has_no_source), "cluster_tee", source),
            (cluster.is_some_and(is_gpu), "cluster_tee.kind", kinds),
            (cluster.is_some_and(has_idle_folder), "cluster_tee.collateral", idle_folder),
            (first < 1024, "ingress.tcp_ports", "must begin at 1024 or above"),
            (first > last, "ingress.tcp_ports", "must not end before it begins"),
            (
                domain.is_empty() || *domain != domain.to_ascii_lowercase(),
                "ingress.domain",
                "must be a domain in lower case",
            ),
            (self.ingress.connections_max == 0, "ingress.connections_max", "must be above 0"),
            (
                self.ingress.tls_public.is_some() && self.ingress.tls_listen.is_none(),
                "ingress.tls_public",
                "is for an ingress with `tls_listen`",
            ),
            (
                self.ingress.tls_public.as_deref().is_some_and(|address| !is_host_port(address)),
                "ingress.tls_public",
                "must be `host:port`",
            ),
            (
                self.ingress.tls_client_connections_max == 0,
                "ingress.tls_client_connections_max",
                "must be above 0",
            ),
            (self.ingress.tls_idle == nothing, "ingress.tls_idle", "must be above 0"),
            (self.ingress.tls_idle > max, "ingress.tls_idle", "is too long"),
            (self.pricing.notice > max, "pricing.notice", "is too long"),
            (self.pricing.grace > max, "pricing.grace", "is too long"),
            (self.pricing.retention > max, "pricing.retention", "is too long"),
            (self.pricing.dispute > max, "pricing.dispute", "is too long"),
            (self.pricing.reclaim > max, "pricing.reclaim", "is too long"),
            (
                self.pricing.silence != nothing
                    && self.pricing.silence.get() < self.timing.claim_interval.get() * 3,
                "pricing.silence",
                "must be 0 or at least three times `timing.claim_interval`: else you are evicted for \
                 one claim that comes late",
            ),
            (self.pricing.quote_ttl == nothing, "pricing.quote_ttl", "must be above 0"),
            (
                self.pricing.assets.iter().any(AssetPrices::is_free),
                "pricing.assets",
                "name `second_min`, or both `cpu_millicore_second` and `memory_mib_second`: else pods \
                 run for nothing",
            ),
            (self.pricing.has_twice(), "pricing.assets", "names an asset twice"),
            (
                self.timing.record_interval < Period::seconds(1),
                "timing.record_interval",
                "must be at least 1s",
            ),
            (
                self.timing.claim_interval < self.timing.record_interval,
                "timing.claim_interval",
                "must be at least `timing.record_interval`",
            ),
            (
                self.rules.replicas_max == 0 || self.rules.replicas_max > REPLICAS_MAX,
                "rules.replicas_max",
                "must be from 1 to 64",
            ),
            (
                self.rules.run_budget_percent_min > 100,
                "rules.run_budget_percent_min",
                "must be from 0 to 100",
            ),
            (self.timing.update_max == nothing, "timing.update_max", "must be above 0"),
            (self.logs.lease_mib_max == 0, "logs.lease_mib_max", "must be above 0"),
            (
                self.hooks.low_funds.first().is_some_and(String::is_empty),
                "hooks.low_funds",
                "must begin with a program's path",
            ),
            (self.hooks.timeout == nothing, "hooks.timeout", "must be above 0"),
        ];
        match checks.into_iter().find(|(bad, ..)| *bad) {
            Some((_, field, problem)) => Err(ConfigError::Value { field, problem }),
            None => Ok(()),
        }
    }

    /// A file to begin with: every field with its default or an example.
    pub const SAMPLE: &'static str = include_str!("config/sample.toml");
}

fn default_domain() -> String {
    "localhost".into()
}

fn default_tcp_ports() -> (u16, u16) {
    (30_000, 32_767)
}

fn default_response_timeout() -> Period {
    Period::seconds(60)
}

fn default_drain() -> Period {
    Period::seconds(30)
}

fn default_connections_max() -> usize {
    10_000
}

/// Below what agents take for all, so that one client alone does not keep the others away.
fn default_tls_client_connections_max() -> usize {
    100
}

/// Agents close after ten minutes, and know better when.
fn default_tls_idle() -> Period {
    Period::seconds(900)
}

/// A DNS name or an address (IPv6 in brackets), and a port.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let is_name = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    (is_address || is_name) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn default_notice() -> Period {
    Period::seconds(600)
}

fn default_grace() -> Period {
    Period::seconds(600)
}

fn default_dispute() -> Period {
    Period::seconds(3_600)
}

fn default_reclaim() -> Period {
    Period::seconds(24 * 3_600)
}

/// Longer than what may keep an honest provider from claiming: a restart of the machine with all images
/// fetched anew, an upgrade, a vendor's collateral service that is away for hours, a power cut that ends
/// with the night's first shift. Far below the day that evidence counts, and short enough for a
/// publisher to be elsewhere the same day.
fn default_silence() -> Period {
    Period::seconds(6 * 3_600)
}

fn default_retention() -> Period {
    Period::seconds(7 * 24 * 3600)
}

fn default_deposit() -> Period {
    Period::seconds(3600)
}

fn default_quote_ttl() -> Period {
    Period::seconds(120)
}

#[cfg(test)]
mod tests;
