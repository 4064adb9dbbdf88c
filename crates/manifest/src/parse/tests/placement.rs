//! What must hold of a provider.

use super::{MINIMAL, assert_refused};
use crate::Manifest;

const TDX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const SGX: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn with(placement: &str) -> String {
    format!("{MINIMAL}  placement: {{{placement}}}\n")
}

#[test]
fn an_attested_cluster_is_asked_for_with_and_without_measurements() {
    let any = Manifest::parse(&with("attestedCluster: true")).unwrap();
    assert!(any.spec.placement.attested_cluster);
    assert!(any.spec.placement.cluster_measurements.is_empty());
    let text = String::from_utf8(any.to_canonical_json()).unwrap();
    assert!(text.contains(r#""placement":{"attestedCluster":true}"#), "{text}");

    let these =
        with(&format!("attestedCluster: true, clusterMeasurements: [\"{TDX}\", \"{SGX}\"]"));
    let these = Manifest::parse(&these).unwrap();
    let measurements = &these.spec.placement.cluster_measurements;
    assert_eq!(measurements[0].as_bytes().len(), 48);
    assert_eq!(measurements[0].as_bytes()[..3], [0x00, 0x11, 0x22]);
    assert_eq!(measurements[1].as_bytes().len(), 32);
    let bytes = these.to_canonical_json();
    assert_eq!(Manifest::from_json(&bytes).unwrap(), these);
    these.validate_deployable().unwrap();
}

/// What is on chains already must keep its hash.
#[test]
fn asking_for_nothing_has_the_bytes_that_it_always_had() {
    let before = Manifest::parse(MINIMAL).unwrap().to_canonical_json();
    for nothing in ["", "attestedCluster: false", "clusterMeasurements: []"] {
        let manifest = Manifest::parse(&with(nothing)).unwrap();
        assert!(manifest.spec.placement.is_default());
        assert_eq!(manifest.to_canonical_json(), before, "{nothing}");
    }
}

#[test]
fn what_is_no_measurement_is_refused() {
    let upper = SGX.to_uppercase();
    let hex = format!("0x{}", &SGX[2..]);
    for bad in ["", &SGX[1..], &TDX[..80], upper.as_str(), hex.as_str()] {
        let text = with(&format!("attestedCluster: true, clusterMeasurements: [\"{bad}\"]"));
        let path = "spec.placement.clusterMeasurements[0]";
        assert_refused(&text, (9, 60), path, &["64 (SGX) or 96 (TDX, SEV-SNP)"]);
    }
}

#[test]
fn what_would_be_overlooked_is_refused() {
    let unasked = with(&format!("clusterMeasurements: [\"{SGX}\"]"));
    let path = "spec.placement.clusterMeasurements";
    assert_refused(&unasked, (9, 36), path, &["no attested cluster is asked for"]);
    let twice =
        with(&format!("attestedCluster: true, clusterMeasurements: [\"{SGX}\", \"{SGX}\"]"));
    assert_refused(&twice, (9, 128), &format!("{path}[1]"), &["is there twice"]);
    let unknown = with("attestedClusters: true");
    let path = "spec.placement.attestedClusters";
    assert_refused(&unknown, (9, 15), path, &["unknown field", "`attestedCluster`"]);
    let text = with("attestedCluster: \"true\"");
    assert_refused(&text, (9, 32), "spec.placement.attestedCluster", &["boolean"]);
    let many: Vec<String> = (0..17).map(|n| format!("\"{n:064x}\"")).collect();
    let many = with(&format!("attestedCluster: true, clusterMeasurements: [{}]", many.join(", ")));
    let path = "spec.placement.clusterMeasurements";
    assert_refused(&many, (9, 59), path, &["17 items", "at most 16"]);
}
