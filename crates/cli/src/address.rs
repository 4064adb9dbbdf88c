//! Accounts as people write them: SS58 with the generic prefix, or 0x and 64 hex digits.

use std::{fmt, str::FromStr};

use casemate_primitives::AccountBytes;
use subxt::utils::AccountId32;

/// An account address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Address(pub(crate) AccountBytes);

/// Why a text is no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParseAddressError {
    #[error("an address in hex has 64 digits after 0x")]
    Hex,
    #[error("it is no SS58 address: {0}")]
    Ss58(String),
    #[error("the address belongs to another network; for this account it is `{0}`")]
    OtherNetwork(Address),
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if let Some(digits) = s.strip_prefix("0x") {
            let mut bytes = [0; 32];
            hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseAddressError::Hex)?;
            return Ok(Self(bytes));
        }
        let account =
            AccountId32::from_str(s).map_err(|e| ParseAddressError::Ss58(e.to_string()))?;
        let address = Self(account.0);
        // The library takes any network's prefix. Money sent to an address that was copied from
        // another network is a mistake more often than a wish.
        if address.to_string() == s {
            Ok(address)
        } else {
            Err(ParseAddressError::OtherNetwork(address))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&AccountId32(self.0).to_string())
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn both_forms_are_read() {
        let alice: Address = ALICE.parse().unwrap();
        assert_eq!(alice.to_string(), ALICE);
        let hex = format!("0x{}", hex::encode(alice.0));
        assert_eq!(hex.parse::<Address>().unwrap(), alice);
    }

    #[test]
    fn a_typing_error_is_noticed() {
        for text in ["", "0x", "0x12", "5", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        // Alice's account under Polkadot's prefix.
        let error = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5".parse::<Address>();
        assert!(matches!(error, Err(ParseAddressError::OtherNetwork(a)) if a.to_string() == ALICE));
    }
}
