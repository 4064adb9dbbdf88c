//! Launch digests, against the vectors of `sev` 8.0.0 and `sev-snp-measure` 0.0.13.

use crate::data;
use casemate_attestation::sev_snp::launch::{
    CpuSignature, Error, Firmware, Guest, KernelHashes, Vmm,
};

const AMD_SEV: &[u8] = data!("ovmf_amdsev_tail.bin");
const OVMF_X64: &[u8] = data!("ovmf_x64_tail.bin");
/// Digest after the pages of the image of which [`AMD_SEV`] is the tail.
const WHOLE_IMAGE: &str = "086e2e9149ebf45abdc3445fba5b2da8270bdbb04094d7a2c37faaa4b24af3aa16aff8c374c2a55c467a50da6d466b74";
/// Features: SNP alone, and with debug swap.
const SNP: u64 = 0x1;
const DEFAULT: u64 = 0x21;

fn kernel(command_line: &str) -> Option<KernelHashes> {
    Some(KernelHashes::of(b"", b"", command_line))
}

fn digest(
    image: &[u8],
    processors: u32,
    vmm: Vmm,
    features: u64,
    kernel: Option<KernelHashes>,
) -> Result<String, Error> {
    let firmware = Firmware::parse(image)?;
    let guest = Guest {
        firmware: &firmware,
        firmware_digest: None,
        processors,
        cpu: CpuSignature::EPYC,
        vmm,
        features,
        kernel,
    };
    guest.launch_digest().map(hex::encode)
}

#[test]
fn published_vectors() {
    let line = "console=ttyS0 loglevel=7";
    let vectors = [
        (
            AMD_SEV,
            1,
            Vmm::Qemu,
            SNP,
            kernel(line),
            "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa",
        ),
        (
            AMD_SEV,
            1,
            Vmm::Qemu,
            DEFAULT,
            kernel(line),
            "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe778d0228977",
        ),
        (
            AMD_SEV,
            1,
            Vmm::Qemu,
            SNP,
            None,
            "19358ba9a7615534a9a1e2f0dfc29384dcd4dcb7062ff9c6013b26869a5fc6ecabe033c48dd6f6db5d6d76e7c5df632d",
        ),
        (
            AMD_SEV,
            1,
            Vmm::Qemu,
            DEFAULT,
            None,
            "e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22adbcd0e2b",
        ),
        (
            AMD_SEV,
            4,
            Vmm::Qemu,
            SNP,
            kernel(""),
            "5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5",
        ),
        (
            AMD_SEV,
            4,
            Vmm::Qemu,
            DEFAULT,
            kernel(""),
            "4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e2414a631942",
        ),
        (
            OVMF_X64,
            1,
            Vmm::Qemu,
            SNP,
            None,
            "da0296de8193586a5512078dcd719eccecbd87e2b825ad4148c44f665dc87df21e5b49e21523a9ad993afdb6a30b4005",
        ),
        (
            OVMF_X64,
            1,
            Vmm::Qemu,
            DEFAULT,
            None,
            "28797ae0afaba4005a81e629acebfb59e6687949d6be44007cd5506823b0dd66f146aaae26ff291eed7b493d8a64c385",
        ),
        (
            AMD_SEV,
            1,
            Vmm::Ec2,
            DEFAULT,
            kernel(""),
            "0ce9ccc06bab55eebe8abc234f3df6514883977a68a591b71052498ab52b2f1aa415db338033946ef93aa8278c0d67fb",
        ),
        (
            AMD_SEV,
            1,
            Vmm::Ec2,
            SNP,
            kernel(""),
            "0883bd0eeb716e65b7b977a321c278d1e51b33b5c655fab985443bbcc65c086b9c15e8a0bd8811050dec7e24964e5056",
        ),
        (
            AMD_SEV,
            1,
            Vmm::Gce,
            SNP,
            kernel(""),
            "5da7106cf14cf46b1725ebab123eb9e53bd46a1e9f400cd0c08e7827b04b688ea8b4e403c8404efed4397ea5d5d0722e",
        ),
        (
            AMD_SEV,
            4,
            Vmm::Gce,
            SNP,
            kernel(""),
            "5c5debf100fc339f90276e761ee1f1658d08922c3b20e2a2e6c7a6c3370b2452a15a00eae11886a93d6fd1e7ab81e29d",
        ),
    ];
    for (image, processors, vmm, features, kernel, expected) in vectors {
        let found = digest(image, processors, vmm, features, kernel);
        assert_eq!(found.as_deref(), Ok(expected), "{processors} {vmm:?} {features}");
    }
}

#[test]
fn whole_image_may_be_given_by_its_digest() {
    let firmware = Firmware::parse(AMD_SEV).unwrap();
    let given: [u8; 48] = hex::decode(WHOLE_IMAGE).unwrap().try_into().unwrap();
    let guest = |features| Guest {
        firmware: &firmware,
        firmware_digest: Some(given),
        processors: 1,
        cpu: CpuSignature::EPYC,
        vmm: Vmm::Qemu,
        features,
        kernel: kernel(""),
    };
    assert_eq!(
        guest(SNP).launch_digest().map(hex::encode).as_deref(),
        Ok(
            "ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5"
        )
    );
    assert_eq!(
        guest(DEFAULT).launch_digest().map(hex::encode).as_deref(),
        Ok(
            "329c8ce0972ae52343b64d34a434a86f245dfd74f5ed7aae15d22efc78fb9683632b9b50e4e1d7fa41179ef98a7ef198"
        )
    );
    assert_eq!(hex::encode(firmware.digest()), WHOLE_IMAGE);
}

#[test]
fn signatures_of_processors() {
    for (signature, expected) in [
        (CpuSignature::EPYC, 0x80_0f12),
        (CpuSignature::EPYC_ROME, 0x83_0f10),
        (CpuSignature::EPYC_MILAN, 0xa0_0f11),
        (CpuSignature::EPYC_GENOA, 0xa1_0f10),
        (CpuSignature::EPYC_TURIN, 0xb0_0f00),
    ] {
        assert_eq!(signature.0, expected);
    }
}

#[test]
fn what_is_missing_is_named() {
    let no_processors = digest(AMD_SEV, 0, Vmm::Qemu, SNP, None);
    assert_eq!(no_processors, Err(Error::Processors(0)));
    assert_eq!(digest(AMD_SEV, 4097, Vmm::Qemu, SNP, None), Err(Error::Processors(4097)));
    let no_place = digest(OVMF_X64, 1, Vmm::Qemu, SNP, kernel(""));
    assert_eq!(no_place, Err(Error::NoKernelHashes));
    // Without the entry that says where further processors start, one may start.
    let mut image = AMD_SEV.to_vec();
    let guid = hex::decode("de71f7007e1acb4f890e68c77e2fb44e").unwrap();
    let at = image.windows(16).position(|window| window == guid).unwrap();
    image[at] ^= 1;
    assert!(digest(&image, 1, Vmm::Qemu, SNP, None).is_ok());
    assert_eq!(digest(&image, 2, Vmm::Qemu, SNP, None), Err(Error::NoResetBlock));
}

#[test]
fn damaged_images_are_refused() {
    let parse = |image: &[u8]| Firmware::parse(image).map(|_| ());
    for length in [0, 1, 4095] {
        assert_eq!(parse(&AMD_SEV[..length]), Err(Error::FirmwareLength { len: length }));
    }
    assert_eq!(parse(&[0; 4096]), Err(Error::NoFooterTable));
    let change = |at: usize, bytes: &[u8]| {
        let mut image = AMD_SEV.to_vec();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    // The footer's length, 50 bytes from the end: less than itself, beyond the start.
    assert_eq!(parse(&change(4096 - 50, &[17, 0])), Err(Error::NoFooterTable));
    assert_eq!(parse(&change(4096 - 50, &[0xff, 0xff])), Err(Error::FooterTable));
    // The length of the entry before it.
    assert_eq!(parse(&change(4096 - 68, &[0, 0])), Err(Error::FooterTable));
    let header = AMD_SEV.windows(4).position(|window| window == b"ASEV").unwrap();
    assert_eq!(parse(&change(header, b"BSEV")), Err(Error::Metadata));
    assert_eq!(parse(&change(header + 8, &[2])), Err(Error::Metadata));
    assert_eq!(parse(&change(header + 12, &[0xff; 4])), Err(Error::Metadata));
    assert_eq!(parse(&change(header + 24, &[9])), Err(Error::SectionKind { kind: 9 }));
    assert!(matches!(parse(&change(header + 20, &[1])), Err(Error::SectionSize { .. })));
}

/// No image makes the parser panic or work for long.
#[test]
fn any_flip_is_survived() {
    for image in [AMD_SEV, OVMF_X64] {
        for at in (0..4096_usize).rev().step_by(3).take(600) {
            for bit in [0, 7] {
                let mut changed = image.to_vec();
                changed[at] ^= 1 << bit;
                let _ = Firmware::parse(&changed);
            }
        }
    }
}
