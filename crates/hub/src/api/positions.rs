//! Positions as callers carry them.

use tillstream_model::{Position, Seq};
use tillstream_store::state::Company;

use super::extract::wrong_param;
use crate::Hub;
use crate::problem::Result;

/// The seq to go on after: of a position that was handed out in whatever epoch, or a bare seq of now. 0 for none.
pub fn after(hub: &Hub, company: &Company, given: Option<&str>) -> Result<Seq> {
    let Some(given) = given else { return Ok(0) };
    if let Ok(seq) = given.parse() {
        return Ok(seq);
    }
    let position: Position = given.parse().map_err(|e| wrong_param("after", &format!("\"{given}\": {e}")))?;
    hub.stores().epochs.resolve(company.no, position).ok_or_else(|| {
        let now = hub.stores().epochs.current();
        let text = format!("epoch {} is no past of this log, which is in epoch {now}; go on by `from`", position.epoch);
        wrong_param("after", &text)
    })
}
