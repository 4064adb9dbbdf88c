//! Benchmarks of every call, for each format of evidence that it takes.
//!
//! `appraise` and `recheck` take evidence that Intel's and AMD's hardware made. `attest` and
//! `attest_cluster` need evidence over this chain's own binding, which no published evidence is: they
//! take a software TEE's, in the genuine format, with as many signatures over keys of the same kinds
//! (`fixtures.rs`). The alternative, to add up a real quote's verification and the rest of the call,
//! would measure something that is no call, and would leave its reads and writes to be guessed.
//!
//! Quotes are padded with zeros to the largest size that is accepted, as quoting enclaves do; all of it
//! is hashed. AMD's reports have one size only.

#[cfg(test)]
mod fixtures;

use super::*;
use alloc::{vec, vec::Vec};
use casemate_attestation::{
    dcap::RawCollateral, sev_snp::verify_vek, Grade, TcbStatus, TeeKind, TrustRoot, TrustRoots,
    Vendor,
};
use casemate_primitives::{blake2_256, Hash256, LeaseId, ReplicaIndex};
use codec::{Decode, Encode};
use frame_benchmarking::v2::*;
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use pallet_endorsements::{
    benchmarking::{self as endorsements, Amd, TIME},
    CertificateDigest, PckCrls, Pcks, SnpMinimum, Stored, Veks,
};
use pallet_providers::ProviderRegistry;
use sp_runtime::AccountId32;

/// AMD's report of a Milan machine and the certificate for it.
const SNP_REPORT: &[u8] =
    include_bytes!("../../../../crates/attestation/tests/data/sev_snp/milan_report.bin");
const SNP_VCEK: &[u8] =
    include_bytes!("../../../../crates/attestation/tests/data/sev_snp/milan_vcek.der");
/// ASK, then ARK, in PEM.
const SNP_CHAIN: &[u8] =
    include_bytes!("../../../../crates/attestation/tests/data/sev_snp/milan_chain.pem");

/// What the fixtures' evidence is over.
const LEASE: LeaseId = LeaseId(1);
const REPLICA: ReplicaIndex = 1;
const MANIFEST: Hash256 = [0x4d; 32];
const PROVIDER: AccountId32 = AccountId32::new([3; 32]);
const GENESIS: Hash256 = [0x80; 32];
const NONCE: Hash256 = [0x85; 32];
/// The block with that hash.
const BLOCK: u32 = 5;
const KEYS: Keys = Keys { agent: [10; 32], hpke: [11; 32], tls_spki_sha256: [12; 32] };

/// Evidence of a software TEE that is no more.
#[derive(Clone, Debug, Decode, Encode)]
struct Fixture {
    /// SHA-256 of the Intel-shaped root's SubjectPublicKeyInfo.
    intel_root: [u8; 32],
    tdx_collateral: RawCollateral,
    /// Of an agent, over `fixtures::agent_binding`.
    tdx_agent: Vec<u8>,
    snp_agent: Vec<u8>,
    /// Of a cluster's control plane, over `fixtures::cluster_binding`.
    tdx_cluster: Vec<u8>,
    snp_cluster: Vec<u8>,
}

fn fixture() -> Result<(Fixture, Amd), BenchmarkError> {
    let fixture = Fixture::decode(&mut &include_bytes!("benchmarking/software_tee.scale")[..])
        .map_err(|_| BenchmarkError::Stop("the fixture decodes"))?;
    // What a call's weight must cover is the genuine format, not something smaller.
    let enough = endorsements::TDX_QUOTE.len() / 10 * 8;
    if fixture.tdx_agent.len().min(fixture.tdx_cluster.len()) < enough {
        return Err(BenchmarkError::Stop("the fixture's quotes are as large as hardware's"));
    }
    Ok((fixture, endorsements::amd()))
}

fn submission(
    kind: TeeKind,
    evidence: &[u8],
    certificate: CertificateDigest,
) -> Result<Submission, BenchmarkError> {
    let mut evidence = evidence.to_vec();
    if kind == TeeKind::IntelTdx {
        evidence.resize(EVIDENCE_BYTES_MAX as usize, 0);
    }
    let evidence = evidence.try_into().map_err(|_| BenchmarkError::Stop("it is not too large"))?;
    Ok(Submission { kind, evidence, certificate })
}

/// Submits the fixture's collateral; gives the digests of the TDX and the SNP machine's certificate.
fn software_tee<T: Config>(
    fixture: &Fixture,
    amd: &Amd,
) -> Result<[CertificateDigest; 2], BenchmarkError> {
    let (vendor, grade) = (Vendor::Intel, Grade::Software);
    endorsements::set_up::<T>(&[
        TrustRoot { vendor, grade, spki_sha256: fixture.intel_root },
        endorsements::amd_root(amd),
    ]);
    let pck = endorsements::pck_chain(&fixture.tdx_agent)?;
    endorsements::submit_dcap::<T>(&fixture.tdx_collateral, pck.clone())?;
    let snp = endorsements::submit_snp::<T>(amd)?;
    minimum::<T>(snp);
    for (block, hash) in [(0, GENESIS), (BLOCK, NONCE)] {
        let hash = T::Hash::decode(&mut &hash[..])
            .map_err(|_| BenchmarkError::Stop("block hashes have 32 bytes"))?;
        frame_system::BlockHash::<T>::insert(BlockNumberFor::<T>::from(block), hash);
    }
    let next = BlockNumberFor::<T>::from(BLOCK + 1);
    if frame_system::Pallet::<T>::block_number() < next {
        frame_system::Pallet::<T>::set_block_number(next);
    }
    Ok([endorsements::digest(&pck)?, snp])
}

/// Asks for the firmware that the machine has: more is compared than without a minimum.
fn minimum<T: Config>(vek: CertificateDigest) {
    if let Some(vek) = Veks::<T>::get(vek).and_then(|stored| stored.get()) {
        SnpMinimum::<T>::insert(vek.product, vek.tcb);
    }
}

/// Approves what runs in this evidence.
fn approve<T: Config>(submission: &Submission) -> Result<Workload, BenchmarkError> {
    let claims =
        Pallet::<T>::verify(submission).map_err(|_| BenchmarkError::Stop("it is genuine"))?;
    let workload = Workload::truncate_from(claims.measurements.workload().to_vec());
    Workloads::<T>::insert(&workload, Grade::Software);
    Ok(workload)
}

/// A machine of Intel's with its collateral on chain, and its quote.
fn intel<T: Config>() -> Result<Submission, BenchmarkError> {
    endorsements::set_up::<T>(&[]);
    let chain = endorsements::pck_chain(endorsements::TDX_QUOTE)?;
    endorsements::submit_dcap::<T>(&endorsements::intel(), chain.clone())?;
    let digest = endorsements::digest(&chain)?;
    submission(TeeKind::IntelTdx, endorsements::TDX_QUOTE, digest)
}

/// A machine of AMD's with its certificate on chain, and its report. (No list of AMD's is at hand, so
/// the certificate does not come by the call, and the list is a software TEE's.)
fn amd<T: Config>() -> Result<Submission, BenchmarkError> {
    endorsements::set_up::<T>(&[]);
    let chain = casemate_attestation::x509::Certificate::chain_from_pem(SNP_CHAIN);
    let chain = chain.unwrap_or_default();
    let [ask, ark] = &chain[..] else {
        return Err(BenchmarkError::Stop("the sample has two certificates"));
    };
    let vek = verify_vek(SNP_VCEK, ask.der(), ark.der(), None, &TrustRoots::vendors(), TIME)
        .map_err(|_| BenchmarkError::Stop("the sample is AMD's"))?;
    let digest = sp_io::hashing::sha2_256(SNP_VCEK);
    let stored = Stored::new(&vek).ok_or(BenchmarkError::Stop("it is not too large"))?;
    Veks::<T>::insert(digest, stored);
    endorsements::insert_amd_crl::<T>(vek.grade, vek.root)?;
    minimum::<T>(digest);
    submission(TeeKind::AmdSevSnp, SNP_REPORT, digest)
}

/// The standing of a key that rests on this evidence, which is good, with a workload that is approved
/// no more: the call finds out at its last check, and writes the standing back.
fn standing<T: Config>(submission: &Submission) {
    let workload = Workload::truncate_from(vec![1; 64]);
    let standing = Standing {
        keys: KEYS,
        manifest_hash: MANIFEST,
        kind: submission.kind,
        grade: Grade::Hardware,
        workload,
        tcb_status: TcbStatus::UpToDate,
        certificate: submission.certificate,
        evidence_hash: blake2_256(&submission.evidence),
        verified_at: TIME,
        expires_at: TIME + T::StandingSecondsMax::get(),
    };
    Standings::<T>::insert(LEASE, REPLICA, standing);
}

/// An agent with standing and its evidence over a nonce, for the benchmarks of `FreshEvidence`'s users.
pub(crate) fn fresh<T: Config>(
    kind: TeeKind,
) -> Result<(LeaseId, ReplicaIndex, Hash256, Submission), BenchmarkError> {
    let (fixture, chain) = fixture()?;
    let [tdx, snp] = software_tee::<T>(&fixture, &chain)?;
    let submission = match kind {
        TeeKind::AmdSevSnp => submission(kind, &fixture.snp_agent, snp)?,
        _ => submission(TeeKind::IntelTdx, &fixture.tdx_agent, tdx)?,
    };
    approve::<T>(&submission)?;
    standing::<T>(&submission);
    Ok((LEASE, REPLICA, NONCE, submission))
}

/// The provider's origin. Its account is read and written with every transaction, so that the call's
/// weight leaves it out.
fn provider<T: Config>() -> RawOrigin<AccountId32> {
    let provider = PROVIDER;
    whitelist_account!(provider);
    RawOrigin::Signed(provider)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn attest_dcap() -> Result<(), BenchmarkError> {
        let (fixture, chain) = fixture()?;
        let [certificate, _] = software_tee::<T>(&fixture, &chain)?;
        let submission = submission(TeeKind::IntelTdx, &fixture.tdx_agent, certificate)?;
        approve::<T>(&submission)?;
        T::Agents::benchmark_lease(&PROVIDER, LEASE, REPLICA, MANIFEST);

        #[extrinsic_call]
        attest(provider::<T>(), LEASE, REPLICA, KEYS, BLOCK.into(), submission);

        assert!(Pallet::<T>::counts_until(LEASE, REPLICA, &KEYS.agent).is_some());
        Ok(())
    }

    #[benchmark]
    fn attest_snp() -> Result<(), BenchmarkError> {
        let (fixture, chain) = fixture()?;
        let [_, certificate] = software_tee::<T>(&fixture, &chain)?;
        let submission = submission(TeeKind::AmdSevSnp, &fixture.snp_agent, certificate)?;
        approve::<T>(&submission)?;
        T::Agents::benchmark_lease(&PROVIDER, LEASE, REPLICA, MANIFEST);

        #[extrinsic_call]
        attest(provider::<T>(), LEASE, REPLICA, KEYS, BLOCK.into(), submission);

        assert!(Pallet::<T>::counts_until(LEASE, REPLICA, &KEYS.agent).is_some());
        Ok(())
    }

    #[benchmark]
    fn appraise_dcap() -> Result<(), BenchmarkError> {
        let submission = intel::<T>()?;

        #[extrinsic_call]
        appraise(provider::<T>(), submission);

        Ok(())
    }

    #[benchmark]
    fn appraise_snp() -> Result<(), BenchmarkError> {
        let submission = amd::<T>()?;

        #[extrinsic_call]
        appraise(provider::<T>(), submission);

        Ok(())
    }

    /// Without evidence: of a machine whose certificate is not on a list of the largest size that is
    /// kept. (Intel's, which takes longer to read than one of AMD's.)
    #[benchmark]
    fn recheck() -> Result<(), BenchmarkError> {
        let submission = intel::<T>()?;
        standing::<T>(&submission);
        let pck = Pcks::<T>::get(submission.certificate).and_then(|stored| stored.get());
        let pck = pck.ok_or(BenchmarkError::Stop("the certificate is there"))?;
        let list = PckCrls::<T>::get(pck.grade, pck.ca).and_then(|stored| stored.get());
        let mut list = list.ok_or(BenchmarkError::Stop("the list is there"))?;
        list.revoked = (0..1_500_u16).map(|n| [&[0; 18], &n.to_be_bytes()[..]].concat()).collect();
        let stored = Stored::new(&list).ok_or(BenchmarkError::Stop("it is not too large"))?;
        PckCrls::<T>::insert(pck.grade, pck.ca, stored);

        #[extrinsic_call]
        recheck(provider::<T>(), LEASE, REPLICA, None);

        assert_eq!(Pallet::<T>::counts_until(LEASE, REPLICA, &KEYS.agent), Some(TIME));
        Ok(())
    }

    #[benchmark]
    fn recheck_dcap() -> Result<(), BenchmarkError> {
        let submission = intel::<T>()?;
        standing::<T>(&submission);

        #[extrinsic_call]
        recheck(provider::<T>(), LEASE, REPLICA, Some(submission));

        assert_eq!(Pallet::<T>::counts_until(LEASE, REPLICA, &KEYS.agent), Some(TIME));
        Ok(())
    }

    #[benchmark]
    fn recheck_snp() -> Result<(), BenchmarkError> {
        let submission = amd::<T>()?;
        standing::<T>(&submission);

        #[extrinsic_call]
        recheck(provider::<T>(), LEASE, REPLICA, Some(submission));

        assert_eq!(Pallet::<T>::counts_until(LEASE, REPLICA, &KEYS.agent), Some(TIME));
        Ok(())
    }

    #[benchmark]
    fn approve_workload() -> Result<(), BenchmarkError> {
        let workload = Workload::truncate_from(vec![1; 64]);
        let origin = T::GovernanceOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("governance has an origin"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, workload.clone(), Grade::Hardware);

        assert_eq!(Workloads::<T>::get(&workload), Some(Grade::Hardware));
        Ok(())
    }

    #[benchmark]
    fn revoke_workload() -> Result<(), BenchmarkError> {
        let workload = Workload::truncate_from(vec![1; 64]);
        Workloads::<T>::insert(&workload, Grade::Hardware);
        let origin = T::GovernanceOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("governance has an origin"))?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, workload.clone());

        assert!(!Workloads::<T>::contains_key(&workload));
        Ok(())
    }

    #[benchmark]
    fn attest_cluster_dcap() -> Result<(), BenchmarkError> {
        let (fixture, chain) = fixture()?;
        let [certificate, _] = software_tee::<T>(&fixture, &chain)?;
        let submission = submission(TeeKind::IntelTdx, &fixture.tdx_cluster, certificate)?;
        T::Providers::benchmark_register(&PROVIDER);

        #[extrinsic_call]
        attest_cluster(provider::<T>(), BLOCK.into(), submission);

        assert!(Clusters::<T>::contains_key(PROVIDER));
        Ok(())
    }

    #[benchmark]
    fn attest_cluster_snp() -> Result<(), BenchmarkError> {
        let (fixture, chain) = fixture()?;
        let [_, certificate] = software_tee::<T>(&fixture, &chain)?;
        let submission = submission(TeeKind::AmdSevSnp, &fixture.snp_cluster, certificate)?;
        T::Providers::benchmark_register(&PROVIDER);

        #[extrinsic_call]
        attest_cluster(provider::<T>(), BLOCK.into(), submission);

        assert!(Clusters::<T>::contains_key(PROVIDER));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::benchmark_ext(), crate::mock::Test);
}
