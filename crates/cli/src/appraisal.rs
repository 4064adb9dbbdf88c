//! Appraisal of an agent over a connection to it.
//!
//! Who must never choose what: the agent, and whoever stands in between, choose neither trust
//! roots, nor policy, nor time, nor which lease is meant. The node chooses no root of hardware: a
//! hardware root counts only if this program has it pinned, too. What a node says of the vendors'
//! collateral is believed where no files were given, and the verdict says so.

mod check;
mod judge;
mod lease;
mod measured;
mod session;

pub(crate) use check::{Check, Outcome, Verdict};
pub(crate) use judge::{CollateralOnChain, Judge, trusted};
pub(crate) use lease::{OnChain, Wanted, check_lease};
pub(crate) use measured::root_fs;
pub(crate) use session::{Examined, Target, examine};
