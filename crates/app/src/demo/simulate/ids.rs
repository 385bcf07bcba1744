//! Ids in the manner of the document stores that points of sale run on.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt;

/// Twelve bytes, written as 24 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId([u8; 12]);

impl ObjectId {
    /// The id that belongs to a number for ever, whatever the time: used for people, who outlive a run.
    pub fn fixed(kind: u32, number: u64) -> ObjectId {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&kind.to_be_bytes());
        bytes[4..].copy_from_slice(&number.to_be_bytes());
        ObjectId(bytes)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; 24];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = hex_digit(byte >> 4);
            pair[1] = hex_digit(byte & 0x0f);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Gives out ids: four bytes of seconds, five of origin, three of a counter. The origin ends in the store's
/// number, so two stores never meet; the counter repeats after 16 million ids, long after the second has passed.
pub struct ObjectIds {
    origin: [u8; 5],
    given: u32,
}

impl ObjectIds {
    /// The ids of one store of the company that `company` stands for.
    pub fn new(company: u64, store: u16) -> ObjectIds {
        let [a, b, c, ..] = company.to_be_bytes();
        let [d, e] = store.to_be_bytes();
        ObjectIds { origin: [a, b, c, d, e], given: 0 }
    }

    /// The next id.
    pub fn next(&mut self, at: Timestamp) -> ObjectId {
        let [.., s0, s1, s2, s3] = at.as_second().to_be_bytes();
        let [_, n0, n1, n2] = self.given.to_be_bytes();
        let [o0, o1, o2, o3, o4] = self.origin;
        self.given = self.given.wrapping_add(1);
        ObjectId([s0, s1, s2, s3, o0, o1, o2, o3, o4, n0, n1, n2])
    }
}

fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_spells_seconds_origin_and_counter() {
        let at = Timestamp::from_second(0x6543_21ab).unwrap();
        let mut ids = ObjectIds::new(0xaabb_cc00_0000_0000, 0x0102);
        assert_eq!(ids.next(at).to_string(), "654321abaabbcc0102000000");
        assert_eq!(ids.next(at).to_string(), "654321abaabbcc0102000001");
    }

    #[test]
    fn two_stores_never_give_out_the_same_id() {
        let (mut one, mut other) = (ObjectIds::new(5, 1), ObjectIds::new(5, 2));
        let at = Timestamp::UNIX_EPOCH;
        assert!((0..100).all(|_| one.next(at) != other.next(at)));
    }
}
