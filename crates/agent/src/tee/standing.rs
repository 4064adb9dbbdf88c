//! Tells the host whether this agent's evidence serves, each time that this changes.
//!
//! The host believes the newest word: it routes to the pod, renews its standing on chain and brings it
//! secrets only while evidence is available. So what fails without anybody's noticing (the certificate
//! before it is valid still) is not told, and what was told as gone is told again once it is back.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use casemate_ra_tls::{Renewal, Resolver};

use super::reason_of;
use crate::event::EventKind;

/// What the host was told, and who tells it.
pub(super) struct Standing {
    tell: Box<dyn Fn(EventKind) + Send + Sync>,
    /// Said when evidence serves again.
    available: EventKind,
    /// Why there is none, where that was told last.
    told: Mutex<Option<String>>,
    failed: SyncSender<()>,
}

impl Standing {
    /// Observes `resolver` from now on; `available` is for whom evidence serves. Gives what hears of
    /// failures.
    pub(super) fn observe(
        resolver: &Resolver,
        available: EventKind,
        tell: impl Fn(EventKind) + Send + Sync + 'static,
    ) -> Receiver<()> {
        let (failed, failures) = sync_channel(1);
        let this = Self { tell: Box::new(tell), available, told: Mutex::default(), failed };
        resolver.observe(move |renewal| this.heard(renewal));
        failures
    }

    fn heard(&self, renewal: Renewal<'_>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match renewal {
            Renewal::Done => {
                if told.take().is_some() {
                    (self.tell)(self.available.clone());
                }
            }
            Renewal::Failed { cause, serves } => {
                let reason = reason_of(cause);
                if !serves && told.as_ref() != Some(&reason) {
                    *told = Some(reason.clone());
                    (self.tell)(EventKind::EvidenceUnavailable { reason });
                }
                // Where it is full, it is known already.
                let _ = self.failed.try_send(());
            }
        }
    }
}

/// Renews after each failure until it succeeds: a host that was told that there is no evidence makes
/// no handshake that would.
pub(super) fn retry(
    resolver: &Arc<Resolver>,
    failures: &Receiver<()>,
    pauses: (Duration, Duration),
) {
    while failures.recv().is_ok() {
        let mut pause = pauses.0;
        loop {
            thread::sleep(pause);
            if resolver.renew().is_ok() {
                break;
            }
            pause = pause.saturating_mul(2).min(pauses.1);
        }
    }
}

#[cfg(test)]
mod tests;
