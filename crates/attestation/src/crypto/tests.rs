//! Wycheproof's vectors, and keys that must not be accepted.

use super::*;
use alloc::vec::Vec;

#[derive(Clone, Copy)]
enum Form {
    Der,
    Raw,
}

/// Runs a file of `key` and `result id message signature` lines; returns how many were run.
fn run(vectors: &str, algorithm: SignatureAlgorithm, form: Form) -> usize {
    let bytes = |text: &str| if text == "-" { Vec::new() } else { hex::decode(text).unwrap() };
    let mut key = None;
    let mut count = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        if let Some(spki) = line.strip_prefix("key ") {
            key = Some(PublicKey::from_spki_der(&bytes(spki)).unwrap());
            continue;
        }
        let mut parts = line.split(' ');
        let mut next = || parts.next().unwrap();
        let (result, id, message, signature) = (next(), next(), bytes(next()), bytes(next()));
        let key = key.as_ref().unwrap();
        let verified = match form {
            Form::Der => key.verify(algorithm, &message, &signature),
            Form::Raw => key.verify_raw(algorithm, &message, &signature),
        };
        // By ring or not, the same is good, and for the same reason bad.
        let encoding = match form {
            Form::Der => verify::Encoding::Der,
            Form::Raw => verify::Encoding::Raw,
        };
        let portable = key.check_portable(algorithm, &message, &signature, encoding);
        assert_eq!(portable, verified, "test {id}");
        match result {
            "valid" => assert_eq!(verified, Ok(()), "test {id}"),
            "invalid" => assert!(
                matches!(
                    verified,
                    Err(CryptoError::BadSignature | CryptoError::MalformedSignature)
                ),
                "test {id}: {verified:?}"
            ),
            "acceptable" => {}
            other => panic!("result {other}"),
        }
        count += 1;
    }
    count
}

macro_rules! vectors {
    ($name:literal) => {
        include_str!(concat!("../../tests/data/wycheproof/", $name, ".txt"))
    };
}

#[test]
fn ecdsa_vectors() {
    use SignatureAlgorithm as A;
    let count = run(vectors!("ecdsa_secp256r1_sha256"), A::EcdsaSha256, Form::Der)
        + run(vectors!("ecdsa_secp384r1_sha384"), A::EcdsaSha384, Form::Der)
        + run(vectors!("ecdsa_secp256r1_sha256_p1363"), A::EcdsaSha256, Form::Raw)
        + run(vectors!("ecdsa_secp384r1_sha384_p1363"), A::EcdsaSha384, Form::Raw);
    assert!(count > 800, "{count} vectors");
}

#[test]
fn rsa_pss_vectors() {
    use SignatureAlgorithm::RsaPssSha384;
    let count = run(vectors!("rsa_pss_2048_sha384_mgf1_48"), RsaPssSha384, Form::Der)
        + run(vectors!("rsa_pss_4096_sha384_mgf1_48"), RsaPssSha384, Form::Raw);
    assert_eq!(count, 94);
}

#[test]
fn rsa_pkcs1_vectors() {
    use SignatureAlgorithm as A;
    let count = run(vectors!("rsa_signature_2048_sha256"), A::RsaPkcs1Sha256, Form::Der)
        + run(vectors!("rsa_signature_4096_sha384"), A::RsaPkcs1Sha384, Form::Der);
    assert_eq!(count, 162);
}

#[test]
fn points_off_the_curve_are_refused() {
    assert_eq!(PublicKey::from_p256_raw(&[0; 64]), Err(CryptoError::MalformedKey));
    assert_eq!(PublicKey::from_p256_raw(&[1; 64]), Err(CryptoError::MalformedKey));
    assert_eq!(PublicKey::from_p384_raw(&[1; 96]), Err(CryptoError::MalformedKey));
    assert_eq!(PublicKey::from_sec1(&[4; 66]), Err(CryptoError::UnsupportedKey));
    // A compressed point is not what any format carries.
    let mut compressed = [2; 65];
    compressed[0] = 2;
    assert_eq!(PublicKey::from_sec1(&compressed), Err(CryptoError::MalformedKey));
    assert_eq!(PublicKey::from_sec1(&[]), Err(CryptoError::UnsupportedKey));
}

#[test]
fn other_algorithms_are_refused() {
    let key = vectors!("ecdsa_secp256r1_sha256").lines().find_map(|line| line.strip_prefix("key "));
    let key = PublicKey::from_spki_der(&hex::decode(key.unwrap()).unwrap()).unwrap();
    assert_eq!(
        key.verify(SignatureAlgorithm::RsaPssSha384, b"", b""),
        Err(CryptoError::AlgorithmMismatch)
    );
    let identifier =
        |text: &str| SignatureAlgorithm::from_identifier_der(&hex::decode(text).unwrap());
    assert_eq!(identifier("300a06082a8648ce3d040302"), Ok(SignatureAlgorithm::EcdsaSha256));
    assert_eq!(identifier("300a06082a8648ce3d040303"), Ok(SignatureAlgorithm::EcdsaSha384));
    // ECDSA with SHA-1, with SHA-256 and a NULL that must not be there, and nothing at all.
    for text in ["300906072a8648ce3d0401", "300c06082a8648ce3d0403020500", "3000", ""] {
        assert_eq!(identifier(text), Err(CryptoError::UnsupportedAlgorithm), "{text}");
    }
    // RSASSA-PSS with the defaults (SHA-1), and with SHA-384 and the wrong salt.
    assert_eq!(
        identifier("300d06092a864886f70d01010a3000"),
        Err(CryptoError::UnsupportedAlgorithm)
    );
}

#[test]
fn short_rsa_keys_are_refused() {
    // 1024 bits.
    let mut modulus = Vec::from([0x02, 0x81, 0x81, 0x00]);
    modulus.extend([0xff; 128]);
    let mut key = Vec::from([0x30, 0x81, 0x89]);
    key.extend(&modulus);
    key.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    let mut bits = Vec::from([0x03, 0x81, 0x8d, 0x00]);
    bits.extend(&key);
    let mut spki = Vec::from([0x30, 0x81, 0x9f]);
    spki.extend(hex::decode("300d06092a864886f70d0101010500").unwrap());
    spki.extend(bits);
    assert_eq!(PublicKey::from_spki_der(&spki), Err(CryptoError::UnsupportedKey));
    spki.truncate(spki.len() - 1);
    assert_eq!(PublicKey::from_spki_der(&spki), Err(CryptoError::MalformedKey));
}
