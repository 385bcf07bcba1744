//! The one guarded connector: every outgoing HTTP call goes through here.
//!
//! A URL that a tenant wrote must never reach the machine, its network or its cloud's metadata. So the address is
//! checked **at connect time, on the address really used**: a name is looked up once, every address of the answer is
//! checked against the [`Policy`], and only a checked address is connected to. The operator opens more with
//! [`ALLOW_NETWORKS`]; a refusal names the value to set. (`contracts/hub-api.md`, "Every outgoing call".)
//!
//! Besides that the crate bounds what a receiver can cost:
//!
//! - one deadline covers the whole exchange: lookup, connect, TLS, sending, head and body of the answer;
//! - at most [`MAX_READ_BYTES`] of a body are read and [`KEPT_BYTES`] of it kept, and a head must be
//!   complete after [`MAX_HEAD_BYTES`];
//! - redirects are answers, never followed; proxies named in the environment are not used;
//! - connections are kept alive in pools that are apart per company, client identity and origin.
//!
//! What went wrong stays apart as a [`Cause`], and [`Failure::no_connection`] tells whether a connection was made at
//! all. HTTP/1.1 and, over TLS, HTTP/2 are spoken; clear text is HTTP/1.1.
//!
//! | File | Holds |
//! | --- | --- |
//! | `networks` | the policy and its refusal |
//! | `addresses` | which addresses are public, and what hides in an IPv6 address |
//! | `url` | what a URL may look like |
//! | `resolve`, `connect`, `stream` | from a URL to an open connection |
//! | `client`, `pools`, `exchange`, `body` | requests over pooled connections |
//! | `failure` | causes kept apart |
//!
//! # Example
//!
//! ```no_run
//! use std::time::Duration;
//! use tillstream_outbound::{Client, Options, Policy, PoolKey, Request, check_url};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::new(&["lan"])?;
//! let uri = check_url("https://erp.example/hooks")?;
//! policy.check_literal(&uri)?;
//!
//! let client = Client::new(policy, Options::default());
//! // Taken once and kept: a pool is cheap to clone and keeps its connections alive.
//! let pool = client.pool(PoolKey { company: 7, identity: 0 });
//!
//! let request = Request::post(uri, r#"{"hello":"store"}"#);
//! match pool.send(request, Duration::from_secs(15)).await {
//!     Ok(answer) => println!("{} after {:?}", answer.status, answer.elapsed),
//!     Err(failure) => println!("{}: {failure}", failure.cause.as_str()),
//! }
//! # Ok(())
//! # }
//! ```

mod addresses;
mod body;
mod client;
mod connect;
mod exchange;
mod failure;
mod networks;
mod pools;
mod resolve;
mod stream;
mod url;

pub use body::{KEPT_BYTES, MAX_READ_BYTES};
pub use client::{
    ADDRESS_TIMEOUT, CONNECT_TIMEOUT, Client, IDLE_TIMEOUT, MAX_HEAD_BYTES, MAX_IDLE_PER_ORIGIN, MAX_POOLS, Options,
    Pool, PoolKey,
};
pub use connect::{ConnectError, Connector, MAX_ADDRESSES};
pub use exchange::{Answer, Request};
pub use failure::{Cause, Failure, MAX_DETAIL_CHARS};
pub use networks::{ALLOW_NETWORKS, NetworksError, Policy, Refusal};
pub use resolve::{Lookup, MAX_LOOKUPS, Resolve, SystemResolver};
pub use stream::Stream;
pub use url::{MAX_URL_BYTES, UrlError, check_url};

/// The store of trusted roots that [`Options::roots`] takes.
pub use rustls::RootCertStore;
