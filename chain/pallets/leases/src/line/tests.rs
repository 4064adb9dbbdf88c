use super::*;
use proptest::prelude::*;

fn who(index: usize) -> AccountId32 {
    AccountId32::new([u8::try_from(index).unwrap(); 32])
}

/// The publisher is the first.
const PUBLISHER: usize = 0;
const ACCOUNTS: usize = OTHERS_MAX as usize + 3;

#[derive(Clone, Debug)]
enum Action {
    Put {
        who: usize,
        amount: u8,
    },
    PutFirst {
        amount: u8,
    },
    PutLast {
        amount: u8,
    },
    TakeFirst {
        amount: u8,
    },
    /// The accounts of the set bits can't take anything.
    GiveLast {
        amount: u8,
        blocked: u16,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..ACCOUNTS, 1..50u8).prop_map(|(who, amount)| Action::Put { who, amount }),
        1 => (1..50u8).prop_map(|amount| Action::PutFirst { amount }),
        1 => (1..50u8).prop_map(|amount| Action::PutLast { amount }),
        2 => (0..100u8).prop_map(|amount| Action::TakeFirst { amount }),
        2 => (0..100u8, any::<u16>())
            .prop_map(|(amount, blocked)| Action::GiveLast { amount, blocked }),
    ]
}

/// Every unit by itself, with its owner; the publisher's first money apart, as in the line.
#[derive(Default)]
struct Units(Vec<usize>);

impl Units {
    fn put(&mut self, who: usize, amount: u8) -> bool {
        let mut others: Vec<usize> = self.0.iter().copied().filter(|o| *o != PUBLISHER).collect();
        others.sort_unstable();
        others.dedup();
        let at = match self.0.iter().rposition(|owner| *owner == who) {
            Some(last) => last + 1,
            None if who != PUBLISHER && others.len() >= OTHERS_MAX as usize => return false,
            None => self.0.len(),
        };
        self.0.splice(at..at, std::iter::repeat_n(who, amount.into()));
        true
    }

    fn of(&self, who: usize) -> u128 {
        self.0.iter().filter(|owner| **owner == who).count() as u128
    }
}

fn amounts(parts: &[Part]) -> [u128; ACCOUNTS] {
    std::array::from_fn(|index| {
        parts.iter().filter(|part| part.who == who(index)).map(|part| part.amount).sum()
    })
}

fn counts(units: &[usize]) -> [u128; ACCOUNTS] {
    std::array::from_fn(|index| units.iter().filter(|owner| **owner == index).count() as u128)
}

proptest! {
    /// Whoever comes first is spent first, whoever comes last is refunded first, each unit is its
    /// owner's until then, and who is blocked keeps no more than its own.
    #[test]
    fn a_line_is_as_if_each_unit_were_written_down(
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let (mut line, mut units) = (Line::default(), Units::default());
        for action in actions {
            match action {
                Action::Put { who: index, amount } => {
                    let put = line.put(&who(PUBLISHER), &who(index), amount.into()).is_some();
                    prop_assert_eq!(put, units.put(index, amount), "there is room for it");
                }
                Action::PutFirst { amount } => {
                    line.put_first(&who(PUBLISHER), amount.into()).expect("there is always room");
                    units.0.splice(0..0, std::iter::repeat_n(PUBLISHER, amount.into()));
                }
                Action::PutLast { amount } => {
                    line.put_last(&who(PUBLISHER), amount.into()).expect("there is always room");
                    units.0.extend(std::iter::repeat_n(PUBLISHER, amount.into()));
                }
                Action::TakeFirst { amount } => {
                    let taken = line.take_first(amount.into());
                    let is_there = usize::from(amount) <= units.0.len();
                    prop_assert_eq!(taken.is_some(), is_there, "never more than there is");
                    if let Some(taken) = taken {
                        let expected: Vec<usize> = units.0.drain(..usize::from(amount)).collect();
                        prop_assert_eq!(amounts(&taken), counts(&expected));
                    }
                }
                Action::GiveLast { amount, blocked } => {
                    let mut given = Vec::new();
                    let sum = line.give_last(amount.into(), |who, amount| {
                        let [index, ..] = *<AccountId32 as AsRef<[u8; 32]>>::as_ref(who);
                        let is_given = blocked & (1 << index) == 0;
                        if is_given {
                            given.push(Part { who: who.clone(), amount });
                        }
                        is_given
                    });
                    let start = units.0.len().checked_sub(amount.into());
                    prop_assert_eq!(sum.is_some(), start.is_some(), "never more than there is");
                    if let Some(start) = start {
                        let last = units.0.split_off(start);
                        let is_blocked = |owner: &usize| blocked & (1 << owner) != 0;
                        let (kept, out): (Vec<usize>, Vec<usize>) =
                            last.into_iter().partition(is_blocked);
                        prop_assert_eq!(amounts(&given), counts(&out));
                        prop_assert_eq!(sum, Some(out.len() as u128));
                        units.0.extend(kept);
                    }
                }
            }
            prop_assert_eq!(line.total(), Some(units.0.len() as u128));
            for index in 0..ACCOUNTS {
                prop_assert_eq!(line.has(&who(index)), units.of(index) > 0);
            }
            prop_assert!(line.0.iter().all(|part| part.amount > 0));
            let has_neighbour = line.0.windows(2).any(|pair| pair[0].who == pair[1].who);
            prop_assert!(!has_neighbour, "there may be too many parts");
        }
    }
}

#[test]
fn the_publisher_has_a_place_however_many_others_there_are() {
    let (mut line, publisher) = (Line::default(), who(PUBLISHER));
    for other in 1..=OTHERS_MAX as usize {
        line.put(&publisher, &who(other), 1).unwrap();
        line.put_last(&publisher, 1).unwrap();
    }
    assert_eq!(line.put(&publisher, &who(OTHERS_MAX as usize + 1), 1), None);
    line.put(&publisher, &publisher, 1).unwrap();
    line.put_first(&publisher, 2).unwrap();
    line.put_first(&publisher, 3).unwrap();
    assert_eq!(line.0.first().unwrap().amount, 5);
    assert_eq!(line.0.len(), PARTS_MAX as usize);
    line.put(&publisher, &who(1), u128::MAX - 1).unwrap();
    assert_eq!(line.put(&publisher, &who(1), 1), None, "there can't be so much");
    assert_eq!(line.total(), None);
    assert_eq!(line.give_last(1, |_, _| true), None);
}
