//! What the chain keeps of a complaint.

use casemate_primitives::{
    reputation::{ComplaintKind, Side},
    Balance, Hash256, LeaseId, UnixSeconds,
};
use frame_support::pallet_prelude::*;

/// Number of a complaint.
pub type ComplaintId = u64;

/// An open complaint. It names all that its end needs, for the lease may be gone by then.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Complaint<AccountId> {
    /// About which lease.
    pub lease: LeaseId,
    /// The author's side of it.
    pub by: Side,
    /// Who complains.
    pub author: AccountId,
    /// About whom.
    pub accused: AccountId,
    /// About what.
    pub kind: ComplaintKind,
    /// BLAKE2b-256 of the text, which is off chain.
    pub text_hash: Hash256,
    /// Held on the author's account.
    pub deposit: Balance,
    /// Last second for the arbiters; after it anyone may let it expire.
    pub until: UnixSeconds,
}
