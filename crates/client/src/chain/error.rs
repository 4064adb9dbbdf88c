//! What can go wrong with a chain.

pub(super) use casemate_primitives::chain_of;

/// Why something could not be read from or written to the chain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The address can't be one of a node: no attempt was made.
    #[error("the chain node's address is not good: {0}")]
    Address(String),
    /// No node answers at the address, or the connection broke.
    #[error("cannot reach the chain node: {0}")]
    Unreachable(String),
    /// The node's runtime is not the one that this program was built for.
    #[error("the chain is not one that this version knows: {0}")]
    WrongChain(String),
    /// The runtime refused a transaction.
    #[error("{pallet}.{name}: {text}")]
    Refused {
        /// Pallet that refused.
        pallet: String,
        /// Name of its error.
        name: String,
        /// For people, from the runtime's own documentation.
        text: String,
    },
    /// The account can't pay.
    #[error("the account has not enough money: {0}")]
    NoFunds(String),
    /// The node did not take the transaction.
    #[error("the node did not accept the transaction: {0}")]
    Rejected(String),
    /// It was sent, but nobody knows whether it took effect.
    #[error("the transaction was sent but not seen in a finalised block: {0}")]
    Lost(String),
    /// What came back is not what the metadata says.
    #[error("cannot read the chain's answer: {0}")]
    Decode(String),
}

impl ChainError {
    /// What to do next; empty where there is nothing to say.
    pub fn hint(&self) -> &str {
        match self {
            Self::Address(_) => "use ws://127.0.0.1:PORT on this machine, wss:// for others",
            Self::Unreachable(_) => "check the address and that the node runs",
            Self::WrongChain(_) => "use the address of a Casemate node, or update this program",
            Self::Refused { .. } => "",
            Self::NoFunds(text) if text.contains("cannot be created") => {
                "who is paid needs some CASE, or an account in the asset (`casemate account open`), first"
            }
            Self::NoFunds(_) => "send CASE to the account, or use a smaller amount",
            Self::Rejected(_) => "look at the account's state and try again",
            Self::Lost(_) => "look at the state before sending it again",
            Self::Decode(_) => "update this program to the chain's version",
        }
    }

    /// From any error of the chain library while reading.
    pub(super) fn reading(error: impl Into<subxt::Error>) -> Self {
        let error = error.into();
        let text = chain_of(&error);
        match &error {
            subxt::Error::StorageError(inner) if incompatible(&inner.to_string()) => {
                Self::WrongChain(text)
            }
            subxt::Error::StorageValueError(_) | subxt::Error::StorageKeyError(_) => {
                Self::Decode(text)
            }
            _ => Self::Unreachable(text),
        }
    }

    /// From an error in making or sending a transaction: it is not on chain.
    pub(super) fn sending(error: &subxt::error::ExtrinsicError) -> Self {
        let mut text = chain_of(error);
        if let subxt::error::ExtrinsicError::ErrorSubmittingTransaction(error) = error
            && let Some(why) = refused_by_node(error)
        {
            text = format!("{text}: {why}");
        }
        if incompatible(&text) {
            Self::WrongChain(text)
        } else if text.contains("pay some fees") || text.contains("balance too low") {
            Self::NoFunds(text)
        } else if text.contains("1010") || text.contains("1014") || text.contains("Invalid") {
            Self::Rejected(text)
        } else {
            Self::Unreachable(text)
        }
    }
}

/// What the node's answer says besides its code: for a transaction, why it is invalid.
fn refused_by_node(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let user = error.downcast_ref::<subxt_rpcs::UserError>().or_else(|| match error
            .downcast_ref::<subxt_rpcs::Error>(
        ) {
            Some(subxt_rpcs::Error::User(user)) => Some(user),
            _ => None,
        });
        if let Some(user) = user {
            let data = user.data.as_ref()?.get();
            return Some(serde_json::from_str(data).unwrap_or_else(|_| data.to_owned()));
        }
        next = error.source();
    }
    None
}

fn incompatible(text: &str) -> bool {
    text.contains("not compatible") || text.contains("incompatible")
}

/// What became of a transaction that is in a block.
pub(super) fn refusal(error: &subxt::error::TransactionEventsError) -> ChainError {
    use subxt::error::TransactionEventsError as Error;
    let Error::ExtrinsicFailed(error) = error else { return ChainError::Lost(chain_of(error)) };
    refused(error)
}

/// The runtime's own words.
pub(super) fn refused(error: &subxt::error::DispatchError) -> ChainError {
    use subxt::error::DispatchError;
    match error {
        DispatchError::Module(module) => match module.details() {
            Ok(details) => ChainError::Refused {
                pallet: details.pallet.name().to_owned(),
                name: details.variant.name.clone(),
                text: details.variant.docs.join(" ").trim().to_owned(),
            },
            Err(err) => ChainError::Decode(err.to_string()),
        },
        DispatchError::Token(err) => ChainError::NoFunds(err.to_string()),
        other => ChainError::Refused {
            pallet: "System".into(),
            name: "DispatchError".into(),
            text: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests;
