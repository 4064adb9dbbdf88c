//! `casemate attest URL`: who answers there, and whether it may be trusted.

use std::{sync::Arc, time::Duration};

use casemate_attestation::{Claims, Vendor};
use casemate_primitives::{AgentPublicKey, DeploymentId, LeaseId, ReplicaIndex};
use casemate_ra_tls::{Binding, Expected};
use serde::Serialize;

use super::{
    demands, grade_text, kind_text,
    verify::{appraisal_time, bytes_of, rfc3339, trust_roots},
};
use crate::{
    address::Address,
    appraisal::{Examined, Judge, OnChain, Target, Verdict, Wanted, check_lease, examine, trusted},
    chain_ops::Chain,
    cli::AttestUrlArgs,
    context::Context,
    failure::{Failure, OrFail as _, fail},
    printer::fields,
};

/// What is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Appraised {
    accepted: bool,
    url: String,
    /// RFC 3339.
    at: String,
    /// Why not, a line each; empty when accepted.
    reasons: Vec<String>,
    /// Name of the check that ended it, where the peer did not prove who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Which pod answers, as its evidence says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Pod>,
    /// What the chain knows of its lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
    /// What genuine evidence says.
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Claims>,
    /// What runs, in the one value that policies and the chain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<String>,
    checks: Verdict,
}

/// A pod by its evidence.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    genesis_hash: String,
    lease: LeaseId,
    replica: ReplicaIndex,
    manifest_hash: String,
    agent_key: String,
    tls_spki_sha256: String,
    /// SHA-256 of the evidence that was given to us.
    evidence_digest: Option<String>,
}

/// A lease by the chain.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    deployment: DeploymentId,
    version: u32,
    publisher: Address,
    provider: Address,
    manifest_hash: String,
}

/// A node's answers, or their absence, are no verdict.
fn not_asked(context: &Context) -> Failure {
    Failure::usage(format!("the chain cannot be asked at {}", context.settings.rpc))
        .hint("give the address of a node: --rpc URL; or leave the chain out: --offline")
}

pub(super) async fn run(context: &Context, args: &AttestUrlArgs) -> anyhow::Result<()> {
    let url = args.url.as_deref().unwrap_or_default();
    let target = Target {
        name: host_and_port(url)?,
        connect: args.connect.clone(),
        timeout: Duration::from_secs(args.timeout),
    };
    let manifest_hash = args
        .manifest_hash
        .as_deref()
        .map(|hex| bytes_of::<32>(hex, "--manifest-hash"))
        .transpose()?;
    let (policy, files) = demands(context, &args.appraisal)?;
    let now = appraisal_time(None)?;

    let mut roots = trust_roots(context, &[Vendor::Intel, Vendor::Amd], &args.software_root)?;
    let mut chain = None;
    let mut provider = None;
    if !args.offline {
        let asked = Chain::connect(context).await.or_fail(|| not_asked(context))?;
        roots = trusted(&asked.trust_roots().await.or_fail(|| not_asked(context))?);
        if let Some(lease) = args.lease {
            // For a policy that names providers.
            let lease = asked.lease(lease).await.or_fail(|| not_asked(context))?;
            provider = lease.map(|lease| lease.provider);
        }
        chain = Some(asked);
    }
    let collateral = chain.as_ref().map(Chain::collateral);
    let judge = Arc::new(Judge::new(policy, roots, files, collateral, provider));
    let examined = {
        let (target, judge) = (target.clone(), Arc::clone(&judge));
        tokio::task::spawn_blocking(move || examine(&target, &judge, Expected::default())).await?
    };
    let mut examined = examined.or_fail(|| {
        Failure::usage(format!("`{url}` gives nothing to judge")).hint(
            "check host and port; where the name has no address yet, say where to connect: \
             --connect HOST:PORT",
        )
    })?;
    let publisher = args.publisher.map(|address| address.0);
    let wanted = Wanted { lease: args.lease, manifest_hash, publisher };
    let mut lease = None;
    if let (Some(binding), Some(claims), Some(_)) =
        (&examined.binding, &examined.claims, &examined.session)
    {
        let facts = match &chain {
            Some(chain) => {
                Some(facts(chain, binding, claims).await.or_fail(|| not_asked(context))?)
            }
            None => None,
        };
        examined.verdict.extend(check_lease(binding, claims, wanted, facts.as_ref()));
        lease = facts.and_then(|facts| facts.lease).map(|lease| Lease {
            deployment: lease.deployment,
            version: lease.version,
            publisher: Address(lease.publisher),
            provider: Address(lease.provider),
            manifest_hash: hex::encode(lease.manifest_hash),
        });
    }
    let any = args.lease.is_none() && publisher.is_none() && manifest_hash.is_none();
    print(context, url, &rfc3339(now), examined, lease)?;
    if any {
        context.printer.warn(
            "whose app it is was not demanded: compare the publisher, or demand it with --publisher, \
             --lease or --manifest-hash",
        );
    }
    Ok(())
}

/// What the chain says of the pod that the evidence names.
pub(in crate::commands) async fn facts(
    chain: &Chain,
    binding: &Binding,
    claims: &Claims,
) -> anyhow::Result<OnChain> {
    Ok(OnChain {
        genesis_hash: chain.genesis_hash(),
        now: chain.time().await?,
        lease: chain.lease(binding.lease).await?,
        approved: chain.approved_workload(&claims.measurements.workload()).await?,
    })
}

fn print(
    context: &Context,
    url: &str,
    at: &str,
    examined: Examined,
    lease: Option<Lease>,
) -> anyhow::Result<()> {
    let Examined { verdict, binding, claims, evidence, error, session } = examined;
    let evidence_digest =
        evidence.filter(|_| session.is_some()).map(|evidence| hex::encode(evidence.digest()));
    let workload = claims.as_ref().map(|claims| hex::encode(claims.measurements.workload()));
    let hex = |bytes: &[u8; 32]| hex::encode(bytes);
    let agent_key = |key: &AgentPublicKey| hex::encode(key);
    let appraised = Appraised {
        accepted: verdict.accepted() && session.is_some(),
        url: url.to_owned(),
        at: at.to_owned(),
        reasons: verdict.reasons(),
        error,
        pod: binding.as_ref().map(|binding| Pod {
            genesis_hash: hex(&binding.genesis_hash),
            lease: binding.lease,
            replica: binding.replica,
            manifest_hash: hex(&binding.manifest_hash),
            agent_key: agent_key(&binding.agent_key),
            tls_spki_sha256: hex(&binding.tls_spki_sha256),
            evidence_digest,
        }),
        lease,
        claims,
        workload,
        checks: verdict,
    };
    context.printer.data(&appraised, || text(&appraised))?;
    if appraised.accepted {
        return Ok(());
    }
    fail(
        Failure::new(format!("who answers at `{url}` is refused"))
            .hint("send nothing there that is not for everybody to know"),
    )
}

fn text(appraised: &Appraised) -> String {
    let mut lines = Vec::new();
    if let Some(pod) = &appraised.pod {
        lines.push(("pod", format!("lease {}, replica {}", pod.lease, pod.replica)));
        lines.push(("manifest", pod.manifest_hash.clone()));
        lines.push(("agent's key", pod.agent_key.clone()));
    }
    if let Some(lease) = &appraised.lease {
        lines.push(("publisher", lease.publisher.to_string()));
        lines.push(("provider", lease.provider.to_string()));
    }
    if let Some(claims) = &appraised.claims {
        lines.push(("TEE", format!("{} ({})", kind_text(claims.kind), grade_text(claims.grade))));
        lines.push(("firmware", format!("{:?}", claims.tcb.status)));
        lines.push(("workload", hex::encode(claims.measurements.workload())));
    }
    let mut out = fields(&lines);
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&format!("{}\n", appraised.checks));
    out
}

/// `host:port` of an `https` URL.
fn host_and_port(url: &str) -> anyhow::Result<String> {
    let wrong = |why: &str| {
        Failure::usage(format!("`{url}` {why}"))
            .hint("give the app's address: casemate attest https://guestbook.example:8443")
    };
    let lower = url.to_ascii_lowercase();
    if lower.starts_with("http://") {
        return fail(wrong("is not protected by TLS: nothing can be attested there"));
    }
    if !lower.starts_with("https://") {
        return fail(wrong("is no https URL"));
    }
    let rest = url.get("https://".len()..).unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, "443"),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(plain),
    };
    match port.parse::<u16>() {
        Ok(port) if good && port > 0 => Ok(format!("{host}:{port}")),
        _ => fail(wrong("names no host and port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_host_and_a_port() {
        let of = |url| host_and_port(url).ok();
        assert_eq!(of("https://a.example").as_deref(), Some("a.example:443"));
        assert_eq!(of("HTTPS://a.example:8443/x?y#z").as_deref(), Some("a.example:8443"));
        assert_eq!(of("https://[::1]:1/").as_deref(), Some("[::1]:1"));
        assert_eq!(of("https://[::1]").as_deref(), Some("[::1]:443"));
        for bad in [
            "http://a.example",
            "a.example",
            "https://",
            "https://:1",
            "https://a:0",
            "https://a:65536",
            "https://me@a.example",
            "https://a b",
            "https://[::1",
            "https://[x]:1",
            "https://a:b",
            "é",
            "https://é.example",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
