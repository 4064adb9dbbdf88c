//! What a GPU signs: an SPDM 1.1 GET_MEASUREMENTS request and its response (DMTF DSP0274, 10.11),
//! one after the other.

use super::Error;
use crate::claims::GpuMeasurement;
use alloc::{format, string::String, vec::Vec};
use core::ops::Range;

/// Fields of the opaque data, by the numbers that NVIDIA's open verifier has for them.
const DRIVER_VERSION: u16 = 3;
const VBIOS_VERSION: u16 = 6;
const NVDEC0_STATUS: u16 = 11;
const FIRMWARE_ID: u16 = 20;
/// Value of the video decoder's status where it is off.
const NVDEC0_DISABLED: u8 = 0x55;

const SPDM_1_1: u8 = 0x11;
const GET_MEASUREMENTS: u8 = 0xe0;
const MEASUREMENTS: u8 = 0x60;
/// Request attribute: with a signature.
const SIGNED: u8 = 1;
/// Operation: all measurements.
const ALL: u8 = 0xff;
/// Measurement specification: DMTF.
const DMTF: u8 = 1;
/// More fields than any GPU reports.
const OPAQUE_FIELDS_MAX: usize = 64;

/// A GPU's report, with the bytes as they were received. Parsing checks the form only: nothing that
/// a report says is worth anything before [`super::verify`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    bytes: Vec<u8>,
    nonce: [u8; 32],
    blocks: Vec<GpuMeasurement>,
    opaque: Vec<(u16, Range<usize>)>,
    signature: [u8; 96],
}

impl Report {
    /// Largest accepted report in bytes. An H100's has 4,117.
    pub const LEN_MAX: usize = 64 * 1024;
    /// Length of an ECDSA P-384 signature.
    const SIGNATURE_LEN: usize = 96;

    /// Takes a report apart.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Truncated`], [`Error::TrailingBytes`], [`Error::Version`],
    /// [`Error::MessageCode`], [`Error::NotAllSigned`], [`Error::Record`],
    /// [`Error::MeasurementSpecification`], [`Error::OpaqueData`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > Self::LEN_MAX {
            return Err(Error::Length { found: bytes.len() });
        }
        let mut reader = Reader { bytes, at: 0 };
        // Version, code, attributes, operation, nonce, slot.
        let [version, code, attributes, operation] = reader.array("request")?;
        let nonce = reader.array::<32>("request")?;
        let [_slot] = reader.array("request")?;
        // Version, code, two parameters, number of blocks, length of the record.
        let [answer_version, answer_code, _, _] = reader.array("response")?;
        for found in [version, answer_version] {
            if found != SPDM_1_1 {
                return Err(Error::Version { found });
            }
        }
        if code != GET_MEASUREMENTS || answer_code != MEASUREMENTS {
            return Err(Error::MessageCode);
        }
        if attributes & SIGNED == 0 || operation != ALL {
            return Err(Error::NotAllSigned);
        }
        let [count, l0, l1, l2] = reader.array("response")?;
        let length = u32::from_le_bytes([l0, l1, l2, 0]);
        let record = reader.take(usize::try_from(length).unwrap_or(usize::MAX), "measurements")?;
        let blocks = read_blocks(record, count)?;
        let _answer_nonce = reader.array::<32>("response's nonce")?;
        let length = u16::from_le_bytes(reader.array("opaque data")?);
        let start = reader.at;
        let opaque = read_opaque(start, reader.take(usize::from(length), "opaque data")?)?;
        let signature = reader.array::<{ Self::SIGNATURE_LEN }>("signature")?;
        match bytes.len().saturating_sub(reader.at) {
            0 => Ok(Self { bytes: bytes.to_vec(), nonce, blocks, opaque, signature }),
            extra => Err(Error::TrailingBytes { extra }),
        }
    }

    /// The bytes as they were received.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The nonce for which the GPU was asked.
    pub fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The measurement blocks by index, from 1.
    pub fn blocks(&self) -> &[GpuMeasurement] {
        &self.blocks
    }

    /// Version of the driver, such as `550.90.07`.
    ///
    /// # Errors
    /// [`Error::OpaqueField`].
    pub fn driver_version(&self) -> Result<String, Error> {
        let missing = Error::OpaqueField { field: "driver version" };
        let value = self.opaque_field(DRIVER_VERSION).ok_or_else(|| missing.clone())?;
        let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(String::from)
            .ok_or(missing)
    }

    /// Version of the VBIOS, such as `96.00.9F.00.01`: the upper half of the field, then the last
    /// byte of the lower half, both from the highest byte down.
    ///
    /// # Errors
    /// [`Error::OpaqueField`].
    pub fn vbios_version(&self) -> Result<String, Error> {
        match self.opaque_field(VBIOS_VERSION) {
            Some([b0, b1, b2, b3, b4, _, _, _]) => {
                Ok(format!("{b3:02X}.{b2:02X}.{b1:02X}.{b0:02X}.{b4:02X}"))
            }
            _ => Err(Error::OpaqueField { field: "VBIOS version" }),
        }
    }

    /// Digest of the firmware that holds the attestation key, where the GPU reports it.
    pub fn firmware_id(&self) -> Option<&[u8]> {
        self.opaque_field(FIRMWARE_ID).filter(|id| !id.is_empty())
    }

    /// Whether the video decoder is off; then its measurement says nothing.
    pub(super) fn decoder_is_off(&self) -> bool {
        self.opaque_field(NVDEC0_STATUS) == Some(&[NVDEC0_DISABLED])
    }

    /// What is signed, as it was received.
    pub(super) fn signed_bytes(&self) -> &[u8] {
        let end = self.bytes.len().saturating_sub(Self::SIGNATURE_LEN);
        self.bytes.get(..end).unwrap_or_default()
    }

    /// r and s, big-endian.
    pub(super) fn signature(&self) -> &[u8; 96] {
        &self.signature
    }

    fn opaque_field(&self, kind: u16) -> Option<&[u8]> {
        let (_, range) = self.opaque.iter().find(|(found, _)| *found == kind)?;
        self.bytes.get(range.clone())
    }
}

/// Blocks are numbered from 1 without a gap, each once.
fn read_blocks(record: &[u8], count: u8) -> Result<Vec<GpuMeasurement>, Error> {
    let mut reader = Reader { bytes: record, at: 0 };
    let mut blocks = Vec::with_capacity(usize::from(count));
    for expected in 1..=count {
        let damaged = |_| Error::Record { block: expected };
        let [index, specification, s0, s1] = reader.array("").map_err(damaged)?;
        if index != expected {
            return Err(Error::Record { block: index });
        }
        if specification != DMTF {
            return Err(Error::MeasurementSpecification { block: index });
        }
        let size = usize::from(u16::from_le_bytes([s0, s1]));
        let body = reader.take(size, "").map_err(damaged)?;
        match body.split_first_chunk::<3>() {
            Some(([_kind, v0, v1], value))
                if value.len() == usize::from(u16::from_le_bytes([*v0, *v1])) =>
            {
                blocks.push(GpuMeasurement { index, value: value.to_vec() });
            }
            _ => return Err(Error::Record { block: index }),
        }
    }
    if blocks.is_empty() || reader.at != record.len() {
        return Err(Error::Record { block: count });
    }
    Ok(blocks)
}

/// Kind, length, value; each kind once. `start` is where the data lie in the report.
fn read_opaque(start: usize, data: &[u8]) -> Result<Vec<(u16, Range<usize>)>, Error> {
    let mut reader = Reader { bytes: data, at: 0 };
    let mut fields: Vec<(u16, Range<usize>)> = Vec::new();
    while reader.at < data.len() {
        let [k0, k1, l0, l1] = reader.array("").map_err(|_| Error::OpaqueData)?;
        let (kind, length) = (u16::from_le_bytes([k0, k1]), u16::from_le_bytes([l0, l1]));
        let from = start.saturating_add(reader.at);
        reader.take(usize::from(length), "").map_err(|_| Error::OpaqueData)?;
        if fields.len() == OPAQUE_FIELDS_MAX || fields.iter().any(|(known, _)| *known == kind) {
            return Err(Error::OpaqueData);
        }
        fields.push((kind, from..start.saturating_add(reader.at)));
    }
    Ok(fields)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], Error> {
        let end = self.at.saturating_add(length);
        let bytes = self.bytes.get(self.at..end).ok_or(Error::Truncated { field })?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const LEN: usize>(&mut self, field: &'static str) -> Result<[u8; LEN], Error> {
        self.take(LEN, field)?.try_into().map_err(|_| Error::Truncated { field })
    }
}
