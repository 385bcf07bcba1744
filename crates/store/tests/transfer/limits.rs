//! What hangs on limits: usage, answers that are given again, held events.

use std::fmt::Debug;

use tillstream_store::answers::Begin;
use tillstream_store::held::HeldLimits;
use tillstream_store::suite::{START, full_content};
use tillstream_store::usage::{Counts, Used};
use tillstream_store::{Retention, Stores};

use super::{A, ALL};

const DAY: i64 = START.day();

fn named() -> Begin {
    Begin { of: Some(A), id: "one".into(), fingerprint: [1; 16], now: START, most: 9 }
}

/// One of each.
pub async fn fill(stores: &Stores) {
    let state = &stores.state;
    let counts = Counts { events: 1, bytes: 2, delivered: 3, rejected: 4, expired: 5, attempts: 6 };
    let used = [Some(Retention::Month), None].map(|retention| Used { company: A, day: DAY, retention, counts });
    state.add_usage(used.to_vec()).await.unwrap();
    state.begin_answer(named()).await.unwrap();
    state.keep_answer(Some(A), "one", "an answer").await.unwrap();
    let limits = HeldLimits { events: 9, bytes: 1 << 30, sites: 9 };
    state.hold(A, vec![full_content("c-h"), full_content("c-i")], START, limits).await.unwrap();
}

/// All that can be asked for.
pub async fn tell(stores: &Stores, tell: &mut (dyn FnMut(&str, &dyn Debug) + Send)) {
    let state = &stores.state;
    tell("used", &state.usage(A, DAY, DAY).await.unwrap());
    tell("an answer", &state.begin_answer(named()).await.unwrap());
    for site in state.held_sites(A, "", 9).await.unwrap() {
        tell("held", &(state.held(A, &site.site, 0, ALL).await.unwrap(), site));
    }
}
