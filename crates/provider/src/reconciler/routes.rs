//! Who gets which host name and port, and where their traffic goes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use casemate_client::{api::AgentName, chain::LeaseState};
use casemate_primitives::{AccountBytes, LeaseId, UnixSeconds};
use casemate_provider_core::{
    Attestation, Backend, PodId, PodStatus,
    plan::{Action, Plan},
};

use super::Reconciler;
use crate::{
    facts::{Facts, HttpRoute},
    ingress::Routes,
};

impl<B: Backend> Reconciler<B> {
    /// Gives each TCP port of a live lease a port outside, once.
    pub(super) async fn give_out_ports(&mut self, now: UnixSeconds) {
        let mut wanted = Vec::new();
        for (id, lease) in &self.snapshot.leases {
            if matches!(lease.state, LeaseState::Closing { .. }) {
                continue;
            }
            let Some(facts) = self.parts.facts.get(&lease.manifest_hash) else { continue };
            for port in &facts.tcp {
                let key = (*id, port.container.clone(), port.container_port);
                let has = self.tcp_ports.get(&key);
                if has.is_none() || port.host_port.is_some_and(|wants| has != Some(&wants)) {
                    wanted.push((key, port.host_port));
                }
            }
        }
        if wanted.is_empty() {
            return;
        }
        let mut taken: BTreeSet<u16> = self.tcp_ports.values().copied().collect();
        let reserved = self.reserved_ports(now).await;
        for (key, fixed) in wanted {
            let (first, last) = self.settings.tcp_ports;
            let found = match fixed {
                Some(port) if taken.contains(&port) || !(first..=last).contains(&port) => None,
                Some(port) => Some(port),
                None => (first..=last).find(|p| !taken.contains(p) && !reserved.contains(p)),
            };
            let Some(port) = found else {
                let text = match fixed {
                    Some(port) => format!("TCP port {port} cannot be had: ask for another"),
                    None => "no TCP port is free".into(),
                };
                self.problem(key.0, text);
                continue;
            };
            let noted = self.parts.spool.add_tcp_port(key.0, key.1.clone(), key.2, port).await;
            if let Err(err) = noted {
                self.parts.metrics.failed("spool");
                tracing::error!(%err, port, "cannot note a TCP port; it is not opened");
                continue;
            }
            taken.insert(port);
            self.tcp_ports.insert(key, port);
        }
    }

    /// Ports that open offers have promised.
    async fn reserved_ports(&self, now: UnixSeconds) -> BTreeSet<u16> {
        let quotes = self.parts.spool.open_quotes(now).await.unwrap_or_default();
        quotes
            .iter()
            .filter_map(|quote| self.parts.facts.get(&quote.manifest_hash))
            .flat_map(|facts| facts.tcp.iter().filter_map(|p| p.host_port).collect::<Vec<_>>())
            .collect()
    }

    /// Names of the agents that have evidence. Whether the app is ready does not matter: it may be
    /// waiting for the secrets that somebody is about to bring to its agent.
    fn agent_routes(&self, plan: &Plan, pods: &[PodStatus], routes: &mut Routes) {
        let leaving: HashSet<PodId> = plan
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Delete(pod, _) => Some(*pod),
                _ => None,
            })
            .collect();
        for pod in pods.iter().filter(|pod| !leaving.contains(&pod.id)) {
            let (Some(address), Attestation::Available(endpoint)) = (pod.address, &pod.attestation)
            else {
                continue;
            };
            let target = (pod.id, SocketAddr::new(address, endpoint.port));
            let PodId { lease, replica, version } = pod.id;
            // In the order of versions: the newest is the last to take the common name.
            for version in [Some(version), None] {
                let name = AgentName { lease, replica, version };
                routes.tls.insert(name.to_string().into(), vec![target]);
            }
        }
    }

    /// Where traffic goes, by the plan.
    pub(super) fn routes(&mut self, plan: &Plan, pods: &[PodStatus]) -> Routes {
        let mut routes = Routes::default();
        self.assign_hosts(&mut routes);
        if self.settings.has_tls {
            self.agent_routes(plan, pods, &mut routes);
        }
        let addresses: HashMap<PodId, _> = pods
            .iter()
            .filter_map(|pod| Some((pod.id, (pod.address?, app_tls_port(pod)))))
            .collect();
        let mut served_by: HashMap<Box<str>, LeaseId> = HashMap::new();
        // The newest lease first: where one account has a name twice, that one gets it.
        for ((lease, _), pod) in plan.routes.iter().rev() {
            let Some((address, tls_port)) = addresses.get(pod) else { continue };
            let hash = self.manifests.get(pod).copied().or_else(|| {
                let lease = self.snapshot.leases.get(lease)?;
                (lease.version == pod.version).then_some(lease.manifest_hash)
            });
            let Some(facts) = hash.and_then(|hash| self.parts.facts.get(&hash)) else { continue };
            let publisher = self.snapshot.leases.get(lease).map(|lease| lease.publisher);
            for route in &facts.http {
                if !self.may_have(publisher, &route.host)
                    || served_by.entry(route.host.clone()).or_insert(*lease) != lease
                {
                    continue;
                }
                let target = (*pod, SocketAddr::new(*address, route.port));
                routes.http.entry(route.host.clone()).or_default().push(target);
                if let Some(port) = tls_port.filter(|_| self.has_tls(route)) {
                    let target = (*pod, SocketAddr::new(*address, port));
                    routes.tls.entry(route.host.clone()).or_default().push(target);
                }
            }
            for port in &facts.tcp {
                let key = (*lease, port.container.clone(), port.container_port);
                if let Some(outside) = self.tcp_ports.get(&key) {
                    let target = (*pod, SocketAddr::new(*address, port.container_port));
                    routes.tcp.entry(*outside).or_default().push(target);
                }
            }
        }
        let Routes { http, tcp, tls } = &mut routes;
        for targets in http.values_mut().chain(tcp.values_mut()).chain(tls.values_mut()) {
            targets.sort_unstable();
        }
        self.report_ports();
        routes
    }

    /// A name stays with the account that has it for as long as one of its live leases names it;
    /// a free one goes to the oldest lease that names it.
    fn assign_hosts(&mut self, routes: &mut Routes) {
        if !self.is_ready {
            return;
        }
        let snapshot = Arc::clone(&self.snapshot);
        let live: Vec<(LeaseId, AccountBytes, Arc<Facts>)> = snapshot
            .leases
            .values()
            .filter(|lease| !matches!(lease.state, LeaseState::Closing { .. }))
            .filter_map(|l| Some((l.id, l.publisher, self.parts.facts.get(&l.manifest_hash)?)))
            .collect();
        let mut owners: HashMap<Box<str>, AccountBytes> = HashMap::new();
        for (_, publisher, facts) in &live {
            for route in &facts.http {
                if self.host_owners.get(&route.host) == Some(publisher) {
                    owners.insert(route.host.clone(), *publisher);
                }
            }
        }
        for (lease, publisher, facts) in &live {
            for route in &facts.http {
                let owner = *owners.entry(route.host.clone()).or_insert(*publisher);
                if owner == *publisher {
                    routes.http.entry(route.host.clone()).or_default();
                    if self.has_tls(route) {
                        routes.tls.entry(route.host.clone()).or_default();
                    }
                } else {
                    let text = format!("host name `{}` belongs to another account", route.host);
                    self.problem(*lease, text);
                }
            }
        }
        self.host_owners = owners;
    }

    /// Whether TLS connections to a host name are passed on. A manifest from before agents had names
    /// may ask for one of theirs: it does not get it.
    fn has_tls(&self, route: &HttpRoute) -> bool {
        self.settings.has_tls && route.has_tls && !AgentName::is_reserved(&route.host)
    }

    fn may_have(&self, publisher: Option<AccountBytes>, host: &str) -> bool {
        match publisher {
            Some(publisher) => self.host_owners.get(host).is_none_or(|owner| *owner == publisher),
            // The chain was not read yet: the pods go on as they are.
            None => true,
        }
    }

    fn report_ports(&mut self) {
        let problems: Vec<(LeaseId, String)> = self
            .tcp_ports
            .iter()
            .filter_map(|((lease, ..), port)| {
                let reason = self.port_problems.get(port)?;
                Some((*lease, format!("TCP port {port} cannot be opened: {reason}")))
            })
            .collect();
        for (lease, text) in problems {
            self.problem(lease, text);
        }
    }
}

/// Where TLS for the pod's app ends.
fn app_tls_port(pod: &PodStatus) -> Option<u16> {
    match &pod.attestation {
        Attestation::Available(endpoint) => endpoint.app_tls_port,
        Attestation::Off | Attestation::Waiting { .. } => None,
    }
}
