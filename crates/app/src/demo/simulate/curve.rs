//! How busy a store is by its local time.

use super::dice::Dice;

/// Least intensity, per mille of the busiest hour. At night a store still takes orders at its window and online,
/// so that no hour of a demo is silent.
pub const FLOOR_PER_MILLE: u32 = 80;

/// Longest step without looking at the curve again, in milliseconds: ten minutes.
pub const MAX_GAP_MS: i64 = 600_000;

/// Intensity at each full local hour, per mille of the busiest: breakfast, lunch and dinner stand out.
const AT_HOUR_PER_MILLE: [u32; 24] = [
    90, 80, 80, 80, 80, 120, 260, 560, 680, 430, 360, 650, 1_000, 880, 500, 380, 450, 700, 950, 840, 590, 400, 220, 130,
];

/// Quantiles of the waiting time between independent guests (exponential distribution, mean 1,000). A table
/// instead of a logarithm: integers come out alike on every machine.
const WAIT_PER_MILLE: [i64; 64] = [
    8, 24, 40, 56, 73, 90, 107, 125, 143, 161, 179, 198, 217, 237, 257, 277, 298, 319, 341, 363, 386, 409, 433, 458,
    483, 508, 535, 562, 589, 618, 647, 678, 709, 741, 774, 809, 845, 882, 920, 960, 1_002, 1_045, 1_091, 1_138, 1_188,
    1_241, 1_297, 1_356, 1_418, 1_485, 1_556, 1_633, 1_717, 1_808, 1_908, 2_019, 2_144, 2_287, 2_454, 2_655, 2_906,
    3_243, 3_753, 4_852,
];

/// Intensity at a minute of the local day (0 to 1439), per mille of the busiest hour, never under the floor.
pub fn intensity(minute_of_day: u32) -> u32 {
    let (hour, minute) = (minute_of_day / 60 % 24, minute_of_day % 60);
    let here = AT_HOUR_PER_MILLE[hour as usize];
    let next = AT_HOUR_PER_MILLE[(hour as usize + 1) % 24];
    ((here * (60 - minute) + next * minute) / 60).max(FLOOR_PER_MILLE)
}

/// What comes next at a store.
pub enum Wait {
    /// Guests arrive after so many milliseconds.
    Arrival(i64),
    /// Nobody for [`MAX_GAP_MS`]; then the curve has moved and the wait is drawn anew.
    Nobody,
}

/// Draws the time to the next guest of a store that takes `orders_per_hour` (in hundredths) right now.
pub fn wait(dice: &mut Dice, orders_per_hour: u64) -> Wait {
    let mean_ms = 360_000_000 / i64::try_from(orders_per_hour.max(1)).unwrap_or(i64::MAX);
    let spread = i64::from(dice.below(1_000));
    let gap = (mean_ms * dice.pick(&WAIT_PER_MILLE) / 1_000 + spread).max(1);
    if gap > MAX_GAP_MS { Wait::Nobody } else { Wait::Arrival(gap) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_has_three_peaks() {
        let minutes: Vec<u32> = (0..1_440).map(intensity).collect();
        let peaks: Vec<usize> = (1..23)
            .map(|hour| hour * 60)
            .filter(|&at| minutes[at] > minutes[at - 60] && minutes[at] > minutes[at + 60])
            .collect();
        assert_eq!(peaks, [8 * 60, 12 * 60, 18 * 60]);
        assert_eq!(minutes.iter().max(), Some(&1_000));
    }

    #[test]
    fn the_night_is_quiet_but_never_silent() {
        assert_eq!(intensity(3 * 60), FLOOR_PER_MILLE);
        assert!((0..1_440).all(|minute| intensity(minute) >= FLOOR_PER_MILLE));
    }

    #[test]
    fn between_two_hours_the_curve_is_a_straight_line() {
        assert_eq!(intensity(11 * 60 + 30), 825);
    }

    #[test]
    fn as_many_guests_come_as_the_rate_says() {
        let mut dice = Dice::new(3, 0);
        let (mut clock_ms, mut guests) = (0, 0);
        while clock_ms < 200 * 3_600_000 {
            match wait(&mut dice, 3_000) {
                Wait::Arrival(gap) => (clock_ms, guests) = (clock_ms + gap, guests + 1),
                Wait::Nobody => clock_ms += MAX_GAP_MS,
            }
        }
        assert!((5_500..6_500).contains(&guests), "{guests} guests in 200 hours at 30 an hour");
    }
}
