//! Lines, and how they lie in a chunk's sealed body.

use codec::{Compact, Decode, Encode};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Where a line of output was written.
#[derive(Clone, Copy, Debug, Decode, Deserialize, Encode, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The agent's own words.
    Agent,
}

/// A line of output, or a piece of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// Counts up from 0 for each key of an agent; dropped lines and each piece of a long one count.
    pub number: u64,
    /// When it was written, in milliseconds since the Unix epoch. Never less than the line's before.
    pub time_ms: u64,
    /// The container that wrote it; `None` for the pod's first.
    pub container: Option<String>,
    /// Where it was written.
    pub stream: Stream,
    /// What was written, without the line's end. Any bytes: mind control characters when showing it.
    pub text: Vec<u8>,
    /// The line goes on in the next piece of the same stream.
    pub partial: bool,
}

/// In the place of a line's stream: what follows in the chunk, up to the next of these, is of the
/// container that is named in the place of the text; of the pod's first where that is empty. It is no
/// line: it has no number, and comes at no time.
const CONTAINER: u8 = 3;

/// Longest name of a container: a DNS label.
pub(crate) const CONTAINER_BYTES_MAX: usize = 63;

/// Bytes that a change of the container takes at most.
pub(crate) const CHANGE_BYTES_MAX: usize = 1 + 1 + 1 + 1 + CONTAINER_BYTES_MAX;

/// Appends that what follows is of this container.
pub(crate) fn encode_change(out: &mut Zeroizing<Vec<u8>>, container: &str) {
    (Compact(0u64), CONTAINER, false, container).encode_to(&mut **out);
}

/// Bytes that a line takes at most, besides its text: time since the line before, stream, whether it
/// goes on, and the text's length.
pub(crate) const LINE_OVERHEAD_BYTES_MAX: usize = 9 + 1 + 1 + 4;

/// Appends a line that came `after_ms` after the one before (or after the chunk's `from_ms`).
pub(crate) fn encode_line(
    out: &mut Zeroizing<Vec<u8>>,
    after_ms: u64,
    stream: Stream,
    partial: bool,
    text: &[u8],
) {
    (Compact(after_ms), stream, partial).encode_to(&mut **out);
    // Pieces are far below 2^30.
    Compact(u32::try_from(text.len()).unwrap_or(u32::MAX)).encode_to(&mut **out);
    out.extend_from_slice(text);
}

/// Reads exactly `count` lines; `None` where the bytes are not that.
pub(crate) fn decode_lines(
    mut input: &[u8],
    count: u32,
    first_number: u64,
    from_ms: u64,
) -> Option<Vec<LogLine>> {
    let mut lines = Vec::new();
    let mut time_ms = from_ms;
    let mut container: Option<String> = None;
    let mut number = first_number;
    while !input.is_empty() {
        let (Compact(after_ms), stream, partial) =
            <(Compact<u64>, u8, bool)>::decode(&mut input).ok()?;
        let Compact(length) = Compact::<u32>::decode(&mut input).ok()?;
        let (text, rest) = input.split_at_checked(usize::try_from(length).ok()?)?;
        input = rest;
        if stream == CONTAINER {
            let is_plain = after_ms == 0 && !partial && text.len() <= CONTAINER_BYTES_MAX;
            let name = std::str::from_utf8(text).ok().filter(|_| is_plain)?;
            container = (!name.is_empty()).then(|| name.to_owned());
            continue;
        }
        let stream = Stream::decode(&mut [stream].as_slice()).ok()?;
        time_ms = time_ms.checked_add(after_ms)?;
        let (text, container) = (text.to_vec(), container.clone());
        lines.push(LogLine { number, time_ms, container, stream, text, partial });
        number = number.checked_add(1)?;
    }
    (lines.len() == usize::try_from(count).ok()?).then_some(lines)
}
