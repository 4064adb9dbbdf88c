//! Manifests that must be refused, each for its own reason.

use crate::{
    gpu::{
        FIRMWARE_ID, Manifest, NOW, TCB_INFO, composite_device_id, resource, rim_root_key, roots,
    },
    pki::Key,
};
use casemate_attestation::{
    TrustRoots,
    crypto::CryptoError,
    nvidia::{Rim, RimError},
    x509::X509Error,
};

fn refused(text: &str) -> RimError {
    Rim::verify(text.as_bytes(), &roots(), NOW).unwrap_err()
}

/// The manifest with something replaced after it was signed.
fn changed(from: &str, to: &str) -> RimError {
    let text = Manifest::driver().sign();
    assert!(text.contains(from), "{from}");
    refused(&text.replacen(from, to, 1))
}

/// The manifest with something replaced in `SignedInfo` before it was signed.
fn info(from: &'static str, to: &'static str) -> RimError {
    let mut manifest = Manifest::driver();
    manifest.info.push((from, to));
    manifest.verify().unwrap_err()
}

#[test]
fn good_manifest_is_accepted() {
    let rim = Manifest::driver().good();
    assert_eq!((rim.product(), rim.version()), ("TEST100", "550.90.07"));
}

#[test]
fn xml() {
    let reason = |error| match error {
        RimError::Xml { reason, .. } => reason,
        error => panic!("{error}"),
    };
    for (text, expected) in [
        ("", "no element"),
        ("<a", "a start tag is not closed"),
        ("<a>", "an element is not closed"),
        ("<a></b>", "an end tag does not fit"),
        ("<a></a", "an end tag is not closed"),
        ("<a/><b/>", "something follows"),
        ("<a b/>", "an attribute has no value"),
        ("<a b=c/>", "an attribute's value has no quotes"),
        ("<a b=\"c/>", "something is not closed"),
        ("<a b=\"\"c=\"\"/>", "a start tag is not closed"),
        ("<a b=\"1\" b=\"2\"/>", "an attribute is there twice"),
        ("<a xmlns:p=\"u\" xmlns:q=\"u\" p:b=\"1\" q:b=\"2\"/>", "an attribute is there twice"),
        ("<p:a/>", "an undeclared prefix"),
        ("<a xml:lang=\"en\"/>", "an undeclared prefix"),
        ("<a xmlns=\"\"/>", "a namespace declaration is refused"),
        ("<a xmlns:xml=\"u\"/>", "a namespace declaration is refused"),
        ("<a xmlns:p=\"u\" xmlns:p=\"v\"/>", "a namespace declaration is refused"),
        ("<a>&b;</a>", "an entity is refused"),
        ("<a>&#38;</a>", "an entity is refused"),
        ("<a>&amp</a>", "an entity is not closed"),
        ("<a b=\"\n\"/>", "a character is refused"),
        ("<a>\r\n</a>", "a character is refused"),
        ("<a>]]></a>", "a character is refused"),
        ("<1/>", "no name"),
    ] {
        assert_eq!(reason(refused(text)), expected, "{text}");
    }
    for text in ["<a><!-- --></a>", "<a><![CDATA[]]></a>", "<a><?b?></a>"] {
        assert_eq!(
            reason(refused(text)),
            "comments, CDATA, document types and instructions are refused"
        );
    }
    assert_eq!(reason(refused("<!DOCTYPE a><a/>")), "no name");
    assert_eq!(reason(refused(&"<a>".repeat(1000))), "too many elements");
    let wide = format!("<a>{}</a>", "<b/>".repeat(5000));
    assert_eq!(reason(refused(&wide)), "too many elements");
    assert_eq!(reason(Rim::verify(b"<a>\xff", &roots(), NOW).unwrap_err()), "not UTF-8");
    let long = vec![b' '; Rim::LEN_MAX + 1];
    assert_eq!(reason(Rim::verify(&long, &roots(), NOW).unwrap_err()), "too long");
}

#[test]
fn structure() {
    for (text, what) in [
        ("<a/>", "a SoftwareIdentity"),
        (
            "<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\"/>",
            "Signature",
        ),
    ] {
        assert_eq!(refused(text), RimError::Structure { what });
    }
    let second = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/>";
    let what = "Signature";
    assert_eq!(changed("<Payload>", &format!("{second}<Payload>")), RimError::Structure { what });
    let what = "one signature";
    assert_eq!(changed("<Payload>", &format!("<Payload>{second}")), RimError::Structure { what });
    let what = "a reference to the whole document";
    assert_eq!(info("URI=\"\"", "URI=\"#a\""), RimError::Structure { what });
    let what = "nothing but certificates";
    assert_eq!(changed("<ds:X509Data>", "<ds:X509Data><a/>"), RimError::Structure { what });
    let what = "a certificate chain";
    let text = Manifest::driver().sign();
    let (head, tail) = text.split_once("<ds:X509Certificate>").unwrap();
    let (_, tail) = tail.split_once("</ds:X509Data>").unwrap();
    assert_eq!(refused(&format!("{head}</ds:X509Data>{tail}")), RimError::Structure { what });
    let what = "base64 where it belongs";
    assert_eq!(changed("<ds:DigestValue>", "<ds:DigestValue>?"), RimError::Structure { what });
}

#[test]
fn payload() {
    let one = || resource(1, true, &[&[1; 48]]);
    for (payload, what) in [
        (String::new(), "an active measurement"),
        (resource(1, false, &[&[1; 48]]), "an active measurement"),
        (format!("{}{}", one(), one()), "each measurement once"),
        ("<Resource></Resource>".into(), "nothing but measurements"),
        ("<a></a>".into(), "nothing but measurements"),
        (one().replace("index=\"1\"", "index=\"256\""), "well-formed measurements"),
        (one().replace("size=\"48\"", "size=\"47\""), "well-formed measurements"),
        (one().replace("alternatives=\"1\"", "alternatives=\"2\""), "well-formed measurements"),
        (one().replace("alternatives=\"1\"", "alternatives=\"0\""), "well-formed measurements"),
        (one().replace("\"True\"", "\"maybe\""), "well-formed measurements"),
        (one().replace("Hash0=\"01", "Hash0=\"0z"), "well-formed measurements"),
    ] {
        let outcome = Manifest::new("1", payload.clone()).verify();
        assert_eq!(outcome, Err(RimError::Structure { what }), "{payload}");
    }
    let what = "a version";
    assert_eq!(Manifest::new("", one()).verify(), Err(RimError::Structure { what }));
}

#[test]
fn algorithms() {
    let c14n = "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\">";
    let what = "a canonical form";
    assert_eq!(
        info(c14n, "<ds:CanonicalizationMethod Algorithm=\"\">"),
        RimError::Algorithm { what }
    );
    let what = "an algorithm";
    assert_eq!(info("ecdsa-sha384", "ecdsa-sha1"), RimError::Algorithm { what });
    let what = "a digest";
    assert_eq!(info("more#sha384", "more#md5"), RimError::Algorithm { what });
    let what = "transforms";
    assert_eq!(info("enveloped-signature", "base64"), RimError::Algorithm { what });
    let filter = "<ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"></ds:Transform>";
    assert_eq!(info("<ds:Transforms>", filter), RimError::Algorithm { what });
}

#[test]
fn digest() {
    assert_eq!(changed("550.90.07", "551.0"), RimError::Digest);
    assert_eq!(changed("<Payload>", "<Payload> "), RimError::Digest);
    assert_eq!(changed("&lt;", "&gt;"), RimError::Digest);
}

#[test]
fn signature() {
    let text = Manifest::driver().sign();
    let (head, tail) = text.split_once("<ds:SignatureValue>").unwrap();
    let (value, tail) = tail.split_once("</ds:SignatureValue>").unwrap();
    let first = if value.starts_with('A') { "B" } else { "A" };
    for forged in [format!("{first}{}", &value[1..]), String::new(), "AAAA".into()] {
        let text = format!("{head}<ds:SignatureValue>{forged}</ds:SignatureValue>{tail}");
        assert_eq!(refused(&text), RimError::Signature);
    }
    // What is signed is as it was, but for a namespace that it inherits.
    let text = text.replacen("<ds:Signature ", "<ds:Signature xmlns:i=\"u\" ", 1);
    assert_eq!(refused(&text), RimError::Signature);
}

#[test]
fn certificates() {
    let spki_sha256 = rim_root_key().spki_sha256();
    let text = Manifest::driver().sign();
    assert_eq!(
        Rim::verify(text.as_bytes(), &TrustRoots::vendors(), NOW),
        Err(RimError::UnknownRoot { spki_sha256 })
    );
    // A GPU's key, a CA's, another kind of key.
    let mut manifest = Manifest::driver();
    manifest.signer.extensions = vec![(TCB_INFO, false, composite_device_id(&FIRMWARE_ID))];
    assert_eq!(manifest.verify(), Err(RimError::Signer));
    let mut manifest = Manifest::driver();
    manifest.signer = manifest.signer.ca();
    assert_eq!(manifest.verify(), Err(RimError::Signer));
    let mut manifest = Manifest::driver();
    manifest.signer.spki = Key::p384(1).spki();
    assert_eq!(manifest.verify(), Err(RimError::Signature));
    for (from, until, expected) in [
        ("270101000000Z", "400101000000Z", RimError::NotYetValid),
        ("200101000000Z", "260101000000Z", RimError::Expired),
    ] {
        let mut manifest = Manifest::driver();
        (manifest.signer.not_before, manifest.signer.not_after) = (from, until);
        assert_eq!(manifest.verify(), Err(expected.clone()));
        let mut manifest = Manifest::driver();
        (manifest.root.not_before, manifest.root.not_after) = (from, until);
        assert_eq!(manifest.verify(), Err(expected));
    }
    let mut manifest = Manifest::driver();
    manifest.signer.issuer = crate::pki::name("Other");
    assert_eq!(manifest.verify(), Err(RimError::Chain(X509Error::WrongIssuer)));
    let text = Manifest::driver().sign();
    let (head, tail) = text.split_once("<ds:X509Certificate>").unwrap();
    let (_, tail) = tail.split_once("</ds:X509Certificate>").unwrap();
    let forged = crate::pki::base64(&Manifest::driver().signer.sign(&Key::p384(98)));
    assert_eq!(
        refused(&format!("{head}<ds:X509Certificate>{forged}</ds:X509Certificate>{tail}")),
        RimError::Chain(X509Error::Crypto(CryptoError::BadSignature))
    );
    assert_eq!(
        refused(&format!("{head}<ds:X509Certificate>MAA=</ds:X509Certificate>{tail}")),
        RimError::MalformedChain(X509Error::Malformed)
    );
}
