//! Whose money a lease's is: a line, in which the first is spent first.

use alloc::vec::Vec;
use casemate_primitives::Balance;
use frame_support::pallet_prelude::*;
use sp_runtime::AccountId32;

/// Most accounts besides the publisher that have money in a lease.
pub const OTHERS_MAX: u32 = 7;

/// With room for the publisher's before, between and behind the others' parts: what it has lost of a
/// contest that the provider could not take is spent before all else, and what it could not take itself
/// is given back before all else. No two of its parts are neighbours.
pub(crate) const PARTS_MAX: u32 = 2 * OTHERS_MAX + 1;

/// What an account has put into a lease, held on that account.
#[derive(Clone, Debug, Decode, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Part {
    /// Whose money it is.
    pub who: AccountId32,
    /// How much of it is held.
    pub amount: Balance,
}

/// All that is held for a lease, claimed or not. Payments take from its front, refunds from its back,
/// so that a claim need not touch it.
#[derive(Clone, Debug, Decode, Default, Encode, Eq, MaxEncodedLen, PartialEq, TypeInfo)]
pub struct Line(pub BoundedVec<Part, ConstU32<PARTS_MAX>>);

impl Line {
    /// All of it is `who`'s. No part is empty: it would end what is taken from the front.
    pub(crate) fn of(who: AccountId32, amount: Balance) -> Self {
        let parts = (amount > 0).then_some(Part { who, amount });
        Self(BoundedVec::truncate_from(parts.into_iter().collect()))
    }

    /// What all have in it; `None` where that is more than there can be.
    pub(crate) fn total(&self) -> Option<Balance> {
        self.0.iter().try_fold(0, |sum: Balance, part| sum.checked_add(part.amount))
    }

    /// Whether nobody but `publisher` has money in it.
    pub(crate) fn is_only(&self, publisher: &AccountId32) -> bool {
        self.0.iter().all(|part| part.who == *publisher)
    }

    /// Whether `who` has money in it.
    pub(crate) fn has(&self, who: &AccountId32) -> bool {
        self.0.iter().any(|part| part.who == *who)
    }

    /// Adds to what `who` has put in, or behind all others. That makes nobody else's money go sooner.
    /// `None` where the line is full.
    pub(crate) fn put(
        &mut self,
        publisher: &AccountId32,
        who: &AccountId32,
        amount: Balance,
    ) -> Option<()> {
        if let Some(part) = self.0.iter_mut().rev().find(|part| part.who == *who) {
            part.amount = part.amount.checked_add(amount)?;
            return Some(());
        }
        let others = self.0.iter().filter(|part| part.who != *publisher).count();
        if who != publisher && others >= OTHERS_MAX as usize {
            return None;
        }
        self.0.try_push(Part { who: who.clone(), amount }).ok()
    }

    /// Adds in front of all others. `None` where the line is full.
    pub(crate) fn put_first(&mut self, who: &AccountId32, amount: Balance) -> Option<()> {
        match self.0.iter_mut().next() {
            Some(part) if part.who == *who => {
                part.amount = part.amount.checked_add(amount)?;
                Some(())
            }
            _ => self.0.try_insert(0, Part { who: who.clone(), amount }).ok(),
        }
    }

    /// Adds behind all others. `None` where the line is full.
    pub(crate) fn put_last(&mut self, who: &AccountId32, amount: Balance) -> Option<()> {
        match self.0.iter_mut().next_back() {
            Some(part) if part.who == *who => {
                part.amount = part.amount.checked_add(amount)?;
                Some(())
            }
            _ => self.0.try_push(Part { who: who.clone(), amount }).ok(),
        }
    }

    /// Takes from the front. `None`, and nothing is taken, where there is not so much.
    pub(crate) fn take_first(&mut self, amount: Balance) -> Option<Vec<Part>> {
        let (mut left, mut taken) = (amount, Vec::new());
        for part in &self.0 {
            let amount = part.amount.min(left);
            if amount == 0 {
                break;
            }
            left = left.saturating_sub(amount);
            taken.push(Part { who: part.who.clone(), amount });
        }
        if left > 0 {
            return None;
        }
        // They were taken from the first so many parts.
        for (part, taken) in self.0.iter_mut().zip(&taken) {
            part.amount = part.amount.saturating_sub(taken.amount);
        }
        self.tidy();
        Some(taken)
    }

    /// Gives `amount` back from the back, part by part. What `give` fails for stays, and is nobody
    /// else's. Says how much was given; `None` where there is not so much.
    pub(crate) fn give_last(
        &mut self,
        amount: Balance,
        mut give: impl FnMut(&AccountId32, Balance) -> bool,
    ) -> Option<Balance> {
        if self.total()? < amount {
            return None;
        }
        let (mut left, mut given) = (amount, 0);
        for part in self.0.iter_mut().rev() {
            let amount = part.amount.min(left);
            if amount == 0 {
                break;
            }
            left = left.saturating_sub(amount);
            if give(&part.who, amount) {
                part.amount = part.amount.saturating_sub(amount);
                given = amount.saturating_add(given);
            }
        }
        self.tidy();
        Some(given)
    }

    /// Leaves no empty part, and no two neighbours that are one account's.
    fn tidy(&mut self) {
        let mut parts = core::mem::take(&mut self.0).into_inner();
        parts.retain(|part| part.amount > 0);
        parts.dedup_by(|next, part| {
            let is_same = next.who == part.who;
            if is_same {
                part.amount = part.amount.saturating_add(next.amount);
            }
            is_same
        });
        self.0 = BoundedVec::truncate_from(parts);
    }
}

#[cfg(test)]
mod tests;
