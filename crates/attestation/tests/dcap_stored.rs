//! Collateral that was verified once and stored, as a chain keeps it.

mod dcap_support;

use casemate_attestation::{
    Claims, Grade, TrustRoots,
    dcap::{
        Document, Endorsements, Error, Pck, PckCa, PckCrl, QeIdentity, Quote, RawCollateral,
        RootCrl, TcbInfo, verify, verify_pck, verify_pck_crl, verify_qe_identity, verify_root_crl,
        verify_tcb_info,
    },
    x509::Certificate,
};
use codec::{Decode, Encode};
use dcap_support::{
    pki::Key,
    world::{DAY, Form, NOW, World},
};

#[derive(Clone, Debug, Decode, Encode, PartialEq)]
struct Stored {
    root_crl: RootCrl,
    pck_crl: PckCrl,
    tcb_info: TcbInfo,
    qe_identity: QeIdentity,
    pck: Pck,
}

fn store(world: &World) -> Stored {
    let (roots, now) = (world.roots(), world.now);
    let collateral = world.collateral();
    let root = Certificate::from_der(&world.root.der()).expect("a certificate");
    let root_crl = verify_root_crl(&collateral.root_ca_crl, &root, &roots, now).expect("list");
    let pck_crl = verify_pck_crl(
        &collateral.pck_crl,
        collateral.pck_crl_issuer_chain.as_bytes(),
        &root_crl,
        &roots,
        now,
    )
    .expect("list");
    let tcb_info = verify_tcb_info(
        &collateral.tcb_info,
        signature(&collateral.tcb_info_signature),
        collateral.tcb_info_issuer_chain.as_bytes(),
        &root_crl,
        &roots,
        now,
    )
    .expect("TCB info");
    let qe_identity = verify_qe_identity(
        &collateral.qe_identity,
        signature(&collateral.qe_identity_signature),
        collateral.qe_identity_issuer_chain.as_bytes(),
        &root_crl,
        &roots,
        now,
    )
    .expect("identity");
    let pck = verify_pck(world.pck_chain().as_bytes(), &root_crl, &pck_crl, &roots, now)
        .expect("certificate");
    Stored { root_crl, pck_crl, tcb_info, qe_identity, pck }
}

fn signature(bytes: &[u8]) -> &[u8; 64] {
    bytes.try_into().expect("64 bytes")
}

impl Stored {
    fn verify(&self, world: &World, now: u64) -> Result<Claims, Error> {
        let endorsements = Endorsements {
            root_crl: &self.root_crl,
            pck: &self.pck,
            pck_crl: &self.pck_crl,
            tcb_info: &self.tcb_info,
            qe_identity: &self.qe_identity,
        };
        let quote = Quote::parse(&world.quote())?;
        verify(quote, &endorsements, now).map(|verified| verified.into_claims())
    }
}

#[test]
fn what_was_encoded_verifies_as_before() {
    for form in Form::ALL {
        let world = World::new(form);
        let stored = store(&world);
        let decoded = Stored::decode(&mut &stored.encode()[..]).expect("decodes");
        assert_eq!(decoded, stored);
        assert_eq!(decoded.pck.ca, PckCa::Platform);
        assert_eq!(decoded.verify(&world, NOW), world.verify(), "the whole road says the same");
    }
}

#[test]
fn it_expires_with_its_first_part() {
    let world = World::new(Form::TdxV4);
    let stored = store(&world);
    let not_after = stored.verify(&world, NOW).expect("verifies").not_after;
    assert_eq!(not_after, NOW + 20 * DAY + 1);
    assert!(stored.verify(&world, not_after - 1).is_ok());
    assert_eq!(stored.verify(&world, not_after), Err(Error::Expired(Document::TcbInfo)));
    // The root's revocation list limits everything that was checked against it.
    let mut short = World::new(Form::TdxV4);
    short.root_crl.next_update = Some(NOW + DAY);
    let stored = store(&short);
    assert_eq!(stored.verify(&short, NOW).expect("verifies").not_after, NOW + DAY + 1);
    assert!(stored.verify(&short, NOW + DAY + 1).is_err());
    // Nor does it serve before its time.
    assert_eq!(stored.verify(&short, NOW - 2 * DAY), Err(Error::NotYetValid(Document::PckCrl)));
}

#[test]
fn a_newer_revocation_list_counts() {
    let world = World::new(Form::TdxV4);
    let mut stored = store(&world);
    let mut newer = world.clone();
    newer.pck_crl.revoked = vec![world.pck.serial];
    let collateral = newer.collateral();
    stored.pck_crl = verify_pck_crl(
        &collateral.pck_crl,
        collateral.pck_crl_issuer_chain.as_bytes(),
        &stored.root_crl,
        &world.roots(),
        NOW,
    )
    .expect("list");
    assert_eq!(
        stored.verify(&world, NOW),
        Err(Error::RevokedCertificate(Document::PckCertificate))
    );
}

#[test]
fn whom_the_root_revokes_later_is_refused_with_what_was_stored_before() {
    let world = World::new(Form::TdxV4);
    let root = Certificate::from_der(&world.root.der()).expect("a certificate");
    let under_list_with = |serials: Vec<u64>| {
        let mut newer = world.clone();
        newer.root_crl.revoked = serials;
        let root_crl = verify_root_crl(&newer.root_crl.der(), &root, &world.roots(), NOW);
        Stored { root_crl: root_crl.expect("list"), ..store(&world) }
    };
    let refused = |stored: &Stored| match stored.verify(&world, NOW) {
        Err(Error::RevokedCertificate(document)) => document,
        other => panic!("{other:?}"),
    };
    let nobody = vec![0x7f; 3];
    assert!(under_list_with(vec![0x7f_7f_7f]).verify(&world, NOW).is_ok());
    let ca = under_list_with(vec![world.pck_ca.serial]);
    assert_eq!(refused(&ca), Document::PckCertificate);
    let signers = under_list_with(vec![world.tcb_signer.serial, world.qe_signer.serial]);
    assert_eq!(refused(&signers), Document::TcbInfoIssuer);
    // Each by itself, whatever the others are.
    let mut one = ca;
    one.pck.ca_serial = nobody.clone();
    assert_eq!(refused(&one), Document::PckCrlIssuer);
    let mut one = signers;
    one.tcb_info.signer_serial = nobody;
    assert_eq!(refused(&one), Document::QeIdentityIssuer);
}

#[test]
fn the_root_s_list_is_of_the_same_root_and_of_now() {
    let world = World::new(Form::TdxV4);
    let mut stored = store(&world);
    let not_after = stored.verify(&world, NOW).expect("verifies").not_after;
    stored.root_crl.not_after = NOW + DAY;
    assert_eq!(stored.verify(&world, NOW).expect("verifies").not_after, NOW + DAY + 1);
    assert!(not_after > NOW + DAY + 1);
    let expired = Err(Error::Expired(Document::RootCrl));
    assert_eq!(stored.verify(&world, NOW + DAY + 1), expired);
    stored.root_crl = store(&other_world()).root_crl;
    assert_eq!(stored.verify(&world, NOW), Err(Error::OtherRoot(Document::RootCrl)));
}

/// A second Intel: the same names, other keys.
fn other_world() -> World {
    let mut other = World::new(Form::TdxV4);
    other.trusted = Key::new(101);
    other.grade = Grade::Hardware;
    other.root.key = Key::new(101);
    for certificate in [
        &mut other.root,
        &mut other.pck_ca,
        &mut other.tcb_signer,
        &mut other.qe_signer,
        &mut other.pck_crl_issuer,
    ] {
        certificate.signer = Key::new(101);
    }
    other.root_crl.signer = Key::new(101);
    other
}

#[test]
fn parts_of_different_roots_do_not_mix() {
    let world = World::new(Form::TdxV4);
    let other = other_world();
    let (mine, theirs) = (store(&world), store(&other));
    assert!(theirs.verify(&other, NOW).is_ok());

    let mut mixed = mine.clone();
    mixed.pck_crl.root_spki_sha256 = theirs.pck_crl.root_spki_sha256;
    assert_eq!(mixed.verify(&world, NOW), Err(Error::OtherRoot(Document::PckCrlIssuer)));
    let mut mixed = mine.clone();
    mixed.tcb_info = theirs.tcb_info.clone();
    assert_eq!(mixed.verify(&world, NOW), Err(Error::OtherRoot(Document::TcbInfoIssuer)));
    let mut mixed = mine.clone();
    mixed.qe_identity = theirs.qe_identity;
    assert_eq!(mixed.verify(&world, NOW), Err(Error::OtherRoot(Document::QeIdentityIssuer)));

    // A list of one root does not serve for a chain of the other, even if both are trusted.
    let both = TrustRoots::new(world.roots().iter().chain(other.roots().iter()).copied());
    let collateral = world.collateral();
    assert_eq!(
        verify_pck_crl(
            &collateral.pck_crl,
            collateral.pck_crl_issuer_chain.as_bytes(),
            &theirs.root_crl,
            &both,
            NOW
        ),
        Err(Error::OtherRoot(Document::PckCrlIssuer))
    );
    assert_eq!(
        verify_pck(world.pck_chain().as_bytes(), &theirs.root_crl, &mine.pck_crl, &both, NOW),
        Err(Error::OtherRoot(Document::PckCertificate))
    );
}

#[test]
fn the_grade_is_that_of_the_root() {
    let other = other_world();
    assert_eq!(other.verify().expect("verifies").grade, Grade::Hardware);
    assert_eq!(World::new(Form::TdxV4).verify().expect("verifies").grade, Grade::Software);
}

#[test]
fn raw_collateral_travels_as_json_and_scale() {
    let sample = dcap_support::sample("tdx_quote_td15ex");
    let json = serde_json::to_string(&sample.collateral).expect("JSON");
    let again: RawCollateral = serde_json::from_str(&json).expect("collateral");
    assert_eq!(again, sample.collateral);
    let decoded = RawCollateral::decode(&mut &sample.collateral.encode()[..]).expect("decodes");
    assert_eq!(decoded, sample.collateral);
    // The same members as dcap-qvl writes.
    let ours: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let theirs: serde_json::Value = serde_json::from_str(&sample.collateral_json).expect("JSON");
    assert_eq!(ours, theirs);
}
