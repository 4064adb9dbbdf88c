//! From bytes that somebody sent to claims that somebody may rely on.
//!
//! ```text
//! bytes -> Evidence (parsed) -> Verified<Evidence> (signatures, collateral, time) -> Accepted (policy)
//! ```
//!
//! The words are those of RATS (RFC 9334): *evidence* is what an attester made, *endorsements*
//! (here also *collateral*) are what its vendor says about it, a *verifier* checks one against the
//! other, and an *appraisal policy* decides. Only a verifier in this crate can build a
//! [`Verified`], only a [`policy::Policy`] can build an [`policy::Accepted`].
//!
//! `no_std`, without clock, network or global state: bytes, collateral, trust roots and time are
//! arguments. The runtime, the agent, the command line and browsers run the very same code. What a
//! vendor signs about many machines (certificate chains, TCB info, revocation lists) is verified
//! once, and the result is kept (also in a chain's storage); only what is signed for one piece of
//! evidence is verified each time.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod binding;
pub mod bundle;
pub mod claims;
pub mod crypto;
pub mod dcap;
pub mod event_log;
pub mod nvidia;
pub mod policy;
pub mod roots;
pub mod sev_snp;
mod verified;
pub mod x509;

pub use binding::{Binding, Purpose};
pub use casemate_primitives::{TeeKind, UnixSeconds};
pub use claims::{Claims, Grade, Measurements, Tcb, TcbStatus, td_workload};
pub use roots::{TrustRoot, TrustRoots, Vendor};
pub use verified::Verified;
