//! What a provider says of itself, from a file and flags.

use std::{fs, path::Path};

use casemate_client::chain::ProviderView;
use casemate_primitives::{Asset, PriceList, Prices, ProviderInfo, Resources, TeeKind};
use serde::Deserialize;

use super::check_capacity;
use crate::{
    amount::Amount,
    chain_ops::provider_info,
    cli::ProfileArgs,
    failure::{Failure, OrFail as _, fail},
};

/// Everything may be missing: an update changes only what is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Profile {
    name: Option<String>,
    regions: Option<Vec<String>>,
    endpoints: Option<Vec<String>>,
    tee_kinds: Option<Vec<String>>,
    stake: Option<Amount>,
    capacity: CapacityPart,
    prices: PricesPart,
    assets: Option<Vec<AssetPart>>,
}

/// Prices in a registered asset, in its smallest unit.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AssetPart {
    asset: u32,
    cpu_millicore_second: u64,
    memory_mib_second: u64,
    storage_mib_second: u64,
    gpu_second: u64,
    egress_mib: u64,
    ingress_mib: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CapacityPart {
    cpu_millicores: Option<u32>,
    memory_mib: Option<u32>,
    storage_mib: Option<u32>,
    gpus: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PricesPart {
    cpu_millicore_second: Option<Amount>,
    memory_mib_second: Option<Amount>,
    storage_mib_second: Option<Amount>,
    gpu_second: Option<Amount>,
    egress_mib: Option<Amount>,
    ingress_mib: Option<Amount>,
}

impl Profile {
    /// Reads the file and puts the flags over it.
    pub(super) fn read(args: &ProfileArgs, stake: Option<Amount>) -> anyhow::Result<Self> {
        let file = match &args.file {
            Some(path) => read_file(path)?,
            None => Self::default(),
        };
        let list = |flags: &Vec<String>, file: Option<Vec<String>>| {
            if flags.is_empty() { file } else { Some(flags.clone()) }
        };
        Ok(Self {
            name: args.name.clone().or(file.name),
            regions: list(&args.regions, file.regions),
            endpoints: list(&args.endpoints, file.endpoints),
            tee_kinds: list(&args.tee_kinds, file.tee_kinds),
            stake: stake.or(file.stake),
            capacity: CapacityPart {
                cpu_millicores: args.cpu.or(file.capacity.cpu_millicores),
                memory_mib: args.memory.or(file.capacity.memory_mib),
                storage_mib: args.storage.or(file.capacity.storage_mib),
                gpus: args.gpus.or(file.capacity.gpus),
            },
            prices: PricesPart {
                cpu_millicore_second: args.price_cpu.or(file.prices.cpu_millicore_second),
                memory_mib_second: args.price_memory.or(file.prices.memory_mib_second),
                storage_mib_second: args.price_storage.or(file.prices.storage_mib_second),
                gpu_second: args.price_gpu.or(file.prices.gpu_second),
                egress_mib: args.price_egress.or(file.prices.egress_mib),
                ingress_mib: args.price_ingress.or(file.prices.ingress_mib),
            },
            assets: file.assets,
        })
    }

    /// Money at stake, which a registration must name.
    pub(super) fn stake(&self) -> anyhow::Result<Amount> {
        self.stake.or_fail(|| {
            Failure::usage("no stake is named").hint("give --stake, such as `1000 CASE`")
        })
    }

    /// In the chain's form. What is missing is taken from `now`, or refused.
    pub(super) fn build(
        &self,
        now: Option<&ProviderView>,
    ) -> anyhow::Result<(ProviderInfo, Resources, Vec<PriceList>)> {
        let missing = |what: &str, flag: &str| {
            Failure::usage(format!("{what} is missing")).hint(format!("give {flag} or --file"))
        };
        let name = self.name.clone().or_else(|| now.map(|n| n.name.clone()));
        let name = name.or_fail(|| missing("the provider's name", "--name"))?;
        let regions = self.regions.clone().or_else(|| now.map(|n| n.regions.clone()));
        let endpoints = self.endpoints.clone().or_else(|| now.map(|n| n.endpoints.clone()));
        let endpoints = endpoints
            .filter(|list| !list.is_empty())
            .or_fail(|| missing("the address of the provider's API", "--endpoint"))?;
        for endpoint in &endpoints {
            if !(endpoint.starts_with("https://") || endpoint.starts_with("http://")) {
                return fail(
                    Failure::usage(format!("endpoint `{endpoint}` is no web address"))
                        .hint("endpoints look like https://provider.example:8443"),
                );
            }
        }
        let tee_kinds = self.tee_kinds.clone().or_else(|| now.map(|n| n.tee_kinds.clone()));
        let tee_kinds = tee_kinds
            .unwrap_or_default()
            .iter()
            .map(|kind| parse_tee_kind(kind))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let capacity = self.capacity(now)?;
        let price_lists = self.price_lists(now)?;
        let info = provider_info(&name, &regions.unwrap_or_default(), &endpoints, tee_kinds)?;
        Ok((info, capacity, price_lists))
    }

    fn capacity(&self, now: Option<&ProviderView>) -> anyhow::Result<Resources> {
        let now = now.map(|n| n.capacity).unwrap_or_default();
        let capacity = Resources {
            cpu_millicores: self.capacity.cpu_millicores.unwrap_or(now.cpu_millicores),
            memory_mib: self.capacity.memory_mib.unwrap_or(now.memory_mib),
            storage_mib: self.capacity.storage_mib.unwrap_or(now.storage_mib),
            gpus: self.capacity.gpus.unwrap_or(now.gpus),
        };
        check_capacity(&capacity)?;
        Ok(capacity)
    }

    fn price_lists(&self, now: Option<&ProviderView>) -> anyhow::Result<Vec<PriceList>> {
        let mut lists: Vec<PriceList> = now
            .map(|n| n.price_lists.iter().map(|&(asset, prices)| PriceList { asset, prices }))
            .into_iter()
            .flatten()
            .collect();
        let known = lists.iter().position(|list| list.asset == Asset::Native);
        let old = known.map(|at| lists[at].prices);
        // A price that is forgotten would be a gift; GPUs and traffic may be free.
        let named = |price: Option<Amount>, old: Option<u128>, flag: &str| {
            price.map(|amount| amount.0).or(old).or_fail(|| {
                Failure::usage("a price is missing")
                    .hint(format!("give {flag} or [prices] in the file; 0 is a price"))
            })
        };
        let prices = Prices {
            cpu_millicore_second: named(
                self.prices.cpu_millicore_second,
                old.map(|p| p.cpu_millicore_second),
                "--price-cpu",
            )?,
            memory_mib_second: named(
                self.prices.memory_mib_second,
                old.map(|p| p.memory_mib_second),
                "--price-memory",
            )?,
            storage_mib_second: named(
                self.prices.storage_mib_second,
                old.map(|p| p.storage_mib_second),
                "--price-storage",
            )?,
            gpu_second: self
                .prices
                .gpu_second
                .map(|a| a.0)
                .or_else(|| old.map(|p| p.gpu_second))
                .unwrap_or(0),
            egress_mib: self
                .prices
                .egress_mib
                .map(|a| a.0)
                .or_else(|| old.map(|p| p.egress_mib))
                .unwrap_or(0),
            ingress_mib: self
                .prices
                .ingress_mib
                .map(|a| a.0)
                .or_else(|| old.map(|p| p.ingress_mib))
                .unwrap_or(0),
        };
        match known {
            Some(at) => lists[at].prices = prices,
            None => lists.push(PriceList { asset: Asset::Native, prices }),
        }
        // The file has all of them, or says nothing of them.
        if let Some(assets) = &self.assets {
            lists.retain(|list| list.asset == Asset::Native);
            for part in assets {
                let list = part.list();
                if lists.iter().any(|known| known.asset == list.asset) {
                    return fail(
                        Failure::usage(format!("asset {} has two price lists", part.asset))
                            .hint("name each asset once in [[assets]]"),
                    );
                }
                lists.push(list);
            }
        }
        Ok(lists)
    }
}

impl AssetPart {
    fn list(&self) -> PriceList {
        let prices = Prices {
            cpu_millicore_second: self.cpu_millicore_second.into(),
            memory_mib_second: self.memory_mib_second.into(),
            storage_mib_second: self.storage_mib_second.into(),
            gpu_second: self.gpu_second.into(),
            egress_mib: self.egress_mib.into(),
            ingress_mib: self.ingress_mib.into(),
        };
        PriceList { asset: Asset::Registered(self.asset), prices }
    }
}

fn read_file(path: &Path) -> anyhow::Result<Profile> {
    let text = fs::read_to_string(path)
        .or_fail(|| Failure::usage(format!("cannot read `{}`", path.display())))?;
    toml::from_str(&text).or_fail(|| {
        Failure::usage(format!("`{}` does not describe a provider", path.display())).hint(
            "it has name, regions, endpoints, tee_kinds, stake, the tables [capacity] and \
             [prices], and [[assets]] with prices in other assets",
        )
    })
}

/// `intel-tdx`, `IntelTdx` and so on.
fn parse_tee_kind(text: &str) -> anyhow::Result<TeeKind> {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "intelsgx" | "sgx" => Ok(TeeKind::IntelSgx),
        "inteltdx" | "tdx" => Ok(TeeKind::IntelTdx),
        "amdsevsnp" | "sevsnp" | "snp" => Ok(TeeKind::AmdSevSnp),
        "nvidiagpu" => Ok(TeeKind::NvidiaGpu),
        _ => fail(
            Failure::usage(format!("`{text}` is no TEE kind"))
                .hint("there are intel-sgx, intel-tdx, amd-sev-snp and nvidia-gpu"),
        ),
    }
}

#[cfg(test)]
mod tests;
