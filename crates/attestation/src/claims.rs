//! What evidence says, in terms that are the same for all vendors (EAT, RFC 9711).

use alloc::{borrow::Cow, string::String, vec::Vec};
use casemate_primitives::{TeeKind, UnixSeconds};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha384};

/// How much a trust root is worth.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    TypeInfo,
)]
#[serde(rename_all = "camelCase")]
pub enum Grade {
    /// A development network's own root: the evidence is genuine in format and protects nothing.
    Software,
    /// A vendor's root: the evidence comes from its hardware.
    Hardware,
}

/// The vendor's judgement of a platform's firmware and microcode, best first.
///
/// The names are Intel's (PCS API v4, `tcbStatus`). AMD and NVIDIA publish no such judgement: their
/// verifiers say [`TcbStatus::UpToDate`] when the reported versions are at least the minimum that
/// the caller asks for, and [`TcbStatus::OutOfDate`] otherwise.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Deserialize,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    TypeInfo,
)]
pub enum TcbStatus {
    /// The newest that the vendor knows.
    UpToDate,
    /// The enclave's own software has to mitigate the advisories.
    #[serde(rename = "SWHardeningNeeded")]
    SwHardeningNeeded,
    /// A setting of the platform has to be judged.
    ConfigurationNeeded,
    /// Both of the above.
    #[serde(rename = "ConfigurationAndSWHardeningNeeded")]
    ConfigurationAndSwHardeningNeeded,
    /// An update is there and not installed.
    OutOfDate,
    /// An update is there and not installed, and a setting has to be judged.
    OutOfDateConfigurationNeeded,
    /// The vendor has revoked this level.
    Revoked,
}

/// The state of the platform's trusted computing base.
#[derive(Clone, Debug, Decode, Deserialize, Encode, Eq, PartialEq, Serialize, TypeInfo)]
#[serde(rename_all = "camelCase")]
pub struct Tcb {
    /// The judgement.
    pub status: TcbStatus,
    /// Names of the vendor's advisories that are open at this level, such as `INTEL-SA-00615`.
    pub advisories: Vec<String>,
    /// When the level was published; `None` where the vendor gives no date.
    pub date: Option<UnixSeconds>,
    /// Number of the collateral's evaluation data (Intel), to refuse older collateral.
    pub evaluation: Option<u32>,
}

/// What runs, as the hardware has measured it. The names are the vendors'.
#[derive(Clone, Debug, Decode, Deserialize, Encode, Eq, PartialEq, Serialize, TypeInfo)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "format")]
pub enum Measurements {
    /// Intel SGX report body (SDM vol. 3D, table 38-21).
    Sgx {
        /// Hash of the enclave's pages as they were built.
        #[serde(with = "hex::serde")]
        mr_enclave: [u8; 32],
        /// Hash of the key that signed the enclave.
        #[serde(with = "hex::serde")]
        mr_signer: [u8; 32],
        /// The signer's number for the product.
        isv_prod_id: u16,
        /// The signer's security version.
        isv_svn: u16,
        /// Flags and XFRM.
        #[serde(with = "hex::serde")]
        attributes: [u8; 16],
    },
    /// Intel TDX TD report body (TDX module spec, `TDREPORT_STRUCT`).
    Tdx {
        /// The TD's initial memory.
        #[serde(with = "hex::serde")]
        mr_td: [u8; 48],
        /// The four run-time registers.
        #[serde(with = "hex_array")]
        rtmr: [[u8; 48]; 4],
        /// Set by the host at creation, not run-time changeable.
        #[serde(with = "hex::serde")]
        mr_config_id: [u8; 48],
        /// The TD's owner.
        #[serde(with = "hex::serde")]
        mr_owner: [u8; 48],
        /// The owner's configuration.
        #[serde(with = "hex::serde")]
        mr_owner_config: [u8; 48],
        /// The TDX module.
        #[serde(with = "hex::serde")]
        mr_seam: [u8; 48],
        /// TD attributes (bit 0: debug).
        #[serde(with = "hex::serde")]
        td_attributes: [u8; 8],
        /// Extended features that the TD may use.
        #[serde(with = "hex::serde")]
        xfam: [u8; 8],
    },
    /// AMD SEV-SNP attestation report (AMD 56860, table 23).
    SevSnp {
        /// Launch digest.
        #[serde(with = "hex::serde")]
        measurement: [u8; 48],
        /// Set by the host at launch.
        #[serde(with = "hex::serde")]
        host_data: [u8; 32],
        /// Digest of the key that signed the id block; zeros without one.
        #[serde(with = "hex::serde")]
        id_key_digest: [u8; 48],
        /// Digest of the key that certified the id key; zeros without one.
        #[serde(with = "hex::serde")]
        author_key_digest: [u8; 48],
        /// Guest's security version.
        guest_svn: u32,
        /// Privilege level of who asked, 0 is highest.
        vmpl: u32,
        /// Guest policy bits (bit 19: debug).
        policy: u64,
    },
    /// NVIDIA GPU SPDM measurement record (DMTF DSP0274).
    NvidiaGpu {
        /// Measurement blocks by index, from 1.
        blocks: Vec<GpuMeasurement>,
        /// Version of the driver, as the GPU reports it.
        driver_version: String,
        /// Version of the VBIOS, as the GPU reports it.
        vbios_version: String,
        /// Whether all blocks were compared to a signed RIM and found equal.
        matches_rim: bool,
    },
}

/// One measurement block of a GPU.
#[derive(Clone, Debug, Decode, Deserialize, Encode, Eq, PartialEq, Serialize, TypeInfo)]
pub struct GpuMeasurement {
    /// Its index, from 1.
    pub index: u8,
    /// Its value.
    #[serde(with = "hex::serde")]
    pub value: Vec<u8>,
}

impl Measurements {
    /// The one value that policies and lists of approved workloads name: MRENCLAVE, [`td_workload`]
    /// or the launch digest. Empty for a GPU, which runs no workload of its own.
    pub fn workload(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Sgx { mr_enclave, .. } => Cow::Borrowed(mr_enclave),
            Self::Tdx { mr_td, rtmr, .. } => Cow::Owned(td_workload(mr_td, rtmr).to_vec()),
            Self::SevSnp { measurement, .. } => Cow::Borrowed(measurement),
            Self::NvidiaGpu { .. } => Cow::Borrowed(&[]),
        }
    }

    /// Who stands for the workload: MRSIGNER, MROWNER or the digest of the ID key. Empty for a GPU.
    pub fn signer(&self) -> &[u8] {
        match self {
            Self::Sgx { mr_signer, .. } => mr_signer,
            Self::Tdx { mr_owner, .. } => mr_owner,
            Self::SevSnp { id_key_digest, .. } => id_key_digest,
            Self::NvidiaGpu { .. } => &[],
        }
    }

    /// What the host gave at launch: MRCONFIGID or HOST_DATA. Empty where there is no such field.
    pub fn configuration(&self) -> &[u8] {
        match self {
            Self::Tdx { mr_config_id, .. } => mr_config_id,
            Self::SevSnp { host_data, .. } => host_data,
            Self::Sgx { .. } | Self::NvidiaGpu { .. } => &[],
        }
    }

    /// Whether [`configuration`](Self::configuration) is this value, with zeros up to the field's end.
    /// Nothing equals a field that is not there.
    pub fn is_configured_as(&self, value: &[u8]) -> bool {
        let field = self.configuration();
        let fits = |(start, rest): (&[u8], &[u8])| start == value && rest.iter().all(|b| *b == 0);
        !field.is_empty() && field.split_at_checked(value.len()).is_some_and(fits)
    }
}

/// What a TD was booted with: SHA-384 over MRTD and the run-time registers 0, 1 and 2.
///
/// MRTD alone names only the virtual firmware, and anybody may boot any kernel under a good one. What
/// the firmware was told by the host and what it loaded is in RTMR\[0\] (configuration, ACPI tables)
/// and RTMR\[1\] (boot loader, kernel); what these loaded, initial RAM disk and command line, is in
/// RTMR\[2\] (Intel TDX Virtual Firmware Design Guide, "Measurement"). As RTMR\[0\] covers the
/// machine's shape too, one release has one workload for each shape that it is launched in.
///
/// RTMR\[3\] is left out: in it is what differs from pod to pod, such as the manifest.
pub fn td_workload(mr_td: &[u8; 48], rtmr: &[[u8; 48]; 4]) -> [u8; 48] {
    let [configuration, kernel, system, _] = rtmr;
    let mut hash = Sha384::new();
    for part in [mr_td, configuration, kernel, system] {
        hash.update(part);
    }
    hash.finalize().into()
}

/// What verified evidence says.
#[derive(Clone, Debug, Decode, Deserialize, Encode, Eq, PartialEq, Serialize, TypeInfo)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// Kind of TEE.
    pub kind: TeeKind,
    /// Grade of the trust root that it chains to.
    pub grade: Grade,
    /// What runs.
    pub measurements: Measurements,
    /// What the enclave itself put into the evidence (`eat_nonce` in EAT's words).
    #[serde(with = "hex::serde")]
    pub report_data: [u8; 64],
    /// Whether a debugger may read the enclave (`dbgstat`).
    pub debug: bool,
    /// State of the platform's firmware.
    pub tcb: Tcb,
    /// The machine (`ueid`): Intel PPID (or the digest of the PCK key where it is encrypted), AMD
    /// chip id, GPU's device id.
    #[serde(with = "hex::serde")]
    pub platform_id: Vec<u8>,
    /// The vendor's product line: FMSPC in hex, `Milan`, `Genoa`, `Turin`, `GH100`.
    pub product: String,
    /// First second at which something that this rests on has expired.
    pub not_after: UnixSeconds,
}

/// Arrays of byte strings as lists of hex.
mod hex_array {
    use alloc::{string::String, vec::Vec};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &[[u8; 48]; 4], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(value.iter().map(hex::encode))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[[u8; 48]; 4], D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        let mut out = [[0; 48]; 4];
        if texts.len() != out.len() {
            return Err(D::Error::custom("four run-time registers are needed"));
        }
        for (value, text) in out.iter_mut().zip(&texts) {
            hex::decode_to_slice(text, value).map_err(D::Error::custom)?;
        }
        Ok(out)
    }
}
