//! The client: one per process, with a pool of connections per company and identity.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use tokio::time::Instant;

use crate::body::MAX_READ_BYTES;
use crate::connect::{Connector, Limits};
use crate::exchange::{Answer, Http, Request, exchange, place};
use crate::failure::Failure;
use crate::networks::Policy;
use crate::pools::Pools;
use crate::resolve::{Resolve, SystemResolver};

/// Default of [`Options::connect_timeout`].
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Default of [`Options::address_timeout`].
pub const ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);
/// Default of [`Options::idle_timeout`]: just below the minute after which common receivers close, so that they seldom
/// close a connection that is being used again.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// Default of [`Options::max_idle_per_origin`]: enough for many integrations of a company at one receiver. With fewer,
/// bursts close and open connections all the time, which costs more than an exchange.
pub const MAX_IDLE_PER_ORIGIN: usize = 1_024;
/// Default of [`Options::max_pools`].
pub const MAX_POOLS: usize = 4_096;
/// An HTTP/1.1 head that is not complete after this many bytes is a protocol failure.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What all streams of one HTTP/2 connection may have sent us unread, in bytes.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What one stream may have sent us unread: no more than is read at all.
const H2_STREAM_WINDOW_BYTES: u32 = MAX_READ_BYTES as u32;
/// How long a busy HTTP/2 connection may be silent before it is pinged, and how long the answer may take. Without this
/// a connection whose other end vanished would stay in the pool and fail every request.
const H2_PING_AFTER: Duration = Duration::from_secs(10);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How the client works. `Options::default()` is right outside of tests.
#[derive(Clone)]
pub struct Options {
    /// The certificates trusted; by default the common public roots.
    pub roots: Arc<RootCertStore>,
    /// Looks up names; by default the system's resolver.
    pub resolver: Arc<dyn Resolve>,
    /// For a new connection as a whole: lookup, every address, TLS.
    pub connect_timeout: Duration,
    /// For one address of a name, so that a dead one leaves time for the next.
    pub address_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many unused connections are kept per pool and origin.
    pub max_idle_per_origin: usize,
    /// How many pools are shared; see [`Client::pool`].
    pub max_pools: usize,
}

impl Default for Options {
    fn default() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self {
            roots: Arc::new(roots),
            resolver: Arc::new(SystemResolver::default()),
            connect_timeout: CONNECT_TIMEOUT,
            address_timeout: ADDRESS_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            max_idle_per_origin: MAX_IDLE_PER_ORIGIN,
            max_pools: MAX_POOLS,
        }
    }
}

/// Whose connections a pool holds. Connections are never shared between two keys (`contracts/hub-api.md`: pools are per
/// company, origin and client identity; the origin is told apart inside the pool).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// The company's internal number.
    pub company: u32,
    /// Who the company presents itself as, where it has several: the caller's number, 0 for "itself".
    pub identity: u64,
}

/// The guarded client. One per process; cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    builder: legacy::Builder,
    pools: Pools<PoolKey, Http>,
}

impl Client {
    /// Builds the client. Opens nothing.
    #[must_use]
    pub fn new(policy: Policy, options: Options) -> Self {
        let builder = builder(&options);
        let pools = Pools::new(options.max_pools);
        let limits = Limits { whole: options.connect_timeout, address: options.address_timeout };
        let connector = Connector::new(policy, options.resolver, options.roots, limits);
        let shared = Shared { connector, builder, pools };
        Self { shared: Arc::new(shared) }
    }

    /// The pool of a key: the same connections for everyone who asks with it. Take it once and keep it; asking takes a
    /// lock.
    ///
    /// At most [`Options::max_pools`] are shared. At that number the pools that nobody holds are dropped with their
    /// connections; if all are held, a further key gets a pool of its own.
    #[must_use]
    pub fn pool(&self, key: PoolKey) -> Pool {
        let Shared { connector, builder, pools } = &*self.shared;
        Pool { http: pools.get(key, || builder.build(connector.clone())) }
    }

    /// Which addresses may be called.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.shared.connector.policy()
    }

    /// The addresses that a call to this URL would use now, checked, without connecting. For validation and diagnosis
    /// only: the answer may change, and every connection checks again.
    ///
    /// # Errors
    /// [`Failure`] with cause `blocked`, `dns` or `invalid_url`.
    pub async fn look_up(&self, uri: &Uri) -> Result<Vec<SocketAddr>, Failure> {
        let started = Instant::now();
        let found = self.shared.connector.addresses(uri).await;
        found.map_err(|error| Failure { elapsed: started.elapsed(), ..Failure::of(&error, &place(uri)) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The connections of one company and identity. Cheap to clone; sends any number of requests at once.
#[derive(Debug, Clone)]
pub struct Pool {
    http: Arc<Http>,
}

impl Pool {
    /// Sends a request and reads its answer. `deadline` covers everything: lookup, connect, TLS, sending, head and body.
    /// Dropping the future gives the exchange up.
    ///
    /// A request that was never written because its kept connection had just been closed is sent again on another one;
    /// one that was written is not, and fails as `reset`.
    ///
    /// # Errors
    /// [`Failure`] when no complete answer came; an answer of any status is none.
    pub async fn send(&self, request: Request, deadline: Duration) -> Result<Answer, Failure> {
        exchange(&self.http, request, deadline).await
    }
}

fn builder(options: &Options) -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.max_idle_per_origin)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        .http2_initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(H2_PING_AFTER)
        .http2_keep_alive_timeout(H2_PING_TIMEOUT);
    builder
}
