use subxt::error::{BackendError, ExtrinsicError, RpcError};
use subxt_rpcs::{Error, UserError};

use super::ChainError;

/// As the node answers, and the library wraps it.
fn refused(data: Option<&str>) -> ExtrinsicError {
    let data = data.map(|text| serde_json::value::to_raw_value(text).unwrap());
    let user = UserError { code: 1010, message: "Invalid Transaction".into(), data };
    ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
        Error::User(user),
    )))
}

#[test]
fn why_a_node_takes_no_transaction_is_told() {
    let why = "Inability to pay some fees (e.g. account balance too low)";
    let told = ChainError::sending(&refused(Some(why)));
    assert!(matches!(&told, ChainError::NoFunds(text) if text.contains(why)), "{told:?}");
    let told = ChainError::sending(&refused(Some("Transaction has a bad signature")));
    assert!(matches!(&told, ChainError::Rejected(text) if text.contains("bad signature")));
    let told = ChainError::sending(&refused(None));
    assert!(matches!(told, ChainError::Rejected(_)));
}
