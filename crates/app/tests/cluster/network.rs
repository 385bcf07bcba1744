//! A network between a hub and its database that can be cut: nothing comes through then, and what was under way comes
//! late.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Both ways to a pair of servers.
pub struct Network {
    /// Where the servers are reached through it.
    pub ports: [u16; 2],
    open: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Network {
    /// To the servers at these ports.
    pub async fn to(servers: [u16; 2]) -> Self {
        let (open, opened) = watch::channel(true);
        let (mut ports, mut tasks) = ([0; 2], JoinSet::new());
        for (port, server) in ports.iter_mut().zip(servers) {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            *port = listener.local_addr().expect("an address").port();
            tasks.spawn(pass(listener, ([127, 0, 0, 1], server).into(), opened.clone()));
        }
        Self { ports, open, _tasks: tasks }
    }

    /// Nothing comes through until it is mended.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// What waited comes through now.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(listener: TcpListener, server: SocketAddr, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((hub, _)) = listener.accept().await {
        let mut open = open.clone();
        connections.spawn(async move {
            if open.wait_for(|open| *open).await.is_err() {
                return;
            }
            let Ok(server) = TcpStream::connect(server).await else { return };
            let ((from_hub, to_hub), (from_server, to_server)) = (hub.into_split(), server.into_split());
            tokio::select! {
                () = copy(from_hub, to_server, open.clone()) => {}
                () = copy(from_server, to_hub, open) => {}
            }
        });
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut bytes).await {
        let through = open.wait_for(|open| *open).await.is_ok();
        if count == 0 || !through || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
