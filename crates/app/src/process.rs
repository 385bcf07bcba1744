//! A hub that runs in this process.

use std::net::SocketAddr;

use tillstream_hub::Hub;
use tillstream_outbound::{Client, Options};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bootstrap::{self, FirstKey};
use crate::config::Config;
use crate::tls::Tls;
use crate::{server, wire};

/// A running hub with its server.
pub struct Process {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it listens with TLS.
    is_tls: bool,
    /// What its first start made, if this is it.
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
        let tls = config.tls.clone().map(Tls::load).transpose()?;
        let stores = wire::open(config, address).await?;
        let first_key = bootstrap::first_start(&*stores.state, &config.data, wire::now()).await?;
        let outbound = Client::new(config.policy.clone(), Options::default());
        let settings = tillstream_hub::Config {
            metrics_public: config.metrics_public,
            tls: tls.is_some(),
            behind_proxy: config.behind_proxy,
            notify: config.telling.settings.clone(),
            ..Default::default()
        };
        let hub = Hub::start(stores, outbound, settings, wire::clock()).await?;
        let stop = CancellationToken::new();
        let mut server = JoinSet::new();
        if let Some(tls) = tls.clone() {
            server.spawn(tls.watch(stop.clone()));
        }
        let acceptor = tls.as_ref().map(Tls::acceptor);
        server.spawn(server::serve_with(listener, acceptor, hub.router(), stop.clone()));
        Ok(Self { address, is_tls: tls.is_some(), first_key, hub, stop, server })
    }

    /// Where it can be reached from this machine.
    pub fn url(&self) -> String {
        url_of(self.address, self.is_tls)
    }

    /// Takes no more requests, then lets the lanes finish and commit.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.hub.live().end();
        while self.server.join_next().await.is_some() {}
        self.hub.shutdown().await;
    }
}

/// The URL of an address that listens here; one for every address is reached by loopback.
pub fn url_of(mut address: SocketAddr, is_tls: bool) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
    }
    format!("{}://{address}", if is_tls { "https" } else { "http" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_every_address_is_loopback() {
        let url = |address: &str| url_of(address.parse().unwrap(), false);
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80"), "http://[::1]:80");
        assert_eq!(url("127.0.0.2:80"), "http://127.0.0.2:80");
        assert_eq!(url_of("127.0.0.1:443".parse().unwrap(), true), "https://127.0.0.1:443");
    }
}
