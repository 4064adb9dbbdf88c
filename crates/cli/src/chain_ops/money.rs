//! Money: what accounts have, what it is in, and whether it is enough.

use casemate_client::chain::{AccountBalance, AssetView, Call, LeaseMoney, LeaseView};
use casemate_primitives::{Asset, Balance};

use super::Chain;
use crate::{
    address::Address,
    amount::Amount,
    asset::{AssetAmount, Unit, find},
    context::Signer,
    failure::{Failure, fail},
};

impl Chain {
    /// Money of an account.
    pub(crate) async fn balance(&self, account: Address) -> anyhow::Result<AccountBalance> {
        Ok(self.client.balance(&account.0).await?)
    }

    /// Refuses before anything is sent what the account can't pay; `purpose` says for what.
    ///
    /// The chain refuses too, but takes its fee for it and knows less to say. Another transaction
    /// in between may still make the difference.
    pub(super) async fn ensure_funds(
        &self,
        signer: &Signer,
        purpose: &str,
        amount: Balance,
    ) -> anyhow::Result<()> {
        let kept = self.client.deposits().await?.existential;
        self.ensure_funds_and(signer, purpose, amount, kept).await
    }

    pub(super) async fn ensure_funds_and(
        &self,
        signer: &Signer,
        purpose: &str,
        amount: Balance,
        besides: Balance,
    ) -> anyhow::Result<()> {
        let free = self.balance(signer.address).await?.free;
        check_funds(signer.address, free, purpose, amount, besides)
    }

    /// Sends money; says in which block.
    pub(crate) async fn transfer(
        &self,
        signer: &Signer,
        to: Address,
        amount: Balance,
    ) -> anyhow::Result<String> {
        self.ensure_funds(signer, "the transfer", amount).await?;
        self.call(signer, Call::Transfer { to: to.0, amount }).await
    }

    /// Assets that leases may be paid in besides the native token.
    pub(crate) async fn assets(&self) -> anyhow::Result<Vec<AssetView>> {
        Ok(self.client.assets().await?)
    }

    /// Money of an account in one of them.
    pub(crate) async fn asset_balance(
        &self,
        asset: &AssetView,
        account: Address,
    ) -> anyhow::Result<AccountBalance> {
        Ok(self.client.balance_in(asset.asset(), &account.0).await?)
    }

    /// Sends money in an asset; says in which block.
    pub(crate) async fn transfer_asset(
        &self,
        signer: &Signer,
        to: Address,
        amount: &AssetAmount<'_>,
    ) -> anyhow::Result<String> {
        let free = self.asset_balance(amount.asset, signer.address).await?.free;
        let kept = self.client.minimum_balance(amount.asset.asset()).await?;
        if free < amount.value.saturating_add(kept) {
            let of = |value| AssetAmount { value, asset: amount.asset };
            return fail(
                Failure::new(format!(
                    "the transaction of account {} was not done: it has {} free, the transfer is \
                     {amount}, and {} must be there besides",
                    signer.address,
                    of(free),
                    of(kept),
                ))
                .hint("get more money to the account, or choose a smaller amount"),
            );
        }
        let (asset, amount) = (amount.asset.id, amount.value);
        self.call(signer, Call::TransferAsset { asset, to: to.0, amount }).await
    }

    /// What amounts in an asset are in.
    pub(crate) async fn unit(&self, asset: Asset) -> anyhow::Result<Unit> {
        match asset {
            Asset::Native => Ok(Unit::Native),
            asset => Ok(Unit::of(asset, &self.assets().await?)),
        }
    }

    /// What is meant by a symbol.
    pub(crate) async fn unit_named(&self, symbol: &str) -> anyhow::Result<Unit> {
        if symbol.eq_ignore_ascii_case("CASE") {
            return Ok(Unit::Native);
        }
        Ok(Unit::Listed(find(symbol, &self.assets().await?)?.clone()))
    }

    /// Opens an account in an asset; says in which block, if it was not open.
    pub(crate) async fn open_account(
        &self,
        signer: &Signer,
        asset: u32,
    ) -> anyhow::Result<Option<String>> {
        if self.client.has_account_in(asset, &signer.address.0).await? {
            return Ok(None);
        }
        Ok(Some(self.call(signer, Call::OpenAccount { asset }).await?))
    }

    /// Whose money is in a lease, and who may put in the publisher's.
    pub(crate) async fn lease_money(&self, lease: &LeaseView) -> anyhow::Result<LeaseMoney> {
        Ok(self.client.lease_money(lease.id).await?)
    }

    /// Checks that an account can lock so much.
    pub(super) async fn ensure_unit(
        &self,
        signer: &Signer,
        unit: &Unit,
        purpose: &str,
        amount: Balance,
    ) -> anyhow::Result<()> {
        let asset = unit.asset();
        let free = self.client.balance_in(asset, &signer.address.0).await?.free;
        let kept = self.client.minimum_balance(asset).await?;
        if free >= amount.saturating_add(kept) {
            return Ok(());
        }
        fail(
            Failure::new(format!(
                "the transaction of account {} was not done: it has {} free, {purpose} is {}, and \
                 {} must be there besides",
                signer.address,
                unit.text(free),
                unit.text(amount),
                unit.text(kept),
            ))
            .hint("get more money to the account, or choose a smaller amount"),
        )
    }

    /// The same for a lease's deposit, with so much native money besides.
    pub(super) async fn ensure_deposit(
        &self,
        signer: &Signer,
        (deposit, unit): (Balance, &Unit),
        besides: Balance,
    ) -> anyhow::Result<()> {
        let native = if *unit == Unit::Native { deposit } else { 0 };
        self.ensure_funds_and(signer, "the deposit", native, besides).await?;
        if native != deposit {
            self.ensure_unit(signer, unit, "the deposit", deposit).await?;
        }
        Ok(())
    }
}

/// Whether `free` pays `amount` and `besides` (what the chain keeps of an account, and holds for a
/// new deployment), and leaves something for the fee.
pub(super) fn check_funds(
    account: Address,
    free: Balance,
    purpose: &str,
    amount: Balance,
    besides: Balance,
) -> anyhow::Result<()> {
    let needed = amount.saturating_add(besides);
    if free > needed {
        return Ok(());
    }
    let mut text = format!(
        "the transaction of account {account} was not done: it has {} free, {purpose} is {}",
        Amount(free),
        Amount(amount),
    );
    if besides > 0 {
        text.push_str(&format!(", and {} must be there besides", Amount(besides)));
    }
    text.push_str(&match needed - free {
        0 => "; nothing is left for the fee".to_owned(),
        short => format!("; {} and the fee are missing", Amount(short)),
    });
    let most = free.saturating_sub(besides);
    let hint = if most > 0 {
        format!("get more money to the account, or choose a smaller amount: below {}", Amount(most))
    } else {
        "get more money to the account".to_owned()
    };
    fail(Failure::new(text).hint(hint))
}

#[cfg(test)]
mod tests;
