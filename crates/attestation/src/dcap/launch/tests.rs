//! Expected values were computed by a second implementation, in Python, from the same sources.

use super::*;
use crate::{event_log::replay, td_workload};
use alloc::{vec, vec::Vec};

const MR_TD_PAGE_BY_PAGE: &str = "d4b0bc30969eec261af07323e5b05601a215bbeba070c37eddc691fe8085b4d1\
    d486d0d061a0fa97016362b33d7a0b3a";
const MR_TD_SECTION_BY_SECTION: &str = "d2807d64a73e98ad7633e1c7061cc79f22daad75d70eeda831955d7f4491d5c8\
    923cc534d7a95814dc1f999e32419249";
const TD_WORKLOAD: &str = "f6189233b33ba741ce6471705362b99f8fed17fc6d53e5dceb13e218a1a145e9\
    a0e44978562c54bb054f1e7609406239";
const MR_ENCLAVE: &str = "2f306500d4f618fee4653d66cfc74ed8c3269d861ba87095d73e7c4fcb1c42de";

/// A firmware of 24 KiB with four sections, of which the last is added later.
fn firmware() -> Vec<u8> {
    const SIZE: usize = 0x6000;
    const METADATA: usize = 0x5000;
    let mut firmware: Vec<_> = (0..SIZE).map(|index| (index * 7 + 3).to_le_bytes()[0]).collect();
    let sections: [(u32, u32, u64, u64, u32, u32); 4] = [
        (0x0, 0x1800, 0xffc0_0000, 0x2000, 0, 1),
        (0x2000, 0x800, 0x81_0000, 0x1000, 1, 0),
        (0, 0, 0x82_0000, 0x3000, 2, 0),
        (0, 0, 0x90_0000, 0x10_0000, 4, 2),
    ];
    let mut metadata = b"TDVF".to_vec();
    for word in [16 + 32 * 4, 1, 4u32] {
        metadata.extend(word.to_le_bytes());
    }
    for (offset, size, address, memory, kind, attributes) in sections {
        metadata.extend(offset.to_le_bytes());
        metadata.extend(size.to_le_bytes());
        metadata.extend(address.to_le_bytes());
        metadata.extend(memory.to_le_bytes());
        metadata.extend(kind.to_le_bytes());
        metadata.extend(attributes.to_le_bytes());
    }
    firmware[METADATA..METADATA + metadata.len()].copy_from_slice(&metadata);
    let mut table = 0x1000u32.to_le_bytes().to_vec();
    table.extend(22u16.to_le_bytes());
    table.extend(hex::decode("35657ae44a989847865e4685a7bf8ec2").unwrap());
    table.extend(b"abcdef");
    table.extend(24u16.to_le_bytes());
    table.extend([b'x'; 16]);
    table.extend(64u16.to_le_bytes());
    table.extend(hex::decode("de82b596b21ff745baeaa366c55a082d").unwrap());
    assert_eq!(table.len(), 64);
    firmware[SIZE - 32 - 64..SIZE - 32].copy_from_slice(&table);
    firmware
}

#[test]
fn mr_td_is_computed_in_both_orders() {
    let mr_td = |order| mr_td(&firmware(), order).map(hex::encode);
    assert_eq!(mr_td(PageOrder::PageByPage).unwrap(), MR_TD_PAGE_BY_PAGE);
    assert_eq!(mr_td(PageOrder::SectionBySection).unwrap(), MR_TD_SECTION_BY_SECTION);
}

/// Expected: Python's hashlib, sha384 over MRTD and sha384(48 zeros + n times 48) for n in 1, 2, 3.
#[test]
fn the_workload_of_a_td_follows_from_firmware_and_event_log() {
    let mr_td = mr_td(&firmware(), PageOrder::PageByPage).unwrap();
    let registers = [[1; 48], [2; 48], [3; 48], [4; 48]].map(|digest| replay([&digest]));
    assert_eq!(hex::encode(td_workload(&mr_td, &registers)), TD_WORKLOAD);
    let with = |index: usize| {
        let mut registers = registers;
        registers[index] = [0; 48];
        td_workload(&mr_td, &registers)
    };
    let workload = td_workload(&mr_td, &registers);
    for boot in 0..3 {
        assert_ne!(with(boot), workload, "another kernel or configuration, in register {boot}");
    }
    assert_eq!(with(3), workload, "what differs from pod to pod");
    assert_ne!(td_workload(&[0; 48], &registers), workload, "another firmware");
}

#[test]
fn mr_td_covers_what_is_measured_only() {
    let original = mr_td(&firmware(), PageOrder::PageByPage);
    let changed = |position: usize| {
        let mut firmware = firmware();
        firmware[position] ^= 1;
        mr_td(&firmware, PageOrder::PageByPage) != original
    };
    assert!(changed(0) && changed(0x17ff), "the boot firmware volume");
    assert!(!changed(0x1800) && !changed(0x2000), "not in a section, or not extended");
}

#[test]
fn bad_firmware_is_refused() {
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut firmware = firmware();
        change(&mut firmware);
        mr_td(&firmware, PageOrder::PageByPage)
    };
    let section = 0x5000 + 16;
    assert_eq!(with(&|firmware| firmware.clear()), Err(LaunchError::NoMetadata));
    assert_eq!(with(&|firmware| firmware.truncate(0x5fff)), Err(LaunchError::NoMetadata));
    assert_eq!(
        with(&|firmware| firmware[0x6000 - 32 - 18] = 17),
        Err(LaunchError::NoMetadata),
        "a table that is shorter than its last entry"
    );
    assert_eq!(with(&|firmware| firmware[0x5000] = 0), Err(LaunchError::MalformedMetadata));
    assert_eq!(with(&|firmware| firmware[0x5008] = 2), Err(LaunchError::MalformedMetadata));
    assert_eq!(with(&|firmware| firmware[0x500d] = 1), Err(LaunchError::MalformedMetadata));
    assert_eq!(
        with(&|firmware| firmware[section + 3] = 1),
        Err(LaunchError::MalformedSection(0)),
        "content outside the firmware"
    );
    assert_eq!(
        with(&|firmware| firmware[section + 16] = 1),
        Err(LaunchError::MalformedSection(0)),
        "not whole pages"
    );
    assert_eq!(
        with(&|firmware| firmware[section + 32 + 15] = 0xff),
        mr_td_at_the_end(),
        "a high address is an address"
    );
    assert_eq!(
        with(&|firmware| firmware[section + 64 + 20] = 1),
        Err(LaunchError::TooLarge),
        "4 GiB"
    );
}

/// The same firmware with its second section at another address.
fn mr_td_at_the_end() -> Result<[u8; 48], LaunchError> {
    let mut firmware = firmware();
    firmware[0x5000 + 16 + 32 + 15] = 0xff;
    let result = mr_td(&firmware, PageOrder::PageByPage);
    assert!(result.is_ok());
    result
}

fn record(tag: &[u8], first: u64, second: u64) -> Vec<u8> {
    let mut record = tag.to_vec();
    record.resize(8, 0);
    record.extend(first.to_le_bytes());
    record.extend(second.to_le_bytes());
    record.resize(64, 0);
    record
}

fn create() -> Vec<u8> {
    let mut record = b"ECREATE\0".to_vec();
    record.extend(1u32.to_le_bytes());
    record.extend(0x4000u64.to_le_bytes());
    record.resize(64, 0);
    record
}

fn chunk(tag: &[u8], offset: u64, byte: u8) -> Vec<u8> {
    let mut record = record(tag, offset, 0);
    record.extend([byte; 256]);
    record
}

fn enclave() -> Vec<u8> {
    let mut stream = create();
    stream.extend(record(b"EADD", 0, 0x203));
    for index in 0..16u8 {
        stream.extend(chunk(b"EEXTEND", u64::from(index) << 8, index));
    }
    stream.extend(record(b"EADD", 0x1000, 0x203));
    stream.extend(chunk(b"EEXTEND", 0x1000, 0x10));
    stream
}

#[test]
fn mr_enclave_is_computed() {
    assert_eq!(mr_enclave(&enclave()).map(hex::encode).unwrap(), MR_ENCLAVE);
    let mut with_unmeasured = enclave();
    with_unmeasured.extend(chunk(b"UNMEASRD", 0x1100, 0x55));
    assert_eq!(mr_enclave(&with_unmeasured), mr_enclave(&enclave()));
}

#[test]
fn bad_enclaves_are_refused() {
    let length = enclave().len();
    let after = |record: Vec<u8>| {
        let mut stream = enclave();
        stream.extend(record);
        mr_enclave(&stream)
    };
    let unexpected = Err(LaunchError::UnexpectedRecord(length));
    assert_eq!(after(create()), unexpected, "a second enclave");
    assert_eq!(after(record(b"EADD", 0x1000, 0x203)), unexpected, "the same page");
    assert_eq!(after(record(b"EADD", 0x2001, 0x203)), unexpected, "not a page");
    assert_eq!(after(record(b"EADD", 0x4000, 0x203)), unexpected, "outside the enclave");
    assert_eq!(after(chunk(b"EEXTEND", 0x1000, 1)), unexpected, "the same chunk");
    assert_eq!(after(chunk(b"EEXTEND", 0x2000, 1)), unexpected, "of another page");
    assert_eq!(after(chunk(b"EEXTEND", 0x1180, 1)), unexpected, "not a chunk");
    assert_eq!(after(record(b"EREMOVE", 0, 0)), unexpected);
    assert_eq!(after(vec![0; 63]), Err(LaunchError::TruncatedStream(length)));
    assert_eq!(
        after(chunk(b"EEXTEND", 0x1100, 1)[..100].to_vec()),
        Err(LaunchError::TruncatedStream(length))
    );
    assert_eq!(mr_enclave(&[]), Err(LaunchError::TruncatedStream(0)));
    assert_eq!(mr_enclave(&record(b"EADD", 0, 0)), Err(LaunchError::UnexpectedRecord(0)));
    let mut open = create();
    open[..8].copy_from_slice(b"UNSIZED\0");
    assert_eq!(mr_enclave(&open), Err(LaunchError::Unsized));
}
