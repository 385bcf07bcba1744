//! Taking payloads out of segments, and telling other nodes of it.

use tillstream_model::event::ERASED;
use tillstream_model::{CompanyNo, Content, EventId, Seq};
use tokio_postgres::types::Type;

use super::super::row;
use super::super::session::{Broken, Session, Sessions};
use super::segments;
use crate::engine::Cause;
use crate::engine::segment::SegmentId;

/// How far back a node looks that follows the others all the time …
pub(super) const FOLLOWING: &str = "60 seconds";
/// … and one that begins to: nothing stays in memory for longer.
pub(super) const BEGINNING: &str = "3 days";

/// Erases an event's payload; whether there is such an event. The id tells the day of its segment.
pub(super) async fn erase(sessions: &Sessions, company: CompanyNo, seq: Seq, id: EventId) -> Result<bool, Cause> {
    let mut session = sessions.get().await?;
    let names = session.rows("SELECT name FROM log_segments", &[]).await?;
    let of_day = names.iter().filter_map(|r| SegmentId::parse(r.get(0))).filter(|s| s.day == id.time().day());
    session.begin().await?;
    let mut erased = 0;
    for segment in of_day {
        erased += erase_in(&session, segment, company, seq, id).await?;
    }
    if erased > 0 {
        let params = [(&row::stored_company(company) as _, Type::INT4), (&row::stored_seq(seq) as _, Type::INT8)];
        session.execute("INSERT INTO log_erased (company, seq) VALUES ($1, $2)", &params).await?;
    }
    session.commit().await.map_err(Broken::cause)?;
    Ok(erased > 0)
}

async fn erase_in(
    session: &Session,
    segment: SegmentId,
    company: CompanyNo,
    seq: Seq,
    id: EventId,
) -> Result<u64, Cause> {
    let sql = format!(
        "UPDATE {} SET data = $4, correlation = NULL, size = $5 WHERE company = $1 AND seq = $2 AND random = $3",
        segments::table(segment)
    );
    let size = i32::try_from(Content::size_of(ERASED.len(), 0)).unwrap_or(i32::MAX);
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&row::stored_seq(seq) as _, Type::INT8),
        (&&id.as_bytes()[6..] as _, Type::BYTEA),
        (&ERASED.as_bytes() as _, Type::BYTEA),
        (&size as _, Type::INT4),
    ];
    session.execute(&sql, &params).await
}

/// What was erased lately, by whatever node.
pub(super) async fn lately(session: &Session, how_long: &str) -> Result<Vec<(CompanyNo, Seq)>, Cause> {
    let sql =
        format!("SELECT company, seq FROM log_erased WHERE at > clock_timestamp() - interval '{how_long}' ORDER BY at");
    let rows = session.rows(&sql, &[]).await?;
    Ok(rows.iter().map(|r| (row::company(r.get(0)), row::seq(r.get(1)))).collect())
}

/// Forgets what no node has in memory any more.
pub(super) async fn forget_old(session: &Session) -> Result<(), Cause> {
    let sql = format!("DELETE FROM log_erased WHERE at < clock_timestamp() - interval '{BEGINNING}'");
    session.batch(&sql).await
}
