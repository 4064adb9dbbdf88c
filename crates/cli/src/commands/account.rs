//! `casemate account`

use serde_json::json;

use crate::{
    address::Address,
    amount::Amount,
    asset::{AnyAmount, AssetAmount, find},
    chain_ops::Chain,
    cli::AccountCommand,
    context::Context,
    printer::{fields, table},
};

pub(super) async fn run(context: &Context, command: &AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::Balance { address } => balance(context, *address).await,
        AccountCommand::Transfer { to, amount } => transfer(context, *to, amount).await,
        AccountCommand::Open { asset } => open(context, asset).await,
        AccountCommand::Assets => assets(context).await,
    }
}

async fn balance(context: &Context, address: Option<Address>) -> anyhow::Result<()> {
    let address = match address {
        Some(address) => address,
        None => context.own_address()?,
    };
    let chain = Chain::connect(context).await?;
    let list = chain.assets().await?;
    let balance = chain.balance(address).await?;
    let (free, held) = (Amount(balance.free), Amount(balance.held));
    let mut lines = vec![
        ("address", address.to_string()),
        ("free", free.to_string()),
        ("held", held.to_string()),
    ];
    let mut found = Vec::new();
    for asset in &list {
        let balance = chain.asset_balance(asset, address).await?;
        if balance.free == 0 && balance.held == 0 {
            continue;
        }
        let of = |value| AssetAmount { value, asset };
        lines.push((
            asset.symbol.as_str(),
            format!("{} free, {} held", of(balance.free), of(balance.held)),
        ));
        found.push(json!({
            "id": asset.id,
            "symbol": asset.symbol,
            "decimals": asset.decimals,
            "free": balance.free.to_string(),
            "held": balance.held.to_string(),
        }));
    }
    let value = json!({ "address": address, "free": free, "held": held, "assets": found });
    context.printer.data(&value, || fields(&lines))
}

async fn transfer(context: &Context, to: Address, amount: &AnyAmount) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let (block, value) = match amount {
        AnyAmount::Native(amount) => {
            let block = chain.transfer(&signer, to, amount.0).await?;
            context.printer.note(format!("{amount} went to {to}"));
            (block.clone(), json!({ "to": to, "amount": amount, "block": block }))
        }
        AnyAmount::Named { number, symbol } => {
            let list = chain.assets().await?;
            let amount = AssetAmount::read(number, symbol, &list)?;
            let block = chain.transfer_asset(&signer, to, &amount).await?;
            context.printer.note(format!("{amount} went to {to}"));
            let text = amount.value.to_string();
            let asset = amount.asset.id;
            (block.clone(), json!({ "to": to, "asset": asset, "amount": text, "block": block }))
        }
    };
    context.printer.data(&value, || format!("in block {block}"))
}

async fn open(context: &Context, symbol: &str) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let list = chain.assets().await?;
    let asset = find(symbol, &list)?;
    let block = chain.open_account(&signer, asset.id).await?;
    let symbol = &asset.symbol;
    match &block {
        Some(_) => context.printer.note(format!("{} takes {symbol} now", signer.address)),
        None => context.printer.note(format!("{} takes {symbol} already", signer.address)),
    }
    let value = json!({ "asset": asset.id, "symbol": symbol, "block": block });
    context.printer.data(&value, || block.map_or_else(String::new, |b| format!("in block {b}")))
}

async fn assets(context: &Context) -> anyhow::Result<()> {
    let list = Chain::connect(context).await?.assets().await?;
    let value: Vec<_> = list
        .iter()
        .map(|asset| {
            json!({
                "id": asset.id,
                "symbol": asset.symbol,
                "decimals": asset.decimals,
                "depositMin": asset.deposit_min.to_string(),
                "open": asset.open,
            })
        })
        .collect();
    context.printer.data(&value, || {
        let rows: Vec<Vec<String>> = list
            .iter()
            .map(|asset| {
                let least = AssetAmount { value: asset.deposit_min, asset };
                let state = if asset.open { "open" } else { "takes no new money" };
                let id = asset.id.to_string();
                vec![asset.symbol.clone(), id, least.to_string(), state.to_owned()]
            })
            .collect();
        table(&["SYMBOL", "ASSET", "LEAST DEPOSIT", "STATE"], &rows)
    })
}
