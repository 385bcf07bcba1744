//! Integrations and the versions of their settings.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tillstream_model::integration::{Settings, Status};
use tillstream_model::{CompanyNo, IntegrationNo, Seq, Time};

use super::entries;
use super::purge::refuse_gone;
use super::writer::{Stop, Work};
use crate::engine::place;
use crate::seal::Owner;
use crate::sqlite::pool::Cause;
use crate::state::{CreateError, Integration, LaneHead, LogEntry, SaveError, Version};
use crate::{Page, Sealer, StoreError};

const COLUMNS: &str = "i.no, i.company, i.running, i.status_reason, i.version, i.created_at, i.updated_at, v.settings";
const TABLES: &str = "integrations i JOIN versions v ON v.integration = i.no AND v.version = i.version";

pub(super) fn create(
    work: &mut Work<'_>,
    company: CompanyNo,
    settings: Settings,
    cursor: Seq,
    entry: &LogEntry,
) -> Result<Integration, Stop<CreateError>> {
    refuse_gone(work.conn, Some(company))?;
    let sql =
        "INSERT INTO integrations (company, id, running, version, created_at, updated_at) VALUES (?1, ?2, 1, 1, ?3, ?3)
               ON CONFLICT (company, id) DO NOTHING";
    if work.conn.prepare_cached(sql)?.execute(params![company.0, settings.id, entry.at.millis()])? == 0 {
        return Err(Stop::Refused(CreateError::Taken));
    }
    let no = IntegrationNo(work.conn.last_insert_rowid() as u64);
    save_version(work, Owner { company, integration: no }, 1, cursor, &settings, entry)?;
    work.conn
        .prepare_cached("INSERT INTO lanes (integration, cursor, settled) VALUES (?, ?, x'')")?
        .execute(params![no.0, cursor])?;
    entries::insert(work.conn, no, entry)?;
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

pub(super) fn get(
    conn: &Connection,
    sealer: &Sealer,
    company: CompanyNo,
    id: &str,
) -> Result<Option<Integration>, Cause> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE i.company = ? AND i.id = ?");
    let mut stmt = conn.prepare_cached(&sql)?;
    stmt.query_row(params![company.0, id], Stored::read).optional()?.map(|s| s.open(sealer)).transpose()
}

pub(super) fn list(
    conn: &Connection,
    sealer: &Sealer,
    company: CompanyNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Integration>, Cause> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE i.company = ? AND i.id > ? ORDER BY i.id LIMIT ?");
    let mut stmt = conn.prepare_cached(&sql)?;
    let rows = stmt.query_map(params![company.0, after.unwrap_or_default(), limit], Stored::read)?;
    rows.map(|row| row?.open(sealer)).collect()
}

pub(super) fn lane_heads(conn: &Connection, sealer: &Sealer) -> Result<Vec<LaneHead>, Cause> {
    let sql = format!(
        "SELECT {COLUMNS}, l.cursor, length(l.settled) > 0 OR EXISTS (SELECT 1 FROM parked p WHERE p.integration = i.no)
         OR EXISTS (SELECT 1 FROM replays r WHERE r.integration = i.no)
         FROM {TABLES} JOIN lanes l ON l.integration = i.no WHERE i.running ORDER BY i.no"
    );
    let mut stmt = conn.prepare_cached(&sql)?;
    let rows = stmt.query_map([], |r| Ok((Stored::read(r)?, r.get(8)?, r.get(9)?)))?;
    rows.map(|row| {
        let (stored, cursor, unfinished) = row?;
        Ok(LaneHead { integration: stored.open(sealer)?, cursor, unfinished })
    })
    .collect()
}

/// The numbers of a company's integrations.
pub(super) fn numbers(conn: &Connection, company: CompanyNo) -> Result<Vec<IntegrationNo>, Cause> {
    let mut stmt = conn.prepare_cached("SELECT no FROM integrations WHERE company = ?")?;
    let rows = stmt.query_map([company.0], |r| Ok(IntegrationNo(r.get(0)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn save(
    work: &mut Work<'_>,
    company: CompanyNo,
    settings: &Settings,
    expected: Option<u32>,
    at: Seq,
    entry: &LogEntry,
) -> Result<Integration, Stop<SaveError>> {
    let Some(old) = get(work.conn, work.sealer, company, &settings.id)? else {
        return Err(Stop::Refused(SaveError::Unknown));
    };
    if expected.is_some_and(|expected| expected != old.version) {
        return Err(Stop::Refused(SaveError::Changed(old.version)));
    }
    let version = old.version + 1;
    save_version(work, Owner { company, integration: old.no }, version, at, settings, entry)?;
    work.conn.prepare_cached("UPDATE integrations SET version = ?, updated_at = ? WHERE no = ?")?.execute(params![
        version,
        entry.at.millis(),
        old.no.0
    ])?;
    entries::insert(work.conn, old.no, entry)?;
    Ok(Integration { settings: Arc::new(settings.clone()), version, updated_at: entry.at, ..old })
}

pub(super) fn settings_at(
    conn: &Connection,
    sealer: &Sealer,
    no: IntegrationNo,
    seq: Seq,
) -> Result<Option<(u32, Settings)>, Cause> {
    let sql = "SELECT i.company, v.version, v.settings FROM integrations i JOIN versions v ON v.integration = i.no
               WHERE i.no = ? AND v.from_seq < ? ORDER BY v.version DESC LIMIT 1";
    let row = conn
        .prepare_cached(sql)?
        .query_row(params![no.0, seq], |r| Ok((CompanyNo(r.get(0)?), r.get(1)?, r.get::<_, String>(2)?)));
    let Some((company, version, stored)) = row.optional()? else { return Ok(None) };
    Ok(Some((version, sealer.from_stored(Owner { company, integration: no }, &stored)?)))
}

pub(super) fn versions(
    conn: &Connection,
    sealer: &Sealer,
    no: IntegrationNo,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Version>, Cause> {
    let sql = "SELECT i.company, v.version, v.from_seq, v.settings, v.saved_at, v.actor
               FROM integrations i JOIN versions v ON v.integration = i.no
               WHERE i.no = ? AND v.version < ? ORDER BY v.version DESC LIMIT ?";
    let (mut stmt, mut found) = (conn.prepare_cached(sql)?, Vec::new());
    let mut rows = stmt.query(params![no.0, place::number(after)?, limit + 1])?;
    while let Some(row) = rows.next()? {
        let owner = Owner { company: CompanyNo(row.get(0)?), integration: no };
        found.push(Version {
            version: row.get(1)?,
            from: row.get(2)?,
            settings: sealer.from_stored(owner, row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
            saved_at: Time::from_millis(row.get(4)?),
            actor: row.get(5)?,
        });
    }
    Ok(Page::of(found, limit, |v| v.version.to_string()))
}

pub(super) fn set_status(
    work: &mut Work<'_>,
    company: CompanyNo,
    id: &str,
    status: Status,
    entry: &LogEntry,
) -> Result<Option<Integration>, Stop<StoreError>> {
    let Some(old) = get(work.conn, work.sealer, company, id)? else { return Ok(None) };
    let updated_at = if old.status == status { old.updated_at } else { entry.at };
    put_status(work.conn, old.no, status, &entry.reason, updated_at)?;
    if old.status != status {
        entries::insert(work.conn, old.no, entry)?;
    }
    Ok(Some(Integration { status, status_reason: Some(entry.reason.clone()), updated_at, ..old }))
}

/// Writes a status and its reason.
pub(super) fn put_status(
    conn: &Connection,
    no: IntegrationNo,
    status: Status,
    reason: &str,
    at: Time,
) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE integrations SET running = ?, status_reason = ?, updated_at = ? WHERE no = ?")?
        .execute(params![status == Status::Running, reason, at.millis(), no.0])?;
    Ok(())
}

/// Hides the integration at once; [`super::sweep`] removes what hangs on it.
pub(super) fn delete(work: &mut Work<'_>, company: CompanyNo, id: &str) -> Result<bool, Stop<StoreError>> {
    let sql = "DELETE FROM integrations WHERE company = ? AND id = ? RETURNING no";
    let no: Option<i64> = work.conn.prepare_cached(sql)?.query_row(params![company.0, id], |r| r.get(0)).optional()?;
    if let Some(no) = no {
        work.conn.prepare_cached("INSERT INTO leftovers VALUES (?)")?.execute([no])?;
    }
    Ok(no.is_some())
}

/// Whether there is an integration with this number.
pub(super) fn exists(conn: &Connection, no: IntegrationNo) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM integrations WHERE no = ?")?.exists([no.0])
}

fn save_version(
    work: &mut Work<'_>,
    owner: Owner,
    version: u32,
    from: Seq,
    settings: &Settings,
    entry: &LogEntry,
) -> Result<(), Cause> {
    let stored = work.sealer.to_stored(owner, settings)?;
    let row = params![owner.integration.0, version, from, stored, entry.at.millis(), entry.actor];
    work.conn.prepare_cached("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)")?.execute(row)?;
    Ok(())
}

/// An integration whose secrets are still sealed.
struct Stored {
    no: IntegrationNo,
    company: CompanyNo,
    running: bool,
    status_reason: Option<String>,
    version: u32,
    created_at: Time,
    updated_at: Time,
    settings: String,
}

impl Stored {
    fn read(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            no: IntegrationNo(row.get(0)?),
            company: CompanyNo(row.get(1)?),
            running: row.get(2)?,
            status_reason: row.get(3)?,
            version: row.get(4)?,
            created_at: Time::from_millis(row.get(5)?),
            updated_at: Time::from_millis(row.get(6)?),
            settings: row.get(7)?,
        })
    }

    fn open(self, sealer: &Sealer) -> Result<Integration, Cause> {
        let owner = Owner { company: self.company, integration: self.no };
        Ok(Integration {
            no: self.no,
            company: self.company,
            settings: Arc::new(sealer.from_stored(owner, &self.settings)?),
            status: if self.running { Status::Running } else { Status::Stopped },
            status_reason: self.status_reason,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}
