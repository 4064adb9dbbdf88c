//! A reader of DER (X.690) that borrows, allocates nothing and accepts one encoding only.
//!
//! What is signed is compared and hashed as received, so slices of the input are all that is needed.

use thiserror::Error;

/// BOOLEAN
pub(crate) const BOOLEAN: u8 = 0x01;
/// INTEGER
pub(crate) const INTEGER: u8 = 0x02;
/// BIT STRING
pub(crate) const BIT_STRING: u8 = 0x03;
/// OCTET STRING
pub(crate) const OCTET_STRING: u8 = 0x04;
/// NULL
pub(crate) const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER
pub(crate) const OID: u8 = 0x06;
/// SEQUENCE
pub(crate) const SEQUENCE: u8 = 0x30;
/// UTCTime
pub(crate) const UTC_TIME: u8 = 0x17;
/// GeneralizedTime
pub(crate) const GENERALIZED_TIME: u8 = 0x18;

/// A constructed, context specific tag.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// The bytes are not DER, or not of the expected type.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not the DER that was expected")]
pub(crate) struct Asn1Error;

/// One value with its tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// Without tag and length.
    pub(crate) content: &'a [u8],
    /// With tag and length.
    pub(crate) raw: &'a [u8],
}

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next value.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Fails if something is left.
    pub(crate) fn finish(self) -> Result<(), Asn1Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Asn1Error) }
    }

    /// The next value, whatever it is.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, Asn1Error> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(Asn1Error)?;
        // Tags of more than one byte are used by nothing that is read here.
        if tag & 0x1f == 0x1f {
            return Err(Asn1Error);
        }
        let (&first, mut after_length) = after_tag.split_first().ok_or(Asn1Error)?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            // Three bytes of length are 16 MiB; the smallest encoding is the only one.
            if !(1..=3).contains(&count) {
                return Err(Asn1Error);
            }
            let (bytes, rest) = after_length.split_at_checked(count).ok_or(Asn1Error)?;
            after_length = rest;
            let length = bytes.iter().fold(0usize, |sum, &byte| (sum << 8) | usize::from(byte));
            if length < 0x80 || bytes.first() == Some(&0) {
                return Err(Asn1Error);
            }
            length
        };
        let (content, rest) = after_length.split_at_checked(length).ok_or(Asn1Error)?;
        let raw = self.rest.get(..self.rest.len() - rest.len()).ok_or(Asn1Error)?;
        self.rest = rest;
        Ok(Element { tag, content, raw })
    }

    /// The content of the next value, which has to have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Asn1Error> {
        self.expect_element(tag).map(|element| element.content)
    }

    /// The next value, which has to have this tag.
    pub(crate) fn expect_element(&mut self, tag: u8) -> Result<Element<'a>, Asn1Error> {
        if self.peek() == Some(tag) { self.element() } else { Err(Asn1Error) }
    }

    /// The content of the next value if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Asn1Error> {
        if self.peek() == Some(tag) { self.expect(tag).map(Some) } else { Ok(None) }
    }

    /// An INTEGER that is not negative, without the leading zero.
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], Asn1Error> {
        unsigned(self.integer()?)
    }

    /// The content of an INTEGER in its shortest form.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], Asn1Error> {
        match self.expect(INTEGER)? {
            [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(Asn1Error),
            content => Ok(content),
        }
    }

    /// A BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], Asn1Error> {
        match self.expect(BIT_STRING)?.split_first() {
            Some((0, bytes)) => Ok(bytes),
            _ => Err(Asn1Error),
        }
    }
}

/// The content of the one value that `bytes` are.
pub(crate) fn only(tag: u8, bytes: &[u8]) -> Result<&[u8], Asn1Error> {
    let mut reader = Reader::new(bytes);
    let content = reader.expect(tag)?;
    reader.finish()?;
    Ok(content)
}

/// A BOOLEAN's content as DER has it.
pub(crate) fn boolean(content: &[u8]) -> Result<bool, Asn1Error> {
    match content {
        [0] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(Asn1Error),
    }
}

/// An INTEGER's content as a small number.
pub(crate) fn small(content: &[u8]) -> Result<u64, Asn1Error> {
    let bytes = unsigned(content)?;
    if bytes.len() > 8 {
        return Err(Asn1Error);
    }
    Ok(bytes.iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte)))
}

fn unsigned(content: &[u8]) -> Result<&[u8], Asn1Error> {
    match content {
        [] | [0x80..=0xff, ..] => Err(Asn1Error),
        [0, rest @ ..] if !rest.is_empty() => Ok(rest),
        content => Ok(content),
    }
}
