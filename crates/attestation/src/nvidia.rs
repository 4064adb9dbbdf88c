//! NVIDIA GPUs in confidential mode (Hopper and later): SPDM measurements that the GPU signs.
//!
//! The rules are those of NVIDIA's open `nv-local-gpu-verifier`. What the GPU reports proves that it
//! is a GPU of NVIDIA's and what it measured; that these measurements are good says only a signed
//! reference manifest ([`Rim`]) for its driver and one for its VBIOS.
//!
//! A GPU's evidence is bound to an enclave by its nonce, which the enclave chooses: see
//! [`crate::Binding::gpu_evidence`].

mod error;
mod firmware;
mod report;
mod rim;

pub use error::{Error, RimError};
pub use report::Report;
pub use rim::Rim;

use crate::{
    Claims, Measurements, Tcb, TcbStatus, TeeKind, TrustRoots, UnixSeconds, Vendor, Verified,
    crypto::SignatureAlgorithm,
    roots,
    x509::{Certificate, X509Error, verify_chain},
};
use alloc::{string::String, vec::Vec};

/// Attestation key, device and root.
const CHAIN_LENGTH_MIN: usize = 3;
/// Measurement of the video decoder, which says nothing while it is off. Counted from 0.
const DECODER_INDEX: u8 = 35;

/// Verifies a GPU's report: its certificate chain (PEM, attestation key first) up to a pinned root,
/// the firmware that holds the key, the nonce where one is given, the signature, and the
/// measurements where manifests are given.
///
/// With `rim`, exactly the manifest of the reported driver and that of the reported VBIOS are
/// needed, and each of their values has to hold: then the claims say `matches_rim`. Without, the
/// evidence shows a genuine GPU in confidential mode whose firmware nobody has judged: a policy's
/// verdict says so, and its condition `gpuMatchesRim` refuses it. NVIDIA's evidence has no debug
/// flag, and no advisories.
///
/// The claims' report data are the nonce and 32 zeros. Revocation is not looked at: NVIDIA answers
/// OCSP only.
///
/// # Errors
/// One for each check: see [`Error`].
pub fn verify(
    report: Report,
    chain_pem: &[u8],
    trust: &TrustRoots,
    nonce: Option<[u8; 32]>,
    rim: Option<&[Rim]>,
    now: UnixSeconds,
) -> Result<Verified<Report>, Error> {
    let certificates = Certificate::chain_from_pem(chain_pem).map_err(Error::MalformedChain)?;
    let ([leaf, device, ..], [.., root]) = (certificates.as_slice(), certificates.as_slice())
    else {
        return Err(Error::ChainLength { found: certificates.len() });
    };
    if certificates.len() < CHAIN_LENGTH_MIN {
        return Err(Error::ChainLength { found: certificates.len() });
    }
    let spki_sha256 = root.spki_sha256();
    // The root for manifests signs people's keys, none of which may pass for a GPU.
    let grade = trust
        .find(Vendor::Nvidia, &spki_sha256)
        .filter(|_| spki_sha256 != roots::NVIDIA_RIM)
        .ok_or(Error::UnknownRoot { spki_sha256 })?
        .grade;
    if nonce.is_some_and(|nonce| nonce != *report.nonce()) {
        return Err(Error::Nonce);
    }
    let firmware = firmware::id(leaf).ok_or(Error::MissingFirmwareId)?;
    if report.firmware_id().is_some_and(|id| id != firmware) {
        return Err(Error::FirmwareId);
    }
    let key = leaf
        .public_key()
        .ok()
        .filter(|key| key.p384_raw().is_some() && !leaf.is_ca())
        .ok_or(Error::LeafKey)?;
    let chain = verify_chain(&certificates, now).map_err(|error| match error {
        X509Error::NotYetValid => Error::NotYetValid,
        X509Error::Expired => Error::Expired,
        error => Error::Chain(error),
    })?;
    key.verify_raw(SignatureAlgorithm::EcdsaSha384, report.signed_bytes(), report.signature())
        .map_err(|_| Error::Signature)?;

    let mut claims = Claims {
        kind: TeeKind::NvidiaGpu,
        grade,
        measurements: Measurements::NvidiaGpu {
            blocks: report.blocks().to_vec(),
            driver_version: report.driver_version()?,
            vbios_version: report.vbios_version()?,
            matches_rim: rim.is_some(),
        },
        report_data: report_data(&report),
        debug: false,
        tcb: Tcb {
            status: TcbStatus::UpToDate,
            advisories: Vec::new(),
            date: None,
            evaluation: None,
        },
        // The attestation key changes with the firmware, the device's certificate does not.
        platform_id: device.serial().to_vec(),
        product: product(device),
        not_after: chain.not_after.saturating_add(1),
    };
    if let Some(rim) = rim {
        compare(&report, &claims.product, rim, now)?;
        for rim in rim {
            claims.grade = claims.grade.min(rim.grade());
            claims.not_after = claims.not_after.min(rim.not_after());
        }
    }
    Ok(Verified::new(report, claims))
}

/// Checks that each reference value of both manifests is what the GPU measured.
fn compare(report: &Report, product: &str, rims: &[Rim], now: UnixSeconds) -> Result<(), Error> {
    let (driver_version, vbios_version) = (report.driver_version()?, report.vbios_version()?);
    let (mut driver, mut vbios) = (None, None);
    for rim in rims {
        if now >= rim.not_after() {
            return Err(Error::RimExpired);
        }
        if rim.product() != product {
            let (manifest, gpu) = (rim.product().into(), product.into());
            return Err(Error::RimProduct { manifest, gpu });
        }
        let place = if rim.version().eq_ignore_ascii_case(&driver_version) {
            &mut driver
        } else if rim.version().eq_ignore_ascii_case(&vbios_version) {
            &mut vbios
        } else {
            return Err(Error::RimVersion { version: rim.version().into() });
        };
        if place.replace(rim).is_some() {
            return Err(Error::RimSet);
        }
    }
    let (Some(driver), Some(vbios)) = (driver, vbios) else { return Err(Error::RimSet) };
    for value in driver.values() {
        if vbios.values().iter().any(|other| other.index == value.index) {
            return Err(Error::RimConflict { index: value.index });
        }
    }
    for (component, rim) in [("driver", driver), ("VBIOS", vbios)] {
        for value in rim.values() {
            if value.index == DECODER_INDEX && report.decoder_is_off() {
                continue;
            }
            // Blocks are sorted by their number, which counts from 1.
            let measured = report.blocks().get(usize::from(value.index));
            if !measured.is_some_and(|block| value.alternatives.contains(&block.value)) {
                return Err(Error::RimMismatch { index: value.index, component });
            }
        }
    }
    Ok(())
}

fn report_data(report: &Report) -> [u8; 64] {
    let mut data = [0; 64];
    for (to, from) in data.iter_mut().zip(report.nonce()) {
        *to = *from;
    }
    data
}

/// The first word of the device certificate's name: `GH100` of `GH100 A01 GSP BROM`.
fn product(device: &Certificate) -> String {
    let name = device.subject_common_name().unwrap_or_default();
    name.split(' ').next().unwrap_or_default().into()
}
