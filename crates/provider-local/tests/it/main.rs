//! The local backend with a real OCI runtime, as root.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod harness;
mod isolation;
mod killed;
mod metered;
mod restart;
mod secrets;
mod task;
mod tee;
mod tls;

use casemate_provider_core::conformance::conformance_tests;

conformance_tests!(harness::LocalHarness::new);
