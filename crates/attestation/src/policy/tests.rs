use super::*;
use crate::{Measurements, Tcb, TeeKind};

const NOW: UnixSeconds = 1_800_000_000;

fn claims() -> Claims {
    Claims {
        kind: TeeKind::IntelTdx,
        grade: Grade::Hardware,
        measurements: Measurements::Tdx {
            mr_td: [1; 48],
            rtmr: [[0; 48], [2; 48], [0; 48], [3; 48]],
            mr_config_id: {
                let mut id = [0; 48];
                id[..32].copy_from_slice(&[4; 32]);
                id
            },
            mr_owner: [5; 48],
            mr_owner_config: [0; 48],
            mr_seam: [6; 48],
            td_attributes: [0; 8],
            xfam: [0; 8],
        },
        report_data: [7; 64],
        debug: false,
        tcb: Tcb {
            status: TcbStatus::UpToDate,
            advisories: Vec::new(),
            date: Some(NOW - 100),
            evaluation: Some(17),
        },
        platform_id: vec![8; 16],
        product: "b0c06f000000".into(),
        not_after: NOW + 1_000,
    }
}

fn context() -> Context<'static> {
    Context { now: NOW, report_data: Some(&[7; 64]), provider: None }
}

/// The names of the failed checks; empty when accepted.
fn refusals(policy: &Policy, claims: Claims, context: &Context<'_>) -> Vec<String> {
    match policy.appraise(&Verified::new((), claims), context) {
        Ok(accepted) => {
            assert!(accepted.verdict().accepted());
            Vec::new()
        }
        Err(verdict) => {
            assert!(!verdict.accepted());
            verdict.failed().map(|check| check.name.clone()).collect()
        }
    }
}

fn require(condition: Condition) -> Policy {
    Policy { require: Some(condition), ..Policy::default() }
}

fn hexes(values: &[&[u8]]) -> Vec<HexBytes> {
    values.iter().map(|value| HexBytes(value.to_vec())).collect()
}

#[test]
fn the_default_is_strict() {
    let policy = Policy::default();
    assert!(refusals(&policy, claims(), &context()).is_empty());

    let software = Claims { grade: Grade::Software, ..claims() };
    assert_eq!(refusals(&policy, software, &context()), ["grade of the trust root"]);
    let debug = Claims { debug: true, ..claims() };
    assert_eq!(refusals(&policy, debug, &context()), ["debugger"]);
    for status in [
        TcbStatus::SwHardeningNeeded,
        TcbStatus::ConfigurationNeeded,
        TcbStatus::ConfigurationAndSwHardeningNeeded,
        TcbStatus::OutOfDate,
        TcbStatus::OutOfDateConfigurationNeeded,
        TcbStatus::Revoked,
    ] {
        let mut claims = claims();
        claims.tcb.status = status;
        assert_eq!(
            refusals(&policy, claims, &context()),
            ["state of the platform's firmware"],
            "{status:?}"
        );
    }
    let other_key = Context { report_data: Some(&[9; 64]), ..context() };
    assert_eq!(refusals(&policy, claims(), &other_key), ["report data"]);
    let later = Context { now: NOW + 1_000, ..context() };
    assert_eq!(refusals(&policy, claims(), &later), ["validity of certificates and collateral"]);
}

#[test]
fn every_reason_is_named_not_only_the_first() {
    let bad = Claims { grade: Grade::Software, debug: true, ..claims() };
    assert_eq!(
        refusals(&Policy::default(), bad, &context()),
        ["grade of the trust root", "debugger"]
    );
}

#[test]
fn a_grace_covers_named_advisories_for_its_time_and_never_a_revoked_level() {
    let mut outdated = claims();
    outdated.tcb.status = TcbStatus::OutOfDate;
    outdated.tcb.advisories = vec!["INTEL-SA-1".into(), "INTEL-SA-2".into()];
    let grace = |advisory: &str, until| Grace { advisory: advisory.into(), until };
    let mut policy = Policy::default();
    policy.tcb.grace = vec![grace("INTEL-SA-1", None)];
    assert!(!refusals(&policy, outdated.clone(), &context()).is_empty(), "one is not enough");
    policy.tcb.grace.push(grace("INTEL-SA-2", Some(NOW)));
    assert!(refusals(&policy, outdated.clone(), &context()).is_empty());
    let later = Context { now: NOW + 1, ..context() };
    assert!(!refusals(&policy, outdated.clone(), &later).is_empty(), "the grace is over");
    outdated.tcb.status = TcbStatus::Revoked;
    assert!(!refusals(&policy, outdated.clone(), &context()).is_empty());
    policy.tcb.statuses.push(TcbStatus::Revoked);
    assert!(!refusals(&policy, outdated, &context()).is_empty(), "not even when it is listed");
    let mut nameless = claims();
    nameless.tcb.status = TcbStatus::OutOfDate;
    assert!(!refusals(&policy, nameless, &context()).is_empty(), "no advisory, no grace");
}

#[test]
fn the_age_of_the_firmware_can_be_bounded() {
    let mut policy = Policy::default();
    policy.tcb.max_age_seconds = Some(100);
    assert!(refusals(&policy, claims(), &context()).is_empty());
    policy.tcb.max_age_seconds = Some(99);
    assert_eq!(refusals(&policy, claims(), &context()), ["age of the firmware level"]);
    let mut undated = claims();
    undated.tcb.date = None;
    assert_eq!(refusals(&policy, undated, &context()), ["age of the firmware level"]);
}

#[test]
fn conditions_join_with_and_or() {
    let workload = |byte| {
        let rtmr = [[0; 48], [2; 48], [0; 48], [3; 48]];
        Condition::Workload(hexes(&[&crate::td_workload(&[byte; 48], &rtmr)]))
    };
    let cases = [
        (Condition::All(vec![workload(1), Condition::Kind(vec![TeeKind::IntelTdx])]), true),
        (Condition::All(vec![workload(1), workload(2)]), false),
        (Condition::Any(vec![workload(2), workload(1)]), true),
        (Condition::Any(vec![workload(2), workload(3)]), false),
        (Condition::All(vec![]), false),
        (Condition::Any(vec![]), false),
        (Condition::Workload(vec![]), false),
        (Condition::Any(vec![Condition::All(vec![workload(2)]), workload(1)]), true),
    ];
    for (condition, accepted) in cases {
        let policy = require(condition.clone());
        assert_eq!(refusals(&policy, claims(), &context()).is_empty(), accepted, "{condition:?}");
    }
}

#[test]
fn each_condition_looks_at_its_own_claim() {
    let provider = Context { provider: Some([11; 32]), ..context() };
    let good = [
        Condition::Signer(hexes(&[&[5; 48]])),
        Condition::Register { index: 3, values: hexes(&[&[3; 48]]) },
        Condition::Configuration(hexes(&[&[4; 32]])),
        Condition::Product(vec!["b0c06f000000".into()]),
        Condition::PlatformId(hexes(&[&[8; 16]])),
        Condition::Provider(hexes(&[&[11; 32]])),
    ];
    for condition in good {
        let policy = require(condition.clone());
        assert!(refusals(&policy, claims(), &provider).is_empty(), "{condition:?}");
    }
    let bad = [
        Condition::Kind(vec![TeeKind::IntelSgx]),
        Condition::Signer(hexes(&[&[6; 48]])),
        Condition::Register { index: 2, values: hexes(&[&[3; 48]]) },
        Condition::Register { index: 4, values: hexes(&[&[3; 48], &[0; 48]]) },
        Condition::Configuration(hexes(&[&[4; 31]])),
        Condition::Configuration(hexes(&[&[0; 32]])),
        Condition::Product(vec!["Milan".into()]),
        Condition::PlatformId(hexes(&[&[9; 16]])),
        Condition::Provider(hexes(&[&[12; 32]])),
        Condition::SvnAtLeast(0),
        Condition::VmplAtMost(3),
        Condition::GpuMatchesRim,
    ];
    for condition in bad {
        let policy = require(condition.clone());
        assert!(!refusals(&policy, claims(), &provider).is_empty(), "{condition:?}");
    }
    let unknown_provider = require(Condition::Provider(hexes(&[&[11; 32]])));
    assert!(!refusals(&unknown_provider, claims(), &context()).is_empty());
}

#[test]
fn nothing_equals_a_field_that_is_not_there() {
    let sgx = Claims {
        kind: TeeKind::IntelSgx,
        measurements: Measurements::Sgx {
            mr_enclave: [1; 32],
            mr_signer: [2; 32],
            isv_prod_id: 0,
            isv_svn: 0,
            attributes: [0; 16],
        },
        ..claims()
    };
    for value in [&[][..], &[0; 32]] {
        let policy = require(Condition::Configuration(hexes(&[value])));
        assert!(!refusals(&policy, sgx.clone(), &context()).is_empty(), "{value:?}");
    }
}

#[test]
fn nesting_is_bounded() {
    let mut condition = Condition::Workload(hexes(&[&[1; 48]]));
    for _ in 0..20 {
        condition = Condition::All(vec![condition]);
    }
    assert!(!refusals(&require(condition), claims(), &context()).is_empty());
}

#[test]
fn a_policy_file_is_read_strictly() {
    let text = r#"{"grades":["hardware"],"tcb":{"statuses":["UpToDate","SWHardeningNeeded"],
        "grace":[{"advisory":"INTEL-SA-00615"}]},
        "require":{"all":[{"workload":["0x0101"]},{"register":{"index":3,"values":["03"]}}]}}"#;
    let policy: Policy = serde_json::from_str(text).unwrap();
    assert_eq!(policy.tcb.statuses.len(), 2);
    assert!(!policy.allow_debug);
    let again: Policy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
    assert_eq!(again, policy);
    for bad in [
        r#"{"allowdebug":true}"#,
        r#"{"grades":["Hardware"]}"#,
        r#"{"require":{"workload":["xyz"]}}"#,
        r#"{"require":{"workload":[""]}}"#,
        r#"{"require":{"nothing":[]}}"#,
        r#"{"tcb":{"statuses":["Fine"]}}"#,
    ] {
        assert!(serde_json::from_str::<Policy>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_verdict_reads_as_a_list() {
    let verdict = Policy::default()
        .appraise(&Verified::new((), Claims { debug: true, ..claims() }), &context())
        .unwrap_err();
    let text = alloc::string::ToString::to_string(&verdict);
    assert!(text.contains("FAILED debugger: may be attached; wanted: shut out"), "{text}");
    assert!(text.ends_with("REFUSED"), "{text}");
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json[2]["outcome"], "failed");
}

#[test]
fn a_gpu_that_nobody_has_judged_is_marked_and_can_be_refused() {
    let gpu = |matches_rim| Claims {
        kind: TeeKind::NvidiaGpu,
        measurements: Measurements::NvidiaGpu {
            blocks: Vec::new(),
            driver_version: "1".into(),
            vbios_version: "2".into(),
            matches_rim,
        },
        ..claims()
    };
    let accepted = Policy::default().appraise(&Verified::new((), gpu(false)), &context()).unwrap();
    let graced: Vec<_> = accepted
        .verdict()
        .checks()
        .iter()
        .filter(|check| check.outcome == Outcome::Graced)
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(graced, ["GPU firmware"]);
    let strict = require(Condition::GpuMatchesRim);
    assert!(!refusals(&strict, gpu(false), &context()).is_empty());
    assert!(refusals(&strict, gpu(true), &context()).is_empty());
}
