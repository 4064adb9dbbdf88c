//! What a publisher sees of a lease.

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
};
use casemate_client::{
    api::{
        AddressInfo, AgentEndpoint, AgentName, ContainerInfo, EventList, Hex, LeasePhase,
        LeaseStatus, PodInfo, PodPhaseInfo, RefusalCode, UsageInfo,
    },
    chain::{LeaseState, LeaseView},
};
use casemate_provider_core::{
    Attestation, Backend, ContainerState, ContainerStatus, PodId, PodPhase, PodStatus,
};
use http::Request;
use serde::Deserialize;

use super::{Api, Problem, Shared};
use crate::{Chain, facts::Facts, quotes::refusal, world::World};

pub(super) async fn status<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Json<LeaseStatus>, Problem> {
    let signed = api.authenticate(request).await?;
    let world = api.world();
    let lease = api.lease(&world, &id, &signed.account)?;
    let mut pods = Vec::new();
    for pod in world.pods_of(lease.id) {
        pods.push(api.pod_info(&lease, pod).await?);
    }
    Ok(Json(LeaseStatus {
        lease: lease.id,
        deployment: lease.deployment,
        state: match lease.state {
            LeaseState::Pending => LeasePhase::Pending,
            LeaseState::Active => LeasePhase::Active,
            LeaseState::Closing { .. } => LeasePhase::Closing,
        },
        version: lease.version,
        manifest_hash: Hex(lease.manifest_hash),
        manifest_known: api.parts.facts.get(&lease.manifest_hash).is_some(),
        replicas: lease.replicas,
        pods,
        addresses: api.addresses(&world, &lease),
        problems: world.problems.get(&lease.id).cloned().unwrap_or_default(),
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    #[serde(default)]
    after: u64,
}

pub(super) async fn events<C: Chain, B: Backend>(
    State(api): Shared<C, B>,
    Path(id): Path<String>,
    query: Result<Query<EventsQuery>, axum::extract::rejection::QueryRejection>,
    request: Request<Body>,
) -> Result<Json<EventList>, Problem> {
    let signed = api.authenticate(request).await?;
    let Query(query) = query.map_err(|err| {
        refusal(RefusalCode::BadRequest, err.body_text(), "`after` is the last event's number")
    })?;
    let lease = api.lease(&api.world(), &id, &signed.account)?;
    let events = api.parts.spool.events(lease.id, query.after).await;
    let events =
        events.map_err(|err| Problem::internal("the provider cannot read its events", &err))?;
    Ok(Json(EventList { events }))
}

impl<C: Chain, B: Backend> Api<C, B> {
    async fn pod_info(&self, lease: &LeaseView, pod: &PodStatus) -> Result<PodInfo, Problem> {
        let (phase, reason) = match &pod.phase {
            PodPhase::Starting => (PodPhaseInfo::Starting, None),
            PodPhase::Running { .. } => (PodPhaseInfo::Running, None),
            PodPhase::Failed(reason) | PodPhase::Ended(reason) => {
                (PodPhaseInfo::Failed, Some(reason.clone()))
            }
        };
        let mut usage = None;
        if let Some(agent_key) = pod.agent_key {
            let key = (lease.id, pod.id.replica, agent_key);
            let newest = self.parts.spool.claimable(key, 0, u64::MAX).await;
            let newest = newest
                .map_err(|err| Problem::internal("the provider cannot read its records", &err))?;
            let agent = lease
                .agents
                .iter()
                .find(|agent| agent.replica == pod.id.replica && agent.key == agent_key);
            usage = newest.map(|signed| UsageInfo {
                sequence: signed.record.sequence,
                to: signed.record.to,
                total: signed.record.total.into(),
                claimed_sequence: agent.map_or(0, |agent| agent.sequence),
            });
        }
        Ok(PodInfo {
            pod: pod.id.to_string(),
            replica: pod.id.replica,
            version: pod.id.version,
            phase,
            ready: pod.phase == PodPhase::Running { ready: true },
            reason,
            agent_key: pod.agent_key.map(Hex),
            agent: self.agent_endpoint(pod),
            containers: pod.containers.iter().map(container_info).collect(),
            usage,
        })
    }

    /// Where a pod's agent is reached, once it has evidence.
    fn agent_endpoint(&self, pod: &PodStatus) -> Option<AgentEndpoint> {
        let address = self.parts.tls_address.clone()?;
        if pod.address.is_none() || !matches!(pod.attestation, Attestation::Available(_)) {
            return None;
        }
        let PodId { lease, replica, version } = pod.id;
        let name = AgentName { lease, replica, version: Some(version) };
        Some(AgentEndpoint { address, server_name: name.to_string() })
    }

    /// The URLs of names for which TLS ends in a pod of the lease.
    fn tls_addresses(&self, world: &World, lease: &LeaseView, facts: &Facts) -> Vec<AddressInfo> {
        let has_tls = |pod: &PodStatus| matches!(&pod.attestation, Attestation::Available(endpoint) if endpoint.app_tls_port.is_some());
        let Some(address) = &self.parts.tls_address else { return Vec::new() };
        if !world.pods_of(lease.id).iter().any(has_tls) {
            return Vec::new();
        }
        let port = match address.rsplit_once(':') {
            Some((_, "443")) | None => String::new(),
            Some((_, port)) => format!(":{port}"),
        };
        let routes = facts.http.iter().filter(|route| route.has_tls);
        routes
            .map(|route| AddressInfo {
                container: route.container.to_string(),
                protocol: "https".into(),
                address: format!("https://{}{port}/", route.host),
            })
            .collect()
    }

    fn addresses(&self, world: &World, lease: &LeaseView) -> Vec<AddressInfo> {
        let Some(facts) = self.parts.facts.get(&lease.manifest_hash) else { return Vec::new() };
        let at = self.parts.ingress_address;
        let port = if at.port() == 80 { String::new() } else { format!(":{}", at.port()) };
        let http = facts.http.iter().map(|route| AddressInfo {
            container: route.container.to_string(),
            protocol: "http".into(),
            address: format!("http://{}{port}/", route.host),
        });
        let tcp = facts.tcp.iter().filter_map(|tcp| {
            let key = (lease.id, tcp.container.clone(), tcp.container_port);
            let outside = world.tcp_ports.get(&key)?;
            Some(AddressInfo {
                container: tcp.container.clone(),
                protocol: "tcp".into(),
                address: format!("{}:{outside}", self.parts.config.ingress.domain),
            })
        });
        http.chain(self.tls_addresses(world, lease, &facts)).chain(tcp).collect()
    }
}

fn container_info(container: &ContainerStatus) -> ContainerInfo {
    let (state, exit_code) = match container.state {
        ContainerState::Waiting => ("waiting", None),
        ContainerState::AwaitingSecrets { .. } => ("awaitingSecrets", None),
        ContainerState::Running => ("running", None),
        ContainerState::BackOff { exit_code } => ("backOff", Some(exit_code)),
        ContainerState::Exited { exit_code } => ("exited", Some(exit_code)),
    };
    ContainerInfo {
        name: container.name.clone(),
        state: state.into(),
        exit_code,
        restarts: container.restarts,
        ready: container.ready,
    }
}
