//! HTTP as agents and vaults speak it, with anybody who connects.

use std::io::{self, Read, Write};

use casemate_ra_tls::http::{Message, read};

/// Most of a body that is taken.
const BODY_BYTES_MAX: usize = 1024;

/// A connection that gives so many bytes at a time, and takes all.
struct Pipe<'a> {
    data: &'a [u8],
    step: usize,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(buffer.len());
        (&mut self.data.take(step as u64)).read(buffer).inspect(|read| {
            self.data = self.data.get(*read..).unwrap_or_default();
        })
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All messages of a connection, and how it ends.
fn all(data: &[u8], step: usize) -> (Vec<Message>, String) {
    let mut pipe = Pipe { data, step };
    let (mut read_ahead, mut messages) = (Vec::new(), Vec::new());
    loop {
        match read(&mut pipe, &mut read_ahead, BODY_BYTES_MAX, true) {
            Ok(message) => messages.push(message),
            Err(err) => return (messages, err.to_string()),
        }
        // Each takes its line end at least.
        assert!(messages.len() <= data.len() / 4);
    }
}

pub(crate) fn message(data: &[u8]) {
    let (whole, end) = all(data, usize::MAX);
    for message in &whole {
        assert!(message.body.len() <= BODY_BYTES_MAX);
        for part in &message.start {
            assert!(!part.contains(['\r', '\n']), "a line is one line");
        }
    }
    // However it comes in pieces, it is the same; short ones, as each is searched anew.
    if data.len() <= 2048 {
        let (pieces, other_end) = all(data, 7);
        let view = |messages: Vec<Message>| {
            let fields = messages.into_iter().map(|m| (m.start, m.body, m.close));
            fields.collect::<Vec<_>>()
        };
        assert_eq!((view(whole), end), (view(pieces), other_end));
    }
}
