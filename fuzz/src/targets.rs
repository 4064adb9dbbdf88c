//! The registry: one line for each target, in the order of the alphabet.

use crate::{agent, attestation, client, image, manifest, primitives, result, vault};

/// Name and function of each target.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("agent_events", agent::events),
    ("attestation_bundle", attestation::bundle),
    ("attestation_cmw", attestation::cmw),
    ("attestation_dcap_collateral", attestation::dcap_collateral),
    ("attestation_dcap_quote", attestation::dcap_quote),
    ("attestation_event_log", attestation::event_log),
    ("attestation_nvidia_report", attestation::nvidia_report),
    ("attestation_nvidia_rim", attestation::nvidia_rim),
    ("attestation_policy", attestation::policy),
    ("attestation_release_evidence", attestation::release_evidence),
    ("attestation_result", result::result),
    ("attestation_sealed_secrets", attestation::sealed_secrets),
    ("attestation_sev_snp_endorsements", attestation::sev_snp_endorsements),
    ("attestation_sev_snp_report", attestation::sev_snp_report),
    ("attestation_x509_certificate", attestation::x509_certificate),
    ("attestation_x509_crl", attestation::x509_crl),
    ("attestation_x509_pem", attestation::x509_pem),
    ("client_answers", client::answers),
    ("client_auth_headers", client::auth_headers),
    ("image_archive", image::archive),
    ("image_layer", image::layer),
    ("image_layer_raw", image::layer_raw),
    ("image_layout", image::layout),
    ("image_reference", image::reference),
    ("manifest_json", manifest::json),
    ("manifest_quantity", manifest::quantity),
    ("manifest_yaml", manifest::yaml),
    ("primitives_quote", primitives::quote),
    ("primitives_registry", primitives::registry),
    ("primitives_usage_record", primitives::usage_record),
    ("vault_entry", vault::entry),
    ("vault_message", vault::message),
];
