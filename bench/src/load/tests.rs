use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::wire;

const OK: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

fn load(addr: SocketAddr, connections: usize, batch: usize) -> Load {
    Load {
        addr,
        token: "tsk_x".to_owned(),
        names: vec!["order.completed".to_owned()],
        connections,
        batch,
        entities: 100,
        generation: 1,
    }
}

/// Serves one connection on a thread: `answer(n)` gives the bytes for the n-th request.
fn serve_one(answer: impl Fn(usize) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = vec![0; 256 * 1024];
        for turn in 0.. {
            if !read_request(&mut stream, &mut buffer) {
                return;
            }
            if stream.write_all(&answer(turn)).is_err() {
                return;
            }
        }
    });
    addr
}

fn read_request(stream: &mut std::net::TcpStream, buffer: &mut [u8]) -> bool {
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return false,
            Ok(read) => filled += read,
        }
        let head = wire::request_head(&buffer[..filled]).expect("a good request");
        if head.is_some_and(|head| filled >= head.body_at + head.body_bytes) {
            return true;
        }
    }
}

#[tokio::test]
async fn an_open_loop_charges_a_stall_to_every_event_it_held_up() {
    let stall = Duration::from_millis(300);
    let addr = serve_one(move |turn| {
        if turn == 50 {
            std::thread::sleep(stall);
        }
        OK.to_vec()
    });
    let beat = Open { rate: 200.0, duration: Duration::from_secs(1) };
    let outcome = load(addr, 1, 1).open(beat).await.expect("a run");
    // 300 ms at 200 a second hold up 60 events; those due in its first 200 ms wait at least 100 ms.
    let late = outcome.latency.count_between(100_000, 120_000_000);
    assert_eq!(outcome.accepted, 200);
    assert!((35..=70).contains(&late), "{late} late events; a loop that omits them would show 1");
}

#[tokio::test]
async fn a_closed_loop_sees_the_same_stall_once() {
    let addr = serve_one(|turn| {
        if turn == 50 {
            std::thread::sleep(Duration::from_millis(300));
        }
        OK.to_vec()
    });
    let stop = Closed { requests: Some(200), warm_up: Duration::ZERO, measure: Duration::from_secs(20) };
    let outcome = load(addr, 1, 1).closed(stop).await.expect("a run");
    assert_eq!(outcome.latency.count_between(100_000, 120_000_000), 1);
}

#[tokio::test]
async fn a_refused_request_is_sent_again_until_the_count_is_accepted() {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let addr = serve_one(|turn| if turn % 10 == 3 { BUSY.to_vec() } else { OK.to_vec() });
    let stop = Closed { requests: Some(50), warm_up: Duration::ZERO, measure: Duration::from_secs(20) };
    let outcome = load(addr, 1, 100).closed(stop).await.expect("a run");
    assert_eq!(outcome.accepted, 5_000);
    assert!(outcome.statuses[&503] >= 5, "{:?}", outcome.statuses);
}

#[tokio::test]
async fn a_server_that_accepts_nothing_gives_no_rate() {
    const NO: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    let addr = serve_one(|_| NO.to_vec());
    let stop = Closed { requests: None, warm_up: Duration::ZERO, measure: Duration::from_millis(100) };
    let outcome = load(addr, 1, 1).closed(stop).await.expect("a run");
    assert!(outcome.rate().is_err());
}

#[test]
fn connections_own_their_entities_and_number_them() {
    let load = load(([127, 0, 0, 1], 1).into(), 3, 1);
    let mut seen = std::collections::HashMap::new();
    for connection in 0..3 {
        let mut source = Source::new(&load, connection);
        for _ in 0..100 {
            let stamp = source.stamp(0);
            source.next(0);
            let (owner, next) = seen.entry(stamp.key).or_insert((connection, 0));
            assert_eq!((*owner, *next), (connection, stamp.number));
            *next += 1;
        }
    }
    assert_eq!(seen.len(), 99, "33 entities on each of 3 connections");
}

#[tokio::test]
async fn limits_of_a_load_are_checked() {
    let nowhere = ([127, 0, 0, 1], 1).into();
    let refused = [
        Load { connections: 0, ..load(nowhere, 1, 1) },
        Load { connections: MAX_CONNECTIONS + 1, ..load(nowhere, 1, 1) },
        Load { batch: MAX_BATCH + 1, ..load(nowhere, 1, 1) },
        Load { entities: MAX_ENTITIES + 1, ..load(nowhere, 1, 1) },
        Load { names: vec!["a.b".to_owned(), "a.bc".to_owned()], ..load(nowhere, 1, 1) },
    ];
    for load in refused {
        assert!(load.check().is_err(), "{load:?}");
    }
    let at_the_limits =
        Load { connections: MAX_CONNECTIONS, batch: MAX_BATCH, entities: MAX_ENTITIES, ..load(nowhere, 1, 1) };
    assert!(at_the_limits.check().is_ok());
}
