//! What other nodes write: bells that ring over the server, and looking from time to time where they can't be heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tillstream_model::{CompanyNo, Seq};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::row;
use super::super::session::{Sessions, Target};
use super::erase;
use super::read::Reader;
use crate::Bell;
use crate::engine::Cause;
use crate::engine::tail::Tail;

/// The channel on which nodes say which companies' logs have grown: the node, then numbers of companies.
const CHANNEL: &str = "tillstream_log";
/// How often a node looks by itself while it hears the others …
const LOOK_HEARING: Duration = Duration::from_secs(5);
/// … and while it does not, as through a pooler in transaction mode.
const LOOK_DEAF: Duration = Duration::from_millis(200);
/// Pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_millis(500);
/// Messages that may wait to be looked at.
const MESSAGES: usize = 1_024;
/// Companies of one message; a message has less than 8,000 bytes.
const MESSAGE_COMPANIES: usize = 500;

/// Says to other nodes which logs have grown; what comes while a message is under way goes with the next one.
pub(super) async fn tell_others(sessions: Sessions, node: String, grown: Arc<Bell>) {
    loop {
        let companies: Vec<_> = grown.wait().await.into_iter().collect();
        for some in companies.chunks(MESSAGE_COMPANIES) {
            if let Err(cause) = say(&sessions, &node, some).await {
                // The others look from time to time.
                tracing::debug!(%cause, "other nodes were not told");
            }
        }
    }
}

/// A message is worth no wait for the disk or a standby.
async fn say(sessions: &Sessions, node: &str, companies: &[CompanyNo]) -> Result<(), Cause> {
    let list: String = companies.iter().map(|c| format!(" {}", c.0)).collect();
    let sql =
        format!("BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_notify('{CHANNEL}', '{node}{list}'); COMMIT");
    sessions.get().await?.batch(&sql).await
}

/// Follows what other nodes write.
pub(super) struct Follower {
    target: Target,
    sessions: Sessions,
    reader: Reader,
    tail: Arc<Tail>,
    bell: Arc<Bell>,
    node: String,
    /// How far each log was when this node last looked.
    heads: BTreeMap<CompanyNo, Seq>,
    hears: bool,
}

impl Follower {
    /// With a name that no other node has.
    pub(super) fn new(target: Target, sessions: Sessions, reader: Reader, tail: Arc<Tail>, bell: Arc<Bell>) -> Self {
        let node = format!("{:016x}", rand::random::<u64>());
        Self { target, sessions, reader, tail, bell, node, heads: BTreeMap::new(), hears: false }
    }

    /// The name of this node in messages.
    pub(super) fn node(&self) -> String {
        self.node.clone()
    }

    /// Goes on until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            if let Err(cause) = self.follow().await {
                tracing::warn!(%cause, "the database can't be listened to; trying again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Until the connection breaks.
    async fn follow(&mut self) -> Result<(), Cause> {
        let (heard, mut hearing) = mpsc::channel(MESSAGES);
        let _session = self.target.listen(CHANNEL, heard).await?;
        self.hears = false;
        self.look_erased(erase::BEGINNING).await?;
        // Heard by this node itself, it shows that messages come through.
        say(&self.sessions, &self.node, &[]).await?;
        let mut look = Instant::now();
        loop {
            tokio::select! {
                message = hearing.recv() => match message {
                    Some(message) => self.heard(&message).await?,
                    None => return Err("the connection broke".into()),
                },
                () = tokio::time::sleep_until(look) => {
                    self.look().await?;
                    self.look_erased(erase::FOLLOWING).await?;
                    look = Instant::now() + if self.hears { LOOK_HEARING } else { LOOK_DEAF };
                }
            }
        }
    }

    async fn heard(&mut self, message: &str) -> Result<(), Cause> {
        self.hears = true;
        let mut parts = message.split(' ');
        if parts.next() == Some(&self.node) {
            return Ok(());
        }
        for company in parts.filter_map(|no| no.parse().ok()).map(CompanyNo) {
            let ends = self.reader.ends(company).await?;
            self.grown(company, ends.head, ends.closed).await?;
        }
        Ok(())
    }

    /// Looks at all heads, in case a message was not heard.
    async fn look(&mut self) -> Result<(), Cause> {
        let rows = self.sessions.get().await?.rows("SELECT company, head, closed FROM log_heads", &[]).await?;
        for r in &rows {
            let (company, head) = (row::company(r.get(0)), row::seq(r.get(1)));
            if self.heads.get(&company) != Some(&head) {
                self.grown(company, head, r.get(2)).await?;
            }
        }
        Ok(())
    }

    /// Takes payloads out of the memory that other nodes erased on disk.
    async fn look_erased(&self, how_long: &str) -> Result<(), Cause> {
        let session = self.sessions.get().await?;
        for (company, seq) in erase::lately(&session, how_long).await? {
            self.tail.erase(company, seq);
        }
        Ok(())
    }

    /// Rings also when the events are in memory already: whoever read them there told nobody.
    async fn grown(&mut self, company: CompanyNo, head: Seq, closed: bool) -> Result<(), Cause> {
        self.heads.insert(company, head);
        if closed {
            self.tail.close(company);
        }
        if self.tail.summary(company).is_none_or(|known| known.head < head) {
            self.reader.catch_up(company, head).await?;
        }
        self.bell.ring(company);
        Ok(())
    }
}
