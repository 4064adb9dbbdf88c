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
            match logged(peer.evidence.event_log.as_ref(), rtmr, hash) {
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
/// Only the software TEE measures it by itself: its digest is the first event of run-time register 3
/// (`casemate_software_tee::measure`), before the guest can write one. On hardware it is in what a policy
/// names (`workload`, `register`).
pub(crate) fn root_fs(
    claims: &Claims,
    log: Option<&EventLog>,
    expected: Option<&[u8; 48]>,
) -> Check {
    let Measurements::Tdx { rtmr, .. } = &claims.measurements else {
        let text = "this kind of TEE measures it together with the agent";
        return Check::not_checked(ROOT_FS, text, "the policy says what may run: `workload`");
    };
    if claims.grade != Grade::Software {
        let text = "the guest's boot chain measures it";
        return Check::not_checked(ROOT_FS, text, "the policy says what may run: `register`");
    }
    let first = replayed(log, rtmr).map(|events| {
        let first = events.iter().find(|event| event.register == 3);
        first.map_or_else(|| "none in the log".to_owned(), |event| hex::encode(event.digest))
    });
    let found = first.unwrap_or_else(str::to_owned);
    match expected {
        Some(digest) => Check::equal(ROOT_FS, found, hex::encode(digest)),
        None => Check::not_checked(ROOT_FS, found, "no image was compared with it"),
    }
}

/// Whether the log leads to the registers, and has the manifest in register 3.
fn logged(
    log: Option<&EventLog>,
    rtmr: &[[u8; 48]; 4],
    hash: &Hash256,
) -> Result<(), &'static str> {
    let digest: [u8; 48] = Sha384::digest(hash).into();
    let is_it = |event: &Event| event.register == 3 && event.digest == digest;
    if replayed(log, rtmr)?.iter().any(is_it) {
        Ok(())
    } else {
        Err("another one, or none, in the log")
    }
}

/// The events of a log that leads to the registers.
fn replayed(log: Option<&EventLog>, rtmr: &[[u8; 48]; 4]) -> Result<Vec<Event>, &'static str> {
    let log = match log {
        Some(EventLog::Json(log)) => log.as_slice(),
        _ => &[],
    };
    let events: Vec<Event> =
        serde_json::from_slice(log).map_err(|_| "neither configuration nor a readable log")?;
    if events.len() > EVENTS_MAX {
        return Err("a log with too many events");
    }
    let mut registers = [[0; 48]; 4];
    for event in &events {
        let register = registers
            .get_mut(usize::from(event.register))
            .ok_or("a log with a register that there is not")?;
        event_log::extend(register, &event.digest);
    }
    if registers == *rtmr {
        Ok(events)
    } else {
        Err("a log that does not lead to the registers' values")
    }
}

#[cfg(test)]
mod tests {
    use casemate_attestation::{Tcb, TcbStatus, TeeKind};

    use super::*;

    fn logged(log: &[u8], rtmr: &[[u8; 48]; 4], hash: &Hash256) -> Result<(), &'static str> {
        super::logged(Some(&EventLog::Json(log.to_vec())), rtmr, hash)
    }

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
        assert!(super::logged(None, &rtmr, &hash).is_err());
        // In a register that the guest may extend as it likes.
        let mut other = [[0; 48]; 4];
        event_log::extend(&mut other[2], &digest);
        assert!(logged(&log(&[(2, digest)]), &other, &hash).is_err());
    }

    #[test]
    fn the_root_file_system_is_the_first_event_of_a_log_that_leads_to_the_registers() {
        let (image, other) = ([7; 48], [8; 48]);
        let claims = |events: &[(u8, [u8; 48])]| {
            let mut rtmr = [[0; 48]; 4];
            for (register, digest) in events {
                event_log::extend(&mut rtmr[usize::from(*register)], digest);
            }
            let status = TcbStatus::UpToDate;
            Claims {
                kind: TeeKind::IntelTdx,
                grade: Grade::Software,
                measurements: Measurements::Tdx {
                    mr_td: [1; 48],
                    rtmr,
                    mr_config_id: [0; 48],
                    mr_owner: [0; 48],
                    mr_owner_config: [0; 48],
                    mr_seam: [0; 48],
                    td_attributes: [0; 8],
                    xfam: [0; 8],
                },
                report_data: [0; 64],
                debug: false,
                tcb: Tcb { status, advisories: vec![], date: None, evaluation: None },
                platform_id: vec![],
                product: String::new(),
                not_after: 1_000,
            }
        };
        let outcome = |measured: &[(u8, [u8; 48])], told: &[(u8, [u8; 48])]| {
            let log = EventLog::Json(log(told));
            root_fs(&claims(measured), Some(&log), Some(&image)).outcome
        };
        let good = [(3, image), (3, other)];
        assert_eq!(outcome(&good, &good), Outcome::Passed);
        // A guest that runs already writes the image's digest into its log, or into another register.
        let late = [(3, other), (3, image)];
        assert_eq!(outcome(&late, &late), Outcome::Failed);
        assert_eq!(outcome(&[(2, image), (3, other)], &[(2, image), (3, other)]), Outcome::Failed);
        assert_eq!(outcome(&late, &good), Outcome::Failed, "a log of another guest");
        assert_eq!(outcome(&[], &[]), Outcome::Failed);
        let silent = root_fs(&claims(&good), None, Some(&image));
        assert_eq!(silent.outcome, Outcome::Failed);
    }
}
