//! Types of the runtime, generated from the metadata that `cargo xtask metadata` wrote down.
//!
//! The protocol's own types are not generated: both sides use `casemate-primitives`.

// Generated code is not ours to document or to lint.
#![allow(missing_docs, unreachable_pub, clippy::all, unused_imports)]

// Cargo builds anew for what the compiler has read: subxt reads the file by itself.
const _: &[u8] = include_bytes!("../../metadata/casemate.scale");

#[subxt::subxt(
    runtime_metadata_path = "metadata/casemate.scale",
    substitute_type(
        path = "casemate_primitives::ids::LeaseId",
        with = "::subxt::utils::Static<::casemate_primitives::LeaseId>"
    ),
    substitute_type(
        path = "casemate_primitives::ids::RunId",
        with = "::subxt::utils::Static<::casemate_primitives::RunId>"
    ),
    substitute_type(
        path = "casemate_primitives::task::Schedule",
        with = "::subxt::utils::Static<::casemate_primitives::Schedule>"
    ),
    substitute_type(
        path = "casemate_primitives::task::TaskTerms",
        with = "::subxt::utils::Static<::casemate_primitives::TaskTerms>"
    ),
    substitute_type(
        path = "casemate_primitives::task::RunOutcome",
        with = "::subxt::utils::Static<::casemate_primitives::RunOutcome>"
    ),
    substitute_type(
        path = "casemate_primitives::task::RunResult",
        with = "::subxt::utils::Static<::casemate_primitives::RunResult>"
    ),
    substitute_type(
        path = "casemate_primitives::ids::DeploymentId",
        with = "::subxt::utils::Static<::casemate_primitives::DeploymentId>"
    ),
    substitute_type(
        path = "casemate_primitives::price::Asset",
        with = "::subxt::utils::Static<::casemate_primitives::Asset>"
    ),
    substitute_type(
        path = "casemate_primitives::resources::Resources",
        with = "::subxt::utils::Static<::casemate_primitives::Resources>"
    ),
    substitute_type(
        path = "casemate_primitives::quote::Quote",
        with = "::subxt::utils::Static<::casemate_primitives::Quote>"
    ),
    substitute_type(
        path = "casemate_primitives::quote::LeaseTerms",
        with = "::subxt::utils::Static<::casemate_primitives::LeaseTerms>"
    ),
    substitute_type(
        path = "casemate_primitives::usage::UsageRecord",
        with = "::subxt::utils::Static<::casemate_primitives::UsageRecord>"
    ),
    substitute_type(
        path = "casemate_primitives::lease::EndReason",
        with = "::subxt::utils::Static<::casemate_primitives::EndReason>"
    ),
    substitute_type(
        path = "casemate_primitives::lease::Amendment",
        with = "::subxt::utils::Static<::casemate_primitives::Amendment>"
    ),
    substitute_type(
        path = "casemate_primitives::reputation::Score",
        with = "::subxt::utils::Static<::casemate_primitives::reputation::Score>"
    ),
    substitute_type(
        path = "casemate_primitives::reputation::Rules",
        with = "::subxt::utils::Static<::casemate_primitives::reputation::Rules>"
    ),
    substitute_type(
        path = "casemate_primitives::reputation::ComplaintKind",
        with = "::subxt::utils::Static<::casemate_primitives::reputation::ComplaintKind>"
    ),
    substitute_type(
        path = "casemate_primitives::reputation::Side",
        with = "::subxt::utils::Static<::casemate_primitives::reputation::Side>"
    ),
    substitute_type(
        path = "casemate_primitives::logs::LogHead",
        with = "::subxt::utils::Static<::casemate_primitives::LogHead>"
    ),
    substitute_type(
        path = "casemate_primitives::logs::LogChunkHeader",
        with = "::subxt::utils::Static<::casemate_primitives::LogChunkHeader>"
    ),
    substitute_type(
        path = "casemate_primitives::price::Prices",
        with = "::subxt::utils::Static<::casemate_primitives::Prices>"
    ),
    substitute_type(
        path = "casemate_primitives::usage::Quantities",
        with = "::subxt::utils::Static<::casemate_primitives::Quantities>"
    ),
    substitute_type(
        path = "casemate_primitives::registry::ManifestRef",
        with = "::subxt::utils::Static<::casemate_primitives::ManifestRef>"
    ),
    substitute_type(
        path = "casemate_primitives::registry::DeploymentKind",
        with = "::subxt::utils::Static<::casemate_primitives::DeploymentKind>"
    ),
    substitute_type(
        path = "casemate_primitives::registry::ProviderInfo",
        with = "::subxt::utils::Static<::casemate_primitives::ProviderInfo>"
    ),
    substitute_type(
        path = "casemate_attestation::claims::Grade",
        with = "::subxt::utils::Static<::casemate_attestation::Grade>"
    ),
    substitute_type(
        path = "casemate_attestation::claims::TcbStatus",
        with = "::subxt::utils::Static<::casemate_attestation::TcbStatus>"
    ),
    substitute_type(
        path = "casemate_attestation::dcap::pck::PckCa",
        with = "::subxt::utils::Static<::casemate_attestation::dcap::PckCa>"
    ),
    substitute_type(
        path = "casemate_attestation::sev_snp::tcb::Product",
        with = "::subxt::utils::Static<::casemate_attestation::sev_snp::Product>"
    ),
    substitute_type(
        path = "casemate_attestation::sev_snp::tcb::TcbVersion",
        with = "::subxt::utils::Static<::casemate_attestation::sev_snp::TcbVersion>"
    ),
    substitute_type(
        path = "casemate_attestation::roots::TrustRoot",
        with = "::subxt::utils::Static<::casemate_attestation::TrustRoot>"
    ),
    substitute_type(
        path = "casemate_primitives::registry::TeeKind",
        with = "::subxt::utils::Static<::casemate_primitives::TeeKind>"
    ),
    substitute_type(
        path = "casemate_primitives::registry::PriceList",
        with = "::subxt::utils::Static<::casemate_primitives::PriceList>"
    )
)]
mod casemate {}

pub(super) use casemate::*;
