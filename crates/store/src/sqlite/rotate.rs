//! Sealing everything of a folder anew, in one transaction: after a crash all of it is sealed with one of the keys.

use std::path::Path;

use rusqlite::{Connection, params};
use tillstream_model::{CompanyNo, IntegrationNo};

use super::conn::open_writer;
use super::pool::Cause;
use super::{STATE, backup, refuse_moved, state};
use crate::engine::transfer::tables;
use crate::reseal::{self, Resealed, Rotated};
use crate::seal::{Owner, PREFIX};
use crate::{MasterKey, Result, Sealer, StoreError};

/// Seals everything in a stopped hub's folder under a key that knows the one before it. Done again it changes nothing.
///
/// # Errors
/// When a hub has the folder open, there is no data in it, or it was made with neither of the keys; then nothing is
/// changed.
pub fn rotate_key(folder: &Path, key: &MasterKey) -> Result<Rotated> {
    let rotated = rotate(folder, key);
    rotated
        .map_err(|cause| StoreError::new(format!("rotate the master key of {}", folder.display()), cause.to_string()))
}

fn rotate(folder: &Path, key: &MasterKey) -> Result<Rotated, Cause> {
    let file = folder.join(STATE);
    if !file.is_file() {
        return Err("there is no hub's data in it".into());
    }
    refuse_moved(folder)?;
    let _lock = super::lock(folder).map_err(|cause| format!("{cause}; stop the hub first"))?;
    let mut conn = open_writer(&file, &state::SCHEMA)?;
    let before = key.known(backup::key_mark(&conn)?)?;
    // What was sealed with the key before must not stay readable in pages that are free now.
    conn.pragma_update(None, "secure_delete", true)?;
    let sealer = Sealer::new(key);
    let tx = conn.transaction()?;
    let resealed = versions(&tx, &sealer)? + documents(&tx, &sealer)? + answers(&tx, &sealer)?;
    tx.execute("UPDATE meta SET value = ? WHERE name = 'master_key'", [key.mark()])?;
    let left = if before == key.mark() { Vec::new() } else { left(&tx, &before)? };
    tx.commit()?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(Rotated { resealed, left })
}

fn versions(tx: &Connection, sealer: &Sealer) -> Result<u64, Cause> {
    let mut stmt = tx.prepare(
        "SELECT v.integration, v.version, i.company, v.settings FROM versions v JOIN integrations i ON i.no = v.integration",
    )?;
    let rows = stmt.query_map([], |r| {
        let owner = Owner { company: CompanyNo(r.get(2)?), integration: IntegrationNo(r.get(0)?) };
        Ok((owner, r.get::<_, u32>(1)?, r.get::<_, String>(3)?))
    })?;
    let mut count = 0;
    for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let (owner, version, stored) = row;
        if let Some(Resealed { text, count: new }) = reseal::settings(sealer, owner, &stored) {
            let sql = "UPDATE versions SET settings = ? WHERE integration = ? AND version = ?";
            tx.prepare_cached(sql)?.execute(params![text, owner.integration.0, version])?;
            count += new;
        }
    }
    Ok(count)
}

fn documents(tx: &Connection, sealer: &Sealer) -> Result<u64, Cause> {
    let mut stmt = tx.prepare("SELECT company, kind, id, body FROM documents WHERE instr(body, ?) > 0")?;
    let rows = stmt.query_map([PREFIX], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
    let mut count = 0;
    for row in rows.collect::<rusqlite::Result<Vec<(u32, String, String, String)>>>()? {
        let (company, kind, id, body) = row;
        if let Some(Resealed { text, count: new }) = reseal::document(sealer, CompanyNo(company), &kind, &id, &body) {
            let sql = "UPDATE documents SET body = ? WHERE company = ? AND kind = ? AND id = ?";
            tx.prepare_cached(sql)?.execute(params![text, company, kind, id])?;
            count += new;
        }
    }
    Ok(count)
}

fn answers(tx: &Connection, sealer: &Sealer) -> Result<u64, Cause> {
    let mut stmt = tx.prepare("SELECT company, id, answer FROM answers WHERE answer IS NOT NULL")?;
    let rows = stmt.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
    let mut count = 0;
    for row in rows.collect::<rusqlite::Result<Vec<(u32, String, String)>>>()? {
        let (company, id, sealed) = row;
        if let Some(new) = reseal::answer(sealer, CompanyNo(company), &id, &sealed) {
            let sql = "UPDATE answers SET answer = ? WHERE company = ? AND id = ?";
            tx.prepare_cached(sql)?.execute(params![new, company, id])?;
            count += 1;
        }
    }
    Ok(count)
}

/// Columns with texts that are still sealed with the key of this mark.
fn left(tx: &Connection, mark: &str) -> Result<Vec<String>, Cause> {
    let sealed = format!("{PREFIX}{}:", mark.split(':').next().unwrap_or(mark));
    let mut left = Vec::new();
    for table in tables() {
        let mut stmt = tx.prepare("SELECT name FROM pragma_table_info(?) WHERE type = 'TEXT'")?;
        let columns = stmt.query_map([table], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        for column in columns {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE instr({column}, ?) > 0)");
            if tx.query_row(&sql, [&sealed], |r| r.get(0))? {
                left.push(format!("{table}.{column}"));
            }
        }
    }
    Ok(left)
}
