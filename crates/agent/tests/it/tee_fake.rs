//! A guest socket like the software TEE's, whose evidence is a signature over the report data, and
//! who checks it. The real software TEE and the real verifiers are in `software_tee.rs`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use casemate_attestation::{Claims, Grade, Measurements, Tcb, TcbStatus};
use casemate_ra_tls::{Appraisal, Appraiser, RawEvidence, Refusal};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::{Value, json};

fn vendor() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// Serves a guest socket in `dir`.
pub(crate) fn serve(dir: &Path) -> PathBuf {
    let path = dir.join("tee.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let _ = BufReader::new(stream.try_clone().unwrap()).read_line(&mut line);
            let Ok(request) = serde_json::from_str::<Value>(&line) else { continue };
            let data = hex::decode(request["reportData"].as_str().unwrap()).unwrap();
            let signature = vendor().sign(&data).to_bytes();
            let evidence = hex::encode([data.as_slice(), &signature].concat());
            let answer = json!({ "kind": "intelTdx", "evidence": evidence, "eventLog": [] });
            let _ = stream.write_all(format!("{answer}\n").as_bytes());
        }
    });
    path
}

#[derive(Debug)]
pub(crate) struct FakeVerifier(VerifyingKey);

pub(crate) fn verifier() -> Arc<FakeVerifier> {
    Arc::new(FakeVerifier(vendor().verifying_key()))
}

impl Appraiser for FakeVerifier {
    fn appraise(
        &self,
        evidence: &RawEvidence,
        _report_data: &[u8; 64],
        _now: u64,
    ) -> Result<Appraisal, Refusal> {
        let refuse = |_| Refusal::new("not signed by the vendor");
        let (data, signature) = evidence.evidence.split_first_chunk::<64>().unwrap();
        let signature = Signature::from_slice(signature).map_err(refuse)?;
        self.0.verify_strict(data, &signature).map_err(refuse)?;
        let claims = Claims {
            kind: evidence.kind,
            grade: Grade::Software,
            measurements: Measurements::SevSnp {
                measurement: [0; 48],
                host_data: [0; 32],
                id_key_digest: [0; 48],
                author_key_digest: [0; 48],
                guest_svn: 0,
                vmpl: 0,
                policy: 0,
            },
            report_data: *data,
            debug: false,
            tcb: Tcb {
                status: TcbStatus::UpToDate,
                advisories: vec![],
                date: None,
                evaluation: None,
            },
            platform_id: vec![1],
            product: "test".into(),
            not_after: u64::MAX,
        };
        Ok(Appraisal { claims, verdict: Value::Null })
    }
}
