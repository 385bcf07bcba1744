//! Connections: how they are opened, kept and used.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Options;
use crate::engine::{Away, Cause};

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may not answer before a connection counts as broken. A commit that waits for a standby takes as
/// long as the standby is away, so this is also how long callers wait for one.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Silence on a connection after which the system asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// A transaction in which nothing is said for 15 seconds (longer than [`PATIENCE`]) is the server's to end: a machine
/// that vanished would otherwise keep its locks for as long as the server believes in the connection, often two hours.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '15s'";

/// A parameter of a statement with its type: statements are never prepared under a name, so that they also work
/// through a pooler that hands each transaction to another connection.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// Which server, and how to reach it.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Target {
    /// Reads the options. Of several hosts the one that takes writes is used.
    pub(super) fn new(options: &Options) -> Result<Self, Cause> {
        let mut config: Config = options.url.parse().map_err(|e| format!("the database's address: {}", said(&e)))?;
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.connect_timeout(CONNECT).keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE);
        config.keepalives_retries(2).tcp_user_timeout(PATIENCE);
        if config.get_application_name().is_none() {
            config.application_name("tillstream");
        }
        Ok(Self { config, tls: MakeRustlsConnect::new(tls(options)?) })
    }

    async fn connect(&self, heard: Option<mpsc::Sender<String>>) -> Result<Session, Cause> {
        let connecting = self.config.connect(self.tls.clone());
        let connected = tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| away("no connection in time"))?;
        let (client, mut connection) = connected.map_err(|e| cause_of(&e))?;
        let unreplicated = Arc::new(AtomicBool::new(false));
        let seen = unreplicated.clone();
        let mut io = JoinSet::new();
        io.spawn(async move {
            let mut messages = poll_fn(move |cx| connection.poll_message(cx));
            while let Some(Ok(message)) = messages.next().await {
                match message {
                    AsyncMessage::Notice(notice) if is_unreplicated(&notice) => seen.store(true, Ordering::Release),
                    AsyncMessage::Notice(notice) => tracing::debug!(%notice, "the database said"),
                    AsyncMessage::Notification(n) => {
                        let told = heard.as_ref().is_none_or(|heard| heard.try_send(n.payload().to_owned()).is_ok());
                        if !told {
                            // Who can't keep up listens anew, and looks at everything then.
                            return;
                        }
                    }
                    _ => {}
                }
            }
        });
        Ok(Session { client, unreplicated, stuck: AtomicBool::new(false), transaction: Transaction::None, io })
    }

    /// A connection that hears what is said on a channel; it ends the sender when it breaks.
    pub(super) async fn listen(&self, channel: &str, heard: mpsc::Sender<String>) -> Result<Session, Cause> {
        let session = self.connect(Some(heard)).await?;
        session.client.batch_execute(&format!("LISTEN {channel}")).await.map_err(|e| said(&e))?;
        Ok(session)
    }
}

fn tls(options: &Options) -> Result<rustls::ClientConfig, Cause> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = &options.ca_file {
        for certificate in CertificateDer::pem_file_iter(file).map_err(|e| format!("{}: {e}", file.display()))? {
            roots.add(certificate.map_err(|e| format!("{}: {e}", file.display()))?)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The server committed, but gave up waiting for the standby: the commit may be lost with the server. The function's
/// name is looked at, because the words come in the server's language.
fn is_unreplicated(notice: &DbError) -> bool {
    notice.routine() == Some("SyncRepWaitForLSN")
}

/// An error with what the server said about it.
pub(super) fn said(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// An error of a statement or a connection. What the server itself said stays as it is; everything else is its absence.
fn cause_of(error: &tokio_postgres::Error) -> Cause {
    match error.as_db_error().and_then(DbError::parsed_severity) {
        Some(Severity::Error) => said(error).into(),
        _ => away(&said(error)),
    }
}

fn away(what: &str) -> Cause {
    Box::new(Away(what.to_owned()))
}

/// How a transaction did not end well.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nothing of it happened.
    Undone(Cause),
    /// Nobody knows whether it happened, or whether it will stay.
    Unsure(Cause),
}

impl Broken {
    /// In words.
    pub(super) fn cause(self) -> Cause {
        match self {
            Broken::Undone(cause) | Broken::Unsure(cause) => cause,
        }
    }
}

/// One connection.
pub(super) struct Session {
    client: Client,
    unreplicated: Arc<AtomicBool>,
    /// A statement took too long.
    stuck: AtomicBool,
    transaction: Transaction,
    /// What moves the bytes; ends with the connection.
    io: JoinSet<()>,
}

/// What is known of a connection's transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    /// There is none.
    None,
    /// It was begun.
    Open,
    /// The server was told to commit it.
    Ending,
}

impl Session {
    /// Asks for rows.
    pub(super) async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Cause> {
        self.in_time(self.client.query_typed(sql, params)).await
    }

    /// Asks for one row, if there is one.
    pub(super) async fn row(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, Cause> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Changes rows; how many.
    pub(super) async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, Cause> {
        self.in_time(self.client.execute_typed(sql, params)).await
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Cause> {
        self.in_time(self.client.batch_execute(sql)).await
    }

    /// Begins to copy rows with columns of these types; the statement says where to.
    pub(super) async fn copy_in(&self, sql: &str, types: &[Type]) -> Result<BinaryCopyInWriter, Cause> {
        let sink = self.in_time(self.client.copy_in(sql)).await?;
        Ok(BinaryCopyInWriter::new(sink, types))
    }

    /// Begins a transaction. Who forgets to end it loses the connection, and with it the transaction. Should this
    /// machine vanish in the middle, the server gives the locks back by itself.
    pub(super) async fn begin(&mut self) -> Result<(), Cause> {
        self.transaction = Transaction::Open;
        self.unreplicated.store(false, Ordering::Release);
        self.batch(BEGIN).await
    }

    /// Ends a transaction without an effect.
    pub(super) async fn rollback(&mut self) -> Result<(), Cause> {
        self.batch("ROLLBACK").await?;
        self.transaction = Transaction::None;
        Ok(())
    }

    /// Commits; fine only when it is as durable as the server's settings ask for. The wait is never cancelled: a
    /// connection on which it takes too long is left alone.
    pub(super) async fn commit(&mut self) -> Result<(), Broken> {
        self.transaction = Transaction::Ending;
        let commit = tokio::time::timeout(PATIENCE, self.client.batch_execute("COMMIT"));
        match commit.await {
            Err(_) => Err(Broken::Unsure("the commit took too long".into())),
            Ok(Err(e)) if e.as_db_error().is_some_and(|e| e.parsed_severity() == Some(Severity::Error)) => {
                Err(Broken::Undone(said(&e).into()))
            }
            Ok(Err(e)) => Err(Broken::Unsure(said(&e).into())),
            Ok(Ok(())) if self.unreplicated.load(Ordering::Acquire) => {
                Err(Broken::Unsure("the commit was not replicated to the standby".into()))
            }
            Ok(Ok(())) => {
                self.transaction = Transaction::None;
                Ok(())
            }
        }
    }

    /// Whether it can be used for something else.
    fn is_clean(&self) -> bool {
        self.transaction == Transaction::None && !self.stuck.load(Ordering::Acquire) && !self.client.is_closed()
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Cause> {
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(done) => done.map_err(|e| cause_of(&e)),
            Err(_) => {
                // The server may still be at it, and whoever came next would wait for that.
                self.stuck.store(true, Ordering::Release);
                Err(away("the database does not answer"))
            }
        }
    }
}

/// A few connections that are shared.
#[derive(Clone)]
pub(super) struct Sessions(managed::Pool<Target>);

impl Sessions {
    /// At most so many at once.
    pub(super) fn new(target: Target, most: usize) -> Result<Self, Cause> {
        let pool = managed::Pool::builder(target).max_size(most).runtime(Runtime::Tokio1);
        Ok(Self(pool.wait_timeout(Some(PATIENCE)).build()?))
    }

    /// Connections to the same server that only the caller uses, at most so many at once.
    pub(super) fn apart(&self, most: usize) -> Self {
        // It can only fail for want of what this pool has, too.
        Self::new(self.0.manager().clone(), most).unwrap_or_else(|_| self.clone())
    }

    /// A connection that works, as far as one can tell.
    pub(super) async fn get(&self) -> Result<Pooled, Cause> {
        self.0.get().await.map(Pooled).map_err(|e| match e {
            managed::PoolError::Backend(cause) => cause,
            other => away(&format!("no connection to the database: {other}")),
        })
    }
}

/// A connection that goes back when it is dropped. One with a transaction that nobody ended, as when a caller was
/// cancelled, is closed at once: in the pool it would keep its locks until somebody wanted it.
pub(super) struct Pooled(managed::Object<Target>);

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.0.transaction == Transaction::Open {
            self.0.io.abort_all();
        }
    }
}

impl Deref for Pooled {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.0
    }
}

impl managed::Manager for Target {
    type Type = Session;
    type Error = Cause;

    async fn create(&self) -> Result<Session, Cause> {
        self.connect(None).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Cause> {
        if session.is_clean() { Ok(()) } else { Err(RecycleError::message("it is broken or in a transaction")) }
    }
}
