//! Revocation lists that are verified once and kept, and keys under them.

use crate::{
    machine::{
        Chain, Draft, NOW, ark_key, ark_template, ask_key, milan_vek, roots, vek_template,
        vlek_template,
    },
    pki::{Key, crl, pem},
    real::MILAN_CHAIN,
};
use casemate_attestation::{
    Grade, TrustRoot, TrustRoots, Vendor,
    crypto::CryptoError,
    roots::AMD_ARK_MILAN,
    sev_snp::{AmdCrl, Document, Error, verify, verify_amd_crl},
    x509::{Certificate, X509Error},
};
use codec::{Decode, Encode};

const DOCUMENT: Document = Document::Crl;
/// 2026-01-01 and 2027-01-01, both 00:00:00.
const FROM: u64 = 1_767_225_600;
const UNTIL: u64 = 1_798_761_600;
/// Serial number of the ASK.
const ASK: &[u8] = &[1, 0, 1];

fn list(revoked: &[&[u8]]) -> AmdCrl {
    list_of("260101000000Z", "270101000000Z", revoked)
}

fn list_of(from: &str, until: &str, revoked: &[&[u8]]) -> AmdCrl {
    let crl = crl("ARK-Milan", ark_key(), from, until, revoked);
    verify_amd_crl(&crl, &Chain::milan().ark, &roots(), NOW).unwrap()
}

fn verify_list(crl: &[u8], ark: &[u8]) -> Result<AmdCrl, Error> {
    verify_amd_crl(crl, ark, &roots(), NOW)
}

#[test]
fn a_list_is_verified_and_can_be_kept() {
    let list = list(&[&[9], &[2, 0], &[9]]);
    assert_eq!((list.root, list.grade), (ark_key().spki_sha256(), Grade::Software));
    assert_eq!((list.not_before, list.not_after), (FROM, UNTIL));
    assert_eq!(list.revoked.len(), 2, "each once");
    for (serial, revoked) in [
        (&[9][..], true),
        (&[2, 0], true),
        (&[2], false),
        (&[9, 0], false),
        (&[0, 9], false),
        (&[], false),
        (&[9; 21], false),
    ] {
        assert_eq!(list.is_revoked(serial), revoked, "{serial:?}");
    }
    assert_eq!(AmdCrl::decode(&mut &list.encode()[..]), Ok(list));
}

#[test]
fn pem_is_as_good_as_der() {
    let (der, ark) = (Chain::with_crl(&[&[9]]).crl.unwrap(), Chain::milan().ark);
    let text = (pem("X509 CRL", &der), pem("CERTIFICATE", &ark));
    assert_eq!(verify_list(text.0.as_bytes(), text.1.as_bytes()), verify_list(&der, &ark));
}

#[test]
fn a_key_counts_under_a_list_and_no_longer_than_it() {
    let bare = milan_vek();
    let vek = bare.clone().under(&list(&[&[9]]), NOW).unwrap();
    assert!(vek.revocation_checked && !bare.revocation_checked);
    assert_eq!(vek.not_after, UNTIL + 1);
    // As if it had been given with the certificates.
    assert_eq!(vek, Chain::with_crl(&[&[9]]).verify().unwrap());
    assert!(Draft::milan().appraise(&vek).is_ok());
    // A newer list makes it count for longer: nothing has to be verified again.
    let newer = list_of("260601000000Z", "270601000000Z", &[]);
    assert!(bare.under(&newer, NOW).unwrap().not_after > vek.not_after);
}

#[test]
fn a_key_counts_no_longer_than_its_certificates() {
    let later = list_of("260101000000Z", "490101000000Z", &[]);
    let ark_end = 2_208_988_800;
    assert_eq!(later.not_after, ark_end, "no longer than its root");
    let vek = milan_vek();
    assert_eq!(vek.clone().under(&later, NOW).unwrap().not_after, vek.not_after);
}

#[test]
fn what_is_revoked_is_refused() {
    let vek = milan_vek();
    for (revoked, error) in [
        (&[&[9][..], ASK][..], Error::AskRevoked),
        (&[&[0][..]][..], Error::VekRevoked),
        (&[&[0][..], ASK][..], Error::AskRevoked),
    ] {
        let list = list(revoked);
        assert!(list.revokes(&vek));
        assert_eq!(vek.clone().under(&list, NOW), Err(error));
    }
    assert!(!list(&[&[9], &[1, 0, 2]]).revokes(&vek));
    // A cloud provider's key, too.
    let mut template = vlek_template();
    template.serial = vec![0x0c, 0x01];
    let vlek = Chain::of("Milan", "SEV-VLEK-Milan", &template).verify().unwrap();
    assert_eq!(vlek.clone().under(&list(&[&[0x0c, 0x01]]), NOW), Err(Error::VekRevoked));
    assert_eq!(vlek.under(&list(&[ASK]), NOW), Err(Error::AskRevoked));
}

#[test]
fn revoked_stays_revoked_when_the_list_expires() {
    let list = list(&[ASK]);
    assert_eq!(milan_vek().under(&list, UNTIL + 1), Err(Error::AskRevoked));
    assert_eq!(milan_vek().under(&list, FROM - 1), Err(Error::AskRevoked));
}

#[test]
fn a_list_is_good_for_its_time_only() {
    let (good, vek) = (list(&[]), milan_vek());
    let under = |now| vek.clone().under(&good, now).map(|_| ());
    assert_eq!(under(FROM), Ok(()));
    assert_eq!(under(UNTIL), Ok(()));
    assert_eq!(under(FROM - 1), Err(Error::NotYetValid { document: DOCUMENT }));
    assert_eq!(under(UNTIL + 1), Err(Error::Expired { document: DOCUMENT }));
    let (crl, ark) = (Chain::with_crl(&[]).crl.unwrap(), Chain::milan().ark);
    let at = |now| verify_amd_crl(&crl, &ark, &roots(), now).map(|_| ());
    assert_eq!(at(FROM - 1), Err(Error::NotYetValid { document: DOCUMENT }));
    assert_eq!(at(UNTIL + 1), Err(Error::Expired { document: DOCUMENT }));
    // And so is evidence under it.
    let vek = vek.under(&good, NOW).unwrap();
    let report = || casemate_attestation::sev_snp::Report::parse(&Draft::milan().sign()).unwrap();
    assert!(verify(report(), &vek, None, UNTIL).is_ok());
    let document = Document::Vek;
    assert_eq!(
        verify(report(), &vek, None, UNTIL + 1).map(|_| ()),
        Err(Error::Expired { document })
    );
}

#[test]
fn a_list_says_nothing_about_another_line_or_grade() {
    let vek = milan_vek();
    // The same key as a root of hardware: its list is not the software root's.
    let root = TrustRoot {
        vendor: Vendor::Amd,
        grade: Grade::Hardware,
        spki_sha256: ark_key().spki_sha256(),
    };
    let (crl, ark) = (Chain::with_crl(&[ASK]).crl.unwrap(), Chain::milan().ark);
    let of_hardware = verify_amd_crl(&crl, &ark, &TrustRoots::new([root]), NOW).unwrap();
    assert_eq!(vek.clone().under(&of_hardware, NOW), Err(Error::CrlOfOtherRoot));
    // Another line's: another key.
    let mut of_genoa = list(&[ASK]);
    of_genoa.root = [7; 32];
    assert!(!of_genoa.revokes(&vek));
    assert_eq!(vek.under(&of_genoa, NOW), Err(Error::CrlOfOtherRoot));
}

#[test]
fn only_a_trusted_root_s_own_list_counts() {
    let (good, ark) = (Chain::with_crl(&[]).crl.unwrap(), Chain::milan().ark);
    let vendors = TrustRoots::vendors();
    let spki_sha256 = ark_key().spki_sha256();
    assert_eq!(verify_amd_crl(&good, &ark, &vendors, NOW), Err(Error::UnknownRoot { spki_sha256 }));
    // AMD's own root, which did not sign it.
    let milan_ark = Certificate::chain_from_pem(MILAN_CHAIN).unwrap().pop().unwrap();
    assert_eq!(milan_ark.spki_sha256(), AMD_ARK_MILAN);
    let document = Document::Crl;
    assert_eq!(
        verify_amd_crl(&good, milan_ark.der(), &vendors, NOW),
        Err(Error::NotIssued { document, source: X509Error::WrongIssuer })
    );
    let source = X509Error::Crypto(CryptoError::BadSignature);
    let by_ask = crl("ARK-Milan", ask_key(), "260101000000Z", "270101000000Z", &[]);
    assert_eq!(verify_list(&by_ask, &ark), Err(Error::NotIssued { document, source }));
    // A certificate that says it is the root's, with the root's key, that the root did not sign.
    let posing = ark_template("Milan").sign(ask_key());
    let document = Document::Ark;
    assert_eq!(verify_list(&good, &posing), Err(Error::NotIssued { document, source }));
    // The key of the root, signed in another way than AMD's.
    let Key::Rsa(key) = ark_key() else { panic!("no RSA key") };
    let other_scheme = ark_template("Milan").sign(&Key::RsaPkcs1(key.clone()));
    assert_eq!(verify_list(&good, &other_scheme), Err(Error::Scheme { document }));
}

#[test]
fn times_of_the_root_s_certificate_count() {
    let good = Chain::with_crl(&[]).crl.unwrap();
    let document = Document::Ark;
    for (from, until, error) in [
        ("200101000000Z", "260102000000Z", Error::Expired { document }),
        ("270101000000Z", "400101000000Z", Error::NotYetValid { document }),
    ] {
        let mut template = ark_template("Milan");
        (template.not_before, template.not_after) = (from, until);
        assert_eq!(verify_list(&good, &template.sign(ark_key())), Err(error));
    }
}

#[test]
fn a_root_that_revokes_itself_is_refused() {
    let ark = Chain::milan().ark;
    let crl = Chain::with_crl(&[&[1]]).crl.unwrap();
    assert_eq!(verify_list(&crl, &ark), Err(Error::ArkRevoked));
    assert_eq!(Chain::with_crl(&[&[1]]).verify(), Err(Error::ArkRevoked));
}

#[test]
fn unreadable_lists_and_roots_are_refused() {
    let (good, ark) = (Chain::with_crl(&[&[9]]).crl.unwrap(), Chain::milan().ark);
    for length in 0..good.len().min(200) {
        let refused = verify_list(&good[..length], &ark).unwrap_err();
        assert!(matches!(refused, Error::Malformed { document: Document::Crl, .. }));
    }
    let refused = verify_list(&good, &ark[..100]).unwrap_err();
    assert!(matches!(refused, Error::Malformed { document: Document::Ark, .. }));
    // A list is no certificate, and the other way round.
    assert!(verify_list(&ark, &good).is_err());
    for at in [30, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(verify_list(&bad, &ark).is_err(), "byte {at}");
    }
}

#[test]
fn older_and_equal_lists_change_nothing() {
    let newest = list_of("260601000000Z", "270601000000Z", &[&[9], ASK]);
    let mut kept = newest.clone();
    for other in [
        newest.clone(),
        list_of("260101000000Z", "270101000000Z", &[]),
        list_of("260101000000Z", "280101000000Z", &[&[9]]),
        list_of("260601000000Z", "270501000000Z", &[ASK]),
    ] {
        assert!(!kept.absorb(&other));
        assert_eq!(kept, newest);
    }
    // One of another root or grade, however new.
    let mut other = list_of("260701000000Z", "270701000000Z", &[&[5]]);
    other.root = [7; 32];
    assert!(!kept.absorb(&other));
    (other.root, other.grade) = (kept.root, Grade::Hardware);
    assert!(!kept.absorb(&other));
    assert_eq!(kept, newest);
}

#[test]
fn lists_only_grow() {
    let mut kept = list_of("260101000000Z", "270101000000Z", &[ASK]);
    // A newer one without the entry does not lift it.
    let newer = list_of("260601000000Z", "270601000000Z", &[&[9]]);
    assert!(kept.absorb(&newer));
    assert_eq!((kept.not_before, kept.not_after), (newer.not_before, newer.not_after));
    assert!(kept.is_revoked(ASK) && kept.is_revoked(&[9]));
    // An older one that names another certificate, as the list at AMD's other address may: what it
    // revokes counts, its times do not.
    let other = list_of("260301000000Z", "290301000000Z", &[&[4], &[9]]);
    assert!(kept.absorb(&other));
    assert_eq!((kept.not_before, kept.not_after), (newer.not_before, newer.not_after));
    assert!([ASK, &[9], &[4]].iter().all(|serial| kept.is_revoked(serial)));
    assert_eq!(kept.revoked.len(), 3);
    assert!(!kept.absorb(&other), "once");
}

#[test]
fn a_certificate_for_the_machine_itself_does_not_need_a_list() {
    // The road without a chain: what nobody has looked up is said not to be looked up.
    let vek = Chain::with_vek(&vek_template()).verify().unwrap();
    assert!(!vek.revocation_checked);
    assert!(Draft::milan().appraise(&vek).is_ok());
}
