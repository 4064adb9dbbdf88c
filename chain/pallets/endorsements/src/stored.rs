//! Verified collateral as the chain keeps it.

use codec::{Decode, DecodeAll, Encode, MaxEncodedLen};
use core::marker::PhantomData;
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;

/// Largest verified collateral that is kept, in bytes.
const STORED_BYTES_MAX: u32 = 32 * 1024;

/// A value with lists inside, bounded by its encoded length.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
#[codec(mel_bound())]
#[scale_info(skip_type_params(V))]
pub struct Stored<V> {
    bytes: BoundedVec<u8, ConstU32<STORED_BYTES_MAX>>,
    #[codec(skip)]
    value: PhantomData<V>,
}

impl<V: Decode + Encode> Stored<V> {
    /// `None` when it is too large.
    pub fn new(value: &V) -> Option<Self> {
        Some(Self { bytes: value.encode().try_into().ok()?, value: PhantomData })
    }

    /// The value. `None` only if a runtime upgrade changed its type without a migration.
    pub fn get(&self) -> Option<V> {
        V::decode_all(&mut &self.bytes[..]).ok()
    }
}
