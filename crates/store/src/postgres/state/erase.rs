//! Taking a payload out of everything that is kept of an event.

use tillstream_model::{CompanyNo, EventId, Seq};
use tokio_postgres::types::Type;

use super::lanes;
use super::tx::Stop;
use crate::StoreError;
use crate::engine::event;
use crate::postgres::row;
use crate::postgres::session::Session;

/// Rewrites waiting and rejected rows of the company's integrations.
pub(super) async fn erase(
    session: &Session,
    company: CompanyNo,
    seq: Seq,
    id: EventId,
) -> Result<(), Stop<StoreError>> {
    let (company, seq, id) = (row::stored_company(company), row::stored_seq(seq), id.as_bytes().as_slice());
    let of_company = "SELECT no FROM integrations WHERE company = $1";
    let sql = format!(
        "SELECT integration FROM parked WHERE integration IN ({of_company}) AND seq = $2 AND event IS NOT NULL
         UNION SELECT integration FROM rejected WHERE integration IN ({of_company}) AND event_id = $3 ORDER BY 1"
    );
    let about = [(&company as _, Type::INT4), (&seq as _, Type::INT8), (&id as _, Type::BYTEA)];
    let nos: Vec<i64> = session.rows(&sql, &about).await?.iter().map(|r| r.get(0)).collect();
    lanes::lock(session, &nos).await?;
    let sql = "SELECT integration, event FROM parked WHERE integration = ANY($1) AND seq = $2 AND event IS NOT NULL";
    for r in session.rows(sql, &[(&nos, Type::INT8_ARRAY), (&seq, Type::INT8)]).await? {
        let (no, erased): (i64, _) = (r.get(0), event::erased(r.get(1))?);
        let sql = "UPDATE parked SET event = $3 WHERE integration = $1 AND seq = $2";
        let params = [(&no as _, Type::INT8), (&seq as _, Type::INT8), (&erased as _, Type::BYTEA)];
        session.execute(sql, &params).await?;
    }
    let sql = "SELECT id, event FROM rejected WHERE integration = ANY($1) AND event_id = $2";
    for r in session.rows(sql, &[(&nos, Type::INT8_ARRAY), (&id, Type::BYTEA)]).await? {
        let (row, erased): (i64, _) = (r.get(0), event::erased(r.get(1))?);
        let params = [(&row as _, Type::INT8), (&erased as _, Type::BYTEA)];
        session.execute("UPDATE rejected SET event = $2 WHERE id = $1", &params).await?;
    }
    Ok(())
}
