//! The end of a release: whether a pod may have the secrets, and giving them to it.
//!
//! Who must never choose what: neither the provider nor the pod chooses which lease, manifest or key
//! the secrets are for. They are the publisher's own and the chain's, and all of them are compared
//! before anything is sealed.

use std::{io, sync::Arc};

use casemate_primitives::Hash256;
use casemate_ra_tls::{
    PodIdentity, Secrets,
    client::{Release, SessionError},
};
use ed25519_dalek::SigningKey;

use crate::{
    appraisal::{Check, Examined, OnChain, Verdict, Wanted, check_lease, root_fs},
    commands::attest::tee_text,
    secrets::{Audit, Entry, Event},
};

/// What goes to one pod.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Which pod must get it, as the publisher and the chain know it.
    pub(super) pod: PodIdentity,
    /// The values.
    pub(super) secrets: Arc<Secrets>,
    /// Signs for the publisher.
    pub(super) sender: SigningKey,
    /// Larger than that of each release before.
    pub(super) sequence: u64,
    /// BLAKE2b-256 of the policy.
    pub(super) policy: Hash256,
    /// Digest of the image's root file system, where it was computed.
    pub(super) root_fs: Option<[u8; 48]>,
}

/// How it ended for one pod.
#[derive(Debug)]
pub(super) struct Delivered {
    /// All checks.
    pub(super) verdict: Verdict,
    /// How it ended.
    pub(super) event: Event,
    /// What the agent or the connection said, where it was accepted and failed.
    pub(super) failure: Option<SessionError>,
    /// As it was written down.
    pub(super) entry: Entry,
}

/// Compares the pod with what the chain says, and releases if all is as it must be. Every road is
/// written down; that it is about to be sent before it is.
///
/// # Errors
/// Where it can't be written down. Before anything was sent, unless the error says that it was.
pub(super) fn deliver(
    examined: Examined,
    on_chain: &OnChain,
    parcel: &Parcel,
    audit: &mut Audit,
    time: &dyn Fn() -> String,
) -> io::Result<Delivered> {
    let Examined { mut verdict, binding, claims, evidence, session, error: _ } = examined;
    let pod = &parcel.pod;
    if let (Some(binding), Some(claims)) = (&binding, &claims) {
        let wanted = Wanted {
            lease: Some(pod.lease),
            manifest_hash: Some(pod.manifest_hash),
            publisher: None,
        };
        verdict.extend(check_lease(binding, claims, wanted, Some(on_chain)));
        verdict.push(Check::equal("the replica", binding.replica, pod.replica));
        let log = evidence.as_ref().and_then(|evidence| evidence.event_log.as_ref());
        verdict.push(root_fs(claims, log, parcel.root_fs.as_ref()));
    }
    // Without a session there is nobody to release to, whatever the checks say.
    let session = session.filter(|_| verdict.accepted());
    let mut entry = Entry {
        time: time(),
        event: Event::Refused,
        genesis_hash: hex::encode(pod.genesis_hash),
        lease: pod.lease,
        replica: pod.replica,
        manifest_hash: hex::encode(pod.manifest_hash),
        names: parcel.secrets.names().map(str::to_owned).collect(),
        sequence: parcel.sequence,
        agent_key: binding.as_ref().map(|binding| hex::encode(binding.agent_key)),
        evidence_digest: evidence.map(|evidence| hex::encode(evidence.digest())),
        tee: claims.as_ref().map(tee_text),
        policy: hex::encode(parcel.policy),
        accepted: session.is_some(),
        reasons: verdict.reasons(),
    };
    let Some(mut session) = session else {
        audit.append(&entry)?;
        return Ok(Delivered { verdict, event: Event::Refused, failure: None, entry });
    };
    entry.event = Event::Sending;
    audit.append(&entry)?;
    let release = Release {
        pod: *pod,
        policy_id: parcel.policy,
        sequence: parcel.sequence,
        sender: Some(&parcel.sender),
    };
    let failure = session.release(&parcel.secrets, &release).err();
    entry.time = time();
    entry.event = if failure.is_some() { Event::Failed } else { Event::Released };
    entry.reasons.extend(failure.as_ref().map(ToString::to_string));
    let event = entry.event;
    // It has happened: a full disk must not make it look as if it had not.
    audit.append(&entry).map_err(|err| {
        io::Error::new(err.kind(), format!("the release was sent ({event:?}), but: {err}"))
    })?;
    Ok(Delivered { verdict, event, failure, entry })
}

#[cfg(test)]
mod tests;
