//! The configuration of a development network's provider.

use std::path::PathBuf;

use casemate_primitives::{Balance, Prices};
use serde::Serialize;

use super::files::Ports;

/// A core for an hour is 0.036 CASE, a GiB of memory 0.0037 CASE, a GiB sent 0.001 CASE.
pub(super) const PRICES: Prices = Prices {
    cpu_millicore_second: 10_000,
    memory_mib_second: 1_000,
    storage_mib_second: 10,
    gpu_second: 0,
    egress_mib: 1_000_000,
    ingress_mib: 0,
};

/// The provider's configuration file; `casemate-provider` has the counterpart.
#[derive(Serialize)]
pub(super) struct ProviderConfig {
    chain_url: String,
    key_file: PathBuf,
    data_dir: PathBuf,
    metrics_listen: String,
    api: Listen,
    ingress: Ingress,
    pricing: Pricing,
    rules: Rules,
    images: Images,
    timing: Timing,
    tee: Tee,
    cluster_tee: Tee,
    backend: Backend,
}

#[derive(Serialize)]
struct Listen {
    listen: String,
}

#[derive(Serialize)]
struct Ingress {
    listen: String,
    domain: &'static str,
    tls_listen: String,
    tls_public: String,
}

#[derive(Serialize)]
struct Pricing {
    cpu_millicore_second: u64,
    memory_mib_second: u64,
    storage_mib_second: u64,
    gpu_second: u64,
    egress_mib: u64,
    notice: &'static str,
    grace: &'static str,
    assets: [AssetPricing; 1],
}

/// In the asset that a development chain begins with.
#[derive(Serialize)]
struct AssetPricing {
    asset: u32,
    second_min: u64,
    egress_mib: u64,
}

#[derive(Serialize)]
struct Rules {
    private_vaults: bool,
}

#[derive(Serialize)]
struct Images {
    insecure_registries: Vec<String>,
}

#[derive(Serialize)]
struct Backend {
    agent: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
}

#[derive(Serialize)]
struct Tee {
    software: PathBuf,
}

#[derive(Serialize)]
struct Timing {
    record_interval: &'static str,
    claim_interval: &'static str,
    update_max: &'static str,
}

/// What differs from network to network.
pub(super) struct ProviderParts<'a> {
    pub(super) rpc: &'a str,
    pub(super) key_file: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) ports: Ports,
    pub(super) insecure_registries: &'a [String],
    pub(super) agent: PathBuf,
    /// Control socket.
    pub(super) software_tee: PathBuf,
    pub(super) subnet: Option<String>,
}

impl ProviderConfig {
    /// A configuration for a provider on this machine's loopback.
    pub(super) fn new(parts: ProviderParts<'_>) -> Self {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let price = |price: Balance| u64::try_from(price).unwrap_or(u64::MAX);
        let ports = parts.ports;
        Self {
            chain_url: parts.rpc.to_owned(),
            key_file: parts.key_file,
            data_dir: parts.data_dir,
            metrics_listen: local(ports.metrics),
            api: Listen { listen: local(ports.api) },
            ingress: Ingress {
                listen: local(ports.ingress),
                domain: "localhost",
                tls_listen: local(ports.tls),
                // Not every machine's resolver knows names below `localhost`.
                tls_public: local(ports.tls),
            },
            pricing: Pricing {
                cpu_millicore_second: price(PRICES.cpu_millicore_second),
                memory_mib_second: price(PRICES.memory_mib_second),
                storage_mib_second: price(PRICES.storage_mib_second),
                gpu_second: price(PRICES.gpu_second),
                egress_mib: price(PRICES.egress_mib),
                notice: "2m",
                grace: "2m",
                // The test dollar: 0.036 an hour for a replica, 0.001 for a GiB sent.
                assets: [AssetPricing { asset: 1, second_min: 10, egress_mib: 1 }],
            },
            // A developer's vaults are on the same machine.
            rules: Rules { private_vaults: true },
            images: Images { insecure_registries: parts.insecure_registries.to_vec() },
            // Short, so that a developer sees records and claims while looking.
            timing: Timing { record_interval: "2s", claim_interval: "10s", update_max: "2m" },
            tee: Tee { software: parts.software_tee.clone() },
            cluster_tee: Tee { software: parts.software_tee },
            backend: Backend { agent: parts.agent, subnet: parts.subnet },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_toml_with_everything_on_the_loopback() {
        let config = ProviderConfig::new(ProviderParts {
            rpc: "ws://127.0.0.1:1",
            key_file: "/net/provider.key".into(),
            data_dir: "/net/provider".into(),
            ports: Ports { rpc: 1, api: 2, ingress: 3, tls: 5, metrics: 4 },
            insecure_registries: &["127.0.0.1:5000".to_owned()],
            agent: "/bin/agent".into(),
            software_tee: "/net/software-tee.sock".into(),
            subnet: None,
        });
        let text = toml::to_string_pretty(&config).unwrap();
        let value: toml::Table = text.parse().unwrap();
        assert_eq!(value["chain_url"].as_str(), Some("ws://127.0.0.1:1"));
        assert_eq!(value["api"]["listen"].as_str(), Some("127.0.0.1:2"));
        assert_eq!(value["ingress"]["listen"].as_str(), Some("127.0.0.1:3"));
        assert_eq!(value["ingress"]["tls_listen"].as_str(), Some("127.0.0.1:5"));
        assert_eq!(value["ingress"]["tls_public"].as_str(), Some("127.0.0.1:5"));
        assert_eq!(value["metrics_listen"].as_str(), Some("127.0.0.1:4"));
        assert_eq!(value["backend"]["agent"].as_str(), Some("/bin/agent"));
        assert_eq!(value["tee"]["software"].as_str(), Some("/net/software-tee.sock"));
        assert_eq!(value["rules"]["private_vaults"].as_bool(), Some(true));
        assert_eq!(value["cluster_tee"]["software"].as_str(), Some("/net/software-tee.sock"));
        assert_eq!(value["images"]["insecure_registries"][0].as_str(), Some("127.0.0.1:5000"));
        // Amounts are integers in the chain's smallest unit, and fit TOML's.
        assert_eq!(value["pricing"]["cpu_millicore_second"].as_integer(), Some(10_000));
    }
}
