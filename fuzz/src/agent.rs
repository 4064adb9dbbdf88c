//! What agents write and providers read: the file is in the hands of whoever runs the pod. And what
//! agents read: the host writes all of it.

use casemate_agent::{
    check::{Given, check},
    config::Config,
    derive::Users,
    event::{Decoder, Event, EventKind, decode_key, decode_record, decode_result},
};
use casemate_image::{Digest, Documents};
use casemate_primitives::blake2_256;

/// JSON lines.
pub(crate) fn events(data: &[u8]) {
    let read = |decoder: &mut Decoder, chunk: &[u8], found: &mut Vec<_>| {
        let used = decoder.feed(chunk, |offset, event| {
            if let Ok(event) = &event {
                check_event(event);
            }
            found.push((offset, event.map_err(|err| err.to_string())));
        });
        assert!(used <= chunk.len());
        used
    };
    let (mut decoder, mut whole) = (Decoder::at(0), Vec::new());
    let used = read(&mut decoder, data, &mut whole);
    assert_eq!(decoder.offset(), used as u64);
    assert!(whole.is_sorted_by(|a, b| a.0 < b.0), "offsets grow");

    // The same file, read while it was still being written.
    let (mut decoder, mut parts) = (Decoder::at(0), Vec::new());
    for end in [data.len() / 2, data.len()] {
        let start = usize::try_from(decoder.offset()).unwrap();
        read(&mut decoder, &data[start..end], &mut parts);
    }
    if data.len() < casemate_agent::event::LINE_BYTES_MAX {
        assert_eq!(parts, whole);
    }
}

fn check_event(event: &Event) {
    let text = serde_json::to_vec(event).unwrap();
    assert_eq!(&serde_json::from_slice::<Event>(&text).unwrap(), event);
    match &event.kind {
        EventKind::Started { key: Some(key) } => drop(decode_key(key)),
        EventKind::Record { record, signature, run } => {
            // Nobody can sign for the key of all zeros on a chain that does not exist.
            assert!(decode_record(record, signature, &[0; 32], &[0xEE; 32]).is_err());
            if let Some(run) = run {
                let record = casemate_primitives::UsageRecord::default();
                assert!(decode_result(run, &record, &[0; 32], &[0xEE; 32]).is_err());
            }
        }
        _ => (),
    }
}

/// What a host gives an agent, with a NUL between its parts: configuration, manifest, the image's
/// manifest and configuration, and its index, where it has one.
///
/// Hashes are made to fit where they can be: a fuzzer would never find one.
pub(crate) fn check_of_host(data: &[u8]) {
    let mut parts = data.splitn(5, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default().to_vec();
    let [config, manifest, image, image_config, index] = [(); 5].map(|()| next());
    let index = (!index.is_empty()).then_some(index);
    let pinned = Digest::of(index.as_ref().unwrap_or(&image));
    let documents = Documents { index, manifest: image, config: image_config };
    let checked = documents.check(&pinned).is_ok();
    if checked {
        let other =
            Documents { config: [documents.config.as_slice(), b" "].concat(), ..documents.clone() };
        assert!(other.check(&pinned).is_err(), "an image's configuration is the pinned one");
    }
    let Ok(mut config) = serde_json::from_slice::<Config>(&config) else { return };
    if config.check().is_err() {
        return;
    }
    if let Some(attestation) = &mut config.attestation {
        attestation.manifest_hash = blake2_256(&manifest);
    }
    let given = Given { manifest, image: Some(documents) };
    match check(&config, &given, &Users::default()) {
        Ok(()) => {
            // Nothing of it may change.
            let Some(attestation) = &mut config.attestation else { return };
            attestation.manifest_hash[0] ^= 1;
            assert!(check(&config, &given, &Users::default()).is_err());
        }
        Err(refusal) => {
            assert!(!refusal.reason.contains(char::is_control), "it is told to people");
            assert!(refusal.reason.chars().count() <= 1000);
        }
    }
}
