//! A software TEE, and a chain that knows its collateral.

use crate::{mock::*, *};
use casemate_attestation::{
    dcap::Quote, x509::Certificate, Binding, Grade, Purpose, TeeKind, TrustRoot, TrustRoots, Vendor,
};
use casemate_primitives::{LeaseId, ReplicaIndex};
use casemate_software_tee::{
    measure::{expected, Content, Measurements},
    wire::Kind,
    Collateral, Directory, Format, Misbehaviour, Validity,
};
use frame_support::assert_ok;
use sp_runtime::{AccountId32, BuildStorage};
use std::sync::OnceLock;

pub(super) type Origin = <Test as frame_system::Config>::RuntimeOrigin;

/// When the tests play.
pub(super) const START: u64 = 1_795_000_000;
/// Number of the block whose hash is the nonce.
pub(super) const BLOCK: u64 = 5;

/// The software TEE of this test binary: making its keys takes seconds.
pub(super) fn tee() -> &'static Directory {
    static TEE: OnceLock<Directory> = OnceLock::new();
    TEE.get_or_init(new_tee)
}

/// Another one, with keys of its own.
pub(super) fn new_tee() -> Directory {
    let folder = tempfile::tempdir().expect("a folder").keep();
    let tee = Directory::init(&folder.join("tee"), START, Validity::default());
    let tee = tee.expect("keys and certificates are made");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    tee
}

pub(super) fn collateral(now: u64, misbehave: &[Misbehaviour]) -> Collateral {
    tee().pki().collateral(now, tee().validity(), misbehave).expect("collateral is made")
}

pub(super) fn provider() -> Origin {
    Origin::signed(PROVIDER)
}

pub(super) fn stranger() -> Origin {
    Origin::signed(AccountId32::new([9; 32]))
}

pub(super) fn keys(seed: u8) -> Keys {
    Keys { agent: [seed; 32], hpke: [seed + 1; 32], tls_spki_sha256: [seed + 2; 32] }
}

/// The agent release that the chain approves.
pub(super) fn measured(agent: &[u8]) -> Measurements {
    expected(Kind::IntelTdx, &Content::new(agent, None, MANIFEST))
}

pub(super) fn workload(agent: &[u8]) -> Workload {
    measured(agent).workload().try_into().expect("fits")
}

pub(super) fn binding(lease: u64, replica: ReplicaIndex, keys: Keys) -> Binding {
    Binding {
        purpose: Purpose::Registration,
        genesis_hash: hash(0),
        lease: LeaseId(lease),
        replica,
        manifest_hash: MANIFEST,
        nonce: hash(BLOCK),
        agent_key: keys.agent,
        hpke_key: keys.hpke,
        tls_spki_sha256: keys.tls_spki_sha256,
        channel: [0; 32],
        gpu_evidence: [0; 32],
    }
}

pub(super) fn hash(block: u64) -> [u8; 32] {
    [block as u8 + 0x80; 32]
}

/// A TDX quote of `agent`'s over this report data, as it is submitted.
pub(super) fn submission(
    agent: &[u8],
    report_data: &[u8; 64],
    misbehave: &[Misbehaviour],
) -> Submission {
    submission_of(&measured(agent), report_data, misbehave)
}

/// The same of a TD with these measurements.
pub(super) fn submission_of(
    measured: &Measurements,
    report_data: &[u8; 64],
    misbehave: &[Misbehaviour],
) -> Submission {
    let evidence = tee()
        .pki()
        .evidence(Format::TdxV4, measured, report_data, misbehave)
        .expect("evidence is made");
    Submission {
        kind: TeeKind::IntelTdx,
        certificate: Quote::parse(&evidence.bytes)
            .map(|quote| leaf_digest(&pck_chain(&quote)))
            .unwrap_or_default(),
        evidence: evidence.bytes.try_into().expect("fits"),
    }
}

pub(super) fn pck_chain(quote: &Quote) -> Vec<u8> {
    quote.certification().data.to_vec()
}

pub(super) fn leaf_digest(chain: &[u8]) -> [u8; 32] {
    let chain = Certificate::chain_from_pem(chain).expect("a chain");
    sp_io::hashing::sha2_256(chain[0].der())
}

/// The PCK chain of the machine that misbehaves so.
pub(super) fn pck(misbehave: &[Misbehaviour]) -> Vec<u8> {
    let evidence = tee()
        .pki()
        .evidence(Format::TdxV4, &measured(b"agent"), &[0; 64], misbehave)
        .expect("evidence is made");
    pck_chain(&Quote::parse(&evidence.bytes).expect("a quote"))
}

fn bounded<const N: u32>(
    bytes: &[u8],
) -> frame_support::BoundedVec<u8, frame_support::traits::ConstU32<N>> {
    bytes.to_vec().try_into().expect("fits")
}

/// Brings the root's list on chain.
pub(super) fn submit_root_crl(from: &Collateral) {
    let issuer = bounded(from.tdx.pck_crl_issuer_chain.as_bytes());
    assert_ok!(Endorsements::submit_root_crl(stranger(), bounded(&from.tdx.root_ca_crl), issuer));
}

/// Brings the PCK CA's list on chain.
pub(super) fn submit_pck_crl(from: &Collateral) {
    let issuer = bounded(from.tdx.pck_crl_issuer_chain.as_bytes());
    assert_ok!(Endorsements::submit_pck_crl(stranger(), bounded(&from.tdx.pck_crl), issuer));
}

/// Brings TCB info on chain.
pub(super) fn submit_tcb_info(from: &Collateral) {
    assert_ok!(Endorsements::submit_tcb_info(
        stranger(),
        bounded(from.tdx.tcb_info.as_bytes()),
        from.tdx.tcb_info_signature,
        bounded(from.tdx.tcb_issuer_chain.as_bytes())
    ));
}

/// Brings collateral on chain as anyone would.
pub(super) fn submit(from: &Collateral) {
    submit_root_crl(from);
    submit_pck_crl(from);
    submit_tcb_info(from);
    assert_ok!(Endorsements::submit_qe_identity(
        stranger(),
        bounded(from.tdx.qe_identity.as_bytes()),
        from.tdx.qe_identity_signature,
        bounded(from.tdx.tcb_issuer_chain.as_bytes())
    ));
}

/// A development chain that trusts the software TEE's root and approves the release `agent`, with
/// all collateral and the machine's certificate on it.
pub(super) fn ready(test: impl FnOnce()) {
    bare(|| {
        submit(&collateral(START, &[]));
        assert_ok!(Endorsements::submit_pck(stranger(), bounded(&pck(&[]))));
        test();
        assert_ok!(Attestation::do_try_state());
        assert_ok!(Endorsements::do_try_state());
    });
}

/// The same without collateral.
pub(super) fn bare(test: impl FnOnce()) {
    let software = TrustRoot {
        vendor: Vendor::Intel,
        grade: Grade::Software,
        spki_sha256: collateral(START, &[]).intel_root,
    };
    let roots = TrustRoots::vendors().iter().copied().chain([software]).collect();
    let genesis = RuntimeGenesisConfig {
        endorsements: pallet_endorsements::GenesisConfig { roots, ..Default::default() },
        attestation: crate::GenesisConfig {
            workloads: vec![(workload(b"agent"), Grade::Software)],
            ..Default::default()
        },
        ..Default::default()
    };
    let mut ext: sp_io::TestExternalities = genesis.build_storage().expect("genesis builds").into();
    ext.execute_with(|| {
        for block in 0..=BLOCK {
            frame_system::BlockHash::<Test>::insert(block, sp_core::H256(hash(block)));
        }
        System::set_block_number(BLOCK + 1);
        Now::set(START);
        Activated::set(Vec::new());
        Registered::set(vec![PROVIDER]);
        test();
    });
}

pub(super) fn submit_pck(chain: &[u8]) -> frame_support::dispatch::DispatchResult {
    Endorsements::submit_pck(stranger(), bounded(chain))
}

/// `attest` for lease 1, replica 0.
pub(super) fn attest(seed: u8, submission: Submission) -> frame_support::dispatch::DispatchResult {
    Attestation::attest(provider(), LeaseId(1), 0, keys(seed), BLOCK, submission)
}
