//! A trip: over HTTP to the vault, over RA-TLS to the agent.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

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
use tokio::sync::{Semaphore, oneshot};

use super::{Carry, TRIPS_MAX, Trip, TripError};
use crate::{Clock, attestation::CollateralFrom, chain_of};

/// Time for each request to the agent: quotes from hardware take seconds.
const AGENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for each request to the vault.
const VAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a whole trip: a nonce is good for two minutes.
const TRIP_LIMIT: Duration = Duration::from_secs(120);

/// Where vaults may be. Their addresses are the words of a manifest's author, who must not make the
/// daemon knock at doors inside the provider's network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Public addresses alone.
    Public,
    /// Private ones and this machine's too. Publishers are told what answers there, as far as it
    /// speaks like a vault: only the operator can say that nothing else does. Not the addresses where
    /// clouds serve a machine's own credentials.
    Private,
}

impl Reach {
    fn takes(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !is_metadata(address) && (is_public(address) || self == Self::Private && is_inside(address))
    }
}

/// Whether it is one of the addresses where clouds tell a machine its credentials: Azure's and AWS'
/// (IPv6), Alibaba's and Oracle's. The one that all others use is link-local.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            [[168, 63, 129, 16], [100, 100, 100, 200], [192, 0, 0, 192]].contains(&v4.octets())
        }
        IpAddr::V6(v6) => v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    }
}

/// Whether an address is this machine's or of a private network, of a site or of a carrier.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback() || v4.is_private() || a == 100 && (64..128).contains(&b)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
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
///
/// Each trip has a thread of its own, which the runtime's other work does not wait for: the resolver
/// can't be interrupted. A thread counts until it has ended, whoever has given up on it.
pub struct PodCarrier {
    collateral: CollateralFrom,
    provider: AccountBytes,
    clock: Clock,
    reach: Reach,
    threads: Arc<Semaphore>,
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
        let threads = Arc::new(Semaphore::new(TRIPS_MAX));
        Self { collateral, provider, clock, reach, threads }
    }
}

impl Carry for PodCarrier {
    fn carry(&self, trip: Trip) -> BoxFuture<'_, Result<u64, TripError>> {
        let (from, provider, reach) = (self.collateral.clone(), self.provider, self.reach);
        let (clock, threads) = (Arc::clone(&self.clock), Arc::clone(&self.threads));
        Box::pin(async move {
            let permit = threads.acquire_owned().await.map_err(|_| TripError::BrokeOff)?;
            let (done, result) = oneshot::channel();
            let going = move || {
                let result = go(&from, provider, clock, reach, &trip);
                drop(permit);
                // Nobody waits any more where the daemon stops.
                let _ = done.send(result);
            };
            let thread = std::thread::Builder::new().name("courier".to_owned()).spawn(going);
            thread.map_err(|err| TripError::Pod(format!("the provider has no thread: {err}")))?;
            result.await.unwrap_or(Err(TripError::BrokeOff))
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
    let end = Instant::now() + TRIP_LIMIT;
    let vault = Client::new(&trip.vault, VAULT_TIMEOUT)
        .map_err(|err| TripError::Address(err.to_string()))?
        .until(end)
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
    options.end = Some(end);
    options.clock = clock;
    let mut agent = Session::connect(&trip.errand.address.to_string(), appraiser, options)
        .map_err(|err| TripError::Pod(chain_of(&err)))?;
    carry_with(&vault, &mut agent, |evidence| collateral_for(&*source, evidence)).map_err(|err| {
        if let CarryError::Vault(ClientError::Forbidden(address)) = &err {
            let Trip { pod, vault, .. } = trip;
            tracing::info!(%pod, vault, %address, "a vault's address leads elsewhere");
        }
        told(&err)
    })
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

/// What the publisher is told: what a vault answers, but nothing of the provider's network and names.
fn told(err: &CarryError) -> TripError {
    match err {
        CarryError::Vault(ClientError::Refused { problem, .. }) => {
            TripError::Refused(short(&format!("{} ({})", problem.error, problem.code)))
        }
        CarryError::Vault(ClientError::Forbidden(_)) => TripError::Address(
            "its address is not a public one, and this provider goes to no others".to_owned(),
        ),
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
    }

    #[test]
    fn only_an_operators_word_leads_inside_and_none_to_the_machines_credentials() {
        let takes = |reach: Reach, text: &str| reach.takes(text.parse().unwrap());
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd12::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!takes(Reach::Public, inside), "{inside}");
            assert!(takes(Reach::Private, inside), "{inside}");
        }
        assert!(takes(Reach::Public, "1.1.1.1") && takes(Reach::Private, "1.1.1.1"));
        for never in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
        ] {
            assert!(!takes(Reach::Public, never), "{never}");
            assert!(!takes(Reach::Private, never), "{never}");
        }
    }

    fn trip(address: std::net::SocketAddr) -> Trip {
        let keys = casemate_client::chain::AttestedKeys {
            agent: [1; 32],
            hpke: [1; 32],
            tls_spki_sha256: [1; 32],
        };
        let vaults = vec![];
        let errand = crate::courier::Errand {
            address,
            manifest_hash: [1; 32],
            keys,
            publisher: [1; 32],
            vaults,
        };
        Trip {
            genesis_hash: [1; 32],
            pod: casemate_provider_core::PodId {
                lease: casemate_primitives::LeaseId(1),
                replica: 0,
                version: 1,
            },
            errand,
            vault: "http://vault.example".to_owned(),
            roots: casemate_attestation::TrustRoots::default(),
        }
    }

    #[test]
    fn trips_that_hang_keep_their_slots_and_nothing_of_the_runtime() {
        // A machine whose files wait for one thread.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .max_blocking_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        // Takes connections and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let clock: Clock = Arc::new(|| 1);
        let carrier = PodCarrier::new(CollateralFrom::Evidence, [1; 32], clock, Reach::Public);
        let carrier = Arc::new(carrier);
        let free = || carrier.threads.available_permits();
        let trip = trip(silent.local_addr().unwrap());
        runtime.block_on(async {
            let go = || {
                let (carrier, trip) = (Arc::clone(&carrier), trip.clone());
                tokio::spawn(async move { carrier.carry(trip).await })
            };
            let trips: Vec<_> = (0..TRIPS_MAX).map(|_| go()).collect();
            while free() > 0 {
                tokio::task::yield_now().await;
            }
            // The spool's work goes on.
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            assert!(trips.iter().all(|trip| !trip.is_finished()));
            // Whoever gives them up has not ended them.
            for trip in trips {
                trip.abort();
                assert!(trip.await.unwrap_err().is_cancelled());
            }
            assert_eq!(free(), 0);
            // When the other side ends them, others can go.
            let later = go();
            drop(silent);
            let err = later.await.unwrap().unwrap_err();
            assert!(matches!(err, TripError::Pod(_)), "{err}");
        });
        while free() < TRIPS_MAX {
            std::thread::yield_now();
        }
    }
}
