//! Taking everything from another engine into an empty database.

use std::collections::BTreeMap;
use std::pin::pin;

use tillstream_model::CompanyNo;
use tokio_postgres::types::{ToSql, Type};

use super::days::Known;
use super::log::{heads, known, segments};
use super::session::{Broken, Pooled, Session, Sessions, Target};
use super::state::{attempts, spell};
use super::{Options, epochs, migrate, row};
use crate::engine::Cause;
use crate::engine::segment::SegmentId;
use crate::engine::transfer::{Cell, Ends, Part, Row, Stream, Stretch, tables};

/// Where the mark stands while rows come; with it no hub opens the database.
const MARK: &str = "moving";

/// Fails when a move into the database did not come to its end.
pub(super) async fn refuse_unfinished(session: &Session) -> Result<(), Cause> {
    match is_marked(session).await? {
        true => Err("a move into it did not finish; run the same `tillstream migrate` again".into()),
        false => Ok(()),
    }
}

/// A database that is being filled.
pub(crate) struct Import {
    session: Pooled,
    segments: segments::Segments,
    days: Known,
    stretches: Vec<Stretch>,
}

impl Import {
    /// Makes the tables and marks the database. What an earlier move left unfinished is removed.
    ///
    /// # Errors
    /// When the database belongs to a hub already.
    pub(crate) async fn begin(options: &Options) -> Result<Self, Cause> {
        let sessions = Sessions::new(Target::new(options)?, 1)?;
        let mut session = sessions.get().await?;
        migrate::run(&mut session, &options.master_key).await?;
        session.begin().await?;
        if is_marked(&session).await? {
            wipe(&session).await?;
        } else {
            refuse_used(&session).await?;
        }
        let sql = "INSERT INTO meta VALUES ($1, 'from an embedded hub') ON CONFLICT DO NOTHING";
        session.execute(sql, &[(&MARK, Type::TEXT)]).await?;
        session.commit().await.map_err(Broken::cause)?;
        Ok(Self { session, segments: segments::Segments::new(sessions), days: Known::new(), stretches: Vec::new() })
    }

    /// Takes a part, and tells after each chunk how many bytes came with it; how many rows.
    pub(crate) async fn take(
        &mut self,
        part: Part,
        mut stream: Stream,
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Cause> {
        let table = self.table(part).await?;
        let types = types(&self.session, &table, &stream.columns).await?;
        let place = match part {
            Part::Events(id) => Some((id, position(&stream.columns, "company")?, position(&stream.columns, "seq")?)),
            _ => None,
        };
        self.session.begin().await?;
        let sql = format!("COPY {table} ({}) FROM STDIN BINARY", stream.columns.join(", "));
        let mut writer = pin!(self.session.copy_in(&sql, &types).await?);
        let mut sent = 0;
        while let Some(rows) = stream.rows.recv().await {
            let mut bytes = 0;
            for row in rows {
                if let Some((segment, company, seq)) = place {
                    note(&mut self.stretches, stretch(segment, &row[company], &row[seq])?);
                }
                bytes += row.iter().map(Cell::size).sum::<usize>() as u64;
                writer.as_mut().write_raw(values(row, &types)?).await?;
                sent += 1;
            }
            told(bytes);
        }
        let arrived = writer.finish().await?;
        if arrived != sent {
            return Err(format!("{sent} rows were sent and {arrived} arrived").into());
        }
        self.session.commit().await.map_err(Broken::cause)?;
        Ok(arrived)
    }

    /// Adds what is in no row. Hubs do not open the database before [`Import::open_for_hubs`].
    pub(crate) async fn finish(&mut self, ends: &Ends) -> Result<(), Cause> {
        self.stretches.sort_unstable();
        self.session.begin().await?;
        let firsts = self.stretches.iter().map(|s| (s.company, s.first, s.segment));
        heads::begin_stretches(&self.session, firsts).await?;
        self.put_heads(ends).await?;
        for (table, number) in &ends.numbers {
            let sql = "SELECT setval(pg_get_serial_sequence($1, attname), $2) FROM pg_attribute
                       WHERE attrelid = $1::regclass AND attidentity <> ''";
            self.session.rows(sql, &[(table, Type::TEXT), (number, Type::INT8)]).await?;
        }
        epochs::save(&self.session, &ends.epochs).await?;
        self.session.commit().await.map_err(Broken::cause)
    }

    /// Takes the mark away.
    pub(crate) async fn open_for_hubs(mut self) -> Result<(), Cause> {
        self.session.begin().await?;
        self.session.execute("DELETE FROM meta WHERE name = $1", &[(&MARK, Type::TEXT)]).await?;
        self.session.commit().await.map_err(Broken::cause)
    }

    /// The table of a part, made if it is one of a day's.
    async fn table(&mut self, part: Part) -> Result<String, Cause> {
        match part {
            Part::State(table) => Ok(table.to_owned()),
            Part::Events(id) => {
                self.segments.ensure(&mut self.session, &[id], &[]).await?;
                Ok(segments::table(id))
            }
            Part::Ids(id) => {
                self.segments.ensure(&mut self.session, &[], &[id.day]).await?;
                Ok(known::table(id.day))
            }
            Part::Attempts(day) => {
                attempts::ensure(&self.days, &mut self.session, day).await?;
                Ok(attempts::table(day))
            }
        }
    }

    async fn put_heads(&self, ends: &Ends) -> Result<(), Cause> {
        let lasts: BTreeMap<CompanyNo, &Stretch> = self.stretches.iter().map(|s| (s.company, s)).collect();
        for (company, log) in &ends.logs {
            // The newest event may be dropped already while older ones of a longer retention are kept.
            let newest = lasts.get(company).filter(|s| s.last == log.head);
            let segment = newest.map(|s| s.segment.name()).unwrap_or_default();
            let sql = "INSERT INTO log_heads VALUES ($1, $2, $3, $4, $5)";
            let params = [
                (&row::stored_company(*company) as _, Type::INT4),
                (&row::stored_seq(log.head) as _, Type::INT8),
                (&log.head_at.millis() as _, Type::INT8),
                (&row::stored_seq(log.floor) as _, Type::INT8),
                (&segment as _, Type::TEXT),
            ];
            self.session.execute(sql, &params).await?;
        }
        Ok(())
    }
}

async fn is_marked(session: &Session) -> Result<bool, Cause> {
    Ok(session.row("SELECT 1 FROM meta WHERE name = $1", &[(&MARK, Type::TEXT)]).await?.is_some())
}

async fn refuse_used(session: &Session) -> Result<(), Cause> {
    let sql = "SELECT EXISTS (SELECT FROM companies) OR EXISTS (SELECT FROM log_heads)
               OR EXISTS (SELECT FROM nodes WHERE until > clock_timestamp())";
    match session.row(sql, &[]).await?.is_some_and(|r| r.get(0)) {
        true => Err("it belongs to a hub already; name an empty database".into()),
        false => Ok(()),
    }
}

/// Removes every row, but not the tables' version and key.
async fn wipe(session: &Session) -> Result<(), Cause> {
    let sql = "SELECT format('DROP TABLE IF EXISTS %I', c.relname) FROM pg_class c
               WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
               AND c.relname ~ '^(events_\\d+d|ids|attempts)_\\d{4}_\\d\\d_\\d\\d$'";
    for found in session.rows(sql, &[]).await? {
        session.batch(found.get(0)).await?;
    }
    let lists = ["log_heads", "log_stretches", "log_segments", "id_days", "attempt_days"];
    let tables: Vec<&str> = tables().chain(lists).collect();
    session.batch(&format!("TRUNCATE {} RESTART IDENTITY", tables.join(", "))).await
}

/// The types of a table's columns.
async fn types(session: &Session, table: &str, columns: &[String]) -> Result<Vec<Type>, Cause> {
    let sql =
        "SELECT attname::text, atttypid::int8 FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0";
    let found = session.rows(sql, &[(&table, Type::TEXT)]).await?;
    let of = |column: &String| {
        let oid: i64 = found.iter().find(|r| r.get::<_, &str>(0) == column)?.get(1);
        Type::from_oid(u32::try_from(oid).ok()?)
    };
    columns.iter().map(|c| of(c).ok_or_else(|| format!("the table {table} has no column {c}").into())).collect()
}

fn position(columns: &[String], column: &str) -> Result<usize, Cause> {
    columns.iter().position(|c| c == column).ok_or_else(|| format!("the column {column} is missing").into())
}

fn stretch(segment: SegmentId, company: &Cell, seq: &Cell) -> Result<Stretch, Cause> {
    let number = |cell: &Cell| cell.integer().ok_or_else(|| Cause::from("an event without a position"));
    let (company, seq) = (CompanyNo(u32::try_from(number(company)?)?), u64::try_from(number(seq)?)?);
    Ok(Stretch { company, first: seq, last: seq, segment })
}

/// Makes the newest stretch longer, or begins one.
fn note(stretches: &mut Vec<Stretch>, new: Stretch) {
    match stretches.last_mut() {
        Some(s) if (s.company, s.segment) == (new.company, new.segment) && s.last + 1 == new.first => s.last = new.last,
        _ => stretches.push(new),
    }
}

type Value = Box<dyn ToSql + Sync + Send>;

fn values(row: Row, types: &[Type]) -> Result<Vec<Value>, Cause> {
    row.into_iter().zip(types).map(|(cell, ty)| value(cell, ty)).collect()
}

/// A value as a column of this type takes it.
fn value(cell: Cell, ty: &Type) -> Result<Value, Cause> {
    Ok(match (cell, ty) {
        (Cell::Null, &Type::INT4) => Box::new(None::<i32>),
        (Cell::Null, &Type::INT8) => Box::new(None::<i64>),
        (Cell::Null, &Type::TEXT) => Box::new(None::<String>),
        (Cell::Null, &Type::BYTEA) => Box::new(None::<Vec<u8>>),
        (Cell::Integer(number), &Type::INT4) => Box::new(i32::try_from(number)?),
        (Cell::Integer(number), &Type::INT8) => Box::new(number),
        (Cell::Integer(number), &Type::BOOL) => Box::new(number != 0),
        (Cell::Text(text), &Type::TEXT) => Box::new(spell::text(&text).into_owned()),
        (Cell::Text(text), &Type::BYTEA) => Box::new(text.into_bytes()),
        (Cell::Bytes(bytes), &Type::BYTEA) => Box::new(bytes),
        (cell, ty) => return Err(format!("{cell:?} does not fit into a column of type {ty}").into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retention;

    #[test]
    fn consecutive_events_of_a_company_in_a_segment_are_one_stretch() {
        let id = |class| SegmentId { day: 1, class };
        let mut stretches = Vec::new();
        let rows =
            [(1, 1, Retention::Month), (1, 2, Retention::Month), (1, 5, Retention::Month), (2, 6, Retention::Month)];
        for (company, seq, class) in rows.into_iter().chain([(1, 3, Retention::Week), (1, 4, Retention::Week)]) {
            note(&mut stretches, stretch(id(class), &Cell::Integer(company), &Cell::Integer(seq)).unwrap());
        }
        let found: Vec<_> = stretches.iter().map(|s| (s.company.0, s.first, s.last)).collect();
        assert_eq!(found, [(1, 1, 2), (1, 5, 5), (2, 6, 6), (1, 3, 4)]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error() {
        for (cell, ty) in [
            (Cell::Integer(1 << 40), Type::INT4),
            (Cell::Text("x".into()), Type::INT8),
            (Cell::Null, Type::BOOL),
            (Cell::Bytes(vec![1]), Type::TEXT),
        ] {
            assert!(value(cell, &ty).is_err());
        }
        assert!(value(Cell::Integer(7), &Type::INT4).is_ok());
    }
}
