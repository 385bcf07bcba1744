//! Nodes that share a database: leases of buckets, and questions to each other.
//!
//! A row for each bucket names its holder, the end of the lease by the server's clock, and the epoch. Holding on moves
//! only the end; taking a bucket counts the epoch up under the row's full lock, so it waits for writes that share it.

mod leases;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::types::Type;

use self::leases::columns;
use super::session::{Session, Sessions, Target};
use crate::Result;
use crate::engine::{Cause, tried};
use crate::nodes::{Lease, Node, NodeEvent, Nodes, Whom};

/// How long a lease lasts.
const LEASE: Duration = Duration::from_secs(8);
/// How often leases are renewed.
const RENEW: Duration = Duration::from_secs(2);
/// How often a node looks for questions and answers when it is not told of them.
const LOOK: Duration = Duration::from_millis(200);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Events that may wait for the hub.
const EVENTS: usize = 64;
/// Messages of other nodes that may wait to be looked at.
const MESSAGES: usize = 256;
/// The channel on which nodes say that there is something to look at.
const CHANNEL: &str = "tillstream_nodes";

/// This node among others.
pub(super) struct PgNodes {
    shared: Arc<Shared>,
    target: Target,
    task: std::sync::Mutex<JoinSet<()>>,
}

struct Shared {
    sessions: Sessions,
    name: String,
    held: std::sync::Mutex<BTreeMap<u16, Lease>>,
    /// Leases that the hub was asked to give up.
    leaving: std::sync::Mutex<BTreeSet<u16>>,
    /// Rings when an answer may have come.
    answered: Notify,
    /// One round at a time; false once this node has left.
    taking_part: Mutex<bool>,
}

impl PgNodes {
    /// Holds nothing before somebody takes the events.
    pub(super) fn open(target: Target, sessions: Sessions, name: String) -> Self {
        let shared = Shared {
            sessions,
            name,
            held: std::sync::Mutex::default(),
            leaving: std::sync::Mutex::default(),
            answered: Notify::new(),
            taking_part: Mutex::new(true),
        };
        Self { shared: Arc::new(shared), target, task: std::sync::Mutex::default() }
    }
}

#[async_trait]
impl Nodes for PgNodes {
    async fn events(&self) -> Option<mpsc::Receiver<NodeEvent>> {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.is_empty() {
            return None;
        }
        let (tell, events) = mpsc::channel(EVENTS);
        let member = Member {
            shared: self.shared.clone(),
            target: self.target.clone(),
            tell,
            asked: BTreeSet::new(),
            tasks: JoinSet::new(),
        };
        task.spawn(member.run());
        Some(events)
    }

    async fn give_back(&self, leases: &[Lease]) -> Result<()> {
        tried("give buckets back", self.shared.give_back(leases).await)
    }

    async fn leave(&self, leases: &[Lease]) -> Result<()> {
        tried("leave the other nodes", self.shared.leave(leases).await)
    }

    async fn ask(&self, whom: Whom, question: Vec<u8>) -> Result<Vec<Option<Vec<u8>>>> {
        tried("ask other nodes", self.shared.ask(whom, &question).await)
    }

    async fn complete(&self) -> Result<bool> {
        tried("look up who holds what", self.shared.complete().await)
    }

    async fn all(&self) -> Result<Vec<Node>> {
        tried("list the nodes", self.shared.all().await)
    }
}

impl Shared {
    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaving(&self) -> std::sync::MutexGuard<'_, BTreeSet<u16>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn give_back(&self, leases: &[Lease]) -> Result<(), Cause> {
        let _alone = self.taking_part.lock().await;
        self.let_go(leases);
        let session = self.sessions.get().await?;
        self.free(&session, leases).await?;
        say(&session, "free").await
    }

    /// Others share out what this node held without waiting for its name to run out.
    async fn leave(&self, leases: &[Lease]) -> Result<(), Cause> {
        let mut taking_part = self.taking_part.lock().await;
        *taking_part = false;
        self.let_go(leases);
        let session = self.sessions.get().await?;
        self.free(&session, leases).await?;
        session.execute("DELETE FROM nodes WHERE name = $1", &[(&self.name, Type::TEXT)]).await?;
        say(&session, "free").await
    }

    /// They are not renewed any more: should the server not hear that they are free, they run out.
    fn let_go(&self, leases: &[Lease]) {
        for lease in leases {
            self.held().remove(&lease.bucket());
            self.leaving().remove(&lease.bucket());
            lease.lose();
        }
    }

    async fn free(&self, session: &Session, leases: &[Lease]) -> Result<(), Cause> {
        let (buckets, epochs) = columns(leases.iter());
        let sql =
            "UPDATE buckets b SET node = '', until = '-infinity' FROM unnest($1::int4[], $2::int8[]) h (bucket, epoch)
                   WHERE b.bucket = h.bucket AND b.epoch = h.epoch AND b.node = $3";
        let params =
            [(&buckets as _, Type::INT4_ARRAY), (&epochs as _, Type::INT8_ARRAY), (&self.name as _, Type::TEXT)];
        session.execute(sql, &params).await?;
        Ok(())
    }

    async fn ask(&self, whom: Whom, question: &[u8]) -> Result<Vec<Option<Vec<u8>>>, Cause> {
        let session = self.sessions.get().await?;
        let names = match whom {
            Whom::Holder(_) => {
                "SELECT node FROM buckets WHERE bucket = $3 AND until > clock_timestamp() AND node <> $2"
            }
            Whom::Others => "SELECT name FROM nodes WHERE until > clock_timestamp() AND name <> $2 AND $3 = $3",
        };
        let bucket = if let Whom::Holder(bucket) = whom { i32::from(bucket) } else { 0 };
        let sql = format!("INSERT INTO questions (node, question) SELECT n.*, $1 FROM ({names}) n RETURNING id");
        let params = [(&question as _, Type::BYTEA), (&self.name as _, Type::TEXT), (&bucket as _, Type::INT4)];
        let ids: Vec<i64> = session.rows(&sql, &params).await?.iter().map(|r| r.get(0)).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        say(&session, "ask").await?;
        drop(session);
        self.answers(&ids).await
    }

    async fn all(&self) -> Result<Vec<Node>, Cause> {
        let sql = "SELECT n.name, n.until > clock_timestamp(),
                       (count(b.bucket) FILTER (WHERE b.until > clock_timestamp()))::int4
                   FROM nodes n LEFT JOIN buckets b ON b.node = n.name GROUP BY n.name, n.until ORDER BY n.name";
        let rows = self.sessions.get().await?.rows(sql, &[]).await?;
        let node = |r: &tokio_postgres::Row| {
            let name: String = r.get(0);
            let is_this = name == self.name;
            Node { name, is_alive: r.get(1), buckets: u16::try_from(r.get::<_, i32>(2)).unwrap_or_default(), is_this }
        };
        Ok(rows.iter().map(node).collect())
    }

    async fn complete(&self) -> Result<bool, Cause> {
        let sql = "SELECT count(*) FROM buckets WHERE until <= clock_timestamp()";
        Ok(self.sessions.get().await?.row(sql, &[]).await?.is_some_and(|r| r.get::<_, i64>(0) == 0))
    }

    async fn answers(&self, ids: &[i64]) -> Result<Vec<Option<Vec<u8>>>, Cause> {
        let end = Instant::now() + ANSWER;
        loop {
            let bell = self.answered.notified();
            let session = self.sessions.get().await?;
            let sql = "SELECT answer FROM questions WHERE id = ANY($1) ORDER BY id";
            let rows = session.rows(sql, &[(&ids, Type::INT8_ARRAY)]).await?;
            let answers: Vec<Option<Vec<u8>>> = rows.iter().map(|r| r.get(0)).collect();
            if answers.iter().all(Option::is_some) || Instant::now() >= end {
                session.execute("DELETE FROM questions WHERE id = ANY($1)", &[(&ids, Type::INT8_ARRAY)]).await?;
                return Ok(answers);
            }
            drop(session);
            let _ = tokio::time::timeout(LOOK, bell).await;
        }
    }
}

/// Worth no wait for the disk: who does not hear it looks by itself.
async fn say(session: &Session, what: &str) -> Result<(), Cause> {
    let sql = format!("BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_notify('{CHANNEL}', '{what}'); COMMIT");
    session.batch(&sql).await
}

/// The task that keeps a node among the others.
struct Member {
    shared: Arc<Shared>,
    target: Target,
    tell: mpsc::Sender<NodeEvent>,
    /// Questions that the hub has and has not answered.
    asked: BTreeSet<i64>,
    /// What listens, and answers on their way.
    tasks: JoinSet<()>,
}

impl Member {
    async fn run(mut self) {
        let (mut first, mut told) = (true, false);
        let (mut renew, mut look) = (tokio::time::interval(RENEW), tokio::time::interval(LOOK));
        let (hear, mut heard) = mpsc::channel(MESSAGES);
        self.tasks.spawn(listen(self.target.clone(), hear));
        // Through a pooler in transaction mode nothing is ever heard.
        let mut hears = false;
        loop {
            while self.tasks.try_join_next().is_some() {}
            let due = tokio::select! {
                _ = renew.tick() => true,
                message = heard.recv() => {
                    hears = true;
                    self.shared.answered.notify_waiters();
                    message.as_deref() == Some("free")
                }
                _ = look.tick(), if !hears => false,
            };
            if due && self.round(&mut first, &mut told).await.is_err() {
                return;
            }
            if let Err(cause) = self.look(hears).await {
                tracing::debug!(%cause, "questions of other nodes could not be read");
            }
        }
    }

    /// One renewal and what follows from it. An error: the hub has gone.
    async fn round(&mut self, first: &mut bool, told: &mut bool) -> Result<(), mpsc::error::SendError<NodeEvent>> {
        let renewed = self.shared.renew(*first).await;
        let lost = self.shared.take_over();
        if !lost.is_empty() {
            tracing::warn!(buckets = lost.len(), "leases were lost");
            self.tell.send(NodeEvent::Lost(lost)).await?;
        }
        match renewed {
            Ok((gained, share)) => {
                *first = false;
                if !gained.is_empty() || !*told {
                    *told = true;
                    tracing::info!(gained = gained.len(), held = self.shared.held().len(), "buckets of lanes");
                    self.tell.send(NodeEvent::Gained(gained)).await?;
                }
                let surplus = self.shared.surplus(share);
                if !surplus.is_empty() {
                    self.tell.send(NodeEvent::GiveUp(surplus)).await?;
                }
            }
            Err(cause) => tracing::warn!(%cause, "leases could not be renewed; trying again"),
        }
        Ok(())
    }

    /// Hands new questions to the hub.
    async fn look(&mut self, hears: bool) -> Result<(), Cause> {
        let session = self.shared.sessions.get().await?;
        if !hears {
            // Heard by this node itself, it shows that messages come through.
            say(&session, "hello").await?;
        }
        let sql = "SELECT id, question FROM questions WHERE node = $1 AND answer IS NULL ORDER BY id";
        let rows = session.rows(sql, &[(&self.shared.name, Type::TEXT)]).await?;
        let open: BTreeSet<i64> = rows.iter().map(|r| r.get(0)).collect();
        self.asked.retain(|id| open.contains(id));
        for r in &rows {
            let id: i64 = r.get(0);
            if self.asked.insert(id) {
                let (answer, answered) = oneshot::channel();
                let question = NodeEvent::Asked { question: r.get(1), answer };
                if self.tell.send(question).await.is_err() {
                    return Ok(());
                }
                self.tasks.spawn(pass_on(self.shared.clone(), id, answered));
            }
        }
        Ok(())
    }
}

async fn pass_on(shared: Arc<Shared>, id: i64, answered: oneshot::Receiver<Vec<u8>>) {
    // A hub that has no answer leaves the asking node to its patience.
    let Ok(answer) = answered.await else { return };
    let passed = async {
        let session = shared.sessions.get().await?;
        let sql = "UPDATE questions SET answer = $2 WHERE id = $1";
        session.execute(sql, &[(&id, Type::INT8), (&answer, Type::BYTEA)]).await?;
        say(&session, "answer").await
    };
    let passed: Result<(), Cause> = passed.await;
    if let Err(cause) = passed {
        tracing::debug!(%cause, "an answer to another node was not passed on");
    }
}

/// Hears what nodes say, and makes the connection again when it breaks.
async fn listen(target: Target, heard: mpsc::Sender<String>) {
    loop {
        let (hear, mut hearing) = mpsc::channel(MESSAGES);
        match target.listen(CHANNEL, hear).await {
            Ok(_session) => {
                while let Some(message) = hearing.recv().await {
                    if heard.send(message).await.is_err() {
                        return;
                    }
                }
            }
            Err(cause) => tracing::debug!(%cause, "other nodes can't be listened to; trying again"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
