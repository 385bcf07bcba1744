//! From a URL to an open connection, to checked addresses only.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::networks::{Policy, Refusal};
use crate::resolve::Resolve;
use crate::stream::{ALPN_H2, ALPN_HTTP11, Stream};
use crate::url::{Host, Origin, UrlError};

/// How many addresses of one name are tried; further ones of a long answer are left alone.
pub const MAX_ADDRESSES: usize = 8;

/// Opens connections for the pools: looks up, checks, connects, speaks TLS. Cheap to clone.
///
/// A name is looked up once per connection. Addresses that the policy refuses are left out; if none is left, the
/// connection is refused. The others are tried in the resolver's order, each with its own time limit.
#[derive(Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    policy: Policy,
    resolver: Arc<dyn Resolve>,
    tls: TlsConnector,
    limits: Limits,
}

/// How long connecting may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Lookup, all addresses and TLS together.
    pub(crate) whole: Duration,
    /// One address.
    pub(crate) address: Duration,
}

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be called.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The policy refuses every address of the host.
    #[error(transparent)]
    Blocked(#[from] Refusal),
    /// The name has no address, or the resolver failed.
    #[error("look up \"{name}\": {error}")]
    Dns {
        /// The name asked for.
        name: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// The connection to an address failed.
    #[error("connect to \"{host}\" at {address}: {error}")]
    Tcp {
        /// The host as written.
        host: String,
        /// The checked address.
        address: SocketAddr,
        /// What the system said; `TimedOut` when nobody answered in time.
        error: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake with {host}:{port}: {error}")]
    Tls {
        /// The host as written.
        host: String,
        /// The port.
        port: u16,
        /// What failed; `TimedOut` when the handshake was not done in time.
        error: io::Error,
    },
}

impl Connector {
    pub(crate) fn new(policy: Policy, resolver: Arc<dyn Resolve>, roots: Arc<RootCertStore>, limits: Limits) -> Self {
        let tls = TlsConnector::from(Arc::new(tls_config(roots)));
        let shared = Shared { policy, resolver, tls, limits };
        Self { shared: Arc::new(shared) }
    }

    /// Which addresses may be called.
    pub(crate) fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// The checked addresses that a connection made now would use.
    pub(crate) async fn addresses(&self, uri: &Uri) -> Result<Vec<SocketAddr>, ConnectError> {
        let origin = Origin::of(uri)?;
        let until = Instant::now() + self.shared.limits.whole;
        self.shared.addresses(&origin, until).await
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri) -> Result<Stream, ConnectError> {
        let origin = Origin::of(uri)?;
        let until = Instant::now() + self.limits.whole;
        let addresses = self.addresses(&origin, until).await?;
        let tcp = self.first_open(&origin, &addresses, until).await?;
        if origin.tls { self.handshake(&origin, tcp, until).await } else { Ok(Stream::Plain(tcp)) }
    }

    async fn addresses(&self, origin: &Origin, until: Instant) -> Result<Vec<SocketAddr>, ConnectError> {
        let found = match &origin.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.look_up(name, until).await?,
        };
        Ok(self.checked(origin, &found)?)
    }

    async fn look_up(&self, name: &str, until: Instant) -> Result<Vec<IpAddr>, ConnectError> {
        let failed = |error| ConnectError::Dns { name: name.to_owned(), error };
        let found = within(until, self.resolver.resolve(name)).await.map_err(failed)?;
        if found.is_empty() {
            return Err(failed(io::Error::other("the name has no address")));
        }
        Ok(found)
    }

    /// The allowed ones among the addresses found. Every one is checked, whichever will be used.
    fn checked(&self, origin: &Origin, found: &[IpAddr]) -> Result<Vec<SocketAddr>, Refusal> {
        let mut allowed = Vec::new();
        let mut refused = None;
        for address in found {
            match self.policy.check(&origin.written, *address) {
                Ok(()) => allowed.push(SocketAddr::new(*address, origin.port)),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        allowed.truncate(MAX_ADDRESSES);
        match refused {
            Some(refusal) if allowed.is_empty() => Err(refusal),
            _ => Ok(allowed),
        }
    }

    /// Connects to the first address that answers.
    async fn first_open(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        until: Instant,
    ) -> Result<TcpStream, ConnectError> {
        let mut told = None;
        for address in addresses {
            let until = until.min(Instant::now() + self.limits.address);
            match within(until, open(*address)).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => {
                    tracing::debug!(host = origin.written, %address, %error, "address not reached");
                    told = Some(more_telling(told, (*address, error)));
                }
            }
        }
        let (address, error) = told.ok_or(UrlError::NoHost)?;
        let host = origin.written.clone();
        Err(ConnectError::Tcp { host, address, error })
    }

    async fn handshake(&self, origin: &Origin, tcp: TcpStream, until: Instant) -> Result<Stream, ConnectError> {
        let name = server_name(&origin.host)?;
        match within(until, self.tls.connect(name, tcp)).await {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(error) => Err(ConnectError::Tls { host: origin.written.clone(), port: origin.port, error }),
        }
    }
}

async fn within<T>(until: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    timeout_at(until, work).await.unwrap_or_else(|_| Err(late()))
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    // A request is written at once; waiting for more to send would only add delay.
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

type Tried = (SocketAddr, io::Error);

/// Of two failed addresses the one to tell about: "no route" (a machine without IPv6) says least.
fn more_telling(before: Option<Tried>, now: Tried) -> Tried {
    match before {
        Some(before) if is_no_route(&now.1) => before,
        _ => now,
    }
}

fn is_no_route(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable)
}

fn server_name(host: &Host) -> Result<ServerName<'static>, UrlError> {
    match host {
        Host::Address(address) => Ok(ServerName::from(*address)),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| UrlError::Host),
    }
}

fn tls_config(roots: Arc<RootCertStore>) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the default TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP11.to_vec()];
    config
}
