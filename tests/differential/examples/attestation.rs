//! How long our verifier and dcap-qvl take for the same quote, in one process: one JSON object for
//! `cargo xtask bench attestation`. Times are in microseconds.
//!
//! Ours is compiled with ring by `--features ring`, else with RustCrypto.

use std::{env, fs, hint::black_box, path::Path, time::Instant};

use casemate_attestation::{
    TrustRoots,
    dcap::{
        Endorsements, Quote, RawCollateral, verify, verify_pck, verify_pck_crl, verify_qe_identity,
        verify_root_crl, verify_tcb_info, verify_with_collateral,
    },
    x509::Certificate,
};
use dcap_qvl::{
    QuoteCollateralV3,
    configs::{RingConfig, RustCryptoConfig},
    verify::QuoteVerifier,
};
use p256::ecdsa::{
    Signature, SigningKey,
    signature::{Signer as _, Verifier as _},
};

/// While the sample's collateral is valid: 2026-10-15.
const NOW: u64 = 1_792_022_400;

/// Calls for one measurement, of which the fastest counts: what else the machine does only adds.
const CALLS: usize = 50;

/// What the two signatures of a TDX 1.5 quote are over, in bytes: header and body, and the quoting
/// enclave's report.
const SIGNED: [usize; 2] = [48 + 6 + 648, 384];

fn main() {
    let rounds: usize =
        env::args().nth(1).and_then(|count| count.parse().ok()).expect("usage: attestation ROUNDS");
    let data =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/attestation/tests/data/dcap");
    let read = |name: &str| fs::read(data.join(name)).expect("the sample is there");
    let quote = read("tdx_quote_td15ex");
    let json = read("tdx_quote_td15ex_collateral.json");
    let collateral: RawCollateral = serde_json::from_slice(&json).expect("the sample parses");
    let theirs: QuoteCollateralV3 = serde_json::from_slice(&json).expect("the sample parses");
    let roots = TrustRoots::vendors();

    let whole = || {
        let quote = Quote::parse(black_box(&quote)).expect("it parses");
        verify_with_collateral(quote, black_box(&collateral), &roots, NOW).expect("it verifies")
    };
    let kept = Kept::new(&quote, &collateral, &roots);
    let alone = || {
        let quote = Quote::parse(black_box(&quote)).expect("it parses");
        verify(quote, &kept.endorsements(), NOW).expect("it verifies")
    };
    let by_ring = QuoteVerifier::new_prod().with_config::<RingConfig>();
    let by_rustcrypto = QuoteVerifier::new_prod().with_config::<RustCryptoConfig>();
    let signatures = Signatures::new();

    let mut series: [Vec<f64>; 6] = Default::default();
    // One for the caches, then turn by turn, so that a busy moment hits all alike.
    for round in 0..=rounds {
        let times = [
            time(|| whole()),
            time(|| alone()),
            time(|| {
                by_ring.verify(black_box(&quote), black_box(&theirs), NOW).expect("it verifies")
            }),
            time(|| {
                by_rustcrypto
                    .verify(black_box(&quote), black_box(&theirs), NOW)
                    .expect("it verifies")
            }),
            time(|| signatures.by_ring()),
            time(|| signatures.by_rustcrypto()),
        ];
        if round > 0 {
            for (series, time) in series.iter_mut().zip(times) {
                series.push(time);
            }
        }
    }
    let [whole, alone, ring, rustcrypto, bare_ring, bare_rustcrypto] = series;
    let out = serde_json::json!({
        "whole": whole,
        "quote": alone,
        "dcapQvlRing": ring,
        "dcapQvlRustCrypto": rustcrypto,
        "signaturesRing": bare_ring,
        "signaturesRustCrypto": bare_rustcrypto,
    });
    println!("{out}");
}

fn time<T>(mut run: impl FnMut() -> T) -> f64 {
    let times = (0..CALLS).map(|_| {
        let from = Instant::now();
        black_box(run());
        from.elapsed().as_secs_f64() * 1e6
    });
    times.fold(f64::INFINITY, f64::min)
}

/// What a chain keeps of the collateral.
struct Kept {
    root_crl: casemate_attestation::dcap::RootCrl,
    pck: casemate_attestation::dcap::Pck,
    pck_crl: casemate_attestation::dcap::PckCrl,
    tcb_info: casemate_attestation::dcap::TcbInfo,
    qe_identity: casemate_attestation::dcap::QeIdentity,
}

impl Kept {
    fn new(quote: &[u8], raw: &RawCollateral, roots: &TrustRoots) -> Self {
        let quote = Quote::parse(quote).expect("it parses");
        let issuers = raw.pck_crl_issuer_chain.as_bytes();
        let chain = Certificate::chain_from_pem(issuers).expect("a chain");
        let root = chain.last().expect("a root");
        let root_crl = verify_root_crl(&raw.root_ca_crl, root, roots, NOW).expect("the list");
        let pck_crl =
            verify_pck_crl(&raw.pck_crl, issuers, &root_crl, roots, NOW).expect("the list");
        let signature = |bytes: &[u8]| <[u8; 64]>::try_from(bytes).expect("a signature");
        let tcb_info = verify_tcb_info(
            &raw.tcb_info,
            &signature(&raw.tcb_info_signature),
            raw.tcb_info_issuer_chain.as_bytes(),
            &root_crl,
            roots,
            NOW,
        );
        let qe_identity = verify_qe_identity(
            &raw.qe_identity,
            &signature(&raw.qe_identity_signature),
            raw.qe_identity_issuer_chain.as_bytes(),
            &root_crl,
            roots,
            NOW,
        );
        let pck = verify_pck(quote.certification().data, &root_crl, &pck_crl, roots, NOW);
        Self {
            pck: pck.expect("the certificate"),
            root_crl,
            pck_crl,
            tcb_info: tcb_info.expect("TCB info"),
            qe_identity: qe_identity.expect("the identity"),
        }
    }

    fn endorsements(&self) -> Endorsements<'_> {
        let Self { root_crl, pck, pck_crl, tcb_info, qe_identity } = self;
        Endorsements { root_crl, pck, pck_crl, tcb_info, qe_identity }
    }
}

/// Two signatures over as many bytes as those of a quote: what no verifier can do without.
struct Signatures {
    public: Vec<u8>,
    signed: [(Vec<u8>, Signature); 2],
}

impl Signatures {
    fn new() -> Self {
        let key = SigningKey::from_slice(&[7; 32]).expect("a key");
        let public = key.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        let signed = SIGNED.map(|length| {
            let message = vec![0x5a; length];
            let signature = key.sign(&message);
            (message, signature)
        });
        Self { public, signed }
    }

    fn by_ring(&self) {
        use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        for (message, signature) in &self.signed {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, black_box(&self.public))
                .verify(black_box(message), &signature.to_bytes())
                .expect("it verifies");
        }
    }

    fn by_rustcrypto(&self) {
        for (message, signature) in &self.signed {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(black_box(&self.public));
            key.and_then(|key| key.verify(black_box(message), signature)).expect("it verifies");
        }
    }
}
