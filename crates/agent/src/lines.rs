//! Cuts output into lines.

use std::io::{self, Read};

/// Longest piece of a line. Longer lines come in pieces that say so.
pub(crate) const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Calls `each` for every line of `input` (without its end) until the end of it. The second argument
/// says that the line goes on in the next call.
pub(crate) fn read_lines(
    mut input: impl Read,
    mut each: impl FnMut(&[u8], bool),
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES_MAX];
    let mut filled = 0;
    loop {
        let read = match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => {
                flush(&buffer[..filled], &mut each);
                return Err(err);
            }
        };
        filled += read;
        let mut start = 0;
        while let Some(end) = buffer[start..filled].iter().position(|b| *b == b'\n') {
            let line = &buffer[start..start + end];
            each(line.strip_suffix(b"\r").unwrap_or(line), false);
            start += end + 1;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if filled == buffer.len() {
            // Not in the middle of a character, where there are characters.
            let last = (filled - 4..filled).rev().find(|at| buffer[*at] & 0xc0 != 0x80);
            let cut = last.filter(|at| is_torn(&buffer[*at..filled])).unwrap_or(filled);
            each(&buffer[..cut], true);
            buffer.copy_within(cut..filled, 0);
            filled -= cut;
        }
    }
    flush(&buffer[..filled], &mut each);
    Ok(())
}

/// Whether this is the beginning of a character only.
fn is_torn(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|err| err.error_len().is_none())
}

fn flush(rest: &[u8], each: &mut impl FnMut(&[u8], bool)) {
    if !rest.is_empty() {
        each(rest, false);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn collect(input: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        read_lines(input, |line, partial| out.push((line.to_vec(), partial))).unwrap();
        out
    }

    #[test]
    fn lines_with_and_without_end() {
        let out = collect(b"a\n\nb\r\nc");
        let lines: Vec<_> = out.iter().map(|(l, _)| l.as_slice()).collect();
        assert_eq!(lines, [b"a".as_slice(), b"", b"b", b"c"]);
        assert!(out.iter().all(|(_, partial)| !partial));
    }

    #[test]
    fn a_long_line_comes_in_marked_pieces_of_whole_characters() {
        let text = format!("x{}\nend\n", "é".repeat(20_000));
        let out = collect(text.as_bytes());
        assert_eq!(out.len(), 4);
        assert_eq!(out.iter().map(|(_, p)| *p).collect::<Vec<_>>(), [true, true, false, false]);
        assert!(out.iter().all(|(l, _)| std::str::from_utf8(l).is_ok()));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(input in proptest::collection::vec(any::<u8>(), 0..50_000)) {
            let input: Vec<u8> = input.into_iter().filter(|b| *b != b'\r').collect();
            let mut joined = Vec::new();
            for (line, partial) in collect(&input) {
                joined.extend(line);
                if !partial {
                    joined.push(b'\n');
                }
            }
            if !input.is_empty() && input.last() != Some(&b'\n') {
                joined.pop();
            }
            prop_assert_eq!(joined, input);
        }
    }
}
