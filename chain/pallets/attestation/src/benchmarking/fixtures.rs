//! Where the benchmarks' evidence comes from: a software TEE whose keys are thrown away.

use super::*;
use casemate_attestation::{dcap::Quote, sev_snp::Report, x509::Certificate, Binding, Purpose};
use casemate_software_tee::{
    measure::{expected, Content},
    wire::Kind,
    Directory, Format, Validity,
};
use pallet_endorsements::benchmarking::crl;
use rsa::{pkcs8::DecodePrivateKey, signature::RandomizedSigner, signature::SignatureEncoding};
use std::{fs, path::Path};

fn agent_binding() -> Binding {
    Binding {
        purpose: Purpose::Registration,
        genesis_hash: GENESIS,
        lease: LEASE,
        replica: REPLICA,
        manifest_hash: MANIFEST,
        nonce: NONCE,
        agent_key: KEYS.agent,
        hpke_key: KEYS.hpke,
        tls_spki_sha256: KEYS.tls_spki_sha256,
        channel: [0; 32],
        gpu_evidence: [0; 32],
    }
}

fn cluster_binding() -> Binding {
    Binding {
        purpose: Purpose::Cluster,
        lease: LeaseId(0),
        replica: 0,
        manifest_hash: PROVIDER.into(),
        agent_key: [0; 32],
        hpke_key: [0; 32],
        tls_spki_sha256: [0; 32],
        ..agent_binding()
    }
}

/// Makes all of it anew. Needed when [`Binding`], a vendor's format or a fixture's type changes, and
/// before the certificates' ten years are over:
///
/// ```text
/// cargo test -p pallet-attestation --features runtime-benchmarks -- --ignored fixtures
/// ```
#[test]
#[ignore = "writes the fixtures; the benchmarks are tested with those that are there"]
fn fixtures_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("tee");
    let tee = Directory::init(&folder, TIME, Validity::default()).expect("keys are made");
    let collateral = tee.pki().collateral(TIME, tee.validity(), &[]).expect("it is made");
    let evidence = |format: Format, agent: &[u8], binding: &Binding| {
        let measured = expected(format.kind(), &Content::new(agent, None, MANIFEST));
        let made = tee.pki().evidence(format, &measured, &binding.report_data(), &[]);
        made.expect("evidence is made").bytes
    };
    assert_eq!(Format::TdxV5.kind(), Kind::IntelTdx);
    let fixture = Fixture {
        intel_root: collateral.intel_root,
        tdx_collateral: serde_json::from_value(collateral.tdx.to_json()).expect("its shape"),
        tdx_agent: evidence(Format::TdxV5, b"agent", &agent_binding()),
        snp_agent: evidence(Format::SnpV5, b"agent", &agent_binding()),
        tdx_cluster: evidence(Format::TdxV5, b"daemon", &cluster_binding()),
        snp_cluster: evidence(Format::SnpV5, b"daemon", &cluster_binding()),
    };
    let der = |pem: &str| {
        let chain = Certificate::chain_from_pem(pem.as_bytes()).expect("PEM");
        chain[0].der().to_vec()
    };
    let list = crl::full_size(&collateral.amd.crl, pallet_endorsements::BODY_BYTES_MAX as usize);
    let key = fs::read_to_string(folder.join("pki/keys/amd-ark.pem")).expect("the root's key");
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(&key).expect("PKCS #8");
    let key = rsa::pss::SigningKey::<rsa::sha2::Sha384>::new(key);
    let list = list.expect("a list");
    let signed = crl::signed_part(&list).expect("a list");
    let signature = key.sign_with_rng(&mut rsa::rand_core::OsRng, signed);
    let amd = Amd {
        root: collateral.amd_root,
        vek: der(&collateral.amd.vek),
        ask: der(&collateral.amd.ask),
        ark: der(&collateral.amd.ark),
        crl: collateral.amd.crl.clone(),
        full_size_signature: signature.to_vec(),
    };
    let pallets = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("pallets");
    let put = |name: &str, bytes: Vec<u8>| {
        fs::write(pallets.join(name), bytes).expect("the fixture is written");
    };
    put("attestation/src/benchmarking/software_tee.scale", fixture.encode());
    put("endorsements/src/benchmarking/amd.scale", amd.encode());
}

/// What a call's weight must cover is the genuine format, not something smaller.
#[test]
fn evidence_is_as_large_as_hardware_s() {
    let (fixture, _) = fixture().expect("it decodes");
    for quote in [&fixture.tdx_agent, &fixture.tdx_cluster] {
        assert!(quote.len() * 10 > endorsements::TDX_QUOTE.len() * 8, "{}", quote.len());
        assert_eq!(Quote::parse(quote).expect("a quote").certification().kind, 5);
    }
    for report in [&fixture.snp_agent, &fixture.snp_cluster] {
        assert_eq!(Report::parse(report).expect("a report").version(), 5);
    }
}
