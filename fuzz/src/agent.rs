//! What agents write and providers read: the file is in the hands of whoever runs the pod.

use casemate_agent::event::{Decoder, Event, EventKind, decode_key, decode_record};

/// JSON lines.
pub(crate) fn events(data: &[u8]) {
    let read = |decoder: &mut Decoder, chunk: &[u8], found: &mut Vec<_>| {
        let used = decoder.feed(chunk, |offset, event| {
            if let Ok(event) = &event {
                check(event);
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

fn check(event: &Event) {
    let text = serde_json::to_vec(event).unwrap();
    assert_eq!(&serde_json::from_slice::<Event>(&text).unwrap(), event);
    match &event.kind {
        EventKind::Started { key: Some(key) } => drop(decode_key(key)),
        EventKind::Record { record, signature } => {
            // Nobody can sign for the key of all zeros on a chain that does not exist.
            assert!(decode_record(record, signature, &[0; 32], &[0xEE; 32]).is_err());
        }
        _ => (),
    }
}
