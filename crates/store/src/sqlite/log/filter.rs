//! A filter over ids: tells which ones are surely not in a run, with one cache line a question.

use crate::engine::caller::IdHash;

/// Bits of the filter for each id: about one wrong "perhaps" in a thousand.
const BITS_PER_ID: usize = 16;
/// Bytes of a block; all bits of an id lie in one.
const BLOCK_BYTES: usize = 64;
/// Bits that an id sets in its block.
const PROBES: usize = 8;

/// A blocked Bloom filter. Takes its bits from the ids themselves, which are hashes already.
pub(super) struct Filter(Vec<u8>);

impl Filter {
    /// Of these ids.
    pub(super) fn of<'a>(ids: impl ExactSizeIterator<Item = &'a IdHash>) -> Self {
        let blocks = (ids.len() * BITS_PER_ID).div_ceil(BLOCK_BYTES * 8).max(1);
        let mut bytes = vec![0; blocks * BLOCK_BYTES];
        for id in ids {
            let block = block_of(id, blocks);
            for bit in bits_of(id) {
                bytes[block * BLOCK_BYTES + bit / 8] |= 1 << (bit % 8);
            }
        }
        Self(bytes)
    }

    /// As stored by [`Filter::as_bytes`]; None for bytes that are no filter.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty() && bytes.len().is_multiple_of(BLOCK_BYTES)).then_some(Self(bytes))
    }

    /// To be stored.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// False: surely not in. True: in, or one of the few wrong ones.
    pub(super) fn may_hold(&self, id: &IdHash) -> bool {
        let block = block_of(id, self.0.len() / BLOCK_BYTES) * BLOCK_BYTES;
        let block = &self.0[block..block + BLOCK_BYTES];
        bits_of(id).all(|bit| block[bit / 8] & 1 << (bit % 8) != 0)
    }
}

fn block_of(id: &IdHash, blocks: usize) -> usize {
    let word = u32::from_be_bytes([id[0], id[1], id[2], id[3]]);
    ((u64::from(word) * blocks as u64) >> 32) as usize
}

/// 9 bits each out of the last 9 bytes.
fn bits_of(id: &IdHash) -> impl Iterator<Item = usize> {
    let word = id[7..].iter().fold(0u128, |word, byte| word << 8 | u128::from(*byte));
    (0..PROBES).map(move |probe| (word >> (9 * probe)) as usize & (BLOCK_BYTES * 8 - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn id(n: u32) -> IdHash {
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::digest(n.to_be_bytes())[..16]);
        id
    }

    #[test]
    fn every_id_is_found_and_few_others_are() {
        let ids: Vec<IdHash> = (0..20_000).map(id).collect();
        let filter = Filter::of(ids.iter());
        assert!(ids.iter().all(|id| filter.may_hold(id)));
        let wrong = (20_000..120_000).filter(|n| filter.may_hold(&id(*n))).count();
        assert!(wrong < 300, "{wrong} of 100,000");
    }

    #[test]
    fn a_filter_reads_back_and_other_bytes_are_none() {
        let filter = Filter::from_bytes(Filter::of([id(1)].iter()).as_bytes().to_vec()).unwrap();
        assert!(filter.may_hold(&id(1)));
        assert!(Filter::from_bytes(vec![]).is_none());
        assert!(Filter::from_bytes(vec![0; 63]).is_none());
    }
}
