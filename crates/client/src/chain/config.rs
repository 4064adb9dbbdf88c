//! How our chain encodes what every Substrate chain has.

use casemate_primitives::Asset;
use subxt::{
    config::{DefaultTransactionExtensions, HashFor, SubstrateConfig},
    metadata::ArcMetadata,
    utils::{AccountId32, MultiAddress, Static},
};

/// The configuration of the chain library: Substrate's, but fees are paid in an [`Asset`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Config(SubstrateConfig);

impl subxt::Config for Config {
    type AccountId = AccountId32;
    type Address = MultiAddress<AccountId32, ()>;
    type AssetId = Static<Asset>;
    type Hasher = <SubstrateConfig as subxt::Config>::Hasher;
    type Header = <SubstrateConfig as subxt::Config>::Header;
    type Signature = <SubstrateConfig as subxt::Config>::Signature;
    type TransactionExtensions = DefaultTransactionExtensions<Self>;

    fn genesis_hash(&self) -> Option<HashFor<Self>> {
        self.0.genesis_hash()
    }

    fn spec_and_transaction_version_for_block_number(&self, number: u64) -> Option<(u32, u32)> {
        self.0.spec_and_transaction_version_for_block_number(number)
    }

    fn metadata_for_spec_version(&self, version: u32) -> Option<ArcMetadata> {
        self.0.metadata_for_spec_version(version)
    }

    fn set_metadata_for_spec_version(&self, version: u32, metadata: ArcMetadata) {
        self.0.set_metadata_for_spec_version(version, metadata);
    }
}
