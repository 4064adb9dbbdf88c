//! Evidence that an H100 has made, and manifests that NVIDIA has signed.

use crate::data;
use casemate_attestation::{
    Grade, Measurements, TcbStatus, TeeKind, TrustRoots,
    nvidia::{Error, Report, Rim, RimError, verify},
    roots,
    x509::Certificate,
};

/// 2026-11-01.
pub const NOW: u64 = 1_793_491_200;
/// 2024-06-01, when the signers of the manifests were valid.
pub const RIM_NOW: u64 = 1_717_200_000;
pub const CHAIN: &[u8] = data!("h100_chain.pem");
pub const DRIVER_RIM: &[u8] = data!("driver_545_00.swidtag");

pub fn report_bytes() -> Vec<u8> {
    hex::decode(data!("h100_report.hex").trim_ascii()).unwrap()
}

pub fn report() -> Report {
    Report::parse(&report_bytes()).unwrap()
}

fn nonce() -> [u8; 32] {
    let nonce = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb";
    hex::decode(nonce).unwrap().try_into().unwrap()
}

#[test]
fn pinned_roots_are_the_published_ones() {
    for (pem, name, pinned) in [
        (&data!("device_root.pem")[..], "NVIDIA Device Identity CA", roots::NVIDIA_DEVICE_IDENTITY),
        (&data!("rim_root.pem")[..], "NVIDIA CoRIM signing Root CA", roots::NVIDIA_RIM),
    ] {
        let root = &Certificate::chain_from_pem(pem).unwrap()[0];
        assert_eq!(root.subject_common_name(), Some(name));
        assert_eq!(root.spki_sha256(), pinned);
    }
}

#[test]
fn report_says_what_it_measured() {
    let verified =
        verify(report(), CHAIN, &TrustRoots::vendors(), Some(nonce()), None, NOW).unwrap();
    let claims = verified.claims();
    assert_eq!((claims.kind, claims.grade), (TeeKind::NvidiaGpu, Grade::Hardware));
    assert_eq!(claims.product, "GH100");
    assert_eq!(hex::encode(&claims.platform_id), "41431d480fe5e87274");
    assert_eq!(claims.report_data[..32], nonce());
    assert_eq!(claims.report_data[32..], [0; 32]);
    let Measurements::NvidiaGpu { blocks, driver_version, vbios_version, matches_rim } =
        &claims.measurements
    else {
        panic!("no GPU's measurements")
    };
    assert_eq!((blocks.len(), blocks[0].index, blocks[63].index), (64, 1, 64));
    assert!(hex::encode(&blocks[1].value).starts_with("8048dfd18fe229bf"));
    assert_eq!(driver_version, "550.90.07");
    assert_eq!(vbios_version, "96.00.9F.00.01");
    // Nothing has said that these measurements are good.
    assert!(!matches_rim);
    assert_eq!(claims.tcb.status, TcbStatus::UpToDate);
    // 9999-12-31 23:59:59 and a second.
    assert_eq!(claims.not_after, 253_402_300_800);
    assert_eq!(verified.evidence().as_bytes(), report_bytes());
}

#[test]
fn other_nonce_is_refused() {
    let mut other = nonce();
    other[31] ^= 1;
    let outcome = verify(report(), CHAIN, &TrustRoots::vendors(), Some(other), None, NOW);
    assert_eq!(outcome, Err(Error::Nonce));
    assert!(verify(report(), CHAIN, &TrustRoots::vendors(), None, None, NOW).is_ok());
}

#[test]
fn root_for_manifests_is_not_one_for_devices() {
    let only = |spki_sha256| {
        let all = TrustRoots::vendors();
        TrustRoots::new(all.iter().copied().filter(|root| root.spki_sha256 == spki_sha256))
    };
    let spki_sha256 = roots::NVIDIA_DEVICE_IDENTITY;
    assert_eq!(
        verify(report(), CHAIN, &only(roots::NVIDIA_RIM), None, None, NOW),
        Err(Error::UnknownRoot { spki_sha256 })
    );
    let spki_sha256 = roots::NVIDIA_RIM;
    assert_eq!(
        Rim::verify(DRIVER_RIM, &only(roots::NVIDIA_DEVICE_IDENTITY), RIM_NOW),
        Err(RimError::UnknownRoot { spki_sha256 })
    );
}

#[test]
fn manifests_of_nvidia_are_accepted() {
    for (text, version) in [
        (DRIVER_RIM, "545.00"),
        (data!("vbios_1010_0200_882_96005E0001.swidtag"), "96.00.5E.00.01"),
        (data!("vbios_g520_0202_885_9600740014.swidtag"), "96.00.74.00.14"),
    ] {
        let rim = Rim::verify(text, &TrustRoots::vendors(), RIM_NOW).unwrap();
        assert_eq!((rim.product(), rim.version()), ("GH100", version));
        assert_eq!(rim.grade(), Grade::Hardware);
        // The signers' certificates were made for two years.
        assert!((1_750_000_000..1_760_000_000).contains(&rim.not_after()));
        assert_eq!(Rim::verify(text, &TrustRoots::vendors(), NOW), Err(RimError::Expired));
        assert_eq!(
            Rim::verify(text, &TrustRoots::vendors(), 1_680_000_000),
            Err(RimError::NotYetValid)
        );
        // Just before its end a manifest is good, and then no more.
        let roots = TrustRoots::vendors();
        assert!(Rim::verify(text, &roots, rim.not_after() - 1).is_ok());
        assert_eq!(Rim::verify(text, &roots, rim.not_after()), Err(RimError::Expired));
    }
}

#[test]
fn manifests_are_for_one_version() {
    let rim = Rim::verify(DRIVER_RIM, &TrustRoots::vendors(), RIM_NOW).unwrap();
    let trust = TrustRoots::vendors();
    let with = |rims: &[Rim], now| verify(report(), CHAIN, &trust, None, Some(rims), now);
    let version = "545.00".into();
    assert_eq!(with(std::slice::from_ref(&rim), RIM_NOW), Err(Error::RimVersion { version }));
    assert_eq!(with(&[], RIM_NOW), Err(Error::RimSet));
    assert_eq!(with(&[rim], NOW), Err(Error::RimExpired));
}

/// Each byte of a manifest is signed, or part of the signature, or makes no difference in meaning.
#[test]
fn no_changed_manifest_says_something_else() {
    let trust = TrustRoots::vendors();
    let good = Rim::verify(DRIVER_RIM, &trust, RIM_NOW).unwrap();
    for at in (0..DRIVER_RIM.len()).step_by(61) {
        let mut changed = DRIVER_RIM.to_vec();
        changed[at] ^= 1;
        if let Ok(rim) = Rim::verify(&changed, &trust, RIM_NOW) {
            assert_eq!(rim, good, "byte {at}");
        }
    }
}

#[test]
fn changed_values_are_noticed() {
    let text = String::from_utf8(DRIVER_RIM.to_vec()).unwrap();
    let verify = |text: &str| Rim::verify(text.as_bytes(), &TrustRoots::vendors(), RIM_NOW);
    for (from, to) in [
        ("colloquialVersion=\"545.00\"", "colloquialVersion=\"550.90.07\""),
        ("active=\"True\"", "active=\"False\""),
        ("index=\"2\"", "index=\"3\""),
        ("<ns0:Payload", "<ns0:Payload a=\"\""),
        ("    <ns0:Payload", "<ns0:Payload"),
        ("size=\"48\"/>", "size=\"48\">x</ns0:Resource>"),
        ("</SoftwareIdentity>", "<x/></SoftwareIdentity>"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert!(changed != text, "{from}");
        assert_eq!(verify(&changed), Err(RimError::Digest), "{from}");
    }
    // Written in another way it is the same document.
    let same = text.replacen("index=\"7\" active=\"True\"", "active='True'\nindex = \"7\"", 1);
    assert!(same != text);
    assert!(verify(&format!("<?xml version='1.0'?>\n{same}\n")).is_ok());
}
