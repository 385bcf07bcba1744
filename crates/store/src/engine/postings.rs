//! The rows of the index: for each key the positions of its events, in runs that are written at once and put together
//! later. So a random key costs no page of its own until many go into one.

use std::collections::BTreeMap;

use tillstream_model::{CompanyNo, Seq};

use super::Cause;
use super::settled::{pull, push};
use crate::index::Entry;

/// So many runs of about the same size are put together …
const MERGED_RUNS: usize = 8;
/// … unless the whole would hold more events than this.
const MOST_MERGED_EVENTS: u64 = 65_536;

/// What one call adds to a day.
#[derive(Debug, Default)]
pub(crate) struct DayRun {
    /// How many events.
    pub(crate) events: u64,
    /// First and last position of each company.
    pub(crate) covered: BTreeMap<CompanyNo, (Seq, Seq)>,
    /// Positions by company and key, in order.
    pub(crate) postings: BTreeMap<(CompanyNo, i64), Vec<Seq>>,
}

/// Sorted for writing, by day.
pub(crate) fn by_day(entries: &[Entry]) -> BTreeMap<i64, DayRun> {
    let mut days: BTreeMap<i64, DayRun> = BTreeMap::new();
    for entry in entries {
        let day = days.entry(entry.accepted_at.day()).or_default();
        day.events += 1;
        day.covered.entry(entry.company).or_insert((entry.seq, entry.seq)).1 = entry.seq;
        for key in &entry.keys {
            day.postings.entry((entry.company, key.0)).or_default().push(entry.seq);
        }
    }
    days
}

/// Positions, which are in order, as stored. What is stored of two runs may be put one behind the other.
pub(crate) fn write(seqs: &[Seq]) -> Vec<u8> {
    let mut out = Vec::with_capacity(seqs.len() + 8);
    push(&mut out, seqs.len() as u64);
    let mut last = 0;
    for seq in seqs {
        push(&mut out, seq - last);
        last = *seq;
    }
    out
}

/// Adds the positions after `after`.
pub(crate) fn read(mut stored: &[u8], after: Seq, found: &mut Vec<Seq>) -> Result<(), Cause> {
    while !stored.is_empty() {
        let (count, mut seq) = (pull(&mut stored)?, 0u64);
        for _ in 0..count {
            seq = seq.checked_add(pull(&mut stored)?).ok_or("a stored position is broken")?;
            if seq > after {
                found.push(seq);
            }
        }
    }
    Ok(())
}

/// Which runs to put together, each with its number of events; None when it is not worth it.
pub(crate) fn to_merge(runs: &[(i64, u64)]) -> Option<Vec<i64>> {
    let mut sizes: BTreeMap<u32, Vec<(i64, u64)>> = BTreeMap::new();
    for (run, events) in runs {
        sizes.entry(events.max(&1).ilog(MERGED_RUNS as u64)).or_default().push((*run, *events));
    }
    let enough = sizes.into_values().filter(|same| same.len() >= MERGED_RUNS).map(|mut same| {
        same.truncate(MERGED_RUNS);
        same
    });
    let small = |same: &Vec<(i64, u64)>| same.iter().map(|(_, events)| events).sum::<u64>() <= MOST_MERGED_EVENTS;
    enough.filter(small).map(|same| same.into_iter().map(|(run, _)| run).collect()).next()
}

/// Up to where stretches reach above `floor` without a gap.
pub(crate) fn reached(stretches: &mut [(Seq, Seq)], floor: Seq) -> Seq {
    stretches.sort_unstable();
    stretches
        .iter()
        .fold(floor, |reached, (first, last)| if *first <= reached + 1 { reached.max(*last) } else { reached })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_model::Time;
    use tillstream_model::lookup::LookupKey;
    use tillstream_model::time::DAY_MS;

    #[test]
    fn positions_read_back_from_what_was_put_together() {
        let stored = [write(&[1, 2, 900]), write(&[]), write(&[901]), write(&[Seq::MAX])].concat();
        let read = |after| {
            let mut found = Vec::new();
            read(&stored, after, &mut found).unwrap();
            found
        };
        assert_eq!(read(0), [1, 2, 900, 901, Seq::MAX]);
        assert_eq!(read(900), [901, Seq::MAX]);
        assert!(super::read(&stored[..stored.len() - 1], 0, &mut Vec::new()).is_err());
        assert!(super::read(&[2, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], 0, &mut Vec::new()).is_err());
    }

    #[test]
    fn eight_runs_of_about_one_size_are_put_together_until_they_are_large() {
        let runs = |sizes: &[u64]| (1..).zip(sizes.iter().copied()).collect::<Vec<(i64, u64)>>();
        assert_eq!(to_merge(&runs(&[1; 7])), None);
        assert_eq!(to_merge(&runs(&[1, 2, 900, 3, 4, 5, 6, 7, 1])), Some(vec![1, 2, 4, 5, 6, 7, 8, 9]));
        assert_eq!(to_merge(&runs(&[8_192; 9])), Some((1..=8).collect()));
        assert_eq!(to_merge(&runs(&[8_193; 9])), None, "too large together");
    }

    #[test]
    fn events_are_sorted_by_day_company_and_key() {
        let entry = |company, seq, day, key| Entry {
            company: CompanyNo(company),
            seq,
            accepted_at: Time::from_millis(day * DAY_MS),
            keys: vec![LookupKey(key), LookupKey(0)],
        };
        let days = by_day(&[entry(2, 5, 1, 7), entry(1, 8, 1, 7), entry(2, 6, 1, 9), entry(2, 7, 2, 7)]);
        let day = &days[&1];
        assert_eq!((day.events, day.covered[&CompanyNo(2)], day.covered[&CompanyNo(1)]), (3, (5, 6), (8, 8)));
        assert_eq!(day.postings[&(CompanyNo(2), 0)], [5, 6]);
        assert_eq!(days[&2].postings[&(CompanyNo(2), 7)], [7]);
    }

    #[test]
    fn what_is_reached_ends_at_a_gap() {
        let reached = |list: &[(Seq, Seq)], floor| super::reached(&mut list.to_vec(), floor);
        assert_eq!(reached(&[], 7), 7);
        assert_eq!(reached(&[(11, 20), (1, 10), (15, 25)], 0), 25);
        assert_eq!(reached(&[(1, 10), (12, 20)], 0), 10);
        assert_eq!(reached(&[(1, 10), (12, 20)], 11), 20);
        assert_eq!(reached(&[(2, 10)], 0), 0);
    }
}
