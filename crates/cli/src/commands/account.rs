//! `casemate account`

use crate::{
    address::Address, amount::Amount, chain_ops::Chain, cli::AccountCommand, context::Context,
    printer::fields,
};

pub(super) async fn run(context: &Context, command: &AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::Balance { address } => balance(context, *address).await,
        AccountCommand::Transfer { to, amount } => transfer(context, *to, *amount).await,
    }
}

async fn balance(context: &Context, address: Option<Address>) -> anyhow::Result<()> {
    let address = match address {
        Some(address) => address,
        None => context.own_address()?,
    };
    let chain = Chain::connect(context).await?;
    let balance = chain.balance(address).await?;
    let (free, held) = (Amount(balance.free), Amount(balance.held));
    let value = serde_json::json!({ "address": address, "free": free, "held": held });
    context.printer.data(&value, || {
        fields(&[
            ("address", address.to_string()),
            ("free", free.to_string()),
            ("held", held.to_string()),
        ])
    })
}

async fn transfer(context: &Context, to: Address, amount: Amount) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let block = chain.transfer(&signer, to, amount.0).await?;
    context.printer.note(format!("{amount} went to {to}"));
    let value = serde_json::json!({ "to": to, "amount": amount, "block": block });
    context.printer.data(&value, || format!("in block {block}"))
}
