//! Integrations and the versions of their settings.

use std::sync::Arc;

use futures_util::future::{try_join, try_join3};
use tillstream_model::integration::{Settings, Status};
use tillstream_model::{CompanyNo, IntegrationNo, Seq, Time};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::gate::refuse_gone;
use super::tx::Stop;
use super::{entries, lanes, sealing, spell};
use crate::engine::{Cause, place};
use crate::postgres::row;
use crate::postgres::session::Session;
use crate::seal::Owner;
use crate::state::{CreateError, Integration, LaneHead, LogEntry, SaveError, Version};
use crate::{Page, Sealer, StoreError};

const COLUMNS: &str = "i.no, i.company, i.running, i.status_reason, i.version, i.created_at, i.updated_at, v.settings";
const TABLES: &str = "integrations i JOIN versions v ON v.integration = i.no AND v.version = i.version";

pub(super) async fn create(
    session: &Session,
    sealer: &Sealer,
    company: CompanyNo,
    settings: Settings,
    cursor: Seq,
    entry: &LogEntry,
) -> Result<Integration, Stop<CreateError>> {
    refuse_gone(session, Some(company)).await?;
    let sql = "INSERT INTO integrations (company, id, running, version, created_at, updated_at)
               VALUES ($1, $2, true, 1, $3, $3) ON CONFLICT (company, id) DO NOTHING RETURNING no";
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&settings.id as _, Type::TEXT),
        (&entry.at.millis() as _, Type::INT8),
    ];
    let Some(made) = session.row(sql, &params).await? else { return Err(Stop::Refused(CreateError::Taken)) };
    let stored_no: i64 = made.get(0);
    let no = spell::no(stored_no);
    try_join3(
        save_version(session, sealer, Owner { company, integration: no }, 1, cursor, &settings, entry),
        lanes::create(session, stored_no, cursor),
        entries::add(session, &[(stored_no, entry)]),
    )
    .await?;
    Ok(Integration {
        no,
        company,
        settings: Arc::new(settings),
        status: Status::Running,
        status_reason: None,
        version: 1,
        created_at: entry.at,
        updated_at: entry.at,
    })
}

pub(super) async fn get(
    session: &Session,
    sealer: &Sealer,
    company: CompanyNo,
    id: &str,
) -> Result<Option<Integration>, Cause> {
    if !spell::is_storable(id) {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE i.company = $1 AND i.id = $2");
    let params = [(&row::stored_company(company) as _, Type::INT4), (&id as _, Type::TEXT)];
    session.row(&sql, &params).await?.map(|row| open(sealer, &row)).transpose()
}

pub(super) async fn list(
    session: &Session,
    sealer: &Sealer,
    company: CompanyNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Integration>, Cause> {
    // No id has U+0000 in it, so those after a text are those after its part before the first one.
    let after = after.and_then(|after| after.split('\0').next()).unwrap_or_default();
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE i.company = $1 AND i.id > $2 ORDER BY i.id LIMIT $3");
    let params = [
        (&row::stored_company(company) as _, Type::INT4),
        (&after as _, Type::TEXT),
        (&i64::try_from(limit).unwrap_or(i64::MAX) as _, Type::INT8),
    ];
    session.rows(&sql, &params).await?.iter().map(|row| open(sealer, row)).collect()
}

pub(super) async fn lane_heads(session: &Session, sealer: &Sealer) -> Result<Vec<LaneHead>, Cause> {
    // The limit makes the server look for one waiting event of each; for EXISTS it may read all that wait anywhere.
    let sql = format!(
        "SELECT {COLUMNS}, l.cursor, length(l.settled) > 0
             OR coalesce((SELECT true FROM parked p WHERE p.integration = i.no LIMIT 1), false)
             OR coalesce((SELECT true FROM replays r WHERE r.integration = i.no LIMIT 1), false)
         FROM {TABLES} JOIN lanes l ON l.integration = i.no WHERE i.running ORDER BY i.no"
    );
    let head =
        |r: &Row| Ok(LaneHead { integration: open(sealer, r)?, cursor: row::seq(r.get(8)), unfinished: r.get(9) });
    session.rows(&sql, &[]).await?.iter().map(head).collect()
}

/// The numbers of a company's integrations; only those among `wanted`, unless that is empty.
pub(super) async fn numbers(
    session: &Session,
    company: CompanyNo,
    wanted: &[IntegrationNo],
) -> Result<Vec<i64>, Cause> {
    let wanted: Vec<i64> = wanted.iter().map(|no| spell::stored_no(*no)).collect();
    let sql = "SELECT no FROM integrations WHERE company = $1 AND (cardinality($2) = 0 OR no = ANY($2))";
    let params = [(&row::stored_company(company) as _, Type::INT4), (&wanted as _, Type::INT8_ARRAY)];
    Ok(session.rows(sql, &params).await?.iter().map(|r| r.get(0)).collect())
}

pub(super) async fn save(
    session: &Session,
    sealer: &Sealer,
    company: CompanyNo,
    settings: Settings,
    expected: Option<u32>,
    at: Seq,
    entry: &LogEntry,
) -> Result<Integration, Stop<SaveError>> {
    let Some(old) = lock(session, sealer, company, &settings.id).await? else {
        return Err(Stop::Refused(SaveError::Unknown));
    };
    if expected.is_some_and(|expected| expected != old.version) {
        return Err(Stop::Refused(SaveError::Changed(old.version)));
    }
    let (no, version) = (spell::stored_no(old.no), old.version + 1);
    let params = [
        (&spell::stored_count(version) as _, Type::INT4),
        (&entry.at.millis() as _, Type::INT8),
        (&no as _, Type::INT8),
    ];
    try_join3(
        save_version(session, sealer, Owner { company, integration: old.no }, version, at, &settings, entry),
        session.execute("UPDATE integrations SET version = $1, updated_at = $2 WHERE no = $3", &params),
        entries::add(session, &[(no, entry)]),
    )
    .await?;
    Ok(Integration { settings: Arc::new(settings), version, updated_at: entry.at, ..old })
}

pub(super) async fn settings_at(
    session: &Session,
    sealer: &Sealer,
    no: IntegrationNo,
    seq: Seq,
) -> Result<Option<(u32, Settings)>, Cause> {
    let sql = "SELECT i.company, v.version, v.settings FROM integrations i JOIN versions v ON v.integration = i.no
               WHERE i.no = $1 AND v.from_seq < $2 ORDER BY v.version DESC LIMIT 1";
    let params = [(&spell::stored_no(no) as _, Type::INT8), (&row::stored_seq(seq) as _, Type::INT8)];
    let Some(found) = session.row(sql, &params).await? else { return Ok(None) };
    let owner = Owner { company: row::company(found.get(0)), integration: no };
    Ok(Some((spell::count(found.get(1)), sealer.from_stored(owner, found.get(2))?)))
}

pub(super) async fn versions(
    session: &Session,
    sealer: &Sealer,
    no: IntegrationNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Version>, Cause> {
    let below = i32::try_from(place::number(after)?).unwrap_or(i32::MAX);
    let sql = "SELECT i.company, v.version, v.from_seq, v.settings, v.saved_at, v.actor
               FROM integrations i JOIN versions v ON v.integration = i.no
               WHERE i.no = $1 AND v.version < $2 ORDER BY v.version DESC LIMIT $3";
    let params = [
        (&spell::stored_no(no) as _, Type::INT8),
        (&below as _, Type::INT4),
        (&spell::one_more(limit) as _, Type::INT8),
    ];
    let mut found = Vec::new();
    for r in session.rows(sql, &params).await? {
        let owner = Owner { company: row::company(r.get(0)), integration: no };
        found.push(Version {
            version: spell::count(r.get(1)),
            from: row::seq(r.get(2)),
            settings: sealer.from_stored(owner, r.get(3))?,
            saved_at: Time::from_millis(r.get(4)),
            actor: r.get(5),
        });
    }
    Ok(Page::of(found, limit, |v| v.version.to_string()))
}

pub(super) async fn set_status(
    session: &Session,
    sealer: &Sealer,
    company: CompanyNo,
    id: &str,
    status: Status,
    entry: &LogEntry,
) -> Result<Option<Integration>, Stop<StoreError>> {
    let Some(old) = lock(session, sealer, company, id).await? else { return Ok(None) };
    let no = spell::stored_no(old.no);
    let is_news = old.status != status;
    let updated_at = if is_news { entry.at } else { old.updated_at };
    let reason = spell::text(&entry.reason).into_owned();
    let sql = "UPDATE integrations SET running = $1, status_reason = $2, updated_at = $3 WHERE no = $4";
    let params = [
        (&(status == Status::Running) as _, Type::BOOL),
        (&reason as _, Type::TEXT),
        (&updated_at.millis() as _, Type::INT8),
        (&no as _, Type::INT8),
    ];
    let news: &[(i64, &LogEntry)] = if is_news { &[(no, entry)] } else { &[] };
    try_join(session.execute(sql, &params), entries::add(session, news)).await?;
    Ok(Some(Integration { status, status_reason: Some(reason), updated_at, ..old }))
}

/// Stops integrations for their reasons.
pub(super) async fn stop(session: &Session, stops: &[(i64, &str)], at: Time) -> Result<(), Cause> {
    if stops.is_empty() {
        return Ok(());
    }
    let (nos, reasons): (Vec<_>, Vec<_>) = stops.iter().map(|(no, reason)| (*no, spell::text(reason))).unzip();
    let sql = "UPDATE integrations i SET running = false, status_reason = n.reason, updated_at = $3
               FROM unnest($1::int8[], $2::text[]) n (no, reason) WHERE i.no = n.no";
    let params = [(&nos as _, Type::INT8_ARRAY), (&reasons as _, Type::TEXT_ARRAY), (&at.millis() as _, Type::INT8)];
    session.execute(sql, &params).await?;
    Ok(())
}

/// Hides the integration at once; [`super::sweep`] removes what hangs on it. Its lane's row goes first: that waits for
/// the commit under way and leaves nothing that a later one could belong to.
pub(super) async fn delete(session: &Session, company: CompanyNo, id: &str) -> Result<bool, Stop<StoreError>> {
    if !spell::is_storable(id) {
        return Ok(false);
    }
    let sql = "DELETE FROM lanes WHERE integration = (SELECT no FROM integrations WHERE company = $1 AND id = $2)
               RETURNING integration";
    let params = [(&row::stored_company(company) as _, Type::INT4), (&id as _, Type::TEXT)];
    let Some(found) = session.row(sql, &params).await? else { return Ok(false) };
    let no: i64 = found.get(0);
    let params = [(&no as _, Type::INT8)];
    try_join(
        session.execute("DELETE FROM integrations WHERE no = $1", &params),
        session.execute("INSERT INTO leftovers VALUES ($1)", &params),
    )
    .await?;
    Ok(true)
}

/// Who changes an integration locks it first, so that of two changes the second sees the first. What is seen is asked
/// for after the lock is there: rows that were joined before it may be older.
async fn lock(session: &Session, sealer: &Sealer, company: CompanyNo, id: &str) -> Result<Option<Integration>, Cause> {
    if !spell::is_storable(id) {
        return Ok(None);
    }
    let sql = "SELECT no FROM integrations WHERE company = $1 AND id = $2 FOR UPDATE";
    let params = [(&row::stored_company(company) as _, Type::INT4), (&id as _, Type::TEXT)];
    let (_, found) = try_join(session.execute(sql, &params), get(session, sealer, company, id)).await?;
    Ok(found)
}

async fn save_version(
    session: &Session,
    sealer: &Sealer,
    owner: Owner,
    version: u32,
    from: Seq,
    settings: &Settings,
    entry: &LogEntry,
) -> Result<(), Cause> {
    let sealer = sealing::current(session, sealer).await?;
    let params = [
        (&spell::stored_no(owner.integration) as _, Type::INT8),
        (&spell::stored_count(version) as _, Type::INT4),
        (&row::stored_seq(from) as _, Type::INT8),
        (&sealer.to_stored(owner, settings)? as _, Type::TEXT),
        (&entry.at.millis() as _, Type::INT8),
        (&spell::text(&entry.actor) as _, Type::TEXT),
    ];
    session.execute("INSERT INTO versions VALUES ($1, $2, $3, $4, $5, $6)", &params).await?;
    Ok(())
}

/// Reads an integration and opens its secrets.
fn open(sealer: &Sealer, r: &Row) -> Result<Integration, Cause> {
    let (no, company) = (spell::no(r.get(0)), row::company(r.get(1)));
    let settings = sealer.from_stored(Owner { company, integration: no }, r.get(7))?;
    Ok(Integration {
        no,
        company,
        settings: Arc::new(settings),
        status: if r.get(2) { Status::Running } else { Status::Stopped },
        status_reason: r.get(3),
        version: spell::count(r.get(4)),
        created_at: Time::from_millis(r.get(5)),
        updated_at: Time::from_millis(r.get(6)),
    })
}
