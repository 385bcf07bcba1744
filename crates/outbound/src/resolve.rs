//! From a name to its addresses.

use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// How many lookups of the system's resolver run at once. Each holds a thread until the resolver gives up, so names
/// whose servers hang must not take every thread that the runtime keeps for blocking work.
pub const MAX_LOOKUPS: usize = 128;

/// The answer to come of a lookup.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Looks up names.
///
/// The connector asks once per connection, checks every address of the answer and connects to one of exactly those: it
/// never asks again for the same connection. An implementation need not check or filter anything, and need not bound
/// its time: the connector does both. Literal addresses never come here.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`, best first. An empty answer counts as "no such name".
    fn resolve<'a>(&'a self, name: &'a str) -> Lookup<'a>;
}

/// The system's resolver, on the runtime's threads for blocking work, at most [`MAX_LOOKUPS`] at once.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            let lookup = move || {
                // Given back when the thread is done, not when the caller stops waiting.
                let _place = place;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(lookup).await?
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn at_the_limit_a_lookup_waits_for_a_place() {
        let resolver = SystemResolver::default();
        let all = u32::try_from(MAX_LOOKUPS).unwrap();
        let taken = resolver.places.acquire_many(all).await.unwrap();
        let waiting = resolver.resolve("localhost");
        let late = tokio::time::timeout(Duration::from_millis(50), waiting).await;
        assert!(late.is_err());

        drop(taken);
        let found = resolver.resolve("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty());
    }
}
