//! The rows of a segment, as another engine takes them.

use tillstream_model::Content;

use super::segments::SEQ_BITS;

const MASK: i64 = (1 << SEQ_BITS) - 1;

/// Events by company and seq.
pub(in crate::sqlite) fn events() -> String {
    let fixed = Content::size_of(0, 0);
    format!(
        "SELECT pos >> {SEQ_BITS} AS company, pos & {MASK} AS seq, accepted_at, random, {fixed} + octet_length(data) + coalesce(octet_length(correlation), 0) AS size,
         name, site, terminal, entity_id, occurred_at, business_date, caller_id, correlation, data FROM events ORDER BY pos"
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
