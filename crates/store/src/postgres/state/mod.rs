//! The state in tables, attempts in a table for each day.
//!
//! Whoever changes what hangs on a lane (outcomes, a retry, deleting it) locks the lane's row first, and several of
//! them in the order of their numbers; whoever changes an integration's settings or status locks its row, and after the
//! lane's if both are needed. Outcomes share their buckets before any of that. So nobody waits in a circle.

mod answers;
pub(super) mod attempts;
mod audit;
mod commits;
mod companies;
mod documents;
mod entries;
mod erase;
mod fence;
mod gate;
mod held;
mod integrations;
mod keys;
mod lanes;
mod ledger;
mod news;
mod outcome;
mod outcomes;
mod parked;
mod purge;
mod rejected;
mod replays;
pub(super) mod sealing;
pub(super) mod spell;
mod statistics;
mod sweep;
mod tx;
mod usage;

use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tillstream_model::integration::{Settings, Status};
use tillstream_model::{CompanyNo, EventId, IntegrationNo, Seq, Time};
use tokio_postgres::Row;

use self::commits::Commits;
use self::outcome::Outcome;
use self::tx::Tx;
use super::days::Known;
use super::pace::Pace;
use super::session::{Pooled, Sessions};
use crate::engine::{Cause, tried};
use crate::seal::Owner;
use crate::state::{
    Attempt, AttemptFilter, AuditEntry, AuditFilter, Bucket, Company, Counts, CreateError, Document, Expected,
    Integration, Key, LaneCommit, LaneFigures, LaneHead, LaneState, LaneSummary, LogEntry, News, Outcomes, Parked,
    RejectedRow, Resolution, SaveError, Stretch, Version,
};
use crate::{Clock, Page, Result, Retention, Sealer, State, StoreError};

/// The state on a server.
pub(super) struct PgState {
    commits: Commits,
    sessions: Sessions,
    known: Arc<Known>,
    sealer: Sealer,
    pace: Pace,
    clock: Clock,
}

impl PgState {
    /// Starts the task that writes outcomes, on a connection of its own: commits must not wait for people's lists.
    pub(super) fn open(sessions: Sessions, options: &super::Options) -> Self {
        let known = Arc::new(Known::new());
        let commits = Commits::start(sessions.apart(1), known.clone(), options.clock.clone());
        let (sealer, clock) = (Sealer::new(&options.master_key), options.clock.clone());
        Self { commits, sessions, known, sealer, pace: Pace::new(), clock }
    }

    async fn session(&self, what: &'static str) -> Result<Pooled> {
        tried(what, self.sessions.get().await)
    }

    async fn begin(&self, what: &'static str) -> Result<Tx> {
        Tx::begin(&self.sessions, what).await
    }
}

/// A column that holds JSON.
fn json<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, Cause> {
    Ok(serde_json::from_str(row.get(column))?)
}

#[async_trait]
impl State for PgState {
    async fn create_company(
        &self,
        external_id: &str,
        name: &str,
        retention: Retention,
        ingest_drop: Vec<String>,
    ) -> Result<Company, CreateError> {
        let tx = self.begin("make a company").await?;
        let made = companies::create(&tx, external_id, name, retention, ingest_drop).await;
        tx.end(made).await
    }

    async fn companies(&self) -> Result<Vec<Company>> {
        let what = "list companies";
        tried(what, companies::all(&*self.session(what).await?).await)
    }

    async fn save_company(&self, company: Company) -> Result<bool> {
        let tx = self.begin("save a company").await?;
        let saved = companies::save(&tx, &company).await;
        tx.end(saved).await
    }

    async fn create_key(&self, key: Key) -> Result<()> {
        let tx = self.begin("save a key").await?;
        let made = keys::create(&tx, &key).await;
        tx.end(made).await
    }

    async fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Key>> {
        let what = "look up a key";
        tried(what, keys::by_hash(&*self.session(what).await?, hash).await)
    }

    async fn keys(&self, company: Option<CompanyNo>) -> Result<Vec<Key>> {
        let what = "list keys";
        tried(what, keys::of(&*self.session(what).await?, company).await)
    }

    async fn delete_key(&self, company: Option<CompanyNo>, id: &str) -> Result<bool> {
        let tx = self.begin("delete a key").await?;
        let deleted = keys::delete(&tx, company, id).await;
        tx.end(deleted).await
    }

    async fn touch_keys(&self, used: Vec<(String, Time)>) -> Result<()> {
        let tx = self.begin("note when keys were used").await?;
        let noted = keys::touch(&tx, &used).await;
        tx.end(noted).await
    }

    async fn create_integration(
        &self,
        company: CompanyNo,
        settings: Settings,
        cursor: Seq,
        entry: LogEntry,
    ) -> Result<Integration, CreateError> {
        let tx = self.begin("make an integration").await?;
        let made = integrations::create(&tx, &self.sealer, company, settings, cursor, &entry).await;
        tx.end(made).await
    }

    async fn integration(&self, company: CompanyNo, id: &str) -> Result<Option<Integration>> {
        let what = "look up an integration";
        tried(what, integrations::get(&*self.session(what).await?, &self.sealer, company, id).await)
    }

    async fn integrations(&self, company: CompanyNo, after: Option<&str>, limit: usize) -> Result<Vec<Integration>> {
        let what = "list integrations";
        let session = self.session(what).await?;
        tried(what, integrations::list(&session, &self.sealer, company, after, limit).await)
    }

    async fn lane_heads(&self) -> Result<Vec<LaneHead>> {
        let what = "list lanes";
        tried(what, integrations::lane_heads(&*self.session(what).await?, &self.sealer).await)
    }

    async fn save_settings(
        &self,
        company: CompanyNo,
        settings: Settings,
        expected: Option<u32>,
        at: Seq,
        entry: LogEntry,
    ) -> Result<Integration, SaveError> {
        let tx = self.begin("save settings").await?;
        let saved = integrations::save(&tx, &self.sealer, company, settings, expected, at, &entry).await;
        tx.end(saved).await
    }

    async fn settings_at(&self, no: IntegrationNo, seq: Seq) -> Result<Option<(u32, Settings)>> {
        let what = "look up settings";
        tried(what, integrations::settings_at(&*self.session(what).await?, &self.sealer, no, seq).await)
    }

    async fn versions(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<Version>> {
        let what = "list versions";
        let session = self.session(what).await?;
        tried(what, integrations::versions(&session, &self.sealer, no, after, limit).await)
    }

    async fn set_status(
        &self,
        company: CompanyNo,
        id: &str,
        status: Status,
        entry: LogEntry,
    ) -> Result<Option<Integration>> {
        let tx = self.begin("start or stop").await?;
        let set = integrations::set_status(&tx, &self.sealer, company, id, status, &entry).await;
        tx.end(set).await
    }

    async fn delete_integration(&self, company: CompanyNo, id: &str) -> Result<bool> {
        let tx = self.begin("delete an integration").await?;
        let deleted = integrations::delete(&tx, company, id).await;
        tx.end(deleted).await
    }

    async fn lane(&self, no: IntegrationNo) -> Result<LaneState> {
        let tx = self.begin("look up a lane").await?;
        let lane = lanes::state(&tx, no).await;
        tx.leave(lane).await
    }

    async fn lane_figures(&self, no: IntegrationNo) -> Result<LaneFigures> {
        let what = "look up a lane's figures";
        tried(what, lanes::figures(&*self.session(what).await?, no).await)
    }

    async fn commit(&self, no: IntegrationNo, commit: LaneCommit) -> Result<()> {
        let what = "commit outcomes";
        self.commits.write(what, tried(what, Outcome::of(no, commit))?).await
    }

    async fn advance(&self, no: IntegrationNo, epoch: u64, cursor: Seq) -> Result<()> {
        self.commits.write("move a cursor", Outcome::moved(no, epoch, cursor)).await
    }

    async fn attempts(
        &self,
        company: CompanyNo,
        filter: &AttemptFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<(IntegrationNo, Attempt)>> {
        let tx = self.begin("list attempts").await?;
        let page = ledger::page(&tx, company, filter, after, limit).await;
        tx.leave(page).await
    }

    async fn attempts_of(&self, no: IntegrationNo, seq: Seq) -> Result<Vec<Attempt>> {
        let what = "list the attempts of an event";
        tried(what, ledger::of_event(&*self.session(what).await?, no, seq).await)
    }

    async fn parked_of(&self, no: IntegrationNo, seq: Seq) -> Result<Option<Parked>> {
        let what = "look up a waiting event";
        tried(what, parked::of(&*self.session(what).await?, no, seq).await)
    }

    async fn rejected(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<RejectedRow>> {
        let what = "list rejected events";
        tried(what, rejected::list(&*self.session(what).await?, no, after, limit).await)
    }

    async fn rejected_of(&self, no: IntegrationNo, event: EventId) -> Result<Option<RejectedRow>> {
        let what = "look up a rejected event";
        tried(what, rejected::of_event(&*self.session(what).await?, no, event).await)
    }

    async fn outcomes(&self, no: IntegrationNo, stretch: Stretch) -> Result<Outcomes> {
        let what = "look up the outcomes of events";
        tried(what, outcomes::of(&*self.session(what).await?, no, stretch).await)
    }

    async fn erase(&self, company: CompanyNo, seq: Seq, event: EventId) -> Result<()> {
        let tx = self.begin("erase an event").await?;
        let erased = erase::erase(&tx, company, seq, event).await;
        tx.end(erased).await
    }

    async fn retry_rejected(&self, no: IntegrationNo, id: u64, now: Time) -> Result<bool> {
        let tx = self.begin("retry a rejected event").await?;
        let parked = rejected::retry(&tx, no, id, now).await;
        tx.end(parked).await
    }

    async fn delete_rejected(&self, no: IntegrationNo, id: u64) -> Result<bool> {
        let tx = self.begin("delete a rejected event").await?;
        let deleted = rejected::delete(&tx, no, id).await;
        tx.end(deleted).await
    }

    async fn log_entries(&self, no: IntegrationNo, after: Option<&str>, limit: usize) -> Result<Page<LogEntry>> {
        let what = "list an integration's log";
        tried(what, entries::list(&*self.session(what).await?, no, after, limit).await)
    }

    async fn document(&self, of: Option<CompanyNo>, kind: &'static str, id: &str) -> Result<Option<Document>> {
        let what = "look up a document";
        tried(what, documents::get(&*self.session(what).await?, of, kind, id, "").await)
    }

    async fn documents(
        &self,
        of: Option<CompanyNo>,
        kind: &'static str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Document>> {
        let what = "list documents";
        tried(what, documents::list(&*self.session(what).await?, of, kind, after, limit).await)
    }

    async fn put_document(
        &self,
        of: Option<CompanyNo>,
        kind: &'static str,
        id: &str,
        body: String,
        expected: Expected,
    ) -> Result<Document, SaveError> {
        let now = (self.clock)();
        let tx = self.begin("save a document").await?;
        let saved = documents::put(&tx, of, kind, id, &body, expected, now).await;
        tx.end(saved).await
    }

    async fn delete_document(&self, of: Option<CompanyNo>, kind: &'static str, id: &str) -> Result<Option<Document>> {
        let tx = self.begin("delete a document").await?;
        let deleted = documents::delete(&tx, of, kind, id).await;
        tx.end(deleted).await
    }

    async fn record(&self, entry: AuditEntry) -> Result<()> {
        let tx = self.begin("write to the audit").await?;
        let recorded = audit::record(&tx, &entry).await;
        tx.end(recorded).await
    }

    async fn audit(
        &self,
        of: Option<CompanyNo>,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AuditEntry>> {
        let what = "list the audit";
        tried(what, audit::list(&*self.session(what).await?, of, filter, after, limit).await)
    }

    async fn add_statistics(&self, buckets: Vec<Bucket>) -> Result<()> {
        let tx = self.begin("add to the statistics").await?;
        let added = statistics::add(&tx, buckets).await;
        tx.end(added).await
    }

    async fn statistics(
        &self,
        company: CompanyNo,
        resolution: Resolution,
        from: Time,
        to: Time,
    ) -> Result<Vec<(Time, Counts)>> {
        let what = "read the statistics";
        tried(what, statistics::list(&*self.session(what).await?, company, resolution, from, to).await)
    }

    async fn lane_summaries(&self, company: CompanyNo) -> Result<Vec<LaneSummary>> {
        let what = "look where lanes stand";
        tried(what, statistics::lanes(&*self.session(what).await?, company).await)
    }

    async fn untold(&self, limit: usize) -> Result<Vec<News>> {
        let what = "look for news";
        tried(what, news::untold(&*self.session(what).await?, limit).await)
    }

    async fn told(&self, news: &[News]) -> Result<()> {
        let tx = self.begin("note what was told").await?;
        let told = news::told(&tx, news).await;
        tx.end(told).await
    }

    async fn seal(&self, of: Option<CompanyNo>, place: &str, secret: &str) -> Result<String> {
        let tx = self.begin("look which key seals").await?;
        let sealer = sealing::current(&tx, &self.sealer).await;
        let sealed = tx.leave(sealer).await?.seal(Owner::of_documents(of), place, secret);
        sealed.map_err(|e| StoreError::new(format!("seal {place}"), e.to_string()))
    }

    fn unseal(&self, of: Option<CompanyNo>, place: &str, sealed: &str) -> Result<String> {
        let secret = self.sealer.open(Owner::of_documents(of), place, sealed);
        secret.map_err(|e| StoreError::new(format!("open {place}"), e.to_string()))
    }

    async fn sweep(&self, now: Time) -> Result<()> {
        sweep::run(&self.sessions, &self.known, now).await
    }
}
