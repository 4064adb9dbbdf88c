//! The few things about a manifest that the daemon needs all the time, so that the whole of it
//! need not be kept in memory for thousands of leases.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use casemate_manifest::{Manifest, Protocol, RunBudget, TaskSpec, TcpHostPort};
use casemate_primitives::{Hash256, Resources};

use crate::manifests::ManifestStore;

/// A host name and the port behind it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpRoute {
    /// In lower case, without a dot at the end.
    pub host: Box<str>,
    /// Container that listens.
    pub container: Box<str>,
    /// Port that it listens on.
    pub port: u16,
    /// Whether it is the one that the pod's agent ends TLS for.
    pub has_tls: bool,
}

/// What is kept of a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Resources of one replica.
    pub resources: Resources,
    /// Number of replicas.
    pub replicas: u16,
    /// Host names.
    pub http: Vec<HttpRoute>,
    /// TCP ports.
    pub tcp: Vec<TcpHostPort>,
    /// What holds for each run, where it runs to an end.
    pub task: Option<RunFacts>,
    /// How long its apps may take to end.
    pub grace: Duration,
    /// Addresses of vaults that release its secrets, in the order in which they are tried.
    pub vaults: Vec<String>,
}

/// What a manifest says of each of its runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunFacts {
    /// How long one may take.
    pub deadline_seconds: u32,
    /// What is paid for one at most.
    pub budget: RunBudget,
}

impl RunFacts {
    fn of(task: &TaskSpec) -> Self {
        Self { deadline_seconds: task.deadline_seconds, budget: task.run_budget.clone() }
    }
}

/// Annotation with the addresses of a pod's vaults, with white space between them. Evidence covers
/// it as it covers the whole manifest; that a vault may release is `releasedBy`'s to say.
pub const VAULTS_ANNOTATION: &str = "casemate.io/vaults";

/// More are not tried.
const VAULTS_MAX: usize = 8;

impl Facts {
    /// Of a valid manifest.
    pub fn of(manifest: &Manifest) -> Self {
        let resources = manifest.pod_resources();
        // Unique in the pod.
        let app_port = manifest.app_http_port().map(|port| port.container_port);
        let ports = manifest.spec.containers.iter().flat_map(|container| {
            container.ports.iter().map(move |port| (container.name.as_str(), port))
        });
        let http = ports.filter(|(_, port)| port.protocol == Protocol::Http).flat_map(
            |(container, port)| {
                port.all_hosts().map(move |host| HttpRoute {
                    host: normal_host(host).into(),
                    container: container.into(),
                    port: port.container_port,
                    has_tls: app_port == Some(port.container_port),
                })
            },
        );
        Self {
            resources: Resources {
                cpu_millicores: resources.cpu_millicores,
                memory_mib: resources.memory_mib,
                storage_mib: resources.storage_mib,
                gpus: resources.gpus,
            },
            replicas: manifest.spec.replicas,
            http: http.collect(),
            tcp: manifest.tcp_host_ports().collect(),
            task: manifest.spec.task.as_ref().map(RunFacts::of),
            grace: Duration::from_secs(u64::from(manifest.spec.termination_grace_period_seconds)),
            vaults: manifest
                .metadata
                .annotations
                .get(VAULTS_ANNOTATION)
                .map(|list| list.split_whitespace().take(VAULTS_MAX).map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }
}

/// The one form of a host name.
pub fn normal_host(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Facts by manifest hash. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FactsCache {
    store: ManifestStore,
    known: Arc<Mutex<HashMap<Hash256, Arc<Facts>>>>,
}

impl FactsCache {
    /// Over a folder of manifests.
    pub fn new(store: ManifestStore) -> Self {
        Self { store, known: Arc::default() }
    }

    /// The folder.
    pub fn store(&self) -> &ManifestStore {
        &self.store
    }

    /// Facts about a manifest, if it is here.
    pub fn get(&self, hash: &Hash256) -> Option<Arc<Facts>> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = lock().get(hash) {
            return Some(Arc::clone(facts));
        }
        let facts = Arc::new(Facts::of(&self.store.load(hash)?));
        lock().insert(*hash, Arc::clone(&facts));
        Some(facts)
    }

    /// Forgets all but these.
    pub fn retain(&self, wanted: impl Fn(&Hash256) -> bool) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|hash, _| wanted(hash));
    }
}
