//! What the chain says of a pod, beside what the pod's evidence says of itself.

use casemate_attestation::{Binding, Claims, Grade};
use casemate_client::chain::{AgentView, LeaseState, LeaseView};
use casemate_primitives::{AccountBytes, Hash256, LeaseId, UnixSeconds};

use super::{Check, Outcome};
use crate::address::Address;

const CHAIN: &str = "the chain";
const LEASE: &str = "the lease";
const ON_CHAIN: &str = "the lease on chain";
const PUBLISHER: &str = "the publisher";
const MANIFEST: &str = "the manifest";
const MANIFEST_ON_CHAIN: &str = "the deployment's manifest on chain";
const KEY: &str = "the agent's key on chain";
const STANDING: &str = "standing of that key";
const HPKE: &str = "the key for secrets on chain";
const WORKLOAD: &str = "the workload that was attested on chain";
const APPROVED: &str = "approval of the workload on chain";

/// What whoever asks demands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// This lease.
    pub(crate) lease: Option<LeaseId>,
    /// This manifest.
    pub(crate) manifest_hash: Option<Hash256>,
    /// A lease of this account's.
    pub(crate) publisher: Option<AccountBytes>,
}

/// What the chain says.
#[derive(Clone, Debug)]
pub(crate) struct OnChain {
    /// Hash of its first block.
    pub(crate) genesis_hash: Hash256,
    /// Its clock.
    pub(crate) now: UnixSeconds,
    /// The lease that the evidence names, unless it is settled.
    pub(crate) lease: Option<LeaseView>,
    /// The lowest grade at which the evidence's workload is approved.
    pub(crate) approved: Option<Grade>,
}

/// All checks of a pod's binding. Without a chain they say what was not checked.
pub(crate) fn check_lease(
    binding: &Binding,
    claims: &Claims,
    wanted: Wanted,
    chain: Option<&OnChain>,
) -> Vec<Check> {
    let lease = binding.lease;
    let mut checks = vec![match wanted.lease {
        Some(wanted) => Check::equal(LEASE, lease, wanted),
        None => Check::not_checked(LEASE, lease.to_string(), "to demand one: --lease N"),
    }];
    let manifest = hex::encode(binding.manifest_hash);
    if let Some(wanted) = wanted.manifest_hash {
        checks.push(Check::equal(MANIFEST, &manifest, hex::encode(wanted)));
    }
    let genesis = hex::encode(binding.genesis_hash);
    let Some(chain) = chain else {
        let unknown = |name, found: String| Check::not_checked(name, found, "no chain was asked");
        checks.extend([
            unknown(CHAIN, genesis),
            unknown(ON_CHAIN, format!("lease {lease}, replica {}", binding.replica)),
            unknown(MANIFEST_ON_CHAIN, manifest),
            unknown(KEY, hex::encode(binding.agent_key)),
            unknown(APPROVED, hex::encode(claims.measurements.workload())),
        ]);
        return checks;
    };
    checks.push(Check::equal(CHAIN, genesis, hex::encode(chain.genesis_hash)));
    let Some(view) = &chain.lease else {
        let text = format!("there is no lease {lease}, or it is settled");
        checks.push(Check::new(ON_CHAIN, text, "open", Outcome::Failed));
        return checks;
    };
    checks.push(check_state(binding, view));
    if let Some(wanted) = wanted.publisher {
        checks.push(Check::equal(PUBLISHER, Address(view.publisher), Address(wanted)));
    }
    let manifest_on_chain = hex::encode(view.manifest_hash);
    checks.push(Check::equal(MANIFEST_ON_CHAIN, manifest, manifest_on_chain));
    let agent = view.agents.iter().find(|agent| agent.replica == binding.replica);
    checks.extend(check_agent(binding, claims, agent, chain.now));
    checks.push(check_approval(claims, chain.approved));
    checks
}

fn check_state(binding: &Binding, view: &LeaseView) -> Check {
    let provider = Address(view.provider);
    let (state, outcome) = match view.state {
        LeaseState::Pending => ("open, and none of its agents was attested yet", Outcome::Failed),
        LeaseState::Active => ("active", Outcome::Passed),
        LeaseState::Closing { .. } => ("closing", Outcome::Graced),
    };
    let wanted = format!("active, replica {} among its {}", binding.replica, view.replicas);
    let outcome = if binding.replica < view.replicas { outcome } else { Outcome::Failed };
    let publisher = Address(view.publisher);
    let found = format!("{state}, of publisher {publisher}, run by provider {provider}");
    Check::new(ON_CHAIN, found, wanted, outcome)
}

fn check_agent(
    binding: &Binding,
    claims: &Claims,
    agent: Option<&AgentView>,
    now: UnixSeconds,
) -> Vec<Check> {
    let found = hex::encode(binding.agent_key);
    let Some(agent) = agent else {
        let wanted = format!("one that the chain knows for replica {}", binding.replica);
        return vec![Check::new(KEY, found, wanted, Outcome::Failed)];
    };
    let mut checks = vec![Check::equal(KEY, found, hex::encode(agent.key))];
    let Some(standing) = &agent.standing else {
        let text = "its evidence was never verified on chain, or counts no more";
        checks.push(Check::new(STANDING, text, "counts now", Outcome::Failed));
        return checks;
    };
    let outcome = Outcome::of(standing.expires_at > now);
    let text = format!("until {} (Unix time)", standing.expires_at);
    checks.push(Check::new(STANDING, text, format!("after {now}"), outcome));
    checks.push(Check::equal(HPKE, hex::encode(binding.hpke_key), hex::encode(standing.hpke_key)));
    let workload = hex::encode(claims.measurements.workload());
    checks.push(Check::equal(WORKLOAD, workload, hex::encode(&standing.workload)));
    checks
}

fn check_approval(claims: &Claims, approved: Option<Grade>) -> Check {
    let found = hex::encode(claims.measurements.workload());
    match approved {
        Some(lowest) => Check::new(
            APPROVED,
            format!("{found} of grade {:?}", claims.grade),
            format!("approved from grade {lowest:?} up"),
            Outcome::of(claims.grade >= lowest),
        ),
        None => Check::new(APPROVED, found, "approved by the chain's governance", Outcome::Failed),
    }
}

#[cfg(test)]
mod tests;
