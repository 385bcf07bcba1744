//! Positions as callers carry them.

use tillstream_model::{Position, Seq};
use tillstream_store::state::Company;

use super::extract::wrong_param;
use crate::Hub;
use crate::problem::Result;

/// The seq to go on after: of a position that was handed out in whatever epoch, or a bare seq of now. 0 for none.
pub fn after(hub: &Hub, company: &Company, given: Option<&str>) -> Result<Seq> {
    given.map_or(Ok(0), |given| read(hub, company, "after", given))
}

/// The seq of a position that stands at this place of the request.
pub fn read(hub: &Hub, company: &Company, place: &str, given: &str) -> Result<Seq> {
    if let Ok(seq) = given.parse() {
        return Ok(seq);
    }
    let position: Position = given.parse().map_err(|e| wrong_param(place, &format!("\"{given}\": {e}")))?;
    hub.stores().epochs.resolve(company.no, position).ok_or_else(|| {
        let now = hub.stores().epochs.current();
        let text = format!("epoch {} is no past of this log, which is in epoch {now}; go on by `from`", position.epoch);
        wrong_param(place, &text)
    })
}
