//! Event logs: what was extended into TDX run-time registers, one by one.
//!
//! A log is a claim of the guest; a quote proves the registers only. So a log is replayed and
//! compared ([`EventLog::check`]), and only then may its events be looked at. Even then only an
//! event's *digest* is proved; of its data only what [`Event::digest_is_of_data`] says.
//!
//! Sources: TCG PC Client Platform Firmware Profile 1.06, section 10 (crypto agile log); Intel TDX
//! Guest-Hypervisor Communication Interface, CCEL; UEFI 2.10, section 38 (which register belongs to
//! which number).

mod read;

use alloc::vec::Vec;
use sha2::{Digest, Sha384};
use thiserror::Error;

/// Largest log in bytes. Firmware reserves 64 KiB as a rule.
pub const LOG_BYTES_MAX: usize = 1 << 20;

/// Most events in a log.
pub const EVENTS_MAX: usize = 4_096;

/// A run-time register of TDX.
pub type Register = [u8; 48];

/// An event that is reported but extended into nothing.
const EV_NO_ACTION: u32 = 3;

/// Why a log was not accepted.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EventLogError {
    /// More than [`LOG_BYTES_MAX`].
    #[error("the event log is larger than {LOG_BYTES_MAX} bytes")]
    TooLarge,
    /// More than [`EVENTS_MAX`].
    #[error("the event log has more than {EVENTS_MAX} events")]
    TooManyEvents,
    /// It does not begin with the specification's own event, or that is malformed.
    #[error("the event log has no valid header (Spec ID Event03)")]
    Header,
    /// It ends within an event, or an event has lengths that do not fit.
    #[error("event {0} of the log is malformed")]
    MalformedEvent(usize),
    /// The event has no SHA-384 digest.
    #[error("event {0} of the log has no SHA-384 digest")]
    NoSha384(usize),
    /// Not one of the four run-time registers.
    #[error("event {index} of the log is of register {register}, which there is not")]
    UnknownRegister {
        /// Which event, from 0.
        index: usize,
        /// The number that it has in the log.
        register: u32,
    },
    /// What the log gives is not what the quote has.
    #[error("the event log does not lead to the value that the quote has for RTMR{0}")]
    Mismatch(u8),
}

/// One event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event<'a> {
    /// Run-time register 0 to 3.
    pub register: u8,
    /// TCG's or the guest's number for the kind of event.
    pub kind: u32,
    /// What was extended.
    pub digest: Register,
    /// What the guest says about it.
    pub data: &'a [u8],
}

impl Event<'_> {
    /// Whether the digest is SHA-384 over the data, so that the data are proved too. Many events
    /// are digests of something else, of which the data are only a description.
    pub fn digest_is_of_data(&self) -> bool {
        Sha384::digest(self.data).as_slice() == self.digest
    }
}

/// A log that was read, and not yet compared with anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventLog<'a> {
    events: Vec<Event<'a>>,
}

impl<'a> EventLog<'a> {
    /// Reads a crypto agile log as the CCEL ACPI table points to (Linux:
    /// `/sys/firmware/acpi/tables/data/CCEL`). Padding of zeros or ones at the end is left out.
    ///
    /// # Errors
    /// See [`EventLogError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EventLogError> {
        read::log(bytes).map(|events| Self { events })
    }

    /// The events that are extended, in order.
    pub fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// The values of the four registers after the whole log.
    pub fn replay(&self) -> [Register; 4] {
        let mut registers = [[0; 48]; 4];
        for event in &self.events {
            if let Some(register) = registers.get_mut(usize::from(event.register)) {
                extend(register, &event.digest);
            }
        }
        registers
    }

    /// Replays the log and compares the registers with those of a verified quote.
    ///
    /// # Errors
    /// [`EventLogError::Mismatch`] with the first register that differs.
    pub fn check(&self, registers: &[Register; 4]) -> Result<(), EventLogError> {
        for ((number, replayed), measured) in (0..).zip(self.replay()).zip(registers) {
            if replayed != *measured {
                return Err(EventLogError::Mismatch(number));
            }
        }
        Ok(())
    }
}

/// Extends a register: SHA-384 over its old value and the digest.
pub fn extend(register: &mut Register, digest: &Register) {
    *register = Sha384::new().chain_update(*register).chain_update(digest).finalize().into();
}

/// The value that a register has after these digests, from zeros on.
pub fn replay<'a>(digests: impl IntoIterator<Item = &'a Register>) -> Register {
    let mut register = [0; 48];
    for digest in digests {
        extend(&mut register, digest);
    }
    register
}

#[cfg(test)]
mod tests;
