//! Whether the machine itself has measured the manifest, or only the agent names it.

use casemate_attestation::{Claims, Grade, Measurements, event_log};
use casemate_evidence::EventLog;
use casemate_primitives::Hash256;
use casemate_ra_tls::Peer;
use serde::Deserialize;
use sha2::{Digest as _, Sha384};

use super::{Check, Outcome};

const ROOT_FS: &str = "the root file system as the machine measured it";
const NAME: &str = "the manifest as the machine measured it";
/// More events than any agent writes.
const EVENTS_MAX: usize = 4096;

/// An event of a log in JSON.
#[derive(Deserialize)]
struct Event {
    register: u8,
    #[serde(with = "hex::serde")]
    digest: [u8; 48],
}

/// Compares the manifest that the evidence is bound to with what the machine has measured: the host's
/// configuration (MRCONFIGID, HOST_DATA), or an event of run-time register 3.
pub(super) fn manifest(peer: &Peer) -> Check {
    let hash = &peer.binding.manifest_hash;
    let wanted = hex::encode(hash);
    match &peer.appraisal.claims.measurements {
        Measurements::SevSnp { host_data, .. } => {
            Check::equal(NAME, hex::encode(host_data), wanted)
        }
        Measurements::Tdx { mr_config_id, rtmr, .. } => {
            if *mr_config_id != [0; 48] {
                let (start, rest) = mr_config_id.split_at(hash.len());
                let same = start == hash.as_slice() && rest.iter().all(|byte| *byte == 0);
                let found = hex::encode(mr_config_id);
                return Check::new(NAME, found, wanted, Outcome::of(same));
            }
            let log = match &peer.evidence.event_log {
                Some(EventLog::Json(log)) => log.as_slice(),
                _ => &[],
            };
            match logged(log, rtmr, hash) {
                Ok(()) => Check::new(NAME, "in the log of register 3", wanted, Outcome::Passed),
                Err(why) => Check::new(NAME, why, wanted, Outcome::Failed),
            }
        }
        _ => Check::not_checked(
            NAME,
            "this kind of TEE measures no configuration",
            "the agent's word is what there is",
        ),
    }
}

/// Compares the root file system that the machine has measured with the one of the publisher's image.
///
/// Only the software TEE measures it by itself: into run-time register 1, which holds nothing else
/// (`casemate_software_tee::measure`). On hardware it is in what a policy names (`workload`,
/// `register`).
pub(crate) fn root_fs(claims: &Claims, expected: Option<&[u8; 48]>) -> Check {
    let Measurements::Tdx { rtmr: [_, found, ..], .. } = &claims.measurements else {
        let text = "this kind of TEE measures it together with the agent";
        return Check::not_checked(ROOT_FS, text, "the policy says what may run: `workload`");
    };
    if claims.grade != Grade::Software {
        let text = "the guest's boot chain measures it";
        return Check::not_checked(ROOT_FS, text, "the policy says what may run: `register`");
    }
    let Some(digest) = expected else {
        return Check::not_checked(ROOT_FS, hex::encode(found), "no image was compared with it");
    };
    let mut wanted = [0; 48];
    event_log::extend(&mut wanted, digest);
    Check::equal(ROOT_FS, hex::encode(found), hex::encode(wanted))
}

/// Whether the log leads to the registers, and has the manifest in register 3.
fn logged(log: &[u8], rtmr: &[[u8; 48]; 4], hash: &Hash256) -> Result<(), &'static str> {
    let events: Vec<Event> =
        serde_json::from_slice(log).map_err(|_| "neither configuration nor a readable log")?;
    if events.len() > EVENTS_MAX {
        return Err("a log with too many events");
    }
    let mut replayed = [[0; 48]; 4];
    for event in &events {
        let register = replayed
            .get_mut(usize::from(event.register))
            .ok_or("a log with a register that there is not")?;
        event_log::extend(register, &event.digest);
    }
    if replayed != *rtmr {
        return Err("a log that does not lead to the registers' values");
    }
    let digest: [u8; 48] = Sha384::digest(hash).into();
    let is_it = |event: &Event| event.register == 3 && event.digest == digest;
    if events.iter().any(is_it) { Ok(()) } else { Err("another one, or none, in the log") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: &[(u8, [u8; 48])]) -> Vec<u8> {
        let events: Vec<_> = events
            .iter()
            .map(|(register, digest)| {
                serde_json::json!({ "register": register, "digest": hex::encode(digest), "event": "" })
            })
            .collect();
        serde_json::to_vec(&events).unwrap()
    }

    #[test]
    fn a_log_counts_only_if_it_leads_to_the_registers() {
        let hash = [6; 32];
        let digest: [u8; 48] = Sha384::digest(hash).into();
        let mut rtmr = [[0; 48]; 4];
        event_log::extend(&mut rtmr[3], &digest);
        assert_eq!(logged(&log(&[(3, digest)]), &rtmr, &hash), Ok(()));
        assert!(logged(&log(&[(3, digest)]), &[[0; 48]; 4], &hash).is_err());
        assert!(logged(&log(&[(3, digest)]), &rtmr, &[7; 32]).is_err());
        assert!(logged(&log(&[(3, digest), (3, digest)]), &rtmr, &hash).is_err());
        assert!(logged(&log(&[(9, digest)]), &rtmr, &hash).is_err());
        assert!(logged(b"", &rtmr, &hash).is_err());
        // In a register that the guest may extend as it likes.
        let mut other = [[0; 48]; 4];
        event_log::extend(&mut other[2], &digest);
        assert!(logged(&log(&[(2, digest)]), &other, &hash).is_err());
    }
}
