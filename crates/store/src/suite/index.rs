//! The index.

use std::time::Duration;

use tillstream_model::lookup::LookupKey;
use tillstream_model::{CompanyNo, Seq, Time};

use super::log_append::{A, B, append, later, texts};
use super::{Engine, START, reopen};
use crate::index::{Entry, Index};

const ONE: LookupKey = LookupKey(-1);
const TWO: LookupKey = LookupKey(i64::MAX);

fn entries(company: CompanyNo, seqs: std::ops::RangeInclusive<Seq>, at: Time) -> Vec<Entry> {
    let keys = |seq: Seq| if seq.is_multiple_of(2) { vec![ONE, TWO] } else { vec![ONE] };
    seqs.map(|seq| Entry { company, seq, accepted_at: at, keys: keys(seq) }).collect()
}

async fn positions(index: &dyn Index, company: CompanyNo, key: LookupKey, after: Seq, limit: usize) -> Vec<Seq> {
    index.positions(company, key, after, limit).await.expect("positions")
}

pub(super) async fn what_is_indexed_is_found_by_its_keys_in_order(engine: &impl Engine) {
    let mut stores = engine.open().await;
    for add in
        [entries(A, 1..=6, START), entries(B, 1..=1, START), entries(A, 7..=9, START + Duration::from_secs(86_400))]
    {
        stores.index.add(add).await.expect("add");
    }
    for again in [false, true] {
        if again {
            stores = reopen(engine, stores).await;
        }
        let index = &*stores.index;
        assert_eq!(positions(index, A, ONE, 0, 100).await, (1..=9).collect::<Vec<_>>());
        assert_eq!(positions(index, A, TWO, 2, 100).await, [4, 6, 8]);
        assert_eq!(positions(index, A, TWO, 2, 2).await, [4, 6]);
        assert_eq!(positions(index, B, ONE, 0, 100).await, [1]);
        assert!(positions(index, B, TWO, 0, 100).await.is_empty());
        assert!(positions(index, A, ONE, 9, 100).await.is_empty());
        assert!(positions(index, A, LookupKey(7), 0, 100).await.is_empty());
        assert_eq!(index.reached(A, 0).await.expect("reached"), 9);
        assert_eq!(index.reached(B, 0).await.expect("reached"), 1);
        assert_eq!(index.reached(CompanyNo(77), 5).await.expect("reached"), 5);
    }
    stores.index.add(entries(A, 5..=9, START)).await.expect("a repeat");
    assert_eq!(positions(&*stores.index, A, TWO, 0, 100).await, [2, 4, 6, 8], "each once");
}

pub(super) async fn what_was_put_together_is_still_found(engine: &impl Engine) {
    let stores = engine.open().await;
    for n in 0..30 {
        stores.index.add(entries(A, 3 * n + 1..=3 * n + 3, START)).await.expect("add");
        stores.index.add(entries(B, n + 1..=n + 1, START)).await.expect("add");
    }
    let mut steps = 0;
    while stores.index.merge().await.expect("merge") {
        steps += 1;
        assert!(steps < 100, "it never ends");
    }
    assert!(steps > 2, "nothing was put together");
    let stores = reopen(engine, stores).await;
    assert_eq!(positions(&*stores.index, A, ONE, 0, 100).await, (1..=90).collect::<Vec<_>>());
    assert_eq!(positions(&*stores.index, A, TWO, 50, 3).await, [52, 54, 56]);
    assert_eq!(positions(&*stores.index, B, ONE, 28, 100).await, [29, 30]);
}

pub(super) async fn the_index_of_a_day_goes_with_the_last_segment_of_it(engine: &impl Engine) {
    let stores = engine.open().await;
    append(&*stores.log, A, texts(0..2)).await;
    engine.set_time(later(1));
    append(&*stores.log, A, texts(2..4)).await;
    stores.index.add(entries(A, 1..=2, START)).await.expect("add");
    stores.index.add(entries(A, 3..=4, later(1))).await.expect("add");
    stores.index.drop_unused().await.expect("drop");
    assert_eq!(positions(&*stores.index, A, ONE, 0, 100).await, [1, 2, 3, 4]);
    engine.set_time(later(31));
    for due in stores.log.due(later(31)).await.expect("due") {
        stores.log.drop_segment(&due.name).await.expect("drop");
    }
    stores.index.drop_unused().await.expect("drop");
    let floor = stores.log.floor(A).await.expect("floor");
    assert_eq!((floor, stores.index.reached(A, floor).await.expect("reached")), (2, 4));
    assert_eq!(positions(&*stores.index, A, ONE, 0, 100).await, [3, 4]);
}
