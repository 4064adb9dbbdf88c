use super::*;
use casemate_attestation::Vendor;

fn specification(kind: &str) -> String {
    json!({
        "name": "x",
        "id": "casemate-x",
        "chainType": kind,
        "genesis": { "runtimeGenesis": {
            "code": "0x00",
            "patch": {
                "balances": { "balances": [["5G", 10_000_000_000_000_000_000_u64]] },
                "endorsements": { "roots": TrustRoots::vendors() },
            },
        } },
    })
    .to_string()
}

fn software(byte: u8) -> TrustRoots {
    let root = |vendor| TrustRoot { vendor, grade: Grade::Software, spki_sha256: [byte; 32] };
    TrustRoots::new([root(Vendor::Intel), root(Vendor::Amd)])
}

#[test]
fn roots_and_workloads_are_added_to_what_is_there() {
    let given = specification("Development");
    let made = with_software_tee(&given, &software(1), &[vec![7; 48]]).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    let patch = &made["genesis"]["runtimeGenesis"]["patch"];
    let roots: TrustRoots = serde_json::from_value(patch["endorsements"]["roots"].clone()).unwrap();
    let expected: Vec<_> =
        TrustRoots::vendors().iter().chain(software(1).iter()).copied().collect();
    assert_eq!(roots, TrustRoots::new(expected));
    assert_eq!(patch["attestation"]["workloads"], json!([[vec![7; 48], "software"]]));
    // Nothing else is touched; large amounts keep their digits.
    let given: Value = serde_json::from_str(&given).unwrap();
    assert_eq!(patch["balances"], given["genesis"]["runtimeGenesis"]["patch"]["balances"]);
    assert_eq!(made["id"], given["id"]);
    assert_eq!(made["genesis"]["runtimeGenesis"]["code"], "0x00");
}

#[test]
fn what_is_there_is_not_written_again() {
    let once = with_software_tee(&specification("Development"), &software(1), &[vec![7; 48]]);
    let once = once.unwrap();
    let twice = with_software_tee(&once, &software(1), &[vec![7; 48]]).unwrap();
    assert_eq!(once, twice);
    let more = with_software_tee(&once, &software(1), &[vec![8; 48]]).unwrap();
    assert_eq!(workloads(&more), [vec![7; 48], vec![8; 48]]);
    assert_eq!(workloads(&specification("Development")), Vec::<Vec<u8>>::new());
    assert_eq!(workloads("junk"), Vec::<Vec<u8>>::new());
}

#[test]
fn other_chains_are_refused() {
    for kind in ["Local", "Live", "development", ""] {
        let refused = with_software_tee(&specification(kind), &software(1), &[]);
        assert!(matches!(refused, Err(GenesisError::NotDevelopment(of)) if of == kind));
    }
    // Even without anything to add.
    assert!(with_software_tee(&specification("Live"), &TrustRoots::default(), &[]).is_err());
}

#[test]
fn what_is_no_exported_specification_is_refused() {
    let add = |text: &str| with_software_tee(text, &software(1), &[]);
    assert!(matches!(add("{"), Err(GenesisError::Syntax(_))));
    assert!(matches!(add("[]"), Err(GenesisError::Missing("chainType"))));
    let raw = json!({ "chainType": "Development", "genesis": { "raw": {} } }).to_string();
    assert!(matches!(add(&raw), Err(GenesisError::Missing("genesis.runtimeGenesis.patch"))));
    let patch = |patch: Value| {
        let genesis = json!({ "runtimeGenesis": { "patch": patch } });
        json!({ "chainType": "Development", "genesis": genesis }).to_string()
    };
    let odd = patch(json!({ "endorsements": 1 }));
    assert!(matches!(add(&odd), Err(GenesisError::Missing("endorsements"))));
    let odd = patch(json!({ "endorsements": { "roots": [1] } }));
    assert!(matches!(add(&odd), Err(GenesisError::Roots(_))));
    // 2^64 and above can't be kept exactly.
    let large = patch(json!({})).replace("\"patch\":{}", "\"patch\":{\"n\":18446744073709551616}");
    assert!(matches!(add(&large), Err(GenesisError::Number(_))));
}

#[test]
fn the_chain_s_bounds_are_kept() {
    let given = specification("Development");
    for length in [0, 65] {
        let refused = with_software_tee(&given, &software(1), &[vec![1; length]]);
        assert!(matches!(refused, Err(GenesisError::Workload(of)) if of == length));
    }
    let many =
        TrustRoots::new((0..6).flat_map(|n| software(n).iter().copied().collect::<Vec<_>>()));
    assert!(matches!(with_software_tee(&given, &many, &[]), Err(GenesisError::TooManyRoots(18))));
}
