//! Prices and what quantities cost under them.

#![allow(clippy::cast_possible_truncation, reason = "codec's derive casts indices of variants")]

use crate::{Balance, Quantities, Resources};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// What a price list or a lease is paid in.
#[derive(
    Clone,
    Copy,
    Debug,
    Decode,
    DecodeWithMemTracking,
    Default,
    Encode,
    Eq,
    MaxEncodedLen,
    Ord,
    PartialEq,
    PartialOrd,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "camelCase"))]
pub enum Asset {
    /// The chain's own token.
    #[default]
    Native,
    /// A registered asset. In the type already, refused by the chain until leases can be paid in
    /// it.
    Registered(u32),
}

/// Prices per unit of resource, in the smallest unit of the asset that is paid in.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Decode,
    DecodeWithMemTracking,
    Encode,
    Eq,
    MaxEncodedLen,
    PartialEq,
    TypeInfo,
)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Prices {
    /// For a thousandth of a core during one second.
    pub cpu_millicore_second: Balance,
    /// For one MiB of memory during one second.
    pub memory_mib_second: Balance,
    /// For one MiB of disk during one second.
    pub storage_mib_second: Balance,
    /// For one GPU during one second.
    pub gpu_second: Balance,
    /// For one MiB sent by the pod.
    pub egress_mib: Balance,
    /// For one MiB received by the pod.
    pub ingress_mib: Balance,
}

impl Prices {
    /// What `quantities` cost, or `None` on overflow.
    pub fn cost(&self, quantities: &Quantities) -> Option<Balance> {
        let part = |price: Balance, quantity: u64| price.checked_mul(Balance::from(quantity));
        part(self.cpu_millicore_second, quantities.cpu_millicore_seconds)?
            .checked_add(part(self.memory_mib_second, quantities.memory_mib_seconds)?)?
            .checked_add(part(self.storage_mib_second, quantities.storage_mib_seconds)?)?
            .checked_add(part(self.gpu_second, quantities.gpu_seconds)?)?
            .checked_add(part(self.egress_mib, quantities.egress_mib)?)?
            .checked_add(part(self.ingress_mib, quantities.ingress_mib)?)
    }

    /// What holding `resources` costs each second (traffic comes on top), or `None` on overflow.
    pub fn per_second(&self, resources: &Resources) -> Option<Balance> {
        self.cost(&Quantities::quota(resources, 1)?)
    }
}
