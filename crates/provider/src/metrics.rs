//! Prometheus metrics.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// One label for a metric that has kinds.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct Kind {
    /// Which.
    pub kind: &'static str,
}

/// All metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Leases by state.
    pub leases: Family<Kind, Gauge>,
    /// Pods by phase.
    pub pods: Family<Kind, Gauge>,
    /// Calls on chain by name and outcome.
    pub chain_calls: Family<Kind, Counter>,
    /// Attestations by outcome: `ok`, `refused` (by the chain), `no-evidence`.
    pub attestations: Family<Kind, Counter>,
    /// Agents with standing on chain.
    pub standings: Gauge,
    /// Seconds until the earliest standing ends, on the chain's clock.
    pub standing_seconds_left: Gauge,
    /// Attestations of the control plane by outcome: as for agents, and `failed` for all else.
    pub cluster_attestations: Family<Kind, Counter>,
    /// Seconds until the control plane's standing ends, on the chain's clock.
    pub cluster_standing_seconds_left: Gauge,
    /// Ingress responses by class; the hot ones are kept apart below.
    pub requests: Family<Kind, Counter>,
    /// Ingress responses 2xx and 3xx: no look-up on the hot path.
    pub requests_ok: Counter,
    /// TLS connections that have ended, by what became of them.
    pub tls_connections: Family<Kind, Counter>,
    /// TLS connections that are open.
    pub tls_open: Gauge,
    /// Seconds that a look at everything took.
    pub reconcile_seconds: Histogram,
    /// Newest finalised block that was acted on.
    pub block_number: Gauge,
    /// The chain's clock at that block.
    pub block_time: Gauge,
    /// 1 while no chain node has answered since the start.
    pub waiting_for_node: Gauge,
    /// Chunks of sealed output by what became of them: `kept`, `refused` logs, `dropped` for room.
    pub log_chunks: Family<Kind, Counter>,
    /// Leases whose money is below an agreed level of warning.
    pub low_funds: Gauge,
    /// Runs of the operator's programs by outcome.
    pub hooks: Family<Kind, Counter>,
    /// Challenges by what became of them: `asked`, `answered`, `missed`; `failed` counts tries.
    pub challenges: Family<Kind, Counter>,
    /// Challenges that are open.
    pub challenges_open: Gauge,
    /// Failures of the backend, spool or ingress by place.
    pub failures: Family<Kind, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        // From 0.1 ms to 52 s: one lease in memory to ten thousand on a slow disk.
        let reconcile_seconds = Histogram::new(exponential_buckets(0.0001, 2.0, 20));
        let mut registry = Registry::with_prefix("casemate_provider");
        let leases = Family::default();
        let pods = Family::default();
        let chain_calls = Family::default();
        let requests: Family<Kind, Counter> = Family::default();
        let failures = Family::default();
        let log_chunks: Family<Kind, Counter> = Family::default();
        let challenges: Family<Kind, Counter> = Family::default();
        let challenges_open: Gauge = Gauge::default();
        let (block_number, block_time) = (Gauge::default(), Gauge::default());
        let attestations = Family::default();
        let (standings, standing_seconds_left) = (Gauge::default(), Gauge::default());
        let cluster_attestations: Family<Kind, Counter> = Family::default();
        let cluster_standing_seconds_left: Gauge = Gauge::default();
        let (tls_connections, tls_open) = (Family::default(), Gauge::default());
        let waiting_for_node: Gauge = Gauge::default();
        let requests_ok = requests.get_or_create(&Kind { kind: "ok" }).clone();
        registry.register("leases", "Unsettled leases by state", leases.clone());
        registry.register("pods", "Pods by phase", pods.clone());
        registry.register("chain_calls", "Calls on chain by outcome", chain_calls.clone());
        registry.register("attestations", "Attestations by outcome", attestations.clone());
        registry.register("standings", "Agents with standing on chain", standings.clone());
        registry.register(
            "standing_seconds_left",
            "Seconds until the earliest standing ends; 0 without any",
            standing_seconds_left.clone(),
        );
        registry.register(
            "cluster_attestations",
            "Attestations of the control plane by outcome",
            cluster_attestations.clone(),
        );
        registry.register(
            "cluster_standing_seconds_left",
            "Seconds until the control plane's standing ends; 0 without one",
            cluster_standing_seconds_left.clone(),
        );
        registry.register("requests", "Ingress responses by class", requests.clone());
        registry.register(
            "tls_connections",
            "TLS connections that have ended, by what became of them",
            tls_connections.clone(),
        );
        registry.register("tls_open", "TLS connections that are open", tls_open.clone());
        registry.register(
            "reconcile_seconds",
            "Time of one look at everything",
            reconcile_seconds.clone(),
        );
        registry.register("block_number", "Newest finalised block read", block_number.clone());
        registry.register("block_time", "Chain clock at that block", block_time.clone());
        registry.register(
            "waiting_for_node",
            "1 while no chain node has answered since the start",
            waiting_for_node.clone(),
        );
        registry.register(
            "log_chunks",
            "Chunks of sealed output by what became of them",
            log_chunks.clone(),
        );
        let low_funds: Gauge = Gauge::default();
        let hooks: Family<Kind, Counter> = Family::default();
        registry.register(
            "low_funds",
            "Leases whose money is below an agreed level of warning",
            low_funds.clone(),
        );
        registry.register("hooks", "Runs of the operator's programs by outcome", hooks.clone());
        registry.register(
            "challenges",
            "Challenges on chain by what became of them",
            challenges.clone(),
        );
        registry.register(
            "challenges_open",
            "Challenges on chain that are open",
            challenges_open.clone(),
        );
        registry.register("failures", "Failures by place", failures.clone());
        Self {
            registry: Arc::new(registry),
            leases,
            pods,
            chain_calls,
            attestations,
            standings,
            standing_seconds_left,
            cluster_attestations,
            cluster_standing_seconds_left,
            requests,
            requests_ok,
            tls_connections,
            tls_open,
            reconcile_seconds,
            block_number,
            block_time,
            waiting_for_node,
            log_chunks,
            low_funds,
            hooks,
            challenges,
            challenges_open,
            failures,
        }
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts a failure.
    pub fn failed(&self, kind: &'static str) {
        self.failures.get_or_create(&Kind { kind }).inc();
    }
}
