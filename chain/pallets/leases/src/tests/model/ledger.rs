//! Books of all leases that are kept beside the pallet's: from its events, by the documented rules.

use super::*;
use sp_runtime::traits::Zero;
use std::collections::BTreeMap;

/// What the books say of a lease.
pub(super) struct Book {
    asset: Asset,
    publisher: AccountId32,
    provider: AccountId32,
    /// Whose the money is: payments take from the front, refunds from the back.
    line: Vec<(AccountId32, Balance)>,
    /// Unspent.
    escrow: Balance,
    /// Claimed, and neither paid out nor given back.
    claimed: Balance,
    /// Paid out so far.
    paid: Balance,
    /// What was put down for a contest.
    deposit: Option<Balance>,
    /// What all that was signed and claimed costs, and what the publisher has lost by contests.
    worth: Balance,
    /// From which second on which prices hold, and which least price of a running second.
    prices: Vec<(UnixSeconds, Prices, Balance)>,
    is_forgotten: bool,
}

impl Book {
    /// Adds to what an account has put in, or behind all others.
    fn put(&mut self, who: &AccountId32, amount: Balance) {
        match self.line.iter_mut().rev().find(|(owner, _)| owner == who) {
            Some((_, part)) => *part += amount,
            None => self.line.push((who.clone(), amount)),
        }
    }

    /// Adds behind all others.
    fn put_last(&mut self, who: &AccountId32, amount: Balance) {
        match self.line.last_mut() {
            Some((owner, part)) if owner == who => *part += amount,
            _ => self.line.push((who.clone(), amount)),
        }
    }

    fn take_first(&mut self, amount: Balance) -> Vec<(AccountId32, Balance)> {
        take(&mut self.line, amount, false)
    }

    /// What these cost at the prices that held between these seconds; where more than one did, at the
    /// cheapest.
    pub(super) fn cost(
        &self,
        (after, to): (UnixSeconds, UnixSeconds),
        used: &Quantities,
        running: u64,
    ) -> Balance {
        let to = to.max(after + 1);
        let ends = self.prices.iter().skip(1).map(|(from, ..)| *from).chain([u64::MAX]);
        let held = |((from, ..), end): &((UnixSeconds, Prices, Balance), UnixSeconds)| {
            from.max(&after) < end.min(&to)
        };
        let costs =
            self.prices.iter().copied().zip(ends).filter(held).map(|((_, prices, least), _)| {
                let traffic = Quantities {
                    egress_mib: used.egress_mib,
                    ingress_mib: used.ingress_mib,
                    ..Quantities::default()
                };
                let rest = Quantities { egress_mib: 0, ingress_mib: 0, ..*used };
                let rest = prices.cost(&rest).unwrap().max(least * u128::from(running));
                rest + prices.cost(&traffic).unwrap()
            });
        costs.min().expect("some prices always hold")
    }
}

/// Takes from one end, part by part; says from whom.
fn take(
    line: &mut Vec<(AccountId32, Balance)>,
    amount: Balance,
    from_back: bool,
) -> Vec<(AccountId32, Balance)> {
    let (mut left, mut taken) = (amount, Vec::new());
    while left > 0 {
        let at = if from_back { line.len() - 1 } else { 0 };
        let (who, part) = &mut line[at];
        let some = left.min(*part);
        left -= some;
        *part -= some;
        taken.push((who.clone(), some));
        if part.is_zero() {
            line.remove(at);
        }
    }
    taken
}

/// All books.
pub(super) struct Ledger {
    books: BTreeMap<LeaseId, Book>,
    /// All that an account has, held or free.
    totals: BTreeMap<(Asset, AccountId32), Balance>,
    /// Paid to the treasury.
    treasury: BTreeMap<Asset, Balance>,
    /// Burnt of stakes.
    burnt: Balance,
    /// Events that are entered.
    seen: usize,
    /// Whether accounts or assets may be frozen.
    pub(super) is_frozen: bool,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let all = KINDS.iter().flat_map(|asset| accounts().map(|who| (*asset, who)));
        Self {
            books: BTreeMap::new(),
            totals: all.map(|key| (key, ENDOWMENT)).collect(),
            treasury: BTreeMap::new(),
            burnt: 0,
            seen: 0,
            is_frozen: false,
        }
    }

    pub(super) fn book(&self, id: LeaseId) -> &Book {
        &self.books[&id]
    }

    /// What was signed is worth so much.
    pub(super) fn signed(&mut self, id: LeaseId, worth: Balance) {
        self.books.get_mut(&id).unwrap().worth += worth;
    }

    /// Enters what a call has done.
    pub(super) fn enter(&mut self) {
        let events = events();
        let new: Vec<_> = events[self.seen..].to_vec();
        self.seen = events.len();
        let kept = new.iter().find_map(|event| match event {
            Event::DepositKept { amount, .. } => Some(*amount),
            _ => None,
        });
        // What is decided moves money between claims and escrow; only then it goes out.
        new.iter().for_each(|event| self.enter_decision(event, kept));
        let mut given = Vec::new();
        new.iter().for_each(|event| self.enter_payment(event, &mut given));
        assert!(given.is_empty(), "what is given back is in a refund");
    }

    fn add(&mut self, asset: Asset, who: &AccountId32, amount: Balance) {
        *self.totals.get_mut(&(asset, who.clone())).unwrap() += amount;
    }

    fn take(&mut self, asset: Asset, who: &AccountId32, amount: Balance) {
        *self.totals.get_mut(&(asset, who.clone())).unwrap() -= amount;
    }

    fn enter_decision(&mut self, event: &Event<Test>, kept: Option<Balance>) {
        match event {
            Event::Opened { lease, publisher, provider, deposit, .. } => {
                let found = crate::Leases::<Test>::get(lease).unwrap();
                let book = Book {
                    asset: found.terms.asset,
                    publisher: publisher.clone(),
                    provider: provider.clone(),
                    line: vec![(publisher.clone(), *deposit)],
                    escrow: *deposit,
                    claimed: 0,
                    paid: 0,
                    deposit: None,
                    worth: 0,
                    prices: vec![(0, found.terms.prices, found.terms.second_min)],
                    is_forgotten: false,
                };
                assert!(self.books.insert(*lease, book).is_none(), "no number is used again");
            }
            Event::Amended { lease, prices } => {
                let found = crate::Leases::<Test>::get(lease).unwrap();
                assert_eq!(found.terms.prices, *prices);
                let prices = (Now::get(), found.terms.prices, found.terms.second_min);
                self.books.get_mut(lease).unwrap().prices.push(prices);
            }
            Event::Funded { lease, from, amount } => {
                let book = self.books.get_mut(lease).unwrap();
                book.put(from, *amount);
                book.escrow += amount;
            }
            Event::Claimed { lease, paid, .. } => {
                let book = self.books.get_mut(lease).unwrap();
                book.escrow -= paid;
                book.claimed += paid;
            }
            Event::Contested { lease, .. } => {
                let found = crate::Leases::<Test>::get(lease).unwrap().contest.unwrap();
                let book = self.books.get_mut(lease).unwrap();
                assert!(book.deposit.replace(found.deposit).is_none());
            }
            Event::ContestDecided { lease, refunded, is_provider_right } => {
                self.give_publisher(*lease, *refunded);
                self.conclude(*lease, kept, *is_provider_right);
            }
            Event::Misconduct { lease, refunded, .. } => {
                self.give_publisher(*lease, *refunded);
                self.conclude(*lease, kept, false);
            }
            Event::Penalised { lease, refunded } => self.give_publisher(*lease, *refunded),
            Event::ProviderSlashed { lease, amount, rewarded } => {
                let Book { publisher, provider, .. } = &self.books[lease];
                let (publisher, provider) = (publisher.clone(), provider.clone());
                assert!(*rewarded <= amount / 2, "the rest is burnt");
                self.take(Asset::Native, &provider, *amount);
                self.add(Asset::Native, &publisher, *rewarded);
                self.burnt += amount - rewarded;
            }
            _ => (),
        }
    }

    fn give_publisher(&mut self, lease: LeaseId, amount: Balance) {
        let book = self.books.get_mut(&lease).unwrap();
        book.claimed -= amount;
        book.escrow += amount;
    }

    /// What was put down for a contest goes to who was right, or waits with the lease's money.
    fn conclude(&mut self, lease: LeaseId, kept: Option<Balance>, is_provider_right: bool) {
        let book = self.books.get_mut(&lease).unwrap();
        let Some(deposit) = book.deposit.take() else { return };
        let (publisher, provider) = (book.publisher.clone(), book.provider.clone());
        assert!(kept.is_none_or(|kept| kept == deposit));
        match (is_provider_right, kept.is_some()) {
            (true, true) => {
                book.line.insert(0, (publisher, deposit));
                book.claimed += deposit;
                book.worth += deposit;
            }
            (true, false) => {
                let asset = book.asset;
                self.take(asset, &publisher, deposit);
                self.add(asset, &provider, deposit);
            }
            (false, true) => {
                book.put_last(&publisher, deposit);
                book.escrow += deposit;
            }
            (false, false) => (),
        }
    }

    fn enter_payment(&mut self, event: &Event<Test>, given: &mut Vec<(AccountId32, Balance)>) {
        match event {
            Event::PaidOut { lease, amount, treasury } => {
                let book = self.books.get_mut(lease).unwrap();
                let (asset, provider) = (book.asset, book.provider.clone());
                book.claimed -= amount + treasury;
                book.paid += amount + treasury;
                let parts = book.take_first(amount + treasury);
                parts.iter().for_each(|(who, part)| self.take(asset, who, *part));
                self.add(asset, &provider, *amount);
                *self.treasury.entry(asset).or_default() += treasury;
            }
            Event::GivenBack { to, amount, .. } => given.push((to.clone(), *amount)),
            Event::Settled { lease, paid, refunded } => {
                let book = &self.books[lease];
                assert_eq!(book.claimed + book.paid, *paid);
                self.refund(*lease, *refunded, std::mem::take(given));
            }
            Event::Refunded { lease, amount } => {
                self.refund(*lease, *amount, std::mem::take(given));
            }
            Event::Forgotten { lease } => {
                let book = self.books.get_mut(lease).unwrap();
                assert_eq!((book.escrow, book.claimed, book.deposit), (0, 0, None));
                assert_eq!(book.line, []);
                book.is_forgotten = true;
            }
            _ => (),
        }
    }

    /// The unspent rest goes back, to whom came last first.
    fn refund(&mut self, lease: LeaseId, amount: Balance, given: Vec<(AccountId32, Balance)>) {
        let book = self.books.get_mut(&lease).unwrap();
        if !self.is_frozen {
            assert_eq!(amount, book.escrow, "all of the rest, to the unit");
        }
        book.escrow -= amount;
        let others: Balance = given.iter().map(|(_, part)| part).sum();
        let rest = amount - others;
        if !self.is_frozen {
            let mut due = take(&mut book.line, amount, true);
            due.retain(|(who, _)| *who != book.publisher);
            assert_eq!(due, given, "who came last is refunded first");
            return;
        }
        // Some of it waits, with its owner's part.
        let publisher = book.publisher.clone();
        for (who, mut part) in given.into_iter().chain([(publisher, rest)]) {
            for (_, has) in book.line.iter_mut().rev().filter(|(owner, _)| *owner == who) {
                let some = part.min(*has);
                (*has, part) = (*has - some, part - some);
            }
            assert_eq!(part, 0, "nobody gets more back than it has in it");
        }
        book.line.retain(|(_, part)| *part > 0);
    }

    /// The chain has what the books say, to the unit.
    pub(super) fn check(&self) {
        for (id, book) in &self.books {
            let held: Balance = book.line.iter().map(|(_, part)| part).sum();
            assert_eq!(held, book.escrow + book.claimed, "the parts of {id} are what is held");
            assert!(
                book.claimed + book.paid <= book.worth,
                "{id}: no more is claimed than what was signed costs"
            );
            match crate::Leases::<Test>::get(id) {
                Some(lease) => {
                    assert!(!book.is_forgotten);
                    assert_eq!(lease.escrow, book.escrow, "escrow of {id}");
                    assert_eq!(lease.held() - lease.escrow, book.claimed, "claims of {id}");
                    assert_eq!(lease.paid, book.paid, "payments of {id}");
                    assert_eq!(lease.contest.map(|c| c.deposit), book.deposit);
                }
                None => assert!(book.is_forgotten, "{id} has gone without a word"),
            }
        }
        for ((asset, who), total) in &self.totals {
            assert_eq!(Held::total_balance(*asset, who), *total, "{asset:?} of {who}");
        }
        for asset in KINDS {
            let escrows = self.books.values().filter(|book| book.asset == asset);
            let escrows: Balance = escrows.map(|book| book.escrow + book.claimed).sum();
            assert_eq!(on_hold(asset, HoldReason::Escrow), escrows, "{asset:?}");
            let deposits = self.books.values().filter(|book| book.asset == asset);
            let deposits: Balance = deposits.filter_map(|book| book.deposit).sum();
            assert_eq!(on_hold(asset, HoldReason::Contest), deposits, "{asset:?}");
            // Nothing is made, and what is burnt is known.
            let treasury = Held::total_balance(asset, &Treasury::get());
            assert_eq!(treasury, self.treasury.get(&asset).copied().unwrap_or_default());
            let slashed = if asset == Asset::Native { self.burnt } else { 0 };
            assert_eq!(Held::total_issuance(asset) + slashed, 5 * ENDOWMENT, "{asset:?}");
        }
    }
}

fn on_hold(asset: Asset, reason: HoldReason) -> Balance {
    accounts().iter().map(|who| Held::balance_on_hold(asset, &reason.into(), who)).sum()
}
