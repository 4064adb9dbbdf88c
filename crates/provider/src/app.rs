//! Wires the parts and runs them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
};

use casemate_provider_core::Backend;
use subxt_signer::sr25519::Keypair;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    Chain, Clock, Config, api,
    attestation::{Attestor, ClusterAttestor},
    challenges::{self, Challenges},
    cluster::{self, Keeper},
    courier::{self, Carry, Courier, Errands},
    facts::FactsCache,
    front::{Addresses, Front},
    funds::{self, FundsWatcher},
    ingress::Ingress,
    manifests::{ManifestStore, ManifestStoreError},
    metrics::Metrics,
    reconciler::{self, Reconciler},
    settlement::{self, Settler},
    spool::{Spool, SpoolError},
    world::World,
};

/// What the binary chooses.
pub struct Deps<C, B> {
    /// The chain.
    pub chain: C,
    /// What runs pods.
    pub backend: B,
    /// The provider's key: the chain's account must be its public key.
    pub key: Keypair,
    /// What asks the pods' agents for evidence.
    pub attestor: Arc<dyn Attestor>,
    /// The wall clock.
    pub clock: Clock,
}

impl<C, B> std::fmt::Debug for Deps<C, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder can't be made.
    #[error("cannot make the data folder `{path}`")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// An address can't be listened on.
    #[error("cannot listen on {address} for {what}: choose another address or stop who uses it")]
    Listen {
        /// For what.
        what: &'static str,
        /// Which.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Threads for the ingress can't be made.
    #[error("cannot start the ingress")]
    Threads(#[source] io::Error),
    /// The chain client signs with another key than the quotes are signed with.
    #[error("the chain client and the API have different keys")]
    KeyMismatch,
    /// The spool can't be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The manifests' folder can't be used.
    #[error(transparent)]
    Manifests(#[from] ManifestStoreError),
}

/// The daemon, ready to run: all addresses are bound already.
pub struct App<C, B> {
    reconciler: Reconciler<B>,
    settler: Settler<C>,
    funds: FundsWatcher,
    challenges: Challenges<C>,
    errands: (Arc<C>, Spool, FactsCache, Clock),
    carrier: Option<Arc<dyn Carry>>,
    keeper: Option<Keeper<C>>,
    all_metrics: Metrics,
    api: (TcpListener, axum::Router),
    metrics: Option<(TcpListener, axum::Router)>,
    ingress: (Ingress, TcpListener),
    tls: Option<TcpListener>,
    addresses: Addresses,
    world: watch::Receiver<Arc<World>>,
}

impl<C, B> std::fmt::Debug for App<C, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl<C: Chain, B: Backend> App<C, B> {
    /// Opens files and addresses.
    ///
    /// # Errors
    /// One of them can't be had.
    pub async fn build(config: Config, deps: Deps<C, B>) -> Result<Self, StartError> {
        let front = Front::bind(&config)?;
        Self::build_behind(front, config, deps).await
    }

    /// Opens files; the addresses are there already.
    ///
    /// # Errors
    /// A file can't be opened, or belongs to another chain or account.
    pub async fn build_behind(
        front: Front,
        config: Config,
        deps: Deps<C, B>,
    ) -> Result<Self, StartError> {
        let Deps { chain, backend, key, attestor, clock } = deps;
        if chain.account() != key.public_key().0 {
            return Err(StartError::KeyMismatch);
        }
        let data_dir = config.data_dir.clone();
        std::fs::create_dir_all(&data_dir)
            .map_err(|source| StartError::DataDir { path: data_dir.clone(), source })?;
        let spool = Spool::open(&data_dir, &chain.genesis_hash(), &chain.account())?;
        let facts = FactsCache::new(ManifestStore::open(&data_dir)?);
        let Front { listeners, addresses, ingress, metrics } = front;
        let ingress = Ingress::new(ingress, metrics.clone());
        let (chain, backend) = (Arc::new(chain), Arc::new(backend));
        let wake = Arc::new(Notify::new());
        let world_sender = watch::Sender::new(Arc::<World>::default());
        let world = world_sender.subscribe();
        let settings = reconciler::Settings {
            genesis_hash: chain.genesis_hash(),
            record_interval: config.timing.record_interval.get(),
            update_max: config.timing.update_max.get(),
            drain: config.ingress.drain.get(),
            tcp_address: addresses.ingress.ip(),
            tcp_ports: config.ingress.tcp_ports,
            has_tls: addresses.tls.is_some(),
            log_bytes_max: config.logs.lease_bytes_max(),
        };
        let parts = reconciler::Parts {
            backend: Arc::clone(&backend),
            snapshots: chain.snapshots(),
            spool: spool.clone(),
            facts: facts.clone(),
            ingress: ingress.clone(),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            wake: Arc::clone(&wake),
            world: world_sender,
        };
        let reconciler = Reconciler::new(settings, parts).await?;
        let answers = challenges::Parts {
            chain: Arc::clone(&chain),
            attestor: Arc::clone(&attestor),
            world: world.clone(),
            spool: spool.clone(),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
        };
        let settler = Settler::new(settlement::Parts {
            chain: Arc::clone(&chain),
            attestor,
            world: world.clone(),
            spool: spool.clone(),
            facts: facts.clone(),
            run_budget_percent_min: config.rules.run_budget_percent_min,
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            wake: Arc::clone(&wake),
            claim_interval: config.timing.claim_interval.get(),
            payout_interval: config.timing.payout_interval.get(),
        });
        let funds = FundsWatcher::new(funds::Parts {
            world: world.clone(),
            spool: spool.clone(),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            hooks: config.hooks.clone(),
        });
        let challenges = Challenges::with_endorsed(answers, settler.endorsed());
        let errands = (Arc::clone(&chain), spool.clone(), facts.clone(), Arc::clone(&clock));
        let tls_address = addresses.tls.map(|tls| config.ingress.tls_address(tls.port()));
        let router = api::router(api::Parts {
            config: Arc::new(config),
            ingress_address: addresses.ingress,
            tls_address,
            key,
            chain,
            backend,
            world: world.clone(),
            spool,
            facts,
            clock,
            wake,
        });
        Ok(Self {
            reconciler,
            settler,
            funds,
            challenges,
            errands,
            carrier: None,
            keeper: None,
            all_metrics: metrics.clone(),
            api: (listeners.api, router),
            metrics: listeners.metrics.map(|l| (l, api::metrics_router(metrics))),
            ingress: (ingress, listeners.ingress),
            tls: listeners.tls,
            addresses,
            world,
        })
    }

    /// Goes to vaults for pods that wait for secrets, by this carrier. Without one, pods get what
    /// their publishers bring themselves.
    #[must_use]
    pub fn with_courier(mut self, carrier: Arc<dyn Carry>) -> Self {
        self.carrier = Some(carrier);
        self
    }

    /// Keeps the cluster attested, on this evidence of the daemon itself. Without it publishers that
    /// ask for an attested cluster leave the provider out.
    #[must_use]
    pub fn with_cluster(mut self, attestor: Arc<dyn ClusterAttestor>) -> Self {
        self.keeper = Some(Keeper::new(cluster::Parts {
            chain: Arc::clone(&self.errands.0),
            attestor,
            endorsed: self.settler.endorsed(),
            metrics: self.all_metrics.clone(),
        }));
        self
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What the reconciler sees, look after look.
    pub fn world(&self) -> watch::Receiver<Arc<World>> {
        self.world.clone()
    }

    /// Runs until `shutdown` turns true (or its sender is gone). Requests under way get a few
    /// seconds; pods go on running and are found again at the next start.
    ///
    /// # Errors
    /// The ingress' threads can't be made, or an address is lost.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> Result<(), StartError> {
        let (ingress, listener) = self.ingress;
        let threads = ingress.serve(&listener, &shutdown).map_err(StartError::Threads)?;
        drop(listener);
        let mut tasks = JoinSet::new();
        for (what, (listener, router)) in
            std::iter::once(("the API", self.api)).chain(self.metrics.map(|m| ("metrics", m)))
        {
            let address = self.addresses.api;
            let listener = tokio::net::TcpListener::from_std(listener)
                .map_err(|source| StartError::Listen { what, address, source })?;
            tasks.spawn(api::serve(listener, router, shutdown.clone()));
        }
        if let Some(listener) = self.tls {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| {
                let address = self.addresses.tls.unwrap_or(self.addresses.ingress);
                StartError::Listen { what: "TLS to pods", address, source }
            })?;
            let (ingress, shutdown) = (ingress.clone(), shutdown.clone());
            tasks.spawn(async move { ingress.serve_tls(listener, shutdown).await });
        }
        tasks.spawn(self.settler.run(shutdown.clone()));
        tasks.spawn(self.funds.run(shutdown.clone()));
        tasks.spawn(self.challenges.run(shutdown.clone()));
        match self.keeper {
            Some(keeper) => drop(tasks.spawn(keeper.run(shutdown.clone()))),
            None => tracing::info!(
                "the control plane is not attested, as there is no `[cluster_tee]`: publishers that \
                 ask for an attested cluster leave this provider out"
            ),
        }
        if let Some(carrier) = self.carrier {
            let (chain, spool, facts, clock) = self.errands;
            let sender = watch::Sender::new(Arc::<Errands>::default());
            let errands = sender.subscribe();
            let courier = Courier::new(courier::Parts { chain, carrier, errands, spool, clock });
            tasks.spawn(courier.run(shutdown.clone()));
            tasks.spawn(courier::follow(self.world.clone(), facts, sender, shutdown.clone()));
        }
        tasks.spawn(self.reconciler.run(shutdown));
        while let Some(ended) = tasks.join_next().await {
            if let Err(err) = ended {
                tracing::error!(%err, "a part of the daemon broke off");
                // Without it the rest is of no use: the process ends, and what starts it again
                // (systemd, the demo) gets a whole one.
                std::panic::resume_unwind(err.into_panic());
            }
        }
        // They end by the same signal; a thread that panicked has said so.
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
        });
        if joined.await.unwrap_or(1) > 0 {
            tracing::error!("the ingress broke off");
        }
        Ok(())
    }
}
