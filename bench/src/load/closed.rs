//! The closed loop: one task per connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::tally::{Outcome, Span, Tally};
use super::{BACK_OFF, Closed, Load, MAX_ERRORS, Source};
use crate::clock;
use crate::wire::{Connection, EXCHANGE_LIMIT};

/// Requests still to be accepted; a refused one is handed back.
struct Tickets(AtomicU64);

impl Tickets {
    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) async fn run(load: &Load, stop: Closed) -> Result<Outcome> {
    let from = clock::now() + stop.warm_up;
    let span = Span { from, until: from + stop.measure };
    let tickets = Arc::new(Tickets(AtomicU64::new(stop.requests.unwrap_or(u64::MAX - 1))));
    let mut workers = JoinSet::new();
    for connection in 0..load.connections {
        workers.spawn(worker(load.clone(), connection, span, Arc::clone(&tickets)));
    }
    let mut total = Tally::new(span)?;
    let all = async {
        while let Some(tally) = workers.join_next().await {
            total.add(tally.context("a connection of the load")??)?;
        }
        anyhow::Ok(())
    };
    timeout(stop.warm_up + stop.measure + EXCHANGE_LIMIT, all).await.context("the server stopped answering")??;
    Ok(total.finish(stop.requests.is_some()))
}

async fn worker(load: Load, index: usize, span: Span, tickets: Arc<Tickets>) -> Result<Tally> {
    let mut tally = Tally::new(span)?;
    let mut source = Source::new(&load, index);
    let mut connection = Connection::open(load.addr).await?;
    while clock::now() < span.until && tickets.take() {
        match send(&mut connection, &mut source, &mut tally).await {
            Ok(true) => {}
            Ok(false) => {
                tickets.give_back();
                sleep(BACK_OFF).await;
            }
            Err(error) if tally.broke() >= MAX_ERRORS => return Err(error),
            Err(_) => {
                tickets.give_back();
                connection = Connection::open(load.addr).await?;
            }
        }
    }
    Ok(tally)
}

async fn send(connection: &mut Connection, source: &mut Source<'_>, tally: &mut Tally) -> Result<bool> {
    let intended = clock::now();
    let answer = connection.exchange(source.next(clock::wall_us())).await?;
    Ok(tally.answered(answer.status, source.request.batch(), intended))
}
