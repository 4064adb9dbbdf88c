//! The provider's plans and seams, without a chain client and without a container engine.
//!
//! `observe -> plan (pure) -> apply`: [`Backend::list`] observes, [`plan`] decides, the daemon
//! applies. Only binaries choose implementations.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod backend;
pub mod conformance;
pub mod memory;
pub mod plan;

pub use backend::{
    Attestation, AttestationEndpoint, Backend, BackendError, ContainerState, ContainerStatus,
    LOG_BATCH_BYTES, LogBatch, LogLine, LogMark, LogQuery, LogStream, Pod, PodId, PodPhase, PodRun,
    PodStatus, SignedRunResult, SignedUsageRecord,
};
pub use memory::MemoryBackend;
