//! Checks of what must hold of a provider.

use super::{Faults, limits::MEASUREMENTS_MAX};
use crate::{Placement, path::Path};
use std::collections::BTreeSet;

pub(super) fn check(placement: &Placement, at: &Path, faults: &mut Faults) {
    let measurements = &placement.cluster_measurements;
    let at = at.at("clusterMeasurements");
    faults.count(at.clone(), measurements.len(), MEASUREMENTS_MAX);
    let mut seen = BTreeSet::new();
    for (index, measurement) in measurements.iter().enumerate() {
        faults.unique(at.at(index), measurement.to_string(), "measurement", &mut seen);
    }
    // Somebody who lists them means them.
    if !measurements.is_empty() && !placement.attested_cluster {
        let allowed = "`clusterMeasurements` beside `attestedCluster: true`";
        faults.add(at, "measurements, and no attested cluster is asked for", allowed);
    }
}
