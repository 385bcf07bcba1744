//! Chance that comes out the same everywhere.

use super::ids::{ObjectId, ObjectIds};
use jiff::Timestamp;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// What one store leaves to chance, and the ids it gives out.
///
/// The generator is xoshiro256++ by name, which has a published reference sequence, and numbers are drawn from its
/// words by the rules below. The `rand` crate's own small generator and ranges may change between versions.
pub struct Dice {
    rng: Xoshiro256PlusPlus,
    ids: ObjectIds,
}

impl Dice {
    /// The dice of store number `store` under a seed. Neighbouring stores and seeds share nothing visible.
    pub fn new(seed: u64, store: u16) -> Dice {
        let mut company = Xoshiro256PlusPlus::seed_from_u64(seed);
        let ids = ObjectIds::new(company.next_u64(), store);
        let rng = Xoshiro256PlusPlus::seed_from_u64(company.next_u64() ^ (u64::from(store) << 40));
        Dice { rng, ids }
    }

    /// A number from 0 to `end` − 1; 0 when `end` is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        let wide = u64::from(self.rng.next_u32()) * u64::from(end);
        u32::try_from(wide >> 32).unwrap_or(0)
    }

    /// A number from `low` to `high`, both possible.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let count = u32::try_from(choices.len()).unwrap_or(u32::MAX);
        &choices[self.below(count) as usize]
    }

    /// A random word, for hashes and codes.
    pub fn word(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Milliseconds from `low` to `high` seconds.
    pub fn seconds(&mut self, low: u32, high: u32) -> i64 {
        i64::from(self.between(low * 1_000, high * 1_000))
    }

    /// A new id of something made at `at`.
    pub fn object_id(&mut self, at: Timestamp) -> ObjectId {
        self.ids.next(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut dice = Dice::new(1, 0);
        let drawn: Vec<u32> = (0..6).map(|_| dice.below(1_000)).collect();
        assert_eq!(drawn, DRAWN_BY_SEED_ONE);
    }

    #[test]
    fn both_ends_of_a_range_come_up_and_nothing_beyond() {
        let mut dice = Dice::new(7, 3);
        let drawn: Vec<u32> = (0..500).map(|_| dice.between(2, 5)).collect();
        assert_eq!(drawn.iter().min(), Some(&2));
        assert_eq!(drawn.iter().max(), Some(&5));
    }

    #[test]
    fn certain_and_impossible_are_kept_apart() {
        let mut dice = Dice::new(7, 3);
        assert!((0..500).all(|_| dice.chance(1_000) && !dice.chance(0)));
    }

    #[test]
    fn stores_of_one_company_draw_differently() {
        assert_ne!(Dice::new(1, 0).word(), Dice::new(1, 1).word());
    }

    const DRAWN_BY_SEED_ONE: [u32; 6] = [530, 126, 228, 438, 654, 485];
}
