//! The scale-out engine: PostgreSQL 14 or newer, shared by any number of nodes.
//!
//! Everything is in tables of the connection's default schema. The log has a table for each retention class and day
//! (a *segment*), the attempts one for each day; both are dropped whole. Nothing needs an extension or more rights than
//! to make tables. A commit counts when the server says that it is as durable as its settings ask for, so with a
//! synchronous standby a 202 means two machines.

mod days;
mod epochs;
mod examine;
pub(crate) mod import;
mod index;
mod log;
mod migrate;
mod nodes;
mod pace;
mod rotate;
mod row;
mod session;
mod state;

use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::{Cause, tried};
use crate::{Clock, MasterKey, Rotated, StoreError, Stores};

pub use crate::engine::{DEFAULT_QUEUE_BYTES, DEFAULT_TAIL_BYTES};

pub use examine::Examined;
use session::{Sessions, Target};

/// Connections of a node, besides the ones that write events, write outcomes and listen.
pub const DEFAULT_CONNECTIONS: usize = 8;

/// How the engine is opened.
#[derive(Clone)]
pub struct Options {
    /// `postgres://user:password@host[:port][,host…]/database[?sslmode=require]`; of several hosts the one that takes
    /// writes is used.
    pub url: String,
    /// Certificates (PEM) that the server's may be signed with, besides the well-known ones.
    pub ca_file: Option<PathBuf>,
    /// Tells the time.
    pub clock: Clock,
    /// What this node is called. A process takes up what an earlier one of the same name left behind, so two must not
    /// run under one name.
    pub node: String,
    /// Seals secrets. The database remembers which key it was made with and opens with no other.
    pub master_key: MasterKey,
    /// [`DEFAULT_TAIL_BYTES`].
    pub tail_bytes: usize,
    /// [`DEFAULT_QUEUE_BYTES`].
    pub queue_bytes: usize,
    /// [`DEFAULT_CONNECTIONS`].
    pub connections: usize,
}

impl Options {
    /// The defaults.
    pub fn new(url: String, node: String, clock: Clock, master_key: MasterKey) -> Self {
        Self {
            url,
            ca_file: None,
            node,
            clock,
            master_key,
            tail_bytes: DEFAULT_TAIL_BYTES,
            queue_bytes: DEFAULT_QUEUE_BYTES,
            connections: DEFAULT_CONNECTIONS,
        }
    }
}

/// Connects, brings the tables to the newest version and opens the engine.
///
/// # Errors
/// When no server that takes writes can be reached, it is too old, the tables are of a newer version, or they were made
/// with another master key.
pub async fn open(options: Options) -> Result<Stores, StoreError> {
    tried("open the database", open_inner(options).await)
}

/// Begins a new epoch in a database that was restored from a dump or a base backup, before any node starts on it; its
/// number.
///
/// # Errors
/// As [`open`], and while a node runs on it.
pub async fn mark_restored(options: &Options) -> Result<u32, StoreError> {
    tried("mark the database as restored", epochs::begin(options).await).map(|epochs| epochs.current())
}

/// Seals everything anew under a key that knows the one before it. Nodes may run meanwhile, if they have both keys.
///
/// # Errors
/// As [`open`]; what was done so far stays, and the same call goes on.
pub async fn rotate_key(options: &Options) -> Result<Rotated, StoreError> {
    tried("rotate the master key of the database", rotate::run(options).await)
}

/// Looks at a database without changing anything in it.
///
/// # Errors
/// When no server that takes writes can be reached.
pub async fn examine(options: &Options) -> Result<Examined, StoreError> {
    tried("look at the database", examine::run(options).await)
}

async fn open_inner(options: Options) -> Result<Stores, Cause> {
    let target = Target::new(&options)?;
    let sessions = Sessions::new(target.clone(), options.connections)?;
    let mut session = sessions.get().await?;
    migrate::run(&mut session, &options.master_key).await?;
    import::refuse_unfinished(&session).await?;
    let epochs = Arc::new(epochs::load(&session).await?);
    drop(session);
    let state = state::PgState::open(sessions.clone(), &options);
    let nodes = nodes::PgNodes::open(target.clone(), sessions.apart(2), options.node.clone());
    let index = index::PgIndex::open(sessions.apart(2));
    let log = log::PgLog::open(target, sessions, &options)?;
    Ok(Stores { index: Arc::new(index), log: Arc::new(log), state: Arc::new(state), nodes: Arc::new(nodes), epochs })
}
