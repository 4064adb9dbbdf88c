//! Numbers that look random and are the same in every run.

/// A xorshift64* generator.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed, which is printed so that a failure can be seen again.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero for ever.
        Self(seed.max(1))
    }

    fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// One below `end`, which is above zero.
    pub fn below(&mut self, end: u64) -> u64 {
        // The small bias of the remainder does not matter here.
        (self.number() >> 11) % end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut chance = Chance::new(seed);
            [chance.below(1000), chance.below(1000), chance.below(1000)]
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert!(numbers(0).iter().all(|number| *number < 1000));
    }
}
