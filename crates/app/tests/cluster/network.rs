//! A network between a hub and its database that can be cut, when nothing comes through and what was under way comes
//! late, and slowed down.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Pieces that are under way at most, each way of a connection.
const UNDER_WAY: usize = 1_024;

#[derive(Clone, Copy)]
struct Condition {
    open: bool,
    /// How long everything takes, each way.
    delay: Duration,
}

/// Both ways to a pair of servers.
pub struct Network {
    /// Where the servers are reached through it.
    pub ports: [u16; 2],
    condition: watch::Sender<Condition>,
    _tasks: JoinSet<()>,
}

impl Network {
    /// To the servers at these ports.
    pub async fn to(servers: [u16; 2]) -> Self {
        let (condition, view) = watch::channel(Condition { open: true, delay: Duration::ZERO });
        let (mut ports, mut tasks) = ([0; 2], JoinSet::new());
        for (port, server) in ports.iter_mut().zip(servers) {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            *port = listener.local_addr().expect("an address").port();
            tasks.spawn(pass(listener, ([127, 0, 0, 1], server).into(), view.clone()));
        }
        Self { ports, condition, _tasks: tasks }
    }

    /// Nothing comes through until it is mended.
    pub fn cut(&self) {
        self.condition.send_modify(|c| c.open = false);
    }

    /// What waited comes through now.
    pub fn mend(&self) {
        self.condition.send_modify(|c| c.open = true);
    }

    /// Everything takes so long from now on, each way.
    pub fn delay(&self, delay: Duration) {
        self.condition.send_modify(|c| c.delay = delay);
    }
}

async fn pass(listener: TcpListener, server: SocketAddr, condition: watch::Receiver<Condition>) {
    let mut connections = JoinSet::new();
    while let Ok((hub, _)) = listener.accept().await {
        let mut condition = condition.clone();
        connections.spawn(async move {
            if condition.wait_for(|c| c.open).await.is_err() {
                return;
            }
            let Ok(server) = TcpStream::connect(server).await else { return };
            let ((from_hub, to_hub), (from_server, to_server)) = (hub.into_split(), server.into_split());
            tokio::select! {
                () = copy(from_hub, to_server, condition.clone()) => {}
                () = copy(from_server, to_hub, condition) => {}
            }
        });
    }
}

async fn copy(from: OwnedReadHalf, to: OwnedWriteHalf, condition: watch::Receiver<Condition>) {
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    tokio::join!(take(from, sender, condition.clone()), give(receiver, to, condition));
}

/// Notes when each piece is due at the other side.
async fn take(
    mut from: OwnedReadHalf,
    pieces: mpsc::Sender<(Instant, Vec<u8>)>,
    condition: watch::Receiver<Condition>,
) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let due = Instant::now() + condition.borrow().delay;
        if pieces.send((due, bytes[..count].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn give(
    mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut condition: watch::Receiver<Condition>,
) {
    while let Some((due, bytes)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        if condition.wait_for(|c| c.open).await.is_err() || to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
