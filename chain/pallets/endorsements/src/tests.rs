use crate::{mock::*, *};
use casemate_attestation::{
    dcap::{fmspc_of, Pck, PckCa, PckCrl, QeIdentity, Quote, RawCollateral, RootCrl, TcbInfo},
    sev_snp::{Product, TcbVersion},
    Grade, TeeKind, TrustRoot, Vendor,
};
use frame_support::{assert_noop, assert_ok, dispatch::Pays};
use sp_runtime::{AccountId32, DispatchError};

type Origin = <Test as frame_system::Config>::RuntimeOrigin;

/// While the samples' collateral is valid: 2026-10-15 and 2025-06-25.
const TD15_VALID: u64 = 1_792_022_400;
const TDX_VALID: u64 = 1_750_809_600;

macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!("../../../../crates/attestation/tests/data/dcap/", $name))
    };
}

fn anyone() -> Origin {
    Origin::signed(AccountId32::new([7; 32]))
}

fn td15() -> RawCollateral {
    serde_json::from_slice(data!("tdx_quote_td15ex_collateral.json")).expect("the sample parses")
}

fn tdx() -> RawCollateral {
    serde_json::from_slice(data!("tdx_quote_collateral.json")).expect("the sample parses")
}

/// PEM of the PCK chain inside a quote.
fn pck_chain(quote: &[u8]) -> Vec<u8> {
    let quote = Quote::parse(quote).expect("the sample parses");
    quote.certification().data.to_vec()
}

fn bounded<const N: u32>(bytes: &[u8]) -> BoundedVec<u8, ConstU32<N>> {
    bytes.to_vec().try_into().expect("fits")
}

fn signature(bytes: &[u8]) -> [u8; 64] {
    bytes.try_into().expect("64 bytes")
}

fn submit_root_crl(of: &RawCollateral) -> DispatchResultWithPostInfo {
    Endorsements::submit_root_crl(
        anyone(),
        bounded(&of.root_ca_crl),
        bounded(of.pck_crl_issuer_chain.as_bytes()),
    )
}

fn submit_pck_crl(of: &RawCollateral) -> DispatchResultWithPostInfo {
    Endorsements::submit_pck_crl(
        anyone(),
        bounded(&of.pck_crl),
        bounded(of.pck_crl_issuer_chain.as_bytes()),
    )
}

fn submit_tcb_info(of: &RawCollateral) -> DispatchResultWithPostInfo {
    Endorsements::submit_tcb_info(
        anyone(),
        bounded(of.tcb_info.as_bytes()),
        signature(&of.tcb_info_signature),
        bounded(of.tcb_info_issuer_chain.as_bytes()),
    )
}

fn submit_qe_identity(of: &RawCollateral) -> DispatchResultWithPostInfo {
    Endorsements::submit_qe_identity(
        anyone(),
        bounded(of.qe_identity.as_bytes()),
        signature(&of.qe_identity_signature),
        bounded(of.qe_identity_issuer_chain.as_bytes()),
    )
}

fn checked(test: impl FnOnce()) {
    new_test_ext().execute_with(|| {
        test();
        assert_ok!(Endorsements::do_try_state());
    });
}

#[test]
fn intels_own_collateral_is_verified_and_kept() {
    checked(|| {
        Now::set(TD15_VALID);
        let raw = td15();
        assert_ok!(submit_root_crl(&raw));
        assert_ok!(submit_pck_crl(&raw));
        assert_ok!(submit_tcb_info(&raw));
        assert_ok!(submit_qe_identity(&raw));
        let chain = pck_chain(data!("tdx_quote_td15ex"));
        assert_ok!(Endorsements::submit_pck(anyone(), bounded(&chain)));

        let (digest, pck) = Pcks::<Test>::iter().next().expect("one PCK");
        let pck = pck.get().expect("decodes");
        assert_eq!(pck.grade, Grade::Hardware);
        let leaf = &casemate_attestation::x509::Certificate::chain_from_pem(&chain).unwrap()[0];
        assert_eq!(digest, sp_io::hashing::sha2_256(leaf.der()));
        assert_eq!(Some(pck.fmspc), fmspc_of(leaf));
        let info = TcbInfos::<Test>::get((Grade::Hardware, TeeKind::IntelTdx, pck.fmspc));
        assert_eq!(info.unwrap().get().unwrap().fmspc, pck.fmspc);
        assert!(QeIdentities::<Test>::get(Grade::Hardware, TeeKind::IntelTdx).is_some());
        assert!(PckCrls::<Test>::get(Grade::Hardware, pck.ca).is_some());
    });
}

#[test]
fn what_is_new_to_the_chain_is_free_and_the_same_again_is_refused() {
    checked(|| {
        Now::set(TD15_VALID);
        let raw = td15();
        assert_eq!(submit_root_crl(&raw).unwrap().pays_fee, Pays::No);
        assert_eq!(submit_root_crl(&raw).unwrap_err().error, Error::<Test>::NotNewer.into());
        assert_eq!(submit_pck_crl(&raw).unwrap().pays_fee, Pays::No);
        assert_eq!(submit_pck_crl(&raw).unwrap_err().error, Error::<Test>::NotNewer.into());
        assert_eq!(submit_tcb_info(&raw).unwrap().pays_fee, Pays::No);
        assert_eq!(submit_tcb_info(&raw).unwrap_err().error, Error::<Test>::NotNewer.into());
        assert_eq!(submit_tcb_info(&raw).unwrap_err().post_info.pays_fee, Pays::Yes);
        assert_eq!(submit_qe_identity(&raw).unwrap().pays_fee, Pays::No);
        assert_eq!(submit_qe_identity(&raw).unwrap_err().error, Error::<Test>::NotNewer.into());
        let chain = pck_chain(data!("tdx_quote_td15ex"));
        assert_ok!(Endorsements::submit_pck(anyone(), bounded(&chain)));
        assert_noop!(Endorsements::submit_pck(anyone(), bounded(&chain)), Error::<Test>::Known);
    });
}

/// All that the chain keeps of Intel's, but certificates.
fn kept() -> impl PartialEq + core::fmt::Debug {
    (
        RootCrls::<Test>::iter().collect::<Vec<_>>(),
        PckCrls::<Test>::iter().collect::<Vec<_>>(),
        TcbInfos::<Test>::iter().collect::<Vec<_>>(),
        QeIdentities::<Test>::iter().collect::<Vec<_>>(),
    )
}

/// A chain with the newer sample's collateral, filed where the older sample's belongs too, at a time
/// when the older one is valid: a chain's clock never goes back, here it does, so that age decides.
fn with_newer_than_it_would_get(test: impl FnOnce()) {
    checked(|| {
        Now::set(TD15_VALID);
        let newer = td15();
        assert_ok!(submit_root_crl(&newer));
        assert_ok!(submit_pck_crl(&newer));
        assert_ok!(submit_tcb_info(&newer));
        assert_ok!(submit_qe_identity(&newer));
        // The samples are of two processors.
        let older = Quote::parse(data!("tdx_quote")).expect("the sample parses");
        let leaf = &older.pck_chain().expect("it has one").expect("it reads")[0];
        let fmspc = fmspc_of(leaf).expect("Intel's form");
        let (_, info) = TcbInfos::<Test>::iter().next().expect("TCB info");
        let mut info = info.get().expect("decodes");
        info.fmspc = fmspc;
        let key = (info.grade, info.kind, fmspc);
        TcbInfos::<Test>::insert(key, Stored::new(&info).expect("fits"));
        assert!(PckCrls::<Test>::contains_key(Grade::Hardware, PckCa::Platform));
        Now::set(TDX_VALID);
        test();
    });
}

/// Lets the older sample's list of revoked CAs be the chain's, under which the rest is verified.
fn with_the_older_root_list<R>(test: impl FnOnce() -> R) -> R {
    let newer = RootCrls::<Test>::take(Grade::Hardware).expect("it is there");
    assert_ok!(submit_root_crl(&tdx()));
    let result = test();
    RootCrls::<Test>::insert(Grade::Hardware, newer);
    result
}

#[test]
fn older_collateral_never_replaces_newer() {
    with_newer_than_it_would_get(|| {
        let before = kept();
        let not_newer: DispatchError = Error::<Test>::NotNewer.into();
        assert_eq!(submit_root_crl(&tdx()).unwrap_err().error, not_newer);
        with_the_older_root_list(|| {
            assert_eq!(submit_pck_crl(&tdx()).unwrap_err().error, not_newer);
            assert_eq!(submit_tcb_info(&tdx()).unwrap_err().error, not_newer);
            assert_eq!(submit_qe_identity(&tdx()).unwrap_err().error, not_newer);
        });
        assert_eq!(kept(), before);
        // Nothing but its age was against it.
        let _ = RootCrls::<Test>::clear(u32::MAX, None);
        let _ = PckCrls::<Test>::clear(u32::MAX, None);
        let _ = TcbInfos::<Test>::clear(u32::MAX, None);
        let _ = QeIdentities::<Test>::clear(u32::MAX, None);
        assert_ok!(submit_root_crl(&tdx()));
        assert_ok!(submit_pck_crl(&tdx()));
        assert_ok!(submit_tcb_info(&tdx()));
        assert_ok!(submit_qe_identity(&tdx()));
    });
}

#[test]
fn what_a_removed_root_has_left_is_not_newer_than_anything() {
    // As if it had been verified under a root that is trusted no more.
    macro_rules! under_a_removed_root {
        ($map:ident, $value:ty) => {
            $map::<Test>::translate_values(|stored: Stored<$value>| {
                let mut value = stored.get()?;
                value.root_spki_sha256 = [9; 32];
                Stored::new(&value)
            })
        };
    }
    with_newer_than_it_would_get(|| {
        let chain = bounded(&pck_chain(data!("tdx_quote")));
        under_a_removed_root!(RootCrls, RootCrl);
        under_a_removed_root!(PckCrls, PckCrl);
        under_a_removed_root!(TcbInfos, TcbInfo);
        under_a_removed_root!(QeIdentities, QeIdentity);
        assert_ok!(submit_root_crl(&tdx()));
        assert_ok!(submit_pck_crl(&tdx()));
        assert_ok!(submit_tcb_info(&tdx()));
        assert_ok!(submit_qe_identity(&tdx()));
        assert_ok!(Endorsements::submit_pck(anyone(), chain));
        let chain: Chain = bounded(&pck_chain(data!("tdx_quote")));
        assert_noop!(Endorsements::submit_pck(anyone(), chain.clone()), Error::<Test>::Known);
        under_a_removed_root!(Pcks, Pck);
        assert_ok!(Endorsements::submit_pck(anyone(), chain));
    });
}

#[test]
fn collateral_needs_the_list_of_revoked_cas_first() {
    checked(|| {
        Now::set(TD15_VALID);
        let raw = td15();
        let missing: DispatchError = Error::<Test>::RootCrlMissing.into();
        assert_eq!(submit_pck_crl(&raw).unwrap_err().error, missing);
        assert_eq!(submit_tcb_info(&raw).unwrap_err().error, missing);
        assert_eq!(submit_qe_identity(&raw).unwrap_err().error, missing);
        let chain = bounded(&pck_chain(data!("tdx_quote_td15ex")));
        assert_noop!(
            Endorsements::submit_pck(anyone(), chain.clone()),
            Error::<Test>::RootCrlMissing
        );
        assert_ok!(submit_root_crl(&raw));
        assert_noop!(Endorsements::submit_pck(anyone(), chain), Error::<Test>::PckCrlMissing);
    });
}

#[test]
fn forged_expired_and_unreadable_collateral_is_refused() {
    checked(|| {
        Now::set(TD15_VALID);
        let good = td15();
        assert_ok!(submit_root_crl(&good));
        let refused: DispatchError = Error::<Test>::NotVerified.into();

        let mut raw = td15();
        raw.tcb_info = raw.tcb_info.replacen("UpToDate", "UpT0Date", 1);
        assert_eq!(submit_tcb_info(&raw).unwrap_err().error, refused);
        let mut raw = td15();
        raw.tcb_info_signature[5] ^= 1;
        assert_eq!(submit_tcb_info(&raw).unwrap_err().error, refused);
        let mut raw = td15();
        raw.tcb_info = "{}".into();
        assert_eq!(submit_tcb_info(&raw).unwrap_err().error, refused);
        // Signed by the same key, but another kind of document.
        let mut raw = td15();
        raw.tcb_info = raw.qe_identity.clone();
        raw.tcb_info_signature = raw.qe_identity_signature.clone();
        assert_eq!(submit_tcb_info(&raw).unwrap_err().error, refused);
        let mut raw = td15();
        raw.pck_crl[40] ^= 1;
        assert_eq!(submit_pck_crl(&raw).unwrap_err().error, refused);
        let mut raw = td15();
        raw.tcb_info_issuer_chain = raw.pck_crl_issuer_chain.clone();
        assert_eq!(submit_tcb_info(&raw).unwrap_err().error, refused);
        // A year later all of it has expired.
        Now::set(TD15_VALID + 365 * 86_400);
        assert_eq!(submit_tcb_info(&good).unwrap_err().error, refused);
        assert_eq!(submit_qe_identity(&good).unwrap_err().error, refused);
        assert!(TcbInfos::<Test>::iter().next().is_none());
    });
}

#[test]
fn without_the_vendors_root_nothing_is_believed() {
    checked(|| {
        Now::set(TD15_VALID);
        for root in Roots::<Test>::get() {
            assert_ok!(Endorsements::remove_root(Origin::root(), root));
        }
        assert_eq!(submit_root_crl(&td15()).unwrap_err().error, Error::<Test>::NotVerified.into());
    });
}

#[test]
fn governance_alone_names_roots_and_never_software_ones() {
    checked(|| {
        let key = [9; 32];
        assert_noop!(
            Endorsements::add_root(anyone(), Vendor::Intel, key),
            DispatchError::BadOrigin
        );
        let root = Roots::<Test>::get()[0];
        assert_noop!(Endorsements::remove_root(anyone(), root), DispatchError::BadOrigin);
        let minimum = TcbVersion::from_bytes([0; 8], Product::Milan).unwrap();
        assert_noop!(
            Endorsements::set_snp_minimum(anyone(), Product::Milan, minimum),
            DispatchError::BadOrigin
        );

        assert_ok!(Endorsements::add_root(Origin::root(), Vendor::Intel, key));
        let added = *Roots::<Test>::get().last().unwrap();
        assert_eq!(added.grade, Grade::Hardware);
        assert_noop!(
            Endorsements::add_root(Origin::root(), Vendor::Intel, key),
            Error::<Test>::Known
        );
        assert_ok!(Endorsements::remove_root(Origin::root(), added));
        assert_noop!(Endorsements::remove_root(Origin::root(), added), Error::<Test>::NotFound);
        assert_ok!(Endorsements::set_snp_minimum(Origin::root(), Product::Milan, minimum));
        assert_eq!(SnpMinimum::<Test>::get(Product::Milan), Some(minimum));
    });
}

#[test]
fn the_number_of_roots_is_bounded() {
    checked(|| {
        let known = Roots::<Test>::get().len();
        for n in known..ROOTS_MAX as usize {
            let key = [n as u8; 32];
            assert_ok!(Endorsements::add_root(Origin::root(), Vendor::Amd, key));
        }
        assert_noop!(
            Endorsements::add_root(Origin::root(), Vendor::Amd, [200; 32]),
            Error::<Test>::TooManyRoots
        );
    });
}

fn genesis_with_software_root() {
    use sp_runtime::BuildStorage;
    let root = TrustRoot { vendor: Vendor::Intel, grade: Grade::Software, spki_sha256: [1; 32] };
    let genesis = RuntimeGenesisConfig {
        endorsements: crate::GenesisConfig { roots: vec![root], ..Default::default() },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = genesis.build_storage().unwrap().into();
    ext.execute_with(|| {
        assert_ok!(Endorsements::do_try_state());
    });
}

#[test]
#[should_panic(expected = "development chains only")]
fn a_chain_for_real_does_not_start_with_a_software_root() {
    SoftwareRootsAllowed::set(false);
    genesis_with_software_root();
}

#[test]
fn a_development_chain_may_start_with_a_software_root() {
    SoftwareRootsAllowed::set(true);
    genesis_with_software_root();
}

#[test]
fn expired_certificates_can_be_forgotten_and_others_not() {
    checked(|| {
        Now::set(TD15_VALID);
        let raw = td15();
        assert_ok!(submit_root_crl(&raw));
        assert_ok!(submit_pck_crl(&raw));
        let chain = pck_chain(data!("tdx_quote_td15ex"));
        assert_ok!(Endorsements::submit_pck(anyone(), bounded(&chain)));
        let (digest, pck) = Pcks::<Test>::iter().next().unwrap();
        let end = pck.get().unwrap().not_after;
        assert_noop!(Endorsements::forget_certificate(anyone(), digest), Error::<Test>::NotExpired);
        assert_noop!(Endorsements::forget_certificate(anyone(), [0; 32]), Error::<Test>::NotFound);
        // Its last second.
        Now::set(end);
        assert_noop!(Endorsements::forget_certificate(anyone(), digest), Error::<Test>::NotExpired);
        Now::set(end + 1);
        assert_ok!(Endorsements::forget_certificate(anyone(), digest));
        assert!(!Pcks::<Test>::contains_key(digest));
    });
}

#[test]
fn lists_of_the_two_cas_are_kept_apart() {
    checked(|| {
        Now::set(TDX_VALID);
        let raw = tdx();
        assert_ok!(submit_root_crl(&raw));
        assert_ok!(submit_pck_crl(&raw));
        let ca = PckCrls::<Test>::iter().next().unwrap().1;
        let other = if ca == PckCa::Platform { PckCa::Processor } else { PckCa::Platform };
        assert!(PckCrls::<Test>::get(Grade::Hardware, other).is_none());
    });
}
