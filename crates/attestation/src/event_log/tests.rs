#![allow(clippy::cast_possible_truncation, reason = "the test chooses the values")]

use super::*;
use alloc::vec;

const ONE: &str = "9ded56f026a8f4c054cc49090fcb1f317b3af23891cdf9bf\
    4bfe3117ca14b0d247815a01aaa6febde7129a4fbac5e01a";
const BOTH: &str = "941baacd1efc683b7bb6335428caa38156c9ebaf035df192\
    fe8c89056f247fba20f0576d54c94ef52bdfd156ccbd67a3";

fn header(algorithms: &[(u16, u16)]) -> Vec<u8> {
    let mut data = b"Spec ID Event03\0".to_vec();
    data.extend([0; 4]);
    data.extend([0, 2, 0, 2]);
    data.extend((algorithms.len() as u32).to_le_bytes());
    for (algorithm, length) in algorithms {
        data.extend(algorithm.to_le_bytes());
        data.extend(length.to_le_bytes());
    }
    data.push(0);
    let mut log = vec![0; 4];
    log.extend(3u32.to_le_bytes());
    log.extend([0; 20]);
    log.extend((data.len() as u32).to_le_bytes());
    log.extend(data);
    log
}

fn event(register: u32, kind: u32, digest: &Register, data: &[u8]) -> Vec<u8> {
    let mut event = register.to_le_bytes().to_vec();
    event.extend(kind.to_le_bytes());
    event.extend(1u32.to_le_bytes());
    event.extend(0x000cu16.to_le_bytes());
    event.extend(digest);
    event.extend((data.len() as u32).to_le_bytes());
    event.extend(data);
    event
}

fn sha384(data: &[u8]) -> Register {
    Sha384::digest(data).into()
}

fn sample() -> Vec<u8> {
    let mut log = header(&[(0x000c, 48)]);
    log.extend(event(1, 0x8000_0001, &sha384(b"firmware"), b"described elsewhere"));
    log.extend(event(1, 4, &sha384(&[0; 4]), &[0; 4]));
    log.extend(event(2, 3, &sha384(b"not extended"), b""));
    log.extend(event(3, 13, &sha384(b"kernel"), b"kernel"));
    log.extend(event(4, 6, &sha384(b"manifest"), b"manifest"));
    log
}

#[test]
fn extending_is_sha384_over_value_and_digest() {
    // Computed with Python's hashlib: sha384(bytes(48) + sha384(b"a")), then with sha384(b"b").
    let one = replay([&sha384(b"a")]);
    let mut both = one;
    extend(&mut both, &sha384(b"b"));
    assert_eq!(hex::encode(one), ONE);
    assert_eq!(hex::encode(both), BOTH);
    assert_eq!(replay([&sha384(b"a"), &sha384(b"b")]), both);
    assert_eq!(replay([]), [0; 48]);
}

#[test]
fn a_log_is_replayed() {
    let log = sample();
    let log = EventLog::parse(&log).unwrap();
    assert_eq!(log.events().len(), 4, "one is not extended");
    let expected = [
        replay([&sha384(b"firmware"), &sha384(&[0; 4])]),
        [0; 48],
        replay([&sha384(b"kernel")]),
        replay([&sha384(b"manifest")]),
    ];
    assert_eq!(log.replay(), expected);
    assert_eq!(log.check(&expected), Ok(()));
    let proved: Vec<_> = log.events().iter().map(Event::digest_is_of_data).collect();
    assert_eq!(proved, [false, true, true, true]);
}

#[test]
fn padding_is_left_out() {
    for padding in [0x00, 0xff] {
        let mut log = sample();
        log.resize(64 << 10, padding);
        assert_eq!(EventLog::parse(&log).unwrap().events().len(), 4);
    }
}

#[test]
fn a_missing_or_reordered_event_is_found() {
    let registers = EventLog::parse(&sample()).unwrap().replay();
    let mut without = header(&[(0x000c, 48)]);
    without.extend(event(1, 4, &sha384(&[0; 4]), &[0; 4]));
    assert_eq!(
        EventLog::parse(&without).unwrap().check(&registers),
        Err(EventLogError::Mismatch(0))
    );
    let mut reordered = header(&[(0x000c, 48)]);
    reordered.extend(event(1, 4, &sha384(&[0; 4]), &[0; 4]));
    reordered.extend(event(1, 0x8000_0001, &sha384(b"firmware"), b""));
    reordered.extend(event(3, 13, &sha384(b"kernel"), b"kernel"));
    reordered.extend(event(4, 6, &sha384(b"manifest"), b"manifest"));
    assert_eq!(
        EventLog::parse(&reordered).unwrap().check(&registers),
        Err(EventLogError::Mismatch(0))
    );
    let mut other_manifest = sample();
    let length = other_manifest.len();
    // The last event's digest; its data would not change the register.
    other_manifest[length - 4 - 8 - 1] ^= 1;
    assert_eq!(
        EventLog::parse(&other_manifest).unwrap().check(&registers),
        Err(EventLogError::Mismatch(3))
    );
}

#[test]
fn bad_logs_are_refused() {
    assert_eq!(EventLog::parse(&[]), Err(EventLogError::Header));
    assert_eq!(EventLog::parse(&vec![0; LOG_BYTES_MAX + 1]), Err(EventLogError::TooLarge));
    // No SHA-384, or with a length that it does not have.
    assert_eq!(EventLog::parse(&header(&[(0x000b, 32)])), Err(EventLogError::Header));
    assert_eq!(EventLog::parse(&header(&[(0x000c, 32)])), Err(EventLogError::Header));
    assert_eq!(EventLog::parse(&header(&[])), Err(EventLogError::Header));

    let with = |event: Vec<u8>| {
        let mut log = header(&[(0x000b, 32), (0x000c, 48)]);
        log.extend(event);
        EventLog::parse(&log).map(|_| ())
    };
    assert_eq!(
        with(event(0, 1, &[1; 48], b"")),
        Err(EventLogError::UnknownRegister { index: 0, register: 0 }),
        "MRTD is not extended by a log"
    );
    assert_eq!(
        with(event(5, 1, &[1; 48], b"")),
        Err(EventLogError::UnknownRegister { index: 0, register: 5 })
    );
    let mut sha256 = 1u32.to_le_bytes().to_vec();
    sha256.extend([1, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0]);
    sha256.extend([0; 32]);
    sha256.extend([0; 4]);
    assert_eq!(with(sha256), Err(EventLogError::NoSha384(0)));
    let mut unknown = event(1, 1, &[1; 48], b"");
    unknown[12] = 0x0d;
    assert_eq!(with(unknown), Err(EventLogError::MalformedEvent(0)));
    let mut twice = event(1, 1, &[1; 48], b"");
    twice[8] = 2;
    let digest = twice[12..62].to_vec();
    twice.splice(12..12, digest);
    assert_eq!(with(twice), Err(EventLogError::MalformedEvent(0)));

    let mut many = header(&[(0x000c, 48)]);
    for _ in 0..=EVENTS_MAX {
        many.extend(event(1, 1, &[1; 48], b""));
    }
    assert_eq!(EventLog::parse(&many), Err(EventLogError::TooManyEvents));
}

#[test]
fn a_truncated_log_is_refused_or_shorter() {
    let log = sample();
    let whole = EventLog::parse(&log).unwrap();
    for length in 0..log.len() {
        if let Ok(shorter) = EventLog::parse(&log[..length]) {
            assert!(shorter.events().len() < whole.events().len());
            assert_ne!(shorter.replay(), whole.replay(), "which the quote's registers show");
        }
    }
}
