//! The rows of a segment, as another engine takes them.

use std::path::Path;

use tillstream_model::Content;

use super::segments::{SCHEMA, SEQ_BITS};
use crate::sqlite::conn::open_writer;
use crate::sqlite::pool::Cause;

const MASK: i64 = (1 << SEQ_BITS) - 1;

/// Brings a segment to the newest version.
pub(in crate::sqlite) fn bring_forward(file: &Path) -> Result<(), Cause> {
    open_writer(file, &SCHEMA).map(drop)
}

/// Events by company and seq.
pub(in crate::sqlite) fn events() -> String {
    let fixed = Content::size_of(0, 0);
    format!(
        "SELECT pos >> {SEQ_BITS} AS company, pos & {MASK} AS seq, accepted_at, random, {fixed} + octet_length(data) + coalesce(octet_length(correlation), 0) AS size,
         name, site, terminal, entity_id, occurred_at, business_date, caller_id, correlation, data, trace FROM events ORDER BY pos"
    )
}

/// Idempotency ids, each with what it was used for.
pub(in crate::sqlite) fn ids() -> String {
    format!(
        "SELECT i.hash, i.fingerprint, e.pos & {MASK} AS seq, e.accepted_at, e.random
         FROM (SELECT hash, pos, fingerprint FROM fresh_ids UNION ALL SELECT hash, pos, fingerprint FROM old_ids) i
         JOIN events e USING (pos)"
    )
}
