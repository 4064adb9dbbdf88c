//! RATS conceptual messages wrapper (RFC 9999), CBOR serialisation.
//!
//! Our own two hundred lines: the crate `cmw` 0.1.2 brings a regular expression engine, two CBOR
//! libraries and an HTTP client at build time, and the agent should stay small. Read are records,
//! tags and nested collections; written are collections of records with media types.

use crate::cbor::{self, Malformed, Reader};

/// Indicator bit: endorsements (RFC 9999, section 3.1.2).
pub const ENDORSEMENTS: u8 = 1 << 1;

/// Indicator bit: evidence.
pub const EVIDENCE: u8 = 1 << 2;

/// Largest collection that is read: a certificate or an answer that carries one is smaller.
pub const CMW_BYTES_MAX: usize = crate::EVIDENCE_BYTES_MAX;

/// Most members of a collection: we write four.
const MEMBERS_MAX: usize = 32;

/// How deep collections may stand in one another.
const DEPTH_MAX: u32 = 4;

/// The key that holds a collection's type.
const TYPE_LABEL: &str = "__cmwc_t";

/// Name of a member.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Label {
    /// By text.
    Text(String),
    /// By number.
    Integer(i64),
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Type of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Type {
    Media(String),
    /// CoAP content format.
    ContentFormat(u64),
}

/// A message with its type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    kind: Type,
    value: Vec<u8>,
    indicator: u8,
}

impl Record {
    /// A message of a media type; `indicator` says what it is in the terms of RFC 9334.
    pub fn new(media_type: &str, value: Vec<u8>, indicator: u8) -> Self {
        Self { kind: Type::Media(media_type.to_owned()), value, indicator }
    }

    /// Its media type, empty where its type is a number.
    pub fn media_type(&self) -> &str {
        match &self.kind {
            Type::Media(text) => text,
            Type::ContentFormat(_) => "",
        }
    }

    /// The message.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Bits that say what it is, 0 where nothing is said.
    pub fn indicator(&self) -> u8 {
        self.indicator
    }
}

/// A wrapped message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cmw {
    /// With a media type or content format.
    Record(Record),
    /// As a CBOR tag over bytes.
    Tag {
        /// Which.
        number: u64,
        /// The message.
        value: Vec<u8>,
    },
    /// Several.
    Collection(Collection),
}

/// Messages by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Collection {
    kind: Option<String>,
    members: Vec<(Label, Cmw)>,
}

/// Why bytes are no collection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CmwError {
    /// Longer than [`CMW_BYTES_MAX`].
    #[error("the collection of messages is longer than {CMW_BYTES_MAX} bytes")]
    TooLong,
    /// Not CBOR as RFC 9999 has it.
    #[error("these bytes are no collection of conceptual messages (RFC 9999, CBOR)")]
    Malformed,
    /// Too many members, or too deep.
    #[error("the collection has more than {MEMBERS_MAX} members or is nested too deeply")]
    TooMany,
    /// A member's name is there twice.
    #[error("the collection has two members of the same name")]
    Duplicate,
    /// Something follows it.
    #[error("something follows the collection of messages")]
    Trailing,
}

impl From<Malformed> for CmwError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Collection {
    /// An empty one of a type (a URI or an object identifier).
    pub fn new(kind: &str) -> Self {
        Self { kind: Some(kind.to_owned()), members: Vec::new() }
    }

    /// Its type, where it has one.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// Adds a member, or replaces the one of the same name.
    pub fn insert(&mut self, label: impl Into<Label>, record: Record) {
        let label = label.into();
        self.members.retain(|(other, _)| *other != label);
        self.members.push((label, Cmw::Record(record)));
    }

    /// A member by its name.
    pub fn get(&self, label: &Label) -> Option<&Cmw> {
        self.members.iter().find(|(other, _)| other == label).map(|(_, member)| member)
    }

    /// A record by its name, if it is of that media type.
    pub fn record(&self, label: &str, media_type: &str) -> Option<&[u8]> {
        match self.get(&label.into()) {
            Some(Cmw::Record(record)) if record.media_type() == media_type => Some(record.value()),
            _ => None,
        }
    }

    /// How many members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        cbor::head(out, cbor::MAP, (self.members.len() + usize::from(self.kind.is_some())) as u64);
        if let Some(kind) = &self.kind {
            cbor::string(out, cbor::TEXT, TYPE_LABEL.as_bytes());
            cbor::string(out, cbor::TEXT, kind.as_bytes());
        }
        for (label, member) in &self.members {
            match label {
                Label::Text(text) => cbor::string(out, cbor::TEXT, text.as_bytes()),
                Label::Integer(number) if *number < 0 => {
                    cbor::head(out, cbor::NEGATIVE, number.unsigned_abs() - 1);
                }
                Label::Integer(number) => cbor::head(out, cbor::UINT, number.unsigned_abs()),
            }
            match member {
                Cmw::Record(record) => {
                    let three = record.indicator != 0;
                    cbor::head(out, cbor::ARRAY, 2 + u64::from(three));
                    match &record.kind {
                        Type::Media(text) => cbor::string(out, cbor::TEXT, text.as_bytes()),
                        Type::ContentFormat(number) => cbor::head(out, cbor::UINT, *number),
                    }
                    cbor::string(out, cbor::BYTES, &record.value);
                    if three {
                        cbor::head(out, cbor::UINT, u64::from(record.indicator));
                    }
                }
                Cmw::Tag { number, value } => {
                    cbor::head(out, cbor::TAG, *number);
                    cbor::string(out, cbor::BYTES, value);
                }
                Cmw::Collection(inner) => inner.encode_to(out),
            }
        }
    }

    /// Reads the CBOR, all of it.
    ///
    /// # Errors
    /// Where it is anything else than one collection within the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, CmwError> {
        if bytes.len() > CMW_BYTES_MAX {
            return Err(CmwError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        let collection = Self::decode_from(&mut reader, DEPTH_MAX)?;
        if !reader.is_empty() {
            return Err(CmwError::Trailing);
        }
        Ok(collection)
    }

    fn decode_from(reader: &mut Reader<'_>, depth: u32) -> Result<Self, CmwError> {
        let depth = depth.checked_sub(1).ok_or(CmwError::TooMany)?;
        let count = reader.expect(cbor::MAP)?;
        if count > MEMBERS_MAX as u64 {
            return Err(CmwError::TooMany);
        }
        let mut collection = Self::default();
        for _ in 0..count {
            let label = match reader.peek()? {
                cbor::TEXT => Label::Text(reader.text()?.to_owned()),
                _ => {
                    let (major, value) = reader.head()?;
                    let value = i64::try_from(value).map_err(|_| CmwError::Malformed)?;
                    match major {
                        cbor::UINT => Label::Integer(value),
                        cbor::NEGATIVE => Label::Integer(-1 - value),
                        _ => return Err(CmwError::Malformed),
                    }
                }
            };
            if label == TYPE_LABEL.into() {
                if collection.kind.replace(reader.text()?.to_owned()).is_some() {
                    return Err(CmwError::Duplicate);
                }
                continue;
            }
            if collection.get(&label).is_some() {
                return Err(CmwError::Duplicate);
            }
            let member = Cmw::decode_from(reader, depth)?;
            collection.members.push((label, member));
        }
        // RFC 9999, section 3.3: a collection has at least one member besides its type.
        if collection.is_empty() {
            return Err(CmwError::Malformed);
        }
        Ok(collection)
    }
}

impl Cmw {
    fn decode_from(reader: &mut Reader<'_>, depth: u32) -> Result<Self, CmwError> {
        match reader.peek()? {
            cbor::MAP => Ok(Self::Collection(Collection::decode_from(reader, depth)?)),
            cbor::TAG => {
                let number = reader.expect(cbor::TAG)?;
                Ok(Self::Tag { number, value: reader.bytes()?.to_vec() })
            }
            cbor::ARRAY => {
                let items = reader.expect(cbor::ARRAY)?;
                if !(2..=3).contains(&items) {
                    return Err(CmwError::Malformed);
                }
                let kind = match reader.peek()? {
                    cbor::TEXT => Type::Media(reader.text()?.to_owned()),
                    _ => Type::ContentFormat(reader.expect(cbor::UINT)?),
                };
                let value = reader.bytes()?.to_vec();
                let indicator = match items {
                    3 => {
                        u8::try_from(reader.expect(cbor::UINT)?).map_err(|_| CmwError::Malformed)?
                    }
                    _ => 0,
                };
                Ok(Self::Record(Record { kind, value, indicator }))
            }
            _ => Err(CmwError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
