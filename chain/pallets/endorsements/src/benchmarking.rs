//! Benchmarks of every call, with Intel's own collateral, and the samples that benchmarks of other
//! pallets need too.
//!
//! The documents that Intel signs have some kB, but anyone may submit larger ones, which are hashed
//! before their signature is found to be wrong. So the measured part of those calls takes both: a
//! document of the largest size that is refused at its last check, and Intel's own. That bounds
//! documents of every size, good or bad.
//!
//! AMD's revocation lists are published in no package that we could take them from. Its calls are
//! measured with certificates and a full-size list in AMD's format, with keys of AMD's kind and
//! length, from a software TEE whose keys nobody has any more (see `fixtures.rs` of
//! pallet-attestation's benchmarks).

pub mod crl;

use super::*;
use alloc::{vec, vec::Vec};
use casemate_attestation::{
    dcap::{PckCa, Quote, RawCollateral},
    sev_snp::{self, AmdCrl, Product, TcbVersion},
    x509::Certificate,
    Grade, TeeKind, TrustRoot, TrustRoots, UnixSeconds, Vendor,
};
use codec::{Decode, Encode};
use frame_benchmarking::v2::*;
use frame_support::storage::{storage_prefix, unhashed};
use frame_system::RawOrigin;

/// When all samples are valid: 2026-10-15.
pub const TIME: UnixSeconds = 1_792_022_400;

/// Intel's quote of a TD (TDX 1.5 extended).
pub const TDX_QUOTE: &[u8] =
    include_bytes!("../../../../crates/attestation/tests/data/dcap/tdx_quote_td15ex");

/// The collateral for it.
const TDX_COLLATERAL: &[u8] = include_bytes!(
    "../../../../crates/attestation/tests/data/dcap/tdx_quote_td15ex_collateral.json"
);

/// Certificates of a software TEE's AMD machine.
#[derive(Clone, Debug, Decode, Encode)]
pub struct Amd {
    /// SHA-256 of the root's SubjectPublicKeyInfo.
    pub root: [u8; 32],
    /// DER.
    pub vek: Vec<u8>,
    /// DER.
    pub ask: Vec<u8>,
    /// DER.
    pub ark: Vec<u8>,
    /// DER of the root's list.
    pub crl: Vec<u8>,
    /// The root's signature over [`crl::full_size`] of that list.
    pub full_size_signature: Vec<u8>,
}

/// The collateral for [`TDX_QUOTE`].
pub fn intel() -> RawCollateral {
    serde_json::from_slice(TDX_COLLATERAL).expect("the sample parses; a test sees to it")
}

/// A machine of AMD's kind.
pub fn amd() -> Amd {
    Amd::decode(&mut &include_bytes!("benchmarking/amd.scale")[..])
        .expect("the fixture decodes; a test sees to it")
}

/// PEM of the certificates in a quote.
pub fn pck_chain(quote: &[u8]) -> Result<Chain, BenchmarkError> {
    let quote = Quote::parse(quote).map_err(|_| BenchmarkError::Stop("the quote parses"))?;
    bounded(quote.certification().data)
}

/// By what the chain knows the first certificate of a chain in PEM.
pub fn digest(chain: &[u8]) -> Result<CertificateDigest, BenchmarkError> {
    let chain = Certificate::chain_from_pem(chain).unwrap_or_default();
    let leaf = chain.first().ok_or(BenchmarkError::Stop("the chain has a certificate"))?;
    Ok(sp_io::hashing::sha2_256(leaf.der()))
}

/// Sets the runtime's clock to [`TIME`] (`pallet-timestamp` has no trait for it; a mock's clock has
/// to start there), and the roots to the vendors', these, and as many more as a chain may have.
pub fn set_up<T: Config>(more: &[TrustRoot]) {
    unhashed::put(&storage_prefix(b"Timestamp", b"Now"), &(TIME * 1_000));
    let fill = (0..u8::MAX).map(|n| TrustRoot {
        vendor: Vendor::Nvidia,
        grade: Grade::Hardware,
        spki_sha256: [n; 32],
    });
    let fill = fill.take((ROOTS_MAX as usize).saturating_sub(6 + more.len()));
    // Those that are looked for come last.
    let vendors: Vec<_> = TrustRoots::vendors().iter().copied().collect();
    Roots::<T>::put(BoundedVec::truncate_from(
        fill.chain(vendors).chain(more.iter().copied()).collect(),
    ));
}

/// Brings all that Intel signs about a platform on chain, in the order in which it is needed, and the
/// platform's certificate.
///
/// # Errors
/// If the chain refuses some of it.
pub fn submit_dcap<T: Config>(raw: &RawCollateral, pck: Chain) -> Result<(), BenchmarkError> {
    submit_lists::<T>(raw)?;
    submit_documents::<T>(raw)?;
    Pallet::<T>::submit_pck(anyone::<T>(), pck)?;
    Ok(())
}

/// Brings AMD's list of the largest size and the machine's certificate on chain.
///
/// # Errors
/// If the chain refuses it.
pub fn submit_snp<T: Config>(amd: &Amd) -> Result<CertificateDigest, BenchmarkError> {
    let (vek, ask, ark) = (bounded(&amd.vek)?, bounded(&amd.ask)?, bounded(&amd.ark)?);
    Pallet::<T>::submit_amd_crl(anyone::<T>(), full_size_crl(amd)?, bounded(&amd.ark)?)
        .map_err(|error| error.error)?;
    Pallet::<T>::submit_vek(anyone::<T>(), vek, ask, ark)?;
    Ok(sp_io::hashing::sha2_256(&amd.vek))
}

/// The root of [`amd`].
pub fn amd_root(amd: &Amd) -> TrustRoot {
    TrustRoot { vendor: Vendor::Amd, grade: Grade::Software, spki_sha256: amd.root }
}

/// Puts a list of the largest size under another root: of AMD's own, none of that size is at hand.
///
/// # Errors
/// If the sample's list is not good.
pub fn insert_amd_crl<T: Config>(grade: Grade, root: [u8; 32]) -> Result<(), BenchmarkError> {
    let amd = amd();
    let roots = TrustRoots::new([amd_root(&amd)]);
    let mut list = sev_snp::verify_amd_crl(&full_size_crl(&amd)?, &amd.ark, &roots, TIME)
        .map_err(|_| BenchmarkError::Stop("the sample's list is good"))?;
    (list.grade, list.root) = (grade, root);
    let stored = Stored::new(&list).ok_or(BenchmarkError::Stop("it is not too large"))?;
    AmdCrls::<T>::insert(grade, root, stored);
    Ok(())
}

/// The list with so many entries that it has the largest size, signed.
fn full_size_crl(amd: &Amd) -> Result<Body, BenchmarkError> {
    let list = crl::full_size(&amd.crl, BODY_BYTES_MAX as usize)
        .and_then(|list| crl::with_signature(&list, &amd.full_size_signature))
        .ok_or(BenchmarkError::Stop("the sample is a revocation list"))?;
    bounded(&list)
}

fn submit_lists<T: Config>(raw: &RawCollateral) -> Result<(), BenchmarkError> {
    let issuers = bounded::<CHAIN_BYTES_MAX>(raw.pck_crl_issuer_chain.as_bytes())?;
    Pallet::<T>::submit_root_crl(anyone::<T>(), bounded(&raw.root_ca_crl)?, issuers.clone())
        .map_err(|error| error.error)?;
    Pallet::<T>::submit_pck_crl(anyone::<T>(), bounded(&raw.pck_crl)?, issuers)
        .map_err(|error| error.error)?;
    Ok(())
}

fn submit_documents<T: Config>(raw: &RawCollateral) -> Result<(), BenchmarkError> {
    let tcb_info = bounded(raw.tcb_info.as_bytes())?;
    let issuers = bounded(raw.tcb_info_issuer_chain.as_bytes())?;
    let by = signature(&raw.tcb_info_signature)?;
    Pallet::<T>::submit_tcb_info(anyone::<T>(), tcb_info, by, issuers)
        .map_err(|error| error.error)?;
    let identity = bounded(raw.qe_identity.as_bytes())?;
    let issuers = bounded(raw.qe_identity_issuer_chain.as_bytes())?;
    let by = signature(&raw.qe_identity_signature)?;
    Pallet::<T>::submit_qe_identity(anyone::<T>(), identity, by, issuers)
        .map_err(|error| error.error)?;
    Ok(())
}

fn anyone<T: Config>() -> T::RuntimeOrigin {
    RawOrigin::Signed(account("anyone", 0, 0)).into()
}

fn bounded<const N: u32>(bytes: &[u8]) -> Result<BoundedVec<u8, ConstU32<N>>, BenchmarkError> {
    bytes.to_vec().try_into().map_err(|_| BenchmarkError::Stop("the sample is not too large"))
}

fn signature(bytes: &[u8]) -> Result<[u8; 64], BenchmarkError> {
    bytes.try_into().map_err(|_| BenchmarkError::Stop("the signature has 64 bytes"))
}

/// A list of the largest size, whose signature is wrong.
fn refused_crl(template: &[u8]) -> Result<Body, BenchmarkError> {
    let large = crl::full_size(template, BODY_BYTES_MAX as usize)
        .ok_or(BenchmarkError::Stop("the sample is a revocation list"))?;
    bounded(&large)
}

/// A document of the largest size, whose signature is wrong.
fn refused_document() -> Body {
    BoundedVec::truncate_from(vec![b' '; BODY_BYTES_MAX as usize])
}

/// Something verified, changed as if it had been submitted before.
fn changed<V: Decode + Encode>(
    stored: Option<Stored<V>>,
    change: impl FnOnce(&mut V),
) -> Result<Stored<V>, BenchmarkError> {
    let mut value = stored
        .and_then(|stored| stored.get())
        .ok_or(BenchmarkError::Stop("what was submitted is there"))?;
    change(&mut value);
    Stored::new(&value).ok_or(BenchmarkError::Stop("it is not too large"))
}

/// A chain whose software TEE has a list of revoked CAs as well, so that both grades are tried.
fn with_lists<T: Config>() -> Result<RawCollateral, BenchmarkError> {
    set_up::<T>(&[]);
    let raw = intel();
    submit_lists::<T>(&raw)?;
    let hardware = RootCrls::<T>::get(Grade::Hardware);
    let software = changed(hardware, |list| list.grade = Grade::Software)?;
    RootCrls::<T>::insert(Grade::Software, software);
    Ok(raw)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn submit_root_crl() -> Result<(), BenchmarkError> {
        let raw = with_lists::<T>()?;
        let older = changed(RootCrls::<T>::get(Grade::Hardware), |list| list.not_before = 0)?;
        RootCrls::<T>::insert(Grade::Hardware, older);
        let issuers: Chain = bounded(raw.pck_crl_issuer_chain.as_bytes())?;
        let (large, own, again) =
            (refused_crl(&raw.root_ca_crl)?, bounded(&raw.root_ca_crl)?, issuers.clone());
        let (refused, accepted);

        #[block]
        {
            refused = Pallet::<T>::submit_root_crl(anyone::<T>(), large, again);
            accepted = Pallet::<T>::submit_root_crl(anyone::<T>(), own, issuers);
        }

        assert_eq!(refused.map_err(|error| error.error), Err(Error::<T>::NotVerified.into()));
        assert!(accepted.is_ok());
        let kept = RootCrls::<T>::get(Grade::Hardware).and_then(|list| list.get());
        assert!(kept.is_some_and(|list| list.not_before > 0));
        Ok(())
    }

    #[benchmark]
    fn submit_pck_crl() -> Result<(), BenchmarkError> {
        let raw = with_lists::<T>()?;
        let ca = PckCa::Platform;
        let older = changed(PckCrls::<T>::get(Grade::Hardware, ca), |list| list.not_before = 0)?;
        PckCrls::<T>::insert(Grade::Hardware, ca, older);
        let issuers: Chain = bounded(raw.pck_crl_issuer_chain.as_bytes())?;
        let (large, own, again) =
            (refused_crl(&raw.pck_crl)?, bounded(&raw.pck_crl)?, issuers.clone());
        let (refused, accepted);

        #[block]
        {
            refused = Pallet::<T>::submit_pck_crl(anyone::<T>(), large, again);
            accepted = Pallet::<T>::submit_pck_crl(anyone::<T>(), own, issuers);
        }

        assert_eq!(refused.map_err(|error| error.error), Err(Error::<T>::NotVerified.into()));
        assert!(accepted.is_ok());
        let kept = PckCrls::<T>::get(Grade::Hardware, ca).and_then(|list| list.get());
        assert!(kept.is_some_and(|list| list.not_before > 0));
        Ok(())
    }

    #[benchmark]
    fn submit_tcb_info() -> Result<(), BenchmarkError> {
        let raw = with_lists::<T>()?;
        submit_documents::<T>(&raw)?;
        let key = TcbInfos::<T>::iter_keys().next();
        let key = key.ok_or(BenchmarkError::Stop("what was submitted is there"))?;
        let older = changed(TcbInfos::<T>::get(key), |info| info.evaluation = 0)?;
        TcbInfos::<T>::insert(key, older);
        let issuers: Chain = bounded(raw.tcb_info_issuer_chain.as_bytes())?;
        let (large, own, again) =
            (refused_document(), bounded(raw.tcb_info.as_bytes())?, issuers.clone());
        let by = signature(&raw.tcb_info_signature)?;
        let (refused, accepted);

        #[block]
        {
            refused = Pallet::<T>::submit_tcb_info(anyone::<T>(), large, by, again);
            accepted = Pallet::<T>::submit_tcb_info(anyone::<T>(), own, by, issuers);
        }

        assert_eq!(refused.map_err(|error| error.error), Err(Error::<T>::NotVerified.into()));
        assert!(accepted.is_ok());
        let kept = TcbInfos::<T>::get(key).and_then(|info| info.get());
        assert!(kept.is_some_and(|info| info.evaluation > 0));
        Ok(())
    }

    #[benchmark]
    fn submit_qe_identity() -> Result<(), BenchmarkError> {
        let raw = with_lists::<T>()?;
        submit_documents::<T>(&raw)?;
        let key = (Grade::Hardware, TeeKind::IntelTdx);
        let older = changed(QeIdentities::<T>::get(key.0, key.1), |qe| qe.evaluation = 0)?;
        QeIdentities::<T>::insert(key.0, key.1, older);
        let issuers: Chain = bounded(raw.qe_identity_issuer_chain.as_bytes())?;
        let (large, own, again) =
            (refused_document(), bounded(raw.qe_identity.as_bytes())?, issuers.clone());
        let by = signature(&raw.qe_identity_signature)?;
        let (refused, accepted);

        #[block]
        {
            refused = Pallet::<T>::submit_qe_identity(anyone::<T>(), large, by, again);
            accepted = Pallet::<T>::submit_qe_identity(anyone::<T>(), own, by, issuers);
        }

        assert_eq!(refused.map_err(|error| error.error), Err(Error::<T>::NotVerified.into()));
        assert!(accepted.is_ok());
        let kept = QeIdentities::<T>::get(key.0, key.1).and_then(|qe| qe.get());
        assert!(kept.is_some_and(|qe| qe.evaluation > 0));
        Ok(())
    }

    /// Of the CA whose list is looked for last, so that the chain is verified twice.
    #[benchmark]
    fn submit_pck() -> Result<(), BenchmarkError> {
        with_lists::<T>()?;
        let platform = PckCrls::<T>::get(Grade::Hardware, PckCa::Platform);
        let processor = changed(platform, |list| {
            list.ca = PckCa::Processor;
            list.ca_spki_sha256 = [0; 32];
        })?;
        PckCrls::<T>::insert(Grade::Hardware, PckCa::Processor, processor);
        let chain = pck_chain(TDX_QUOTE)?;
        let digest = digest(&chain)?;
        Pallet::<T>::submit_pck(anyone::<T>(), chain.clone())?;
        let older = changed(Pcks::<T>::get(digest), |pck| pck.not_after = 0)?;
        Pcks::<T>::insert(digest, older);

        #[extrinsic_call]
        _(RawOrigin::Signed(whitelisted_caller()), chain);

        let kept = Pcks::<T>::get(digest).and_then(|pck| pck.get());
        assert!(kept.is_some_and(|pck| pck.not_after > 0));
        Ok(())
    }

    #[benchmark]
    fn submit_vek() -> Result<(), BenchmarkError> {
        let amd = amd();
        set_up::<T>(&[amd_root(&amd)]);
        let digest = submit_snp::<T>(&amd)?;
        let older = changed(Veks::<T>::get(digest), |vek| vek.not_after = 0)?;
        Veks::<T>::insert(digest, older);
        let (vek, ask, ark) = (bounded(&amd.vek)?, bounded(&amd.ask)?, bounded(&amd.ark)?);

        #[extrinsic_call]
        _(RawOrigin::Signed(whitelisted_caller()), vek, ask, ark);

        let kept = Veks::<T>::get(digest).and_then(|vek| vek.get());
        assert!(kept.is_some_and(|vek| vek.not_after > 0));
        Ok(())
    }

    /// Over a list that is as large and older, so that the two are put together.
    #[benchmark]
    fn submit_amd_crl() -> Result<(), BenchmarkError> {
        let amd = amd();
        set_up::<T>(&[amd_root(&amd)]);
        submit_snp::<T>(&amd)?;
        let key = (Grade::Software, amd.root);
        let older = changed(AmdCrls::<T>::get(key.0, key.1), |list: &mut AmdCrl| {
            list.not_before = 0;
        })?;
        AmdCrls::<T>::insert(key.0, key.1, older);
        let (list, ark) = (full_size_crl(&amd)?, bounded(&amd.ark)?);

        #[extrinsic_call]
        _(RawOrigin::Signed(whitelisted_caller()), list, ark);

        let kept = Pallet::<T>::amd_crl(key.0, key.1);
        assert!(kept.is_some_and(|list| list.not_before > 0 && list.revoked.len() > 1_200));
        Ok(())
    }

    #[benchmark]
    fn forget_certificate() -> Result<(), BenchmarkError> {
        with_lists::<T>()?;
        let chain = pck_chain(TDX_QUOTE)?;
        let digest = digest(&chain)?;
        Pallet::<T>::submit_pck(anyone::<T>(), chain)?;
        let expired = changed(Pcks::<T>::get(digest), |pck| pck.not_after = TIME - 1)?;
        Pcks::<T>::insert(digest, expired);

        #[extrinsic_call]
        _(RawOrigin::Signed(whitelisted_caller()), digest);

        assert!(!Pcks::<T>::contains_key(digest));
        Ok(())
    }

    #[benchmark]
    fn add_root() -> Result<(), BenchmarkError> {
        set_up::<T>(&[]);
        Roots::<T>::mutate(|roots| roots.remove(0));
        let origin = T::GovernanceOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("governance has an origin"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, Vendor::Amd, [0xaa; 32]);

        assert_eq!(Roots::<T>::get().len(), ROOTS_MAX as usize);
        Ok(())
    }

    #[benchmark]
    fn remove_root() -> Result<(), BenchmarkError> {
        set_up::<T>(&[]);
        let last = Roots::<T>::get().last().copied();
        let last = last.ok_or(BenchmarkError::Stop("there are roots"))?;
        let origin = T::GovernanceOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("governance has an origin"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, last);

        assert!(!Roots::<T>::get().contains(&last));
        Ok(())
    }

    #[benchmark]
    fn set_snp_minimum() -> Result<(), BenchmarkError> {
        let minimum = TcbVersion::from_bytes([1, 0, 0, 0, 0, 0, 1, 1], Product::Milan)
            .map_err(|_| BenchmarkError::Stop("the version is of Milan's form"))?;
        let origin = T::GovernanceOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("governance has an origin"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, Product::Milan, minimum);

        assert_eq!(SnpMinimum::<T>::get(Product::Milan), Some(minimum));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_ext(), crate::mock::Test);
}
