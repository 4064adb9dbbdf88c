use casemate_primitives::Resources;

use super::*;

const NOW: UnixSeconds = 10_000;

impl ClusterDemand {
    /// For any hardware, at this time.
    pub(in crate::commands) fn any_at(now: UnixSeconds) -> Self {
        Self { measurements: Vec::new(), allows_software: false, now }
    }
}

/// A cluster that is attested until this time.
pub(in crate::commands) fn attested_view(expires_at: UnixSeconds) -> ClusterView {
    ClusterView {
        kind: TeeKind::IntelTdx,
        grade: Grade::Hardware,
        workload: vec![0xab; 48],
        tcb_status: TcbStatus::UpToDate,
        evidence_hash: [7; 32],
        expires_at,
    }
}

fn cluster() -> ClusterView {
    attested_view(NOW + 3_660)
}

fn provider(cluster: Option<ClusterView>) -> ProviderView {
    ProviderView {
        account: [1; 32],
        name: "p".into(),
        regions: Vec::new(),
        endpoints: Vec::new(),
        tee_kinds: Vec::new(),
        capacity: Resources::default(),
        used: Resources::default(),
        price_lists: Vec::new(),
        stake: 0,
        unbonding: Vec::new(),
        live_leases: 0,
        cluster,
    }
}

fn with(change: impl FnOnce(&mut ClusterView)) -> ProviderView {
    let mut found = cluster();
    change(&mut found);
    provider(Some(found))
}

fn demand() -> ClusterDemand {
    ClusterDemand::any_at(NOW)
}

#[test]
fn only_what_counts_now_is_taken() {
    demand().check(&provider(Some(cluster()))).unwrap();
    // The last second, and the first one after.
    demand().check(&with(|c| c.expires_at = NOW + 1)).unwrap();
    let ended = demand().check(&with(|c| c.expires_at = NOW)).unwrap_err();
    assert_eq!(ended, "its cluster's attestation has ended, 0s ago");
    let ended = demand().check(&with(|c| c.expires_at = NOW - 120)).unwrap_err();
    assert_eq!(ended, "its cluster's attestation has ended, 2m ago");
    assert_eq!(demand().check(&provider(None)).unwrap_err(), "its cluster is not attested");
}

#[test]
fn a_software_tee_counts_on_development_chains_alone() {
    let software = with(|c| c.grade = Grade::Software);
    let refused = demand().check(&software).unwrap_err();
    assert!(refused.contains("software TEE, which protects nothing"), "{refused}");
    let development = ClusterDemand { allows_software: true, ..demand() };
    development.check(&software).unwrap();
    assert!(development.is_software(&software));
    assert!(!development.is_software(&provider(Some(cluster()))));
    // There, too, it ends.
    let ended = with(|c| {
        c.grade = Grade::Software;
        c.expires_at = NOW;
    });
    assert!(development.check(&ended).unwrap_err().contains("has ended"));
}

#[test]
fn old_firmware_is_refused_as_policies_do() {
    for status in [TcbStatus::OutOfDate, TcbStatus::SwHardeningNeeded, TcbStatus::Revoked] {
        let refused = demand().check(&with(|c| c.tcb_status = status)).unwrap_err();
        assert!(refused.contains("firmware is not the newest"), "{status:?}: {refused}");
    }
}

#[test]
fn a_measurement_is_one_of_those_that_are_named() {
    let named = |measurements| ClusterDemand { measurements, ..demand() };
    let found = provider(Some(cluster()));
    named(vec![vec![1; 32], vec![0xab; 48]]).check(&found).unwrap();
    // As long, but another; the beginning of it; nothing.
    for other in [vec![0xac; 48], vec![0xab; 32], Vec::new()] {
        let refused = named(vec![other]).check(&found).unwrap_err();
        assert!(refused.contains(&"ab".repeat(48)), "{refused}");
        assert!(refused.contains("clusterMeasurements"), "{refused}");
    }
}

#[test]
fn what_is_shown_is_what_counts() {
    let shown = |view: &ProviderView| ClusterInfo::of(view, NOW);
    let info = shown(&with(|c| c.grade = Grade::Software));
    assert_eq!(info.cell(), "TDX (software)");
    assert_eq!(
        info.lines(NOW),
        [
            (
                "cluster",
                "TDX (software), which protects nothing, firmware UpToDate, for 1h 1m".to_owned()
            ),
            ("measurement", "ab".repeat(48)),
        ]
    );
    let info = shown(&provider(Some(cluster())));
    assert_eq!(info.cell(), "TDX (hardware)");
    assert!(!info.lines(NOW)[0].1.contains("nothing"));
    let json = serde_json::to_value(&info).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "attested": true,
            "kind": "intelTdx",
            "grade": "hardware",
            "tcbStatus": "UpToDate",
            "measurement": "ab".repeat(48),
            "evidenceHash": format!("0x{}", "07".repeat(32)),
            "expiresAt": NOW + 3_660,
        })
    );
    // What has ended is not shown as what it was.
    let ended = shown(&with(|c| c.expires_at = NOW - 61));
    assert_eq!(ended.cell(), "not attested");
    assert_eq!(ended.lines(NOW), [("cluster", "not attested (ended 1m 1s ago)".to_owned())]);
    let json = serde_json::to_value(&ended).unwrap();
    assert_eq!((&json["attested"], &json["kind"]), (&false.into(), &serde_json::Value::Null));
    let never = shown(&provider(None));
    assert_eq!(never.lines(NOW), [("cluster", "not attested".to_owned())]);
    assert_eq!(serde_json::to_value(&never).unwrap()["attested"], false);
}
