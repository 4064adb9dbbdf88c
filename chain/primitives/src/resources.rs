//! How much of a machine.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// An amount of computing resources: what a pod asks for or what a provider offers.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    Hash,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Resources {
    /// Thousandths of a CPU core.
    pub cpu_millicores: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Disk (image's writable layer and volumes together) in MiB.
    pub storage_mib: u32,
    /// Whole GPUs.
    pub gpus: u32,
}

impl Resources {
    /// The sum, or `None` where a field overflows.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cpu_millicores: self.cpu_millicores.checked_add(other.cpu_millicores)?,
            memory_mib: self.memory_mib.checked_add(other.memory_mib)?,
            storage_mib: self.storage_mib.checked_add(other.storage_mib)?,
            gpus: self.gpus.checked_add(other.gpus)?,
        })
    }

    /// The difference, or `None` where `other` has more of anything.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        Some(Self {
            cpu_millicores: self.cpu_millicores.checked_sub(other.cpu_millicores)?,
            memory_mib: self.memory_mib.checked_sub(other.memory_mib)?,
            storage_mib: self.storage_mib.checked_sub(other.storage_mib)?,
            gpus: self.gpus.checked_sub(other.gpus)?,
        })
    }

    /// This amount `times` over (a pod's resources times its replicas), or `None` on overflow.
    pub fn checked_mul(&self, times: u32) -> Option<Self> {
        Some(Self {
            cpu_millicores: self.cpu_millicores.checked_mul(times)?,
            memory_mib: self.memory_mib.checked_mul(times)?,
            storage_mib: self.storage_mib.checked_mul(times)?,
            gpus: self.gpus.checked_mul(times)?,
        })
    }

    /// Whether each field is at most `other`'s.
    pub fn fits_in(&self, other: &Self) -> bool {
        other.checked_sub(self).is_some()
    }
}
