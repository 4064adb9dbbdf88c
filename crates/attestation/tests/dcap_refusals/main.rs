//! A platform made for the test, right in all but one thing: each has its own error.

#[path = "../dcap_support/mod.rs"]
mod dcap_support;

mod collateral;
mod levels;
mod quotes;

use casemate_attestation::{
    Grade, Measurements, TcbStatus, TeeKind,
    crypto::CryptoError,
    dcap::{Document, Error, Part, QUOTE_BYTES_MAX, Quote},
    x509::X509Error,
};
use dcap_support::{
    der::{json_time, oid, sequence},
    pki::Key,
    world::{DAY, Form, NOW, World, level, part_level},
};
use serde_json::json;

const TDX: [Form; 4] = [Form::TdxV4, Form::Tdx10V5, Form::Tdx15V5, Form::Tdx15ExV5];

/// Changes one thing and says what verification then gives.
fn with(form: Form, change: impl FnOnce(&mut World)) -> Result<TcbStatus, Error> {
    let mut world = World::new(form);
    change(&mut world);
    world.verify().map(|claims| claims.tcb.status)
}

#[track_caller]
fn refused(form: Form, expected: Error, change: impl FnOnce(&mut World)) {
    assert_eq!(with(form, change), Err(expected));
}

fn certificate(document: Document, source: X509Error) -> Error {
    Error::Certificate { document, source }
}
