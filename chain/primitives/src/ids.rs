//! Typed ids, so that a lease is never taken for a deployment.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The 32 bytes of an account (sr25519 public key), without any SDK type around them.
pub type AccountBytes = [u8; 32];

/// Which pod of a lease, from 0 to `replicas - 1`.
pub type ReplicaIndex = u16;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, Decode, DecodeWithMemTracking, Encode, Eq, Hash,
            MaxEncodedLen, Ord, PartialEq, PartialOrd, TypeInfo,
        )]
        #[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
        #[cfg_attr(feature = "serde", serde(transparent))]
        pub struct $name(pub u64);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl core::str::FromStr for $name {
            type Err = core::num::ParseIntError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

id!(
    /// Number of a deployment, counted up by `pallet-deployments` and never used again.
    DeploymentId
);
id!(
    /// Number of a lease, counted up by `pallet-leases` and never used again.
    LeaseId
);
id!(
    /// Number of a run of a task, counted up from 1 for each task by `pallet-tasks`.
    RunId
);
