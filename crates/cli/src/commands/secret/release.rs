//! `casemate secret release`

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use casemate_attestation::{Grade, TrustRoots, bundle::Bundle, policy::Policy};
use casemate_client::{
    api::{LeaseStatus, PodInfo},
    chain::{AgentView, LeaseState, LeaseView, StandingView},
    provider::ProviderClient,
};
use casemate_manifest::Manifest;
use casemate_primitives::{AgentPublicKey, Hash256, LeaseId, ReplicaIndex, blake2_256};
use casemate_ra_tls::{Expected, PodIdentity, SecretName, Secrets};
use ed25519_dalek::SigningKey;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    deliver::{Delivered, Parcel, deliver},
    since_epoch, store_failure, unix_now,
};
use crate::{
    address::Address,
    appraisal::{Judge, OnChain, Target, Verdict, examine, trusted},
    chain_ops::Chain,
    cli::{AppraisalArgs, SecretReleaseArgs},
    commands::{
        attest::{demands, facts, rfc3339},
        lease::{POLL, find, notes, provider_of},
        root_fs_digest,
    },
    context::{Context, Signer},
    failure::{Failure, OrFail as _, fail},
    keystore::KdfParameters,
    manifest_file,
    printer::printable,
    secrets::{Audit, Content, Event},
};

/// For the connection and for each answer; quotes of hardware take seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How it ended for one replica.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct Released {
    lease: LeaseId,
    replica: ReplicaIndex,
    event: Event,
    names: Vec<String>,
    sequence: u64,
    agent_key: Option<String>,
    evidence_digest: Option<String>,
    tee: Option<String>,
    /// Why not.
    reasons: Vec<String>,
    checks: Verdict,
}

/// Whom a release is for, and what decides about it.
pub(super) struct Order<'a> {
    pub(super) chain: &'a Chain,
    pub(super) signer: &'a Signer,
    pub(super) passphrase: &'a Zeroizing<String>,
    /// The app's name, whose own secrets come before those for all apps.
    pub(super) app: &'a str,
    /// What the publisher deployed.
    pub(super) manifest_hash: Hash256,
    pub(super) names: &'a [SecretName],
    /// One of them, or all.
    pub(super) replica: Option<ReplicaIndex>,
    pub(super) appraisal: &'a AppraisalArgs,
    /// The image of the first container, whose root file system is compared; `None` leaves that out.
    pub(super) image: Option<&'a str>,
    /// Until when to wait for agents that the chain has attested.
    pub(super) wait: Option<Duration>,
}

pub(super) async fn run(context: &Context, args: &SecretReleaseArgs) -> anyhow::Result<()> {
    let (signer, passphrase) = context.signer_and_passphrase()?;
    let chain = Chain::connect(context).await?;
    let lease = find(context, &chain, signer.address, args.lease.as_deref()).await?;
    let note = notes(context, &chain).get(lease.id);
    let canonical = match &args.manifest {
        Some(file) => String::from_utf8(manifest_file::read(file)?.to_canonical_json())?,
        None => {
            let note = note.as_ref().or_fail(|| {
                Failure::new(format!("this machine does not know what lease {} runs", lease.id))
                    .hint("give the manifest that you deployed: --manifest FILE")
            })?;
            note.manifest.clone()
        }
    };
    let manifest = Manifest::parse(&canonical).or_fail(|| {
        Failure::new("what this machine remembers of the manifest can't be read")
            .hint("give the manifest that you deployed: --manifest FILE")
    })?;
    let names = if args.names.is_empty() { names_of(&manifest)? } else { args.names.clone() };
    if names.is_empty() {
        return fail(
            Failure::new(format!("the manifest of lease {} asks for no secrets", lease.id))
                .hint("name what to release all the same: --name NAME"),
        );
    }
    let order = Order {
        chain: &chain,
        signer: &signer,
        passphrase: &passphrase,
        app: &manifest.metadata.name,
        manifest_hash: blake2_256(canonical.as_bytes()),
        names: &names,
        replica: args.replica,
        appraisal: &args.appraisal,
        image: image_of(&manifest).filter(|_| !args.no_image),
        wait: args.wait.then(|| args.timeout.duration()),
    };
    let (infos, result) = release(context, lease, &order).await?;
    context.printer.data(&infos, || infos.iter().map(text).collect())?;
    result
}

/// Names of the secrets that a manifest asks for.
pub(in crate::commands) fn names_of(manifest: &Manifest) -> anyhow::Result<Vec<SecretName>> {
    let names = manifest.secret_names();
    let names = names.iter().map(|name| SecretName::new(name)).collect::<Result<_, _>>();
    names.or_fail(|| Failure::new("the manifest asks for a secret whose name is none"))
}

/// Image of the first container, whose agent is the attested one.
pub(super) fn image_of(manifest: &Manifest) -> Option<&str> {
    manifest.spec.containers.first().map(|container| container.image.as_str())
}

/// Appraises the pods of a lease and releases to those that are accepted; says how it ended for each,
/// and fails where one did not get them.
///
/// # Errors
/// Where none was asked.
pub(super) async fn release(
    context: &Context,
    lease: LeaseView,
    order: &Order<'_>,
) -> anyhow::Result<(Vec<Released>, anyhow::Result<()>)> {
    let Order { chain, signer, .. } = *order;
    check_lease(&lease, order)?;
    let (policy, files) = demands(context, order.appraisal)?;
    let policy_hash = blake2_256(&serde_json::to_vec(&policy)?);
    let replicas: Vec<ReplicaIndex> = match order.replica {
        Some(replica) => vec![replica],
        None => (0..lease.replicas).collect(),
    };
    let count = u16::try_from(replicas.len())?;
    // The order matters: what can't be written down, or is not there, is known before a pod is asked.
    let path = notes(context, chain).releases();
    let mut audit = Audit::open(&path).or_fail(|| {
        Failure::new(format!("cannot write down releases in `{}`", path.display()))
            .hint("make room, or choose another place: --state-dir DIR")
    })?;
    let root_fs = match order.image {
        // Hardware measures it in another way.
        Some(image) if policy.grades.contains(&Grade::Software) => {
            context.printer.note(format!("Measuring image {image}"));
            Some(root_fs_digest(context, image).await?)
        }
        _ => None,
    };
    let (secrets, sender, sequence) = unpack(context, order, count)?;
    let provider = provider_of(context, chain, signer, Address(lease.provider)).await?;
    let roots = trusted(&chain.trust_roots().await?);
    let (lease, found) = agents(context, chain, &provider, lease, &replicas, order.wait).await?;
    check_lease(&lease, order)?;
    let round = Round { context, chain, lease: &lease, policy, files, roots };
    let mut results = Vec::new();
    for (sequence, (replica, agent)) in (sequence..).zip(found) {
        let parcel = Parcel {
            pod: PodIdentity {
                genesis_hash: chain.genesis_hash(),
                lease: lease.id,
                replica,
                manifest_hash: order.manifest_hash,
            },
            secrets: Arc::clone(&secrets),
            sender: sender.clone(),
            sequence,
            policy: policy_hash,
            root_fs,
        };
        // One that fails does not keep the others from their secrets.
        let result = match agent {
            Ok(agent) => round.send(&agent, parcel, &mut audit).await,
            Err(why) => fail(Failure::new(why)),
        };
        results.push((replica, result));
    }
    context.printer.note(format!("Written down in {}", audit.path().display()));
    Ok(outcome(&lease, results))
}

/// What must hold before anybody is asked.
fn check_lease(lease: &LeaseView, order: &Order<'_>) -> anyhow::Result<()> {
    if let LeaseState::Closing { .. } = lease.state {
        return fail(Failure::new(format!("lease {} is closing: nothing is released", lease.id)));
    }
    if lease.manifest_hash != order.manifest_hash {
        return fail(
            Failure::new(format!(
                "lease {} runs another manifest than the one that you deployed from here: on chain \
                 it is 0x{}, here 0x{}; nothing is released",
                lease.id,
                hex::encode(lease.manifest_hash),
                hex::encode(order.manifest_hash)
            ))
            .hint("if you know that manifest, give it: --manifest FILE"),
        );
    }
    if let Some(replica) = order.replica.filter(|replica| *replica >= lease.replicas) {
        return fail(Failure::usage(format!(
            "lease {} has no replica {replica}: it has {}, counted from 0",
            lease.id, lease.replicas
        )));
    }
    Ok(())
}

/// The values, the key, and the first of `count` numbers.
fn unpack(
    context: &Context,
    order: &Order<'_>,
    count: u16,
) -> anyhow::Result<(Arc<Secrets>, SigningKey, u64)> {
    let store = context.secret_store(order.signer.address);
    let missing = |names: &[&SecretName]| {
        let commands: Vec<String> =
            names.iter().map(|name| format!("casemate secret set {name}")).collect();
        let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        Failure::new(format!("there is no secret {} for app `{}`", list.join(", "), order.app))
            .hint(commands.join("; "))
    };
    if !store.exists() {
        return fail(missing(&order.names.iter().collect::<Vec<_>>()));
    }
    let now_ms = u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX / 2);
    let mut absent = Vec::new();
    let taken =
        store.change(order.passphrase, &KdfParameters::default(), |content: &mut Content| {
            absent = content.missing(order.app, order.names).into_iter().cloned().collect();
            if !absent.is_empty() {
                return Ok(None);
            }
            let secrets = content.select(order.app, order.names)?;
            let sequence = content.reserve(count, now_ms);
            Ok(Some((Arc::new(secrets), content.release_key().clone(), sequence)))
        });
    match store_failure(taken)? {
        Some(taken) => Ok(taken),
        None => fail(missing(&absent.iter().collect::<Vec<_>>())),
    }
}

/// Where an agent is, and its key on chain.
#[derive(Debug)]
struct Agent {
    key: AgentPublicKey,
    target: Target,
}

/// The agents of these replicas, or why there is none. With `wait` until there are.
async fn agents(
    context: &Context,
    chain: &Chain,
    provider: &ProviderClient,
    mut lease: LeaseView,
    replicas: &[ReplicaIndex],
    wait: Option<Duration>,
) -> anyhow::Result<(LeaseView, Vec<(ReplicaIndex, Result<Agent, String>)>)> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    if wait.is_some() {
        context.printer.note("Waiting until the chain has attested the pods");
    }
    loop {
        let found: Vec<_> = match provider.lease(lease.id).await {
            Ok(status) => replicas
                .iter()
                .map(|&replica| (replica, agent_of(&lease, &status, replica)))
                .collect(),
            Err(err) if deadline.is_none_or(|deadline| Instant::now() >= deadline) => {
                return Err(err.into());
            }
            Err(_) => Vec::new(),
        };
        let complete = !found.is_empty() && found.iter().all(|(_, agent)| agent.is_ok());
        if complete || deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Ok((lease, found));
        }
        tokio::time::sleep(POLL).await;
        let id = lease.id;
        lease = chain.lease(id).await?.or_fail(|| {
            Failure::new(format!("lease {id} was settled before anything was released"))
        })?;
    }
}

fn agent_of(
    lease: &LeaseView,
    status: &LeaseStatus,
    replica: ReplicaIndex,
) -> Result<Agent, String> {
    let on_chain = lease.agents.iter().find(|agent| agent.replica == replica);
    // After an update the agent of the version before still stands for a while.
    let stands = |agent: &&AgentView| {
        let runs = |standing: &StandingView| standing.manifest_hash == lease.manifest_hash;
        agent.standing.as_ref().is_some_and(runs)
    };
    let Some(on_chain) = on_chain.filter(stands) else {
        return Err(
            "the chain has attested no agent for it that runs this manifest yet: wait, or \
                    look at `casemate attest lease`"
                .to_owned(),
        );
    };
    let is_its = |pod: &&PodInfo| {
        pod.replica == replica
            && pod.agent.is_some()
            && pod.agent_key.as_ref().is_none_or(|key| key.0 == on_chain.key)
    };
    let pod = status.pods.iter().filter(is_its).max_by_key(|pod| pod.version);
    let Some(endpoint) = pod.and_then(|pod| pod.agent.as_ref()) else {
        return Err(
            "the provider names no address of the agent that the chain has attested; wait, \
                    or look at `casemate status`"
                .to_owned(),
        );
    };
    let port = endpoint.address.rsplit_once(':').map_or("443", |(_, port)| port);
    let target = Target {
        name: format!("{}:{port}", endpoint.server_name),
        connect: Some(endpoint.address.clone()),
        timeout: TIMEOUT,
    };
    Ok(Agent { key: on_chain.key, target })
}

/// What is the same for all replicas.
struct Round<'a> {
    context: &'a Context,
    chain: &'a Chain,
    lease: &'a LeaseView,
    policy: Policy,
    files: Bundle,
    roots: TrustRoots,
}

impl Round<'_> {
    async fn send(
        &self,
        agent: &Agent,
        parcel: Parcel,
        audit: &mut Audit,
    ) -> anyhow::Result<Delivered> {
        let replica = parcel.pod.replica;
        self.context.printer.note(format!("Appraising replica {replica}"));
        let judge = Arc::new(Judge::new(
            self.policy.clone(),
            self.roots.clone(),
            self.files.clone(),
            Some(self.chain.collateral()),
            Some(self.lease.provider),
        ));
        let pod = parcel.pod;
        let expected = Expected {
            genesis_hash: Some(pod.genesis_hash),
            lease: Some(pod.lease),
            replica: Some(pod.replica),
            manifest_hash: Some(pod.manifest_hash),
            agent_key: Some(agent.key),
        };
        let target = agent.target.clone();
        let examined =
            tokio::task::spawn_blocking(move || examine(&target, &judge, expected)).await?;
        let examined = examined.or_fail(|| {
            Failure::new(format!("the agent of replica {replica} can't be appraised"))
                .hint("see whether the pod runs: casemate status")
        })?;
        // The chain is asked after the evidence was made, about what it names.
        let on_chain = match (&examined.binding, &examined.claims) {
            (Some(binding), Some(claims)) => facts(self.chain, binding, claims).await?,
            _ => OnChain {
                genesis_hash: self.chain.genesis_hash(),
                now: self.chain.time().await?,
                lease: Some(self.lease.clone()),
                approved: None,
            },
        };
        let time = || rfc3339(unix_now());
        // Blocking, for as long as one answer takes; nothing else runs meanwhile.
        deliver(examined, &on_chain, &parcel, audit, &time)
            .or_fail(|| Failure::new("the release could not be written down"))
    }
}

fn outcome(
    lease: &LeaseView,
    results: Vec<(ReplicaIndex, anyhow::Result<Delivered>)>,
) -> (Vec<Released>, anyhow::Result<()>) {
    let mut infos = Vec::new();
    let mut bad = Vec::new();
    for (replica, result) in results {
        let (delivered, error) = match result {
            Ok(delivered) => {
                let error = delivered.failure.as_ref().map(ToString::to_string);
                (Some(delivered), error)
            }
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let event = delivered.as_ref().map_or(Event::Failed, |delivered| delivered.event);
        if event != Event::Released {
            bad.push(replica.to_string());
        }
        let entry = delivered.as_ref().map(|delivered| delivered.entry.clone());
        let mut reasons =
            delivered.as_ref().map_or_else(Vec::new, |delivered| delivered.verdict.reasons());
        reasons.extend(error);
        infos.push(Released {
            lease: lease.id,
            replica,
            event,
            names: entry.as_ref().map_or_else(Vec::new, |entry| entry.names.clone()),
            sequence: entry.as_ref().map_or(0, |entry| entry.sequence),
            agent_key: entry.as_ref().and_then(|entry| entry.agent_key.clone()),
            evidence_digest: entry.as_ref().and_then(|entry| entry.evidence_digest.clone()),
            tee: entry.and_then(|entry| entry.tee),
            reasons,
            checks: delivered.map(|delivered| delivered.verdict).unwrap_or_default(),
        });
    }
    if bad.is_empty() {
        return (infos, Ok(()));
    }
    let released = infos.len() - bad.len();
    let failure = Failure::new(format!(
        "the secrets were released to {released} of {} replicas of lease {}; not to: {}",
        infos.len(),
        lease.id,
        bad.join(", ")
    ))
    .hint("the reasons are above; a pod that was refused got nothing");
    (infos, fail(failure))
}

pub(super) fn text(info: &Released) -> String {
    let unknown = || "-".to_owned();
    match info.event {
        Event::Released => format!(
            "replica {}: released {} to agent {} ({}), evidence {}\n",
            info.replica,
            info.names.join(", "),
            info.agent_key.clone().unwrap_or_else(unknown),
            info.tee.clone().unwrap_or_else(unknown),
            info.evidence_digest.clone().unwrap_or_else(unknown),
        ),
        event => {
            let word = if event == Event::Refused { "REFUSED, nothing was sent" } else { "failed" };
            let mut out = format!("replica {}: {word}\n", info.replica);
            for reason in &info.reasons {
                out.push_str(&format!("  {}\n", printable(reason)));
            }
            out
        }
    }
}

#[cfg(test)]
mod tests;
