//! A hub that runs in this process.

use std::net::SocketAddr;

use tillstream_hub::Hub;
use tillstream_outbound::{Client, Options};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bootstrap::{self, FirstKey};
use crate::config::Config;
use crate::{server, wire};

/// A running hub with its server.
pub struct Process {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key of its first start, if this is it.
    pub first_key: Option<FirstKey>,
    hub: Hub,
    stop: CancellationToken,
    server: JoinSet<()>,
}

impl Process {
    /// Opens the engine, makes what a first start makes, starts the lanes and serves.
    ///
    /// # Errors
    /// When the engine cannot be opened or a first start cannot be written.
    pub async fn start(config: &Config, listener: TcpListener) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let stores = wire::open(config, address).await?;
        let first_key = bootstrap::first_start(&*stores.state, &config.data, wire::now()).await?;
        let outbound = Client::new(config.policy.clone(), Options::default());
        let settings = tillstream_hub::Config {
            metrics_public: config.metrics_public,
            notify: config.telling.settings.clone(),
            ..Default::default()
        };
        let hub = Hub::start(stores, outbound, settings, wire::clock()).await?;
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(server::serve(listener, hub.router(), stop.clone()));
        Ok(Self { address, first_key, hub, stop, server })
    }

    /// Where it can be reached from this machine.
    pub fn url(&self) -> String {
        url_of(self.address)
    }

    /// Takes no more requests, then lets the lanes finish and commit.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.server.join_next().await.is_some() {}
        self.hub.shutdown().await;
    }
}

/// The URL of an address that listens here; one for every address is reached by loopback.
pub fn url_of(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_every_address_is_loopback() {
        let url = |address: &str| url_of(address.parse().unwrap());
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80"), "http://[::1]:80");
        assert_eq!(url("127.0.0.2:80"), "http://127.0.0.2:80");
    }
}
