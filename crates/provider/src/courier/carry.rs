//! A trip: over HTTP to the vault, over RA-TLS to the agent.

use std::{net::IpAddr, sync::Arc, time::Duration};

use casemate_evidence::{RawEvidence, TeeKind, cmw::Collection};
use casemate_primitives::AccountBytes;
use casemate_ra_tls::{
    Appraiser, CollateralSource, Expected, PolicyAppraiser,
    client::{Options, Session},
};
use casemate_vault::{
    client::{Client, ClientError},
    courier::{CarryError, carry_with},
};
use futures::future::BoxFuture;

use super::{Carry, Trip, TripError};
use crate::{Clock, attestation::CollateralFrom, chain_of};

/// Time for each request to the agent: quotes from hardware take seconds.
const AGENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for each request to the vault.
const VAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Where vaults may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Public addresses alone: a manifest's author must not make the daemon knock at doors inside the
    /// provider's network.
    Public,
    /// Any, for a provider that serves at a private address itself: there is nothing else there.
    Any,
}

impl Reach {
    /// What suits a provider whose ingress has this address.
    pub fn of_ingress(address: IpAddr) -> Self {
        if is_public(address) || address.is_unspecified() { Self::Public } else { Self::Any }
    }

    fn takes(self, address: IpAddr) -> bool {
        self == Self::Any || is_public(address)
    }
}

/// Whether an address is one of the public internet (the IANA registries of special purposes).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                // Carriers' own, protocol assignments, benchmarks.
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            match v6.to_ipv4_mapped() {
                Some(v4) => is_public(v4.into()),
                // Global unicast, without documentation and tunnels to IPv4.
                None => {
                    (0x2000..0x4000).contains(&first)
                        && first != 0x2002
                        && !(first == 0x2001 && (second == 0xdb8 || second < 0x200))
                }
            }
        }
    }
}

/// Goes to the agents of pods on this machine's network.
pub struct PodCarrier {
    collateral: CollateralFrom,
    provider: AccountBytes,
    clock: Clock,
    reach: Reach,
}

impl std::fmt::Debug for PodCarrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodCarrier").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl PodCarrier {
    /// Nothing is opened yet.
    pub fn new(
        collateral: CollateralFrom,
        provider: AccountBytes,
        clock: Clock,
        reach: Reach,
    ) -> Self {
        Self { collateral, provider, clock, reach }
    }
}

impl Carry for PodCarrier {
    fn carry(&self, trip: Trip) -> BoxFuture<'_, Result<u64, TripError>> {
        let (from, provider, reach) = (self.collateral.clone(), self.provider, self.reach);
        let clock = Arc::clone(&self.clock);
        Box::pin(async move {
            let going = move || go(&from, provider, clock, reach, &trip);
            tokio::task::spawn_blocking(going).await.unwrap_or(Err(TripError::BrokeOff))
        })
    }
}

fn go(
    from: &CollateralFrom,
    provider: AccountBytes,
    clock: Clock,
    reach: Reach,
    trip: &Trip,
) -> Result<u64, TripError> {
    let vault = Client::new(&trip.vault, VAULT_TIMEOUT)
        .map_err(|err| TripError::Address(err.to_string()))?
        .only_to(move |address| reach.takes(address));
    let source = from
        .load()
        .map_err(|err| TripError::Pod(format!("the provider has no collateral: {err}")))?;
    let appraiser: Arc<dyn Appraiser> = Arc::new(PolicyAppraiser::new(
        crate::attestation::chain_policy(),
        trip.roots.clone(),
        Arc::clone(&source),
        Some(provider),
    ));
    let mut options = Options::new(Expected {
        genesis_hash: Some(trip.genesis_hash),
        lease: Some(trip.pod.lease),
        replica: Some(trip.pod.replica),
        manifest_hash: Some(trip.errand.manifest_hash),
        agent_key: Some(trip.errand.keys.agent),
    });
    options.timeout = AGENT_TIMEOUT;
    options.clock = clock;
    let mut agent = Session::connect(&trip.errand.address.to_string(), appraiser, options)
        .map_err(|err| TripError::Pod(chain_of(&err)))?;
    carry_with(&vault, &mut agent, |evidence| collateral_for(&*source, evidence))
        .map_err(|err| told(&err))
}

/// What the vault needs to verify this evidence. Where the provider has nothing, the vault may.
fn collateral_for(source: &dyn CollateralSource, cmw: &[u8]) -> Vec<Vec<u8>> {
    let pieces = || {
        let collection = Collection::decode(cmw).ok()?;
        let evidence = RawEvidence::from_collection(&collection).ok()?;
        match evidence.kind {
            TeeKind::IntelSgx | TeeKind::IntelTdx => {
                let quote = casemate_attestation::dcap::Quote::parse(&evidence.evidence).ok()?;
                serde_json::to_vec(&source.dcap(&quote).ok()?).ok()
            }
            TeeKind::AmdSevSnp => {
                let report =
                    casemate_attestation::sev_snp::Report::parse(&evidence.evidence).ok()?;
                let own = casemate_ra_tls::own_endorsements(&evidence);
                serde_json::to_vec(&source.sev_snp(&report, own).ok()?).ok()
            }
            TeeKind::NvidiaGpu => None,
        }
    };
    pieces().into_iter().collect()
}

/// What the publisher is told. Nothing of what an address inside the provider's network may say.
fn told(err: &CarryError) -> TripError {
    match err {
        CarryError::Vault(ClientError::Refused { problem, .. }) => {
            TripError::Refused(short(&format!("{} ({})", problem.error, problem.code)))
        }
        CarryError::Vault(ClientError::Forbidden(address)) => TripError::Address(format!(
            "its address leads to {address}, which is not a public address"
        )),
        CarryError::Vault(_) => TripError::Unreachable,
        err => TripError::Pod(short(&chain_of(err))),
    }
}

/// The vault's words are a stranger's.
fn short(text: &str) -> String {
    text.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_all_others() {
        let public = |text: &str| is_public(text.parse().unwrap());
        for good in ["1.1.1.1", "192.0.3.1", "100.63.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(public(good), "{good}");
        }
        for bad in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(!public(bad), "{bad}");
        }
        let of = |text: &str| Reach::of_ingress(text.parse().unwrap());
        assert_eq!(of("127.0.0.1"), Reach::Any);
        assert_eq!(of("10.0.0.1"), Reach::Any);
        assert_eq!(of("0.0.0.0"), Reach::Public);
        assert_eq!(of("1.1.1.1"), Reach::Public);
    }
}
