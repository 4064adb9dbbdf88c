//! Intel DCAP: SGX and TDX quotes.
//!
//! Who must not choose what: whoever sends a quote or collateral chooses neither the trust roots
//! nor the time. All collateral is signed by Intel (or by a development network's root in Intel's
//! place) and may come from anybody.
//!
//! What Intel signs about many machines is verified once, into [`RootCrl`], [`PckCrl`], [`TcbInfo`],
//! [`QeIdentity`] and [`Pck`], which a chain can store. [`verify`] then costs two P-256 verifications
//! and some table look-ups; [`verify_with_collateral`] goes the whole road. What is decoded from a store
//! counts as verified: it can be trusted as far as the store.
//!
//! Sources: Intel SGX DCAP ECDSA Quote Library API (appendix A: quote format); Intel TDX DCAP Quoting
//! Library API (quote versions 4 and 5); Intel PCS API v4 (collateral, TCB status determination);
//! Intel SGX PCK Certificate and CRL Profile; Intel TDX Module ABI (TD report). Where they leave
//! room, Intel's own Quote Verification Library decides.

mod collateral;
mod crl;
mod error;
mod intake;
mod json;
pub mod launch;
mod pck;
mod qe_identity;
mod quote;
mod report;
mod status;
mod tcb_info;
mod verify;

pub use collateral::{PcsResponses, RawCollateral};
pub use crl::{PckCrl, RootCrl, verify_pck_crl, verify_root_crl};
pub use error::{Document, Error, Part};
pub use pck::{Pck, PckCa, PckHint, fmspc_of, verify_pck};
pub use qe_identity::{QeIdentity, QeTcbLevel, verify_qe_identity};
pub use quote::{Certification, INTEL_QE_VENDOR_ID, QUOTE_BYTES_MAX, Quote};
pub use report::{SgxReport, TdReport, Tdx15};
pub use tcb_info::{TcbInfo, TcbLevel, TdxModule, TdxModuleLevel, verify_tcb_info};
pub use verify::{Endorsements, verify, verify_with_collateral};

#[cfg(test)]
mod tests;
