//! UTCTime and GeneralizedTime (RFC 5280, 4.1.2.5).

use super::asn1::{self, Asn1Error, Reader};
use crate::UnixSeconds;

/// Reads a Time. Both forms have seconds and end in `Z`.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<UnixSeconds, Asn1Error> {
    let element = reader.element()?;
    match (element.tag, element.content) {
        (asn1::UTC_TIME, [rest @ .., b'Z']) if rest.len() == 12 => {
            let (year, rest) = rest.split_at(2);
            // RFC 5280, 4.1.2.5.1: 50 to 99 are of the last century.
            let year = number(year)?;
            seconds(if year >= 50 { 1900 + year } else { 2000 + year }, rest)
        }
        (asn1::GENERALIZED_TIME, [rest @ .., b'Z']) if rest.len() == 14 => {
            let (year, rest) = rest.split_at(4);
            seconds(number(year)?, rest)
        }
        _ => Err(Asn1Error),
    }
}

/// Whether the next value is a Time.
pub(super) fn is_next(reader: &Reader<'_>) -> bool {
    matches!(reader.peek(), Some(asn1::UTC_TIME | asn1::GENERALIZED_TIME))
}

fn number(digits: &[u8]) -> Result<u64, Asn1Error> {
    digits.iter().try_fold(0, |sum, digit| match digit {
        b'0'..=b'9' => Ok(sum * 10 + u64::from(digit - b'0')),
        _ => Err(Asn1Error),
    })
}

/// Seconds since 1970 of a year and `MMDDhhmmss`.
fn seconds(year: u64, rest: &[u8]) -> Result<UnixSeconds, Asn1Error> {
    let mut parts = [0; 5];
    for (part, digits) in parts.iter_mut().zip(rest.chunks_exact(2)) {
        *part = number(digits)?;
    }
    let [month, day, hour, minute, second] = parts;
    unix_seconds(year, month, day, hour, minute, second).ok_or(Asn1Error)
}

/// Seconds since 1970 of a date of the Gregorian calendar, in UTC; `None` if there is no such date.
pub(crate) fn unix_seconds(
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
) -> Option<UnixSeconds> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    let exists = (1970..=9999).contains(&year)
        && (1..=month_days).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !exists {
        return None;
    }
    // Days from 1 March of year 0, so that the leap day is the last of a year.
    let (shifted_year, shifted_month) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100
        + shifted_year / 400
        + (shifted_month * 153 + 2) / 5
        + day
        - 1;
    // 719,468 days lie between 1 March of year 0 and 1 January 1970.
    Some((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second)
}
