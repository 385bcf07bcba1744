//! The state in one file, attempts in a file for each day.

mod answers;
mod attempts;
mod audit;
pub(super) mod backup;
mod companies;
mod documents;
mod entries;
mod erase;
mod held;
mod integrations;
mod keys;
mod lanes;
mod ledger;
mod news;
mod outcomes;
mod purge;
mod rejected;
mod replays;
mod statistics;
mod sweep;
mod usage;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;
use tillstream_model::integration::{Settings, Status};
use tillstream_model::{CompanyNo, EventId, IntegrationNo, Seq, Time};

pub(super) use self::attempts::EXPORT;
use self::attempts::{AttemptWriter, Days};
use self::ledger::Ledger;
use self::writer::Writer;
use super::Options;
use super::conn::{Schema, empty_wal, open_reader, open_writer};
use super::pool::{Cause, Pool};
use crate::seal::Owner;
use crate::state::{
    Attempt, AttemptFilter, AuditEntry, AuditFilter, Bucket, Company, Counts, CreateError, Document, Expected,
    Integration, Key, LaneCommit, LaneFigures, LaneHead, LaneState, LaneSummary, LogEntry, News, Outcomes, Parked,
    RejectedRow, Resolution, SaveError, Stretch, Version,
};
use crate::{MasterKey, Page, Result, Retention, Sealer, State, StoreError};

/// Threads that read.
const READERS: usize = 2;

pub(super) const SCHEMA: Schema = Schema {
    what: "the state",
    page_bytes: 4_096,
    synced: true,
    cache_kib: 8 << 10,
    migrations: &[
        include_str!("../schema/state_1.sql"),
        include_str!("../schema/state_2.sql"),
        include_str!("../schema/state_3.sql"),
    ],
};

/// The embedded state.
pub(super) struct SqliteState {
    // Dropped in this order: the writer first, the lock of the folder last.
    writer: Writer,
    readers: Pool<Reader>,
    days: Arc<Days>,
    sealer: Arc<Sealer>,
    _lock: Option<Arc<File>>,
}

/// Connections of one thread that reads.
struct Reader {
    conn: Connection,
    sealer: Arc<Sealer>,
    ledger: Ledger,
}

impl SqliteState {
    /// Opens `folder/state.db` and `folder/attempts`. Refuses a master key other than the one it was made with.
    pub(super) fn open(folder: &Path, options: &Options, lock: Option<Arc<File>>) -> Result<Self, Cause> {
        let file = folder.join("state.db");
        let mark = check_key(&open_writer(&file, &SCHEMA)?, &options.master_key)?;
        let sealer = Arc::new(Sealer::new(&options.master_key).sealing_with(&mark)?);
        let days = Arc::new(Days::open(folder.join("attempts"))?);
        let attempts = AttemptWriter::new(days.clone(), options.on_fatal.clone());
        let reader = || -> Result<Reader, Cause> {
            Ok(Reader { conn: open_reader(&file)?, sealer: sealer.clone(), ledger: Ledger::new(days.clone()) })
        };
        let readers = (0..READERS).map(|_| reader()).collect::<Result<_, _>>()?;
        let writer = Writer::start(&file, options, sealer.clone(), attempts)?;
        Ok(Self { writer, readers: Pool::start("state-reader", readers)?, days, sealer, _lock: lock })
    }

    /// The days with attempts, oldest first, each with its file.
    pub(super) fn attempt_days(&self) -> Vec<(i64, PathBuf)> {
        self.days.all().into_iter().map(|day| (day, self.days.path(day))).collect()
    }

    async fn read<T, F>(&self, tried: &'static str, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Reader) -> Result<T, Cause> + Send + 'static,
    {
        self.readers.run(|| tried.to_owned(), read).await
    }
}

/// The first key that opens the folder is the only one until it is rotated; the mark of the one that seals now.
fn check_key(conn: &Connection, key: &MasterKey) -> Result<String, Cause> {
    conn.execute("INSERT INTO meta VALUES ('master_key', ?) ON CONFLICT DO NOTHING", [&key.mark()])?;
    Ok(key.known(super::backup::key_mark(conn)?)?)
}

/// A column that holds JSON.
fn json<T: DeserializeOwned>(row: &Row, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, e.into()))
}

#[async_trait]
impl State for SqliteState {
    async fn create_company(
        &self,
        external_id: &str,
        name: &str,
        retention: Retention,
        ingest_drop: Vec<String>,
    ) -> Result<Company, CreateError> {
        let (external_id, name) = (external_id.to_owned(), name.to_owned());
        let create = move |w: &mut writer::Work<'_>| companies::create(w, external_id, name, retention, ingest_drop);
        self.writer.call("make a company", create).await
    }

    async fn companies(&self) -> Result<Vec<Company>> {
        self.read("list companies", |r| companies::all(&r.conn)).await
    }

    async fn save_company(&self, company: Company) -> Result<bool> {
        self.writer.call("save a company", move |w| companies::save(w, &company)).await
    }

    async fn create_key(&self, key: Key) -> Result<()> {
        self.writer.call("save a key", move |w| keys::create(w, &key)).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Key>> {
        let hash = *hash;
        self.read("look up a key", move |r| keys::by_hash(&r.conn, &hash)).await
    }

    async fn keys(&self, company: Option<CompanyNo>) -> Result<Vec<Key>> {
        self.read("list keys", move |r| keys::of(&r.conn, company)).await
    }

    async fn delete_key(&self, company: Option<CompanyNo>, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.writer.call("delete a key", move |w| keys::delete(w, company, &id)).await
    }

    async fn touch_keys(&self, used: Vec<(String, Time)>) -> Result<()> {
        self.writer.call("note when keys were used", move |w| keys::touch(w, &used)).await
    }

    async fn create_integration(
        &self,
        company: CompanyNo,
        settings: Settings,
        cursor: Seq,
        entry: LogEntry,
    ) -> Result<Integration, CreateError> {
        let create = move |w: &mut writer::Work<'_>| integrations::create(w, company, settings, cursor, &entry);
        self.writer.call("make an integration", create).await
    }

    async fn integration(&self, company: CompanyNo, id: &str) -> Result<Option<Integration>> {
        let id = id.to_owned();
        self.read("look up an integration", move |r| integrations::get(&r.conn, &r.sealer, company, &id)).await
    }

    async fn integrations(&self, company: CompanyNo, after: Option<&str>, limit: usize) -> Result<Vec<Integration>> {
        let after = after.map(str::to_owned);
        let list = move |r: &mut Reader| integrations::list(&r.conn, &r.sealer, company, after.as_deref(), limit);
        self.read("list integrations", list).await
    }

    async fn lane_heads(&self) -> Result<Vec<LaneHead>> {
        self.read("list lanes", |r| integrations::lane_heads(&r.conn, &r.sealer)).await
    }

    async fn save_settings(
        &self,
        company: CompanyNo,
        settings: Settings,
        expected: Option<u32>,
        at: Seq,
        entry: LogEntry,
    ) -> Result<Integration, SaveError> {
        let save = move |w: &mut writer::Work<'_>| integrations::save(w, company, &settings, expected, at, &entry);
        self.writer.call("save settings", save).await
    }

    async fn settings_at(&self, no: IntegrationNo, seq: Seq) -> Result<Option<(u32, Settings)>> {
        self.read("look up settings", move |r| integrations::settings_at(&r.conn, &r.sealer, no, seq)).await
    }

    async fn versions(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<Version>> {
        let after = after.map(str::to_owned);
        let list = move |r: &mut Reader| integrations::versions(&r.conn, &r.sealer, no, after.as_deref(), limit);
        self.read("list versions", list).await
    }

    async fn set_status(
        &self,
        company: CompanyNo,
        id: &str,
        status: Status,
        entry: LogEntry,
    ) -> Result<Option<Integration>> {
        let id = id.to_owned();
        self.writer.call("start or stop", move |w| integrations::set_status(w, company, &id, status, &entry)).await
    }

    async fn delete_integration(&self, company: CompanyNo, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.writer.call("delete an integration", move |w| integrations::delete(w, company, &id)).await
    }

    async fn lane(&self, no: IntegrationNo) -> Result<LaneState> {
        self.read("look up a lane", move |r| lanes::state(&r.conn, no)).await
    }

    async fn lane_figures(&self, no: IntegrationNo) -> Result<LaneFigures> {
        self.read("look up a lane's figures", move |r| lanes::figures(&r.conn, no)).await
    }

    async fn commit(&self, no: IntegrationNo, commit: LaneCommit) -> Result<()> {
        self.writer.call("commit outcomes", move |w| lanes::commit(w, no, commit)).await
    }

    async fn advance(&self, no: IntegrationNo, _: u64, cursor: Seq) -> Result<()> {
        self.writer.call("move a cursor", move |w| lanes::advance(w, no, cursor)).await
    }

    async fn attempts(
        &self,
        company: CompanyNo,
        filter: &AttemptFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<(IntegrationNo, Attempt)>> {
        let (filter, after) = (filter.clone(), after.map(str::to_owned));
        let list = move |r: &mut Reader| {
            let mut numbers = integrations::numbers(&r.conn, company)?;
            numbers.retain(|no| filter.integrations.is_empty() || filter.integrations.contains(no));
            r.ledger.page(&numbers, &filter, after.as_deref(), limit)
        };
        self.read("list attempts", list).await
    }

    async fn attempts_of(&self, no: IntegrationNo, seq: Seq) -> Result<Vec<Attempt>> {
        let list = move |r: &mut Reader| match integrations::exists(&r.conn, no)? {
            true => r.ledger.of_event(no, seq),
            false => Ok(Vec::new()),
        };
        self.read("list the attempts of an event", list).await
    }

    async fn parked_of(&self, no: IntegrationNo, seq: Seq) -> Result<Option<Parked>> {
        self.read("look up a waiting event", move |r| lanes::parked_of(&r.conn, no, seq)).await
    }

    async fn rejected(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<RejectedRow>> {
        let after = after.map(str::to_owned);
        self.read("list rejected events", move |r| rejected::list(&r.conn, no, after.as_deref(), limit)).await
    }

    async fn rejected_of(&self, no: IntegrationNo, event: EventId) -> Result<Option<RejectedRow>> {
        self.read("look up a rejected event", move |r| rejected::of_event(&r.conn, no, event)).await
    }

    async fn outcomes(&self, no: IntegrationNo, stretch: Stretch) -> Result<Outcomes> {
        self.read("look up the outcomes of events", move |r| outcomes::of(r, no, stretch)).await
    }

    async fn erase(&self, company: CompanyNo, seq: Seq, event: EventId) -> Result<()> {
        self.writer.call("erase an event", move |w| erase::erase(w, company, seq, event)).await?;
        self.read("empty the write-ahead log", |r| empty_wal(&r.conn)).await
    }

    async fn retry_rejected(&self, no: IntegrationNo, id: u64, now: Time) -> Result<bool> {
        self.writer.call("retry a rejected event", move |w| rejected::retry(w, no, id, now)).await
    }

    async fn delete_rejected(&self, no: IntegrationNo, id: u64) -> Result<bool> {
        self.writer.call("delete a rejected event", move |w| rejected::delete(w, no, id)).await
    }

    async fn log_entries(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<LogEntry>> {
        let after = after.map(str::to_owned);
        self.read("list an integration's log", move |r| entries::list(&r.conn, no, after.as_deref(), limit)).await
    }

    async fn document(&self, of: Option<CompanyNo>, kind: &'static str, id: &str) -> Result<Option<Document>> {
        let id = id.to_owned();
        self.read("look up a document", move |r| documents::get(&r.conn, of, kind, &id)).await
    }

    async fn documents(
        &self,
        of: Option<CompanyNo>,
        kind: &'static str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Document>> {
        let after = after.to_owned();
        self.read("list documents", move |r| documents::list(&r.conn, of, kind, &after, limit)).await
    }

    async fn put_document(
        &self,
        of: Option<CompanyNo>,
        kind: &'static str,
        id: &str,
        body: String,
        expected: Expected,
    ) -> Result<Document, SaveError> {
        let id = id.to_owned();
        self.writer.call("save a document", move |w| documents::put(w, of, kind, &id, body, expected)).await
    }

    async fn delete_document(&self, of: Option<CompanyNo>, kind: &'static str, id: &str) -> Result<Option<Document>> {
        let id = id.to_owned();
        self.writer.call("delete a document", move |w| documents::delete(w, of, kind, &id)).await
    }

    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.writer.call("write to the audit", move |w| audit::record(w, &entry)).await
    }

    async fn audit(
        &self,
        of: Option<CompanyNo>,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>> {
        let (filter, after) = (filter.clone(), after.map(str::to_owned));
        self.read("list the audit", move |r| audit::list(&r.conn, of, &filter, after.as_deref(), limit)).await
    }

    async fn add_statistics(&self, buckets: Vec<Bucket>) -> Result<()> {
        self.writer.call("add to the statistics", move |w| statistics::add(w, &buckets)).await
    }

    async fn statistics(
        &self,
        company: CompanyNo,
        resolution: Resolution,
        from: Time,
        to: Time,
    ) -> Result<Vec<(Time, Counts)>> {
        self.read("read the statistics", move |r| statistics::list(&r.conn, company, resolution, from, to)).await
    }

    async fn lane_summaries(&self, company: CompanyNo) -> Result<Vec<LaneSummary>> {
        self.read("look where lanes stand", move |r| statistics::lanes(&r.conn, company)).await
    }

    async fn untold(&self, limit: usize) -> Result<Vec<News>> {
        self.read("look for news", move |r| news::untold(&r.conn, limit)).await
    }

    async fn told(&self, news: &[News]) -> Result<()> {
        let news = news.to_vec();
        self.writer.call("note what was told", move |w| news::told(w, &news)).await
    }

    async fn seal(&self, of: Option<CompanyNo>, place: &str, secret: &str) -> Result<String> {
        let sealed = self.sealer.seal(Owner::of_documents(of), place, secret);
        sealed.map_err(|e| StoreError::new(format!("seal {place}"), e.to_string()))
    }

    fn unseal(&self, of: Option<CompanyNo>, place: &str, sealed: &str) -> Result<String> {
        let secret = self.sealer.open(Owner::of_documents(of), place, sealed);
        secret.map_err(|e| StoreError::new(format!("open {place}"), e.to_string()))
    }

    async fn sweep(&self, now: Time) -> Result<()> {
        while self.writer.call("sweep", move |w| sweep::slice(w, now)).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
