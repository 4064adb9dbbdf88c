//! Which firmware holds an attestation key (TCG DICE Attestation Architecture, 6.1).

use crate::x509::{
    Certificate, ObjectIdentifier,
    asn1::{self, Asn1Error, Reader},
};

/// `tcg-dice-TcbInfo`. Hopper GPUs put an older `CompositeDeviceID` under the same number.
const TCB_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1");
/// The number that NVIDIA's verifier accepts as well.
const TCB_INFO_OLD: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
/// Tag of `fwids` in `DiceTcbInfo`.
const FWIDS: u8 = asn1::context(6);

/// The extension's content, if the certificate has it.
pub(super) fn extension(certificate: &Certificate) -> Option<&[u8]> {
    certificate.extension(&TCB_INFO).or_else(|| certificate.extension(&TCB_INFO_OLD))
}

/// SHA-384 of the firmware that the certificate's key belongs to.
pub(super) fn id(certificate: &Certificate) -> Option<&[u8]> {
    read(extension(certificate)?).ok()
}

fn read(extension: &[u8]) -> Result<&[u8], Asn1Error> {
    let mut fields = Reader::new(asn1::only(asn1::SEQUENCE, extension)?);
    let fwid = if fields.peek() == Some(asn1::INTEGER) {
        // CompositeDeviceID ::= SEQUENCE { version INTEGER, deviceID SPKI, fwid FWID }
        fields.expect(asn1::INTEGER)?;
        fields.expect(asn1::SEQUENCE)?;
        let fwid = fields.expect(asn1::SEQUENCE)?;
        fields.finish()?;
        fwid
    } else {
        // DiceTcbInfo: all fields optional, tagged in rising order; the first of the list counts.
        let mut fwids = loop {
            let element = fields.element()?;
            if element.tag == FWIDS {
                break Reader::new(element.content);
            }
        };
        fwids.expect(asn1::SEQUENCE)?
    };
    let mut fwid = Reader::new(fwid);
    let algorithm = fwid.expect(asn1::OID)?;
    let digest = fwid.expect(asn1::OCTET_STRING)?;
    fwid.finish()?;
    if algorithm == SHA384.as_bytes() && digest.len() == 48 { Ok(digest) } else { Err(Asn1Error) }
}
