//! SEV-SNP reports, versions 2, 3 and 5 (AMD 56860, table 23).

use super::{Amd, Tcb};
use crate::{
    Error, Misbehaviour, evidence::Format, keys::random, measure::Measurements, misbehave,
};

/// Length of a report.
const LENGTH: usize = 1184;

/// How much of it is signed.
const SIGNED: usize = 0x2a0;

/// Guest policy: the bit that must be one, SMT allowed; debug.
const POLICY: u64 = 1 << 17 | 1 << 16;
const POLICY_DEBUG: u64 = 1 << 19;

/// Signature algorithm: ECDSA P-384 with SHA-384.
const ECDSA_P384_SHA384: u32 = 1;

/// Platform: SMT on, ECC memory.
const PLATFORM_INFO: u64 = 0b101;

/// Milan's CPUID: family, model, stepping.
const MILAN: [u8; 3] = [0x19, 0x01, 0x01];

/// Firmware 1.55.22, as build, minor, major.
const FIRMWARE: [u8; 3] = [22, 55, 1];

impl Amd {
    /// A report to a guest at VMPL 0.
    pub(crate) fn report(
        &self,
        format: Format,
        measurements: &Measurements,
        report_data: &[u8; 64],
        misbehave: &[Misbehaviour],
    ) -> Result<Vec<u8>, Error> {
        let Measurements::SevSnp { measurement, host_data } = measurements else {
            return Err(Error::Key("it is of another vendor"));
        };
        let platform = misbehave::platform(misbehave);
        let mut tcb = *Tcb::of(platform);
        if misbehave.contains(&Misbehaviour::WrongTcb) {
            tcb.microcode = tcb.microcode.wrapping_add(1);
        }
        let mut chip_id = self.chip_id;
        if misbehave.contains(&Misbehaviour::WrongChip) {
            chip_id[0] ^= 1;
        }
        let debug = if misbehave.contains(&Misbehaviour::Debug) { POLICY_DEBUG } else { 0 };

        let mut report = vec![0; LENGTH];
        let mut put = |offset: usize, bytes: &[u8]| {
            for (to, from) in report.iter_mut().skip(offset).zip(bytes) {
                *to = *from;
            }
        };
        put(0x00, &u32::from(format.version()).to_le_bytes());
        put(0x08, &(POLICY | debug).to_le_bytes());
        put(0x34, &ECDSA_P384_SHA384.to_le_bytes());
        put(0x38, &tcb.to_bytes());
        put(0x40, &PLATFORM_INFO.to_le_bytes());
        put(0x50, report_data);
        put(0x90, measurement);
        put(0xc0, host_data);
        // Id that the firmware gives to a guest; all ones: no migration agent.
        put(0x140, &random::<32>()?);
        put(0x160, &[0xff; 32]);
        put(0x180, &tcb.to_bytes());
        if format != Format::SnpV2 {
            put(0x188, &MILAN);
        }
        put(0x1a0, &chip_id);
        put(0x1e0, &tcb.to_bytes());
        put(0x1e8, &FIRMWARE);
        put(0x1ec, &FIRMWARE);
        put(0x1f0, &tcb.to_bytes());
        if format == Format::SnpV5 {
            // Mitigations that the firmware has, at launch and now.
            put(0x1f8, &1_u64.to_le_bytes());
            put(0x200, &1_u64.to_le_bytes());
        }

        let signed = report.get(..SIGNED).unwrap_or_default();
        let mut signature = self.vcek(platform)?.key.sign_p384_raw(signed)?;
        if misbehave.contains(&Misbehaviour::BadSignature) {
            signature[95] ^= 1;
        }
        // r and s, each little-endian in 72 bytes.
        let (r, s) = signature.split_at_mut(48);
        r.reverse();
        s.reverse();
        for (offset, number) in [(SIGNED, r), (SIGNED + 72, s)] {
            for (to, from) in report.iter_mut().skip(offset).zip(number) {
                *to = *from;
            }
        }
        Ok(report)
    }
}
