//! Certificate chains and revocation lists that must be refused, each for its own reason.

use crate::{
    machine::{
        BOOT_LOADER, CSP_ID, Chain, FMC, HARDWARE_ID, MICROCODE, NOW, PRODUCT_NAME, SNP, TEE,
        ark_key, ark_template, ask_key, ask_template, milan_vek, roots, set, small, turin_template,
        vek_template, vlek_template,
    },
    pki::{Key, Template, crl, name, pem, sequence, tlv},
};
use casemate_attestation::{
    Grade, TrustRoot, TrustRoots, Vendor,
    crypto::CryptoError,
    sev_snp::{Document, Error, KeyKind, Product, RawEndorsements, Vek, verify_vek},
    x509::X509Error,
};
use codec::{Decode, Encode};

const BAD_SIGNATURE: X509Error = X509Error::Crypto(CryptoError::BadSignature);

fn with_extension(id: &'static str, value: Option<Vec<u8>>) -> Result<Vek, Error> {
    let mut template = vek_template();
    set(&mut template, id, value);
    Chain::with_vek(&template).verify()
}

#[test]
fn good_chain_is_accepted_and_can_be_kept() {
    let vek = milan_vek();
    assert_eq!((vek.kind, vek.product), (KeyKind::Vcek, Product::Milan));
    assert_eq!(vek.grade, Grade::Software);
    assert_eq!((vek.serial.as_slice(), vek.ask_serial.as_slice()), (&[0][..], &[1, 0, 1][..]));
    assert_eq!(vek.root, ark_key().spki_sha256());
    // 2040-01-01 and a second.
    assert_eq!(vek.not_after, 2_208_988_801);
    assert_eq!(Vek::decode(&mut &vek.encode()[..]), Ok(vek));
}

#[test]
fn pem_is_as_good_as_der() {
    let chain = Chain::with_crl(&[]);
    let text = |der: &[u8]| pem("CERTIFICATE", der).into_bytes();
    let endorsements = RawEndorsements {
        vek: text(&chain.vek),
        ask: text(&chain.ask),
        ark: text(&chain.ark),
        crl: chain.crl.as_deref().map(|der| pem("X509 CRL", der).into_bytes()),
    };
    assert_eq!(endorsements.verify(&roots(), NOW), chain.verify());
}

#[test]
fn malformed() {
    let good = Chain::milan();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let source = X509Error::Malformed;
    for (document, chain) in [
        (Document::Vek, Chain { vek: cut(&good.vek), ..good.clone() }),
        (Document::Ask, Chain { ask: cut(&good.ask), ..good.clone() }),
        (Document::Ark, Chain { ark: cut(&good.ark), ..good.clone() }),
        (Document::Crl, Chain { crl: Some(b"0".to_vec()), ..good }),
    ] {
        assert_eq!(chain.verify(), Err(Error::Malformed { document, source }));
    }
}

#[test]
fn unknown_root() {
    let chain = Chain::milan();
    let spki_sha256 = ark_key().spki_sha256();
    // AMD's roots, under whose very names the chain pretends to be; and none at all.
    for trusted in [TrustRoots::vendors(), TrustRoots::default()] {
        assert_eq!(
            verify_vek(&chain.vek, &chain.ask, &chain.ark, None, &trusted, NOW),
            Err(Error::UnknownRoot { spki_sha256 })
        );
    }
}

#[test]
fn links() {
    let good = Chain::milan();
    let source = BAD_SIGNATURE;
    // The pinned key in a certificate that it has not signed.
    let ark = ark_template("Milan").sign(ask_key());
    let document = Document::Ark;
    assert_eq!(Chain { ark, ..good.clone() }.verify(), Err(Error::NotIssued { document, source }));
    let ask = ask_template("SEV-Milan", "Milan").sign(ask_key());
    let document = Document::Ask;
    assert_eq!(Chain { ask, ..good.clone() }.verify(), Err(Error::NotIssued { document, source }));
    let vek = vek_template().sign(ark_key());
    let document = Document::Vek;
    assert_eq!(Chain { vek, ..good.clone() }.verify(), Err(Error::NotIssued { document, source }));
    // A right signature under a wrong name.
    let mut template = vek_template();
    template.issuer = name("SEV-Other");
    let source = X509Error::WrongIssuer;
    assert_eq!(Chain::with_vek(&template).verify(), Err(Error::NotIssued { document, source }));
    // A key that may not sign certificates.
    let template = Template::new("SEV-Milan", "ARK-Milan", ask_key());
    let source = X509Error::IssuerNotAllowed;
    assert_eq!(
        Chain { ask: template.sign(ark_key()), ..good }.verify(),
        Err(Error::NotIssued { document, source })
    );
}

#[test]
fn times() {
    let good = Chain::milan();
    let with = |document, not_before, not_after| {
        let change = |mut template: Template| {
            template.not_before = not_before;
            template.not_after = not_after;
            template
        };
        match document {
            Document::Ark => {
                Chain { ark: change(ark_template("Milan")).sign(ark_key()), ..good.clone() }
            }
            Document::Ask => {
                let ask = change(ask_template("SEV-Milan", "Milan")).sign(ark_key());
                Chain { ask, ..good.clone() }
            }
            _ => Chain::with_vek(&change(vek_template())),
        }
    };
    for document in [Document::Ark, Document::Ask, Document::Vek] {
        let future = with(document, "270101000000Z", "400101000000Z");
        assert_eq!(future.verify(), Err(Error::NotYetValid { document }));
        let past = with(document, "200101000000Z", "260101000000Z");
        assert_eq!(past.verify(), Err(Error::Expired { document }));
        // 2027-01-01 and a second: the earliest end of all counts.
        let soon = with(document, "200101000000Z", "270101000000Z").verify().unwrap();
        assert_eq!(soon.not_after, 1_798_761_601);
    }
}

#[test]
fn kinds_of_keys() {
    let good = Chain::milan();
    let p384 = Key::p384(9);
    // An intermediate that AMD would never have.
    let mut template = ask_template("SEV-Milan", "Milan");
    template.spki = p384.spki();
    let chain = Chain { ask: template.sign(ark_key()), ..good.clone() };
    let expected = "RSA-4096";
    assert_eq!(chain.verify(), Err(Error::KeyKind { document: Document::Ask, expected }));
    // A root of that kind, although it is pinned.
    let root = Template::new("ARK-Milan", "ARK-Milan", &p384).ca().sign(ark_key());
    let pinned = TrustRoots::new([TrustRoot {
        vendor: Vendor::Amd,
        grade: Grade::Software,
        spki_sha256: p384.spki_sha256(),
    }]);
    let outcome = verify_vek(&good.vek, &good.ask, &root, None, &pinned, NOW);
    assert_eq!(outcome, Err(Error::KeyKind { document: Document::Ark, expected }));
    let mut template = vek_template();
    template.spki = ask_key().spki();
    let expected = "P-384";
    assert_eq!(
        Chain::with_vek(&template).verify(),
        Err(Error::KeyKind { document: Document::Vek, expected })
    );
}

#[test]
fn schemes() {
    let Key::Rsa(ask) = ask_key() else { panic!("no RSA key") };
    let vek = vek_template().sign(&Key::RsaPkcs1(ask.clone()));
    let document = Document::Vek;
    assert_eq!(Chain { vek, ..Chain::milan() }.verify(), Err(Error::Scheme { document }));
    let Key::Rsa(ark) = ark_key() else { panic!("no RSA key") };
    let ask = ask_template("SEV-Milan", "Milan").sign(&Key::RsaPkcs1(ark.clone()));
    let document = Document::Ask;
    assert_eq!(Chain { ask, ..Chain::milan() }.verify(), Err(Error::Scheme { document }));
}

#[test]
fn extensions() {
    for (id, name) in [
        (PRODUCT_NAME, "the product name"),
        (BOOT_LOADER, "the boot loader's security version"),
        (TEE, "the TEE's security version"),
        (SNP, "the SNP security version"),
        (MICROCODE, "the microcode's security version"),
    ] {
        assert_eq!(with_extension(id, None), Err(Error::MissingExtension { name }));
        // Another type, something behind it, too large a number, nothing.
        for value in [tlv(5, &[]), [small(3), vec![0]].concat(), tlv(2, &[1, 0]), Vec::new()] {
            assert_eq!(with_extension(id, Some(value)), Err(Error::BadExtension { name }));
        }
    }
    let name = "the chip id";
    for id in [vec![1; 63], vec![1; 65], vec![1; 8], vec![0; 64], Vec::new()] {
        assert_eq!(with_extension(HARDWARE_ID, Some(id)), Err(Error::BadExtension { name }));
    }
    // By the letter of the specification the chip id is an OCTET STRING.
    let wrapped = with_extension(HARDWARE_ID, Some(tlv(4, &[0xc5; 64]))).unwrap();
    assert_eq!(wrapped.chip_id, milan_vek().chip_id);
    let mut turin = turin_template();
    set(&mut turin, FMC, None);
    assert_eq!(
        Chain::of("Turin", "SEV-Turin", &turin).verify(),
        Err(Error::MissingExtension { name: "the FMC's security version" })
    );
}

#[test]
fn kinds_of_certificates() {
    assert_eq!(with_extension(HARDWARE_ID, None), Err(Error::VekKind));
    let provider = tlv(0x16, b"example-cloud");
    assert_eq!(with_extension(CSP_ID, Some(provider)), Err(Error::VekKind));
}

#[test]
fn products() {
    for name in [&b"Rome"[..], b"Venice", b"milan"] {
        let outcome = with_extension(PRODUCT_NAME, Some(tlv(0x16, name)));
        assert_eq!(outcome, Err(Error::UnknownProduct));
    }
    let (kind, product) = (KeyKind::Vcek, Product::Genoa);
    let outcome = with_extension(PRODUCT_NAME, Some(tlv(0x16, b"Genoa")));
    assert_eq!(outcome, Err(Error::WrongAsk { kind, product }));
}

#[test]
fn keys_for_chips_do_not_sign_for_clouds() {
    let product = Product::Milan;
    let mut template = vlek_template();
    template.issuer = name("SEV-Milan");
    assert_eq!(
        Chain::with_vek(&template).verify(),
        Err(Error::WrongAsk { kind: KeyKind::Vlek, product })
    );
    let mut template = vek_template();
    template.issuer = name("SEV-VLEK-Milan");
    assert_eq!(
        Chain::of("Milan", "SEV-VLEK-Milan", &template).verify(),
        Err(Error::WrongAsk { kind: KeyKind::Vcek, product })
    );
}

#[test]
fn serial() {
    let mut template = vek_template();
    template.serial = vec![1; 20];
    assert!(Chain::with_vek(&template).verify().is_ok());
    template.serial = vec![1; 21];
    assert_eq!(Chain::with_vek(&template).verify(), Err(Error::Serial));
}

#[test]
fn revocation() {
    let vek = Chain::with_crl(&[&[9]]).verify().unwrap();
    assert!(vek.revocation_checked);
    // The list's end, 2027-01-01, comes before the certificates'.
    assert_eq!(vek.not_after, 1_798_761_601);
    assert_eq!(Chain::with_crl(&[&[9], &[1, 0, 1]]).verify(), Err(Error::AskRevoked));
    assert_eq!(Chain::with_crl(&[&[0]]).verify(), Err(Error::VekRevoked));
}

#[test]
fn revocation_lists() {
    let document = Document::Crl;
    let good = Chain::with_crl(&[]);
    assert_eq!(good.verify_at(1_798_761_601), Err(Error::Expired { document }));
    assert_eq!(good.verify_at(1_767_225_599), Err(Error::NotYetValid { document }));
    let list = |issuer, key| crl(issuer, key, "260101000000Z", "270101000000Z", &[]);
    let source = X509Error::WrongIssuer;
    let crl = Some(list("SEV-Milan", ask_key()));
    assert_eq!(Chain { crl, ..good.clone() }.verify(), Err(Error::NotIssued { document, source }));
    let source = BAD_SIGNATURE;
    let crl = Some(list("ARK-Milan", ask_key()));
    assert_eq!(Chain { crl, ..good.clone() }.verify(), Err(Error::NotIssued { document, source }));
    // Not a list at all.
    let crl = Some(sequence(&[]));
    let source = X509Error::Malformed;
    assert_eq!(Chain { crl, ..good }.verify(), Err(Error::Malformed { document, source }));
}
