//! Ranges of settled positions as bytes: gaps and lengths as variable-length integers.

use tillstream_model::{Ranges, Seq};

use super::Cause;

/// As stored; empty when nothing is in it.
pub(crate) fn write(ranges: &Ranges) -> Vec<u8> {
    let (mut out, mut end) = (Vec::new(), 0);
    for (first, last) in ranges.iter() {
        push(&mut out, first - end);
        push(&mut out, last - first);
        end = last;
    }
    out
}

/// Reads what was stored.
pub(crate) fn read(mut bytes: &[u8]) -> Result<Ranges, Cause> {
    let (mut ranges, mut end) = (Ranges::default(), 0u64);
    while !bytes.is_empty() {
        let first = end.checked_add(pull(&mut bytes)?);
        let last = first.and_then(|first| Some((first, first.checked_add(pull(&mut bytes).ok()?)?)));
        let (first, last) = last.ok_or("settled ranges are broken")?;
        ranges.insert_range(first, last);
        end = last;
    }
    Ok(ranges)
}

pub(crate) fn push(out: &mut Vec<u8>, mut value: Seq) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn pull(bytes: &mut &[u8]) -> Result<Seq, Cause> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or("settled ranges are cut off")?;
        *bytes = rest;
        value |= Seq::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("settled ranges are broken".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_read_back_as_written(list in prop::collection::vec((any::<u32>(), 0u64..1_000), 0..50)) {
            let ranges = Ranges::from(list.iter().map(|(a, n)| (u64::from(*a), u64::from(*a) + n)).collect::<Vec<_>>());
            prop_assert_eq!(read(&write(&ranges)).unwrap(), ranges);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn the_highest_position_fits() {
        let ranges = Ranges::from(vec![(0, 0), (u64::MAX - 1, u64::MAX)]);
        assert_eq!(read(&write(&ranges)).unwrap(), ranges);
    }
}
