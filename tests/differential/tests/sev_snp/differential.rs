//! The same answers as the `sev` crate of AMD's community, where it gives answers.

use crate::{
    data,
    machine::NOW,
    pki::Salt,
    real::{MILAN_CHAIN, MILAN_REPORT, MILAN_VCEK, milan},
};
use casemate_attestation::{
    TrustRoots,
    sev_snp::{
        Report,
        launch::{CpuSignature, Firmware, Guest, KernelHashes, Vmm},
        verify,
    },
    x509::Certificate,
};
use rsa::rand_core::RngCore;
use sev::{
    certs::snp::{Certificate as TheirCertificate, Chain, Verifiable, ca},
    firmware::guest::AttestationReport,
    measurement::{
        snp::{SnpMeasurementArgs, snp_calc_launch_digest},
        vcpu_types::CpuType,
        vmsa::{GuestFeatures, VMMType},
    },
    parser::ByteParser,
};
use std::{fs, path::PathBuf};

/// Fields that `sev` neither reads nor writes again, so that it does not notice a change there.
const IGNORED_BY_SEV: [std::ops::Range<usize>; 7] = [
    0x4c..0x50,
    0x188..0x1a0,
    0x1eb..0x1ec,
    0x1ef..0x1f0,
    0x1f8..0x2a0,
    0x2d0..0x2e8,
    0x318..0x4a0,
];

/// Bytes of TCB versions that it does not read either.
fn is_ignored(at: usize) -> bool {
    let in_tcb = [0x38, 0x180, 0x1e0, 0x1f0].iter().any(|tcb| (tcb + 2..tcb + 6).contains(&at));
    in_tcb || IGNORED_BY_SEV.iter().any(|range| range.contains(&at))
}

#[test]
fn same_signatures_are_accepted() {
    let pem = Certificate::chain_from_pem(MILAN_CHAIN).unwrap();
    let chain = Chain {
        ca: ca::Chain {
            ask: TheirCertificate::from_der(pem[0].der()).unwrap(),
            ark: TheirCertificate::from_der(pem[1].der()).unwrap(),
        },
        vek: TheirCertificate::from_der(MILAN_VCEK).unwrap(),
    };
    // Their verification of the chain takes three RSA signatures each time, so it is done once.
    chain.verify().unwrap();
    let theirs = |bytes: &[u8]| {
        AttestationReport::from_bytes(bytes)
            .and_then(|report| (&chain.vek, &report).verify())
            .is_ok()
    };
    let vek = milan().verify(&TrustRoots::vendors(), NOW).unwrap();
    let ours = |bytes: &[u8]| {
        Report::parse(bytes).and_then(|report| verify(report, &vek, None, NOW)).is_ok()
    };
    assert!(theirs(MILAN_REPORT) && ours(MILAN_REPORT));
    let mut random = Salt(8);
    let (mut refused, mut ignored) = (0, 0);
    for _ in 0..150 {
        let mut bytes: [u8; Report::LEN] = MILAN_REPORT.try_into().unwrap();
        let at = random.next_u32() as usize % Report::LEN;
        bytes[at] ^= 1 << (random.next_u32() % 8);
        assert!(!ours(&bytes), "{at:#x}");
        if is_ignored(at) {
            ignored += 1;
        } else {
            assert!(!theirs(&bytes), "{at:#x}");
            refused += 1;
        }
    }
    assert!(refused > 20 && ignored > 20, "{refused} {ignored}");
}

#[test]
fn same_launch_digests() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sev_snp_launch");
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let processors = [
        (CpuType::EpycV4, CpuSignature::EPYC),
        (CpuType::EpycRome, CpuSignature::EPYC_ROME),
        (CpuType::EpycMilanV2, CpuSignature::EPYC_MILAN),
        (CpuType::EpycGenoa, CpuSignature::EPYC_GENOA),
        (CpuType::EpycTurin, CpuSignature::EPYC_TURIN),
    ];
    let mut random = Salt(56860);
    for round in 0..60 {
        let mut bytes = |pages: usize| {
            let mut bytes = vec![0; pages];
            random.fill_bytes(&mut bytes);
            bytes
        };
        let pages = usize::from(bytes(1)[0] % 6);
        let mut image = bytes(pages * 4096);
        let with_kernel = round % 3 != 0;
        image.extend(if with_kernel || round % 2 == 0 {
            &data!("ovmf_amdsev_tail.bin")[..]
        } else {
            &data!("ovmf_x64_tail.bin")[..]
        });
        let (kernel, initrd) = (bytes(1 + round * 37), bytes(round * 11));
        let line = hex::encode(bytes(round % 40));
        let features = u64::from_le_bytes(bytes(8).try_into().unwrap());
        let count = 1 + u32::from(bytes(1)[0] % 9);
        let (their_cpu, cpu) = processors[round % processors.len()];

        let theirs = snp_calc_launch_digest(SnpMeasurementArgs {
            vcpus: count,
            vcpu_type: their_cpu,
            ovmf_file: write("ovmf", &image),
            guest_features: GuestFeatures(features),
            kernel_file: with_kernel.then(|| write("kernel", &kernel)),
            initrd_file: with_kernel.then(|| write("initrd", &initrd)),
            append: with_kernel.then_some(line.as_str()),
            ovmf_hash_str: None,
            vmm_type: Some(VMMType::QEMU),
        })
        .unwrap();
        let firmware = Firmware::parse(&image).unwrap();
        let ours = Guest {
            firmware: &firmware,
            firmware_digest: None,
            processors: count,
            cpu,
            vmm: Vmm::Qemu,
            features,
            kernel: with_kernel.then(|| KernelHashes::of(&kernel, &initrd, &line)),
        };
        let ours = ours.launch_digest().map(hex::encode);
        assert_eq!(ours, Ok(theirs.get_hex_ld()), "round {round}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
