//! The binary form of the log.

use super::{EV_NO_ACTION, EVENTS_MAX, Event, EventLogError, LOG_BYTES_MAX};
use alloc::vec::Vec;

/// TPM_ALG_SHA384 (TCG Algorithm Registry).
const SHA384: u16 = 0x000c;

/// Most digest algorithms in one log.
const ALGORITHMS_MAX: u32 = 8;

/// Begins the data of the first event (section 10.4.5.1).
const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";

/// Takes little endian values from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// Bytes after their length.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// Whether only padding is left. No event begins with it: a register 0xffffffff does not exist,
    /// and of four zero words one would be the number of digests.
    fn is_padding(&self) -> bool {
        let all = |value| self.0.iter().all(|&byte| byte == value);
        self.0.starts_with(&[0xff; 4]) || all(0)
    }
}

pub(super) fn log(bytes: &[u8]) -> Result<Vec<Event<'_>>, EventLogError> {
    if bytes.len() > LOG_BYTES_MAX {
        return Err(EventLogError::TooLarge);
    }
    let mut input = Input(bytes);
    let algorithms = header(&mut input).ok_or(EventLogError::Header)?;
    let mut events = Vec::new();
    let mut index = 0;
    while !input.is_padding() {
        if index == EVENTS_MAX {
            return Err(EventLogError::TooManyEvents);
        }
        let event = event(&mut input, &algorithms).ok_or(EventLogError::MalformedEvent(index))?;
        if event.kind != EV_NO_ACTION {
            let digest = event.digest.ok_or(EventLogError::NoSha384(index))?;
            // UEFI 2.10, 38.4.1: 0 is MRTD, which the TDX module measures, 1 to 4 are RTMR0 to 3.
            let register = match event.register {
                1 => 0,
                2 => 1,
                3 => 2,
                4 => 3,
                register => return Err(EventLogError::UnknownRegister { index, register }),
            };
            events.push(Event { register, kind: event.kind, digest, data: event.data });
        }
        index += 1;
    }
    Ok(events)
}

/// Reads the first event, which has the old form (one SHA-1 digest), and returns the algorithms and
/// their digests' lengths.
fn header(input: &mut Input<'_>) -> Option<Vec<(u16, usize)>> {
    let _register = input.u32()?;
    if input.u32()? != EV_NO_ACTION {
        return None;
    }
    let _sha1 = input.take(20)?;
    let mut data = Input(input.sized()?);
    if data.take(SIGNATURE.len())? != SIGNATURE {
        return None;
    }
    // Platform class, version and errata of the specification, size of its integers.
    data.take(4 + 3 + 1)?;
    let count = data.u32().filter(|count| (1..=ALGORITHMS_MAX).contains(count))?;
    let algorithms = (0..count)
        .map(|_| Some((data.u16()?, usize::from(data.u16()?))))
        .collect::<Option<Vec<_>>>()?;
    let vendor_bytes = usize::from(data.u8()?);
    data.take(vendor_bytes)?;
    (data.0.is_empty() && algorithms.contains(&(SHA384, 48))).then_some(algorithms)
}

struct RawEvent<'a> {
    register: u32,
    kind: u32,
    digest: Option<[u8; 48]>,
    data: &'a [u8],
}

fn event<'a>(input: &mut Input<'a>, algorithms: &[(u16, usize)]) -> Option<RawEvent<'a>> {
    let register = input.u32()?;
    let kind = input.u32()?;
    let count = input.u32().filter(|&count| count <= ALGORITHMS_MAX)?;
    let mut digest = None;
    for _ in 0..count {
        let algorithm = input.u16()?;
        let (_, length) = algorithms.iter().find(|(known, _)| *known == algorithm)?;
        let value = input.take(*length)?;
        if algorithm == SHA384 && digest.replace(value.try_into().ok()?).is_some() {
            // Two digests of one kind: which one was extended is not known.
            return None;
        }
    }
    Some(RawEvent { register, kind, digest, data: input.sized()? })
}
