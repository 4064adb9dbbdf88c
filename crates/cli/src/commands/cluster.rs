//! Attested clusters: what the chain has verified of providers' control planes, and who is left out
//! for it.
//!
//! Who must not choose what: a provider does not choose whether it is attested. The chain's entry
//! decides, by the chain's clock, and an entry that has ended is none. Both are believed as far as the
//! node is that was asked.

use casemate_attestation::{Grade, TcbStatus, TeeKind, policy::TcbPolicy};
use casemate_client::chain::{ClusterView, ProviderView};
use casemate_manifest::Manifest;
use casemate_primitives::UnixSeconds;
use serde::Serialize;

use super::{
    attest::{grade_text, kind_text},
    offers::duration_text,
};
use crate::{
    address::Address,
    chain_ops::Chain,
    context::Context,
    failure::{Failure, OrFail as _, fail},
};

/// A control plane as it is shown. Where it is not attested (any more) all that it was is left out, so
/// that nobody takes it for what it is.
#[derive(Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterInfo {
    attested: bool,
    kind: Option<TeeKind>,
    grade: Option<Grade>,
    tcb_status: Option<TcbStatus>,
    /// In hex, as a manifest has it.
    measurement: Option<String>,
    evidence_hash: Option<String>,
    /// First second at which it counts no more, or did.
    expires_at: Option<UnixSeconds>,
}

impl ClusterInfo {
    /// Of a provider, at this time of the chain's clock.
    pub(super) fn of(provider: &ProviderView, now: UnixSeconds) -> Self {
        let Some(cluster) = provider.cluster_at(now) else {
            let expires_at = provider.cluster.as_ref().map(|cluster| cluster.expires_at);
            return Self { expires_at, ..Self::default() };
        };
        Self {
            attested: true,
            kind: Some(cluster.kind),
            grade: Some(cluster.grade),
            tcb_status: Some(cluster.tcb_status),
            measurement: Some(hex::encode(&cluster.workload)),
            evidence_hash: Some(format!("0x{}", hex::encode(cluster.evidence_hash))),
            expires_at: Some(cluster.expires_at),
        }
    }

    /// In a table's cell.
    pub(super) fn cell(&self) -> String {
        match (self.kind, self.grade) {
            (Some(kind), Some(grade)) => format!("{} ({})", kind_text(kind), grade_text(grade)),
            _ => "not attested".to_owned(),
        }
    }

    /// As lines of a page.
    pub(super) fn lines(&self, now: UnixSeconds) -> Vec<(&'static str, String)> {
        let mut cluster = self.cell();
        let ends = self.expires_at.unwrap_or_default();
        let Some((measurement, status)) = self.measurement.clone().zip(self.tcb_status) else {
            if self.expires_at.is_some() {
                cluster.push_str(&format!(" (ended {} ago)", duration_text(now - ends.min(now))));
            }
            return vec![("cluster", cluster)];
        };
        if self.grade == Some(Grade::Software) {
            cluster.push_str(", which protects nothing");
        }
        let left = duration_text(ends.saturating_sub(now));
        cluster.push_str(&format!(", firmware {}, for {left}", status_text(status)));
        vec![("cluster", cluster), ("measurement", measurement)]
    }
}

/// What a publisher asks of a provider's control plane, at one time of the chain's clock.
#[derive(Clone, Debug)]
pub(super) struct ClusterDemand {
    /// Any will do if there are none.
    measurements: Vec<Vec<u8>>,
    allows_software: bool,
    now: UnixSeconds,
}

impl ClusterDemand {
    /// What a manifest asks for, or the command line (`flag`); `None` where any provider will do.
    pub(super) async fn read(
        chain: &Chain,
        manifest: &Manifest,
        flag: bool,
    ) -> anyhow::Result<Option<Self>> {
        if !is_asked(manifest, flag) {
            return Ok(None);
        }
        Ok(Some(Self {
            measurements: manifest
                .spec
                .placement
                .cluster_measurements
                .iter()
                .map(|measurement| measurement.as_bytes().to_vec())
                .collect(),
            allows_software: chain.is_development().await?,
            now: chain.time().await?,
        }))
    }

    /// Whether a provider is taken.
    ///
    /// # Errors
    /// A sentence on why it is left out.
    pub(super) fn check(&self, provider: &ProviderView) -> Result<(), String> {
        let Some(cluster) = provider.cluster_at(self.now) else {
            return Err(match &provider.cluster {
                None => "its cluster is not attested".to_owned(),
                Some(ClusterView { expires_at, .. }) => format!(
                    "its cluster's attestation has ended, {} ago",
                    duration_text(self.now.saturating_sub(*expires_at))
                ),
            });
        };
        if cluster.grade == Grade::Software && !self.allows_software {
            return Err("its cluster runs in a software TEE, which protects nothing: only a \
                 development chain takes that for attested"
                .to_owned());
        }
        // As policies do that name none.
        if !TcbPolicy::default().statuses.contains(&cluster.tcb_status) {
            let status = status_text(cluster.tcb_status);
            return Err(format!("its cluster's firmware is not the newest: {status}"));
        }
        if !self.measurements.is_empty() && !self.measurements.contains(&cluster.workload) {
            let found = hex::encode(&cluster.workload);
            return Err(format!(
                "its cluster's measurement {found} is none of the manifest's `clusterMeasurements`"
            ));
        }
        Ok(())
    }

    /// Whether a provider that is taken runs in a software TEE.
    fn is_software(&self, provider: &ProviderView) -> bool {
        provider.cluster_at(self.now).is_some_and(|cluster| cluster.grade == Grade::Software)
    }
}

/// Looks once more, right before something is signed for this provider: between offer and signature
/// time has passed.
pub(super) async fn ensure_attested(
    context: &Context,
    chain: &Chain,
    manifest: &Manifest,
    flag: bool,
    provider: Address,
) -> anyhow::Result<()> {
    if !is_asked(manifest, flag) {
        return Ok(());
    }
    let view = chain.provider(provider).await?.or_fail(|| {
        Failure::new(format!("{provider} is not registered as a provider"))
            .hint("see who is: casemate provider list")
    })?;
    // After the provider was read, so that what has ended since does not count.
    let Some(demand) = ClusterDemand::read(chain, manifest, flag).await? else { return Ok(()) };
    if let Err(reason) = demand.check(&view) {
        return fail(
            Failure::new(format!("nothing was signed for provider {provider}: {reason}"))
                .hint("see whose cluster is attested: casemate provider list"),
        );
    }
    if demand.is_software(&view) {
        context.printer.warn(
            "the provider's cluster is attested by a software TEE, which protects nothing: it \
             counts as this is a development chain",
        );
    }
    Ok(())
}

fn is_asked(manifest: &Manifest, flag: bool) -> bool {
    flag || manifest.spec.placement.attested_cluster
}

fn status_text(status: TcbStatus) -> String {
    format!("{status:?}")
}

#[cfg(test)]
pub(super) use tests::attested_view;

#[cfg(test)]
mod tests;
