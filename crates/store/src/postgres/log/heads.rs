//! The heads of companies' logs. Holding their locks is what makes seqs dense and visible in order.

use std::collections::BTreeMap;

use tillstream_model::{CompanyNo, Seq, Time};
use tokio_postgres::types::Type;

use super::super::row;
use super::super::session::Session;
use crate::engine::Cause;
use crate::engine::segment::SegmentId;

/// The end of a company's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The last position.
    pub(super) seq: Seq,
    /// When it was accepted.
    pub(super) at: Time,
    /// Where it is; None before the first event.
    pub(super) segment: Option<SegmentId>,
    /// Nothing is appended any more.
    pub(super) closed: bool,
}

/// Takes the locks of these companies, lowest first, so that no two nodes wait for each other.
pub(super) async fn lock(session: &Session, companies: &[CompanyNo]) -> Result<BTreeMap<CompanyNo, Head>, Cause> {
    let numbers: Vec<i32> = companies.iter().map(|c| row::stored_company(*c)).collect();
    let mut heads = lock_existing(session, &numbers).await?;
    if heads.len() < companies.len() {
        let sql = "INSERT INTO log_heads (company) SELECT unnest($1) ORDER BY 1 ON CONFLICT DO NOTHING";
        session.execute(sql, &[(&numbers, Type::INT4_ARRAY)]).await?;
        heads = lock_existing(session, &numbers).await?;
    }
    Ok(heads)
}

async fn lock_existing(session: &Session, numbers: &[i32]) -> Result<BTreeMap<CompanyNo, Head>, Cause> {
    let sql = "SELECT company, head, head_at, segment, closed FROM log_heads WHERE company = ANY($1)
         ORDER BY company FOR UPDATE";
    let rows = session.rows(sql, &[(&numbers, Type::INT4_ARRAY)]).await?;
    let head = |r: &tokio_postgres::Row| {
        let (seq, at) = (row::seq(r.get(1)), Time::from_millis(r.get(2)));
        let head = Head { seq, at, segment: SegmentId::parse(r.get(3)), closed: r.get(4) };
        (row::company(r.get(0)), head)
    };
    Ok(rows.iter().map(head).collect())
}

/// Moves heads that are locked.
pub(super) async fn put(session: &Session, heads: &BTreeMap<CompanyNo, Head>) -> Result<(), Cause> {
    let (mut companies, mut seqs, mut times, mut segments) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (company, head) in heads {
        companies.push(row::stored_company(*company));
        seqs.push(row::stored_seq(head.seq));
        times.push(head.at.millis());
        segments.push(head.segment.map(SegmentId::name).unwrap_or_default());
    }
    let sql = "UPDATE log_heads h SET head = n.head, head_at = n.head_at, segment = n.segment
               FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::text[]) n (company, head, head_at, segment)
               WHERE h.company = n.company";
    let params = [
        (&companies as _, Type::INT4_ARRAY),
        (&seqs as _, Type::INT8_ARRAY),
        (&times as _, Type::INT8_ARRAY),
        (&segments as _, Type::TEXT_ARRAY),
    ];
    session.execute(sql, &params).await?;
    Ok(())
}

/// Notes where stretches of consecutive events in one segment begin.
pub(in crate::postgres) async fn begin_stretches(
    session: &Session,
    stretches: impl Iterator<Item = (CompanyNo, Seq, SegmentId)>,
) -> Result<(), Cause> {
    let (mut companies, mut firsts, mut segments) = (Vec::new(), Vec::new(), Vec::new());
    for (company, first, segment) in stretches {
        companies.push(row::stored_company(company));
        firsts.push(row::stored_seq(first));
        segments.push(segment.name());
    }
    if companies.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO log_stretches SELECT * FROM unnest($1::int4[], $2::int8[], $3::text[])";
    let params =
        [(&companies as _, Type::INT4_ARRAY), (&firsts as _, Type::INT8_ARRAY), (&segments as _, Type::TEXT_ARRAY)];
    session.execute(sql, &params).await?;
    Ok(())
}
