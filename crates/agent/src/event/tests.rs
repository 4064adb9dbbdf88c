use proptest::prelude::*;

use super::*;

fn decode_all(bytes: &[u8], step: usize) -> Vec<Result<Event, String>> {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    let mut available = 0;
    while available < bytes.len() {
        available = (available + step).min(bytes.len());
        let start = usize::try_from(decoder.offset()).unwrap();
        decoder.feed(&bytes[start..available], |_, e| out.push(e.map_err(|e| e.to_string())));
    }
    out
}

fn line(text: &str) -> Event {
    let kind = EventKind::Log { stream: Stream::Stdout, text: text.into(), partial: false };
    Event { container: "web".into(), time_ms: 7, kind }
}

#[test]
fn lines_look_as_documented() {
    let json = serde_json::to_string(&line("hi")).unwrap();
    assert_eq!(
        json,
        r#"{"container":"web","time_ms":7,"event":"log","stream":"stdout","text":"hi"}"#
    );
    let ready = Event { container: "web".into(), time_ms: 7, kind: EventKind::Ready };
    let json = serde_json::to_string(&ready).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), ready);
}

#[test]
fn a_torn_last_line_waits_for_its_rest() {
    let mut bytes = serde_json::to_vec(&line("one")).unwrap();
    bytes.push(b'\n');
    let whole = bytes.len();
    bytes.extend_from_slice(b"{\"container\":\"w");
    let mut decoder = Decoder::default();
    let mut seen = 0;
    assert_eq!(decoder.feed(&bytes, |_, e| seen += usize::from(e.is_ok())), whole);
    assert_eq!(seen, 1);
    assert_eq!(decoder.offset(), whole as u64);
}

#[test]
fn an_endless_line_is_refused_once_and_what_follows_is_read() {
    let mut bytes = vec![b'x'; LINE_BYTES_MAX * 3];
    bytes.push(b'\n');
    bytes.extend(serde_json::to_vec(&line("after")).unwrap());
    bytes.push(b'\n');
    for step in [LINE_BYTES_MAX / 3, LINE_BYTES_MAX, bytes.len()] {
        let out = decode_all(&bytes, step);
        assert_eq!(out.len(), 2, "step {step}");
        assert!(out[0].as_ref().unwrap_err().contains("longer than"));
        assert_eq!(out[1].as_ref().unwrap(), &line("after"));
    }
}

#[test]
fn a_line_that_is_no_event_does_not_hide_the_next() {
    let mut bytes = b"hello\n\n{\"event\":\"ready\"}\n".to_vec();
    bytes.extend(serde_json::to_vec(&line("x")).unwrap());
    bytes.push(b'\n');
    let out = decode_all(&bytes, 5);
    assert_eq!(out.iter().filter(|e| e.is_err()).count(), 2);
    assert_eq!(out.last().unwrap().as_ref().unwrap(), &line("x"));
}

#[test]
fn a_punched_hole_is_stepped_over() {
    let mut bytes = vec![0; 4096];
    bytes.extend(serde_json::to_vec(&line("x")).unwrap());
    bytes.push(b'\n');
    assert_eq!(decode_all(&bytes, 100), vec![Ok(line("x"))]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_to_the_last_line(
        bytes in proptest::collection::vec(any::<u8>(), 0..4096),
        step in 1usize..512,
    ) {
        let mut decoder = Decoder::default();
        let mut available = 0;
        while available < bytes.len() {
            available = (available + step).min(bytes.len());
            let start = usize::try_from(decoder.offset()).unwrap();
            decoder.feed(&bytes[start..available], |_, _| {});
        }
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        prop_assert_eq!(decoder.offset(), end as u64);
    }

    #[test]
    fn what_is_written_is_read_back_however_it_is_cut(
        texts in proptest::collection::vec(".{0,200}", 1..20),
        step in 1usize..600,
    ) {
        let events: Vec<_> = texts.iter().map(|t| line(t)).collect();
        let mut bytes = Vec::new();
        for event in &events {
            serde_json::to_writer(&mut bytes, event).unwrap();
            bytes.push(b'\n');
        }
        let read: Vec<_> = decode_all(&bytes, step).into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(read, events);
    }

    #[test]
    fn bad_records_are_refused(record in "[0-9a-fx]{0,400}", signature in "[0-9a-f]{0,130}") {
        prop_assert!(decode_record(&record, &signature, &[7; 32], &[0; 32]).is_err());
    }
}
